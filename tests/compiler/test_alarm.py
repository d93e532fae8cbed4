"""The step's own look at its result: no alarm without a reason, none missed."""

import numpy as np
import pytest

from osim_exo.compiler.equations.alarm import FASTEST, SINGULAR_ANGLE, Orientations
from osim_exo.compiler.equations.model import Equations
from tests.compiler import specs
from tests.compiler.test_equations import inputs


def free_body():
    names = ["a", "b", "c", "x", "y", "z"]
    return specs.model(
        [specs.body("brick", mass=3.0)], [specs.joint("free", "free", "ground", "brick", names)]
    )


def alarms(equations, coordinates, speeds, **more):
    given = inputs(equations, coordinates, speeds, **more)
    return equations.step_program(watched=True)(**given)["alarm"][:, 0]


def test_who_moves_calmly_raises_none():
    equations = Equations(free_body())
    rng = np.random.default_rng(0)
    q = rng.uniform(-1.0, 1.0, (50, 6))
    np.testing.assert_array_equal(alarms(equations, q, rng.normal(size=(50, 6))), 0.0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_raises_one(wrong):
    equations = Equations(free_body())
    q, u = np.zeros((12, 6)), np.zeros((12, 6))
    q[np.arange(6), np.arange(6)] = wrong
    u[6 + np.arange(6), np.arange(6)] = wrong
    np.testing.assert_array_equal(alarms(equations, q, u), 1.0)


def test_a_speed_beyond_the_fastest_raises_one():
    equations = Equations(free_body())
    u = np.zeros((3, 6))
    u[:, 3] = 0.99 * FASTEST, 1.01 * FASTEST, -1.01 * FASTEST
    np.testing.assert_array_equal(alarms(equations, np.zeros((3, 6)), u), [0.0, 1.0, 1.0])


def test_alarm_and_look_agree_where_an_orientation_is_singular():
    spec = free_body()
    equations = Equations(spec)
    q = np.zeros((400, 6))
    q[:, 1] = np.linspace(-np.pi, np.pi, 400)
    near = Orientations(spec).near(q)
    assert 4 * SINGULAR_ANGLE / (2 * np.pi) == pytest.approx(near.mean(), abs=0.01)
    np.testing.assert_array_equal(alarms(equations, q, np.zeros((400, 6))), near)
