"""Inverse dynamics against OpenSim's tool and by hand; rollouts against the plans they follow."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from osim_exo import names
from osim_exo.baseline import library
from osim_exo.control import Signals
from osim_exo.errors import DataError, InputError, ModelError, SimulationError
from osim_exo.evaluate import differentiate, inverse_dynamics, measured_trial, rollout
from osim_exo.io import read_table
from osim_exo.models import HipExo, ModelConfig, components
from osim_exo.physics import OpenSimPhysics, StartState
from osim_exo.physics.record import Motion, Recorder, describe
from osim_exo.trial import Channels, Trial, TrialInfo
from osim_exo.units import GRAVITY

osim = pytest.importorskip("opensim")

BARE, WORN = ModelConfig(), ModelConfig(exo=HipExo())


@pytest.fixture(scope="module")
def walk(shared_data, tmp_path_factory):
    """The published walk: its folder, our trial, and OpenSim's own inverse dynamics of it."""
    folder = tmp_path_factory.mktemp("walk") / "data"
    shutil.copytree(shared_data / "gait10dof18musc", folder)
    osim.Logger.removeFileSink()
    osim.Logger.setLevelString("error")
    tool = osim.InverseDynamicsTool()
    tool.setModelFileName(str(folder / "subject01.osim"))
    tool.setCoordinatesFileName(str(folder / "subject01_walk_IK.mot"))
    tool.setExternalLoadsFileName(str(folder / "subject01_walk_grf.xml"))
    tool.setLowpassCutoffFrequency(6.0)
    tool.setStartTime(0.0)
    tool.setEndTime(2.5)
    excluded = osim.ArrayStr()
    excluded.append("Muscles")
    tool.setExcludedForces(excluded)
    tool.setResultsDir(str(folder / "results"))
    tool.setOutputGenForceFileName("ID.sto")
    assert tool.run()
    trial = measured_trial(
        folder / "subject01.osim",
        folder / "subject01_walk_IK.mot",
        folder / "subject01_walk_grf.mot",
        TrialInfo("subject01"),
    )
    return folder, trial


@pytest.mark.parametrize("file", ["results/ID.sto", "subject01_walk_ID.sto"])
def test_moments_equal_opensim_s_tool_and_the_published_result(walk, file):
    folder, trial = walk
    reference = read_table(folder / file)
    assert len(reference.channels.names) == len(trial.moments.names) == 10
    for label, column in zip(reference.channels.names, reference.channels.values.T):
        name = label.removesuffix("_moment").removesuffix("_force")
        there = np.interp(trial.time, reference.time, column)
        error = np.sqrt(np.mean((trial.moments[name] - there) ** 2) / np.mean(there**2))
        assert error < 1e-3, (name, error)


def test_a_measured_walk_is_ready_for_analysis(walk):
    _, trial = walk
    assert trial.info.physics == "measured"
    assert trial.info.body_mass == pytest.approx(72.6, abs=0.1)
    assert trial.info.model == "subject01.osim" and len(trial.info.model_hash) == 16
    # Coordinates and speeds are those that the moments were computed with.
    for name in ("hip_flexion_r", "pelvis_tx"):
        slope = np.gradient(trial.coordinates[name], trial.time)
        error = np.abs(trial.speeds[name] - slope)[2:-2].max()
        assert error < 0.02 * np.abs(slope).max()


def test_a_measured_walk_keeps_the_body_mass_it_is_given(walk):
    folder, trial = walk
    again = measured_trial(
        folder / "subject01.osim",
        folder / "subject01_walk_IK.mot",
        folder / "subject01_walk_grf.mot",
        TrialInfo("subject01", body_mass=70.0),
        feet={"r": "calcn_r", "l": "calcn_l"},
    )
    assert again.info.body_mass == 70.0
    np.testing.assert_array_equal(again.moments.values, trial.moments.values)


def standing(config, lean=0.0):
    """A still posture under the ground forces that carry it, as a trial of 20 samples."""
    physics = OpenSimPhysics(config)
    physics.reset(StartState(coordinates={"pelvis_tilt": lean, "hip_flexion_r": 0.2}))
    model = config.build()
    states = {}
    for coordinate, value in zip(components.coordinates(model), physics.coordinates[0]):
        path = coordinate.getAbsolutePathString()
        states[f"{path}/value"], states[f"{path}/speed"] = np.full(20, value), np.zeros(20)
    motion = Motion(0.01 * np.arange(20), states)
    return Recorder(model).record(motion, describe(config, model, "standing"))


