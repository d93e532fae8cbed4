"""The result of one optimal-control solve, with the way from half a stride to a whole one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from osim_exo import names
from osim_exo.physics.record import Motion
from osim_exo.trial import Array

FORWARD = "pelvis_tx/value"
"""The one state that grows from stride to stride."""


@dataclass(frozen=True)
class Solution:
    """States and controls on the solver's grid, with what the solver said.

    Attributes
    ----------
    time : (n,) s, from 0
    states : by absolute state path, (n,)
    controls : by absolute actuator path, (n,)
    half_stride : the time spans half a stride, the other half is its mirror image
    success, status, iterations, cpu_seconds : of the solver
    objective, terms : total and by name, weighted
    bounds : by state or control path, (lower, upper)
    extra : anything else that the solve wants to hand on
    """

    time: Array
    states: Mapping[str, Array]
    controls: Mapping[str, Array]
    half_stride: bool
    success: bool
    status: str
    iterations: int
    cpu_seconds: float
    objective: float
    terms: Mapping[str, float]
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stride_time(self) -> float:
        """Duration of a whole stride, s."""
        return float((2.0 if self.half_stride else 1.0) * self.time[-1])

    def stride(self) -> Motion:
        """The whole stride, 0 to 100 % inclusive; controls by actuator name."""
        controls = {path.rsplit("/", 1)[-1]: c for path, c in self.controls.items()}
        if not self.half_stride:
            return Motion(self.time, dict(self.states), controls)
        time = np.concatenate([self.time, self.time[-1] + self.time[1:]])
        states = {path: _append_mirror(self.states, path) for path in self.states}
        return Motion(time, states, {n: _append_mirror(controls, n) for n in controls})


def _append_mirror(series: Mapping[str, Array], name: str) -> Array:
    first, second = series[name], series[names.mirror(name)]
    shift = first[-1] - second[0] if name.endswith(FORWARD) else 0.0
    return np.concatenate([first, second[1:] + shift])


def resample(motion: Motion, count: int) -> Motion:
    """A motion at `count` equally spaced times, linear in between as the trapezoidal rule is."""
    time = np.linspace(motion.time[0], motion.time[-1], count)
    return Motion(
        time,
        {n: np.interp(time, motion.time, v) for n, v in motion.states.items()},
        {n: np.interp(time, motion.time, v) for n, v in motion.controls.items()},
    )


def phase_shifted(motion: Motion, start: float) -> Motion:
    """A periodic stride that begins at time `start` of the given one, with x from 0."""
    time, period = motion.time, motion.time[-1] - motion.time[0]
    begin = motion.time[0] + start

    def turned(name: str, values: Array) -> Array:
        gain = values[-1] - values[0] if name.endswith(FORWARD) else 0.0
        longer = np.concatenate([values[:-1], values + gain])
        doubled = np.concatenate([time[:-1], time + period])
        result = np.interp(time + start, doubled, longer)
        return np.asarray(result - result[0] if name.endswith(FORWARD) else result)

    if not 0.0 <= start < period:
        raise ValueError(f"start {start} s must lie within the stride of {period} s from {begin} s")
    return Motion(
        time,
        {n: turned(n, v) for n, v in motion.states.items()},
        {n: turned(n, v) for n, v in motion.controls.items()},
    )
