import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import opensim as osim
import pytest

from osim_exo.analysis import metabolics as reference
from osim_exo.analysis.metabolics import BhargavaOptions, UmbergerOptions
from osim_exo.compiler.equations import metabolics
from osim_exo.compiler.equations.muscle import MuscleState, rigid_state
from osim_exo.compiler.spec import Constant, FunctionPath, Muscle
from osim_exo.compiler.symbols.expression import Graph
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import InputError
from osim_exo.trial import Array, MuscleParameters
from tests.compiler.bench_model import BenchModel, relative_error
from tests.compiler.test_muscle import KINDS, muscles_of, random_states, slider_model

MUSCLE = Muscle(
    name="soleus",
    path_name="/soleus",
    path=FunctionPath(coordinates=("x",), length=Constant(value=0.3)),
    max_isometric_force=1500.0,
    optimal_fibre_length=0.08,
    tendon_slack_length=0.2,
    pennation_at_optimal=0.2,
    max_contraction_velocity=10.0,
    rigid_tendon=True,
    activation_time=0.015,
    deactivation_time=0.06,
    active_force_width=1.0,
    fibre_damping=0.0,
    passive_strain=0.6,
    tendon_strain=0.05,
    slow_fraction=0.7,
    specific_tension=0.3e6,
)
PARAMETERS = MuscleParameters(1500.0, 0.08, 10.0, 0.2, 0.7, 0.3e6)

INPUTS = ("excitation", "activation", "length", "velocity", "active", "passive", "force_length")

BHARGAVA = [
    BhargavaOptions(
        smoothing=smoothing,  # type: ignore[arg-type]
        use_force_dependent_shortening_prop_constant=force_dependent,
        include_negative_mechanical_work=negative,
        forbid_negative_total_power=forbid,
        enforce_minimum_heat_rate_per_muscle=least,
        velocity_smoothing=8.0,
        power_smoothing=12.0,
        heat_rate_smoothing=9.0,
    )
    for smoothing in ("none", "tanh", "huber")
    for force_dependent, negative, forbid, least in (
        (False, True, True, True),
        (True, False, True, True),
        (False, False, False, False),
        (True, True, True, False),
    )
] + [BhargavaOptions(muscle_effort_scaling_factor=0.7)]

UMBERGER = [
    UmbergerOptions(
        use_bhargava_recruitment_model=recruited,
        include_negative_mechanical_work=negative,
        forbid_negative_total_power=forbid,
        enforce_minimum_heat_rate_per_muscle=forbid,
    )
    for recruited, negative, forbid in itertools.product((True, False), repeat=3)
] + [UmbergerOptions(aerobic_factor=1.0, muscle_effort_scaling_factor=1.3)]


def program(options: Any) -> Program:
    graph = Graph()
    e, a, length, velocity, active, passive, force_length = graph.inputs("x", 7)
    state = MuscleState(
        tendon_force=0.0,
        damping=0.0,
        fibre_length=0.0,
        normalised_length=length,
        fibre_velocity=velocity,
        normalised_velocity=0.0,
        active_force=active,
        passive_force=passive,
        cos_pennation=1.0,
        force_length=force_length,
        force_velocity=1.0,
        passive=0.0,
    )
    mass = metabolics.muscle_mass(MUSCLE, 1500.0)
    given = metabolics.MetabolicInput(MUSCLE, state, e, a, 1500.0, mass)
    if isinstance(options, BhargavaOptions):
        rates = metabolics.bhargava2004(given, options)
    else:
        rates = metabolics.umberger2010(given, options)
    parts = [rates.total, rates.heat, rates.shortening, rates.work]
    return Program.build(graph, {"x": 7}, {"rates": parts})


