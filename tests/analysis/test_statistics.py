"""Statistics against scipy, closed forms, published values and, where installed, spm1d."""

import itertools
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osim_exo.analysis.spm import spm_test
from osim_exo.analysis.statistics import (
    SAMPLED_FLIPS,
    bootstrap_interval,
    cluster_test,
    cohen_dz,
    hedges_g,
    holm,
    mean_interval,
    paired,
    sign_flip_p,
    smallest_p,
)
from osim_exo.errors import DataError, MissingExtraError

stats = pytest.importorskip("scipy.stats")

# Student 1908: extra hours of sleep under two drugs in the same ten patients; t = 4.0621 with 9
# degrees of freedom, and the interval 0.70 to 2.46 of the usual textbook treatment.
SLEEP_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SLEEP_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def test_students_sleep_data_give_the_published_interval():
    low, high = mean_interval(SLEEP_2 - SLEEP_1)
    assert (low, high) == (pytest.approx(0.7001, abs=1e-4), pytest.approx(2.4599, abs=1e-4))
    result = paired(SLEEP_1, SLEEP_2)
    assert result.mean_change == pytest.approx(1.58)
    assert result.cohen_dz == pytest.approx(4.0621 / math.sqrt(10), abs=1e-4)
    assert result.n == 10


def test_interval_equals_scipys():
    values = np.random.default_rng(0).standard_normal(7)
    expected = stats.t.interval(0.9, 6, values.mean(), stats.sem(values))
    assert mean_interval(values, 0.9) == pytest.approx(expected)


def test_sign_flips_are_exact_and_equal_scipys_permutation_test():
    expected = stats.permutation_test(
        (SLEEP_2 - SLEEP_1,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(SLEEP_2 - SLEEP_1) == pytest.approx(expected.pvalue)


def test_three_equal_signs_give_a_quarter():
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == 2 / 8
    assert smallest_p(3) == 2 / 8
    assert sign_flip_p(np.array([-1.0, -2.0, -3.0])) == 2 / 8
    assert sign_flip_p(np.zeros(4)) == 1.0


def test_many_units_are_sampled_reproducibly():
    change = np.random.default_rng(1).normal(0.4, 1.0, 20)
    p = sign_flip_p(change, seed=5)
    assert p == sign_flip_p(change, seed=5)
    expected = stats.ttest_1samp(change, 0.0).pvalue
    assert p == pytest.approx(expected, rel=0.3)
    assert sign_flip_p(np.full(20, 1.0)) == pytest.approx(1 / (SAMPLED_FLIPS + 1), abs=3e-4)


def test_sign_flip_test_keeps_its_level():
    rng = np.random.default_rng(2)
    rejected = np.mean([sign_flip_p(rng.standard_normal(8)) <= 0.05 for _ in range(2000)])
    assert rejected == pytest.approx(0.05, abs=0.015)


def test_hedges_g_follows_lakens():
    before, after = SLEEP_1, SLEEP_2
    average = math.sqrt((before.var(ddof=1) + after.var(ddof=1)) / 2)
    approximate = (1 - 3 / (4 * 9 - 1)) * 1.58 / average
    assert hedges_g(before, after) == pytest.approx(approximate, rel=1e-3)
    exact = math.gamma(4.5) / (math.sqrt(4.5) * math.gamma(4.0)) * 1.58 / average
    assert hedges_g(before, after) == pytest.approx(exact)


def test_one_unit_gives_no_inference():
    result = paired(np.array([2.0]), np.array([3.0]))
    assert result.mean_change == 1.0
    for value in (result.ci_low, result.ci_high, result.cohen_dz, result.hedges_g):
        assert value is None
    assert result.p_value is None and result.p_smallest is None
    assert bootstrap_interval(np.array([1.0]), seed=0) == (None, None)
    curves = cluster_test(np.zeros((1, 101)), np.ones((1, 101)))
    assert curves.t is None and curves.p_value is None and curves.clusters == ()


def test_constant_differences_have_no_effect_size():
    assert cohen_dz(np.array([0.1, 0.1, 0.1])) is None
    assert hedges_g(np.ones(4), np.ones(4)) is None


def test_bootstrap_interval_is_near_the_normal_one_for_many_units():
    values = np.random.default_rng(3).normal(5.0, 2.0, 400)
    assert bootstrap_interval(values, seed=1) == pytest.approx(mean_interval(values), abs=0.02)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)


def test_holm_on_a_worked_example():
    # Holm 1979: ordered p times the number of hypotheses not yet rejected, kept increasing.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_and_keeps_the_order(p_values):
    corrected = holm(p_values)
    assert all(c >= p for p, c in zip(p_values, corrected))
    assert all(c <= 1 for c in corrected)
    for (p, c), (q, d) in itertools.combinations(zip(p_values, corrected), 2):
        assert (p <= q) == (c <= d) or c == d


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.zeros(3), np.zeros(4)),
        (np.zeros(0), np.zeros(0)),
        (np.array([1.0, np.nan]), np.zeros(2)),
        (np.zeros((2, 2)), np.zeros((2, 2))),
    ],
)
def test_wrong_units_are_refused(before, after):
    with pytest.raises(DataError, match="same length|at least one unit"):
        paired(before, after)


