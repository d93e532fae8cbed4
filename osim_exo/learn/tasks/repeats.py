"""Where a recorded walk repeats itself best: one stride of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

STRIDE_TIMES = (0.7, 2.0)
"""s; of walking strides, from 1.7 m/s to half a metre per second."""

RATE_TIME = 0.1
"""s; a difference of rates counts as that of angles after this time."""

AS_GOOD = 1.5
"""Spans whose ends differ by no more than this factor beyond the best repeat as well."""

STEP = 0.01
"""s; of the times that are looked at."""


def best_span(time: Array, angles: Array) -> tuple[float, float] | None:
    """Start and end, s, of the stride whose ends are most alike in angles and rates.

    Of spans that are about as good the shortest is taken: two strides repeat as well as one.

    Parameters
    ----------
    time : (n_time,) array, s
    angles : (n_time, n_angle) array, rad

    Returns
    -------
    tuple, or None if the record is shorter than the shortest stride
    """
    even = np.arange(time[0], time[-1] + 1e-9, STEP)
    lags = np.arange(round(STRIDE_TIMES[0] / STEP), round(STRIDE_TIMES[1] / STEP) + 1)
    lags = lags[lags < even.size]
    if not lags.size:
        return None
    sampled = np.stack([np.interp(even, time, column) for column in angles.T], axis=1)
    states = np.hstack([sampled, RATE_TIME * np.gradient(sampled, STEP, axis=0)])
    apart = [np.sqrt(np.mean((states[lag:] - states[:-lag]) ** 2, axis=1)) for lag in lags]
    least = np.array([part.min() for part in apart])
    good = np.flatnonzero(least <= AS_GOOD * least.min() + 1e-9)
    beyond = np.flatnonzero(np.diff(good) > 1)
    basin = good[: beyond[0] + 1] if beyond.size else good
    best = int(basin[np.argmin(least[basin])])
    first = int(np.argmin(apart[best]))
    return float(even[first]), float(even[first + lags[best]])
