"""Paired statistics over independent units: effect sizes, intervals, permutation tests.

Units are virtual subjects or training seeds, never strides or samples of one walk. With one unit
there is nothing to infer: intervals, effect sizes and p-values are None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from osim_exo.errors import DataError, MissingExtraError
from osim_exo.trial import Array

EXACT_UNITS = 12
"""Up to this many units all 2^n sign flips are tried; beyond, `SAMPLED_FLIPS` random ones."""

SAMPLED_FLIPS = 10_000
"""Number of random sign flips where not all are tried."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class PairedResult:
    """Paired comparison of one number over independent units.

    Attributes
    ----------
    n : number of pairs
    mean_change : mean of the differences
    ci_low, ci_high : 95 % t interval of the mean difference
    cohen_dz : mean difference over the standard deviation of the differences
    hedges_g : mean difference over the pooled standard deviation, small-sample corrected
    p_value : two-sided sign-flip permutation test
    p_smallest : smallest p-value that this number of units can give
    """

    n: int
    mean_change: float
    ci_low: float | None
    ci_high: float | None
    cohen_dz: float | None
    hedges_g: float | None
    p_value: float | None
    p_smallest: float | None


@dataclass(frozen=True)
class Cluster:
    """A stretch of the gait cycle over which two conditions differ.

    Attributes
    ----------
    start_percent, end_percent : %; end before start where it runs over heel strike
    mass : sum of absolute t values
    sign : 1 where the second condition is larger, -1 where it is smaller
    p_value : corrected over the cycle: against the largest cluster of every permutation, or by
        random field theory
    """

    start_percent: float
    end_percent: float
    mass: float
    sign: int
    p_value: float


@dataclass(frozen=True)
class CurveResult:
    """Test of paired curves over the gait cycle.

    Attributes
    ----------
    n : number of pairs
    t : (n_point,) paired t values; None with one unit
    threshold : t value above which points form clusters
    clusters : largest first
    p_value : smallest of the clusters'; 1 without clusters, None with one unit
    p_smallest : smallest p-value that this number of units can give
    """

    n: int
    t: Array | None
    threshold: float | None
    clusters: tuple[Cluster, ...]
    p_value: float | None
    p_smallest: float | None


def mean_interval(values: Array, confidence: float = 0.95) -> tuple[float | None, float | None]:
    """Student t interval of the mean; None, None for fewer than two values."""
    values = np.asarray(values, dtype=float)
    if values.size < 2:
        return None, None
    half = _t_quantile(0.5 + confidence / 2, values.size - 1)
    half *= float(values.std(ddof=1)) / math.sqrt(values.size)
    mean = float(values.mean())
    return mean - half, mean + half


def bootstrap_interval(
    values: Array, seed: int, confidence: float = 0.95, resamples: int = 10_000
) -> tuple[float | None, float | None]:
    """Percentile bootstrap interval of the mean (Efron 1979); None, None for fewer than two."""
    values = np.asarray(values, dtype=float)
    if values.size < 2:
        return None, None
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, values.size, (resamples, values.size))].mean(axis=1)
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def paired(before: Array, after: Array, seed: int = 0) -> PairedResult:
    """Compare two conditions over the same units.

    Parameters
    ----------
    before, after : (n_unit,) arrays in the same order of units; differences below a billionth of
        their largest value count as none
    seed : of the sampled sign flips

    Raises
    ------
    DataError
        The arrays differ in length, are empty or hold NaN.
    """
    before, after = _checked(before), _checked(after)
    if before.shape != after.shape or before.ndim != 1:
        raise DataError(
            f"Arrays of shapes {before.shape} and {after.shape} were given; allowed are two of "
            "the same length, one number per unit."
        )
    change = np.where(np.abs(after - before) <= rounding(before, after), 0.0, after - before)
    low, high = mean_interval(change)
    p = sign_flip_p(change, seed)
    return PairedResult(
        n=change.size,
        mean_change=float(change.mean()),
        ci_low=low,
        ci_high=high,
        cohen_dz=cohen_dz(change),
        hedges_g=hedges_g(before, after),
        p_value=p,
        p_smallest=None if p is None else smallest_p(change.size),
    )