def _curves(n=8, points=101, seed=0):
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 2 * np.pi, points)
    phases = rng.uniform(0, 2 * np.pi, (n, 4))
    return sum(np.sin((k + 1) * x + phases[:, k, None]) / (k + 1) for k in range(4))


def _bump(centre, width, points=101):
    percent = np.linspace(0, 100, points)
    away = (percent - centre + 50) % 100 - 50
    return np.exp(-0.5 * (away / width) ** 2)


def test_a_bump_in_the_curves_is_found_where_it_is():
    before = _curves()
    after = before + 0.3 * _curves(seed=1) + 3.0 * _bump(40, 5)
    result = cluster_test(before, after)
    largest = result.clusters[0]
    assert largest.sign == 1 and largest.p_value == smallest_p(8) == result.p_value
    assert 20 < largest.start_percent < 40 < largest.end_percent < 60
    np.testing.assert_allclose(result.t, stats.ttest_rel(after, before).statistic, rtol=1e-9)
    assert result.threshold == pytest.approx(stats.t.ppf(0.975, 7))


def test_cluster_over_heel_strike_is_one_cluster_in_a_periodic_curve():
    before = _curves()
    after = before + 0.3 * _curves(seed=1) - 3.0 * _bump(0, 5)
    around = cluster_test(before, after).clusters[0]
    assert around.sign == -1 and around.start_percent > around.end_percent
    line = cluster_test(before, after, periodic=False)
    assert {c.start_percent for c in line.clusters} >= {0.0}
    assert {c.end_percent for c in line.clusters} >= {100.0}


def test_cluster_p_value_equals_brute_force_over_all_flips():
    before, after = _curves(5, seed=3), _curves(5, seed=4)
    result = cluster_test(before, after, alpha=0.3)
    change = after - before
    threshold = stats.t.ppf(0.85, 4)

    def largest(signed):
        t = stats.ttest_1samp(signed, 0.0).statistic[:100]
        best = 0.0
        for sign in (1, -1):
            over = sign * t > threshold
            for start in range(100):
                if over[start] and not over[start - 1]:
                    mass, i = 0.0, start
                    while over[i % 100] and i < start + 100:
                        mass, i = mass + abs(t[i % 100]), i + 1
                    best = max(best, mass)
        return best

    observed = largest(change)
    assert result.clusters[0].mass == pytest.approx(observed)
    masses = [
        largest(np.array(signs)[:, None] * change) for signs in itertools.product((1, -1), repeat=5)
    ]
    assert result.p_value == np.mean([m >= observed * (1 - 1e-9) for m in masses])


def test_equal_curves_have_no_clusters():
    curves = _curves()
    result = cluster_test(curves, curves)
    assert result.clusters == () and result.p_value == 1.0


