"""What an exoskeleton's drive can do: its limits, and the torque it delivers for a command.

The same code stands between command and torque in every physics and, later, on the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from osim_exo.config import Config
from osim_exo.errors import InputError
from osim_exo.strap import Strap, free_motion

Array = npt.NDArray[np.float64]

LONGEST_RAMP = 0.5
"""s; a drive that needs longer from zero to its maximum torque cannot follow a gait cycle."""

LOWEST_FULL_TORQUE_SPEED = 0.5
"""rad/s; the power limit must leave the maximum torque available at least up to this speed."""


class DeviceLimits(Config):
    """Limits of one joint's drive; every joint of a device has the same ones."""

    max_torque: float = Field(default=15.0, gt=0.0, le=300.0, description="Nm")
    rate_limit: float = Field(default=250.0, gt=0.0, le=1e6, description="Nm/s")
    bandwidth_hz: float = Field(
        default=10.0, ge=0.5, le=1e4, description="corner frequency of the first-order lag, Hz"
    )
    delay_s: float = Field(default=0.01, ge=0.0, le=0.5, description="transport delay, s")
    power_limit: float = Field(
        default=60.0, gt=0.0, le=1e5, description="mechanical power, given or taken, W"
    )
    strap: Strap | None = Field(default=None, description="between drive and limb; none: rigid")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ramp = self.max_torque / self.rate_limit
        if ramp > LONGEST_RAMP:
            raise ValueError(
                f"a rate limit of {self.rate_limit:g} Nm/s needs {ramp:.2g} s to reach the maximum "
                f"torque of {self.max_torque:g} Nm; at most {LONGEST_RAMP} s is allowed. Raise "
                f"rate_limit to {self.max_torque / LONGEST_RAMP:g} Nm/s or more, or lower "
                "max_torque"
            )
        speed = self.power_limit / self.max_torque
        if speed < LOWEST_FULL_TORQUE_SPEED:
            raise ValueError(
                f"a power limit of {self.power_limit:g} W allows the maximum torque of "
                f"{self.max_torque:g} Nm only below {speed:.2g} rad/s; at least "
                f"{LOWEST_FULL_TORQUE_SPEED} rad/s is needed. Raise power_limit to "
                f"{self.max_torque * LOWEST_FULL_TORQUE_SPEED:g} W or more, or lower max_torque"
            )
        return self

    @model_serializer(mode="wrap")
    def _plain(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A rigid device is written as before there were straps, so that its hash stays."""
        fields: dict[str, Any] = handler(self)
        return {n: value for n, value in fields.items() if n != "strap" or value is not None}

    @property
    def time_constant(self) -> float:
        """Time constant of the first-order lag, 1 / (2 pi bandwidth), s."""
        return 1.0 / (2.0 * math.pi * self.bandwidth_hz)


@dataclass(frozen=True)
class DeviceState:
    """Everything a `DeviceDynamics` remembers.

    Attributes
    ----------
    commands : (n_delay + 2, n_env, n_joint) array, Nm; clipped commands, newest first
    lagged : (n_env, n_joint) array, Nm; output of the first-order lag
    torque : (n_env, n_joint) array, Nm; torque delivered last
    strap : (3, n_env, n_joint) array, or None where drive and limb are rigid together
        The drive's own torque (Nm), the angle of its output (rad) and its speed (rad/s).
    """

    commands: Array
    lagged: Array
    torque: Array
    strap: Array | None = None


@dataclass(frozen=True)
class LagWeights:
    """A transport delay and a first-order lag, exact for commands that are held over steps.

    With commands c and k counting steps, the lag's output obeys
    y[k] = keep y[k-1] + older c[k - whole - 1] + newer c[k - whole].

    Attributes
    ----------
    whole : whole steps of the delay
    keep, older, newer : shares
    """

    whole: npt.NDArray[np.intp]
    keep: Array
    older: Array
    newer: Array

    @classmethod
    def of(cls, delay: npt.ArrayLike, bandwidth_hz: npt.ArrayLike, dt: float) -> LagWeights:
        """Weights of drives; the arrays broadcast.

        Parameters
        ----------
        delay : s
        bandwidth_hz : corner frequency of the lag, Hz
        dt : step, s
        """
        late, corner = np.broadcast_arrays(
            np.asarray(delay, dtype=float), np.asarray(bandwidth_hz, dtype=float)
        )
        whole, rest = _split_delay(late, dt)
        rate = 2.0 * math.pi * corner
        keep = np.exp(-rate * dt)
        # For the first `rest` of the step the lag still sees the command before.
        remaining = np.exp(-rate * (dt - rest))
        return cls(whole, keep, remaining - keep, 1.0 - remaining)

    def held(self, n_hold: int) -> Array:
        """What commands that are held over `n_hold` steps add to the lag's output.

        Returns
        -------
        (n_back, n_hold, ...) array
            Weight, in each of the next `n_hold` steps, of the command that was given 0, 1, ...
            holds ago; 0 is the one that begins now.
        """
        step = np.arange(n_hold).reshape(-1, *(1,) * self.whole.ndim)
        newer = -((step - self.whole) // n_hold)
        older = -((step - self.whole - 1) // n_hold)
        back = np.arange(int(older.max()) + 1).reshape(-1, *(1,) * newer.ndim)
        return np.asarray((back == newer) * self.newer + (back == older) * self.older)


class DeviceDynamics:
    """Delivered torque of `n_joint` drives in `n_env` environments.

    Each step holds the command over the time step `dt` and returns the torque at its end. In this
    order:

    1. finite check: a command that is NaN or infinite counts as zero torque;
    2. clip to the maximum torque;
    3. transport delay, and
    4. first-order lag, both discretised exactly for a held command, also where the delay is not
       a multiple of the step;
    5. rate limit;
    6. power limit with the joint's speed.

    The power limit comes last and wins: where a rising joint speed lowers the torque that the
    power allows, the torque falls as fast as it must, also faster than the rate limit. Every rise
    of the torque's magnitude obeys the rate limit. A joint speed that is NaN or infinite allows no
    torque.

    With a `Strap`, this is the torque of the drive, whose power is limited with the speed of its
    own output, and what is delivered is the strap's mean torque on the limb over the step, so that
    the rotor gains exactly the momentum that the limb does not. The strap itself limits nothing:
    its torque may pass the maximum torque for some milliseconds. The joint's speed counts as held
    over a step.

    Parameters
    ----------
    limits : DeviceLimits
    dt : float, s, > 0
    n_env, n_joint : int, >= 1
    """

    def __init__(self, limits: DeviceLimits, dt: float, n_env: int = 1, n_joint: int = 2) -> None:
        if not (math.isfinite(dt) and dt > 0.0):
            raise InputError(f"The device's time step must be a positive number of s, not {dt}.")
        if n_env < 1 or n_joint < 1:
            raise InputError(
                f"n_env = {n_env} and n_joint = {n_joint} were given; both must be at least 1."
            )
        self.limits = limits
        self.dt = float(dt)
        self.shape = (int(n_env), int(n_joint))
        lag = LagWeights.of(limits.delay_s, limits.bandwidth_hz, self.dt)
        self._n_delay = int(lag.whole)
        self._keep, self._older, self._newer = (
            float(weight) for weight in (lag.keep, lag.older, lag.newer)
        )
        self._strap = limits.strap
        if self._strap is not None:
            s = self._strap
            self._motion = free_motion(s.stiffness, s.damping, s.inertia, self.dt)
        self.reset()

    def reset(
        self,
        environments: npt.ArrayLike | None = None,
        angle: npt.ArrayLike = 0.0,
        speed: npt.ArrayLike = 0.0,
    ) -> None:
        """Forget everything: no torque and no command on its way.

        Parameters
        ----------
        environments : indices or boolean mask, optional
            The environments to reset; all if not given.
        angle, speed : of their joints, rad and rad/s
            A strap begins without stretch, its rotor as fast as the joint.
        """
        if environments is None:
            # A ring: the newest command at `_newest`, the oldest one before it.
            self._commands = np.zeros((self._n_delay + 2, *self.shape))
            self._newest = 0
            self._asked = np.zeros(self.shape)
            self._lagged = np.zeros(self.shape)
            self._torque = np.zeros(self.shape)
            self._drive = np.zeros(self.shape)
            self._angle, self._speed = np.zeros(self.shape), np.zeros(self.shape)
            self._angle[:], self._speed[:] = angle, speed
            return
        chosen = np.asarray(environments)
        self._commands[:, chosen] = 0.0
        self._asked[chosen] = 0.0
        self._lagged[chosen] = 0.0
        self._torque[chosen] = 0.0
        self._drive[chosen] = 0.0
        self._angle[chosen], self._speed[chosen] = angle, speed

    @property
    def torque(self) -> Array:
        """Torque delivered to the limb last, (n_env, n_joint) array, Nm; a copy."""
        return self._torque.copy()

    @property
    def drive_torque(self) -> Array:
        """Torque of the drives themselves, (n_env, n_joint) array, Nm; a copy."""
        return self._torque.copy() if self._strap is None else self._drive.copy()

    @property
    def drive_speed(self) -> Array:
        """Speed of the drives' outputs, (n_env, n_joint) array, rad/s; a copy.

        With a strap that at the end of the last step, else that which the last step was given.
        """
        return self._speed.copy()

    def step(
        self, command: npt.ArrayLike, speed: npt.ArrayLike, angle: npt.ArrayLike | None = None
    ) -> Array:
        """Advance by `dt` and return the delivered torque.

        Parameters
        ----------
        command : (n_env, n_joint) array, Nm
        speed : (n_env, n_joint) array, rad/s
            Of the joint.
        angle : (n_env, n_joint) array, rad
            Of the joint; only a strap needs it.

        Returns
        -------
        (n_env, n_joint) array, Nm
        """
        self.hold(command)
        return self.advance(speed, angle)

    def hold(self, command: npt.ArrayLike) -> None:
        """Take a command, (n_env, n_joint) array, Nm, for every `advance` until the next one."""
        asked = self._checked("command", command)
        bounded = _bounded(asked, self.limits.max_torque)
        self._asked = np.where(np.isfinite(asked), bounded, 0.0)

    def advance(self, speed: npt.ArrayLike, angle: npt.ArrayLike | None = None) -> Array:
        """Advance by `dt` with the command that is held; otherwise as `step`."""
        self._newest = (self._newest - 1) % len(self._commands)
        self._commands[self._newest] = self._asked
        self._lagged = (
            self._keep * self._lagged
            + self._older * self._commands[self._newest - 1]
            + self._newer * self._commands[self._newest - 2]
        )
        moving = self._checked("speed", speed)
        if self._strap is None:
            self._speed = moving
            self._torque = self._driven(self._torque, moving)
        else:
            if angle is None:
                raise InputError(
                    "A device with a strap needs the angle of its joints in every step, too."
                )
            self._pull(self._strap, self._checked("angle", angle), moving)
        return self._torque.copy()

    def _driven(self, torque: Array, speed: Array) -> Array:
        """The drive's torque at the end of a step, from that at its start, Nm."""
        change = _bounded(self._lagged - torque, self.limits.rate_limit * self.dt)
        return _bounded(torque + change, power_cap(speed, self.limits))

    def _pull(self, strap: Strap, angle: Array, speed: Array) -> None:
        """Let the rotor move on its strap; its torque on the limb is what changes its momentum."""
        known = np.isfinite(angle) & np.isfinite(speed)
        drive = np.where(known, self._driven(self._drive, self._speed), 0.0)
        # A limb of which nothing is known counts as one that moves with the rotor.
        joint = np.where(known, angle, self._angle)
        pace = np.where(known, speed, self._speed)
        rest = drive / strap.stiffness
        far, fast = self._angle - joint - rest, self._speed - pace
        stretch = rest + self._motion[0] * far + self._motion[1] * fast
        after = pace + self._motion[2] * far + self._motion[3] * fast
        pulled = drive - strap.inertia / self.dt * (after - self._speed)
        self._torque = np.where(known, pulled, 0.0)
        self._angle, self._speed, self._drive = joint + self.dt * pace + stretch, after, drive

    def snapshot(self) -> DeviceState:
        """A copy of everything that `restore` needs."""
        commands = np.roll(self._commands, -self._newest, axis=0)
        strap = None
        if self._strap is not None:
            strap = np.stack([self._drive, self._angle, self._speed])
        return DeviceState(commands, self._lagged.copy(), self._torque.copy(), strap)

    def restore(self, state: DeviceState) -> None:
        """Go back to a snapshot of a device with the same delay, step and shape."""
        if state.commands.shape != self._commands.shape:
            raise InputError(
                f"The snapshot's delay line has shape {state.commands.shape}, this device's "
                f"{self._commands.shape}. Restore it on a device with the same delay, time step "
                "and number of environments and joints."
            )
        if (state.strap is None) != (self._strap is None):
            raise InputError("The snapshot and this device differ: only one of them has a strap.")
        self._commands, self._newest = state.commands.copy(), 0
        self._asked = self._commands[0].copy()
        self._lagged = state.lagged.copy()
        self._torque = state.torque.copy()
        if state.strap is not None:
            self._drive, self._angle, self._speed = state.strap.copy()

    def _checked(self, name: str, values: npt.ArrayLike) -> Array:
        array = np.asarray(values, dtype=float)
        if array.shape != self.shape:
            raise InputError(
                f"The device's {name} has shape {array.shape}; it must be (n_env, n_joint) = "
                f"{self.shape}."
            )
        return array


def power_cap(speed: Array, limits: DeviceLimits) -> Array:
    """Largest torque magnitude at a joint speed, Nm: maximum torque, or power over speed."""
    corner = limits.power_limit / limits.max_torque
    cap = limits.power_limit / np.maximum(np.abs(speed), corner)
    return np.where(np.isnan(cap), 0.0, cap)


def _bounded(values: Array, bound: Array | float) -> Array:
    return np.asarray(np.minimum(np.maximum(values, -bound), bound))


def _split_delay(delay: Array, dt: float) -> tuple[npt.NDArray[np.intp], Array]:
    """Whole steps in delays, and the rest in s; rounding errors of the division do not count."""
    steps = delay / dt
    nearest = np.round(steps)
    close = np.abs(steps - nearest) < 1e-9 * np.maximum(1.0, steps)
    whole = np.where(close, nearest, np.floor(steps))
    return whole.astype(np.intp), np.maximum(0.0, delay - whole * dt)
