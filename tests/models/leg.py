"""A leg with everything that a published model may bring: for the tests of the converter."""

from pathlib import Path

import opensim as osim

RADIUS = 0.04
"""m; of the wrap cylinder on the knee's axis."""

DOWN = osim.Vec3(0.0, -0.4, 0.0)
ZERO = osim.Vec3(0.0)


def quiet():
    osim.Logger.removeFileSink()
    osim.Logger.setLevelString("error")


def body(model, name, mass=4.0):
    made = osim.Body(name, mass, osim.Vec3(0.01, -0.2, 0.02), osim.Inertia(0.05, 0.01, 0.06))
    model.addBody(made)
    return made


def coordinate(joint, index, name, low, high, value=0.0, locked=False):
    made = joint.upd_coordinates(index)
    made.setName(name)
    made.setRangeMin(low)
    made.setRangeMax(high)
    made.setDefaultValue(value)
    made.set_locked(locked)


def muscle(model, name, kind, points):
    made = getattr(osim, kind)()
    made.setName(name)
    made.set_max_isometric_force(1500.0)
    made.set_optimal_fiber_length(0.12)
    made.set_pennation_angle_at_optimal(0.1)
    made.set_max_contraction_velocity(11.0)
    model.addForce(made)
    for k, (frame, place) in enumerate(points):
        made.addNewPathPoint(f"{name}-{k}", frame, osim.Vec3(*place))
    return made


def knee_cylinder(thigh):
    """A cylinder about the knee's axis, behind which a muscle passes."""
    wrap = osim.WrapCylinder()
    wrap.setName("knee_cylinder")
    wrap.set_radius(RADIUS)
    wrap.set_length(0.3)
    wrap.set_translation(DOWN)
    wrap.set_quadrant("-x")
    thigh.addWrapObject(wrap)
    return wrap


def leg(toes_locked=True, toes_at=0.3):
    """Pelvis on the ground, hip (2 axes), knee with a coupled patella, ankle, locked toes."""
    quiet()
    model = osim.Model()
    model.setName("leg")
    pelvis, thigh, shank = body(model, "pelvis", 30.0), body(model, "thigh"), body(model, "shank")
    patella, foot, toes = body(model, "patella", 0.1), body(model, "foot"), body(model, "toes", 0.3)
    base = osim.PlanarJoint("base", model.getGround(), ZERO, ZERO, pelvis, ZERO, ZERO)
    for k, name in enumerate(("pelvis_tilt", "pelvis_tx", "pelvis_ty")):
        coordinate(base, k, name, -1.0, 1.0)
    hip = osim.UniversalJoint("hip", pelvis, ZERO, ZERO, thigh, ZERO, ZERO)
    coordinate(hip, 0, "hip_adduction", -0.5, 0.5)
    coordinate(hip, 1, "hip_rotation", -0.5, 0.5)
    knee = osim.PinJoint("knee", thigh, DOWN, ZERO, shank, ZERO, ZERO)
    coordinate(knee, 0, "knee_angle", 0.2, 1.8, 0.5)
    cap = osim.PinJoint("cap", thigh, DOWN, ZERO, patella, ZERO, ZERO)
    coordinate(cap, 0, "knee_beta", -99.0, 99.0)
    ankle = osim.PinJoint("ankle", shank, DOWN, osim.Vec3(0.1, 0.2, 0.0), foot, ZERO, ZERO)
    coordinate(ankle, 0, "ankle_angle", -0.6, 0.6)
    mtp = osim.PinJoint("mtp", foot, osim.Vec3(0.15, 0, 0), ZERO, toes, ZERO, osim.Vec3(0, 0.2, 0))
    coordinate(mtp, 0, "mtp_angle", -0.5, 0.5, toes_at, toes_locked)
    for joint in (base, hip, knee, cap, ankle, mtp):
        model.addJoint(joint)
    coupler = osim.CoordinateCouplerConstraint()
    coupler.setName("patella_follows")
    coupler.setDependentCoordinateName("knee_beta")
    names = osim.ArrayStr()
    names.append("knee_angle")
    coupler.setIndependentCoordinateNames(names)
    coupler.setFunction(osim.LinearFunction(0.6, 0.1))
    model.addConstraint(coupler)
    add_muscles(model, pelvis, thigh, shank, patella, foot, toes)
    for name in ("mtp_angle", "ankle_angle"):
        actuator = osim.CoordinateActuator(name)
        actuator.setName(f"drive_{name}")
        model.addForce(actuator)
    model.finalizeConnections()
    state = model.initSystem()
    for k in range(model.getMuscles().getSize()):
        one = model.getMuscles().get(k)
        one.set_tendon_slack_length(one.getGeometryPath().getLength(state) - 0.12)
    model.finalizeConnections()
    return model


def add_muscles(model, pelvis, thigh, shank, patella, foot, toes):
    wrapped = muscle(
        model,
        "wrapped",
        "Millard2012EquilibriumMuscle",
        [(thigh, (-0.05, -0.1, 0.0)), (shank, (-0.05, -0.25, 0.0))],
    )
    knee_cylinder(thigh)
    wrapped.updGeometryPath().addPathWrap(thigh.getWrapObject("knee_cylinder"))
    muscle(
        model,
        "kneecap",
        "Thelen2003Muscle",
        [(pelvis, (0.06, 0.0, 0.01)), (patella, (0.05, 0.0, 0.0)), (shank, (0.05, -0.1, 0.0))],
    )
    muscle(
        model,
        "calf",
        "Millard2012EquilibriumMuscle",
        [(shank, (-0.03, -0.05, 0.0)), (foot, (-0.05, 0.0, 0.01)), (toes, (0.02, -0.01, 0.0))],
    )


def save(model, path: Path) -> Path:
    model.finalizeConnections()
    model.printToXML(str(path))
    return path