def test_in_a_still_posture_hip_moment_and_residuals_follow_from_statics():
    trial = standing(BARE, lean=-0.05)
    moments = inverse_dynamics(BARE, trial)
    model = BARE.build()
    state = model.initSystem()
    for name in trial.coordinates.names:
        model.getCoordinateSet().get(name).setValue(state, trial.coordinates[name][0], False)
    model.realizePosition(state)
    # The ground carries the weight, and there is no friction to speak of.
    residual = np.abs(moments["pelvis_ty"])
    assert residual.max() < 1e-3 * trial.info.body_mass * GRAVITY
    # By hand, about the lumbar joint: the trunk's weight times its lever arm.
    torso = model.getBodySet().get("torso")
    centre = torso.findStationLocationInGround(state, torso.getMassCenter()).get(0)
    joint = torso.getPositionInGround(state).get(0)
    expected = torso.getMass() * GRAVITY * (centre - joint)
    np.testing.assert_allclose(moments["lumbar_extension"], expected, rtol=1e-6)
    # About each ankle: the foot's weight and the ground's force at the centre of pressure.
    for side in names.SIDES:
        ankle = model.getBodySet().get(f"talus_{side}").getPositionInGround(state).to_numpy()
        force = [trial.grf[f"ground_force_{side}_v{axis}"][0] for axis in "xy"]
        point = [trial.grf[f"ground_force_{side}_p{axis}"][0] for axis in "xy"]
        turning = (point[0] - ankle[0]) * force[1] - (point[1] - ankle[1]) * force[0]
        for part in ("talus", "calcn", "toes"):
            body = model.getBodySet().get(f"{part}_{side}")
            place = body.findStationLocationInGround(state, body.getMassCenter()).get(0)
            turning -= body.getMass() * GRAVITY * (place - ankle[0])
        np.testing.assert_allclose(moments[f"ankle_angle_{side}"], -turning, rtol=1e-6)


def test_a_free_fall_needs_no_moments():
    time = np.linspace(0.0, 0.4, 41)
    height = 3.0 - 0.5 * GRAVITY * time**2
    trial = Trial.build(
        time,
        TrialInfo("fall"),
        coordinates=Channels(("pelvis_ty",), height[:, None]),
    )
    moments = inverse_dynamics(BARE, trial, cutoff_hz=None)
    assert np.abs(moments.values[5:-5]).max() < 1e-3


def test_derivatives_of_a_slow_sine_are_its_own_and_fast_noise_is_gone():
    time = np.linspace(0.0, 3.0, 301)
    slow = np.sin(2 * np.pi * time)
    noisy = slow + 0.01 * np.sin(2 * np.pi * 40.0 * time)
    found = differentiate(time, noisy[:, None])
    middle = slice(60, -60)
    # Two passes of a third-order filter: 1 / (1 + (1/6)^6) at 1 Hz.
    np.testing.assert_allclose(found.values[middle, 0], slow[middle], atol=1e-4)
    speed = 2 * np.pi * np.cos(2 * np.pi * time)
    np.testing.assert_allclose(found.speeds[middle, 0], speed[middle], atol=2e-3)
    np.testing.assert_allclose(
        found.accelerations[middle, 0], -((2 * np.pi) ** 2) * slow[middle], atol=0.1
    )


def test_uneven_times_are_brought_to_even_ones():
    rng = np.random.default_rng(0)
    time = np.linspace(0.0, 2.0, 201)
    time[1:-1] += rng.uniform(-0.003, 0.003, 199)
    found = differentiate(time, np.sin(3 * time)[:, None])
    np.testing.assert_allclose(found.values[20:-20, 0], np.sin(3 * time)[20:-20], atol=1e-3)


def test_the_exo_s_torque_is_taken_off():
    trial = standing(WORN)
    push = Channels(("hip_flexion_r", "hip_flexion_l"), np.full((20, 2), 4.0))
    free = inverse_dynamics(WORN, trial)
    helped = inverse_dynamics(WORN, replace(trial, exo_torque=push))
    difference = free.values - helped.values
    for k, name in enumerate(free.names):
        assert difference[:, k] == pytest.approx(4.0 if name.startswith("hip") else 0.0)


def moving(n=40, **extra):
    time = np.linspace(0.0, 0.4, n)
    columns = Channels(("pelvis_ty",), np.ones((n, 1)))
    return Trial.build(time, TrialInfo("walk"), coordinates=columns, **extra)


