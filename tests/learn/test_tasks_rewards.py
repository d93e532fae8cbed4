"""Reward terms against hand-computed cases."""

import math

import numpy as np
import pytest

from osim_exo.learn.tasks.config import ImitateReward, WalkReward
from osim_exo.learn.tasks.curriculum import Effort
from osim_exo.learn.tasks.rewards import ImitateTerms, Outcome, WalkTerms, squared_slip
from osim_exo.learn.tasks.senses import Reading
from osim_exo.learn.tasks.strides import Posture
from osim_exo.physics.base import PhysicsNames

NAMES = PhysicsNames(
    coordinates=(
        "pelvis_tilt",
        "pelvis_tx",
        "pelvis_ty",
        "lumbar_extension",
        "hip_flexion_r",
        "hip_flexion_l",
    ),
    muscles=("soleus_r", "soleus_l"),
    exo=("exo_hip_r", "exo_hip_l"),
    exo_coordinates=("hip_flexion_r", "hip_flexion_l"),
    others=("lumbar_torque",),
)


def outcome(**changes):
    """One walker that does everything right: at speed, upright as wanted, without effort."""
    given = {
        "coordinates": [0.0, 0.0, 0.9, -0.05, 0.0, 0.0],
        "speeds": [0.0, 1.25, 0.0, 0.0, 0.0, 0.0],
        "activations": [0.0, 0.0],
        "ground": [0.0, 0.5, 0.0, 0.5],
        "exo_torque": [0.0, 0.0],
        "slope": 0.0,
        "mass_centre_speed": [1.25, 0.0, 0.0],
        "passive_moment": [0.0] * 6,
        "commanded": 1.25,
        "mean_speed": 1.25,
        "excitation_change": [0.0, 0.0],
        "torque_change": [0.0, 0.0],
        "fallen": False,
        **changes,
    }
    rows = {name: np.array([value]) for name, value in given.items() if name != "target"}
    reading = Reading(*(rows.pop(name) for name in list(rows)[:6]))
    return Outcome(reading, **rows, target=changes.get("target"))


OPTIONAL = {
    "load_change": [0.0, 0.0],
    "metabolic_rate": 0.0,
    "trunk_torque": 0.0,
    "slip": 0.0,
}
"""What only terms that may be left out need."""


def walk(case, **weights):
    terms, _ = WalkTerms(WalkReward(**weights), NAMES, 15.0, 75.0)(case, -5.0)
    return {name: float(values[0]) for name, values in terms.items()}


def test_a_perfect_step_earns_speed_and_life_and_costs_nothing():
    terms = walk(outcome())
    assert terms.pop("speed") == pytest.approx(1.0)
    assert terms.pop("alive") == pytest.approx(0.2)
    assert set(terms.values()) == {0.0}


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"mean_speed": 1.05}, "speed", 0.6 * math.exp(-1.0) + 0.4),
        ({"mass_centre_speed": [1.75, 0.0, 0.0]}, "speed", 0.6 + 0.4 * math.exp(-1.0)),
        ({"coordinates": [0.2, 0, 0.9, 0.25, 0, 0]}, "speed", math.exp(-4.0 * 0.5**2)),
        ({"speeds": [1.0, 1.25, 0, 1.0, 0, 0]}, "speed", math.exp(-0.02 * 4.0)),
        ({"mass_centre_speed": [1.25, 0.5, 0.0]}, "speed", math.exp(-0.25)),
        ({"activations": [0.2, 0.4]}, "effort", -5.0 * 0.1),
        ({"excitation_change": [0.3, 0.1]}, "smoothness", -0.3 * 0.05),
        ({"passive_moment": [0, 0, 0, 0, -12.0, 8.0]}, "joint_limits", -0.5 * 2.0),
        ({"passive_moment": [0, 0, 0, 0, 1e3, 0]}, "joint_limits", -0.5 * 5.0),
        ({"ground": [0.0, 1.5, 0.0, 1.4]}, "impact", -0.25 * 0.3),
        ({"fallen": True}, "fall", -2.0),
        ({"fallen": True}, "alive", 0.0),
        ({"exo_torque": [15.0, 0.0]}, "exo_torque", -0.01 * 0.5),
        ({"torque_change": [3.0, -3.0]}, "exo_change", -0.02 * 0.04),
    ],
)
def test_terms_of_walking(changes, name, value):
    assert walk(outcome(**changes))[name] == pytest.approx(value)


