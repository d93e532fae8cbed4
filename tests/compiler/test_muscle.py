from typing import Any

import numpy as np
import opensim as osim
import pytest
from scipy.integrate import solve_ivp

from osim_exo.compiler.equations import activation, equilibrium, muscle
from osim_exo.compiler.symbols.expression import Graph, derivatives
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import InputError
from osim_exo.trial import Array
from tests.compiler.bench_model import BenchModel, relative_error

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "pennate": {"pennation_angle_at_optimal": 0.4, "fiber_damping": 0.05},
    "wide": {"active_force_width_scale": 1.6, "pennation_angle_at_optimal": 0.1},
    "active_only": {"ignore_passive_fiber_force": True, "fiber_damping": 0.01},
    "stiff_passive": {"passive_fiber_strain_at_one_norm_force": 0.4, "max_contraction_velocity": 7},
}
COMPLIANT = {"tendon_strain_at_one_norm_force": 0.06, "ignore_tendon_compliance": False}


def slider_model(kinds: dict[str, dict[str, Any]], compliant: bool = False) -> osim.Model:
    """A body on a slider, pulled to the ground by muscles whose path length is the coordinate."""
    model = osim.Model()
    body = osim.Body("block", 1.0, osim.Vec3(0), osim.Inertia(1))
    model.addBody(body)
    joint = osim.SliderJoint("slider", model.getGround(), body)
    joint.updCoordinate().setName("x")
    joint.updCoordinate().setRangeMin(0.0)
    joint.updCoordinate().setRangeMax(1.0)
    model.addJoint(joint)
    for name, options in kinds.items():
        own = osim.DeGrooteFregly2016Muscle()
        own.setName(name)
        own.set_max_isometric_force(1200.0)
        own.set_optimal_fiber_length(0.1)
        own.set_tendon_slack_length(0.2)
        own.set_ignore_tendon_compliance(not compliant)
        for key, value in options.items():
            getattr(own, f"set_{key}")(value)
        own.addNewPathPoint("origin", model.getGround(), osim.Vec3(0))
        own.addNewPathPoint("insertion", body, osim.Vec3(0))
        model.addForce(own)
    model.finalizeConnections()
    return model


def muscles_of(bench: BenchModel) -> list[Any]:
    found = [bench.model.getComponent(m.path_name) for m in bench.spec.muscles]
    return [osim.DeGrooteFregly2016Muscle.safeDownCast(m) for m in found]


def as_rows(state: muscle.MuscleState) -> dict[str, Any]:
    return {
        "getTendonForce": state.tendon_force,
        "getFiberLength": state.fibre_length,
        "getNormalizedFiberLength": state.normalised_length,
        "getFiberVelocity": state.fibre_velocity,
        "getActiveFiberForce": state.active_force,
        "getPassiveFiberForce": state.passive_force,
        "getCosPennationAngle": state.cos_pennation,
        "getActiveForceLengthMultiplier": state.force_length,
        "getForceVelocityMultiplier": state.force_velocity,
        "getPassiveForceMultiplier": state.passive,
    }