def test_motions_that_cannot_be_used_are_refused_in_words():
    with pytest.raises(DataError, match="at least 8"):
        inverse_dynamics(BARE, moving(n=5))
    with pytest.raises(InputError, match="less than 48.75"):
        inverse_dynamics(BARE, moving(), cutoff_hz=60.0)
    strange = replace(moving(), coordinates=Channels(("knee_r_flexion",), np.zeros((40, 1))))
    with pytest.raises(DataError, match="lacks: knee_r_flexion. It has: pelvis_tilt"):
        inverse_dynamics(BARE, strange)
    half = Channels(("ground_force_r_vy",), np.ones((40, 1)))
    with pytest.raises(DataError, match="without ground_force_r_vx"):
        inverse_dynamics(BARE, moving(grf=half))
    whole = [f"ground_force_l_{kind}{axis}" for kind in "vp" for axis in "xyz"]
    with pytest.raises(ModelError, match="'boot', which the model lacks"):
        inverse_dynamics(
            BARE, moving(grf=Channels(tuple(whole), np.ones((40, 6)))), feet={"l": "boot"}
        )
    with pytest.raises(ModelError, match="gait9d"):
        inverse_dynamics("gait9d", moving())


# Rollouts.


def resting_plan(config, duration=0.5, level=0.05):
    """Standing with the same excitation everywhere, as a plan."""
    physics = OpenSimPhysics(config)
    model = config.build()
    time = np.array([0.0, duration])
    states = {}
    for coordinate, value in zip(components.coordinates(model), physics.coordinates[0]):
        path = coordinate.getAbsolutePathString()
        states[f"{path}/value"], states[f"{path}/speed"] = np.full(2, value), np.zeros(2)
    for muscle in components.muscles(model):
        states[f"{muscle.getAbsolutePathString()}/activation"] = np.full(2, level)
    actuators = (*physics.names.muscles, *physics.names.others)
    controls = {n: np.full(2, level if n in physics.names.muscles else 0.0) for n in actuators}
    return Motion(time, states, controls)


def test_a_rollout_is_what_the_physics_gives_step_by_step():
    plan = resting_plan(BARE)
    trial = rollout(BARE, plan, 0.1, control_dt=0.01, mode="fixed", subject="me", speed=0.0)
    physics = OpenSimPhysics(BARE, control_dt=0.01)
    expected = [physics.coordinates[0]]
    for _ in range(10):
        physics.step(np.full((1, 18), 0.05))
        expected.append(physics.coordinates[0])
    np.testing.assert_allclose(trial.coordinates.values, expected, atol=1e-12)
    np.testing.assert_allclose(trial.time, 0.01 * np.arange(11), atol=1e-12)
    assert (trial.info.physics, trial.info.condition, trial.info.subject) == (
        "opensim", "no_exo", "me")  # fmt: skip
    assert trial.info.provenance["fell_at"] is None
    assert "coordinate_paths" in trial.info.provenance
    np.testing.assert_allclose(trial.excitations.values, 0.05)
    weight = sum(trial.grf[f"ground_force_{s}_vy"][0] for s in names.SIDES)
    assert weight == pytest.approx(trial.info.body_mass * GRAVITY, rel=1e-3)


def test_a_walker_that_nobody_holds_falls_and_the_trial_ends_there():
    trial = rollout(BARE, resting_plan(BARE, duration=3.0), mode="fixed")
    fell_at = trial.info.provenance["fell_at"]
    assert 0.2 < fell_at < 3.0
    assert trial.time[-1] == pytest.approx(fell_at)


class Push:
    """A controller that asks for the same torques at all times and remembers what it saw."""

    def __init__(self):
        self.seen = []

    def reset(self, n_env, environments=None):
        self.seen.clear()

    def __call__(self, signals: Signals):
        self.seen.append(signals)
        return np.tile([6.0, -3.0], (signals.n_env, 1))


@pytest.mark.parametrize("mode", ["fixed", "manager"])
def test_a_controller_s_torque_acts_through_the_device(mode):
    push = Push()
    trial = rollout(WORN, resting_plan(WORN), 0.2, controller=push, mode=mode)
    assert trial.info.condition == "assisted" and trial.info.controller == "Push"
    assert len(push.seen) == 20
    drag = WORN.exo.drag
    for side, command in (("r", 6.0), ("l", -3.0)):
        motor = trial.exo_torque[f"hip_flexion_{side}"] + drag * trial.speeds[f"hip_flexion_{side}"]
        assert motor[0] == 0.0  # nothing before the device's delay and lag
        assert motor[-1] == pytest.approx(command, rel=1e-3)
    still = rollout(WORN, resting_plan(WORN), 0.2, mode=mode)
    assert still.info.condition == "zero_torque"
    # Both hips flex as the walker sinks; the device spreads them.
    apart = [
        t.coordinates["hip_flexion_r"] - t.coordinates["hip_flexion_l"] for t in (trial, still)
    ]
    assert abs(apart[1][-1]) < 1e-6 < 0.005 < apart[0][-1]


