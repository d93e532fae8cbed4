"""The recorder against OpenSim's own sums and against mechanics."""

import numpy as np
import pytest

from osim_exo import names
from osim_exo.analysis.metabolics import with_metabolic_rates
from osim_exo.baseline import library
from osim_exo.errors import DataError, ModelError, SimulationError
from osim_exo.models import HipExo, ModelConfig, Subject, components, ground
from osim_exo.physics.record import Motion, Recorder, describe, resultant
from osim_exo.trial import SERIES
from osim_exo.units import GRAVITY

osim = pytest.importorskip("opensim")

WORN = ModelConfig(exo=HipExo(drag=0.4))
BASE = {"pelvis_tilt", "pelvis_tx", "pelvis_ty"}


def random_motion(config, n=8, seed=0, height=(0.75, 0.9)):
    """Unconnected random states with random controls: the recorder takes each by itself."""
    model, rng = config.build(), np.random.default_rng(seed)
    scale = (config.subject or Subject()).length_scale
    ranges = {
        "pelvis_ty": tuple(scale * h for h in height),
        "hip_flexion": (-0.6, 1.2),
        "knee_angle": (-1.9, 0.1),
        "ankle_angle": (-0.7, 0.5),
    }
    if config.tendon == "compliant":  # within the postures where every tendon finds a balance
        ranges |= {
            "hip_flexion": (-0.3, 0.5),
            "knee_angle": (-0.9, 0.0),
            "ankle_angle": (-0.3, 0.2),
        }
    states, controls = {}, {}
    for coordinate in components.coordinates(model):
        name, path = coordinate.getName(), coordinate.getAbsolutePathString()
        base = name[:-2] if names.side(name) else name
        states[f"{path}/value"] = rng.uniform(*ranges.get(base, (-0.4, 0.4)), n)
        states[f"{path}/speed"] = 2.0 * rng.standard_normal(n)
    for muscle in components.muscles(model):
        states[f"{muscle.getAbsolutePathString()}/activation"] = rng.uniform(0.05, 1.0, n)
        controls[muscle.getName()] = rng.uniform(0.05, 1.0, n)
    for actuator in components.coordinate_actuators(model):
        controls[actuator.getName()] = rng.uniform(-1.0, 1.0, n)
        if osim.ActivationCoordinateActuator.safeDownCast(actuator) is not None:
            path = f"{actuator.getAbsolutePathString()}/activation"
            states[path] = rng.uniform(-1.0, 1.0, n)
    if config.tendon == "compliant":
        states |= equilibrated_tendons(model, states, n)
    return Motion(0.01 * np.arange(n), states, controls)


def equilibrated_tendons(model, states, n):
    """Tendon forces in balance with the muscles; at any other, fibre velocity is undefined."""
    state = model.initSystem()
    muscles = [m.getAbsolutePathString() for m in components.muscles(model)]
    found = {f"{path}/normalized_tendon_force": np.zeros(n) for path in muscles}
    for i in range(n):
        for path, values in states.items():
            model.setStateVariableValue(state, path, float(values[i]))
        model.equilibrateMuscles(state)
        for path, values in found.items():
            values[i] = model.getStateVariableValue(state, path)
    return found


def recorded(config, motion):
    model = config.build()
    return Recorder(model, config.display).record(motion, describe(config, model, "test"))


def generalised_forces(config, motion):
    """Forces that Newton's law needs beyond contact and gravity, (n_time, n_coordinate).

    OpenSim integrates with every force on; then only the contacts stay on, and inverse dynamics
    tells what the others must have given. The recorder's sums play no part.
    """
    full, bare = config.build(), config.build()
    states = [full.initSystem(), bare.initSystem()]
    for force in filter(None, map(osim.Force.safeDownCast, bare.getComponentsList())):
        if osim.SmoothSphereHalfSpaceForce.safeDownCast(force) is None:
            force.setAppliesForce(states[1], False)
    solver = osim.InverseDynamicsSolver(bare)
    coordinates = components.coordinates(full)
    found = []
    for i in range(motion.time.size):
        for path, values in motion.states.items():
            for model, state in zip((full, bare), states):
                model.setStateVariableValue(state, path, float(values[i]))
        full.realizeVelocity(states[0])
        vector = full.updControls(states[0])
        for name, values in motion.controls.items():
            actuator = osim.Actuator.safeDownCast(full.getComponent(f"/forceset/{name}"))
            actuator.setControls(osim.Vector(1, float(values[i])), vector)
        full.setControls(states[0], vector)
        full.realizeAcceleration(states[0])
        needed = solver.solve(states[1], osim.Vector(states[0].getUDot())).to_numpy()
        order = speed_order(full, coordinates)
        found.append(needed[order])
    return np.array(found)


