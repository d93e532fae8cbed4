"""Curve statistics by random field theory, with the optional library spm1d."""

from __future__ import annotations

import numpy as np

from osim_exo.analysis.statistics import Cluster, CurveResult, checked_curves, rounding
from osim_exo.errors import MissingExtraError
from osim_exo.trial import Array


def spm_test(before: Array, after: Array, alpha: float = 0.05) -> CurveResult:
    """Two-sided paired t test of curves with spm1d (Pataky 2012).

    Points whose t exceeds the height that smooth Gaussian fields exceed with probability `alpha`
    form clusters. The cycle is taken as open: a stretch over heel strike counts as two, which is
    the cautious side (spm1d 0.4's own closing of the cycle fails with today's numpy).

    Parameters
    ----------
    before, after : (n_unit, n_point) arrays, same units in the same order, 0 to 100 % of the cycle
    alpha : two-sided level, over the whole cycle

    Returns
    -------
    CurveResult
        ``p_smallest`` is 0: a parametric test has no smallest p. Where the differences have no
        variance at some point, random field theory does not apply: there is no p-value, and with
        curves that are equal to rounding it is 1.

    Raises
    ------
    DataError
        The arrays differ in shape or hold NaN.
    MissingExtraError
        spm1d is not installed.
    """
    try:
        import spm1d
    except ImportError:
        raise MissingExtraError("spm1d", "stats") from None
    before, after = checked_curves(before, after)
    change = after - before
    n, points = change.shape
    if n < 2:
        return CurveResult(n, None, None, (), None, None)
    floor = rounding(before, after)
    if np.abs(change).max() <= floor:
        return CurveResult(n, np.zeros(points), None, (), 1.0, 0.0)
    if change.std(axis=0, ddof=1).min() <= floor:
        return CurveResult(n, None, None, (), None, None)
    found = spm1d.stats.ttest_paired(after, before).inference(alpha, two_tailed=True, interp=True)
    t = np.asarray(found.z, dtype=float)
    scale = 100.0 / (points - 1)
    clusters = []
    for one in found.clusters:
        start, end = (float(place) for place in one.endpoints)
        inside = t[int(np.ceil(start)) : int(np.floor(end)) + 1]
        mass = float(np.abs(inside).sum())
        clusters.append(Cluster(scale * start, scale * end, mass, int(one.csign), float(one.P)))
    clusters.sort(key=lambda c: -c.mass)
    smallest = min((c.p_value for c in clusters), default=1.0)
    return CurveResult(n, t, float(found.zstar), tuple(clusters), smallest, 0.0)
