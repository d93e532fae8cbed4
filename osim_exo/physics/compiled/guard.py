"""What can go wrong in a compiled physics, seen from its coordinates: typed reasons, not NaN."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.equations.alarm import FASTEST
from osim_exo.compiler.spec import FunctionPath, ModelSpec
from osim_exo.physics.base import Array, FallLimits, Mask, Physics, PhysicsState, fallen

SUSPECT_ANGLE = math.radians(20.0)
"""Whoever runs away from this close to a singular orientation did so because of it."""


class EndReason(IntEnum):
    """Why an environment cannot go on."""

    NONE = 0
    CONTROLS_NOT_FINITE = 1
    """A control was NaN, or infinite without a limit."""
    NOT_FINITE = 2
    """The state left the finite numbers."""
    SINGULAR_ORIENTATION = 3
    """A joint of three rotations came near the orientation where two of its axes coincide."""
    TOO_FAST = 4
    """A speed went beyond `FASTEST`."""
    FALLEN = 5
    """The walker has fallen; the physics itself goes on."""


IN_WORDS = {
    EndReason.CONTROLS_NOT_FINITE: "got controls that are not finite",
    EndReason.NOT_FINITE: "left the finite numbers",
    EndReason.SINGULAR_ORIENTATION: "came to an orientation where two axes of a joint coincide",
    EndReason.TOO_FAST: f"moves faster than {FASTEST:g} rad/s or m/s",
    EndReason.FALLEN: "has fallen",
}


def failure_text(
    environment: int, reason: EndReason, time: float, excitations: dict[str, float]
) -> str:
    """What to tell the user about an environment that failed."""
    table = ", ".join(f"{name} {value:.3g}" for name, value in excitations.items())
    return (
        f"Environment {environment} {IN_WORDS[reason]}, at t = {time:.4g} s. Last excitations: "
        f"{table}. Check these inputs; if they are finite, use a smaller substep, or end episodes "
        "before this posture."
    )


def end_reasons(physics: Physics, limits: FallLimits | None = None) -> npt.NDArray[np.int8]:
    """Why each environment should end, (n_env,) array of `EndReason`; falls included.

    Parameters
    ----------
    physics : a compiled physics, or another one, whose failures count as not finite
    limits : when a walker counts as fallen
    """
    default = np.where(physics.failed, EndReason.NOT_FINITE, EndReason.NONE)
    reasons = np.asarray(getattr(physics, "failure_reasons", default), dtype=np.int8).copy()
    reasons[fallen(physics, limits) & (reasons == EndReason.NONE)] = EndReason.FALLEN
    return reasons


@dataclass(frozen=True)
class CompiledState(PhysicsState):
    """A `PhysicsState` with what a compiled physics has besides.

    Attributes
    ----------
    parameters : by name, (n_env, n_label) arrays
    reasons : (n_env,) array of `EndReason`
    """

    parameters: dict[str, Array] = field(default_factory=dict)
    reasons: npt.NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, dtype=np.int8))


def reasons_of(
    state: Array, speeds: slice, controls: Array, near: Mask, suspects: Mask
) -> npt.NDArray[np.int8]:
    """Why environments cannot go on after a step, (n_env,) array of `EndReason`.

    Parameters
    ----------
    state : (n_env, n_state) array
    speeds : columns of the speeds
    controls : (n_env, n_control) array
    near, suspects : (n_env,) arrays; near a singular orientation now, and rather near before
    """
    reasons = np.zeros(len(state), dtype=np.int8)
    reasons[(np.abs(state[:, speeds]) > FASTEST).any(axis=1)] = EndReason.TOO_FAST
    reasons[~np.isfinite(state).all(axis=1)] = EndReason.NOT_FINITE
    lost = (reasons != EndReason.NONE) & suspects
    reasons[near | lost] = EndReason.SINGULAR_ORIENTATION
    reasons[~np.isfinite(controls).all(axis=1)] = EndReason.CONTROLS_NOT_FINITE
    return reasons


class PathRanges:
    """How far coordinates lie outside the ranges on which the model's paths were fitted.

    Parameters
    ----------
    spec : the model

    Attributes
    ----------
    low, high : (n_coordinate,) arrays; infinite where no path was fitted
    """

    def __init__(self, spec: ModelSpec) -> None:
        n = len(spec.coordinates)
        column = {c.name: i for i, c in enumerate(spec.coordinates)}
        self.low, self.high = np.full(n, -np.inf), np.full(n, np.inf)
        for muscle in spec.muscles:
            if isinstance(muscle.path, FunctionPath):
                for name, (low, high) in zip(muscle.path.coordinates, muscle.path.valid):
                    k = column[name]
                    self.low[k] = max(self.low[k], low)
                    self.high[k] = min(self.high[k], high)

    def excess(self, coordinates: Array) -> Array:
        """Largest distance outside a range per environment, (n_env,) array, rad or m; 0 inside."""
        outside = np.maximum(self.low - coordinates, coordinates - self.high)
        return np.asarray(np.maximum(outside, 0.0).max(axis=1, initial=0.0))
