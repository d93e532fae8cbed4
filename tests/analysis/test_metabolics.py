"""Metabolic models against OpenSim's own components on random muscle states."""

from dataclasses import replace

import numpy as np
import pytest

from osim_exo.analysis.metabolics import (
    BhargavaOptions,
    MuscleStates,
    UmbergerOptions,
    active_force_length,
    basal_rate,
    bhargava2004,
    muscle_rates,
    muscle_states,
    umberger2010,
)
from osim_exo.errors import DataError, InputError
from osim_exo.trial import Channels, MuscleParameters
from tests.synthetic import walking_trial

N_MUSCLES = 6
N_STATES = 60


@pytest.fixture(scope="module")
def osim():
    opensim = pytest.importorskip("opensim")
    opensim.Logger.removeFileSink()
    opensim.Logger.setLevelString("error")
    return opensim


def _parameters(i):
    return MuscleParameters(
        max_isometric_force=500.0 + 700.0 * i,
        optimal_fibre_length=0.06 + 0.02 * i,
        max_contraction_velocity=8.0 + i,
        slow_fraction=0.3 + 0.1 * i,
    )


def _model(osim):
    """A cart on a slider with muscles to the ground in both directions."""
    model = osim.Model()
    cart = osim.Body("cart", 20.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
    joint = osim.SliderJoint("slider", model.getGround(), cart)
    joint.updCoordinate().setName("x")
    model.addBody(cart)
    model.addJoint(joint)
    for i in range(N_MUSCLES):
        p = _parameters(i)
        muscle = osim.DeGrooteFregly2016Muscle()
        muscle.setName(f"muscle_{i}")
        muscle.set_max_isometric_force(p.max_isometric_force)
        muscle.set_optimal_fiber_length(p.optimal_fibre_length)
        muscle.set_max_contraction_velocity(p.max_contraction_velocity)
        muscle.set_tendon_slack_length(0.1)
        muscle.set_pennation_angle_at_optimal(0.05 * i)
        muscle.set_ignore_tendon_compliance(True)
        muscle.set_fiber_damping(0.01)
        away = (0.1 + p.optimal_fibre_length) * (-1 if i % 2 else 1)
        muscle.addNewPathPoint("o", model.updGround(), osim.Vec3(-away, 0.02, 0))
        muscle.addNewPathPoint("i", cart, osim.Vec3(0, 0.02, 0))
        model.addForce(muscle)
    return model


def _add_components(osim, model):
    """OpenSim's smoothed component and its probes, in every setting that is compared."""
    found = {}
    for name, options in _BHARGAVA.items():
        component = osim.Bhargava2004SmoothedMuscleMetabolics()
        component.setName(name)
        component.set_use_smoothing(options.smoothing != "none")
        if options.smoothing != "none":
            component.set_smoothing_type(options.smoothing)
            component.set_velocity_smoothing(options.velocity_smoothing)
            component.set_power_smoothing(options.power_smoothing)
            component.set_heat_rate_smoothing(options.heat_rate_smoothing)
        component.set_use_force_dependent_shortening_prop_constant(
            options.use_force_dependent_shortening_prop_constant
        )
        component.set_include_negative_mechanical_work(options.include_negative_mechanical_work)
        component.set_forbid_negative_total_power(options.forbid_negative_total_power)
        component.set_enforce_minimum_heat_rate_per_muscle(
            options.enforce_minimum_heat_rate_per_muscle
        )
        component.set_muscle_effort_scaling_factor(options.muscle_effort_scaling_factor)
        for i in range(N_MUSCLES):
            muscle = osim.Muscle.safeDownCast(model.getForceSet().get(f"muscle_{i}"))
            component.addMuscle(
                f"muscle_{i}",
                muscle,
                _parameters(i).slow_fraction,
                0.25e6,
                *options.activation_constants,
                *options.maintenance_constants,
            )
        model.addComponent(component)
        found[name] = component
    probes = {}
    for name, options in _UMBERGER.items():
        probe = osim.Umberger2010MuscleMetabolicsProbe()
        probe.setName(name)
        probe.set_report_total_metabolics_only(False)
        probe.set_aerobic_factor(options.aerobic_factor)
        probe.set_use_Bhargava_recruitment_model(options.use_bhargava_recruitment_model)
        probe.set_include_negative_mechanical_work(options.include_negative_mechanical_work)
        probe.set_forbid_negative_total_power(options.forbid_negative_total_power)
        probe.set_enforce_minimum_heat_rate_per_muscle(options.enforce_minimum_heat_rate_per_muscle)
        probe.set_muscle_effort_scaling_factor(options.muscle_effort_scaling_factor)
        model.addProbe(probe)
        for i in range(N_MUSCLES):
            probe.addMuscle(f"muscle_{i}", _parameters(i).slow_fraction)
        probes[name] = probe
    probe = osim.Bhargava2004MuscleMetabolicsProbe()
    probe.setName("bhargava_probe")
    probe.set_report_total_metabolics_only(False)
    model.addProbe(probe)
    for i in range(N_MUSCLES):
        probe.addMuscle(f"muscle_{i}", _parameters(i).slow_fraction, 40.0, 133.0, 74.0, 111.0)
    probes["bhargava_probe"] = probe
    return found, probes


_BHARGAVA = {
    "plain": BhargavaOptions(),
    "tanh": BhargavaOptions(smoothing="tanh"),
    "huber": BhargavaOptions(smoothing="huber", velocity_smoothing=20.0, heat_rate_smoothing=15.0),
    "force_dependent": BhargavaOptions(use_force_dependent_shortening_prop_constant=True),
    "force_dependent_huber": BhargavaOptions(
        smoothing="huber", use_force_dependent_shortening_prop_constant=True, power_smoothing=30.0
    ),
    "no_negative_work": BhargavaOptions(include_negative_mechanical_work=False),
    "no_negative_work_tanh": BhargavaOptions(
        smoothing="tanh", include_negative_mechanical_work=False
    ),
    "free": BhargavaOptions(
        forbid_negative_total_power=False, enforce_minimum_heat_rate_per_muscle=False
    ),
    "less_effort": BhargavaOptions(muscle_effort_scaling_factor=0.7),
    "other_constants": BhargavaOptions(
        activation_constants=(30.0, 120.0), maintenance_constants=(60.0, 100.0)
    ),
}
_UMBERGER = {
    "umberger": UmbergerOptions(),
    "umberger_fixed_share": UmbergerOptions(
        aerobic_factor=1.0, use_bhargava_recruitment_model=False
    ),
    "umberger_free": UmbergerOptions(
        include_negative_mechanical_work=False,
        forbid_negative_total_power=False,
        enforce_minimum_heat_rate_per_muscle=False,
        muscle_effort_scaling_factor=0.6,
    ),
}


@pytest.fixture(scope="module")
def sampled(osim):
    """Muscle states and what OpenSim computes from them, over random states of the model."""
    model = _model(osim)
    components, probes = _add_components(osim, model)
    state = model.initSystem()
    rng = np.random.default_rng(3)
    muscles = [osim.Muscle.safeDownCast(model.getForceSet().get(i)) for i in range(N_MUSCLES)]
    rows = {key: [] for key in ("e", "a", "ln", "v", "active", "passive", "fl")}
    outputs = {name: [] for name in (*components, *probes)}
    for sample in range(N_STATES):
        coordinate = model.getCoordinateSet().get("x")
        coordinate.setValue(state, rng.uniform(-0.03, 0.03), False)
        coordinate.setSpeedValue(state, rng.uniform(-0.8, 0.8) if sample else 0.0)
        excitations = rng.uniform(0.01, 1.0, N_MUSCLES)
        excitations[rng.integers(N_MUSCLES)] = 0.0
        activations = rng.uniform(0.01, 1.0, N_MUSCLES)
        for muscle, a in zip(muscles, activations):
            muscle.setActivation(state, a)
        model.realizeVelocity(state)
        controls = model.updControls(state)
        for i, e in enumerate(excitations):
            controls.set(i, e)
        model.setControls(state, controls)
        model.realizeReport(state)
        for key, values in (
            ("e", [m.getControl(state) for m in muscles]),
            ("a", [m.getActivation(state) for m in muscles]),
            ("ln", [m.getNormalizedFiberLength(state) for m in muscles]),
            ("v", [m.getFiberVelocity(state) for m in muscles]),
            ("active", [m.getActiveFiberForce(state) for m in muscles]),
            ("passive", [m.getPassiveFiberForce(state) for m in muscles]),
            ("fl", [m.getActiveForceLengthMultiplier(state) for m in muscles]),
        ):
            rows[key].append(values)
        for name, component in components.items():
            outputs[name].append(
                [
                    component.getMuscleMetabolicRate(state, m.getAbsolutePathString())
                    for m in muscles
                ]
                + [component.getTotalMetabolicRate(state)]
            )
        for name, probe in probes.items():
            values = probe.computeProbeInputs(state)
            outputs[name].append([values.get(2 + i) for i in range(N_MUSCLES)] + [values.get(0)])
    r = {key: np.array(values) for key, values in rows.items()}
    states = MuscleStates(
        r["e"], r["a"], r["ln"], r["v"], r["active"], r["passive"], r["fl"],
        tuple(_parameters(i) for i in range(N_MUSCLES)),
    )  # fmt: skip
    return states, {name: np.array(values) for name, values in outputs.items()}


def _assert_equal(rates, expected, mass):
    np.testing.assert_allclose(rates.total, expected[:, :N_MUSCLES], rtol=1e-6, atol=1e-9)
    total = rates.total.sum(axis=1) + basal_rate(mass)
    np.testing.assert_allclose(total, expected[:, N_MUSCLES], rtol=1e-6)


def test_random_states_cover_shortening_lengthening_and_both_sides_of_optimal(sampled):
    states, _ = sampled
    assert (states.fibre_velocities > 0.01).any() and (states.fibre_velocities < -0.01).any()
    assert (states.fibre_lengths > 1.05).any() and (states.fibre_lengths < 0.95).any()
    assert (states.excitations == 0).any()


@pytest.mark.parametrize("name", _BHARGAVA)
def test_bhargava_equals_opensims_component(sampled, name):
    states, outputs = sampled
    _assert_equal(bhargava2004(states, _BHARGAVA[name]), outputs[name], 20.0)


def test_bhargava_equals_opensims_probe(sampled):
    states, outputs = sampled
    _assert_equal(bhargava2004(states), outputs["bhargava_probe"], 20.0)


@pytest.mark.parametrize("name", _UMBERGER)
def test_umberger_equals_opensims_probe(sampled, name):
    states, outputs = sampled
    _assert_equal(umberger2010(states, _UMBERGER[name]), outputs[name], 20.0)


def test_force_length_curve_equals_opensims(sampled):
    states, _ = sampled
    np.testing.assert_allclose(
        active_force_length(states.fibre_lengths), states.force_length, rtol=1e-9
    )


def test_planar_walking_model_of_opensim_gives_the_same_rates(osim, shared_data):
    path = shared_data / "moco_2d_walking" / "2D_gait.osim"
    if not path.is_file():
        pytest.skip("moco_2d_walking is not among the reference data")
    model = osim.Model(str(path))
    model.initSystem()
    muscles = [
        osim.DeGrooteFregly2016Muscle.safeDownCast(m)
        for m in model.getComponentsList()
        if m.getConcreteClassName() == "DeGrooteFregly2016Muscle"
    ]
    component = osim.Bhargava2004SmoothedMuscleMetabolics()
    component.setName("metabolics")
    for muscle in muscles:
        component.addMuscle(muscle.getName(), muscle)
    model.addComponent(component)
    state = model.initSystem()
    rng = np.random.default_rng(1)
    q, u = state.updQ(), state.updU()
    for i in range(u.size()):
        q.set(i, q.get(i) + rng.uniform(-0.1, 0.1))
        u.set(i, rng.uniform(-3, 3))
    for muscle in muscles:
        muscle.setActivation(state, rng.uniform(0.05, 0.9))
    model.realizeVelocity(state)
    controls = model.updControls(state)
    for i in range(controls.size()):
        controls.set(i, rng.uniform(0.05, 0.9))
    model.setControls(state, controls)
    model.realizeDynamics(state)

    def row(get):
        return np.array([[get(m) for m in muscles]])

    states = MuscleStates(
        row(lambda m: m.getControl(state)),
        row(lambda m: m.getActivation(state)),
        row(lambda m: m.getNormalizedFiberLength(state)),
        row(lambda m: m.getFiberVelocity(state)),
        row(lambda m: m.getActiveFiberForce(state)),
        row(lambda m: m.getPassiveFiberForce(state)),
        row(lambda m: m.getActiveForceLengthMultiplier(state)),
        tuple(
            MuscleParameters(m.get_max_isometric_force(), m.get_optimal_fiber_length())
            for m in muscles
        ),
    )
    assert len(muscles) == 18
    mass = model.getTotalMass(state)
    total = bhargava2004(states).total.sum() + basal_rate(mass)
    assert total == pytest.approx(component.getTotalMetabolicRate(state), rel=1e-6)


def test_resting_muscle_costs_one_watt_per_kilogram():
    p = MuscleParameters(1000.0, 0.1)
    zero = np.zeros((1, 1))
    rest = MuscleStates(zero, zero, zero + 1, zero, zero, zero, zero + 1, (p,))
    assert bhargava2004(rest).total[0, 0] == pytest.approx(p.mass)
    assert umberger2010(rest).total[0, 0] == pytest.approx(p.mass)


def test_isometric_full_activation_has_the_published_heat_rates():
    p = MuscleParameters(1000.0, 0.1, slow_fraction=0.5)
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    full = MuscleStates(one, one, one, zero, 1000 * one, zero, one, (p,))
    assert bhargava2004(full).total[0, 0] == pytest.approx(0.5 * (40 + 133 + 74 + 111) * p.mass)
    assert umberger2010(full).total[0, 0] == pytest.approx(1.5 * (128 * 0.5 + 25) * p.mass)


def test_basal_rate_is_of_the_body_and_needs_a_mass():
    assert basal_rate(75.0) == pytest.approx(90.0)
    assert basal_rate(75.0, 1.51, 0.5) == pytest.approx(1.51 * 75**0.5)
    with pytest.raises(InputError, match="must be positive"):
        basal_rate(float("nan"))


def test_trial_without_fibre_lengths_names_what_is_missing():
    trial = walking_trial()
    lacking = replace(trial, fibre_lengths=Channels.empty(trial.time.size))
    with pytest.raises(DataError, match="fibre_lengths"):
        muscle_states(lacking)


def test_wrong_options_and_models_are_refused():
    with pytest.raises(InputError, match="Allowed: bhargava2004, umberger2010"):
        muscle_rates(walking_trial(), "hill1938")
    with pytest.raises(InputError, match="not options of umberger2010"):
        muscle_rates(walking_trial(), "umberger2010", BhargavaOptions())
    with pytest.raises(InputError, match="smoothing"):
        BhargavaOptions(smoothing="cubic")
