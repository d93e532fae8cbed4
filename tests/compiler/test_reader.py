"""What the reader takes from OpenSim models, and what it refuses by name."""

import json
import math

import numpy as np
import pytest

from osim_exo.errors import DataError, ModelError
from osim_exo.models import HipExo, ModelConfig
from osim_exo.models.recipe import load_opensim
from osim_exo.units import DEG

pytest.importorskip("opensim")

from osim_exo.compiler.equations.functions import evaluate
from osim_exo.compiler.reading.functions import function
from osim_exo.compiler.reading.model import HARMLESS, read, spec_of
from osim_exo.compiler.spec import ModelSpec

osim = load_opensim()


def cart(**names):
    """A body on a slider along x, with its coordinate ``x``."""
    model = osim.Model()
    model.setName("cart")
    body = osim.Body("cart", 2.0, osim.Vec3(0.1, 0.2, 0.3), osim.Inertia(1, 2, 2.5, 0.1, 0.2, 0.3))
    joint = osim.SliderJoint("slider", model.getGround(), body)
    joint.updCoordinate().setName("x")
    model.addBody(body)
    model.addJoint(joint)
    model.finalizeConnections()
    return model


def swing(model, name="swing", joint=None):
    """Another body that hangs on the cart."""
    body = osim.Body(name, 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
    made = (joint or osim.PinJoint)(f"{name}_joint", model.getBodySet().get("cart"), body)
    model.addBody(body)
    model.addJoint(made)
    model.finalizeConnections()
    return made


def muscle(model):
    """A muscle from the ground to the cart."""
    made = osim.DeGrooteFregly2016Muscle()
    made.setName("pull")
    made.set_ignore_tendon_compliance(True)
    made.addNewPathPoint("a", model.updGround(), osim.Vec3(-1, 0, 0))
    made.addNewPathPoint("b", model.updBodySet().get("cart"), osim.Vec3(0, 0, 0))
    model.addForce(made)
    return made


def test_shipped_model_is_read_whole():
    spec = spec_of("gait2d")
    assert (len(spec.coordinates), len(spec.muscles), len(spec.contacts)) == (10, 18, 6)
    assert {f.kind for f in spec.forces} == {"limit"}
    assert spec.source.file == "gait2d"
    assert sum(b.mass for b in spec.bodies) == pytest.approx(ModelConfig().body_mass)
    soleus = next(m for m in spec.muscles if m.name == "soleus_r")
    assert soleus.path.coordinates == ("ankle_angle_r",)
    assert soleus.path.valid == ((-40.0 * DEG, 35.0 * DEG),)
    assert soleus.slow_fraction == ModelConfig().slow_fractions["soleus"]


def test_a_spec_survives_its_file(tmp_path):
    spec = spec_of(ModelConfig(exo=HipExo(), slope_deg=5.0, tendon="compliant"))
    spec.save(tmp_path / "spec.json")
    again = ModelSpec.load(tmp_path / "spec.json")
    assert again == spec and again.digest == spec.digest


def test_the_same_model_has_the_same_hash_and_a_changed_one_another():
    first, second = spec_of("gait2d"), spec_of("gait2d")
    assert first.digest == second.digest
    weaker = spec_of(ModelConfig(weakness={"soleus": 0.5}))
    assert weaker.source.model_hash != first.source.model_hash


def test_body_frames_and_inertia_are_exact():
    model = cart()
    pin = swing(model)
    spec = read(model)
    body = spec.bodies[0]
    assert body.mass_centre == (0.1, 0.2, 0.3)
    assert body.inertia == ((1.0, 0.1, 0.2), (0.1, 2.0, 0.3), (0.2, 0.3, 2.5))
    assert [j.kind for j in spec.joints] == ["slider", "pin"]
    assert spec.joints[1].parent.base == "/bodyset/cart"
    assert pin.getName() == spec.joints[1].name


def test_rounding_in_rotations_is_cleaned():
    model = cart()
    frame = osim.PhysicalOffsetFrame(
        "turned",
        model.getGround(),
        osim.Transform(osim.Rotation(0.5 * math.pi, osim.CoordinateAxis(2)), osim.Vec3(1, 2, 3)),
    )
    model.addComponent(frame)
    body = osim.Body("other", 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
    model.addBody(body)
    model.addJoint(osim.PinJoint("pin", frame, body))
    model.finalizeConnections()
    parent = read(model).joints[1].parent
    assert parent.rotation == ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    assert parent.translation == (1.0, 2.0, 3.0)


def test_coordinates_are_in_the_order_of_opensims_set_even_against_the_tree():
    model = osim.Model()
    bodies = [osim.Body(n, 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1)) for n in "ab"]
    for body in bodies:
        model.addBody(body)
    model.addJoint(osim.PinJoint("outer", bodies[0], bodies[1]))
    model.addJoint(osim.PinJoint("inner", model.getGround(), bodies[0]))
    model.finalizeConnections()
    found = model.getCoordinateSet()
    expected = [found.get(i).getName() for i in range(found.getSize())]
    assert [c.name for c in read(model).coordinates] == expected


def test_a_body_without_joint_gets_opensims_free_joint():
    model = cart()
    model.addBody(osim.Body("loose", 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1)))
    model.finalizeConnections()
    assert [j.kind for j in read(model).joints] == ["slider", "free"]


