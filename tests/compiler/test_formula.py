import math
from typing import Any

import numpy as np
import opensim as osim
import pytest

from osim_exo.compiler.symbols import elementary, formula
from osim_exo.compiler.symbols.expression import Graph
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import ModelError
from osim_exo.trial import Array

osim.Logger.removeFileSink()
osim.Logger.setLevelString("error")

FORMULAS = (
    "-25*q-2*qdot",
    "-q^2",
    "2^-q^2",
    "q-qdot-1",
    "8/q/2",
    "-2*-q+3",
    "2^3^0.5*q",
    "(q+1)*(qdot-2)/(q*q+1)",
    "3.5*exp(-12.3*(q+0.5))-2.1E-1*exp(8e0*(q-.7))",
    "sqrt(abs(qdot))+cube(q)-square(qdot)+recip(q+5)",
    "sin(q)*cos(qdot)+tan(q)/sec(q)-csc(q+4)*cot(q+4)",
    "asin(q/3)+acos(qdot/7)+atan(q*qdot)",
    "sinh(q)-cosh(qdot/3)+tanh(q)",
    "step(q)*q+min(q,qdot)-max(q, 0.3)",
    "delta(q)+step(0)",
    "log(q+4)^2.5+(q+3)^qdot",
    "q^7+(q+9)^-3",
    "a*b; a=q+b; b=2*qdot",
)


def lepton(text: str, q: Array, qdot: Array) -> Array:
    """What OpenSim's own parser makes of a formula, from the force of a slider's coordinate."""
    model = osim.Model()
    body = osim.Body("block", 1.0, osim.Vec3(0), osim.Inertia(1))
    model.addBody(body)
    joint = osim.SliderJoint("slider", model.getGround(), body)
    joint.updCoordinate().setName("x")
    model.addJoint(joint)
    force = osim.ExpressionBasedCoordinateForce("x", text)
    force.setName("formula")
    model.addForce(force)
    state = model.initSystem()
    own = model.getForceSet().get(0)
    coordinate = model.getCoordinateSet().get(0)
    found = []
    for a, b in zip(q, qdot):
        coordinate.setValue(state, a)
        coordinate.setSpeedValue(state, b)
        model.realizeDynamics(state)
        found.append(own.getRecordValues(state).get(0))
    return np.array(found)


def ours(text: str, q: Array, qdot: Array) -> Array:
    graph = Graph()
    x = graph.inputs("x", 2)
    value = formula.parse(text, {"q": x[0], "qdot": x[1]}, "spring")
    return Program.build(graph, {"x": 2}, {"y": [value]})(x=np.stack([q, qdot], 1))["y"][:, 0]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_mean_what_they_mean_in_opensim(text: str) -> None:
    rng = np.random.default_rng(1)
    q, qdot = rng.uniform(-2, 2, 40), rng.uniform(-4, 4, 40)
    expected = lepton(text, q, qdot)
    assert ours(text, q, qdot) == pytest.approx(expected, rel=2e-13, abs=1e-14)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("k*q", "'k' is unknown; its variables are q, qdot"),
        ("q+", "ends too early"),
        ("", "ends too early"),
        ("(q", "not closed"),
        ("q)", "not expected"),
        ("2 q", "not expected"),
        ("+q", "not expected"),
        ("q**2", "not expected"),
        ("sin()", "not expected"),
        ("sin(q,2)", "does not take 2 arguments"),
        ("erf(q)", "no function that can be compiled"),
        ("__import__(q)", "no function"),
        ("q.real", "'.' is not understood"),
        ("q[0]", "is not understood"),
        ("sqrt(-1)*q", "has no value"),
        ("1/0", "has no value"),
        ("(-8)^0.5", "has no value"),
        ("q; =3", "defines no name"),
        ("(" * 150 + "q" + ")" * 150, "nested deeper"),
    ],
)
def test_bad_formulas_are_refused_by_name(text: str, problem: str) -> None:
    graph = Graph()
    x = graph.inputs("x", 2)
    with pytest.raises(ModelError) as told:
        formula.parse(text, {"q": x[0], "qdot": x[1]}, "ankle spring")
    assert "'ankle spring'" in str(told.value) and problem in str(told.value)


def evaluated(function: Any, *values: Array) -> Array:
    graph = Graph()
    x = graph.inputs("x", len(values))
    program = Program.build(graph, {"x": len(values)}, {"y": [function(*x)]})
    return program(x=np.stack(values, 1))["y"][:, 0]


def test_the_arctangent_has_full_precision_all_around() -> None:
    rng = np.random.default_rng(2)
    angle = np.concatenate([rng.uniform(-3.14, 3.14, 4000), [0.0, 1e-9, -1e-300, math.pi / 2]])
    radius = np.exp(rng.uniform(-20, 20, len(angle)))
    y, x = radius * np.sin(angle), radius * np.cos(angle)
    expected = np.arctan2(y, x)
    assert evaluated(elementary.arctangent, y, x) == pytest.approx(expected, rel=5e-15, abs=0)
    assert elementary.arctangent(-1.0, 0.0) == pytest.approx(-math.pi / 2, rel=1e-15)


def test_powers_equal_numpys() -> None:
    x = np.random.default_rng(3).uniform(0.1, 5, 200)
    for exponent in (0, 1, 2, 7, 64, -3, 0.5, 2.5, -1.5, 0.3, 70):
        found = evaluated(lambda b, n=exponent: elementary.power(b, n) + 0.0 * b, x)
        assert found == pytest.approx(x**exponent, rel=3e-14)
    assert elementary.power(2.0, -2) == 0.25
