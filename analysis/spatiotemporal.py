"""Stride time, cadence, lengths, stance and double support."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from osim_exo.analysis.cycles import stride_times
from osim_exo.analysis.events import GaitEvents, find_events, foot_position, repeat
from osim_exo.names import SIDES
from osim_exo.trial import Array, Trial

TREADMILL_SHARE = 0.2
"""A pelvis that travels less than this share of the commanded speed is on a treadmill."""

STANDING_SPEED = 0.2
"""Where the commanded speed is not known, a pelvis slower than this is on a treadmill, m/s."""


@dataclass(frozen=True)
class Spatiotemporal:
    """Mean values over the whole strides of a trial; NaN where something was not recorded.

    Attributes
    ----------
    stride_time : s, right heel strike to right heel strike
    cadence : steps per minute
    speed : m/s, of the pelvis over the strides; on a treadmill the commanded one
    stride_length : m
    step_length : by side, m, from the other heel's strike to this one's
    step_time : by side, s
    stance_percent : by side, % of that side's stride
    double_support_percent : % of the stride with both feet on the ground
    """

    stride_time: float
    cadence: float
    speed: float
    stride_length: float
    step_length: Mapping[str, float]
    step_time: Mapping[str, float]
    stance_percent: Mapping[str, float]
    double_support_percent: float


def spatiotemporal(trial: Trial, events: GaitEvents | None = None) -> Spatiotemporal:
    """Spatiotemporal parameters of a trial.

    Raises
    ------
    DataError
        The trial holds no whole right stride.
    """
    events = events or find_events(trial)
    strides = stride_times(trial, "r", events)
    stride_time = float(np.mean(strides[:, 1] - strides[:, 0]))
    speed, belt = _speeds(trial, strides)
    steps = {s: _steps(trial, events, s) for s in SIDES}
    stance = {s: _stance_percent(trial, events, s) for s in SIDES}
    return Spatiotemporal(
        stride_time=stride_time,
        cadence=120.0 / stride_time,
        speed=speed,
        stride_length=speed * stride_time,
        step_length={s: _step_length(trial, s, steps[s], belt) for s in SIDES},
        step_time={s: _mean(steps[s][:, 1] - steps[s][:, 0]) for s in SIDES},
        stance_percent=stance,
        double_support_percent=max(0.0, stance["r"] + stance["l"] - 100.0)
        if np.isfinite(stance["r"] + stance["l"])
        else float("nan"),
    )


def _speeds(trial: Trial, strides: Array) -> tuple[float, float]:
    """Walking speed over the strides, and the speed of a treadmill's belt."""
    commanded = trial.info.speed
    if "pelvis_tx" not in trial.coordinates:
        return commanded, 0.0
    ends = np.interp([strides[0, 0], strides[-1, 1]], trial.time, trial.coordinates["pelvis_tx"])
    travelled = float((ends[1] - ends[0]) / (strides[-1, 1] - strides[0, 0]))
    if travelled < (TREADMILL_SHARE * commanded if np.isfinite(commanded) else STANDING_SPEED):
        return commanded, commanded - travelled
    return travelled, 0.0


def _steps(trial: Trial, events: GaitEvents, side: str) -> Array:
    """Start (other heel's strike) and end (this heel's strike) of the steps, (n_step, 2) s."""
    other = events.heel_strikes["l" if side == "r" else "r"]
    own = events.heel_strikes[side]
    if trial.info.stride and side == "r":
        own = own[1:]
    pairs = [(other[other < t].max(), t) for t in own if np.any(other < t)]
    longest = 0.0 if not pairs else 2.0 * float(np.median([b - a for a, b in pairs]))
    return np.array([p for p in pairs if p[1] - p[0] <= longest]).reshape(-1, 2)


def _step_length(trial: Trial, side: str, steps: Array, belt: float) -> float:
    """Forward distance between the two heel strikes; a belt's travel is added."""
    own, other = _heel(trial, side), _heel(trial, "l" if side == "r" else "r")
    if own is None or other is None or not len(steps):
        return float("nan")
    time, both = trial.time, np.stack([other, own], axis=1)
    if trial.info.stride:
        time, both = repeat(trial, both)
    start = np.interp(steps[:, 0], time, both[:, 0])
    end = np.interp(steps[:, 1], time, both[:, 1])
    return _mean(end - start + belt * (steps[:, 1] - steps[:, 0]))


def _heel(trial: Trial, side: str) -> Array | None:
    """Heel position along x in the ground frame, or None if it is not known."""
    if f"heel_{side}.x" in trial.points:
        return trial.points[f"heel_{side}.x"]
    relative = foot_position(trial, side)
    if relative is None or "pelvis_tx" not in trial.coordinates:
        return None
    return relative + trial.coordinates["pelvis_tx"]


def _stance_percent(trial: Trial, events: GaitEvents, side: str) -> float:
    strikes, offs = events.heel_strikes[side], events.toe_offs[side]
    if trial.info.stride:
        if not (strikes.size and offs.size):
            return float("nan")
        return float(100.0 * ((offs[0] - strikes[0]) % trial.duration) / trial.duration)
    shares = [
        100.0 * (offs[(offs > a) & (offs < b)].min() - a) / (b - a)
        for a, b in zip(strikes[:-1], strikes[1:])
        if np.any((offs > a) & (offs < b))
    ]
    return _mean(np.array(shares))


def _mean(values: Array) -> float:
    return float(np.mean(values)) if np.size(values) else float("nan")