def cohen_dz(change: Array) -> float | None:
    """Mean over standard deviation of paired differences (Cohen 1988); None if not defined."""
    if change.size < 2 or _constant(change):
        return None
    return float(change.mean() / change.std(ddof=1))


def hedges_g(before: Array, after: Array) -> float | None:
    """Hedges' g of paired data with the average variance (Lakens 2013, g_av); None if not defined.

    The correction for small samples is the exact one of Hedges 1981 with n - 1 degrees of freedom.
    """
    n = before.size
    if n < 2 or (_constant(before) and _constant(after)):
        return None
    pooled = math.sqrt((before.var(ddof=1) + after.var(ddof=1)) / 2)
    free = n - 1
    if free == 1:
        return None
    correction = math.exp(math.lgamma(free / 2) - math.lgamma((free - 1) / 2)) / math.sqrt(free / 2)
    return float(correction * (after.mean() - before.mean()) / pooled)


def sign_flip_p(change: Array, seed: int = 0) -> float | None:
    """Two-sided sign-flip permutation p-value of a mean difference; None for fewer than two.

    Exact over all 2^n flips up to `EXACT_UNITS` units; sampled beyond, with the observed data
    counted among the samples (Phipson & Smyth 2010).
    """
    change = _checked(change)
    if change.size < 2:
        return None
    flips, exact = _flips(change.size, seed)
    means = np.abs(flips @ change)
    extreme = int(np.sum(means >= abs(change.sum()) * (1 - _ROUNDING)))
    return _share(extreme, flips.shape[0], exact)


def _share(extreme: int, flips: int, exact: bool) -> float:
    return extreme / flips if exact else (extreme + 1) / (flips + 1)


