from typing import Any

import numpy as np
import opensim as osim
import pytest

from osim_exo.compiler.equations import contact
from osim_exo.compiler.symbols.expression import Expr
from osim_exo.errors import ModelError
from osim_exo.trial import Array
from tests.compiler.bench_model import BenchModel, relative_error

LAWS: dict[str, dict[str, float]] = {
    "walking": {
        "stiffness": 3067776.0,
        "dissipation": 2.0,
        "static_friction": 0.8,
        "dynamic_friction": 0.8,
        "viscous_friction": 0.5,
        "transition_velocity": 0.2,
    },
    "sticky": {
        "stiffness": 1e6,
        "dissipation": 0.5,
        "static_friction": 0.9,
        "dynamic_friction": 0.4,
        "viscous_friction": 0.0,
        "transition_velocity": 0.1,
        "constant_contact_force": 1e-4,
        "hertz_smoothing": 200.0,
        "hunt_crossley_smoothing": 30.0,
    },
    "lossless": {"stiffness": 2e6, "dissipation": 0.0, "static_friction": 0.3},
}
TILT = osim.Vec3(0.2, -0.1, -np.pi / 2 + 0.15)


def ball_model(law: dict[str, float], tilt: Any = TILT, welded: bool = True) -> osim.Model:
    """A block that slides along three axes and turns about three, with a sphere on its toe."""
    model = osim.Model()
    block = osim.Body("block", 3.0, osim.Vec3(0.01, 0, 0), osim.Inertia(0.1))
    joint = osim.CustomJoint("six", model.getGround(), block, six_axes())
    model.addBody(block)
    model.addJoint(joint)
    carrier = block
    if welded:
        toe = osim.Body("toe", 0.4, osim.Vec3(0), osim.Inertia(0.01))
        model.addBody(toe)
        model.addJoint(
            osim.WeldJoint(
                "weld",
                block,
                osim.Vec3(0.2, -0.05, 0.02),
                osim.Vec3(0.1, 0.3, 0),
                toe,
                osim.Vec3(0),
                osim.Vec3(0),
            )
        )
        carrier = toe
    ground = osim.ContactHalfSpace(osim.Vec3(0.1, 0.02, 0.0), tilt, model.getGround(), "floor")
    sphere = osim.ContactSphere(0.04, osim.Vec3(0.05, -0.02, 0.01), carrier, "sphere")
    model.addContactGeometry(ground)
    model.addContactGeometry(sphere)
    force = osim.SmoothSphereHalfSpaceForce("contact", sphere, ground)
    for name, value in law.items():
        getattr(force, f"set_{name}")(value)
    model.addForce(force)
    model.finalizeConnections()
    return model


def six_axes() -> Any:
    transform = osim.SpatialTransform()
    for k, (getter, name) in enumerate(
        (f"upd_{kind}{i}", f"{kind[0]}{i}")
        for kind in ("rotation", "translation")
        for i in (1, 2, 3)
    ):
        axis = getattr(transform, getter)()
        axis.setCoordinateNames(osim.ArrayStr(name, 1))
        axis.set_function(osim.LinearFunction(1.0, 0.0))
        axis.setAxis(osim.Vec3(*np.eye(3)[k % 3]))
    return transform


def compiled(law: str, **scales: Expr) -> tuple[BenchModel, contact.ContactState]:
    bench = BenchModel(ball_model(LAWS[law]))
    state = contact.apply_contact(bench.spec.contacts[0], bench.mechanics, bench.loads, **scales)
    return bench, state


def touching(n: int, seed: int) -> dict[str, Array]:
    """Poses in which the sphere is up to 3 cm in the ground or above it."""
    rng = np.random.default_rng(seed)
    q = rng.uniform(-0.2, 0.2, (n, 6))
    bench, state = compiled("walking")
    depth = bench.run({"d": [state.indentation]}, q=q, u=0 * q)["d"][:, 0]
    wanted = rng.uniform(-0.03, 0.03, n)
    normal = bench.mechanics.rotation(bench.spec.contacts[0].half_space)[:, 0].astype(float)
    q[:, 3:] += (wanted - depth)[:, None] * normal
    return {"q": q, "u": rng.normal(0, [2, 2, 2, 0.7, 0.7, 0.7], (n, 6))}


@pytest.mark.parametrize("law", LAWS)
def test_force_and_torque_equal_opensims_record(law: str) -> None:
    bench, state = compiled(law)
    inputs = touching(60, 1)
    found = bench.run({"record": state.record}, **inputs)["record"]
    own = osim.Force.safeDownCast(bench.model.getComponent(bench.spec.contacts[0].path))
    expected = []
    for q, u in zip(inputs["q"], inputs["u"]):
        values = own.getRecordValues(bench.set(q, u))
        expected.append([values.get(i) for i in range(12)])
    assert np.abs(expected).max() > 100.0
    assert relative_error(found, expected) < 1e-10


def test_generalised_forces_equal_opensims() -> None:
    bench, _ = compiled("walking")
    inputs = touching(20, 2)
    found = bench.run({"f": [bench.generalised(k) for k in range(6)]}, **inputs)["f"]
    expected = [bench.forces_in_opensim(q, u) for q, u in zip(inputs["q"], inputs["u"])]
    assert relative_error(found, expected) < 1e-9


