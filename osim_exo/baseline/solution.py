"""The result of one optimal-control solve, with the way from half a stride to a whole one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from osim_exo import names
from osim_exo.physics.record import EXO_PREFIX, Motion
from osim_exo.trial import Array

FORWARD = "pelvis_tx/value"
"""The one state that grows from stride to stride."""

PELVIS_HEIGHT = "pelvis_ty/value"


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


def without_exo(solution: Solution) -> Solution:
    """A solution as a guess for a model whose exo has no states of its own."""
    states = {p: v for p, v in solution.states.items() if not _of_exo(p)}
    return replace(solution, states=states)


def _of_exo(path: str) -> bool:
    return path.split("/")[-2].startswith(EXO_PREFIX)


def resized(solution: Solution, scale: float) -> Solution:
    """A solution as a guess for a larger or smaller person: only the pelvis height is a length."""
    states = {
        path: values * scale if path.endswith(PELVIS_HEIGHT) else values
        for path, values in solution.states.items()
    }
    return replace(solution, states=states)


def stride_from(motion: Motion, start: float, count: int) -> Motion:
    """A periodic stride that begins at time `start` of the given one, with x from 0.

    Coordinates are interpolated by cubics that meet their speeds at the solver's points: contact
    forces between the points would suffer from straight lines. Everything else is linear, as the
    trapezoidal rule takes it.

    Parameters
    ----------
    motion : one whole stride
    start : s, within the stride
    count : number of equally spaced samples, both ends included
    """
    period = motion.time[-1] - motion.time[0]
    if not 0.0 <= start < period:
        raise ValueError(f"start {start} s must lie within the stride of {period} s")
    known = np.concatenate([motion.time[:-1], motion.time + period])
    wanted = np.linspace(0.0, period, count)
    at = motion.time[0] + wanted + start

    def twice(values: Array, gain: float = 0.0) -> Array:
        return np.concatenate([values[:-1], values + gain])

    states = {}
    for path, values in motion.states.items():
        forward = path.endswith(FORWARD)
        doubled = twice(values, values[-1] - values[0] if forward else 0.0)
        if path.endswith("/value"):
            slopes = twice(motion.states[path.removesuffix("value") + "speed"])
            found = np.asarray(CubicHermiteSpline(known, doubled, slopes)(at))
        else:
            found = np.interp(at, known, doubled)
        states[path] = found - found[0] if forward else found
    controls = {n: np.interp(at, known, twice(v)) for n, v in motion.controls.items()}
    return Motion(wanted, states, controls)
