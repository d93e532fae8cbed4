"""Parameters do to the compiled model what changes do to OpenSim's; drives are the device's."""

from dataclasses import dataclass

import numpy as np
import pytest

from osim_exo.device import DeviceDynamics, DeviceLimits
from osim_exo.errors import InputError
from osim_exo.models import HipExo, ModelConfig
from osim_exo.physics import CompiledPhysics, OpenSimPhysics, StartState
from osim_exo.strap import Strap

osim = pytest.importorskip("opensim")

BARE, WORN = ModelConfig(), ModelConfig(exo=HipExo())
N_MUSCLE = 18
MOVING = StartState(
    coordinates={"hip_flexion_r": 0.3, "knee_angle_r": -0.4, "pelvis_ty": 0.93},
    speeds={"pelvis_tx": 1.0, "hip_flexion_l": -1.0},
    activations={"*": 0.1},
)


def played(physics, n_step=8):
    """Coordinates after some steps from a moving start."""
    physics.reset(MOVING)
    drive = np.full((physics.n_env, N_MUSCLE), 0.2)
    for _ in range(n_step):
        physics.step(drive)
    return physics.coordinates


@dataclass(frozen=True)
class Changed:
    """The worn planar model after a change."""

    change: str

    @property
    def exo(self):
        return WORN.exo

    def build(self):
        model = WORN.build()
        bodies = model.getBodySet()
        if self.change == "heavy shank":
            body = bodies.get("tibia_r")
            body.setMass(1.3 * body.getMass())
        if self.change == "turning shank":
            body = bodies.get("tibia_r")
            body.setInertia(_scaled(body, 1.5))
        if self.change == "heavy exo":
            for i in range(bodies.getSize()):
                body = bodies.get(i)
                if body.getName().startswith("exo_"):
                    body.setMass(1.5 * body.getMass())
        if self.change == "tight soleus":
            muscle = model.getMuscles().get("soleus_r")
            muscle.set_tendon_slack_length(0.98 * muscle.get_tendon_slack_length())
        for name in ("ball", "heel", "toe"):
            path = f"/forceset/contact_{name}_r"
            if not model.hasComponent(path):
                continue
            contact = osim.SmoothSphereHalfSpaceForce.safeDownCast(model.updComponent(path))
            if self.change == "soft ground":
                contact.set_stiffness(0.5 * contact.get_stiffness())
            if self.change == "smooth ground":
                contact.set_static_friction(0.2 * contact.get_static_friction())
                contact.set_dynamic_friction(0.2 * contact.get_dynamic_friction())
                contact.set_viscous_friction(0.2 * contact.get_viscous_friction())
        model.finalizeConnections()
        return model


def _scaled(body, factor):
    moments, products = body.getInertia().getMoments(), body.getInertia().getProducts()
    six = [factor * m.get(i) for m in (moments, products) for i in range(3)]
    return osim.Inertia(*six)


def scaled(physics, name, label, factor):
    """The first environment's parameter, with a factor where the label is, or ends so."""
    labels = np.array(physics.parameter_labels(name))
    hit = np.array([own == label or own.endswith(label) for own in labels])
    assert hit.any()
    return {name: physics.parameters()[name][0] * np.where(hit, factor, 1.0)}


CASES = {
    "heavy shank": lambda p: scaled(p, "segment_mass", "tibia_r", 1.3),
    "turning shank": lambda p: scaled(p, "segment_inertia", "tibia_r", 1.5),
    "heavy exo": lambda p: {"exo_mass": 1.5 * p.parameters()["exo_mass"][0]},
    "tight soleus": lambda p: scaled(p, "tendon_slack_length", "soleus_r", 0.98),
    "soft ground": lambda p: scaled(p, "contact_stiffness", "_r", 0.5),
    "smooth ground": lambda p: scaled(p, "contact_friction", "_r", 0.2),
}


@pytest.mark.parametrize("change", CASES)
def test_a_changed_parameter_is_the_changed_model(change):
    physics = CompiledPhysics(WORN, n_env=3)
    before = played(physics)
    physics.set_parameters([1], **CASES[change](physics))
    after = played(physics)
    changed = CompiledPhysics(Changed(change))
    np.testing.assert_allclose(after[1], played(changed)[0], atol=1e-10)
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    assert np.abs(after[1] - before[1]).max() > 1e-6
    # A posture whose height is not named stands on the changed model's ground.
    physics.reset()
    changed.reset()
    np.testing.assert_allclose(physics.grf[1], changed.grf[0], rtol=1e-6, atol=1e-3)


