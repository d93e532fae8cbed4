"""The worn device: an unpowered one is its mass; its drives push as their coordinates point."""

import numpy as np
import pytest

from osim_exo.device import DeviceLimits
from osim_exo.errors import InputError, ModelError
from osim_exo.models import ModelConfig
from osim_exo.models.exo import RATE_SPAN, AnkleExo, ExoPart, HipExo, JointExo

osim = pytest.importorskip("opensim")


def accelerations(model, state, coordinates, speeds):
    """Accelerations at a posture, by coordinate name."""
    found = model.getCoordinateSet()
    for name, value in coordinates.items():
        found.get(name).setValue(state, value, False)
    for name, value in speeds.items():
        found.get(name).setSpeedValue(state, value)
    model.realizeAcceleration(state)
    return {
        found.get(i).getName(): found.get(i).getAccelerationValue(state)
        for i in range(found.getSize())
    }


POSTURE = dict(
    pelvis_tilt=-0.1, pelvis_ty=1.1, hip_flexion_r=0.4, hip_flexion_l=-0.2, knee_angle_r=-0.3,
    knee_angle_l=-0.6, ankle_angle_r=0.1, ankle_angle_l=-0.1,
)  # fmt: skip
MOTION = dict(pelvis_tilt=0.5, pelvis_tx=1.2, hip_flexion_r=2.0, hip_flexion_l=-3.0, knee_angle_l=4)


def add_mass_by_hand(model, body_name, mass, location, gyration_radius):
    """Combine a mass with a body by the parallel axis theorem."""
    body = model.getBodySet().get(body_name)
    total = body.getMass() + mass
    old, new = body.getMassCenter().to_numpy(), np.array(location)
    centre = (body.getMass() * old + mass * new) / total
    inertia = body.get_inertia()
    own = np.diag([inertia.get(i) for i in range(3)])
    for i, j, k in ((0, 1, 3), (0, 2, 4), (1, 2, 5)):
        own[i, j] = own[j, i] = inertia.get(k)
    own = own + mass * gyration_radius**2 * np.eye(3)
    for m, place in ((body.getMass(), old), (mass, new)):
        d = place - centre
        own += m * (d @ d * np.eye(3) - np.outer(d, d))
    body.setMass(total)
    body.setMassCenter(osim.Vec3(*centre))
    body.setInertia(osim.Inertia(*np.diag(own), own[0, 1], own[0, 2], own[1, 2]))


def test_an_unpowered_device_without_drag_and_rotor_is_its_mass_and_nothing_else():
    exo = HipExo(drag=0.0, reflected_inertia=0.0)
    worn = ModelConfig(exo=exo).build()
    by_hand = ModelConfig().build()
    for part in exo.parts:
        for side in part.sides:
            place = np.array(part.location) * ([1, 1, -1] if side == "l" else [1, 1, 1])
            body = part.body.format(side=side)
            add_mass_by_hand(by_hand, body, part.mass, place, part.gyration_radius)
    by_hand.finalizeConnections()
    worn_acc = accelerations(worn, worn.initSystem(), POSTURE, MOTION)
    hand_acc = accelerations(by_hand, by_hand.initSystem(), POSTURE, MOTION)
    bare = ModelConfig().build()
    bare_acc = accelerations(bare, bare.initSystem(), POSTURE, MOTION)
    scale = max(abs(value) for value in hand_acc.values())
    for name, value in hand_acc.items():
        assert worn_acc[name] == pytest.approx(value, abs=1e-9 * scale), name
    assert max(abs(worn_acc[n] - bare_acc[n]) for n in bare_acc) > 1e-3 * scale