def test_a_plan_s_own_exo_control_is_played_back():
    plan = resting_plan(WORN)
    controls = {**plan.controls, "exo_hip_r": np.full(2, 0.2), "exo_hip_l": np.zeros(2)}
    trial = rollout(WORN, Motion(plan.time, plan.states, controls), 0.15)
    assert (trial.info.condition, trial.info.controller) == ("assisted", "playback")
    motor = trial.exo_torque["hip_flexion_r"] + WORN.exo.drag * trial.speeds["hip_flexion_r"]
    assert motor[-1] == pytest.approx(0.2 * WORN.exo.limits.max_torque, rel=1e-3)


def test_tendons_that_stretch_are_recorded_too():
    config = ModelConfig(tendon="compliant")
    trial = rollout(config, resting_plan(config), 0.02, mode="manager")
    assert np.isfinite(trial.fibre_velocities.values).all()
    assert np.abs(np.diff(trial.fibre_lengths.values, axis=0)).max() > 0.0


def test_plans_that_cannot_be_run_are_refused_in_words():
    plan = resting_plan(BARE)
    for span in (dict(duration=0.6), dict(start=-0.1), dict(start=0.45, duration=0.1),
                 dict(duration=0.0), dict(duration=0.004)):  # fmt: skip
        with pytest.raises(InputError, match="the plan spans 0 to 0.5 s"):
            rollout(BARE, plan, **span)
    knee = {p: v for p, v in plan.states.items() if "knee_angle_r" not in p}
    with pytest.raises(InputError, match="no value or speed of knee_angle_r"):
        rollout(BARE, Motion(plan.time, knee, plan.controls))
    fewer = {n: c for n, c in plan.controls.items() if n not in ("soleus_l", "lumbar_torque")}
    with pytest.raises(InputError, match="no control of soleus_l, lumbar_torque"):
        rollout(BARE, Motion(plan.time, plan.states, fewer))
    with pytest.raises(InputError, match="two hips"):
        rollout(BARE, plan, controller=Push())


def test_controls_that_are_no_numbers_are_a_simulation_error():
    plan = resting_plan(BARE)
    controls = {**plan.controls, "vasti_r": np.array([np.nan, np.nan])}
    with pytest.raises(SimulationError, match="vasti_r nan"):
        rollout(BARE, Motion(plan.time, plan.states, controls), 0.05)


@pytest.fixture(scope="module")
def gait():
    try:
        return library.load("gait2d", 1.25, 0.0)
    except DataError as error:
        pytest.skip(f"no shipped gait of this model yet: {error}")


def test_a_shipped_gait_s_controls_lead_opensim_along_its_states(gait):
    plan = gait.solution.stride()
    for start in np.arange(0.0, plan.time[-1] - 0.1, 0.2):
        trial = rollout(gait.config.model, plan, 0.05, start=start, control_dt=0.005)
        for name, path in trial.info.provenance["coordinate_paths"].items():
            expected = np.interp(trial.time, plan.time, plan.states[f"{path}/value"])
            error = np.abs(trial.coordinates[name] - expected).max()
            limit = 0.005 if name in ("pelvis_tx", "pelvis_ty") else np.radians(1.0)
            assert error < limit, (name, start, error)


def test_inverse_dynamics_finds_the_moments_that_moved_a_shipped_gait(gait):
    """Forward by muscles, backward by Newton: a round trip, but for filter and sampling."""
    trial = gait.trial
    found = inverse_dynamics(gait.config.model, trial, cutoff_hz=None)
    for base in ("hip_flexion", "knee_angle", "ankle_angle"):
        for name in (f"{base}_r", f"{base}_l"):
            ours, true = found[name][5:-5], trial.moments[name][5:-5]
            assert np.corrcoef(ours, true)[0, 1] > 0.95, name
    weight = trial.info.body_mass * GRAVITY
    assert np.sqrt(np.mean(found["pelvis_ty"][5:-5] ** 2)) < 0.03 * weight