def test_locked_and_constantly_prescribed_coordinates_are_locked():
    model = cart()
    swing(model)
    found = model.updCoordinateSet()
    found.get(0).setDefaultValue(0.3)
    found.get(0).set_locked(True)
    found.get(1).setPrescribedFunction(osim.Constant(0.7))
    found.get(1).setDefaultIsPrescribed(True)
    assert [(c.locked, c.default) for c in read(model).coordinates] == [(True, 0.3), (True, 0.7)]


def test_a_coordinate_that_follows_a_locked_one_is_locked_where_it_belongs():
    model = cart()
    swing(model)
    found = model.updCoordinateSet()
    found.get(0).setDefaultValue(0.5)
    found.get(0).set_locked(True)
    coupler = osim.CoordinateCouplerConstraint()
    coupler.setName("tie")
    names = osim.ArrayStr()
    names.append("x")
    coupler.setIndependentCoordinateNames(names)
    coupler.setDependentCoordinateName(found.get(1).getName())
    coupler.setFunction(osim.LinearFunction(2.0, 0.1))
    model.addConstraint(coupler)
    spec = read(model)
    assert spec.couplers == ()
    assert (spec.coordinates[1].locked, spec.coordinates[1].default) == (True, pytest.approx(1.1))


@pytest.mark.parametrize("kind", ["SimmSpline", "PiecewiseLinearFunction"])
def test_points_between_and_beyond_are_opensims(kind):
    made = getattr(osim, kind)()
    for x, y in ((-0.5, 0.1), (0.0, 0.3), (0.4, -0.2), (1.0, 0.0)):
        made.addPoint(x, y)
    found = function(made, osim.Model())
    for x in np.linspace(-1.2, 1.7, 30):
        value, (slope,) = evaluate(found, [float(x)])
        at = osim.Vector(1, float(x))
        assert value == pytest.approx(made.calcValue(at), abs=1e-12)
        assert slope == pytest.approx(made.calcDerivative([0], at), abs=1e-12)


def test_limits_are_converted_from_degrees_for_rotations_only():
    model = cart()
    pin = swing(model).updCoordinate()
    for name in ("x", pin.getName()):
        force = osim.CoordinateLimitForce(name, 90.0, 2.0, -45.0, 3.0, 0.5, 10.0)
        force.setName(f"limit_{name}")
        model.addForce(force)
    slide, turn = read(model).forces
    assert (slide.upper_limit, slide.upper_stiffness, slide.damping) == (90.0, 2.0, 0.5)
    assert turn.upper_limit == pytest.approx(0.5 * math.pi)
    assert turn.lower_stiffness == pytest.approx(3.0 / DEG)
    assert turn.damping == pytest.approx(0.5 / DEG)
    assert turn.transition == pytest.approx(10.0 * DEG)


def test_an_actuator_without_limits_says_so():
    model = cart()
    model.addForce(osim.CoordinateActuator("x"))
    (actuator,) = read(model).actuators
    assert actuator.min_control is None and actuator.max_control is None


