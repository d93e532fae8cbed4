"""Commanded speed and slope of every environment, as they change within an episode."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from osim_exo.learn.tasks.config import CommandPoint, Commands

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


class CommandSource:
    """Commands that move towards targets; targets are drawn, or follow a schedule.

    Parameters
    ----------
    settings : Commands
    n_env : int
    dt : control step, s

    Attributes
    ----------
    speed : (n_env,) array, m/s; commanded now
    slope_deg : (n_env,) array, degrees; of the ground now
    """

    def __init__(self, settings: Commands, n_env: int, dt: float) -> None:
        self._settings, self._dt = settings, dt
        self.speed, self.slope_deg = np.zeros(n_env), np.zeros(n_env)
        self._target_speed, self._target_slope = np.zeros(n_env), np.zeros(n_env)
        self._clock, self._next = np.zeros(n_env), np.full(n_env, np.inf)

    def draw(self, random: np.random.Generator, n: int) -> tuple[Array, Array]:
        """Speeds (m/s) and slopes (degrees) to begin episodes with, (n,) arrays."""
        first = self._settings.schedule[:1]
        if first:
            return np.full(n, first[0].speed), np.full(n, first[0].slope_deg)
        low, high = self._settings.speed
        flat, steep = self._settings.slope_deg
        return random.uniform(low, high, n), random.uniform(flat, steep, n)

    def begin(
        self,
        rows: Rows,
        speed: Array,
        slope_deg: Array,
        standing: npt.NDArray[np.bool_],
        random: np.random.Generator,
    ) -> None:
        """Begin episodes with these targets; the commands of standing ones rise from zero.

        Parameters
        ----------
        rows : environments
        speed, slope_deg : of `draw`
        standing : (n,) array of bool
        random : generator
        """
        self._target_speed[rows], self._target_slope[rows] = speed, slope_deg
        self.speed[rows] = np.where(standing, 0.0, speed)
        self.slope_deg[rows] = slope_deg
        self._clock[rows] = 0.0
        self._next[rows] = self._wait(random, rows.size)

    def advance(self, random: np.random.Generator) -> None:
        """Go on by a control step."""
        settings = self._settings
        self._clock += self._dt
        if settings.schedule:
            self._follow(settings.schedule)
        elif settings.change_every is not None:
            due = np.flatnonzero(self._clock >= self._next)
            if due.size:
                speed, slope = self.draw(random, due.size)
                stop = random.random(due.size) < settings.stop_share
                self._target_speed[due] = np.where(stop, 0.0, speed)
                self._target_slope[due] = slope
                self._next[due] = self._clock[due] + self._wait(random, due.size)
        faster = settings.acceleration * self._dt
        self.speed += np.clip(self._target_speed - self.speed, -faster, faster)
        steeper = settings.slope_rate * self._dt
        self.slope_deg += np.clip(self._target_slope - self.slope_deg, -steeper, steeper)

    def _wait(self, random: np.random.Generator, n: int) -> Array:
        """Times until the next commands, s."""
        if self._settings.change_every is None:
            return np.full(n, np.inf)
        return random.uniform(*self._settings.change_every, n)

    def _follow(self, schedule: tuple[CommandPoint, ...]) -> None:
        # A clock that has added many steps may miss a time by its rounding.
        times = np.array([point.time for point in schedule]) - 1e-9
        at = np.searchsorted(times, self._clock, side="right") - 1
        self._target_speed = np.array([point.speed for point in schedule])[at]
        self._target_slope = np.array([point.slope_deg for point in schedule])[at]

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """A copy of everything that `restore` needs."""
        return {name: getattr(self, attribute).copy() for name, attribute in HELD.items()}

    def restore(self, held: dict[str, npt.NDArray[np.generic]]) -> None:
        """Go back to a snapshot."""
        for name, attribute in HELD.items():
            setattr(self, attribute, np.array(held[name], dtype=float))


HELD = {
    "speed": "speed",
    "slope_deg": "slope_deg",
    "target_speed": "_target_speed",
    "target_slope": "_target_slope",
    "clock": "_clock",
    "next": "_next",
}
"""What a snapshot holds, by attribute."""
