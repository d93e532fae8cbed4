"""Stepped OpenSim against OpenSim's own integration, against mechanics, and in its failures."""

from dataclasses import dataclass

import numpy as np
import pytest

from osim_exo.device import DeviceDynamics, DeviceLimits
from osim_exo.errors import InputError, ModelError, SimulationError
from osim_exo.models import HipExo, ModelConfig
from osim_exo.physics import (
    ModelFile,
    OpenSimPhysics,
    StartState,
    centre_of_pressure,
    fallen,
)

osim = pytest.importorskip("opensim")

BARE, WORN = ModelConfig(), ModelConfig(exo=HipExo())
N_MUSCLE = 18


def excitations(n_step, n_env=1, seed=0):
    noise = np.random.default_rng(seed).standard_normal((n_step, n_env, N_MUSCLE))
    return np.clip(0.15 + 0.15 * noise, 0.0, 1.0)


def integrated_by_opensim(inputs, dt=0.01, accuracy=1e-8):
    """Coordinates after driving the bare model by OpenSim's Manager, controls by name."""
    model = BARE.build()
    state = model.initSystem()
    start = OpenSimPhysics(BARE)
    coordinates = model.getCoordinateSet()
    for name, value in zip(start.names.coordinates, start.coordinates[0]):
        coordinates.get(name).setValue(state, value, False)
    muscles = [model.getMuscles().get(name) for name in start.names.muscles]
    for muscle in muscles:
        muscle.setActivation(state, 0.05)
    for step, row in enumerate(inputs):
        controls = osim.Vector(model.getNumControls(), 0.0)
        for muscle, value in zip(muscles, row):
            muscle.setControls(osim.Vector(1, float(max(value, 0.01))), controls)
        model.setDefaultControls(controls)
        model.markControlsAsInvalid(state)
        manager = osim.Manager(model)
        manager.setWriteToStorage(False)
        manager.setIntegratorAccuracy(accuracy)
        state.setTime(step * dt)
        manager.initialize(state)
        state = osim.State(manager.integrate((step + 1) * dt))
    return np.array([coordinates.get(n).getValue(state) for n in start.names.coordinates])


def test_both_modes_follow_opensim_s_own_integration():
    inputs = excitations(15)
    reference = integrated_by_opensim(inputs[:, 0])
    errors = {}
    for label, options in {
        "manager": dict(mode="manager"),
        "1 ms": dict(substep=0.001),
        "0.25 ms": dict(substep=0.00025),
    }.items():
        physics = OpenSimPhysics(BARE, **options)
        for row in inputs:
            physics.step(row)
        errors[label] = np.abs(physics.coordinates[0] - reference).max()
    assert errors["manager"] < 1e-3, errors
    assert errors["0.25 ms"] < 0.01, errors
    assert errors["0.25 ms"] < 0.5 * errors["1 ms"], errors


def test_a_reset_stands_with_the_feet_carrying_the_weight():
    for recipe, mass in ((BARE, 0.0), (WORN, HipExo().mass)):
        physics = OpenSimPhysics(recipe)
        model = recipe.build()
        weight = model.getTotalMass(model.initSystem()) * 9.80665
        assert physics.grf[0, :, 1].sum() == pytest.approx(weight, rel=1e-6)
        assert physics.body_weight == pytest.approx(weight - mass * 9.80665, rel=1e-9)
        assert not physics.speeds.any()


def test_the_centre_of_pressure_lies_under_the_feet():
    physics = OpenSimPhysics(BARE)
    pressure = centre_of_pressure(physics.grf)
    ankle = -0.0707  # below the hip
    assert np.all((pressure[..., 0] > ankle - 0.08) & (pressure[..., 0] < ankle + 0.22))
    assert np.all(pressure[0, 0, 2] > 0) and np.all(pressure[0, 1, 2] < 0)
    assert np.isnan(centre_of_pressure(np.zeros((2, 6)))).all()


