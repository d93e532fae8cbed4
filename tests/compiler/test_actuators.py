from typing import Any

import numpy as np
import opensim as osim
import pytest

from osim_exo.compiler import spec
from osim_exo.compiler.equations import actuators
from osim_exo.errors import ModelError
from tests.compiler.bench_model import BenchModel
from tests.compiler.test_paths import fixed, leg_model, random_states


def torque(axis: tuple[float, float, float], in_ground: bool) -> Any:
    actuator = osim.TorqueActuator()
    actuator.setName("torque")
    actuator.set_bodyA("link2")
    actuator.set_bodyB("link0")
    actuator.setAxis(osim.Vec3(*axis))
    actuator.setTorqueIsGlobal(in_ground)
    actuator.setOptimalForce(40.0)
    return actuator


def coordinate(kind: Any) -> Any:
    actuator = kind()
    actuator.setName("drive")
    actuator.set_coordinate("angle1")
    actuator.setOptimalForce(25.0)
    return actuator


def compared(actuator: Any) -> None:
    model = leg_model(fixed((0, (0, 1, 0)), (1, (0, -0.1, 0))))
    model.updForceSet().setSize(0)
    model.addForce(actuator)
    model.finalizeConnections()
    bench = BenchModel(model)
    control = bench.inputs("c", 1)[0]
    (own,) = bench.spec.actuators
    value = actuators.apply_actuator(own, control, bench.mechanics, bench.loads)
    inputs = random_states(20, 1)
    signals = np.random.default_rng(2).normal(size=(20, 1))
    outputs = {"f": [bench.generalised(k) for k in range(3)], "value": [value]}
    found = bench.run(outputs, **inputs, c=signals)
    force = osim.ScalarActuator.safeDownCast(bench.model.getForceSet().get(0))
    expected = []
    for q, u, c in zip(inputs["q"], inputs["u"], signals):
        order, needed = bench.speed_order(), []
        for on in (False, True):
            state = bench.set(q, u)
            force.setAppliesForce(state, on)
            bench.model.realizeVelocity(state)
            if actuators.has_activation(own):
                force.setStateVariableValue(state, "activation", float(c[0]))
            else:
                bench.model.setControls(state, osim.Vector(1, float(c[0])))
            bench.model.realizeDynamics(state)
            solver = osim.InverseDynamicsSolver(bench.model)
            solved = solver.solve(state, osim.Vector(state.getNU(), 0.0))
            needed.append(np.array([solved.get(i) for i in order]))
        expected.append(needed[0] - needed[1])
    assert np.abs(found["f"] - expected).max() < 1e-12 * np.abs(expected).max()
    assert found["value"] == pytest.approx(signals * force.getOptimalForce())


@pytest.mark.parametrize("in_ground", [True, False])
def test_torque_actuators_equal_opensims(in_ground: bool) -> None:
    compared(torque((0.3, -0.2, 2.0), in_ground))


@pytest.mark.parametrize("kind", [osim.CoordinateActuator, osim.ActivationCoordinateActuator])
def test_coordinate_actuators_equal_opensims(kind: Any) -> None:
    compared(coordinate(kind))


def lagged(time: float | None) -> spec.CoordinateActuator:
    return spec.CoordinateActuator(
        name="drive",
        path="/drive",
        coordinate="angle1",
        optimal_force=1.0,
        min_control=None,
        max_control=None,
        activation_time=time,
    )


def test_the_lag_is_exact_for_a_held_control() -> None:
    value = 0.2
    for _ in range(10):
        value = actuators.next_activation(lagged(0.04), value, 1.0, 0.01)
    assert value == pytest.approx(1.0 - 0.8 * np.exp(-0.1 / 0.04))
    assert actuators.activation_rate(lagged(0.04), 0.2, 1.0) == pytest.approx(20.0)


def test_bad_actuators_are_refused_by_name() -> None:
    bench = BenchModel(leg_model(fixed((0, (0, 1, 0)), (1, (0, -0.1, 0)))))
    with pytest.raises(ModelError, match="'drive' has no activation time"):
        actuators.activation_rate(lagged(None), 0.0, 1.0)
    nowhere = lagged(None).model_copy(update={"coordinate": "toe"})
    with pytest.raises(ModelError, match="'drive' acts on the coordinate 'toe'"):
        actuators.apply_actuator(nowhere, 1.0, bench.mechanics, bench.loads)
    pointless = spec.TorqueActuator(
        name="twist",
        path="/twist",
        body1="/bodyset/link1",
        body2="/ground",
        axis=(0.0, 0.0, 0.0),
        axis_in_ground=True,
        optimal_force=1.0,
        min_control=None,
        max_control=None,
    )
    with pytest.raises(ModelError, match="'twist' has the axis 0, 0, 0"):
        actuators.apply_actuator(pointless, 1.0, bench.mechanics, bench.loads)