def samples(n: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    low = [0.0, 0.01, 0.3, -0.8, -50.0, -20.0, 0.0]
    high = [1.0, 1.0, 1.7, 0.8, 1500.0, 300.0, 1.0]
    return rng.uniform(low, high, (n, 7))


def expected(x: Array, options: Any) -> Array:
    columns = [c[:, None] for c in x.T]
    states = reference.MuscleStates(*columns, parameters=(PARAMETERS,))
    if isinstance(options, BhargavaOptions):
        rates = reference.bhargava2004(states, options)
    else:
        rates = reference.umberger2010(states, options)
    parts = (rates.total, rates.heat, rates.shortening, rates.work)
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("options", [*BHARGAVA, *UMBERGER], ids=str)
def test_rates_equal_the_analysis(options: Any) -> None:
    x = samples(400, 1)
    found = program(options)(x=x)["rates"]
    assert relative_error(found, expected(x, options)) < 1e-12


@pytest.mark.parametrize("options", [*BHARGAVA, *UMBERGER], ids=str)
def test_rates_are_finite_at_rest_and_on_switching_points(options: Any) -> None:
    x = samples(60, 2)
    x[:20, 0] = 0.0  # no excitation
    x[10:40, 3] = 0.0  # no velocity
    x[30:50, 4] = 0.0  # no active force
    x[40:, 5] = 0.0
    assert np.isfinite(program(options)(x=x)["rates"]).all()


def test_huber_smoothing_has_its_limit_where_opensim_divides_zero_by_zero() -> None:
    options = BhargavaOptions(smoothing="huber")
    x = np.array([[0.0, 0.5, 1.0, 0.3, 0.0, 0.0, 1.0]])  # no heat, no work: total power zero
    near = x + [0, 0, 0, 0, 1e-9, 0, 0]
    with np.errstate(all="ignore"):
        assert not np.isfinite(expected(x, options)).all()
    rates = program(options)
    assert rates(x=x)["rates"] == pytest.approx(rates(x=near)["rates"], abs=1e-6)


def test_the_mass_is_that_of_the_analysis_and_follows_the_force() -> None:
    assert metabolics.muscle_mass(MUSCLE, 1500.0) == pytest.approx(PARAMETERS.mass, rel=1e-15)
    assert metabolics.muscle_mass(MUSCLE, 750.0) == pytest.approx(0.5 * PARAMETERS.mass)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(InputError, match="hill1938"):
        metabolics.rate("hill1938", MUSCLE, None, 0.5, 0.5, 1500.0)  # type: ignore[arg-type]


SHARES = {"plain": 0.3, "pennate": 0.55, "wide": 0.8, "active_only": 0.1, "stiff_passive": 0.5}


def probed_model(smoothing: str) -> osim.Model:
    model = slider_model(KINDS)
    bhargava = osim.Bhargava2004SmoothedMuscleMetabolics()
    bhargava.setName("bhargava")
    bhargava.set_use_smoothing(smoothing != "none")
    bhargava.set_smoothing_type(smoothing if smoothing != "none" else "tanh")
    umberger = osim.Umberger2010MuscleMetabolicsProbe()
    umberger.setName("umberger")
    umberger.set_report_total_metabolics_only(False)
    for name, share in SHARES.items():
        muscle = osim.Muscle.safeDownCast(model.getForceSet().get(name))
        bhargava.addMuscle(name, muscle, share, 0.25e6, 40.0, 133.0, 74.0, 111.0)
    model.addComponent(bhargava)
    model.addProbe(umberger)
    for name, share in SHARES.items():
        umberger.addMuscle(name, share)
    model.finalizeConnections()
    return model


@pytest.mark.parametrize("smoothing", ["none", "tanh", "huber"])
def test_rates_equal_opensims_components(smoothing: Any) -> None:
    bench = BenchModel(probed_model(smoothing), slow_fractions=SHARES)
    n = len(KINDS)
    a, e = bench.inputs("a", n), bench.inputs("e", n)
    x, v = bench.mechanics.q[0], bench.mechanics.u[0]
    given = []
    for i, m in enumerate(bench.spec.muscles):
        state = rigid_state(m, x, v, a[i], m.max_isometric_force, m.tendon_slack_length)
        mass = metabolics.muscle_mass(m, m.max_isometric_force)
        given.append(metabolics.MetabolicInput(m, state, e[i], a[i], m.max_isometric_force, mass))
    options = replace(BhargavaOptions(), smoothing=smoothing)
    outputs = {
        "bhargava": [metabolics.bhargava2004(g, options).total for g in given],
        "umberger": [metabolics.umberger2010(g).total for g in given],
    }
    if smoothing == "none":
        for model in ("bhargava2004", "umberger2010"):
            outputs[model[:8]] = [
                metabolics.rate(model, g.muscle, g.state, g.excitation, g.activation, g.max_force)
                for g in given
            ]
    inputs = random_states(40, n, 3)
    excitations = np.random.default_rng(4).uniform(0.01, 1.0, (40, n))
    found = bench.run(outputs, **inputs, e=excitations)
    component = osim.Bhargava2004SmoothedMuscleMetabolics.safeDownCast(
        bench.model.getComponent("/bhargava")
    )
    probe = osim.Umberger2010MuscleMetabolicsProbe.safeDownCast(
        bench.model.getProbeSet().get("umberger")
    )
    values: dict[str, list[list[float]]] = {"bhargava": [], "umberger": []}
    for i in range(40):
        state = bench.set(inputs["q"][i], inputs["u"][i])
        for k, own in enumerate(muscles_of(bench)):
            own.setActivation(state, float(inputs["a"][i, k]))
        bench.model.realizeVelocity(state)
        bench.model.setControls(state, osim.Vector.createFromMat(excitations[i]))
        bench.model.realizeReport(state)
        names = [m.name for m in bench.spec.muscles]
        values["bhargava"].append(
            [component.getMuscleMetabolicRate(state, f"/forceset/{m}") for m in names]
        )
        rates = probe.computeProbeInputs(state)
        values["umberger"].append([rates.get(2 + k) for k in range(n)])
    assert relative_error(found["bhargava"], values["bhargava"]) < 1e-11
    assert relative_error(found["umberger"], values["umberger"]) < 1e-11