def test_what_is_switched_off_is_left_out():
    model = cart()
    spring = osim.SpringGeneralizedForce("x")
    spring.set_appliesForce(False)
    model.addForce(spring)
    millard = osim.Millard2012EquilibriumMuscle("old", 100.0, 0.1, 0.1, 0.0)
    millard.addNewPathPoint("a", model.updGround(), osim.Vec3(-1, 0, 0))
    millard.addNewPathPoint("b", model.updBodySet().get("cart"), osim.Vec3(0, 0, 0))
    millard.set_appliesForce(False)
    model.addForce(millard)
    spec = read(model)
    assert spec.forces == () and spec.muscles == ()


def test_muscles_are_found_outside_the_force_set(shared_data):
    spec = spec_of(shared_data / "moco_2d_walking" / "2D_gait.osim")
    assert len(spec.muscles) == 18
    assert spec.muscles[0].path_name.count("/") == 1


def test_a_half_space_may_be_on_a_body_that_is_welded_to_the_ground():
    model = cart()
    slab = osim.Body("slab", 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
    model.addBody(slab)
    zero = osim.Vec3(0)
    place = (osim.Vec3(0.0, -0.5, 0.0), osim.Vec3(0.0, 0.0, -0.5 * math.pi))
    model.addJoint(osim.WeldJoint("laid", model.getGround(), *place, slab, zero, zero))
    floor = osim.ContactHalfSpace(zero, zero, slab, "floor")
    ball = osim.ContactSphere(0.05, zero, model.getBodySet().get("cart"), "ball")
    for geometry in (floor, ball):
        model.addContactGeometry(geometry)
    model.addForce(osim.SmoothSphereHalfSpaceForce("touch", ball, floor))
    (contact,) = read(model).contacts
    assert contact.half_space.base == "/ground"
    assert contact.half_space.translation == pytest.approx((0.0, -0.5, 0.0))
    inward = [row[0] for row in contact.half_space.rotation]
    assert inward == pytest.approx([0.0, -1.0, 0.0], abs=1e-15)


# ---- refusals


def wrapped(model):
    cylinder = osim.WrapCylinder()
    cylinder.setName("drum")
    cylinder.set_radius(0.1)
    cylinder.set_length(1.0)
    model.updGround().addWrapObject(cylinder)
    path = osim.GeometryPath.safeDownCast(muscle(model).updPath())
    path.addPathWrap(cylinder)
    return "pull.*wraps over drum.*models convert"


def implicit(model):
    made = muscle(model)
    made.set_ignore_tendon_compliance(False)
    made.set_tendon_compliance_dynamics_mode("implicit")
    return "pull.*implicit"


def other_muscle(model):
    made = osim.Millard2012EquilibriumMuscle("old", 100.0, 0.1, 0.1, 0.0)
    made.addNewPathPoint("a", model.updGround(), osim.Vec3(-1, 0, 0))
    made.addNewPathPoint("b", model.updBodySet().get("cart"), osim.Vec3(0, 0, 0))
    model.addForce(made)
    return "'old' .Millard2012EquilibriumMuscle.*models convert"


def ligament(model):
    made = osim.PathSpring("band", 0.5, 100.0, 0.1)
    made.updGeometryPath().appendNewPathPoint("a", model.updGround(), osim.Vec3(-1, 0, 0))
    made.updGeometryPath().appendNewPathPoint(
        "b", model.updBodySet().get("cart"), osim.Vec3(0, 0, 0)
    )
    model.addForce(made)
    return "'band' .PathSpring.*--drop"


def constraint(model):
    swing(model)
    made = osim.ConstantDistanceConstraint(
        model.getGround(), osim.Vec3(0), model.getBodySet().get("swing"), osim.Vec3(1, 0, 0), 1.0
    )
    made.setName("rod")
    model.addConstraint(made)
    return "'rod' .ConstantDistanceConstraint.*--drop"


def moving_prescription(model):
    coordinate = model.updCoordinateSet().get("x")
    coordinate.setPrescribedFunction(osim.Sine(1.0, 1.0, 0.0))
    coordinate.setDefaultIsPrescribed(True)
    return "'x' .Coordinate.*prescribed to move"


def reversed_joint(model):
    body = osim.Body("hung", 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
    model.addBody(body)
    model.addJoint(osim.PinJoint("backwards", body, model.getGround()))
    return "'backwards'.*Exchange parent and child"


def loop(model):
    swing(model)
    model.addJoint(osim.PinJoint("closing", model.getGround(), model.getBodySet().get("swing")))
    return "loop|closing|constraint"


def ellipsoid(model):
    body = osim.Body("blade", 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
    model.addBody(body)
    model.addJoint(osim.EllipsoidJoint("socket", model.getGround(), body, osim.Vec3(0.1, 0.2, 0.3)))
    return "'socket' .EllipsoidJoint.*--weld"


def moving_floor(model):
    swing(model)
    floor = osim.ContactHalfSpace(
        osim.Vec3(0), osim.Vec3(0), model.getBodySet().get("swing"), "floor"
    )
    ball = osim.ContactSphere(0.05, osim.Vec3(0), model.getBodySet().get("cart"), "ball")
    for geometry in (floor, ball):
        model.addContactGeometry(geometry)
    model.addForce(osim.SmoothSphereHalfSpaceForce("touch", ball, floor))
    return "'touch'.*swing, which moves.*--weld"


def locked_angle(model):
    joint = swing(model, joint=osim.BallJoint)
    joint.get_coordinates(1).set_locked(True)
    return "ball.*GimbalJoint"


def moment_arms(model):
    made = muscle(model)
    path = osim.FunctionBasedPath()
    path.setName("path")
    path.appendCoordinatePath("/jointset/slider/x")
    path.setLengthFunction(osim.LinearFunction(1.0, 0.5))
    path.appendMomentArmFunction(osim.LinearFunction(0.0, -1.0))
    made.set_path(path)
    model.finalizeFromProperties()
    return "pull.*moment_arm_functions"


def multivariate_in_joint(model):
    transform = osim.SpatialTransform()
    names = osim.ArrayStr()
    names.append("bend")
    axis = transform.upd_rotation1()
    axis.setCoordinateNames(names)
    terms = osim.Vector.createFromMat(np.array([0.0, 1.0, 0.1]))
    axis.set_function(osim.MultivariatePolynomialFunction(terms, 1, 2))
    for name in ("rotation2", "rotation3", "translation1", "translation2", "translation3"):
        getattr(transform, f"upd_{name}")().set_function(osim.Constant(0.0))
    body = osim.Body("hung", 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
    model.addBody(body)
    zero = osim.Vec3(0)
    model.addJoint(
        osim.CustomJoint("knee", model.getGround(), zero, zero, body, zero, zero, transform)
    )
    return "'knee' .CustomJoint.*second derivative"


@pytest.mark.parametrize(
    "spoil",
    [
        wrapped,
        implicit,
        other_muscle,
        ligament,
        constraint,
        moving_prescription,
        reversed_joint,
        loop,
        ellipsoid,
        moving_floor,
        locked_angle,
        moment_arms,
        multivariate_in_joint,
    ],
)
def test_what_does_not_compile_is_refused_by_name_with_the_way_out(spoil):
    model = cart()
    expected = spoil(model)
    model.finalizeConnections()
    with pytest.raises(ModelError, match=expected):
        read(model)


def test_every_harmless_class_is_one_of_opensims_and_no_force():
    for name in HARMLESS:
        kind = getattr(osim, name, None)
        assert kind is None or not issubclass(kind, (osim.Force, osim.Constraint, osim.Joint)), name


def test_ranges_come_from_the_report_beside_a_converted_file(tmp_path):
    file = tmp_path / "mine.osim"
    ModelConfig().build().printToXML(str(file))
    report = tmp_path / "mine.convert.json"
    spans = {"ankle_angle_r": [-0.5, 0.4]}
    report.write_text(json.dumps({"path_ranges": {"soleus_r": spans}}))
    muscles = {m.name: m for m in spec_of(file).muscles}
    assert muscles["soleus_r"].path.valid == ((-0.5, 0.4),)
    assert muscles["soleus_l"].path.valid == ()
    report.write_text("{")
    with pytest.raises(DataError, match=r"mine\.convert\.json"):
        spec_of(file)
    report.write_text(json.dumps({"path_ranges": {"soleus_r": {"ankle_angle_r": [0.4, 0.4]}}}))
    with pytest.raises(DataError, match="empty"):
        spec_of(file)
    report.write_text(json.dumps({"path_ranges": {"soleus_r": {"knee_angle_r": [0.0, 0.4]}}}))
    with pytest.raises(ModelError, match="ankle_angle_r"):
        spec_of(file)
