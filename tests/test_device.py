"""The drive's limits hold for any input, and its dynamics are the analytic ones."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osim_exo.config import Config
from osim_exo.device import DeviceDynamics, DeviceLimits
from osim_exo.errors import InputError

WIDE = dict(max_torque=100.0, rate_limit=1e6, power_limit=1e5)
"""Limits that a 1 Nm step does not touch, so that delay and lag show alone."""

any_float = st.floats(allow_nan=True, allow_infinity=True, width=64)
limits_that_fit = st.builds(
    lambda torque, ramp, hz, delay, speed: DeviceLimits(
        max_torque=torque,
        rate_limit=torque / ramp,
        bandwidth_hz=hz,
        delay_s=delay,
        power_limit=torque * speed,
    ),
    st.floats(1.0, 50.0),
    st.floats(0.01, 0.49),
    st.floats(1.0, 100.0),
    st.floats(0.0, 0.05),
    st.floats(0.6, 10.0),
)


@settings(max_examples=150, deadline=None)
@given(
    limits_that_fit,
    st.floats(1e-4, 0.02),
    st.lists(st.tuples(any_float, any_float), min_size=1, max_size=40),
)
def test_torque_rate_and_power_bounds_hold_for_any_input(limits, dt, inputs):
    device = DeviceDynamics(limits, dt, n_env=1, n_joint=1)
    before = 0.0
    for command, speed in inputs:
        torque = float(device.step([[command]], [[speed]])[0, 0])
        assert math.isfinite(torque)
        assert abs(torque) <= limits.max_torque * (1 + 1e-12)
        if math.isfinite(speed):
            assert abs(torque * speed) <= limits.power_limit * (1 + 1e-12)
        else:
            assert torque == 0.0
        rise = limits.rate_limit * dt * (1 + 1e-9)
        power_bound = math.isfinite(speed) and speed != 0 and limits.power_limit / abs(speed)
        lowered = not math.isfinite(speed) or (
            power_bound and math.isclose(abs(torque), power_bound, rel_tol=1e-9, abs_tol=1e-300)
        )
        assert abs(torque - before) <= rise or (lowered and abs(torque) <= abs(before))
        before = torque


@pytest.mark.parametrize("dt", [0.0005, 0.003, 0.01])
@pytest.mark.parametrize("delay", [0.0, 0.01, 0.0173])
def test_step_response_is_the_analytic_delayed_first_order_response(dt, delay):
    limits = DeviceLimits(bandwidth_hz=5.0, delay_s=delay, **WIDE)
    device = DeviceDynamics(limits, dt, n_env=1, n_joint=1)
    time = dt * np.arange(1, int(0.2 / dt) + 1)
    torque = np.array([device.step([[1.0]], [[0.0]])[0, 0] for _ in time])
    late = np.maximum(time - delay, 0.0)
    np.testing.assert_allclose(torque, 1.0 - np.exp(-late / limits.time_constant), atol=1e-12)


def test_delay_is_exact_in_samples():
    limits = DeviceLimits(bandwidth_hz=1e4, delay_s=0.03, **WIDE)
    device = DeviceDynamics(limits, 0.01, n_env=1, n_joint=1)
    commands = [1.0, -2.0, 3.0, 4.0, -5.0, 6.0, 7.0]
    torque = [device.step([[c]], [[0.0]])[0, 0] for c in commands]
    np.testing.assert_allclose(torque, [0, 0, 0, 1, -2, 3, 4], atol=1e-12)


def test_halving_the_step_converges_with_every_limit_active():
    limits = DeviceLimits(
        max_torque=10, rate_limit=60, bandwidth_hz=4, delay_s=0.013, power_limit=15
    )

    def torque_at(dt):
        device = DeviceDynamics(limits, dt, n_env=1, n_joint=1)
        steps = round(1.0 / dt)
        time = dt * np.arange(steps)
        command, speed = 14 * np.sin(2 * np.pi * 1.3 * time), 4 * np.cos(2 * np.pi * 0.9 * time)
        series = [device.step([[c]], [[s]])[0, 0] for c, s in zip(command, speed)]
        return np.array(series)[round(0.01 / dt) - 1 :: round(0.01 / dt)]

    exact = torque_at(1e-5)
    errors = [np.abs(torque_at(dt) - exact).max() for dt in (0.01, 0.005, 0.0025, 0.00125)]
    ratios = np.divide(errors[:-1], errors[1:])
    assert errors[-1] < 0.2
    assert np.all(ratios > 1.6), ratios


def test_rate_limit_alone_gives_a_ramp():
    limits = DeviceLimits(max_torque=10, rate_limit=50, bandwidth_hz=1e4, delay_s=0.0)
    device = DeviceDynamics(limits, 0.01, n_env=1, n_joint=1)
    torque = [device.step([[10.0]], [[0.0]])[0, 0] for _ in range(25)]
    np.testing.assert_allclose(torque, np.minimum(0.5 * np.arange(1, 26), 10.0), atol=1e-9)


def test_environments_and_joints_do_not_touch_each_other():
    limits = DeviceLimits()
    random = np.random.default_rng(1)
    commands = 20 * random.standard_normal((30, 3, 2))
    speeds = 5 * random.standard_normal((30, 3, 2))
    together = DeviceDynamics(limits, 0.004, n_env=3, n_joint=2)
    alone = DeviceDynamics(limits, 0.004, n_env=1, n_joint=1)
    for command, speed in zip(commands, speeds):
        batch = together.step(command, speed)
        single = alone.step(command[1:2, 1:2], speed[1:2, 1:2])
        assert single[0, 0] == batch[1, 1]


def test_restoring_a_snapshot_repeats_the_same_torques():
    device = DeviceDynamics(DeviceLimits(), 0.005, n_env=2, n_joint=2)
    random = np.random.default_rng(2)
    inputs = 10 * random.standard_normal((40, 2, 2, 2))
    for command, speed in inputs[:20]:
        device.step(command, speed)
    state = device.snapshot()
    first = [device.step(c, s) for c, s in inputs[20:]]
    device.restore(state)
    np.testing.assert_array_equal(first, [device.step(c, s) for c, s in inputs[20:]])


def test_reset_of_one_environment_leaves_the_others():
    device = DeviceDynamics(DeviceLimits(), 0.01, n_env=2, n_joint=1)
    for _ in range(10):
        device.step([[5.0], [5.0]], [[0.0], [0.0]])
    device.reset([0])
    assert device.torque[0, 0] == 0.0
    assert device.torque[1, 0] > 3.0
    after = device.step([[0.0], [5.0]], [[0.0], [0.0]])
    assert after[0, 0] == 0.0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (dict(rate_limit=20.0), "reach the maximum torque"),
        (dict(power_limit=5.0), "rad/s"),
        (dict(delay_s=-0.01), "delay_s"),
        (dict(max_torque=0.0), "max_torque"),
        (dict(max_torque=float("nan")), "max_torque"),
        (dict(bandwidth_hz=float("inf")), "bandwidth_hz"),
        (dict(max_torqe=3.0), "max_torque, rate_limit"),
    ],
)
def test_limits_that_cannot_be_are_refused_in_words(fields, says):
    with pytest.raises(InputError, match=says):
        DeviceLimits(**fields)


def test_limits_survive_json_and_bad_json_is_refused():
    limits = DeviceLimits(max_torque=12.0, delay_s=0.02)
    assert DeviceLimits.model_validate_json(limits.model_dump_json()) == limits
    with pytest.raises(InputError, match="max_torque"):
        DeviceLimits.model_validate_json('{"max_torque": -1}')
    with pytest.raises(InputError, match="reach the maximum torque"):
        limits.changed(max_torque=200.0)


def test_a_nested_configuration_says_where_the_fault_is():
    class Outer(Config):
        limits: DeviceLimits = DeviceLimits()

    with pytest.raises(InputError, match=r"limits\.delay_s"):
        Outer(limits={"delay_s": -1})
    with pytest.raises(InputError, match=r"limits\.delay_s"):
        Outer.model_validate({"limits": {"delay_s": -1}})


@pytest.mark.parametrize("dt", [0.0, -0.1, float("nan"), float("inf")])
def test_a_time_step_that_is_none_is_refused(dt):
    with pytest.raises(InputError, match="time step"):
        DeviceDynamics(DeviceLimits(), dt)


def test_wrong_shapes_and_foreign_snapshots_are_refused():
    device = DeviceDynamics(DeviceLimits(), 0.01, n_env=1, n_joint=2)
    with pytest.raises(InputError, match=r"\(1, 2\)"):
        device.step([1.0, 2.0], [[0.0, 0.0]])
    with pytest.raises(InputError, match="snapshot"):
        device.restore(DeviceDynamics(DeviceLimits(), 0.001).snapshot())
    with pytest.raises(InputError, match="at least 1"):
        DeviceDynamics(DeviceLimits(), 0.01, n_env=0)