def speed_order(model, coordinates):
    """Place of each coordinate's speed among the generalised speeds."""
    state = model.initSystem()
    order = []
    for coordinate in coordinates:
        for other in coordinates:
            other.setSpeedValue(state, 0.0)
        coordinate.setSpeedValue(state, 1.0)
        order.append(int(np.argmax(state.getU().to_numpy())))
    return order


@pytest.mark.parametrize("actuator", ["torque", "activation"])
@pytest.mark.parametrize("paths", ["polynomial", "geometry"])
def test_moments_and_exo_torque_are_what_newton_s_law_needs(paths, actuator):
    config = WORN.changed(paths=paths, slope_deg=3.0, exo_actuator=actuator)
    motion = random_motion(config)
    trial = recorded(config, motion)
    total = trial.moments.values.copy()
    for name in trial.exo_torque.names:
        total[:, trial.moments.names.index(name)] += trial.exo_torque[name]
    needed = generalised_forces(config, motion)
    assert np.abs(total).max() > 100.0
    np.testing.assert_allclose(total, needed, atol=1e-6 * np.abs(needed).max())


def test_muscle_power_is_moment_times_speed_and_the_trunk_s_actuator_is_no_muscle():
    trial = recorded(WORN, random_motion(WORN))
    active = trial.moments.values - trial.passive_moments.values
    index = trial.moments.names.index("lumbar_extension")
    assert np.abs(active[:, index]).max() > 10.0
    active[:, index] = 0.0
    by_joint = np.sum(active * trial.speeds.values, axis=1)
    by_muscle = trial.muscle_powers.values.sum(axis=1)
    np.testing.assert_allclose(by_muscle, by_joint, atol=1e-6 * np.abs(by_joint).max())


def test_muscle_power_equals_opensim_s_own():
    motion = random_motion(WORN, n=3)
    trial = recorded(WORN, motion)
    model = WORN.build()
    state = model.initSystem()
    for path, values in motion.states.items():
        model.setStateVariableValue(state, path, float(values[0]))
    model.realizeDynamics(state)
    for muscle in components.muscles(model):
        # With a rigid tendon the fibre's power along the tendon is all there is.
        assert trial.muscle_powers[muscle.getName()][0] == pytest.approx(
            muscle.getMusclePower(state), rel=1e-6, abs=1e-6
        )


def test_ground_reaction_has_the_force_and_moment_of_all_the_spheres():
    """Force and moment about the ground's origin, summed from what acts on the half space."""
    motion = random_motion(WORN, n=20)
    trial = recorded(WORN, motion)
    model = WORN.build()
    state = model.initSystem()
    loaded = 0
    for i in range(motion.time.size):
        for path, values in motion.states.items():
            model.setStateVariableValue(state, path, float(values[i]))
        model.realizeVelocity(state)
        for side in names.SIDES:
            expected = np.zeros(6)
            for contact in ground.contact_forces(model):
                if names.side(contact.getName()) == side:
                    values = contact.getRecordValues(state)
                    expected -= [values.get(k) for k in range(6, 12)]
            force, point, free = (
                np.array([trial.grf[f"ground_{kind}{axis}"][i] for axis in "xyz"])
                for kind in (f"force_{side}_v", f"force_{side}_p", f"torque_{side}_")
            )
            np.testing.assert_allclose(force, expected[:3], atol=1e-9)
            if force[1] > 1.0:
                loaded += 1
                moment = np.cross(point, force) + free
                np.testing.assert_allclose(
                    moment, expected[3:], atol=1e-6 * max(1.0, np.abs(expected).max())
                )
                assert point[1] == 0.0
                # A centre of pressure carries no moment in its own plane.
                np.testing.assert_allclose(free[[0, 2]], 0.0, atol=1e-6)
    assert loaded >= 8


