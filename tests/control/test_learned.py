"""A policy's bundle as a controller: memory, timing, refusals."""

import numpy as np
import pytest

from osim_exo.control import LearnedController, Signals
from osim_exo.errors import InputError
from osim_exo.policy import Action, Interface, Policy, Signal

HIPS = tuple(
    Action(
        name=f"exo_hip_{s}",
        unit="Nm/kg",
        low=-0.2,
        high=0.2,
        squashing="clip",
        positive=f"hip_flexion_{s} positive",
    )
    for s in "rl"
)


def signal(name, delay=0.0, most=50.0):
    return Signal(name=name, unit="1", low=-most, high=most, delay_s=delay)


RATES = (signal("thigh_r/thigh_rate"), signal("thigh_l/thigh_rate"))


def policy(observations, rate_hz=50.0, history=1, actions=HIPS, seen=None):
    """Outputs are the first and the last observation over a thousand."""

    def evaluate(values):
        if seen is not None:
            seen.append(values.copy())
        return values[:, [0, -1]] * np.float32(1e-3)

    rows = {"observations": observations, "actions": actions}
    return Policy(Interface(rate_hz=rate_hz, history=history, **rows), evaluate)


def reading(time, right, left=0.0, n_env=1, **more):
    pair = np.tile([float(right), float(left)], (n_env, 1))
    zero = np.zeros((n_env, 2))
    return Signals(np.full(n_env, time), zero, zero, thigh_rate=pair, **more)


def test_torque_is_the_policys_per_kilogram_times_the_mass():
    controller = LearnedController(policy(RATES), mass=70.0)
    np.testing.assert_allclose(controller(reading(0.0, 2.0, -3.0)), [[0.14, -0.21]], rtol=1e-6)
    heavier = LearnedController(policy(RATES), mass=80.0)
    np.testing.assert_allclose(heavier(reading(0.0, 2.0, -3.0)), [[0.16, -0.24]], rtol=1e-6)


def test_torque_in_newton_metres_knows_no_mass_and_sides_are_found_by_name():
    swapped = tuple(action.changed(unit="Nm") for action in HIPS[::-1])
    controller = LearnedController(policy(RATES, actions=swapped), mass=70.0)
    np.testing.assert_allclose(controller(reading(0.0, 2.0, -3.0)), [[-0.003, 0.002]], rtol=1e-6)


def test_torque_is_held_between_the_policys_steps():
    seen = []
    controller = LearnedController(policy(RATES, seen=seen), mass=100.0)
    torques = [controller(reading(0.01 * k, k))[0, 0] for k in range(6)]
    np.testing.assert_allclose(torques, [0.0, 0.0, 0.2, 0.2, 0.4, 0.4], atol=1e-6)
    assert len(seen) == 3


@pytest.mark.parametrize("ratio", [1, 2, 3, 4, 5])
def test_an_uneven_loop_steps_the_policy_as_an_even_one(ratio):
    random, seen = np.random.default_rng(ratio), []
    controller = LearnedController(policy(RATES, seen=seen), mass=70.0)
    loop = 0.02 / ratio
    for k in range(200 * ratio):
        controller(reading(loop * (k + 0.2 * random.uniform(-1, 1)), 0.01 * k))
    stepped = np.array([s[0, 0] for s in seen]) / 0.01
    np.testing.assert_allclose(stepped, np.arange(200) * ratio, atol=1e-3)


def test_a_sample_that_comes_twice_changes_nothing():
    seen = []
    controller = LearnedController(policy(RATES, rate_hz=100.0, seen=seen), mass=70.0)
    first = controller(reading(0.0, 1.0))
    np.testing.assert_array_equal(controller(reading(0.0, 9.0)), first)
    assert len(seen) == 1


def test_history_holds_the_oldest_first_and_begins_with_the_first_reading():
    seen = []
    controller = LearnedController(policy(RATES, 100.0, history=3, seen=seen), mass=70.0)
    for k in range(4):
        controller(reading(0.01 * k, k + 1, -k - 1))
    np.testing.assert_array_equal(seen[0], [[1, -1, 1, -1, 1, -1]])
    np.testing.assert_array_equal(seen[1], [[1, -1, 1, -1, 2, -2]])
    np.testing.assert_array_equal(seen[3], [[2, -2, 3, -3, 4, -4]])


