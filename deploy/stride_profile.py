"""A policy's mean torque over the gait cycle, on a walk that it does not change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.control import PhaseSettings, Signals
from osim_exo.deploy.policy_controller import PolicyController
from osim_exo.deploy.score import LONGEST, SHORTEST, flexion_peaks
from osim_exo.deploy.walkers import Walker
from osim_exo.errors import DataError

Array = npt.NDArray[np.float64]

N_POINT = 101
"""Points of the gait cycle, 0 to 100 %."""


@dataclass(frozen=True)
class StrideProfile:
    """Mean torque of both sides over their own gait cycles, from heel strike.

    Attributes
    ----------
    torque, spread : (101,) arrays, Nm, flexion positive: mean and standard deviation
    n_stride, n_sample : strides that were averaged, and steps of the policy
    """

    torque: Array
    spread: Array
    n_stride: int
    n_sample: int

    def to_csv(self) -> str:
        """Gait cycle, mean and deviation as text."""
        rows = ["gait_cycle_percent,torque_nm,spread_nm"]
        for k, (mean, deviation) in enumerate(zip(self.torque, self.spread)):
            rows.append(f"{100 * k / (N_POINT - 1):g},{mean:.6g},{deviation:.6g}")
        return "\n".join(rows) + "\n"


def stride_profile(
    controller: PolicyController,
    walker: Walker,
    seconds: float = 40.0,
    phase: PhaseSettings | None = None,
) -> StrideProfile:
    """Run a policy on a walk and average its torque over the strides.

    The device is taken to deliver what is commanded. Strides are found by the peaks of hip flexion,
    which stand for the gait cycle of `PhaseSettings.peak_flexion_percent`.

    Parameters
    ----------
    controller : PolicyController
    walker : who walks
    seconds : how long
    phase : where in the gait cycle the peak of hip flexion lies

    Raises
    ------
    DataError
        The walk holds no whole stride.
    """
    period = 1.0 / controller.rate_hz
    time: Array = np.asarray(np.arange(round(seconds / period)) * period, dtype=np.float64)
    angle, torque = np.empty((len(time), 2)), np.empty((len(time), 2))
    controller.reset(1)
    given: Array = np.zeros(2)
    for k, now in enumerate(time.tolist()):
        pose = walker(now)
        signals = Signals(
            time=np.array([now]),
            hip_angle=np.array([pose.angle]),
            hip_speed=np.array([pose.speed]),
            thigh_angle=np.array([pose.thigh]),
            thigh_rate=np.array([pose.gyro]),
            torque=given[None],
        )
        given = np.asarray(controller(signals)[0])
        angle[k], torque[k] = pose.angle, given
    controller.reset(1)
    curves = [curve for i in (0, 1) for curve in _curves(time, angle[:, i], torque[:, i])]
    if not curves:
        raise DataError(
            "The walk holds no whole stride between two peaks of hip flexion. Give a trial of at "
            "least three strides, or of one stride that repeats."
        )
    peak = (phase or PhaseSettings()).peak_flexion_percent / 100.0
    stride = np.linspace(0.0, 1.0, N_POINT)
    turned = [np.interp(np.mod(stride - peak, 1.0), stride, curve) for curve in curves]
    return StrideProfile(np.mean(turned, axis=0), np.std(turned, axis=0), len(curves), len(time))


def _curves(time: Array, angle: Array, torque: Array) -> list[Array]:
    """Torque of each stride of one side at 101 points."""
    peaks = flexion_peaks(angle)
    # The first stride still remembers the start.
    pairs = list(zip(peaks, peaks[1:]))[1:]
    return [
        np.interp(np.linspace(time[a], time[b], N_POINT), time, torque)
        for a, b in pairs
        if SHORTEST <= time[b] - time[a] <= LONGEST
    ]