@pytest.mark.parametrize("law", LAWS)
def test_the_jacobian_is_minus_the_derivative_of_the_force(law: str) -> None:
    bench, state = compiled(law)
    (damping,) = bench.loads.contacts
    inputs = touching(40, 3)
    inputs["u"][:, :3] = 0.0  # a pure translation: the point moves as the body does
    found = bench.run({"d": damping.jacobian.ravel()}, **inputs)["d"].reshape(-1, 3, 3)
    h, slopes = 1e-6, np.zeros((40, 3, 3))
    for k in range(3):
        up, down = (
            bench.run({"f": state.force}, q=inputs["q"], u=inputs["u"] + s * h * np.eye(6)[3 + k])
            for s in (1, -1)
        )
        slopes[:, :, k] = -(up["f"] - down["f"]) / (2 * h)
    size = np.abs(slopes).max(axis=(1, 2), keepdims=True) + 1e-6
    kink = np.abs(
        np.linalg.norm(inputs["u"][:, 3:], axis=1) - LAWS[law].get("transition_velocity", 0.01)
    )
    smooth = kink > 1e-4
    assert (np.abs(found - slopes) / size)[smooth].max() < 1e-5


@pytest.mark.parametrize("law", LAWS)
def test_the_secant_damping_is_positive_and_opposes_the_slip(law: str) -> None:
    bench, state = compiled(law)
    (damping,) = bench.loads.contacts
    outputs = {
        "normal": [damping.normal_damping],
        "along": [damping.tangential_damping],
        "force": state.force,
        "fn": [state.normal_force],
        "v": bench.mechanics.velocity(damping.station, damping.arm),
    }
    inputs = touching(60, 4)
    inputs["u"][:, 3:] -= 0.5 * damping.normal
    found = bench.run(outputs, **inputs)
    pressed = found["fn"][:, 0] >= 0
    assert (found["normal"] >= 0).all() and (found["along"][pressed] >= 0).all()
    slip = found["v"] - (found["v"] @ damping.normal)[:, None] * damping.normal
    friction = found["force"] - (found["force"] @ damping.normal)[:, None] * damping.normal
    assert np.abs(friction + found["along"] * slip).max() < 1e-9 * np.abs(found["force"]).max()


def test_stiffness_and_friction_scales_act_as_the_properties_do() -> None:
    bench = BenchModel(ball_model(LAWS["sticky"]))
    p = bench.inputs("p", 2)
    scaled = contact.apply_contact(
        bench.spec.contacts[0],
        bench.mechanics,
        bench.loads,
        stiffness_scale=p[0],
        friction_scale=p[1],
    )
    inputs = touching(30, 5)
    found = bench.run({"r": scaled.record}, **inputs, p=np.tile([1.7, 0.6], (30, 1)))["r"]
    law = dict(LAWS["sticky"])
    law["stiffness"] *= 1.7
    for name in ("static_friction", "dynamic_friction", "viscous_friction"):
        law[name] *= 0.6
    other = BenchModel(ball_model(law))
    own = osim.Force.safeDownCast(other.model.getComponent(other.spec.contacts[0].path))
    expected = []
    for q, u in zip(inputs["q"], inputs["u"]):
        values = own.getRecordValues(other.set(q, u))
        expected.append([values.get(i) for i in range(12)])
    assert relative_error(found, expected) < 1e-10


def test_a_resting_sphere_carries_the_hertz_load() -> None:
    bench = BenchModel(ball_model(LAWS["lossless"], osim.Vec3(0, 0, -np.pi / 2), welded=False))
    state = contact.apply_contact(bench.spec.contacts[0], bench.mechanics, bench.loads)
    depth, radius, stiffness = 0.02, 0.04, 2e6
    q = np.zeros((1, 6))
    q[0, 4] = 0.02 + 0.02 + radius - depth  # floor height, sphere below the origin
    found = bench.run({"f": state.force, "d": [state.indentation]}, q=q, u=0 * q)
    assert found["d"][0, 0] == pytest.approx(depth)
    plane_strain = 0.5 * stiffness ** (2 / 3)
    hertz = 4 / 3 * np.sqrt(radius) * plane_strain**1.5 * (depth**2 + 1e-5) ** 0.75
    gate = 0.5 + 0.5 * np.tanh(300 * depth)
    assert found["f"][0] == pytest.approx([0, hertz * gate, 0], abs=1e-9)


def test_the_ground_reaction_is_the_sum_of_the_contacts() -> None:
    bench, state = compiled("walking")
    total = contact.ground_reaction([state, state])
    inputs = touching(5, 6)
    found = bench.run({"t": total, "r": state.record}, **inputs)
    assert found["t"][:, :3] == pytest.approx(2 * found["r"][:, :3])
    assert found["t"][:, 3:] == pytest.approx(-2 * found["r"][:, 9:])


def test_a_half_space_on_a_body_and_a_sphere_on_the_ground_are_refused() -> None:
    bench = BenchModel(ball_model(LAWS["walking"]))
    own = bench.spec.contacts[0]
    on_body = own.model_copy(update={"half_space": own.sphere})
    on_ground = own.model_copy(update={"sphere": own.half_space})
    with pytest.raises(ModelError, match=r"half space of the contact 'contact' is on '.*toe'"):
        contact.apply_contact(on_body, bench.mechanics, bench.loads)
    with pytest.raises(ModelError, match="sphere of the contact 'contact' is fixed to the ground"):
        contact.apply_contact(on_ground, bench.mechanics, bench.loads)
