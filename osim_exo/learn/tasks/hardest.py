"""Episodes drawn where walkers fall, so that rare failures become common experience.

A share of the episodes begins in one of a grid's cells of speed, slope and kind of start, drawn in
proportion to how often walkers lately fell there. The idea is prioritised replay of levels (Jiang,
Grefenstette, Rocktaeschel 2021, ICML), with falls in place of their learning potential.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from osim_exo.learn.tasks.config import Commands

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

CELLS, KINDS = 5, 2
"""Cells along a range of speed or slope, and kinds of start: within a stride, standing."""

SHARE = 0.02
"""Share of an ended episode in its cell's running share of falls."""


class Hardest:
    """Shares of falls by cell, and starts drawn by them.

    Parameters
    ----------
    commands : their ranges are divided into cells
    n_env : environments; each belongs to the cell that its episode began in
    share : of episodes that are drawn by falls
    standing_share : of the others that begin standing; where it is 0 or 1, all begin alike
    """

    def __init__(self, commands: Commands, n_env: int, share: float, standing_share: float) -> None:
        spans = [commands.speed, commands.slope_deg]
        for first in commands.schedule[:1]:
            spans = [(first.speed, first.speed), (first.slope_deg, first.slope_deg)]
        self._low, high = np.array(spans).T
        self._width = high - self._low
        self._share = share
        # A single speed or slope is one cell.
        self._counts = np.where(self._width > 0.0, CELLS, 1)
        self._fell = np.ones((*self._counts, KINDS))
        # A kind of start that never occurs must not be drawn either.
        self._fell[..., [standing_share == 1.0, standing_share == 0.0]] = 0.0
        self._cell = np.zeros(n_env, dtype=np.intp)

    @property
    def fall_shares(self) -> Array:
        """Running shares of falls by speed, slope and kind; 1 before anything is known.

        Always 0 for a kind of start that does not occur.
        """
        return self._fell.copy()

    def redraw(
        self, random: np.random.Generator, speed: Array, slope_deg: Array, standing: Mask
    ) -> tuple[Array, Array, Mask]:
        """Replace a share of drawn starts by such in cells where walkers fall.

        Parameters
        ----------
        random : generator
        speed, slope_deg : (n,) arrays, m/s and degrees
        standing : (n,) array
        """
        total = self._fell.sum()
        if not self._share or not total:
            return speed, slope_deg, standing
        n = speed.size
        chosen = random.random(n) < self._share
        cell = random.choice(self._fell.size, n, p=self._fell.ravel() / total)
        at_speed, at_slope, kind = np.unravel_index(cell, self._fell.shape)
        part = (np.stack([at_speed, at_slope], axis=1) + random.random((n, 2))) / self._counts
        drawn = self._low + part * self._width
        return (
            np.where(chosen, drawn[:, 0], speed),
            np.where(chosen, drawn[:, 1], slope_deg),
            np.where(chosen, kind == 1, standing),
        )

    def begin(self, rows: Rows, speed: Array, slope_deg: Array, standing: Mask) -> None:
        """Note in which cells episodes of environments begin; (n,) arrays."""
        width = np.where(self._width > 0.0, self._width, 1.0)
        part = (np.stack([speed, slope_deg], axis=1) - self._low) / width
        at = np.clip((part * self._counts).astype(int), 0, self._counts - 1)
        index = (at[:, 0], at[:, 1], standing.astype(int))
        self._cell[rows] = np.ravel_multi_index(index, self._fell.shape)

    def learn(self, rows: Rows, fell: Mask) -> None:
        """Take ended episodes of environments, and whether they ended by a fall; (n,) arrays."""
        counts = np.bincount(self._cell[rows], minlength=self._fell.size)
        falls = np.bincount(self._cell[rows], weights=fell, minlength=self._fell.size)
        kept = (1.0 - SHARE) ** counts
        mean = falls / np.maximum(counts, 1)
        self._fell = (kept * self._fell.ravel() + (1.0 - kept) * mean).reshape(self._fell.shape)

    def snapshot(self) -> dict[str, npt.NDArray[np.generic]]:
        """A copy of everything that `restore` needs."""
        return {"fell": self._fell.copy(), "cell": self._cell.copy()}

    def restore(self, held: dict[str, npt.NDArray[np.generic]]) -> None:
        """Go back to a snapshot."""
        self._fell = np.array(held["fell"], dtype=float)
        self._cell = np.array(held["cell"], dtype=np.intp)
