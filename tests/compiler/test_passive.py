from typing import Any

import numpy as np
import opensim as osim
import pytest

from osim_exo.compiler import spec
from osim_exo.compiler.equations import passive
from osim_exo.errors import ModelError
from osim_exo.trial import Array
from osim_exo.units import DEG
from tests.compiler.bench_model import BenchModel, relative_error


def hinge_and_slider(*forces: Any) -> osim.Model:
    """A block on a slider that carries a hinged one."""
    model = osim.Model()
    blocks = [osim.Body(f"block{i}", 1.0, osim.Vec3(0), osim.Inertia(1)) for i in range(2)]
    slider = osim.SliderJoint("slider", model.getGround(), blocks[0])
    slider.updCoordinate().setName("x")
    hinge = osim.PinJoint("hinge", blocks[0], blocks[1])
    hinge.updCoordinate().setName("angle")
    for body, joint in zip(blocks, (slider, hinge)):
        model.addBody(body)
        model.addJoint(joint)
    for force in forces:
        model.addForce(force)
    model.finalizeConnections()
    return model


def limit(coordinate: str, scale: float, **changes: float) -> Any:
    numbers = {
        "upper_limit": 20.0,
        "upper_stiffness": 3.0,
        "lower_limit": -15.0,
        "lower_stiffness": 5.0,
        "damping": 0.2,
        "transition": 10.0,
    } | changes
    force = osim.CoordinateLimitForce()
    force.setName(f"limit_{coordinate}")
    force.set_coordinate(coordinate)
    for name, value in numbers.items():
        length = name in ("upper_limit", "lower_limit", "transition")
        getattr(force, f"set_{name}")(value * scale if length else value)
    return force


def spring(coordinate: str) -> Any:
    force = osim.SpringGeneralizedForce(coordinate)
    force.setName(f"spring_{coordinate}")
    force.setStiffness(30.0)
    force.setRestLength(0.1)
    force.setViscosity(2.5)
    return force


def expression(coordinate: str, text: str) -> Any:
    force = osim.ExpressionBasedCoordinateForce(coordinate, text)
    force.setName(f"expression_{coordinate}")
    return force


FORCES = {
    "limit of a rotation": lambda: limit("angle", 1.0),
    "limit of a translation": lambda: limit("x", 0.01),
    "limit without damping": lambda: limit("angle", 1.0, damping=0.0),
    "spring": lambda: spring("angle"),
    "expression": lambda: expression("x", "-25*q-2*qdot^3+exp(-3*q)"),
}


def states(n: int, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {"q": rng.uniform(-0.8, 0.8, (n, 2)), "u": rng.normal(0, 2, (n, 2))}


def applied(bench: BenchModel) -> Any:
    (own,) = bench.spec.forces
    return passive.apply_passive_force(own, bench.mechanics, bench.loads)


@pytest.mark.parametrize("kind", FORCES)
def test_forces_on_coordinates_equal_opensims(kind: str) -> None:
    bench = BenchModel(hinge_and_slider(FORCES[kind]()))
    record = applied(bench)
    inputs = states(80, 1)
    outputs = {"record": record, "forces": [bench.generalised(k) for k in range(2)]}
    found = bench.run(outputs, **inputs)
    own = bench.model.getForceSet().get(0)
    for i, (q, u) in enumerate(zip(inputs["q"], inputs["u"])):
        expected = own.getRecordValues(bench.set(q, u)).get(0)
        assert found["record"][i, 0] == pytest.approx(expected, rel=1e-12, abs=1e-11)
    expected = [bench.forces_in_opensim(q, u) for q, u in zip(inputs["q"], inputs["u"])]
    assert relative_error(found["forces"], expected) < 1e-10


@pytest.mark.parametrize("kind", FORCES)
def test_damping_is_minus_the_derivative_by_the_speed(kind: str) -> None:
    bench = BenchModel(hinge_and_slider(FORCES[kind]()))
    (force,) = applied(bench)
    ((column, damping),) = bench.loads.coordinates.items()
    inputs, h = states(50, 2), 1e-5
    found = bench.run({"d": [damping]}, **inputs)["d"][:, 0]
    up, down = (
        bench.run({"f": [force]}, q=inputs["q"], u=inputs["u"] + s * h * np.eye(2)[column])
        for s in (1, -1)
    )
    slope = -(up["f"] - down["f"])[:, 0] / (2 * h)
    assert found == pytest.approx(slope, rel=1e-6, abs=1e-7) and (found >= 0).all()


def test_a_limit_force_is_zero_inside_and_linear_beyond_its_transition() -> None:
    own = spec.LimitForce(
        name="knee",
        coordinate="angle",
        upper_limit=20 * DEG,
        upper_stiffness=100.0,
        lower_limit=-10 * DEG,
        lower_stiffness=50.0,
        damping=2.0,
        transition=5 * DEG,
    )
    assert passive.limit_force(own, 0.1, 7.0) == (0.0, 0.0)
    value, damping = passive.limit_force(own, 30 * DEG, 1.5)
    assert value == pytest.approx(-100.0 * 10 * DEG - 2.0 * 1.5) and damping == 2.0
    value, _ = passive.limit_force(own, -25 * DEG, 0.0)
    assert value == pytest.approx(50.0 * 15 * DEG)


def test_a_formula_that_drives_gets_no_negative_damping() -> None:
    bench = BenchModel(hinge_and_slider(expression("x", "3*qdot+sqrt(qdot)")))
    applied(bench)
    found = bench.run({"d": [bench.loads.coordinates[0]]}, q=np.zeros((3, 2)), u=np.eye(3, 2))
    assert (found["d"] == 0).all()


def test_a_locked_coordinate_gets_its_constant_force() -> None:
    model = hinge_and_slider(expression("x", "-25*q-2*qdot"), spring("angle"))
    model.updCoordinateSet().get("x").set_locked(True)
    model.updCoordinateSet().get("x").set_default_value(0.4)
    bench = BenchModel(model)
    values = [
        passive.apply_passive_force(f, bench.mechanics, bench.loads)[0] for f in bench.spec.forces
    ]
    assert values[0] == pytest.approx(-10.0)


def test_unknown_coordinates_bad_formulas_and_transitions_name_the_force() -> None:
    bench = BenchModel(hinge_and_slider())

    def refused(force: spec.PassiveForce, match: str) -> None:
        with pytest.raises(ModelError, match=match):
            passive.apply_passive_force(force, bench.mechanics, bench.loads)

    refused(
        spec.SpringForce(name="s1", coordinate="toe", stiffness=1, rest=0, viscosity=0),
        "'s1' acts on the coordinate 'toe'",
    )
    refused(
        spec.ExpressionForce(name="e1", coordinate="x", expression="k*q"),
        "formula of 'e1'.*'k' is unknown",
    )
    refused(
        spec.LimitForce(
            name="l1",
            coordinate="x",
            upper_limit=1,
            upper_stiffness=1,
            lower_limit=0,
            lower_stiffness=1,
            damping=0,
            transition=0,
        ),
        "'l1' has a transition of 0",
    )