def test_the_centre_of_pressure_lies_under_the_loaded_foot():
    trial = recorded(WORN, random_motion(WORN, n=30, seed=4))
    seen = 0
    for side in names.SIDES:
        loaded = trial.grf[f"ground_force_{side}_vy"] > 20.0
        parts = tuple(f"{part}_{side}.x" for part in ("heel", "ball", "toe"))
        spheres = [n[:-2] for n in trial.points.names if n in parts]
        assert len(spheres) == 3
        places = np.stack([trial.points[f"{n}.x"] for n in spheres])
        centre = trial.grf[f"ground_force_{side}_px"]
        low, high = places.min(axis=0) - 0.035, places.max(axis=0) + 0.035
        assert np.all((centre > low)[loaded] & (centre < high)[loaded])
        seen += int(loaded.sum())
    assert seen >= 8


def test_the_resultant_of_loads_by_hand():
    loads = np.array([[10.0, 100.0, 0.0, 0.0, 0.0, 0.1], [0.0, 300.0, 0.0, 0.2, 0.0, 0.1]])
    np.testing.assert_allclose(resultant(loads)[:6], [10, 400, 0, 0.15, 0, 0.1], atol=1e-12)
    empty = resultant(np.zeros((3, 6)))
    np.testing.assert_array_equal(empty, 0.0)
    turning = np.array([[50.0, 100.0, 0.0, 0.0, 0.0, 0.1], [-50.0, 100.0, 0.0, 0.0, 0.0, -0.1]])
    assert resultant(turning)[7] == pytest.approx(10.0)


def test_exo_torque_is_the_drive_s_command_and_its_drag_together():
    motion = random_motion(WORN)
    trial = recorded(WORN, motion)
    assert trial.exo_torque.names == ("hip_flexion_r", "hip_flexion_l")
    for side in names.SIDES:
        speed = trial.speeds[f"hip_flexion_{side}"]
        command = WORN.exo.limits.max_torque * motion.controls[f"exo_hip_{side}"]
        torque = trial.exo_torque[f"hip_flexion_{side}"]
        np.testing.assert_allclose(torque, command - 0.4 * speed, atol=1e-12)
        np.testing.assert_allclose(trial.exo_power[f"hip_flexion_{side}"], torque * speed)


def test_an_unpowered_exo_takes_power_only():
    motion = random_motion(WORN)
    still = {n: np.zeros_like(c) if n.startswith("exo") else c for n, c in motion.controls.items()}
    trial = recorded(WORN, Motion(motion.time, motion.states, still))
    assert np.all(trial.exo_power.values <= 0.0) and np.any(trial.exo_power.values < -0.1)


def test_passive_moments_push_back_beyond_the_limits_and_rest_within():
    model = ModelConfig().build()
    info = describe(ModelConfig(), model, "limits")
    recorder = Recorder(model)
    knee = "/jointset/knee_r/knee_angle_r/value"
    values = np.array([-2.3, -1.0, 0.2])
    motion = Motion(np.arange(3.0), {knee: values, "/jointset/ground_pelvis/pelvis_ty/value":
                                     np.full(3, 2.0)})  # fmt: skip
    moment = recorder.record(motion, info).passive_moments["knee_angle_r"]
    assert moment[0] > 1.0 and abs(moment[1]) < 0.1 and moment[2] < -1.0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_state_that_is_no_number_is_a_simulation_error_with_its_name_and_time(value):
    motion = random_motion(WORN)
    path = next(p for p in motion.states if p.endswith("knee_angle_l/speed"))
    motion.states[path][3] = value
    with pytest.raises(SimulationError, match=r"knee_angle_l/speed is (nan|inf) at 0\.0300 s"):
        recorded(WORN, motion)


@pytest.mark.parametrize("tendon", ["rigid", "compliant"])
def test_every_series_is_there_finite_and_named(tendon):
    config = WORN.changed(subject=Subject(mass=60.0, height=1.6), tendon=tendon)
    trial = with_metabolic_rates(recorded(config, random_motion(config)))
    for series in SERIES:
        channels = getattr(trial, series)
        assert len(channels) > 0, series
        assert np.isfinite(channels.values).all(), series
    for landmark in ("hip_r", "knee_l", "ankle_r", "lumbar", "neck", "head", "heel_r", "toe_l"):
        assert f"{landmark}.x" in trial.points
    assert "muscle/soleus_r/0.x" in trial.points
    assert trial.info.body_mass == 60.0 and trial.info.height == 1.6
    assert trial.info.exo_mass == pytest.approx(HipExo().mass)
    assert set(trial.info.muscles) == set(trial.activations.names)