def test_trunk_lean_counts_to_gravity_on_a_slope():
    leaning = {"coordinates": [-0.1, 0, 0.9, -0.05, 0, 0], "slope": 0.1}
    assert walk(outcome(**leaning))["speed"] == pytest.approx(1.0)


def test_only_power_that_the_device_gives_costs():
    case = outcome(exo_torque=[10.0, 10.0], speeds=[0, 1.25, 0, 0, 3.0, -2.0])
    assert walk(case, exo_power=-0.5)["exo_power"] == pytest.approx(-0.5 * 30.0 / 75.0)


def test_effort_is_a_straight_cost():
    costs = [walk(outcome(activations=[a, a]))["effort"] for a in (0.1, 0.2, 0.4)]
    assert np.diff(costs) == pytest.approx([-5 * 0.03, -5 * 0.12])


def test_terms_of_imitation():
    target = Posture(
        np.array([[-0.1, 0.0, 0.8, 0.0, 0.3, 0.0]]),
        np.array([[0.0, 1.15, 0.0, 0.0, 2.0, 0.0]]),
        np.zeros((1, 2)),
    )
    judge = ImitateTerms(ImitateReward(), NAMES, 15.0)
    posture = [-0.1, 0.0, 0.9, 0.0, 0.0, 0.0]
    case = outcome(coordinates=posture, target=target, activations=[0.1, 0.3], mean_speed=1.45)
    terms, facts = judge(case, -20.0)
    assert terms["posture"][0] == pytest.approx(0.4 * math.exp(-5 * 0.09))
    assert terms["rates"][0] == pytest.approx(0.1 * math.exp(-0.05 * 4.0))
    root = -20 * 0.01 - 10 * 0.01 - 10 * 0.04
    assert terms["root"][0] == pytest.approx(0.2 * math.exp(root))
    assert terms["effort"][0] == pytest.approx(-20 * 0.05)
    assert terms["alive"][0] == pytest.approx(0.3)
    assert facts["joint_rms_rad"][0] == pytest.approx(math.sqrt(0.09 / 4))
    assert judge.misses(case.reading, target)[0] == pytest.approx(0.09)


def test_effort_grows_only_after_walking_is_learned():
    effort = Effort(-5.0, -20.0, steps=1000.0, goal=9.0)
    effort.learn(np.full(50, 2.0))
    effort.advance(500)
    assert effort.weight == -5.0
    effort.learn(np.full(2000, 10.0))
    assert effort.mean_length > 9.0
    effort.advance(500)
    assert effort.weight == pytest.approx(-12.5)
    effort.advance(5000)
    assert effort.weight == -20.0
    again = Effort(-5.0, -20.0, 1000.0, 9.0)
    again.restore(effort.snapshot())
    assert (again.weight, again.mean_length) == (effort.weight, effort.mean_length)


def test_effort_goes_back_where_walking_is_lost_and_grows_again_once_it_is_found():
    effort = Effort(-5.0, -20.0, steps=1000.0, goal=9.0)
    effort.learn(np.full(2000, 10.0))
    effort.advance(1000)
    effort.learn(np.full(500, 1.0))
    effort.advance(400)
    assert effort.weight == pytest.approx(-14.0)
    effort.advance(5000)
    assert effort.weight == -5.0
    effort.learn(np.full(2000, 10.0))
    effort.advance(100)
    assert effort.weight == pytest.approx(-6.5)


