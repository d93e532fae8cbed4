"""Postures where a source path leaps: it slips off a wrap object and its length jumps.

No smooth path can follow a leap of several mm. Such postures are found one muscle at a time, each
leap is proved by closing in on it, and the polynomial continues the branch of the middle posture.
What is left out is counted and told.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from osim_exo.models.convert.fit import PathFit, fit_path, predicted_length
from osim_exo.models.convert.sampling import Postures, Samples
from osim_exo.trial import Array

LEAP = 1e-3
"""m; a jump of a path's length at one posture that counts as a leap."""

MOST = 0.2
"""Share of postures that may lie beyond leaps; with more, both branches are the muscle's own."""

_PIECES, _HALVINGS, _ROUNDS, _BATCH = 12, 12, 5, 50

_SHARE = 0.25
"""A posture whose length the fit misses by less than this share of the leap on the way to it is on
the same branch again: the way led across a glitch."""


def jump(
    postures: Postures, fit: PathFit, start: Mapping[str, float], end: Mapping[str, float]
) -> float:
    """Size of the largest jump of a muscle's length on the straight way between two postures, m.

    The way is cut into pieces; the piece where the length departs most from a preliminary fit is
    halved until a continuous path could not change any more.
    """
    names = fit.coordinates
    first, last = (np.array([p[n] for n in names]) for p in (start, end))

    def departure(share: float) -> float:
        q = first + share * (last - first)
        postures.set(dict(zip(names, q)))
        return postures.length(fit.muscle) - float(predicted_length(fit, q[None])[0])

    shares = np.linspace(0.0, 1.0, _PIECES + 1)
    values = [departure(s) for s in shares]
    k = int(np.argmax(np.abs(np.diff(values))))
    (low, high), (at_low, at_high) = shares[k : k + 2], values[k : k + 2]
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        at_middle = departure(middle)
        if abs(at_middle - at_low) > abs(at_high - at_middle):
            high, at_high = middle, at_middle
        else:
            low, at_low = middle, at_middle
    return abs(at_high - at_low)


def beyond(
    postures: Postures,
    fit: PathFit,
    samples: Samples,
    middle: Mapping[str, float],
    known: dict[int, float],
) -> NDArray[np.bool_]:
    """Which postures lie beyond a leap as seen from the middle one, (n_state,) bool.

    Only postures whose length the fit misses by a leap's size are examined, worst first, until a
    whole batch shows no leap: a fit can also miss where the path is continuous.

    Parameters
    ----------
    known : jumps found before by posture; added to
    """
    which = [samples.coordinates.index(c) for c in fit.coordinates]
    q = samples.q[:, which]
    missed = predicted_length(fit, q) - samples.length[:, samples.muscles.index(fit.muscle)]
    suspects = np.argsort(-np.abs(missed))[: int((np.abs(missed) > LEAP).sum())]
    found = np.zeros(len(q), dtype=bool)
    for first in range(0, min(len(suspects), int(2 * MOST * len(q))), _BATCH):
        batch = [int(i) for i in suspects[first : first + _BATCH]]
        for i in batch:
            if i not in known:
                known[i] = jump(postures, fit, middle, dict(zip(fit.coordinates, q[i])))
        if all(known[i] <= LEAP for i in batch):
            break
    for posture, size in known.items():
        found[posture] = size > LEAP and abs(missed[posture]) > _SHARE * size
    return found


def fit_smooth(
    postures: Postures,
    muscle: str,
    coordinates: tuple[str, ...],
    train: Samples,
    unseen: Samples,
    disagreement: Array,
    ranges: Mapping[str, tuple[float, float]],
    goal: float,
) -> PathFit:
    """Fit a muscle's path on the branch of the middle posture; see `fit_path`."""
    middle = {c: 0.5 * sum(ranges[c]) for c in coordinates}
    kept = np.ones(len(train.q), dtype=bool)
    known: dict[int, float] = {}
    fit = fit_path(muscle, coordinates, train, unseen, disagreement, goal)
    for _ in range(_ROUNDS):
        left_out = beyond(postures, fit, train, middle, known)
        if left_out.mean() > MOST or (left_out == ~kept).all():
            break
        kept = ~left_out
        fit = fit_path(muscle, coordinates, train.at(kept), unseen, disagreement, goal)
    if kept.all():
        return fit
    known_unseen: dict[int, float] = {}
    outside = beyond(postures, fit, unseen, middle, known_unseen)
    share = (float((~kept).sum()) + float(outside.sum())) / (len(kept) + len(outside))
    return fit_path(
        muscle,
        coordinates,
        train.at(kept),
        unseen.at(~outside),
        disagreement,
        goal,
        leap_share=share,
        leap_size=max(known.values()),
    )