def test_points_are_where_opensim_has_the_joints():
    motion = random_motion(WORN, n=2)
    trial = recorded(WORN, motion)
    model = WORN.build()
    state = model.initSystem()
    for path, values in motion.states.items():
        model.setStateVariableValue(state, path, float(values[1]))
    model.realizePosition(state)
    for landmark, body in (("knee_r", "tibia_r"), ("ankle_l", "talus_l"), ("hip_r", "femur_r")):
        place = model.getBodySet().get(body).getPositionInGround(state).to_numpy()
        found = [trial.points[f"{landmark}.{axis}"][1] for axis in "xyz"]
        np.testing.assert_allclose(found, place, atol=1e-12)


def test_a_scaled_person_s_moments_scale_where_mechanics_says_so():
    """Strength doubles every active moment and leaves the passive joint limits as they are."""
    weak, strong = (ModelConfig(subject=Subject(strength=s)) for s in (0.5, 1.0))
    motion = random_motion(strong)
    quiet = Motion(motion.time, motion.states, {})
    a, b = recorded(weak, quiet), recorded(strong, quiet)
    np.testing.assert_allclose(a.passive_moments.values, b.passive_moments.values, atol=1e-9)
    active = [t.moments.values - t.passive_moments.values for t in (a, b)]
    np.testing.assert_allclose(2.0 * active[0], active[1], atol=1e-6 * np.abs(active[1]).max())


def test_contact_that_cannot_be_told_is_refused_and_not_left_out():
    nameless = ModelConfig().build()
    nameless.getForceSet().get("contact_heel_r").setName("heel_contact")
    with pytest.raises(ModelError, match="reaction of heel_contact cannot be told"):
        Recorder(nameless)
    unread = ModelConfig().build()
    force = osim.HuntCrossleyForce()
    force.setName("sole_r")
    unread.addForce(force)
    with pytest.raises(ModelError, match="sole_r"):
        Recorder(unread)


@pytest.fixture(scope="module")
def stride():
    try:
        return library.load("gait2d", 1.25, 0.0)
    except DataError as error:
        pytest.skip(f"no shipped gait of this model yet: {error}")


def test_over_a_shipped_stride_the_ground_carries_the_weight(stride):
    trial = stride.trial
    vertical = sum(trial.grf[f"ground_force_{s}_vy"] for s in names.SIDES)
    forward = sum(trial.grf[f"ground_force_{s}_vx"] for s in names.SIDES)
    weight = trial.info.body_mass * GRAVITY
    span = trial.duration
    assert np.trapezoid(vertical, trial.time) / span == pytest.approx(weight, rel=0.02)
    assert np.trapezoid(forward, trial.time) / span == pytest.approx(0.0, abs=0.02 * weight)


def test_over_a_shipped_stride_the_work_adds_up(stride):
    """Joint work, drives and trunk give what the ground takes: the body ends as it began."""
    trial = stride.trial
    speeds = trial.speeds.select(trial.moments.names).values
    joints = np.sum(trial.moments.values * speeds, axis=1)
    model = stride.config.model.build()
    state = model.initSystem()
    paths = trial.info.provenance["coordinate_paths"]
    taken, energy = [], []
    for i in range(trial.time.size):
        for name in trial.coordinates.names:
            for kind, values in (("value", trial.coordinates), ("speed", trial.speeds)):
                path = f"{paths[name]}/{kind}"
                model.setStateVariableValue(state, path, float(values[name][i]))
        model.realizeVelocity(state)
        power = 0.0
        for contact in ground.contact_forces(model):
            sphere = osim.ContactSphere.safeDownCast(contact.getConnectee("sphere"))
            frame = sphere.getFrame()
            centre = frame.findStationLocationInGround(state, sphere.get_location()).to_numpy()
            depth = sphere.getRadius() - centre[1]
            point = osim.Vec3(centre[0], -0.5 * depth, centre[2])
            station = model.getGround().findStationLocationInAnotherFrame(state, point, frame)
            velocity = frame.findStationVelocityInGround(state, station).to_numpy()
            values = contact.getRecordValues(state)
            power += float(np.dot([values.get(k) for k in range(3)], velocity))
        taken.append(power)
        energy.append(model.calcKineticEnergy(state))
    work = np.trapezoid(joints + np.array(taken), trial.time)
    moved = np.trapezoid(np.abs(joints), trial.time)
    assert energy[-1] == pytest.approx(energy[0], rel=0.02)
    # On the level a periodic stride changes no energy; 101 samples resolve landing to a few %.
    assert abs(work) < 0.05 * moved
