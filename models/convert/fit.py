"""Polynomial paths: length as few monomials of the joint coordinates, fitted and tested apart.

Length and moment arms are fitted together (van den Bogert et al. 2013): moment arms are the
derivatives of the one length polynomial, so the path can neither make nor lose energy. Terms are
taken one by one, each time the one that lowers the squared error most (orthogonal least squares,
Chen, Billings & Luo 1989), until the goal is met or a term gains nothing; 10 to 30 of the 35 to 200
terms of the full polynomial do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osim_exo.models import terms
from osim_exo.models.convert.sampling import Samples
from osim_exo.trial import Array

MAX_ORDER = {1: 8, 2: 8, 3: 6, 4: 5, 5: 4}
"""Largest sum of exponents by number of coordinates; 3 beyond."""

WORTH = 0.01
"""A further term must lower the remaining squared error by at least this share."""

SINGULAR = 1e-9
"""Share of a term's size that must be left beside the terms already taken."""


@dataclass(frozen=True)
class PathFit:
    """A muscle's fitted path and its errors on postures that the fit has not seen.

    Attributes
    ----------
    muscle, coordinates : names
    order : largest sum of exponents
    coefficients : (n_term,) m, dense, in OpenSim's MultivariatePolynomialFunction order
    n_terms : terms that are not zero
    length_rms, length_max : m
    arm_rms, arm_max : (n_coordinate,) m
    arm_peak : largest moment arm of the muscle, m
    own_disagreement : (n_coordinate,) m; how far the original path's moment arms are from its own
        length's slope, which no single polynomial can follow
    leap_share, leap_size : share of postures left out because the original path leaps on the way
        to them from the middle of the range, and the largest leap, m
    """

    muscle: str
    coordinates: tuple[str, ...]
    order: int
    coefficients: Array
    n_terms: int
    length_rms: float
    length_max: float
    arm_rms: Array
    arm_max: Array
    arm_peak: float
    own_disagreement: Array
    leap_share: float = 0.0
    leap_size: float = 0.0

    def exceeds(self, limit: float) -> bool:
        """Whether length or a moment arm misses by more than `limit` (m) RMS.

        What the original path disagrees with itself is not held against the fit.
        """
        allowed = limit + self.own_disagreement
        return bool(self.length_rms > allowed.max() or (self.arm_rms > allowed).any())


def exponents(dimension: int, order: int) -> Array:
    """Exponents of every term, (n_term, dimension), in OpenSim's order."""
    return np.array(terms.exponents(dimension, order))


def design(q: Array, terms: Array, derivative: int | None = None) -> Array:
    """Terms, or their derivatives by one coordinate, at postures `q`: (n_state, n_term)."""
    made = np.ones((len(q), len(terms)))
    for k in range(q.shape[1]):
        powers = np.vander(q[:, k], int(terms.max()) + 1, increasing=True)
        if k == derivative:
            made *= terms[:, k] * powers[:, np.maximum(terms[:, k] - 1, 0)]
        else:
            made *= powers[:, terms[:, k]]
    return made


def _system(q: Array, length: Array, arms: Array, terms: Array) -> tuple[Array, Array]:
    rows = [design(q, terms)] + [-design(q, terms, k) for k in range(q.shape[1])]
    return np.concatenate(rows), np.concatenate([length, *arms.T])


def choose(matrix: Array, target: Array, squared_goal: float) -> Array:
    """Columns that together explain `target`, best first, by orthogonal least squares.

    Parameters
    ----------
    matrix : (n_row, n_term) with columns of unit size; the first is always taken
    target : (n_row,)
    squared_goal : sum of squared errors at which to stop
    """
    gram, side = matrix.T @ matrix, matrix.T @ target
    left = float(target @ target)
    taken: list[int] = []
    free = np.ones(len(side), dtype=bool)
    best = 0
    while True:
        pivot, column = gram[best, best], gram[:, best].copy()
        left -= side[best] ** 2 / pivot
        side = side - column * side[best] / pivot
        gram = gram - np.outer(column, column) / pivot
        taken.append(best)
        free[best] = False
        usable = free & (np.diag(gram) > SINGULAR)
        if left <= squared_goal or not usable.any():
            return np.array(taken)
        gains = np.where(usable, side**2 / np.where(usable, np.diag(gram), 1.0), 0.0)
        best = int(gains.argmax())
        if gains[best] < WORTH * left:
            return np.array(taken)


def fit_path(
    muscle: str,
    coordinates: tuple[str, ...],
    train: Samples,
    unseen: Samples,
    disagreement: Array,
    goal: float,
    leap_share: float = 0.0,
    leap_size: float = 0.0,
) -> PathFit:
    """Fit one muscle and measure its errors on unseen postures.

    Parameters
    ----------
    muscle : name in the samples
    coordinates : those that its length depends on
    train, unseen : postures of the fit and of the test
    disagreement : (n_coordinate, n_muscle) of `Postures.disagreement`
    goal : RMS error to aim at, m, over length and moment arms together
    leap_share, leap_size : passed on to the result
    """
    which = [train.coordinates.index(c) for c in coordinates]
    m = train.muscles.index(muscle)
    q = train.q[:, which]
    full = exponents(len(coordinates), MAX_ORDER.get(len(coordinates), 3))
    matrix, target = _system(q, train.length[:, m], train.arms[:, which, m], full)
    scale = np.linalg.norm(matrix, axis=0)
    matrix /= scale
    taken = choose(matrix, target, goal**2 * len(target))
    solved = np.linalg.lstsq(matrix[:, taken], target, rcond=None)[0] / scale[taken]
    order = max(1, int(full[taken].sum(axis=1).max()))
    dense = exponents(len(coordinates), order)
    place = {tuple(t): k for k, t in enumerate(dense)}
    coefficients = np.zeros(len(dense))
    for k, c in zip(taken, solved):
        coefficients[place[tuple(full[k])]] = c
    q = unseen.q[:, which]
    length_error = design(q, dense) @ coefficients - unseen.length[:, m]
    arms = np.stack([-design(q, dense, k) @ coefficients for k in range(len(which))], axis=1)
    arm_error = arms - unseen.arms[:, which, m]
    return PathFit(
        muscle=muscle,
        coordinates=coordinates,
        order=order,
        coefficients=coefficients,
        n_terms=len(taken),
        length_rms=float(np.sqrt(np.mean(length_error**2))),
        length_max=float(np.abs(length_error).max()),
        arm_rms=np.sqrt(np.mean(arm_error**2, axis=0)),
        arm_max=np.abs(arm_error).max(axis=0),
        arm_peak=float(np.abs(unseen.arms[:, which, m]).max()),
        own_disagreement=disagreement[which, m],
        leap_share=leap_share,
        leap_size=leap_size,
    )


def predicted_length(fit: PathFit, q: Array) -> Array:
    """Length of a fitted path at postures `q` (n_state, n_coordinate): (n_state,) m."""
    return design(q, exponents(len(fit.coordinates), fit.order)) @ fit.coefficients