@pytest.mark.parametrize("exo", [HipExo(), AnkleExo(), JointExo(joints=("hip", "knee", "ankle"))])
@pytest.mark.parametrize("actuator", ["torque", "activation"])
def test_the_model_gains_the_device_s_mass_and_its_actuators_come_last(exo, actuator):
    bare = ModelConfig().build()
    model = ModelConfig(exo=exo, exo_actuator=actuator).build()
    gained = model.getTotalMass(model.initSystem()) - bare.getTotalMass(bare.initSystem())
    assert gained == pytest.approx(exo.mass, rel=1e-9)
    forces = [model.getForceSet().get(i).getName() for i in range(model.getForceSet().getSize())]
    assert tuple(forces[-len(exo.actuator_names) :]) == exo.actuator_names


def test_the_hip_device_weighs_about_three_kilograms():
    assert HipExo().mass == pytest.approx(3.2)
    assert HipExo().coordinates == ("hip_flexion_r", "hip_flexion_l")
    assert AnkleExo().coordinates == ("ankle_angle_r", "ankle_angle_l")


def test_positive_torque_flexes_and_its_power_is_torque_times_speed():
    model = ModelConfig(exo=HipExo()).build()
    state = model.initSystem()
    rest = accelerations(model, state, POSTURE, MOTION)
    force = osim.CoordinateActuator.safeDownCast(model.getForceSet().get("exo_hip_r"))
    controls = model.updControls(state)
    force.setControls(osim.Vector(1, 0.8), controls)
    model.setControls(state, controls)
    pushed = accelerations(model, state, {}, {})
    assert pushed["hip_flexion_r"] > rest["hip_flexion_r"] + 1.0
    assert force.getActuation(state) == pytest.approx(0.8 * 15.0)
    assert force.getPower(state) == pytest.approx(0.8 * 15.0 * MOTION["hip_flexion_r"])


