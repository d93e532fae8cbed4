"""Two stages in one run: learn to walk with little regard for effort, then economise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SHARE = 0.01
"""Share of an ended episode in the running mean of their lengths."""


class Effort:
    """Weight of effort: the first one until episodes last, then gradually the final one.

    Where episodes no longer last, it goes back: with effort at 30 from then on, walkers that had
    learned to start from standing forgot it within a million steps, and did not learn it again.

    Parameters
    ----------
    first : weight at the start
    final : weight at last; None for no change
    steps : of all environments together that the change takes
    goal : mean length of episodes from which on walking counts as learned, s
    """

    def __init__(self, first: float, final: float | None, steps: float, goal: float) -> None:
        self._first, self._final = first, first if final is None else final
        self._steps, self._goal = steps, goal
        self._length, self._progress = 0.0, 0.0

    @property
    def weight(self) -> float:
        """Weight now."""
        return self._first + self._progress * (self._final - self._first)

    @property
    def mean_length(self) -> float:
        """Running mean of the lengths of episodes, s."""
        return self._length

    def learn(self, lengths: Array) -> None:
        """Take the lengths of episodes that ended, (n,) array, s."""
        share = 1.0 - (1.0 - SHARE) ** lengths.size
        self._length += share * (float(lengths.mean()) - self._length)

    def advance(self, steps: int) -> None:
        """Go on by so many steps of all environments together."""
        forward = self._length >= self._goal
        change = steps / self._steps if forward else -steps / self._steps
        self._progress = min(max(self._progress + change, 0.0), 1.0)

    def snapshot(self) -> Array:
        """A copy of everything that `restore` needs."""
        return np.array([self._length, self._progress])

    def restore(self, held: npt.NDArray[np.generic]) -> None:
        """Go back to a snapshot."""
        self._length, self._progress = (float(x) for x in np.asarray(held, dtype=float))