def test_slope_and_strength_are_those_of_the_model_with_them():
    physics = CompiledPhysics(BARE, n_env=2)
    labels = physics.parameter_labels("muscle_strength")
    weak = np.where([name == "soleus_r" for name in labels], 0.4, 1.0)
    physics.set_parameters(
        slope_deg=[0.0, 6.0], muscle_strength=np.stack([np.ones(N_MUSCLE), weak])
    )
    reference = ModelConfig(slope_deg=6.0, weakness={"soleus_r": 0.4})
    compiled = CompiledPhysics(reference)
    np.testing.assert_allclose(played(physics)[1], played(compiled)[0], atol=1e-12)
    np.testing.assert_allclose(physics.slope, np.radians([0.0, 6.0]), atol=1e-15)
    # And OpenSim itself stands on that slope as this environment does.
    physics.reset()
    standing = OpenSimPhysics(reference)
    np.testing.assert_allclose(physics.coordinates[1], standing.coordinates[0], atol=1e-8)
    np.testing.assert_allclose(physics.grf[1], standing.grf[0], rtol=1e-6, atol=0.01)


def test_parameters_are_read_back_and_survive_a_reset():
    physics = CompiledPhysics(WORN, n_env=4)
    defaults = physics.parameters()
    assert defaults["exo_mass"] == pytest.approx(WORN.exo.mass)
    assert defaults["exo_bandwidth_hz"].shape == (4,)
    assert defaults["muscle_strength"].shape == (4, N_MUSCLE)
    physics.set_parameters([True, False, False, True], slope_deg=[3.0, -3.0], exo_mass=2.0)
    physics.reset()
    found = physics.parameters()
    np.testing.assert_allclose(found["slope_deg"], [3.0, 0.0, 0.0, -3.0])
    np.testing.assert_allclose(found["exo_mass"], [2.0, 3.2, 3.2, 2.0])
    found["slope_deg"][:] = 9.0
    assert physics.parameters()["slope_deg"][0] == 3.0


def test_resets_of_changed_environments_do_not_depend_on_each_other():
    together, alone = CompiledPhysics(BARE, n_env=6), CompiledPhysics(BARE, n_env=1)
    slopes = np.linspace(-10, 10, 6)
    together.set_parameters(slope_deg=slopes)
    together.reset(StartState(coordinates={"knee_angle_r": -0.3}))
    for k in (0, 3, 5):
        alone.set_parameters(slope_deg=slopes[k])
        alone.reset(StartState(coordinates={"knee_angle_r": -0.3}))
        np.testing.assert_array_equal(alone.coordinates[0], together.coordinates[k])


LIMITS = (
    DeviceLimits(),
    DeviceLimits(delay_s=0.0, bandwidth_hz=30.0),
    DeviceLimits(delay_s=0.0137, bandwidth_hz=4.0, rate_limit=60.0),
    DeviceLimits(delay_s=0.031, max_torque=8.0, power_limit=5.0),
    DeviceLimits(delay_s=0.004, max_torque=20.0, rate_limit=900.0, power_limit=12.0),
)


def tuned(**options):
    physics = CompiledPhysics(WORN, n_env=len(LIMITS), on_failure="mark", **options)
    fields = [field for field in DeviceLimits.model_fields if field != "strap"]
    physics.set_parameters(**{f"exo_{f}": [getattr(x, f) for x in LIMITS] for f in fields})
    return physics


def test_delivered_torque_is_the_device_s_in_every_environment():
    h, random = 0.002, np.random.default_rng(7)
    coarse, fine = tuned(substep=h), tuned(control_dt=h, substep=h)
    devices = [DeviceDynamics(limits, h, n_env=1, n_joint=2) for limits in LIMITS]
    hips = [fine.names.coordinates.index(n) for n in fine.names.exo_coordinates]
    for step in range(25):
        drive = np.clip(0.2 + 0.2 * random.standard_normal((len(LIMITS), N_MUSCLE)), 0, 1)
        command = random.uniform(-25, 25, (len(LIMITS), 2))
        if step == 9:
            command[1, 0] = np.nan
        coarse.step(drive, command)
        for _ in range(5):
            speeds = fine.speeds[:, hips]
            fine.step(drive, command)
            torque = [
                device.step(c[None], s[None])[0] for device, c, s in zip(devices, command, speeds)
            ]
            np.testing.assert_allclose(fine.exo_torque, torque, atol=1e-12)
        np.testing.assert_allclose(coarse.exo_torque, torque, atol=1e-12)
    # Held over more steps, a command's shares are summed in another order: the last digit.
    np.testing.assert_allclose(coarse.coordinates, fine.coordinates, rtol=0, atol=1e-13)
    assert not coarse.failed.any()


STRAPS = (
    Strap(),
    Strap(stiffness=720.0, damping=5.0),
    Strap(stiffness=60.0, damping=0.1, inertia=0.02),
    Strap(stiffness=3000.0, damping=30.0, inertia=0.001),
)


def strapped(limits):
    return ModelConfig(exo=HipExo(limits=limits, reflected_inertia=limits.strap.inertia))