def test_the_ground_s_impulse_changes_the_momentum():
    physics = OpenSimPhysics(BARE, control_dt=0.001, substep=0.00025)
    physics.reset(StartState(coordinates={"pelvis_ty": physics.standing_height + 0.01}))
    model = BARE.build()
    state = model.initSystem()
    mass = model.getTotalMass(state)

    def momentum():
        for name, q, u in zip(physics.names.coordinates, physics.coordinates[0], physics.speeds[0]):
            coordinate = model.getCoordinateSet().get(name)
            coordinate.setValue(state, q, False)
            coordinate.setSpeedValue(state, u)
        model.realizeVelocity(state)
        return mass * model.calcMassCenterVelocity(state).to_numpy()[:2]

    before, impulse = momentum(), np.zeros(2)
    for _ in range(120):
        old = physics.grf[0, :, :2].sum(axis=0)
        physics.step(np.zeros((1, N_MUSCLE)))
        impulse += 0.001 * 0.5 * (old + physics.grf[0, :, :2].sum(axis=0))
    impulse[1] -= 0.12 * mass * 9.80665
    np.testing.assert_allclose(momentum() - before, impulse, atol=0.5)


def test_each_excitation_drives_the_muscle_of_its_name():
    physics = OpenSimPhysics(BARE)
    for index in (0, 7, 12, 17):
        physics.reset()
        drive = np.zeros((1, N_MUSCLE))
        drive[0, index] = 1.0
        for _ in range(3):
            physics.step(drive)
        activations = physics.activations[0]
        assert activations.argmax() == index
        assert activations[index] > 0.5
        assert np.delete(activations, index).max() < 0.05


def test_controls_are_clipped_and_a_model_s_own_controllers_do_not_act():
    @dataclass(frozen=True)
    class Controlled:
        def build(self):
            model = BARE.build()
            controller = osim.PrescribedController()
            muscle = model.getMuscles().get("soleus_r")
            controller.addActuator(muscle)
            controller.prescribeControlForActuator("soleus_r", osim.Constant(0.9))
            model.addController(controller)
            model.finalizeConnections()
            return model

    for recipe, high in ((BARE, 5.0), (Controlled(), 1.0)):
        physics, plain = OpenSimPhysics(recipe), OpenSimPhysics(BARE)
        drive = np.zeros((1, N_MUSCLE))
        drive[0, 3] = 1.0
        physics.step(drive * high)
        plain.step(drive)
        np.testing.assert_array_equal(physics.activations, plain.activations)


@pytest.mark.parametrize("mode", ["fixed", "manager"])
def test_restoring_a_snapshot_repeats_the_same_steps(mode):
    physics = OpenSimPhysics(WORN, mode=mode)
    inputs = excitations(16)
    torque = np.full((1, 2), 6.0)
    for row in inputs[:8]:
        physics.step(row, torque)
    state = physics.snapshot()

    def rest():
        for row in inputs[8:]:
            physics.step(row, torque)
        return physics.coordinates, physics.exo_torque, physics.time

    first = rest()
    physics.restore(state)
    again = rest()
    tolerance = 0.0 if mode == "fixed" else 1e-4
    for a, b in zip(first, again):
        np.testing.assert_allclose(b, a, atol=tolerance, rtol=0)


@pytest.mark.parametrize("mode", ["fixed", "manager"])
def test_environments_in_one_batch_do_not_touch_each_other(mode):
    inputs = excitations(6, n_env=3)
    start = StartState(coordinates={"hip_flexion_r": np.array([0.0, 0.3, -0.2])})
    torque = np.array([[5.0, 0.0], [0.0, -5.0], [9.0, 9.0]])
    batch = OpenSimPhysics(WORN, n_env=3, mode=mode)
    batch.reset(start)
    for row in inputs:
        batch.step(row, torque)
    single = OpenSimPhysics(WORN, mode=mode)
    single.reset(StartState(coordinates={"hip_flexion_r": 0.3}))
    for row in inputs:
        single.step(row[1:2], torque[1:2])
    np.testing.assert_allclose(batch.coordinates[1], single.coordinates[0], atol=1e-12)
    np.testing.assert_allclose(batch.grf[1], single.grf[0], atol=1e-6)


