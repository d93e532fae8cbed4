"""A strap is the analytic spring and damper, keeps momentum and energy, and limits stay limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from osim_exo.device import DeviceDynamics, DeviceLimits
from osim_exo.errors import InputError
from osim_exo.strap import Strap, free_motion

WIDE = dict(max_torque=100.0, rate_limit=1e6, bandwidth_hz=1e4, delay_s=0.0, power_limit=1e5)
"""Limits that a few Nm do not touch, so that the strap shows alone."""


@pytest.mark.parametrize("damping", [0.0, 0.9, 2 * math.sqrt(135.0 * 0.005), 5.0, 50.0])
@pytest.mark.parametrize("dt", [0.0005, 0.01])
def test_the_free_motion_is_the_matrix_exponential(damping, dt):
    k, j = 135.0, 0.005
    matrix = expm(dt * np.array([[0.0, 1.0], [-k / j, -damping / j]]))
    np.testing.assert_allclose(free_motion(k, damping, j, dt), matrix.ravel(), atol=1e-7)


@pytest.mark.parametrize("dt", [0.0005, 0.002])
def test_a_held_limb_feels_the_torque_that_an_independent_integrator_gives(dt):
    strap = Strap(stiffness=200.0, damping=1.0, inertia=0.01)
    device = DeviceDynamics(DeviceLimits(strap=strap, **WIDE), dt, n_env=1, n_joint=1)
    device.reset(angle=0.3)
    steps = round(0.1 / dt)
    mean = np.array([device.step([[5.0]], [[0.0]], [[0.3]])[0, 0] for _ in range(steps)])

    def rates(_, x):
        return [x[1], (5.0 - 200.0 * x[0] - 1.0 * x[1]) / 0.01, 200.0 * x[0] + 1.0 * x[1]]

    ends = np.linspace(0.0, steps * dt, steps + 1)
    exact = solve_ivp(rates, (0.0, ends[-1]), [0.0] * 3, t_eval=ends, rtol=1e-10, atol=1e-12)
    # The lag of 1e4 Hz takes 16 us to let the command through.
    np.testing.assert_allclose(mean, np.diff(exact.y[2]) / dt, atol=0.05)
    assert mean[-1] == pytest.approx(5.0, abs=0.05) and mean.max() > 5.2


def test_a_stiff_light_strap_is_nearly_rigid():
    limits = DeviceLimits(max_torque=15.0, bandwidth_hz=8.0, delay_s=0.03)
    strap = Strap(stiffness=5e3, damping=5.0, inertia=1e-4)
    rigid = DeviceDynamics(limits, 0.001, n_env=1, n_joint=1)
    strapped = DeviceDynamics(limits.changed(strap=strap), 0.001, n_env=1, n_joint=1)
    time = 0.001 * np.arange(2000)
    angle, speed = 0.5 * np.sin(6 * time), 3.0 * np.cos(6 * time)
    strapped.reset(angle=angle[0], speed=speed[0])
    command = 14 * np.sin(9 * time)
    torques = [
        (rigid.step([[c]], [[v]])[0, 0], strapped.step([[c]], [[v]], [[q]])[0, 0])
        for c, q, v in zip(command, angle, speed)
    ]
    a, b = np.array(torques).T
    np.testing.assert_allclose(b, a, atol=0.1)


def test_what_the_drive_gives_is_stored_lost_or_on_the_limb():
    strap = Strap(stiffness=150.0, damping=0.8, inertia=0.006)
    dt = 1e-4
    device = DeviceDynamics(DeviceLimits(strap=strap, **WIDE), dt, n_env=1, n_joint=1)
    angle, speed = 0.0, 2.0
    device.reset(angle=angle, speed=speed)
    given = body = lost = 0.0
    for k in range(10_000):
        time = k * dt
        before = device.snapshot().strap
        torque = device.step([[8 * np.sin(8 * time)]], [[speed]], [[angle]])[0, 0]
        drive, rotor, pace = device.snapshot().strap[:, 0, 0]
        given += dt * drive * 0.5 * (pace + before[2, 0, 0])
        body += dt * torque * speed
        slip = 0.5 * (pace + before[2, 0, 0]) - speed
        lost += dt * strap.damping * slip**2
        angle += dt * speed
        speed = 2.0 * np.cos(6 * (time + dt))
    stored = 0.5 * strap.stiffness * (rotor - angle) ** 2 + 0.5 * strap.inertia * pace**2
    began = 0.5 * strap.inertia * 4.0
    assert lost > 0.0 and abs(given) > 1.0
    assert given == pytest.approx(body + lost + stored - began, abs=0.02)


def test_the_limb_gets_the_momentum_that_the_rotor_does_not():
    strap = Strap()
    device = DeviceDynamics(DeviceLimits(strap=strap), 0.002, n_env=1, n_joint=1)
    random = np.random.default_rng(3)
    for _ in range(50):
        before = device.drive_speed
        torque = device.step(
            random.uniform(-15, 15, (1, 1)), random.uniform(-5, 5, (1, 1)), [[0.1]]
        )
        gained = strap.inertia * (device.drive_speed - before)
        np.testing.assert_allclose(gained, 0.002 * (device.drive_torque - torque), atol=1e-12)


any_float = st.floats(allow_nan=True, allow_infinity=True, width=64)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(10.0, 5e3),
    st.floats(0.0, 50.0),
    st.floats(1e-4, 0.05),
    st.floats(1e-4, 0.02),
    st.lists(st.tuples(any_float, st.floats(-20, 20), st.floats(-2, 2)), max_size=30),
)
def test_the_drive_keeps_its_limits_whatever_is_commanded(k, c, j, dt, inputs):
    limits = DeviceLimits(strap=Strap(stiffness=k, damping=c, inertia=j))
    device = DeviceDynamics(limits, dt, n_env=1, n_joint=1)
    for command, speed, angle in inputs:
        before = device.drive_speed[0, 0]
        torque = device.step([[command]], [[speed]], [[angle]])[0, 0]
        drive = device.drive_torque[0, 0]
        assert math.isfinite(torque) and math.isfinite(device.drive_speed[0, 0])
        assert abs(drive) <= limits.max_torque * (1 + 1e-12)
        assert abs(drive * before) <= limits.power_limit * (1 + 1e-12)


def test_a_joint_of_which_nothing_is_known_gets_no_torque_and_the_strap_goes_on():
    device = DeviceDynamics(DeviceLimits(strap=Strap()), 0.002, n_env=1, n_joint=2)
    for _ in range(20):
        device.step([[9.0, 9.0]], [[0.0, 0.0]], [[0.0, 0.0]])
    torque = device.step([[9.0, 9.0]], [[np.nan, 0.0]], [[0.0, np.inf]])
    np.testing.assert_array_equal(torque, 0.0)
    assert not device.drive_torque.any()
    later = [device.step([[9.0, 9.0]], [[0.0, 0.0]], [[0.0, 0.0]]) for _ in range(100)]
    np.testing.assert_allclose(later[-1], 9.0, atol=0.1)


def test_snapshots_hold_the_strap_and_resets_forget_it():
    device = DeviceDynamics(DeviceLimits(strap=Strap()), 0.002, n_env=2, n_joint=1)
    random = np.random.default_rng(4)
    inputs = random.standard_normal((40, 3, 2, 1))
    for command, speed, angle in inputs[:20]:
        device.step(10 * command, speed, angle)
    state = device.snapshot()
    first = [device.step(10 * c, s, a) for c, s, a in inputs[20:]]
    device.restore(state)
    np.testing.assert_array_equal(first, [device.step(10 * c, s, a) for c, s, a in inputs[20:]])
    other = device.torque[1, 0]
    device.reset([0], angle=[[0.7]], speed=[[1.5]])
    assert device.drive_speed[0, 0] == 1.5 and device.torque[1, 0] == other
    np.testing.assert_allclose(
        device.step(np.zeros((2, 1)), [[1.5], [0.0]], [[0.7], [0.0]])[0], 0.0, atol=1e-9
    )
    with pytest.raises(InputError, match="only one of them has a strap"):
        DeviceDynamics(DeviceLimits(), 0.002, n_env=2, n_joint=1).restore(state)


def test_a_strap_needs_angles_and_a_rigid_device_is_written_as_before():
    device = DeviceDynamics(DeviceLimits(strap=Strap()), 0.002)
    with pytest.raises(InputError, match="angle"):
        device.step([[0.0, 0.0]], [[0.0, 0.0]])
    with pytest.raises(InputError, match=r"strap\.stiffness"):
        DeviceLimits(strap={"stiffness": -1.0})
    assert "strap" not in DeviceLimits().model_dump()
    strapped = DeviceLimits(strap=Strap(stiffness=300.0))
    assert DeviceLimits.model_validate_json(strapped.model_dump_json()) == strapped