@pytest.mark.parametrize(
    ("weights", "changes", "name", "value"),
    [
        ({"effort_power": 3.0}, {"activations": [0.2, 0.4]}, "effort", -5.0 * 0.036),
        ({"loading": -2.0}, {"load_change": [0.3, -0.5]}, "loading", -2.0 * 0.09),
        ({"fore_aft": -1.5}, {"ground": [0.3, 0.5, -0.1, 0.5]}, "fore_aft", -1.5 * 0.04),
        ({"vertical": -0.4}, {"ground": [0.0, 0.9, 0.0, 0.6]}, "vertical", -0.4 * 0.25),
        ({"active_muscles": -3.0}, {"activations": [0.14, 0.4]}, "active_muscles", -3.0 * 0.5),
        ({"metabolic": -0.1}, {"metabolic_rate": 300.0}, "metabolic", -0.1 * 4.0),
        ({"trunk_effort": -0.5}, {"trunk_torque": -0.2}, "trunk_effort", -0.5 * 0.04),
        ({"slip": -0.2}, {"slip": 0.7}, "slip", -0.14),
        ({"slip": -0.2}, {"slip": 50.0}, "slip", -1.0),
        ({"pelvis_tilt": -5.0}, {"coordinates": [-0.1, 0, 0.9, 0, 0, 0]}, "pelvis_tilt", -0.05),
        ({"pelvis_rate": -0.05}, {"speeds": [2.0, 1.25, 0, -2.0, 0, 0]}, "pelvis_rate", -0.2),
    ],
)
def test_terms_that_may_be_left_out_follow_from_hand_when_weighted(weights, changes, name, value):
    case = outcome(**{**OPTIONAL, **changes})
    without = walk(case, **({} if name == "effort" else {name: 0.0}))
    assert name == "effort" or name not in without
    assert walk(case, **weights)[name] == pytest.approx(value)


def test_only_spheres_that_bear_load_slip():
    force = np.array([[0.0, 100.0, 0.0, 5.0, 19.0, 0.0, 0.0, 21.0, 0.0]])
    sliding = np.array([[0.3, 0.0, 9.0, 4.0, 0.0, 0.0, -0.2, 0.0, 0.0]])
    assert squared_slip(force, sliding) == pytest.approx([0.09 + 0.04])


def test_knees_cost_beyond_the_straightest_and_not_before():
    """The planar model bends its knees towards negative angles."""
    names = PhysicsNames((*NAMES.coordinates, "knee_angle_r", "knee_angle_l"), NAMES.muscles)
    case = outcome(coordinates=[-0.1, 0, 0.9, 0, 0, 0, -0.02, -0.4], exo_torque=[], **OPTIONAL)
    weights = WalkReward(straight_knee=-3.0, straightest_knee=0.05)
    terms, _ = WalkTerms(weights, names, 0.0, 75.0)(case, -5.0)
    assert terms["straight_knee"] == pytest.approx([-3.0 * 0.03])


def test_a_swinging_foot_costs_beyond_the_highest_ankle_and_a_loaded_one_does_not():
    names = PhysicsNames((*NAMES.coordinates, "ankle_angle_r", "ankle_angle_l"), NAMES.muscles)
    weights = WalkReward(swing_ankle=-0.5, highest_ankle=0.02)
    terms = WalkTerms(weights, names, 0.0, 75.0)
    for ground, ankles, cost in (
        ([0.0, 0.0, 0.0, 1.0], [0.12, 0.3], -0.05),
        ([0.0, 1.0, 0.0, 0.0], [0.12, 0.3], -0.14),
        ([0.0, 0.0, 0.0, 0.0], [-0.3, 0.0], 0.0),
    ):
        case = outcome(
            coordinates=[-0.1, 0, 0.9, 0, 0, 0, *ankles], ground=ground, exo_torque=[], **OPTIONAL
        )
        found, _ = terms(case, -5.0)
        assert found["swing_ankle"] == pytest.approx([cost])


def test_effort_counts_less_where_the_body_must_be_lifted():
    """1.25 m/s up a slope of 7 degrees is 9.80665 * 1.25 * sin 7 deg = 1.5 W/kg of lifting."""
    up = outcome(activations=[0.2, 0.4], slope=math.radians(7.0))
    share = 1.0 / (1.0 + 9.80665 * 1.25 * math.sin(math.radians(7.0)) / 1.5)
    assert walk(up, climb_power=1.5)["effort"] == pytest.approx(-5.0 * 0.1 * share, rel=1e-5)
    assert share == pytest.approx(0.5, abs=0.01)
    down = outcome(activations=[0.2, 0.4], slope=math.radians(-7.0))
    assert walk(down, climb_power=1.5)["effort"] == pytest.approx(-0.5)
    assert walk(up)["effort"] == pytest.approx(-0.5)
