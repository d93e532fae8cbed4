"""Whether the device delivers an optimal torque: its command, and what comes out.

In optimal control the torque of the whole stride is known in advance, and the walk is periodic. So
the command can lead by the transport delay and undo the first-order lag: a torque tau(t) comes out
of the command tau(t + delay) + T tau'(t + delay), with T the lag's time constant. No constraint on
the delay is needed; a torque whose rate is bounded has a bounded command.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osim_exo.device import DeviceDynamics, DeviceLimits
from osim_exo.errors import InputError
from osim_exo.trial import Array

DEVICE_RATE = 1000.0
"""Hz; of the device's own loop."""

SETTLING_STRIDES = 2
"""Strides after which lag and delay line have forgotten their start."""


@dataclass(frozen=True)
class Delivery:
    """A device that was commanded to give a periodic torque.

    Attributes
    ----------
    time : (n,) s, one stride
    wanted, command, delivered : (n, n_joint) Nm; command before the device clips it
    """

    time: Array
    wanted: Array
    command: Array
    delivered: Array

    @property
    def rms(self) -> float:
        """Root mean square of delivered minus wanted, of the worst drive, Nm."""
        return float(np.sqrt(np.mean((self.delivered - self.wanted) ** 2, axis=0)).max())

    @property
    def largest(self) -> float:
        """Largest absolute difference, Nm."""
        return float(np.abs(self.delivered - self.wanted).max())

    @property
    def peak_command(self) -> float:
        """Largest absolute command, Nm."""
        return float(np.abs(self.command).max())


def lead_command(time: Array, torque: Array, limits: DeviceLimits, at: Array) -> Array:
    """Command that makes a device's delay and lag give a periodic torque.

    Parameters
    ----------
    time : (n,) s, one period, both ends included
    torque : (n, n_joint) Nm, the last row as the first; straight between the samples
    limits : DeviceLimits
    at : (m,) s, any times: when the command is given

    Returns
    -------
    (m, n_joint) array, Nm
        Not clipped: a value beyond the maximum torque is one that the device cannot follow.

    Raises
    ------
    InputError
        Times that do not grow, or arrays that do not fit.
    """
    step = np.diff(time)
    if torque.ndim != 2 or len(torque) != len(time) or not step.size or step.min() <= 0.0:
        raise InputError(
            f"A periodic torque needs growing times and one row per time; {len(time)} times and an "
            f"array of shape {torque.shape} were given."
        )
    slope = np.diff(torque, axis=0) / step[:, None]
    ahead = time[0] + (at + limits.delay_s - time[0]) % (time[-1] - time[0])
    piece = np.clip(np.searchsorted(time, ahead, side="right") - 1, 0, step.size - 1)
    value = torque[piece] + slope[piece] * (ahead - time[piece])[:, None]
    return np.asarray(value + limits.time_constant * slope[piece])


def deliver(time: Array, torque: Array, speed: Array, limits: DeviceLimits) -> Delivery:
    """Command a periodic torque, let the device deliver it over repeated strides, keep the last.

    Parameters
    ----------
    time : (n,) s, one stride, both ends included
    torque : (n, n_joint) Nm, wanted
    speed : (n, n_joint) rad/s, of the joints: the power limit uses it
    limits : DeviceLimits
    """
    start, period = float(time[0]), float(time[-1] - time[0])
    # A whole number of loop steps per stride, so that strides repeat exactly.
    count = max(2, round(period * DEVICE_RATE))
    dt = period / count
    at = np.asarray(start + dt * np.arange(count), dtype=float)
    # A command is held over a step; its middle is the time that it stands for.
    command = lead_command(time, torque, limits, at + 0.5 * dt)
    end = at + dt
    wanted, moving = (
        np.stack([np.interp(end, time, column) for column in series.T], axis=1)
        for series in (torque, speed)
    )
    device = DeviceDynamics(limits, dt, 1, torque.shape[1])
    delivered = np.empty_like(wanted)
    for _ in range(SETTLING_STRIDES + 1):
        for k in range(count):
            delivered[k] = device.step(command[k : k + 1], moving[k : k + 1])[0]
    return Delivery(end, wanted, command, delivered)
