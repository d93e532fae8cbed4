"""One number that tells whether an environment needs a look after a step.

Looking at every number of every environment costs a part of a step. The step itself does it, in
passing, and only when it raises an alarm is the reason looked for (`physics.compiled.guard`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.equations.layout import Layout
from osim_exo.compiler.spec import Function, Joint, Linear, ModelSpec, Multiplier
from osim_exo.compiler.symbols.expression import (
    Expr,
    Exprs,
    absolute,
    both,
    cos,
    less,
    less_equal,
    select,
    sin,
)

Array = npt.NDArray[np.float64]

SINGULAR_ANGLE = math.radians(5.0)
"""Three rotations in a row count as singular when the outer axes are this close to parallel."""

FASTEST = 1e3
"""rad/s or m/s; no walker moves so fast, and what follows are numbers without meaning."""

HUGE = 1e30
"""No sum of states and controls is so large; one that is not finite is not smaller."""


def alarm(layout: Layout, orientations: Orientations, state: Exprs, controls: Exprs) -> Expr:
    """1 where a state or control is not finite, a speed absurd or an orientation singular, else 0.

    Parameters
    ----------
    layout : columns of the state
    orientations : of the model
    state, controls : of one environment
    """
    fine = less(absolute(sum([*state, *controls], 0.0)), HUGE)
    for speed in state[layout["speeds"]]:
        fine = both(fine, less_equal(absolute(speed), FASTEST))
    for volume in orientations.volumes(state[layout["coordinates"]]):
        fine = both(fine, less_equal(math.sin(SINGULAR_ANGLE), absolute(volume)))
    return select(fine, 0.0, 1.0)


class Orientations:
    """Finds joints of three rotations near their singular orientation.

    Joints whose middle rotation is no straight function of one coordinate are not looked at;
    their singularity shows as numbers that are not finite.

    Parameters
    ----------
    spec : the model

    Attributes
    ----------
    names : coordinates of the middle rotations
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

    def volumes(self, coordinates: Exprs) -> list[Expr]:
        """Triple products of the axes of each joint, as expressions; 0 is singular.

        Parameters
        ----------
        coordinates : (n_coordinate,) of one environment
        """
        angles = self._slopes * coordinates[self._columns] + self._starts
        rows = zip(self._cosine.tolist(), self._sine.tolist(), angles)
        return [c * cos(angle) + s * sin(angle) for c, s, angle in rows]

    def near(self, coordinates: Array, angle: float = SINGULAR_ANGLE) -> npt.NDArray[np.bool_]:
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