def smallest_p(n: int) -> float:
    """Smallest two-sided p-value that `n` units can give: 2 / 2^n, or 1 over the samples."""
    return 2.0 / 2**n if n <= EXACT_UNITS else 1.0 / (SAMPLED_FLIPS + 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm 1979's step-down correction; None stays None and does not count."""
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[i] = largest
    return corrected


def cluster_test(
    before: Array, after: Array, seed: int = 0, alpha: float = 0.05, periodic: bool = True
) -> CurveResult:
    """Cluster-mass permutation test of paired curves (Maris & Oostenveld 2007).

    Neighbouring points whose paired t exceeds the two-sided critical value at `alpha` form a
    cluster; its mass is compared with the largest mass under every sign flip of whole curves.

    Parameters
    ----------
    before, after : (n_unit, n_point) arrays, same units in the same order, 0 to 100 % of the cycle;
        differences below a billionth of their largest value count as rounding
    seed : of the sampled sign flips
    alpha : two-sided level of the point-wise threshold
    periodic : 0 and 100 % are the same point and clusters may run over it

    Raises
    ------
    DataError
        The arrays differ in shape or hold NaN.
    """
    before, after = checked_curves(before, after)
    change = after - before
    n, points = change.shape
    if n < 2:
        return CurveResult(n, None, None, (), None, None)
    floor = rounding(before, after)
    t = _t_values(change, np.ones((1, n)), floor)[0]
    threshold = _t_quantile(1 - alpha / 2, n - 1)
    wrap = points - 1 if periodic else None
    found = _clusters(t, threshold, wrap)
    flips, exact = _flips(n, seed)
    largest = _largest_masses(_t_values(change, flips, floor), threshold, wrap)
    scale = 100.0 / (points - 1)
    clusters = []
    for first, last, mass, sign in sorted(found, key=lambda c: -c[2]):
        extreme = int(np.sum(largest >= mass * (1 - _ROUNDING)))
        p = _share(extreme, len(flips), exact)
        clusters.append(Cluster(scale * first, scale * last, mass, sign, p))
    p_value = clusters[0].p_value if clusters else 1.0
    return CurveResult(n, t, threshold, tuple(clusters), p_value, smallest_p(n))


def _clusters(t: Array, threshold: float, wrap: int | None) -> list[tuple[int, int, float, int]]:
    """First and last point, mass and sign of every stretch beyond the threshold."""
    values = t if wrap is None else t[:wrap]
    found: list[tuple[int, int, float, int]] = []
    for sign in (1, -1):
        over = sign * values > threshold
        if over.all():
            found.append((0, t.size - 1, float(np.abs(values).sum()), sign))
            continue
        if not over.any():
            continue
        shift = 0 if wrap is None else int(np.argmin(over))
        rolled = np.concatenate([[False], np.roll(over, -shift), [False]])
        edges = np.flatnonzero(np.diff(rolled.astype(int)))
        for start, stop in zip(edges[::2], edges[1::2]):
            members = (np.arange(start, stop) + shift) % values.size
            mass = float(np.abs(values[members]).sum())
            found.append((int(members[0]), int(members[-1]), mass, sign))
    return found


def _largest_masses(t: Array, threshold: float, wrap: int | None) -> Array:
    """Mass of the largest cluster of every row of t values, (n_flip,)."""
    values = t if wrap is None else t[:, :wrap]
    largest = np.zeros(values.shape[0])
    for sign in (1.0, -1.0):
        mass = np.where(sign * values > threshold, np.abs(values), 0.0)
        whole = mass.sum(axis=1)
        run = np.zeros(values.shape[0])
        rounds = 1 if wrap is None else 2
        for column in np.tile(mass, (1, rounds)).T:
            run = np.where(column > 0, run + column, 0.0)
            largest = np.maximum(largest, np.minimum(run, whole))
    return largest


def _t_values(change: Array, flips: Array, floor: float) -> Array:
    """Paired t per flip and point, (n_flip, n_point), with standard errors of at least `floor`.

    Flipping leaves the squares as they are. Differences that are equal in all units have a very
    large t; differences that are no more than rounding have one near zero.
    """
    n = change.shape[0]
    mean = flips @ change / n
    variance = np.maximum((change**2).sum(axis=0) - n * mean**2, 0.0) / (n - 1)
    return np.asarray(mean / np.maximum(np.sqrt(variance / n), floor))


def rounding(before: Array, after: Array) -> float:
    """What counts as rounding beside numbers of this size; never zero."""
    largest = max(float(np.abs(before).max()), float(np.abs(after).max()))
    return _ROUNDING * max(largest, np.finfo(float).tiny / _ROUNDING)


def _flips(n: int, seed: int) -> tuple[Array, bool]:
    """Rows of signs, and whether they are all there are."""
    if n <= EXACT_UNITS:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return np.where(bits == 1, -1.0, 1.0), True
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], size=(SAMPLED_FLIPS, n)), False


def _checked(values: Array) -> Array:
    values = np.asarray(values, dtype=float)
    if values.size == 0 or not np.isfinite(values).all():
        raise DataError("Statistics need at least one unit and finite numbers.")
    return values


def checked_curves(before: Array, after: Array) -> tuple[Array, Array]:
    """Two arrays of curves, (n_unit, n_point) each, or a `DataError` that says what they are."""
    before, after = _checked(before), _checked(after)
    if before.shape != after.shape or before.ndim != 2 or before.shape[1] < 3:
        raise DataError(
            f"Curves of shapes {before.shape} and {after.shape} were given; allowed are two of the "
            "same shape (n_unit, n_point) with at least three points."
        )
    return before, after


def _constant(values: Array) -> bool:
    scale = max(float(np.abs(values).max()), np.finfo(float).tiny)
    return float(values.std(ddof=1)) <= _ROUNDING * scale


def _t_quantile(probability: float, degrees: int) -> float:
    try:
        from scipy.stats import t
    except ImportError:
        raise MissingExtraError("scipy", "sim") from None
    return float(t.ppf(probability, degrees))
