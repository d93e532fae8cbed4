"""What a student must beat: the teacher's mean torque played back, and feedback tuned to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.control import (
    DelayedOutputFeedback,
    FeedbackSettings,
    PhaseSettings,
    Signals,
    TorqueTable,
)
from osim_exo.control.feedback import FILTER_TIME_CONSTANT
from osim_exo.errors import DataError

Array = npt.NDArray[np.float64]

DELAYS = tuple(0.02 * k for k in range(31))
"""s; tried delays of the feedback."""

FILTERS = (0.0, 0.05, 0.1, FILTER_TIME_CONSTANT)
"""s; tried time constants of its filter."""

N_BIN = 50
"""Points of a played-back profile."""


@dataclass(frozen=True)
class TaughtWalk:
    """Hip angles and the torque that the teacher commanded, at equal times.

    Attributes
    ----------
    time : (n_time,) array, s
    hip_angle : (n_time, 2) array, rad
    torque : (n_time, 2) array, Nm
    """

    time: Array
    hip_angle: Array
    torque: Array


def stacked(walks: Sequence[TaughtWalk]) -> tuple[Array, Array, Array]:
    """Times (n_time,), angles and torques (n_time, n_walk, 2) of walks, as long as the shortest.

    Raises
    ------
    DataError
        There is none, or the shortest has less than two samples.
    """
    n = min((len(walk.time) for walk in walks), default=0)
    if n < 2:
        raise DataError(
            "The teacher has no walk that lasted, so nothing can be tuned to it. Look at it with "
            "osim-exo evaluate."
        )
    angle = np.stack([walk.hip_angle[:n] for walk in walks], axis=1)
    torque = np.stack([walk.torque[:n] for walk in walks], axis=1)
    return walks[0].time[:n] - walks[0].time[0], angle, torque


def tuned_feedback(walks: Sequence[TaughtWalk]) -> FeedbackSettings:
    """Gain, delay and filter of the feedback that is nearest to the teacher's torque.

    The gain is the least-squares one for each delay and filter, not below zero; the best of all
    pairs is taken. The first quarter of the walks, in which filter and delay line fill, is left
    out.
    """
    time, angle, torque = stacked(walks)
    first, best = len(time) // 4, (np.inf, FeedbackSettings(gain=0.0))
    wanted = torque[first:]
    for constant in FILTERS:
        for delay in DELAYS:
            settings = FeedbackSettings(gain=1.0, delay_s=delay, filter_time_constant=constant)
            unit = _run(DelayedOutputFeedback(settings), time, angle)[first:]
            power = float(np.sum(unit**2))
            gain = max(float(np.sum(unit * wanted)) / power, 0.0) if power > 0.0 else 0.0
            error = float(np.mean((gain * unit - wanted) ** 2))
            if error < best[0]:
                best = (error, settings.changed(gain=min(gain, 200.0)))
    return best[1]


def _run(controller: DelayedOutputFeedback, time: Array, angle: Array) -> Array:
    n_walk, still = angle.shape[1], np.zeros(angle.shape[1:])
    controller.reset(n_walk)
    return np.stack(
        [controller(Signals(np.full(n_walk, t), q, still)) for t, q in zip(time, angle)]
    )


def averaged_profile(walks: Sequence[TaughtWalk]) -> TorqueTable:
    """The teacher's mean torque over the gait phase that hip angles give.

    In steady walking this is the phase of `osim_exo.control.PeakFlexionPhase`, which a device
    estimates; here it is known from the first to the last sample.

    Raises
    ------
    DataError
        The walks hold too few strides for a phase.
    """
    time, angle, torque = stacked(walks)
    settings = PhaseSettings()
    phase = np.stack(
        [
            np.stack([_phase(time, walk[:, side], settings) for side in (0, 1)], axis=1)
            for walk in angle.swapaxes(0, 1)
        ],
        axis=1,
    )
    sides = []
    for side in (0, 1):
        at, wanted = phase[:, :, side].ravel(), torque[:, :, side].ravel()
        known = np.isfinite(at)
        place = np.minimum((at[known] * N_BIN).astype(int), N_BIN - 1)
        count = np.bincount(place, minlength=N_BIN)
        full = count > 0
        if full.sum() < N_BIN // 2:
            raise DataError(
                f"The teacher's walks have a known gait phase in {int(known.sum())} samples only; "
                "too few for a profile. Walk longer."
            )
        mean = np.bincount(place, wanted[known], N_BIN)[full] / count[full]
        centres = (np.arange(N_BIN) + 0.5) / N_BIN
        sides.append(np.interp(np.arange(N_BIN) / N_BIN, centres[full], mean, period=1.0))
    phases = tuple(float(k) / N_BIN for k in range(N_BIN))
    right, left = (tuple(float(v) for v in side) for side in sides)
    return TorqueTable(phase=phases, right=right, left=left)


def _phase(time: Array, angle: Array, settings: PhaseSettings) -> Array:
    """Phase of a walk from its peaks of hip flexion, (n_time,) array; NaN with less than two."""
    peaks = _peaks(angle, settings)
    if len(peaks) < 2:
        return np.full_like(time, np.nan)
    when = time[peaks]
    first, last = when[1] - when[0], when[-1] - when[-2]
    stride = np.interp(time, when, np.arange(len(when)))
    stride += np.minimum(time - when[0], 0.0) / first + np.maximum(time - when[-1], 0.0) / last
    return np.asarray(np.mod(settings.peak_flexion_percent / 100.0 + stride, 1.0))


def _peaks(angle: Array, settings: PhaseSettings) -> list[int]:
    """Samples of the maxima that the device's estimator would confirm."""
    found: list[int] = []
    low, high, place = np.inf, -np.inf, 0
    for k, value in enumerate(angle):
        if value > high:
            high, place = value, k
        risen = high - low > settings.min_flexion_range
        if risen and value < high - settings.peak_drop:
            found.append(place)
        if (risen and value < high - settings.peak_drop) or value < low:
            low, high, place = value, value, k
    return found