def compared(
    bench: BenchModel,
    states: list[muscle.MuscleState],
    extra: dict[str, list[Any]],
    **inputs: Array,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Every quantity from the expressions and from OpenSim, (n, n_muscle) each."""
    rows = [as_rows(s) for s in states]
    outputs = {key: [r[key] for r in rows] for key in rows[0]} | extra
    found = bench.run(outputs, **inputs)
    expected: dict[str, list[list[float]]] = {key: [] for key in outputs}
    for i in range(len(inputs["q"])):
        state = bench.set(inputs["q"][i], inputs["u"][i])
        for k, own in enumerate(muscles_of(bench)):
            own.setActivation(state, float(inputs["a"][i, k]))
            if "ft" in inputs:
                own.setNormalizedTendonForce(state, float(inputs["ft"][i, k]))
        bench.model.realizeAcceleration(state)
        for key in outputs:
            read = [
                own.getNormalizedTendonForceDerivative(state)
                if key == "rate"
                else getattr(own, key)(state)
                for own in muscles_of(bench)
            ]
            expected[key].append(read)
    return found, {key: np.array(rows) for key, rows in expected.items()}


def random_states(n: int, muscles: int, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {
        "q": rng.uniform(0.25, 0.36, (n, 1)),
        "u": rng.uniform(-0.8, 0.8, (n, 1)),
        "a": rng.uniform(0.01, 1.0, (n, muscles)),
    }


def test_rigid_tendon_muscles_equal_opensim() -> None:
    bench = BenchModel(slider_model(KINDS))
    a = bench.inputs("a", len(KINDS))
    x, v = bench.mechanics.q[0], bench.mechanics.u[0]
    states = [
        muscle.rigid_state(m, x, v, a[i], m.max_isometric_force, m.tendon_slack_length)
        for i, m in enumerate(bench.spec.muscles)
    ]
    found, expected = compared(bench, states, {}, **random_states(60, len(KINDS), 1))
    for key, values in expected.items():
        assert relative_error(found[key], values) < 1e-12, key


def test_a_path_shorter_than_the_tendon_gives_opensims_numbers() -> None:
    bench = BenchModel(slider_model(KINDS))
    a = bench.inputs("a", len(KINDS))
    states = [
        muscle.rigid_state(
            m,
            bench.mechanics.q[0],
            bench.mechanics.u[0],
            a[i],
            m.max_isometric_force,
            m.tendon_slack_length,
        )
        for i, m in enumerate(bench.spec.muscles)
    ]
    inputs = random_states(20, len(KINDS), 2) | {"q": np.linspace(0.1, 0.199, 20)[:, None]}
    found, expected = compared(bench, states, {}, **inputs)
    for key, values in expected.items():
        assert relative_error(found[key], values) < 1e-11, key


def compliant_bench() -> tuple[BenchModel, list[muscle.MuscleState], list[muscle.TendonRate]]:
    bench = BenchModel(slider_model({k: o | COMPLIANT for k, o in KINDS.items()}, compliant=True))
    n = len(KINDS)
    a, ft = bench.inputs("a", n), bench.inputs("ft", n)
    x, v = bench.mechanics.q[0], bench.mechanics.u[0]
    pairs = [
        muscle.compliant_state(m, x, v, a[i], m.max_isometric_force, m.tendon_slack_length, ft[i])
        for i, m in enumerate(bench.spec.muscles)
    ]
    return bench, [p[0] for p in pairs], [p[1] for p in pairs]


def near_equilibrium(bench: BenchModel, n: int, seed: int) -> dict[str, Array]:
    inputs = random_states(n, len(KINDS), seed)
    inputs["a"] = np.clip(inputs["a"], 0.1, 1.0)
    rng = np.random.default_rng(seed + 100)
    start = equilibrium.tendon_force(
        bench.spec.muscles, np.repeat(inputs["q"], len(KINDS), axis=1), inputs["a"]
    )
    return inputs | {"ft": start * rng.uniform(0.8, 1.2, start.shape) + 0.01}


def test_compliant_tendon_muscles_equal_opensim() -> None:
    bench, states, rates = compliant_bench()
    inputs = near_equilibrium(bench, 60, 3)
    extra = {"rate": [r.rate for r in rates]}
    found, expected = compared(bench, states, extra, **inputs)
    tame = (np.abs(expected["getFiberVelocity"]) < 20 * 0.1).all(axis=1)
    assert tame.sum() > 30
    for key, values in expected.items():
        assert relative_error(found[key][tame], values[tame]) < 1e-10, key


def test_tendon_rate_derivatives_equal_finite_differences() -> None:
    bench, _, rates = compliant_bench()
    inputs = near_equilibrium(bench, 30, 4)
    outputs = {
        "rate": [r.rate for r in rates],
        "by_force": [r.by_force for r in rates],
        "by_speed": [r.by_speed for r in rates],
    }
    here = bench.run(outputs, **inputs)
    for key, name, h in (("by_force", "ft", 1e-6), ("by_speed", "u", 1e-5)):
        up, down = (
            bench.run(outputs, **(inputs | {name: inputs[name] + sign * h}))["rate"]
            for sign in (1, -1)
        )
        assert relative_error(here[key], (up - down) / (2 * h)) < 1e-6


def test_rigid_damping_is_the_derivative_of_the_force_and_never_negative() -> None:
    bench = BenchModel(slider_model(KINDS))
    a, v = bench.inputs("a", len(KINDS)), bench.mechanics.u[0]
    states = [
        muscle.rigid_state(
            m, bench.mechanics.q[0], v, a[i], m.max_isometric_force, m.tendon_slack_length
        )
        for i, m in enumerate(bench.spec.muscles)
    ]
    outputs = {
        "damping": [s.damping for s in states],
        "slope": derivatives([s.tendon_force for s in states], v),
    }
    found = bench.run(outputs, **random_states(50, len(KINDS), 5))
    assert relative_error(found["damping"], found["slope"]) < 1e-11
    assert (found["damping"] >= 0).all()


def test_equilibrium_equals_opensims() -> None:
    bench, _, _ = compliant_bench()
    inputs = random_states(12, len(KINDS), 6)
    lengths = np.repeat(inputs["q"], len(KINDS), axis=1)
    speeds = np.repeat(inputs["u"], len(KINDS), axis=1)
    found = equilibrium.tendon_force(bench.spec.muscles, lengths, inputs["a"], speeds)
    for i in range(12):
        state = bench.set(inputs["q"][i], inputs["u"][i])
        for k, own in enumerate(muscles_of(bench)):
            own.setActivation(state, float(inputs["a"][i, k]))
            try:
                own.computeInitialFiberEquilibrium(state)
            except RuntimeError:
                assert found[i, k] < 1e-9 or found[i, k] > 4.9
                continue
            assert own.getNormalizedTendonForce(state) == pytest.approx(found[i, k], abs=2e-9)


def test_a_muscle_at_rest_in_equilibrium_stays_there() -> None:
    bench, states, rates = compliant_bench()
    inputs = near_equilibrium(bench, 20, 7)
    inputs["u"][:] = 0.0
    inputs["ft"] = equilibrium.tendon_force(
        bench.spec.muscles, np.repeat(inputs["q"], len(KINDS), axis=1), inputs["a"]
    )
    found = bench.run({"rate": [r.rate for r in rates]}, **inputs)
    assert np.abs(found["rate"]).max() < 1e-8


def test_equilibrium_of_a_slack_muscle_is_zero_and_bad_arrays_are_told() -> None:
    bench, _, _ = compliant_bench()
    n = len(KINDS)
    assert (equilibrium.tendon_force(bench.spec.muscles, np.full(n, 0.1), 0.5) == 0).all()
    with pytest.raises(InputError, match=f"one column per muscle|{n}"):
        equilibrium.tendon_force(bench.spec.muscles, np.zeros((3, n + 1)), 0.5)
    with pytest.raises(InputError, match="not finite"):
        equilibrium.tendon_force(bench.spec.muscles, np.full(n, np.nan), 0.5)


def tendon_course(step: float, stretch: float = 0.04) -> tuple[Array, Array]:
    """A muscle stretched at constant speed: the stepped tendon force and the exact one."""
    own = BenchModel(slider_model({"calf": COMPLIANT | {"pennation_angle_at_optimal": 0.3}}, True))
    spec = own.spec.muscles[0]
    a, ft, h = own.inputs("a", 1)[0], own.inputs("ft", 1)[0], own.inputs("h", 1)[0]
    _, rate = muscle.compliant_state(
        spec, own.mechanics.q[0], own.mechanics.u[0], a, spec.max_isometric_force, 0.2, ft
    )
    end = muscle.tendon_step(rate, h).end(0.0)
    program = Program.build(own.graph, own.sizes, {"rate": [rate.rate], "end": [end]})

    def call(name: str, t: float, force: float) -> float:
        inputs = {"q": 0.29 + stretch * t, "u": stretch, "a": 0.6, "ft": force, "h": step}
        return float(program(**{k: [[x]] for k, x in inputs.items()})[name][0, 0])

    start = float(equilibrium.tendon_force([spec], [0.29], [0.3])[0])
    times = np.arange(0.0, 0.1 + step / 2, step)
    found = [start]
    for t in times[:-1]:
        found.append(call("end", t, found[-1]))
    exact = solve_ivp(
        lambda t, y: [call("rate", t, y[0])],
        (0.0, 0.1 + step),
        [start],
        method="LSODA",
        rtol=1e-9,
        atol=1e-11,
        t_eval=times,
    )
    return np.array(found), exact.y[0]


def test_the_tendon_step_converges_to_the_exact_course_with_first_order() -> None:
    errors = [np.abs(np.subtract(*tendon_course(step))).max() for step in (0.005, 0.002, 0.001)]
    assert errors[1] < 0.02
    assert errors[0] / errors[1] > 1.8 and errors[1] / errors[2] > 1.6


def test_the_tendon_step_stays_finite_from_a_wild_start() -> None:
    bench, _, rates = compliant_bench()
    n = len(KINDS)
    h = bench.inputs("h", 1)[0]
    ends = [muscle.tendon_step(r, h).end(0.0) for r in rates]
    force = np.repeat([[-0.19], [0.0], [0.5], [2.0], [4.9]], n, axis=1)
    rows = len(force)
    inputs = {
        "q": np.full((rows, 1), 0.29),
        "a": np.full((rows, n), 0.01),
        "u": np.zeros((rows, 1)),
    }
    for _ in range(200):
        force = bench.run({"end": ends}, **inputs, ft=force, h=np.full((rows, 1), 0.002))["end"]
        assert np.isfinite(force).all() and (force >= muscle.TENDON_FORCE_FLOOR).all()
    expected = equilibrium.tendon_force(bench.spec.muscles, np.full(n, 0.29), np.full(n, 0.01))
    assert np.abs(force - expected).max() < 0.05


def test_a_compliant_muscle_without_activation_stays_finite() -> None:
    bench, states, rates = compliant_bench()
    n = len(KINDS)
    outputs = {
        "f": [s.fibre_velocity for s in states],
        "end": [muscle.tendon_step(r, 0.002).end(0.0) for r in rates],
    }
    force = np.linspace(0.0, 2.0, 20)[:, None] * np.ones(n)
    inputs = {"q": np.full((20, 1), 0.29), "u": np.zeros((20, 1)), "a": np.zeros((20, n))}
    found = bench.run(outputs, **inputs, ft=force)
    assert np.isfinite(found["f"]).all() and np.isfinite(found["end"]).all()


def test_strength_and_slack_length_can_be_inputs() -> None:
    bench = BenchModel(slider_model({"plain": {}}))
    p = bench.inputs("p", 2)
    own = bench.spec.muscles[0]
    x, v = bench.mechanics.q[0], bench.mechanics.u[0]
    state = muscle.rigid_state(own, x, v, 0.5, p[0], p[1])
    q, u = np.array([[0.3], [0.3], [0.32]]), np.zeros((3, 1))
    numbers = np.array([[1200.0, 0.2], [600.0, 0.2], [1200.0, 0.22]])
    force = bench.run({"f": [state.tendon_force]}, q=q, u=u, p=numbers)["f"][:, 0]
    assert force[1] == pytest.approx(0.5 * force[0])
    assert force[2] == pytest.approx(force[0])


def test_a_nan_state_shows_in_the_force() -> None:
    bench, states, rates = compliant_bench()
    inputs = near_equilibrium(bench, 2, 8)
    inputs["ft"][1] = np.nan
    outputs = {
        "f": [s.tendon_force for s in states],
        "r": [muscle.tendon_step(r, 0.002).end(0.0) for r in rates],
    }
    found = bench.run(outputs, **inputs)
    assert np.isfinite(found["f"][0]).all() and np.isnan(found["f"][1]).all()
    assert np.isnan(found["r"][1]).all()


CONSTANTS = activation.ActivationConstants(0.015, 0.060, 0.1)


def activation_course(scheme: str, step: float, e: float, a0: float) -> Array:
    graph = Graph()
    a = graph.inputs("a", 1)[0]
    if scheme == "euler":
        new = a + step * activation.activation_rate(a, e, CONSTANTS)
    else:
        new = activation.next_activation(a, e, CONSTANTS, step)
    program = Program.build(graph, {"a": 1}, {"a": [new]})
    course = [a0]
    for _ in range(round(0.1 / step)):
        course.append(float(program(a=[[course[-1]]])["a"][0, 0]))
    return np.array(course)


def exact_activation(step: float, e: float, a0: float) -> Array:
    graph = Graph()
    a = graph.inputs("a", 1)[0]
    rate = Program.build(graph, {"a": 1}, {"r": [activation.activation_rate(a, e, CONSTANTS)]})
    times = np.linspace(0.0, 0.1, round(0.1 / step) + 1)
    solved = solve_ivp(
        lambda t, y: rate(a=[[y[0]]])["r"][0],
        (0.0, 0.1),
        [a0],
        t_eval=times,
        rtol=1e-10,
        atol=1e-12,
    )
    return np.asarray(solved.y[0])


@pytest.mark.parametrize(("e", "a0"), [(1.0, 0.01), (0.01, 1.0), (0.4, 0.6)])
def test_the_activation_step_is_nearly_of_second_order_and_beats_euler(e: float, a0: float) -> None:
    def error(scheme: str, step: float) -> float:
        course = activation_course(scheme, step, e, a0)
        return float(np.abs(course - exact_activation(step, e, a0)).max())

    assert error("implicit", 0.002) < 0.1 * error("euler", 0.002)
    assert error("implicit", 0.002) / error("implicit", 0.001) > 2.7


def test_the_activation_step_never_passes_the_excitation() -> None:
    for step in (0.01, 0.1, 1.0):
        course = activation_course("implicit", step, 0.9, 0.05)
        assert (np.diff(course) >= 0).all() and course[-1] <= 0.9


def test_activation_rates_equal_opensim_with_the_first_muscles_constants() -> None:
    kinds: dict[str, dict[str, Any]] = {
        "first": {},
        "slow": {"activation_time_constant": 0.15, "deactivation_time_constant": 0.3},
    }
    bench = BenchModel(slider_model(kinds))
    shared = activation.activation_constants(bench.spec.muscles, shared=True)
    own = activation.activation_constants(bench.spec.muscles, shared=False)
    assert shared[1] == shared[0] == own[0] != own[1]
    a, e = bench.inputs("a", 2), bench.inputs("e", 2)
    outputs = {"rate": [activation.activation_rate(a[i], e[i], shared[i]) for i in range(2)]}
    values, controls = np.array([[0.2, 0.7]]), np.array([[0.9, 0.1]])
    found = bench.run(outputs, a=values, e=controls, q=np.full((1, 1), 0.3))["rate"][0]
    state = bench.set(np.array([0.3]), np.array([0.0]))
    for k, m in enumerate(muscles_of(bench)):
        m.setActivation(state, values[0, k])
    bench.model.realizeVelocity(state)
    bench.model.setControls(state, osim.Vector.createFromMat(controls[0]))
    bench.model.realizeAcceleration(state)
    expected = [m.getStateVariableDerivativeValue(state, "activation") for m in muscles_of(bench)]
    assert found == pytest.approx(expected, rel=1e-13)


def test_muscles_without_activation_dynamics_do_not_decide_the_shared_constants() -> None:
    kinds: dict[str, dict[str, Any]] = {
        "direct": {"ignore_activation_dynamics": True, "activation_time_constant": 0.5},
        "slow": {"activation_time_constant": 0.15},
    }
    spec = BenchModel(slider_model(kinds)).spec
    assert activation.activation_constants(spec.muscles, shared=True)[0].activation == 0.15
