"""How a gait changes with speed and slope: walks made of people's curves change as people do."""

from dataclasses import replace

import numpy as np
import pytest

from osim_exo.analysis.normative import band
from osim_exo.analysis.trends import FEATURES, SLOPE_FACTS, Trend, slope_trends, speed_trends
from osim_exo.errors import DataError, InputError
from osim_exo.trial import SERIES, Channels
from tests.synthetic import replaced, walking_trial

SPEEDS = (0.8, 1.1, 1.4)
STRIDES = {0.8: 1.3, 1.1: 1.15, 1.4: 1.02}


def human(speed, **fields):
    return walking_trial(speed=speed, stride_time=STRIDES[speed], scale=speed, **fields)


def by_name(trends):
    return {trend.name: trend for trend in trends}


def test_people_change_as_people_do():
    found = by_name(speed_trends({x: [human(x)] for x in SPEEDS}))
    for name in ("knee flexion, swing", "knee flexion, loading", "vertical force, first peak",
                 "vertical force, trough", "propulsive force", "braking force"):  # fmt: skip
        trend = found[name]
        assert trend.holds, name
        np.testing.assert_allclose(trend.values, trend.people, rtol=0.12, err_msg=name)
    for name in ("cadence", "stride length", "metabolic rate"):
        assert found[name].holds and found[name].people == ()
    assert found["cadence"].values == pytest.approx([120 / STRIDES[x] for x in SPEEDS])


def test_who_changes_the_other_way_is_told():
    slow, middle, fast = SPEEDS
    found = by_name(
        speed_trends({slow: [human(fast)], middle: [human(middle)], fast: [human(slow)]})
    )
    for name in ("knee flexion, swing", "vertical force, trough", "cadence", "metabolic rate"):
        assert not found[name].holds, name


def test_what_people_do_not_change_one_way_is_not_judged():
    """Every trend with people's values has them ascending or descending."""
    for trend in speed_trends({x: [human(x)] for x in SPEEDS}):
        if trend.people:
            steps = np.diff(trend.people)
            assert (steps > 0).all() if trend.rises else (steps < 0).all()


def test_features_are_where_people_have_them():
    for name, feature in FEATURES.items():
        mean, _ = band(feature.quantity, 1.25, 0.92)
        part = mean[feature.first : feature.last + 1]
        inside = part.argmax() if feature.pick == "largest" else part.argmin()
        assert 0 < inside < len(part) - 1, name


def test_trends_over_slope_follow_effort_and_work():
    walks = {x: [walking_trial(scale=1.0 + 0.05 * x, slope_deg=x)] for x in (-6.0, 0.0, 6.0)}
    found = by_name(slope_trends(walks))
    assert set(found) == set(SLOPE_FACTS)
    assert found["metabolic rate"].holds
    assert found["metabolic rate"].at == (-6.0, 0.0, 6.0)
    assert all(0.0 < share < 100.0 for share in found["hip's share of positive work"].values)
    flipped = by_name(slope_trends({-x: trials for x, trials in walks.items()}))
    assert not flipped["metabolic rate"].holds


def test_a_walk_that_fell_leaves_a_gap_and_two_values_are_no_trend():
    walks = {x: [human(x)] for x in SPEEDS}
    walk = walking_trial(n_strides=3)
    first = {name: getattr(walk, name) for name in SERIES}
    fell = replace(
        walk,
        time=walk.time[:30],
        **{name: Channels(c.names, c.values[:30]) for name, c in first.items()},
    )
    for trials in ([], [fell]):
        found = by_name(speed_trends({**walks, 1.7: trials}))
        assert np.isnan(found["cadence"].values[-1])
        assert found["cadence"].holds
    gaps = Trend("x", "1", "speed", (1.0, 2.0, 3.0), (1.0, float("nan"), 3.0), (), True, "")
    assert np.isnan(gaps.slope) and not gaps.holds


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(InputError, match="at 2 speeds"):
        speed_trends({0.8: [human(0.8)], 1.4: [human(1.4)]})
    with pytest.raises(InputError, match="at 1 slopes"):
        slope_trends({0.0: [walking_trial()]})
    walks = {x: [human(x)] for x in SPEEDS}
    light = replaced(human(0.8), body_mass=float("nan"))
    with pytest.raises(DataError, match="body_mass"):
        speed_trends({**walks, 0.8: [light]})