def pendulum(exo):
    """A pelvis fixed in space with two hanging legs, and the device on them."""
    model = osim.Model()
    pelvis = osim.Body("pelvis", 10.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
    model.addBody(pelvis)
    model.addJoint(osim.WeldJoint("fixed", model.getGround(), pelvis))
    for side in "rl":
        thigh = osim.Body(f"femur_{side}", 8.0, osim.Vec3(0, -0.2, 0), osim.Inertia(0.1, 0.1, 0.1))
        joint = osim.PinJoint(f"hip_{side}", pelvis, thigh)
        joint.updCoordinate().setName(f"hip_flexion_{side}")
        model.addBody(thigh)
        model.addJoint(joint)
    model.finalizeConnections()
    if exo is not None:
        exo.attach(model)
    return model


def test_reflected_inertia_equals_a_geared_rotor_where_the_pelvis_is_fixed():
    parts = (ExoPart(name="cuff", mass=0.5, body="femur_{side}", location=(0, -0.2, 0)),)
    with_disc = pendulum(HipExo(parts=parts, reflected_inertia=0.04, drag=0.0))
    geared = pendulum(HipExo(parts=parts, reflected_inertia=0.0, drag=0.0))
    gear = 9.0
    rotor = osim.Body("rotor", 1e-6, osim.Vec3(0), osim.Inertia(*[0.04 / gear**2] * 3))
    pin = osim.PinJoint("shaft", geared.getBodySet().get("pelvis"), rotor)
    pin.updCoordinate().setName("rotor_angle")
    geared.addBody(rotor)
    geared.addJoint(pin)
    coupler = osim.CoordinateCouplerConstraint()
    coupler.setIndependentCoordinateNames(osim.ArrayStr("hip_flexion_r", 1))
    coupler.setDependentCoordinateName("rotor_angle")
    coupler.setFunction(osim.LinearFunction(gear, 0.0))
    geared.addConstraint(coupler)
    geared.finalizeConnections()
    posture, motion = {"hip_flexion_r": 0.7}, {"hip_flexion_r": 1.5}
    disc = accelerations(with_disc, with_disc.initSystem(), posture, motion)
    motion = motion | {"rotor_angle": gear * 1.5}
    posture = posture | {"rotor_angle": gear * 0.7}
    exact = accelerations(geared, geared.initSystem(), posture, motion)
    assert disc["hip_flexion_r"] == pytest.approx(exact["hip_flexion_r"], rel=1e-9)


def test_drag_brakes_in_proportion_to_speed():
    free = HipExo(drag=0.0)
    braked = HipExo(drag=0.3)
    found = [
        accelerations(m, m.initSystem(), {}, {"hip_flexion_r": 2.0})["hip_flexion_r"]
        for m in (pendulum(free), pendulum(braked))
    ]
    cuff = free.parts[2]
    inertia = 0.1 + 8 * 0.2**2 + 0.005 + cuff.mass * (0.25**2 + cuff.gyration_radius**2)
    assert found[1] - found[0] == pytest.approx(-0.3 * 2.0 / inertia, rel=1e-9)


@pytest.mark.parametrize("torque", [-15.0, -7.5, 0.0, 15.0])
@pytest.mark.parametrize("share", [-1.0, 1.0])
def test_an_optimal_exo_s_torque_never_changes_faster_than_the_rate_limit(torque, share):
    exo = HipExo(limits=DeviceLimits(max_torque=15.0, rate_limit=250.0))
    model = pendulum(None)
    exo.attach(model, actuator="activation")
    state = model.initSystem()
    force = osim.ActivationCoordinateActuator.safeDownCast(model.getForceSet().get("exo_hip_l"))
    path = "/forceset/exo_hip_l/activation"
    model.setStateVariableValue(state, path, torque / force.getOptimalForce())
    controls = model.updControls(state)
    control = force.getMaxControl() if share > 0 else force.getMinControl()
    force.setControls(osim.Vector(1, control), controls)
    model.setControls(state, controls)
    model.realizeAcceleration(state)
    assert force.getActuation(state) == pytest.approx(torque)
    rate = force.getOptimalForce() * model.getStateVariableDerivativeValue(state, path)
    assert rate * share <= 250.0 * (1 + 1e-12)
    assert rate * share >= 250.0 * (1 - 2 / RATE_SPAN) - 1e-9
    # The control is the rate over its limit.
    assert rate == pytest.approx(250.0 * control, abs=250.0 / RATE_SPAN + 1e-9)


def test_a_drive_without_a_real_rate_limit_is_solved_as_one_that_ramps_in_5_ms():
    exo = HipExo(limits=DeviceLimits(max_torque=15.0, rate_limit=1e6))
    model = pendulum(None)
    exo.attach(model, actuator="activation")
    force = osim.ActivationCoordinateActuator.safeDownCast(model.getForceSet().get("exo_hip_r"))
    assert force.get_activation_time_constant() == pytest.approx(0.005 * RATE_SPAN)


def test_a_model_without_the_joint_s_coordinates_is_refused_with_a_list():
    with pytest.raises(ModelError, match="ankle_angle_l, ankle_angle_r"):
        AnkleExo().attach(pendulum(None))


def test_a_model_without_the_bodies_or_with_a_device_is_refused():
    part = ExoPart(name="pad", mass=0.2, body="thigh_{side}")
    with pytest.raises(ModelError, match="thigh_l, thigh_r"):
        HipExo(parts=(part,), reflected_inertia=0.0).attach(pendulum(None))
    worn = pendulum(HipExo())
    with pytest.raises(ModelError, match="wears a device already"):
        HipExo().attach(worn)
    with pytest.raises(InputError, match="activation, torque"):
        HipExo().attach(pendulum(None), actuator="motor")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (dict(joints=("hip", "hip")), "more than once: hip"),
        (dict(joints=("elbow",)), "elbow"),
        (dict(joints=()), "joints"),
        (dict(reflected_inertia=0.2), "reflected_inertia"),
        (dict(drag=-1.0), "drag"),
        (dict(parts=()), "needs a part on 'femur_{side}'"),
        (dict(limits=dict(rate_limit=1.0)), "reach the maximum torque"),
    ],
)
def test_a_device_that_cannot_be_is_refused_in_words(fields, says):
    with pytest.raises(InputError, match=says):
        JointExo(**fields)


def test_a_device_survives_json():
    exo = AnkleExo(drag=0.2)
    assert JointExo.model_validate_json(exo.model_dump_json()) == exo