def test_curves_that_differ_by_rounding_only_have_no_clusters():
    curves = 40.0 * _curves()
    noise = np.random.default_rng(9).random(curves.shape)
    for change in (np.spacing(40.0) * noise, np.full_like(curves, 1e-13)):
        result = cluster_test(curves, curves + change)
        assert result.clusters == () and result.p_value == 1.0
        assert np.abs(result.t).max() < 1e-3


def test_a_small_difference_beside_large_curves_is_still_found():
    before = 1000.0 * _curves()
    after = before + 1e-3 * (0.3 * _curves(seed=1) + 3.0 * _bump(40, 5))
    largest = cluster_test(before, after).clusters[0]
    assert 20 < largest.start_percent < 40 < largest.end_percent < 60


def test_numbers_that_differ_by_rounding_only_are_equal():
    before = np.linspace(1.0, 2.0, 8)
    result = paired(before, before * (1.0 + 1e-15))
    assert (result.mean_change, result.p_value, result.cohen_dz) == (0.0, 1.0, None)


def test_cluster_test_keeps_its_level_over_the_whole_cycle():
    rejected = [
        cluster_test(np.zeros((7, 101)), _curves(7, seed=s)).p_value <= 0.05 for s in range(300)
    ]
    assert np.mean(rejected) < 0.09


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(0, 1000))
def test_rolling_a_periodic_cycle_does_not_change_the_test(shift, seed):
    before, after = _curves(6, seed=seed), _curves(6, seed=seed + 1)
    after = after + _bump(50, 10)

    def rolled(curves):
        body = np.roll(curves[:, :-1], shift, axis=1)
        return np.hstack([body, body[:, :1]])

    first, second = cluster_test(before, after), cluster_test(rolled(before), rolled(after))
    assert first.p_value == second.p_value
    assert [c.mass for c in first.clusters] == pytest.approx([c.mass for c in second.clusters])


def test_curves_of_different_shapes_are_refused():
    with pytest.raises(DataError, match="same shape"):
        cluster_test(np.zeros((3, 101)), np.zeros((4, 101)))
    with pytest.raises(DataError, match="same shape"):
        cluster_test(np.zeros(101), np.zeros(101))


def test_t_curve_equals_spm1ds():
    spm1d = pytest.importorskip("spm1d")
    before, after = _curves(), _curves(seed=1) + _bump(40, 8)
    np.testing.assert_allclose(
        cluster_test(before, after).t, spm1d.stats.ttest_paired(after, before).z, rtol=1e-9
    )


def test_spm1ds_clusters_are_told_in_percent_of_the_cycle():
    spm1d = pytest.importorskip("spm1d")
    before = _curves()
    after = before + 0.3 * _curves(seed=1) + 3.0 * _bump(40, 5)
    found = spm_test(before, after)
    own = spm1d.stats.ttest_paired(after, before).inference(0.05, two_tailed=True)
    np.testing.assert_allclose(found.t, cluster_test(before, after).t, rtol=1e-9)
    assert found.threshold == pytest.approx(own.zstar)
    assert len(found.clusters) == len(own.clusters) >= 1
    largest = found.clusters[0]
    assert largest.start_percent < 40 < largest.end_percent
    assert largest.sign == 1
    assert min(own.p) == pytest.approx(found.p_value)
    assert largest.mass == pytest.approx(found.t[found.t > own.zstar].sum(), rel=0.2)
    swapped = spm_test(after, before)
    assert swapped.clusters[0].sign == -1
    assert swapped.p_value == pytest.approx(found.p_value)


def test_spm1d_is_not_asked_where_it_cannot_tell():
    pytest.importorskip("spm1d")
    curves = _curves()
    same = spm_test(curves, curves)
    assert (same.p_value, same.clusters) == (1.0, ())
    assert spm_test(curves, curves + 1.0).p_value is None
    assert spm_test(curves[:1], curves[:1]).p_value is None
    with pytest.raises(DataError, match="same shape"):
        spm_test(curves, curves[:-1])


def test_spm1d_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "spm1d", None)
    with pytest.raises(MissingExtraError, match=r"osim_exo\[stats\]"):
        spm_test(_curves(), _curves(seed=1))
