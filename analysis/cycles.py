"""Gait cycles of 101 points from heel strike to heel strike of the same side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osim_exo.analysis.events import GaitEvents, find_events, repeat
from osim_exo.errors import DataError, check_option
from osim_exo.names import side as side_of
from osim_exo.trial import Array, Channels, Trial

CYCLE_POINTS = 101
"""Points of a gait cycle: every percent, 0 and 100 included."""

PERCENT: Array = np.linspace(0.0, 100.0, CYCLE_POINTS)
"""The gait cycle's axis, %."""


@dataclass(frozen=True)
class Cycles:
    """Gait cycles of several channels.

    Attributes
    ----------
    names : tuple of str, length n_channel
    values : (n_cycle, 101, n_channel) array
    starts, ends : (n_cycle,) arrays, s
    """

    names: tuple[str, ...]
    values: Array
    starts: Array
    ends: Array

    def mean(self) -> Channels:
        """Mean over the cycles, 101 samples."""
        return Channels(self.names, self.values.mean(axis=0))

    def sd(self) -> Channels:
        """Standard deviation over the cycles (n - 1); zero for one cycle."""
        n = self.values.shape[0]
        spread = self.values.std(axis=0, ddof=1) if n > 1 else np.zeros(self.values.shape[1:])
        return Channels(self.names, spread)


def stride_times(trial: Trial, side: str = "r", events: GaitEvents | None = None) -> Array:
    """Start and end of every whole stride of a side, (n_stride, 2) array, s.

    The left stride of a periodic trial runs past the end of its data into the next period.

    Raises
    ------
    DataError
        There is no whole stride of that side.
    """
    check_option("side", side, ("r", "l"))
    strikes = (events or find_events(trial)).heel_strikes[side]
    if trial.info.stride and side == "l":
        strikes = np.array([strikes[0], strikes[0] + trial.duration])
    if strikes.size < 2:
        raise DataError(
            f"Trial '{trial.info.name}' has {strikes.size} heel strike(s) of side '{side}'; two "
            "are needed for a stride."
        )
    return np.stack([strikes[:-1], strikes[1:]], axis=1)


def strides_in(trial: Trial) -> int:
    """Number of whole right strides; 0 for a walk that ended before one of each side."""
    try:
        stride_times(trial, "l")
        return len(stride_times(trial, "r"))
    except DataError:
        return 0


def cut(trial: Trial, channels: Channels, strides: Array) -> Cycles:
    """Gait cycles of channels that share a trial's time axis, by linear interpolation.

    Parameters
    ----------
    trial : gives the time axis, and whether it is periodic
    channels : (n_time, n_channel)
    strides : (n_stride, 2) array of start and end, s
    """
    time, values = trial.time, channels.values
    if trial.info.stride:
        time, values = repeat(trial, values)
    share = PERCENT / 100.0
    out = np.empty((strides.shape[0], CYCLE_POINTS, len(channels)))
    for i, (start, end) in enumerate(strides):
        at = start + share * (end - start)
        for j in range(len(channels)):
            out[i, :, j] = np.interp(at, time, values[:, j])
    return Cycles(channels.names, out, strides[:, 0], strides[:, 1])


def mean_cycle(
    trial: Trial,
    channels: Channels,
    phase: str = "right",
    events: GaitEvents | None = None,
) -> Channels:
    """Mean gait cycle over the strides of a trial, 101 samples.

    Parameters
    ----------
    trial : gives time axis and events
    channels : (n_time, n_channel)
    phase : ``right``: every channel from right heel strike; ``own``: channels of the left side
        from left heel strike, so that both sides can be laid over each other
    """
    check_option("phase", phase, ("right", "own"))
    events = events or find_events(trial)
    mean = cut(trial, channels, stride_times(trial, "r", events)).mean()
    left = [n for n in channels.names if side_of(n) == "l"]
    if phase == "right" or not left:
        return mean
    own = cut(trial, channels.select(left), stride_times(trial, "l", events)).mean()
    columns = [own[n] if n in left else mean[n] for n in channels.names]
    return Channels(channels.names, np.stack(columns, axis=1))


def stride_mean(trial: Trial, values: Array, events: GaitEvents | None = None) -> Array:
    """Time average over the whole right strides of a trial (trapezoidal rule on its own samples).

    Parameters
    ----------
    values : (n_time,) or (n_time, n_channel) array

    Returns
    -------
    (), or (n_channel,) array
    """
    strides = stride_times(trial, "r", events)
    start, end = strides[0, 0], strides[-1, 1]
    inside = (trial.time > start) & (trial.time < end)
    time = np.concatenate([[start], trial.time[inside], [end]])
    columns = np.asarray(values, dtype=float).reshape(trial.time.size, -1)
    at_ends = np.stack([np.interp([start, end], trial.time, c) for c in columns.T], axis=1)
    inner = np.concatenate([at_ends[:1], columns[inside], at_ends[1:]])
    mean = np.trapezoid(inner, time, axis=0) / (end - start)
    return np.asarray(mean if np.ndim(values) > 1 else mean[0])
