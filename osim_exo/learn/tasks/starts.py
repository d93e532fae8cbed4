"""Where episodes begin: within a stride of the solved gaits, or standing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.learn.tasks.config import STEEPEST, Starts
from osim_exo.learn.tasks.strides import FORWARD, Strides
from osim_exo.physics.base import Physics, StartState
from osim_exo.units import DEG

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

HEIGHT = "pelvis_ty"
TILT = "pelvis_tilt"
ANKLE = "ankle_angle"

SPLIT = {"hip_flexion_r": 1.0, "ankle_angle_r": -1.0, "hip_flexion_l": -1.0, "ankle_angle_l": 1.0}
"""Directions of standing with the right foot in front: the ankles keep the feet flat."""

SLOPES = np.linspace(-STEEPEST, STEEPEST, 5)
"""Degrees; between them the height of the pelvis in standing is interpolated."""

UNMOVED = (FORWARD, HEIGHT)
"""Coordinates without noise: where the walker is, and how high over the ground."""


@dataclass(frozen=True)
class Begun:
    """How episodes began; (n,) arrays.

    Attributes
    ----------
    standing : whether they began standing
    phase : of the stride, share
    forward : speed of the pelvis, m/s
    """

    standing: Mask
    phase: Array
    forward: Array


class StartSource:
    """Puts environments to starts.

    Parameters
    ----------
    settings : Starts
    physics : Physics
    strides : to begin within; None if every episode begins standing
    """

    def __init__(self, settings: Starts, physics: Physics, strides: Strides | None) -> None:
        self._settings, self._physics, self._strides = settings, physics, strides
        names = physics.names.coordinates
        self._noise = np.array([0.0 if n in UNMOVED else 1.0 for n in names])
        self._forward = names.index(FORWARD)
        self._standing_heights: Array | None = None
        self._upright = np.array(
            [-1.0 if n == TILT else 1.0 if n.startswith(ANKLE) else 0.0 for n in names]
        )

        self._split = np.array([SPLIT.get(n, 0.0) for n in names])

    def draw_standing(self, random: np.random.Generator, n: int) -> Mask:
        """Which of n episodes begin standing, (n,) array."""
        if self._strides is None:
            return np.ones(n, dtype=bool)
        return np.asarray(random.random(n) < self._settings.standing_share)

    def place(
        self,
        rows: Rows,
        standing: Mask,
        speed: Array,
        slope_deg: Array,
        random: np.random.Generator,
        phase: Array | None = None,
    ) -> Begun:
        """Put environments to their starts.

        Who stands, stands upright whatever the slope, with flat feet, one in front of the other, at
        a height at which they bear the weight.

        Parameters
        ----------
        rows : environments
        standing : (n,) array of `draw_standing`
        speed, slope_deg : (n,) arrays, m/s and degrees; of the strides
        random : draws phases and noise
        phase : (n,) array, of the strides; drawn if not given
        """
        n, names = rows.size, self._physics.names
        drawn = random.random(n) if phase is None else phase
        coordinates = self._settings.angle_noise * random.standard_normal((n, self._noise.size))
        speeds = self._settings.speed_noise * random.standard_normal((n, self._noise.size))
        coordinates *= self._noise
        height = names.coordinates.index(HEIGHT)
        if standing.any():
            front = random.choice((-0.5, 0.5), n) * self._settings.standing_split
            posture = np.outer(slope_deg * DEG, self._upright) + np.outer(front, self._split)
            coordinates += standing[:, None] * posture
            coordinates[:, height] = np.interp(slope_deg, SLOPES, self._heights())
        activations = np.full((n, len(names.muscles)), np.nan)
        if self._strides is not None and not standing.all():
            moving = self._strides.at(drawn, speed, slope_deg)
            walks = ~standing[:, None]
            coordinates[:, height] *= standing
            coordinates += walks * moving.coordinates
            speeds += walks * moving.speeds
            activations = np.where(walks, moving.activations, np.nan)
        self._reset(
            rows[~standing], coordinates[~standing], speeds[~standing], activations[~standing]
        )
        self._reset(rows[standing], coordinates[standing], speeds[standing], None)
        return Begun(standing, np.where(standing, 0.0, drawn), speeds[:, self._forward])

    def _heights(self) -> Array:
        """Heights of the pelvis in standing upright on `SLOPES`, m; found once, by the physics."""
        if self._standing_heights is None:
            physics, names = self._physics, self._physics.names.coordinates
            before, first = physics.snapshot(), np.array([0])
            found = []
            for slope in SLOPES:
                split = 0.5 * self._settings.standing_split * self._split
                posture = dict(zip(names, slope * DEG * self._upright + split))
                del posture[HEIGHT]
                physics.reset(StartState(posture), first)
                found.append(float(physics.coordinates[0, names.index(HEIGHT)]))
            physics.restore(before)
            self._standing_heights = np.array(found)
        return self._standing_heights

    def _reset(self, rows: Rows, coordinates: Array, speeds: Array, active: Array | None) -> None:
        """Put environments to states; standing ones keep the physics' own activations."""
        if not rows.size:
            return
        names = self._physics.names
        held = {} if active is None else dict(zip(names.muscles, active.T))
        start = StartState(
            dict(zip(names.coordinates, coordinates.T)),
            dict(zip(names.coordinates, speeds.T)),
            held,
        )
        self._physics.reset(start, rows)