def test_the_exo_torque_goes_through_the_device_and_flexes_the_hip():
    limits = DeviceLimits(max_torque=10.0, rate_limit=100.0)
    recipe = ModelConfig(exo=HipExo(limits=limits))
    pushed, free = OpenSimPhysics(recipe), OpenSimPhysics(recipe)
    device = DeviceDynamics(limits, 0.0005, n_env=1, n_joint=2)
    hips = [pushed.names.coordinates.index(n) for n in pushed.names.exo_coordinates]
    for _ in range(10):
        pushed.step(np.zeros((1, N_MUSCLE)), [[50.0, 0.0]])
        free.step(np.zeros((1, N_MUSCLE)))
        for _ in range(20):
            expected = device.step([[50.0, 0.0]], [[0.0, 0.0]])
    # The power limit is not reached, so that the speeds do not matter.
    assert np.abs(pushed.exo_torque * pushed.speeds[:, hips]).max() < 0.9 * limits.power_limit
    np.testing.assert_allclose(pushed.exo_torque, expected, atol=1e-12)
    assert pushed.coordinates[0, hips[0]] > free.coordinates[0, hips[0]] + 0.005


def test_nan_excitations_raise_with_time_and_muscle_and_keep_the_last_finite_state():
    physics = OpenSimPhysics(BARE)
    for row in excitations(3):
        physics.step(row)
    before = physics.coordinates
    bad = excitations(1)[0]
    bad[0, 7] = np.nan
    with pytest.raises(SimulationError, match=r"t = 0\.03 s.*soleus_r nan"):
        physics.step(bad)
    np.testing.assert_array_equal(physics.coordinates, before)
    assert physics.failed.all()
    physics.reset()
    physics.step(excitations(1)[0])
    assert not physics.failed.any()


@pytest.mark.parametrize("mode", ["fixed", "manager"])
def test_a_marked_failure_rests_while_the_others_go_on(mode):
    physics = OpenSimPhysics(BARE, n_env=2, mode=mode, on_failure="mark")
    inputs = excitations(4, n_env=2)
    inputs[1, 0, 3] = np.inf
    inputs[1, 0, 4] = np.nan
    for row in inputs:
        physics.step(row)
    assert physics.failed.tolist() == [True, False]
    np.testing.assert_allclose(physics.time, [0.01, 0.04])
    assert fallen(physics).tolist() == [True, False]
    assert np.isfinite(physics.coordinates).all() and np.isfinite(physics.grf).all()


def test_a_step_too_long_for_the_model_is_a_simulation_error():
    physics = OpenSimPhysics(BARE, control_dt=0.02, substep=0.02)
    with pytest.raises(SimulationError, match="smaller substep"):
        for row in excitations(50):
            physics.step(5 * row)


def test_a_low_or_tilted_walker_has_fallen():
    physics = OpenSimPhysics(BARE, n_env=3)
    tilt, height = np.array([0.0, -1.2, 0.0]), physics.standing_height * np.array([1, 1, 0.6])
    physics.reset(StartState(coordinates={"pelvis_tilt": tilt, "pelvis_ty": height}))
    assert fallen(physics).tolist() == [False, True, True]


def test_a_start_names_postures_speeds_and_activations():
    physics = OpenSimPhysics(BARE, n_env=2)
    start = StartState(
        coordinates={"knee_angle_r": [-0.5, -0.2]},
        speeds={"pelvis_tx": 1.25},
        activations={"*": 0.2, "soleus_l": 0.4},
        time=3.0,
    )
    physics.reset(start)
    names = physics.names
    np.testing.assert_allclose(
        physics.coordinates[:, names.coordinates.index("knee_angle_r")], [-0.5, -0.2]
    )
    np.testing.assert_allclose(physics.speeds[:, names.coordinates.index("pelvis_tx")], 1.25)
    np.testing.assert_allclose(physics.activations[:, names.muscles.index("soleus_l")], 0.4)
    np.testing.assert_allclose(physics.activations[:, 0], 0.2)
    np.testing.assert_allclose(physics.time, 3.0)


