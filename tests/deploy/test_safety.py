"""The limiter: whatever comes in, what goes out obeys the limits."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osim_exo.deploy.safety import Limiter, SafetyLimits
from osim_exo.errors import InputError

PERIOD = 0.01
any_float = st.floats(allow_nan=True, allow_infinity=True)
plausible = st.floats(-3.0, 3.0)
pairs = st.tuples(any_float | st.floats(-40, 40), any_float | st.floats(-40, 40))
postures = st.tuples(plausible | any_float, plausible | any_float)
speeds = st.tuples(st.floats(-12, 12) | any_float, st.floats(-12, 12) | any_float)
streams = st.lists(st.tuples(pairs, postures, speeds), min_size=1, max_size=60)

limit_sets = st.builds(
    SafetyLimits,
    max_torque=st.floats(1.0, 30.0),
    max_torque_per_mass=st.floats(0.05, 0.5),
    rate_limit=st.floats(10.0, 1000.0),
    power_limit=st.floats(5.0, 200.0),
    angle_taper=st.floats(0.01, 0.5),
    speed_limit=st.floats(5.0, 12.0),
    speed_taper=st.floats(0.1, 4.0),
)


def allowed(limits: SafetyLimits, mass: float, angle: float, speed: float) -> tuple[float, float]:
    """Bounds by their description, written another way than in the code."""
    if not (math.isfinite(angle) and math.isfinite(speed)):
        return 0.0, 0.0
    cap = min(limits.max_torque, limits.max_torque_per_mass * mass)
    if abs(speed) * cap > limits.power_limit:
        cap = limits.power_limit / abs(speed)
    start = limits.speed_limit - limits.speed_taper
    if abs(speed) >= limits.speed_limit:
        cap = 0.0
    elif abs(speed) > start:
        cap *= (limits.speed_limit - abs(speed)) / limits.speed_taper
    low, high = -cap, cap
    if angle <= limits.angle_low:
        low = 0.0
    elif angle < limits.angle_low + limits.angle_taper:
        low *= (angle - limits.angle_low) / limits.angle_taper
    if angle >= limits.angle_high:
        high = 0.0
    elif angle > limits.angle_high - limits.angle_taper:
        high *= (limits.angle_high - angle) / limits.angle_taper
    return low, high


@given(limit_sets, st.floats(30, 150), streams)
@settings(max_examples=400, deadline=None)
def test_limits_hold_for_any_command_and_any_sensor_stream(limits, mass, stream):
    limiter = Limiter(limits, mass, PERIOD)
    before = (0.0, 0.0)
    step = limits.rate_limit * PERIOD
    for command, angle, speed in stream:
        torque = limiter.apply(command, angle, speed).torque
        for i in (0, 1):
            low, high = allowed(limits, mass, angle[i], speed[i])
            assert math.isfinite(torque[i])
            assert low - 1e-9 <= torque[i] <= high + 1e-9
            assert abs(torque[i]) <= abs(before[i]) + step + 1e-9
            assert abs(torque[i] * speed[i]) <= limits.power_limit + 1e-6 or torque[i] == 0.0
            rises = torque[i] * (torque[i] - before[i]) > 0.0
            assert not rises or abs(torque[i] - before[i]) <= step + 1e-9
        before = torque


@given(streams)
@settings(max_examples=200, deadline=None)
def test_input_that_is_not_finite_gives_zero_torque_on_that_side_and_no_trust(stream):
    limiter = Limiter(SafetyLimits(), 70.0, PERIOD)
    for command, angle, speed in stream:
        result = limiter.apply(command, angle, speed)
        bad = [not all(map(math.isfinite, (command[i], angle[i], speed[i]))) for i in (0, 1)]
        assert result.trusted is not any(bad)
        assert all(result.torque[i] == 0.0 for i in (0, 1) if bad[i])


@given(streams, st.integers(0, 1))
@settings(max_examples=200, deadline=None)
def test_the_sides_do_not_touch_each_other(stream, side):
    both, alone = (Limiter(SafetyLimits(), 70.0, PERIOD) for _ in range(2))
    for command, angle, speed in stream:
        a = both.apply(command, angle, speed).torque[side]
        pair = (command[side],) * 2, (angle[side],) * 2, (speed[side],) * 2
        assert alone.apply(*pair).torque[side] == a


def test_a_command_within_all_limits_passes_unchanged():
    limiter = Limiter(SafetyLimits(rate_limit=1000.0), 70.0, PERIOD)
    for command in (3.0, 7.5, -2.0, 0.25):
        for _ in range(3):
            torque = limiter.apply((command, -command), (0.3, 0.3), (1.0, -1.0)).torque
        assert torque == (command, -command)


def test_a_step_command_rises_at_the_rate_limit():
    limiter = Limiter(SafetyLimits(rate_limit=100.0), 70.0, PERIOD)
    rise = [limiter.apply((10.0, 0.0), (0.3, 0.3), (0.0, 0.0)).torque[0] for _ in range(12)]
    assert rise == pytest.approx([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10])


def test_the_cap_follows_the_persons_mass():
    limits = SafetyLimits(max_torque=15.0, max_torque_per_mass=0.2)
    assert limits.cap(50.0) == pytest.approx(10.0)
    assert limits.cap(100.0) == 15.0


def test_torque_towards_an_end_fades_and_torque_away_from_it_does_not():
    limiter = Limiter(SafetyLimits(), 70.0, PERIOD)
    low, high = limiter.bounds(1.5, 0.0)
    assert high == pytest.approx(0.5 * limiter.cap)
    assert low == -limiter.cap
    low, high = limiter.bounds(-0.65, 0.0)
    assert low == 0.0
    assert high == limiter.cap


def test_a_bound_that_falls_wins_over_the_rate_limit():
    limiter = Limiter(SafetyLimits(rate_limit=100.0), 70.0, PERIOD)
    for _ in range(20):
        limiter.apply((10.0, 10.0), (0.3, 0.3), (0.0, 0.0))
    torque = limiter.apply((10.0, 10.0), (0.3, 0.3), (9.0, 0.0)).torque
    assert torque == (0.0, 10.0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"angle_low": -0.1, "angle_high": 0.1}, "widen the range"),
        ({"speed_limit": 1.0}, "speed_taper"),
        ({"max_torque": math.nan}, "max_torque"),
        ({"max_torque": -1.0}, "max_torque"),
    ],
)
def test_limits_without_sense_are_bad_input(fields, words):
    with pytest.raises(InputError, match=words):
        SafetyLimits(**fields)
