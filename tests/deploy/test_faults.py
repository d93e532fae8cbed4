"""Every fault is seen when it is there, and a plausible walk has none."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osim_exo.deploy.faults import (
    Burst,
    FaultCode,
    FaultThresholds,
    LinkCounts,
    Monitor,
    Reading,
)
from osim_exo.deploy.packets import Flag, Sensors
from osim_exo.deploy.walkers import SineWalker
from osim_exo.errors import InputError

DT = 0.01
PLAIN = Sensors(*[0] * 10, 300, 300, 24_000, 0, 0, 0)


def reading(time: float, **changes: tuple[float, float]) -> Reading:
    pose = SineWalker()(time)
    noise = 1e-3 * math.sin(1e3 * time)
    gyro = pose.gyro[0] + noise, pose.gyro[1] - noise
    return replace(Reading(time, pose.angle, pose.speed, gyro, pose.thigh, (0.0, 0.0)), **changes)


def walked(monitor: Monitor, until: float, start: float = 0.0) -> FaultCode:
    """Faults of an undisturbed walk."""
    found = FaultCode(0)
    for k in range(round(start / DT), round(until / DT)):
        found |= monitor.sample(k * DT, reading(k * DT), PLAIN)
        found |= monitor.period(k * DT, LinkCounts(), 0)
    return found


def samples(change, n: int = 400, start: float = 3.0) -> FaultCode:
    """Faults of the last of `n` samples after an undisturbed walk; `change` makes them."""
    monitor = Monitor()
    assert walked(monitor, start) == FaultCode(0)
    found = FaultCode(0)
    for k in range(n):
        time = start + k * DT
        found |= monitor.sample(time, change(time, reading(time)), PLAIN)
    return found


def test_a_plausible_walk_of_a_minute_has_no_fault():
    assert walked(Monitor(), 60.0) == FaultCode(0)


def test_standing_still_with_noise_has_no_fault():
    monitor = Monitor()
    found = FaultCode(0)
    for k in range(1000):
        still = Reading(
            k * DT, (0.1, 0.1), (0.0, 0.0), (1e-4 * (k % 3), 0.0), (0.0, 0.0), (0.0, 0.0)
        )
        found |= monitor.sample(k * DT, still, PLAIN)
    assert found == FaultCode(0)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        (FaultCode.OUT_OF_RANGE, lambda t, r: replace(r, angle=(2.4, 0.5))),
        (FaultCode.OUT_OF_RANGE, lambda t, r: replace(r, speed=(0.0, -12.5))),
        (FaultCode.OUT_OF_RANGE, lambda t, r: replace(r, gyro=(15.5, 0.0))),
        (FaultCode.OUT_OF_RANGE, lambda t, r: replace(r, angle=(math.nan, 0.0))),
        (FaultCode.RATE_SPIKE, lambda t, r: replace(r, angle=(r.angle[0] + 0.5, r.angle[1]))),
        (FaultCode.RATE_SPIKE, lambda t, r: replace(r, speed=(r.speed[0], r.speed[1] + 5.0))),
        (FaultCode.LEFT_RIGHT, lambda t, r: replace(r, angle=(1.2, -0.9))),
    ],
)
def test_one_implausible_sample_is_a_fault_at_once(code, change):
    assert samples(change, n=1) & code


def test_spikes_of_unchecked_frames_are_out_of_range():
    wild = math.radians(3276.0)
    assert samples(lambda t, r: replace(r, gyro=(wild, 0.0)), n=1) & FaultCode.OUT_OF_RANGE


def test_frozen_readings_are_a_fault_after_the_threshold_and_not_before():
    held = reading(3.0)
    frozen = FaultCode.FROZEN

    def freeze(time: float, _: Reading) -> Reading:
        return replace(held, time=time)

    t = FaultThresholds()
    # The angle that is stuck while the leg moves is seen sooner than identical readings.
    fast = max(map(abs, held.speed)) > t.stuck_speed
    soonest = t.stuck_s if fast else t.frozen_s
    assert not samples(freeze, n=round(soonest / DT) - 1) & frozen
    assert samples(freeze, n=round(t.frozen_s / DT) + 3) & frozen


def test_one_stuck_encoder_is_a_fault_while_its_leg_moves():
    stuck = reading(3.0).angle[1]
    found = samples(lambda t, r: replace(r, angle=(r.angle[0], stuck)), n=60)
    assert found & FaultCode.FROZEN


def test_one_leg_still_while_the_other_walks_is_a_fault():
    found = samples(
        lambda t, r: replace(r, angle=(0.1, r.angle[1]), speed=(0.0, r.speed[1])), n=400
    )
    assert found & FaultCode.LEFT_RIGHT


def test_a_sample_from_a_full_buffer_is_stale():
    monitor = Monitor()
    walked(monitor, 3.0)
    late = reading(3.0)
    assert not monitor.sample(3.04, late, PLAIN) & FaultCode.STALE
    assert monitor.sample(3.06, reading(3.0001), PLAIN) & FaultCode.STALE


def test_clocks_that_drift_apart_slowly_are_no_fault():
    monitor, found = Monitor(), FaultCode(0)
    for k in range(15_000):
        time = 0.02 * k
        found |= monitor.sample(time * (1 + 3e-4), reading(time), PLAIN)
    assert found == FaultCode(0)


@pytest.mark.parametrize("jump", [-0.5, -0.011, 0.2, 100.0])
def test_a_clock_that_jumps_is_a_fault(jump):
    monitor = Monitor()
    walked(monitor, 3.0)
    shifted = replace(reading(3.0), time=3.0 + jump)
    assert monitor.sample(3.0, shifted, PLAIN) & FaultCode.CLOCK_JUMP


def test_no_data_is_a_fault_after_three_periods():
    monitor = Monitor()
    walked(monitor, 1.0)
    last = 0.99
    assert monitor.period(last + 0.0299, LinkCounts(), 0) == FaultCode(0)
    assert monitor.period(last + 0.0301, LinkCounts(), 0) == FaultCode.NO_DATA


def test_data_that_never_comes_is_a_fault():
    monitor = Monitor()
    assert monitor.period(5.0, LinkCounts(), 0) == FaultCode(0)
    assert monitor.period(5.04, LinkCounts(), 0) == FaultCode.NO_DATA


@pytest.mark.parametrize(
    ("code", "counts", "overruns", "field"),
    [
        (FaultCode.FRAME_ERRORS, LinkCounts(flawed=1), 0, "frame_errors"),
        (FaultCode.LOST, LinkCounts(lost=1), 0, "lost"),
        (FaultCode.DUPLICATED, LinkCounts(duplicated=1), 0, "duplicated"),
        (FaultCode.REORDERED, LinkCounts(reordered=1), 0, "reordered"),
        (FaultCode.DEADLINES, LinkCounts(), 1, "overruns"),
    ],
)
def test_errors_are_a_fault_when_too_many_fall_into_a_window(code, counts, overruns, field):
    thresholds = FaultThresholds(no_data_s=1.0)
    allowed = getattr(thresholds, field)
    often, seldom = Monitor(thresholds), Monitor(thresholds)
    for k in range(allowed - 1):
        assert often.period(k * 0.01, counts, overruns) == FaultCode(0)
    assert often.period(allowed * 0.01, counts, overruns) == code
    pause = 1.01 * thresholds.window_s / (allowed - 1)
    for k in range(5 * allowed):
        assert seldom.period(k * pause, counts, overruns) & code == FaultCode(0)
        seldom.sample(k * pause, reading(k * pause), PLAIN)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"temperature_r_decidegc": 760}, FaultCode.TEMPERATURE),
        ({"temperature_l_decidegc": 760}, FaultCode.TEMPERATURE),
        ({"flags": int(Flag.OVER_TEMPERATURE)}, FaultCode.TEMPERATURE),
        ({"battery_mv": 19_900}, FaultCode.BATTERY),
        ({"flags": int(Flag.LOW_BATTERY)}, FaultCode.BATTERY),
        ({"flags": int(Flag.WATCHDOG)}, FaultCode.DEVICE),
        ({"flags": int(Flag.ENCODER_FAULT)}, FaultCode.DEVICE),
        ({"flags": int(Flag.IMU_FAULT)}, FaultCode.DEVICE),
        ({"flags": int(Flag.DRIVE_FAULT)}, FaultCode.DEVICE),
    ],
)
def test_what_the_device_reports_is_a_fault(change, code):
    monitor = Monitor()
    assert monitor.sample(0.0, reading(0.0), PLAIN) == FaultCode(0)
    assert monitor.sample(DT, reading(DT), replace(PLAIN, **change)) == code


def test_a_drive_that_does_not_follow_is_a_fault_after_a_while():
    monitor, t = Monitor(), FaultThresholds()
    n = round(t.torque_error_s / DT)
    found = [monitor.torque(k * DT, (8.0, 0.0), (1.0, 0.0)) for k in range(n + 2)]
    assert found[n - 1] == FaultCode(0)
    assert found[-1] == FaultCode.TORQUE_MISMATCH
    assert monitor.torque(9.0, (8.0, 0.0), (5.0, 0.0)) == FaultCode(0)


@given(st.integers(1, 20), st.lists(st.tuples(st.integers(0, 30), st.floats(0, 0.5)), max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_burst_is_counted_as_its_definition_says(allowed, steps):
    burst, now, events = Burst(allowed, 1.0), 0.0, []
    for count, wait in steps:
        now += wait
        events += [now] * count
        expected = len(events) >= allowed and now - events[-allowed] <= 1.0
        assert burst.happened(count, now) == expected


numbers = st.integers(-(2**31), 2**31 - 1)


@given(st.lists(st.tuples(st.lists(numbers, min_size=10, max_size=10), st.integers(0, 2**63))))
@settings(max_examples=200, deadline=None)
def test_no_stream_of_samples_makes_the_monitor_fail(stream):
    monitor = Monitor()
    for k, (values, time_us) in enumerate(stream):
        sensors = Sensors(*values, 300, 300, 24_000, 0, 0, 0)
        monitor.sample(k * DT, Reading.of(time_us, sensors), sensors)


def test_thresholds_without_sense_are_bad_input():
    with pytest.raises(InputError, match="still_speed"):
        FaultThresholds(still_speed=0.9, one_sided_speed=0.5)
    with pytest.raises(InputError, match="lost"):
        FaultThresholds(lost=0)