def test_torque_through_a_strap_is_the_device_s_in_every_environment():
    pytest.importorskip("opensim")
    h, random = 0.002, np.random.default_rng(8)
    limits = [DeviceLimits(delay_s=0.0137, strap=strap) for strap in STRAPS]
    physics = [
        CompiledPhysics(strapped(limits[0]), n_env=len(STRAPS), control_dt=dt, substep=h)
        for dt in (5 * h, h)
    ]
    devices = [DeviceDynamics(own, h, n_env=1, n_joint=2) for own in limits]
    coarse, fine = physics
    hips = [fine.names.coordinates.index(n) for n in fine.names.exo_coordinates]
    for each in physics:
        for field in Strap.model_fields:
            values = [getattr(strap, field) for strap in STRAPS]
            each.set_parameters(**{f"exo_strap_{field}": values})
        each.reset(StartState(speeds={"hip_flexion_r": 2.0}, coordinates={"hip_flexion_l": 0.2}))
    for device, q, v in zip(devices, fine.coordinates[:, hips], fine.speeds[:, hips]):
        device.reset(angle=q, speed=v)
    for _ in range(25):
        drive = np.clip(0.2 + 0.2 * random.standard_normal((len(STRAPS), N_MUSCLE)), 0, 1)
        command = random.uniform(-25, 25, (len(STRAPS), 2))
        coarse.step(drive, command)
        for _ in range(5):
            angles, speeds = fine.coordinates[:, hips], fine.speeds[:, hips]
            fine.step(drive, command)
            torque = [
                device.step(c[None], v[None], q[None])[0]
                for device, c, v, q in zip(devices, command, speeds, angles)
            ]
            np.testing.assert_allclose(fine.exo_torque, torque, atol=1e-7)
        power = [device.drive_torque[0] * device.drive_speed[0] for device in devices]
        np.testing.assert_allclose(fine.drive_power, power, atol=1e-6)
        np.testing.assert_allclose(coarse.exo_torque, torque, atol=1e-7)
    state = coarse.snapshot()
    coarse.step(drive, command)
    once = coarse.exo_torque
    coarse.restore(state)
    coarse.step(drive, command)
    np.testing.assert_array_equal(coarse.exo_torque, once)


def test_a_walk_with_a_strapped_device_goes_as_in_opensim():
    pytest.importorskip("opensim")
    recipe = strapped(DeviceLimits(strap=Strap()))
    h = 0.0005
    fixed, manager = OpenSimPhysics(recipe, substep=h), OpenSimPhysics(recipe, mode="manager")
    compiled = CompiledPhysics(recipe, substep=h)
    every = (fixed, manager, compiled)
    random = np.random.default_rng(9)
    torques = []
    for _ in range(10):
        drive = np.clip(0.15 + 0.1 * random.standard_normal((1, N_MUSCLE)), 0, 1)
        command = random.uniform(-15, 15, (1, 2))
        for physics in every:
            physics.step(drive, command)
        torques.append([physics.exo_torque[0] for physics in every])
    a, b, c = np.moveaxis(np.array(torques), 1, 0)
    assert np.abs(a).max() > 2.0
    np.testing.assert_allclose(c, a, atol=0.1)
    # With the manager the strap moves in steps of 2 ms, and its torque is a mean over them.
    np.testing.assert_allclose(b, a, atol=0.8)
    np.testing.assert_allclose(compiled.drive_power, fixed.drive_power, atol=0.5)
    for physics in (manager, compiled):
        np.testing.assert_allclose(physics.coordinates, fixed.coordinates, atol=5e-3)


def test_a_longer_delay_keeps_the_commands_that_are_on_their_way():
    physics = CompiledPhysics(WORN, n_env=2)
    rest = np.zeros((2, N_MUSCLE))
    physics.step(rest, np.full((2, 2), 10.0))
    physics.set_parameters([1], exo_delay_s=0.05)
    early = []
    for _ in range(8):
        physics.step(rest)
        early.append(physics.exo_torque[:, 0])
    first, second = np.array(early).T
    assert first.argmax() < second.argmax() and second.max() > 1.0


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (dict(colour=1.0), "slope_deg, segment_mass"),
        (dict(slope_deg=40.0), "-15 to 15 degrees"),
        (dict(muscle_strength=-0.5), "muscle_strength"),
        (dict(segment_mass=np.ones(5)), "shape"),
        (dict(contact_friction=float("nan")), "contact_friction"),
        (dict(exo_delay_s=2.0), "exo_delay_s"),
        (dict(exo_rate_limit=1.0), "reach the maximum torque"),
        (dict(exo_power_limit=1.0), "rad/s is needed"),
    ],
)
def test_parameters_that_cannot_be_are_refused_and_nothing_changes(values, says):
    physics = CompiledPhysics(WORN, n_env=3)
    before = physics.parameters()
    with pytest.raises(InputError, match=says):
        physics.set_parameters(exo_mass=4.0, **values)
    for name, value in physics.parameters().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_bare_model_has_no_device_to_tune():
    with pytest.raises(InputError, match="Unknown parameter 'exo_max_torque'"):
        CompiledPhysics(BARE).set_parameters(exo_max_torque=10.0)
