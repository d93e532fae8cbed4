"""Strides by phase, speed and slope: where episodes start and what is imitated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.baseline.library import SLOPES_DEG, SPEEDS, gait_folder
from osim_exo.baseline.solution import Solution, stride_from
from osim_exo.baseline.storage import load_solution
from osim_exo.errors import DataError
from osim_exo.physics.base import PhysicsNames

Array = npt.NDArray[np.float64]

SAMPLES = 101
"""Samples of a stride, 0 and 100 % included."""

FORWARD = "pelvis_tx"


@dataclass(frozen=True)
class Posture:
    """States of n walkers, by the columns of a physics.

    Attributes
    ----------
    coordinates, speeds : (n, n_coordinate) arrays, rad or m, rad/s or m/s; x starts at 0
    activations : (n, n_muscle) array
    """

    coordinates: Array
    speeds: Array
    activations: Array


class Strides:
    """A family of periodic strides; between its members everything is linear.

    Beyond the slowest, fastest, flattest or steepest member the nearest one is taken.

    Parameters
    ----------
    speeds : (n_speed,) m/s, increasing
    slopes_deg : (n_slope,) degrees, increasing
    coordinates, rates : (n_speed, n_slope, `SAMPLES`, n_coordinate) arrays
    activations : (n_speed, n_slope, `SAMPLES`, n_muscle) array
    periods : (n_speed, n_slope) array, s; of a stride
    notes : what was done to a recording
    """

    def __init__(
        self,
        speeds: Sequence[float],
        slopes_deg: Sequence[float],
        coordinates: Array,
        rates: Array,
        activations: Array,
        periods: Array,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.speeds, self.slopes_deg = np.asarray(speeds, float), np.asarray(slopes_deg, float)
        self._split = (coordinates.shape[-1], coordinates.shape[-1] + rates.shape[-1])
        self._states = np.concatenate([coordinates, rates, activations], axis=-1)
        self._periods, self.notes = periods, notes

    def at(self, phase: Array, speed: Array, slope_deg: Array) -> Posture:
        """States at phases (shares of a stride, any number) of speeds and slopes, (n,) arrays."""
        share = np.mod(phase, 1.0) * (SAMPLES - 1)
        first = np.minimum(share.astype(np.intp), SAMPLES - 2)
        along = (share - first)[:, None]
        total = np.zeros((phase.size, self._states.shape[-1]))
        for i, j, weight in self._corners(speed, slope_deg):
            before, after = self._states[i, j, first], self._states[i, j, first + 1]
            total += weight[:, None] * (before + along * (after - before))
        coordinates, rates, activations = np.split(total, self._split, axis=1)
        return Posture(coordinates, rates, activations)

    def stride(self, speed: float, slope_deg: float) -> Array:
        """Coordinates over a stride, (`SAMPLES`, n_coordinate) array, rad or m."""
        ones = np.ones(SAMPLES)
        phase = np.linspace(0.0, 1.0, SAMPLES)
        return self.at(phase, speed * ones, slope_deg * ones).coordinates

    def period(self, speed: Array, slope_deg: Array) -> Array:
        """Time of a stride, (n,) array, s."""
        return np.asarray(
            sum(w * self._periods[i, j] for i, j, w in self._corners(speed, slope_deg))
        )

    def _corners(self, speed: Array, slope_deg: Array) -> list[tuple[Array, Array, Array]]:
        """Members around each point, and their weights."""
        i, along = _between(self.speeds, speed)
        j, across = _between(self.slopes_deg, slope_deg)
        up, right = np.minimum(i + 1, self.speeds.size - 1), np.minimum(j + 1, self._width)
        return [
            (i, j, (1.0 - along) * (1.0 - across)),
            (up, j, along * (1.0 - across)),
            (i, right, (1.0 - along) * across),
            (up, right, along * across),
        ]

    @property
    def _width(self) -> int:
        return self.slopes_deg.size - 1


def _between(grid: Array, values: Array) -> tuple[npt.NDArray[np.intp], Array]:
    """Index of the grid point before each value, and the share of the way to the next."""
    if grid.size == 1:
        return np.zeros(values.shape, dtype=np.intp), np.zeros(values.shape)
    bounded = np.clip(values, grid[0], grid[-1])
    i = np.clip(np.searchsorted(grid, bounded, side="right") - 1, 0, grid.size - 2)
    return i, (bounded - grid[i]) / (grid[i + 1] - grid[i])


def shipped_strides(model: str, columns: PhysicsNames) -> Strides:
    """Strides of the solved gaits of a shipped model.

    Phase 0 is where the first harmonic of right minus left hip flexion peaks, shortly before the
    right heel strikes: that instant is clear in every gait.

    Raises
    ------
    DataError
        The library lacks gaits of that model.
    ModelError
        The gaits lack a coordinate or muscle of the physics.
    """
    rows = [[_load(model, v, s) for s in SLOPES_DEG] for v in SPEEDS]
    found = [[_sampled(solution, columns) for solution in row] for row in rows]

    def stacked(part: int) -> Array:
        return np.array([[entry[part] for entry in row] for row in found])

    periods = np.array([[solution.stride_time for solution in row] for row in rows])
    return Strides(SPEEDS, SLOPES_DEG, stacked(0), stacked(1), stacked(2), periods)


def _load(model: str, speed: float, slope_deg: float) -> Solution:
    stem = gait_folder(model, speed, slope_deg) / "solution"
    if not stem.with_suffix(".npz").is_file():
        raise DataError(
            f"The library has no solved gait of '{model}' at {speed:g} m/s and {slope_deg:g} "
            "degrees to start from. Solve it with: osim-exo baseline library; or start standing "
            "(starts.standing_share = 1)."
        )
    return load_solution(stem)


def _sampled(solution: Solution, columns: PhysicsNames) -> tuple[Array, Array, Array]:
    """Coordinates, speeds and activations of a solution's stride, `SAMPLES` rows each."""
    stride = solution.stride()
    named = {tuple(path.split("/")[-2:]): values for path, values in stride.states.items()}
    spread = (named["hip_flexion_r", "value"] - named["hip_flexion_l", "value"])[:-1]
    wave = np.exp(2j * np.pi * np.arange(spread.size) / spread.size)
    turn = np.mod(np.angle(np.sum(spread * wave)) / (2.0 * np.pi), 1.0)
    peak = min(float(turn), 1.0 - 1e-9) * solution.stride_time
    motion = stride_from(stride, peak, SAMPLES)
    named = {tuple(path.split("/")[-2:]): values for path, values in motion.states.items()}

    def table(wanted: Sequence[str], kind: str) -> Array:
        missing = [name for name in wanted if (name, kind) not in named]
        if missing:
            raise DataError(
                f"The solved gaits have no {kind} of {', '.join(missing)}; they cannot start or "
                "guide this model. Start standing (starts.standing_share = 1), or solve its gaits."
            )
        return np.stack([named[name, kind] for name in wanted], axis=1)

    coordinates = table(columns.coordinates, "value")
    coordinates[:, columns.coordinates.index(FORWARD)] = 0.0
    activations = np.clip(table(columns.muscles, "activation"), 0.0, 1.0)
    return coordinates, table(columns.coordinates, "speed"), activations
