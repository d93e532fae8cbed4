"""What can go wrong in a compiled physics, seen from its coordinates: typed reasons, not NaN."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.spec import (
    Function,
    FunctionPath,
    Joint,
    Linear,
    ModelSpec,
    Multiplier,
)
from osim_exo.physics.base import Array, FallLimits, Mask, Physics, PhysicsState, fallen

SINGULAR_ANGLE = math.radians(5.0)
"""Three rotations in a row count as singular when the outer axes are this close to parallel."""

SUSPECT_ANGLE = math.radians(20.0)
"""Whoever runs away from this close to a singular orientation did so because of it."""

FASTEST = 1e3
"""rad/s or m/s; no walker moves so fast, and what follows are numbers without meaning."""


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
    state: Array, speeds: slice, controls: Array, near: Mask | None, suspects: Mask | None
) -> npt.NDArray[np.int8]:
    """Why environments cannot go on after a step, (n_env,) array of `EndReason`.

    Parameters
    ----------
    state : (n_env, n_state) array
    speeds : columns of the speeds
    controls : (n_env, n_control) array
    near, suspects : (n_env,) arrays; near a singular orientation now, and rather near before;
        None where the model has none
    """
    reasons = np.zeros(len(state), dtype=np.int8)
    reasons[(np.abs(state[:, speeds]) > FASTEST).any(axis=1)] = EndReason.TOO_FAST
    reasons[~np.isfinite(state).all(axis=1)] = EndReason.NOT_FINITE
    if near is not None and suspects is not None:
        lost = (reasons != EndReason.NONE) & suspects
        reasons[near | lost] = EndReason.SINGULAR_ORIENTATION
    reasons[~np.isfinite(controls).all(axis=1)] = EndReason.CONTROLS_NOT_FINITE
    return reasons


class Orientations:
    """Finds joints of three rotations near their singular orientation.

    Joints whose middle rotation is no straight function of one coordinate are not looked at;
    their singularity shows as numbers that are not finite.

    Parameters
    ----------
    spec : the model
    """

    def __init__(self, spec: ModelSpec) -> None:
        column = {c.name: i for i, c in enumerate(spec.coordinates)}
        found = [row for joint in spec.joints if (row := _middle(joint)) is not None]
        self.names = tuple(name for name, *_ in found)
        self._columns = np.array([column[name] for name in self.names], dtype=np.intp)
        self._slopes = np.array([row[1] for row in found])
        self._starts = np.array([row[2] for row in found])
        axes = np.array([row[3] for row in found]).reshape(-1, 3, 3)
        first, middle, last = axes[:, 0], axes[:, 1], axes[:, 2]
        # The triple product of the axes is a constant and a wave of the middle angle.
        along = np.einsum("ij,ij->i", middle, last)[:, None] * middle
        self._cosine = np.einsum("ij,ij->i", first, np.cross(middle, last - along))
        self._sine = np.einsum("ij,ij->i", first, np.cross(middle, np.cross(middle, last)))

    def near(self, coordinates: Array, angle: float = SINGULAR_ANGLE) -> Mask:
        """Environments near a singular orientation, (n_env,) array of bool.

        Parameters
        ----------
        coordinates : (n_env, n_coordinate) array
        angle : what counts as near, rad
        """
        angles = self._slopes * coordinates[:, self._columns] + self._starts
        volume = self._cosine * np.cos(angles) + self._sine * np.sin(angles)
        return np.asarray((np.abs(volume) < math.sin(angle)).any(axis=1))


Middle = tuple[str, float, float, tuple[tuple[float, float, float], ...]]


def _middle(joint: Joint) -> Middle | None:
    """Coordinate, slope and start of the middle angle of three rotations, and their axes."""
    unit = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    if joint.kind in ("ball", "free"):
        return joint.coordinates[1].name, 1.0, 0.0, unit
    turns = joint.axes[:3]
    driving = [turn.coordinates for turn in turns if turn.function is not None]
    if joint.kind != "custom" or len({c for names in driving for c in names}) < 3:
        return None
    straight = _straight(turns[1].function)
    if straight is None or len(turns[1].coordinates) != 1:
        return None
    lengths = [math.hypot(*turn.axis) for turn in turns]
    axes = tuple(
        (turn.axis[0] / n, turn.axis[1] / n, turn.axis[2] / n) for turn, n in zip(turns, lengths)
    )
    return turns[1].coordinates[0], *straight, axes


def _straight(function: Function | None) -> tuple[float, float] | None:
    """Slope and start of a straight function of one variable; None for any other."""
    if isinstance(function, Linear) and len(function.slopes) == 1:
        return function.slopes[0], function.intercept
    if isinstance(function, Multiplier):
        inner = _straight(function.function)
        return None if inner is None else (function.scale * inner[0], function.scale * inner[1])
    return None


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