def test_compliant_tendons_start_in_equilibrium():
    physics = OpenSimPhysics(ModelConfig(tendon="compliant"), mode="manager", accuracy=1e-3)
    before = physics.coordinates
    physics.step(np.full((1, N_MUSCLE), 0.05))
    assert np.isfinite(physics.coordinates).all()
    assert np.abs(physics.coordinates - before).max() < 0.05


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (StartState(coordinates={"elbow": 0.1}), "hip_flexion_r"),
        (StartState(coordinates={"knee_angle_r": float("nan")}), "finite"),
        (StartState(speeds={"pelvis_tx": [1.0, 2.0, 3.0]}), "one per environment"),
        (StartState(activations={"soleus_r": 1.5}), "0 to 1"),
        (StartState(activations={"biceps": 0.5}), "soleus_r"),
    ],
)
def test_a_start_that_cannot_be_is_refused_in_words(start, says):
    with pytest.raises(InputError, match=says):
        OpenSimPhysics(BARE).reset(start)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(substep=0.003), "no multiple"),
        (dict(substep=0.02), "substep"),
        (dict(control_dt=1.0), "control_dt"),
        (dict(mode="euler"), "fixed, manager"),
        (dict(n_env=0), "n_env"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(options, says):
    with pytest.raises(InputError, match=says):
        OpenSimPhysics(BARE, **options)


def test_wrong_shapes_are_refused():
    physics = OpenSimPhysics(WORN, n_env=2)
    with pytest.raises(InputError, match="excitations"):
        physics.step(np.zeros(N_MUSCLE))
    with pytest.raises(InputError, match="exo_torque"):
        physics.step(np.zeros((2, N_MUSCLE)), np.zeros((2, 1)))
    with pytest.raises(InputError, match="n_env"):
        physics.restore(OpenSimPhysics(WORN).snapshot())


@dataclass(frozen=True)
class Changed:
    """The planar model after a change."""

    change: str

    def build(self):
        if self.change == "exo without limits":
            return WORN.build()
        if self.change == "weak actuators":
            return ModelConfig(exo=HipExo(limits=DeviceLimits(max_torque=5.0))).build()
        model = BARE.build()
        if self.change == "coupled":
            coupler = osim.CoordinateCouplerConstraint()
            coupler.setIndependentCoordinateNames(osim.ArrayStr("knee_angle_r", 1))
            coupler.setDependentCoordinateName("knee_angle_l")
            coupler.setFunction(osim.LinearFunction(1.0, 0.0))
            model.addConstraint(coupler)
        if self.change == "contact without side":
            model.getForceSet().get("contact_ball_r").setName("contact_ball")
        if self.change == "other contact":
            contact = osim.HuntCrossleyForce()
            contact.setName("pad_r")
            model.addForce(contact)
        if self.change == "no activation dynamics":
            model.getMuscles().get("soleus_r").set_ignore_activation_dynamics(True)
        model.finalizeConnections()
        return model


@pytest.mark.parametrize(
    ("recipe", "options", "says"),
    [
        (ModelFile("missing.osim"), {}, "no model file"),
        (Changed("exo without limits"), {}, "limits=DeviceLimits"),
        (Changed("weak actuators"), dict(limits=DeviceLimits()), "reach 5 Nm"),
        (Changed("coupled"), {}, "kinematic constraints"),
        (Changed("no activation dynamics"), {}, "soleus_r have no activation"),
        (Changed("contact without side"), {}, "contact_ball do not say"),
        (Changed("other contact"), {}, "pad_r are of a kind"),
        (ModelConfig(exo=HipExo(), exo_actuator="activation"), {}, 'actuator="torque"'),
    ],
)
def test_models_that_cannot_be_stepped_are_refused_in_words(recipe, options, says):
    if isinstance(recipe, ModelFile):
        recipe = str(recipe.path)
    with pytest.raises(ModelError, match=says):
        OpenSimPhysics(recipe, **options)


def test_a_model_file_can_be_stepped_as_it_is(tmp_path):
    path = tmp_path / "walker.osim"
    BARE.build().printToXML(str(path))
    from_file, built = OpenSimPhysics(path), OpenSimPhysics(BARE)
    for row in excitations(3):
        from_file.step(row)
        built.step(row)
    np.testing.assert_allclose(from_file.coordinates, built.coordinates, atol=1e-6)


def test_broken_model_files_are_refused_in_words(tmp_path):
    path = tmp_path / "broken.osim"
    path.write_text("<OpenSimDocument>")
    with pytest.raises(ModelError, match="cannot be read"):
        OpenSimPhysics(path)