def test_lags_look_back_and_combine_with_a_history():
    seen = []
    rows = (*RATES, signal("thigh_r/thigh_rate/@20ms", 0.02))
    controller = LearnedController(policy(rows, 100.0, history=2, seen=seen), mass=70.0)
    for k in range(5):
        controller(reading(0.01 * k, k, 10 * k))
    np.testing.assert_array_equal(seen[4], [[3, 30, 1, 4, 40, 2]])


def test_lost_samples_are_filled_with_the_last_one():
    seen = []
    controller = LearnedController(policy(RATES, 100.0, history=4, seen=seen), mass=70.0)
    for k in (0, 1, 4):
        controller(reading(0.01 * k, k))
    np.testing.assert_array_equal(seen[-1][0, ::2], [1, 1, 1, 4])


def test_the_delivered_torque_is_seen_over_its_largest():
    seen = []
    rows = (*RATES, signal("exo_hip_l/torque", most=1.0))
    controller = LearnedController(policy(rows, seen=seen), mass=50.0)
    controller(reading(0.0, 0.0, torque=np.array([[3.0, 2.5]])))
    assert seen[0][0, 2] == pytest.approx(2.5 / (0.2 * 50.0))


def test_readings_beyond_their_bounds_are_clipped():
    seen = []
    LearnedController(policy(RATES, seen=seen), mass=70.0)(reading(0.0, 400.0, -400.0))
    np.testing.assert_array_equal(seen[0], [[50.0, -50.0]])


def test_some_environments_begin_anew_with_clocks_of_their_own():
    seen = []
    controller = LearnedController(policy(RATES, 50.0, history=2, seen=seen), mass=70.0)
    controller(reading(0.0, 1.0, n_env=2))
    controller(reading(0.01, 2.0, n_env=2))
    controller.reset(2, [1])
    pair = np.array([[3.0, 0.0], [7.0, 0.0]])
    controller(Signals(np.array([0.02, 0.0]), 0 * pair, 0 * pair, thigh_rate=pair))
    np.testing.assert_array_equal(seen[-1], [[1, 0, 3, 0], [7, 0, 7, 0]])
    controller(Signals(np.array([0.03, 0.01]), 0 * pair, 0 * pair, thigh_rate=pair))
    assert len(seen) == 2


def test_a_clock_that_went_back_begins_anew():
    seen = []
    controller = LearnedController(policy(RATES, 100.0, history=2, seen=seen), mass=70.0)
    controller(reading(5.0, 1.0))
    controller(reading(0.0, 2.0))
    np.testing.assert_array_equal(seen[-1], [[2, 0, 2, 0]])


@pytest.mark.parametrize("name", ["pelvis_tilt", "soleus_r/activation", "knee_angle_r/joint_angle"])
def test_what_no_device_measures_is_refused(name):
    with pytest.raises(InputError, match=f"does not measure: {name}.*osim-exo distil"):
        LearnedController(policy((*RATES, signal(name))), mass=70.0)


def test_what_this_device_does_not_measure_is_refused_at_once_or_when_it_is_missing():
    with pytest.raises(InputError, match="thigh_r/thigh_rate, thigh_l/thigh_rate"):
        LearnedController(policy(RATES), mass=70.0, measured=("hip_angle", "hip_speed"))
    zero = np.zeros((1, 2))
    with pytest.raises(InputError, match="have no thigh_rate"):
        LearnedController(policy(RATES), mass=70.0)(Signals([0.0], zero, zero))


@pytest.mark.parametrize(
    "actions",
    [
        HIPS[:1],
        (HIPS[0], HIPS[1].changed(name="soleus_l", unit="1")),
        tuple(a.changed(positive="ankle_angle positive") for a in HIPS),
    ],
)
def test_policies_that_drive_something_else_are_refused(actions):
    with pytest.raises(InputError, match="one torque for each hip"):
        LearnedController(policy(RATES, actions=actions), mass=70.0)


@pytest.mark.parametrize("mass", [0.0, 500.0, float("nan")])
def test_a_mass_that_nobody_has_is_refused(mass):
    with pytest.raises(InputError, match="20 to 200 kg"):
        LearnedController(policy(RATES), mass=mass)
