"""Build the planar gait model from its tables: 10 coordinates, 18 muscles, 6 contact spheres.

``python -m osim_exo.models.gait2d.build`` rewrites ``gait2d.osim`` and ``polynomials.csv`` beside
this file. The build is deterministic; a test rebuilds and compares.
"""

from __future__ import annotations

from pathlib import Path

import opensim as osim

from osim_exo.models.gait2d import tables
from osim_exo.models.subject import Subject
from osim_exo.units import GRAVITY

NAME = "gait2d"
LUMBAR_OPTIMAL_FORCE = 100.0
"""Nm of the lumbar actuator at full control; the trunk has no muscles in this model."""

LUMBAR_ACTUATOR = "lumbar_torque"


def build(subject: Subject | None = None) -> osim.Model:
    """The planar model of a subject, with geometry paths and rigid tendons.

    Parameters
    ----------
    subject : Subject, optional
        The reference subject (75.2 kg, 1.80 m) if not given.

    Returns
    -------
    opensim.Model
        Connected, but without a system; body frames x forward, y up, z right.
    """
    subject = subject or Subject()
    model = osim.Model()
    model.setName(NAME)
    model.set_gravity(osim.Vec3(0.0, -GRAVITY, 0.0))
    _add_bodies(model, subject)
    _add_joints(model, subject)
    model.finalizeConnections()
    _add_muscles(model, subject)
    _add_passive_limits(model, subject)
    _add_lumbar_actuator(model)
    _add_contact(model, subject)
    model.finalizeConnections()
    return model


def _sides(name: str) -> tuple[tuple[str, float], ...]:
    """Suffix and sign of z for the copies of a body or joint: one in the middle, or right, left."""
    middle = name in ("pelvis", "torso", "back")
    return (("", 1.0),) if middle else (("_r", 1.0), ("_l", -1.0))


def _add_bodies(model: osim.Model, subject: Subject) -> None:
    length, mass = subject.length_scale, subject.mass_scale
    for row in tables.rows("bodies"):
        for suffix, sign in _sides(row["body"]):
            com = [length * c for c in tables.vector(row, "com_x_m", "com_y_m", "com_z_m")]
            inertia = [
                mass * length**2 * i for i in tables.vector(row, "ixx_kgm2", "iyy_kgm2", "izz_kgm2")
            ]
            model.addBody(
                osim.Body(
                    row["body"] + suffix,
                    mass * float(row["mass_kg"]),
                    osim.Vec3(com[0], com[1], sign * com[2]),
                    osim.Inertia(*inertia),
                )
            )


def _add_joints(model: osim.Model, subject: Subject) -> None:
    bodies = model.getBodySet()
    planar = osim.PlanarJoint("ground_pelvis", model.getGround(), bodies.get("pelvis"))
    for index, (name, default, low, high) in enumerate(
        (
            ("pelvis_tilt", 0.0, -1.5708, 1.5708),
            ("pelvis_tx", 0.0, -50.0, 50.0),
            ("pelvis_ty", 0.95 * subject.length_scale, -1.0, 3.0),
        )
    ):
        _set_coordinate(planar.upd_coordinates(index), name, default, low, high)
    model.addJoint(planar)

    zero = osim.Vec3(0.0)
    for row in tables.rows("joints"):
        for suffix, sign in _sides(row["joint"]):
            parent_suffix = "" if row["parent"] in ("pelvis", "torso") else suffix
            x, y, z = (subject.length_scale * c for c in tables.vector(row, "x_m", "y_m", "z_m"))
            frames = (
                row["joint"] + suffix,
                bodies.get(row["parent"] + parent_suffix),
                osim.Vec3(x, y, sign * z),
                zero,
                bodies.get(row["child"] + suffix),
                zero,
                zero,
            )
            if row["type"] == "weld":
                joint: osim.Joint = osim.WeldJoint(*frames)
            elif row["type"] == "pin":
                joint = osim.PinJoint(*frames)
            else:
                joint = osim.CustomJoint(
                    *frames, _knee_transform(row["coordinate"] + suffix, subject)
                )
            if row["coordinate"]:
                joint.finalizeFromProperties()  # a CustomJoint makes its coordinates here
                limits = tables.vector(row, "default_rad_or_m", "min_rad_or_m", "max_rad_or_m")
                _set_coordinate(joint.upd_coordinates(0), row["coordinate"] + suffix, *limits)
            model.addJoint(joint)


def _set_coordinate(
    coordinate: osim.Coordinate, name: str, default: float, low: float, high: float
) -> None:
    coordinate.setName(name)
    coordinate.setDefaultValue(default)
    coordinate.setRangeMin(low)
    coordinate.setRangeMax(high)


def _spline(of: str, axis: str, scale: float) -> osim.SimmSpline:
    spline = osim.SimmSpline()
    for row in tables.rows("splines"):
        if (row["of"], row["axis"]) == (of, axis):
            spline.addPoint(float(row["knee_angle_rad"]), scale * float(row["value_m"]))
    return spline


def _knee_transform(coordinate: str, subject: Subject) -> osim.SpatialTransform:
    """Rotation about z with the tibia's origin rolling on the femur (Yamaguchi & Zajac 1989)."""
    transform = osim.SpatialTransform()
    names = osim.ArrayStr()
    names.append(coordinate)
    rotation = transform.upd_rotation1()
    rotation.setAxis(osim.Vec3(0.0, 0.0, 1.0))
    rotation.set_function(osim.LinearFunction(1.0, 0.0))
    rotation.setCoordinateNames(names)
    transform.upd_rotation2().setAxis(osim.Vec3(0.0, 1.0, 0.0))
    transform.upd_rotation3().setAxis(osim.Vec3(1.0, 0.0, 0.0))
    for axis, name in ((transform.upd_translation1(), "x"), (transform.upd_translation2(), "y")):
        axis.set_function(_spline("knee", name, subject.length_scale))
        axis.setCoordinateNames(names)
    return transform


def _add_muscles(model: osim.Model, subject: Subject) -> None:
    length = subject.length_scale
    for suffix, sign in (("_r", 1.0), ("_l", -1.0)):
        for row in tables.rows("muscles"):
            muscle = osim.DeGrooteFregly2016Muscle()
            muscle.setName(row["muscle"] + suffix)
            muscle.set_max_isometric_force(
                subject.force_scale * float(row["max_isometric_force_N"])
            )
            muscle.set_optimal_fiber_length(length * float(row["optimal_fibre_length_m"]))
            muscle.set_tendon_slack_length(length * float(row["tendon_slack_length_m"]))
            muscle.set_pennation_angle_at_optimal(float(row["pennation_rad"]))
            muscle.set_max_contraction_velocity(float(row["max_contraction_velocity_per_s"]))
            muscle.set_ignore_tendon_compliance(True)
            muscle.set_default_activation(0.02)
            muscle.setMinControl(0.01)
            muscle.setMaxControl(1.0)
            path = osim.GeometryPath()
            path.setName("path")
            muscle.set_path(path)
            model.addForce(muscle)
            owned = osim.GeometryPath.safeDownCast(muscle.updPath())
            for point in tables.rows("paths"):
                if point["muscle"] == row["muscle"]:
                    _add_path_point(model, owned, point, suffix, sign, length)


def _add_path_point(
    model: osim.Model,
    path: osim.GeometryPath,
    row: tables.Row,
    suffix: str,
    sign: float,
    length: float,
) -> None:
    body = row["body"] if row["body"] == "pelvis" else row["body"] + suffix
    frame = model.getBodySet().get(body)
    name = f"{row['muscle']}{suffix}-P{row['order']}"
    x, y, z = (length * c for c in tables.vector(row, "x_m", "y_m", "z_m"))
    location = osim.Vec3(x, y, sign * z)
    if row["kind"] == "fixed":
        path.appendNewPathPoint(name, frame, location)
        return
    coordinate = model.getCoordinateSet().get(row["coordinate"] + suffix)
    if row["kind"] == "conditional":
        conditional = osim.ConditionalPathPoint()
        conditional.setName(name)
        conditional.setParentFrame(frame)
        conditional.setLocation(location)
        conditional.setCoordinate(coordinate)
        conditional.setRangeMin(float(row["active_from_rad"]))
        conditional.setRangeMax(float(row["active_to_rad"]))
        path.updPathPointSet().adoptAndAppend(conditional)
        return
    moving = osim.MovingPathPoint()
    moving.setName(name)
    moving.setParentFrame(frame)
    moving.set_x_location(_spline(row["muscle"], "x", length))
    moving.set_y_location(_spline(row["muscle"], "y", length))
    moving.set_z_location(osim.Constant(sign * z))
    for set_coordinate in (moving.setXCoordinate, moving.setYCoordinate, moving.setZCoordinate):
        set_coordinate(coordinate)
    path.updPathPointSet().adoptAndAppend(moving)


def _add_passive_limits(model: osim.Model, subject: Subject) -> None:
    for row in tables.rows("passive"):
        suffixes = ("",) if row["coordinate"] == "lumbar_extension" else ("_r", "_l")
        for suffix in suffixes:
            coordinate = row["coordinate"] + suffix
            force = osim.CoordinateLimitForce(
                coordinate,
                float(row["upper_limit_deg"]),
                subject.mass_scale * float(row["upper_stiffness_Nm_per_deg"]),
                float(row["lower_limit_deg"]),
                subject.mass_scale * float(row["lower_stiffness_Nm_per_deg"]),
                subject.mass_scale * float(row["damping_Nm_s_per_deg"]),
                float(row["transition_deg"]),
            )
            force.setName(f"limit_{coordinate}")
            model.addForce(force)


def _add_lumbar_actuator(model: osim.Model) -> None:
    actuator = osim.CoordinateActuator("lumbar_extension")
    actuator.setName(LUMBAR_ACTUATOR)
    actuator.setOptimalForce(LUMBAR_OPTIMAL_FORCE)
    actuator.setMinControl(-1.0)
    actuator.setMaxControl(1.0)
    model.addForce(actuator)


def _add_contact(model: osim.Model, subject: Subject) -> None:
    """Spheres under both feet on a half space whose normal is +y of the ground frame.

    Stiffness scales with mass over length squared, so that a scaled person sinks in by the same
    share of the foot.
    """
    length, mass = subject.length_scale, subject.mass_scale
    floor = osim.ContactHalfSpace(
        osim.Vec3(0.0), osim.Vec3(0.0, 0.0, -1.5707963267948966), model.getGround(), "floor"
    )
    model.addContactGeometry(floor)
    friction = tables.rows("friction")[0]
    for suffix in ("_r", "_l"):
        for row in tables.rows("contact"):
            x, y = (length * c for c in tables.vector(row, "x_m", "y_m"))
            sphere = osim.ContactSphere(
                length * float(row["radius_m"]),
                osim.Vec3(x, y, 0.0),
                model.getBodySet().get(row["body"] + suffix),
                row["sphere"] + suffix,
            )
            model.addContactGeometry(sphere)
            force = osim.SmoothSphereHalfSpaceForce(
                f"contact_{row['sphere']}{suffix}", sphere, floor
            )
            force.set_stiffness(mass / length**2 * float(row["stiffness_Pa"]))
            force.set_dissipation(float(row["dissipation_s_per_m"]))
            force.set_static_friction(float(friction["static_friction"]))
            force.set_dynamic_friction(float(friction["dynamic_friction"]))
            force.set_viscous_friction(float(friction["viscous_friction_s_per_m"]))
            force.set_transition_velocity(float(friction["transition_velocity_m_per_s"]))
            force.set_constant_contact_force(float(friction["constant_contact_force_N"]))
            force.set_hertz_smoothing(float(friction["hertz_smoothing"]))
            force.set_hunt_crossley_smoothing(float(friction["hunt_crossley_smoothing"]))
            model.addForce(force)


def main() -> None:
    """Rewrite the committed model and its polynomial paths."""
    from osim_exo.models import paths

    folder = Path(__file__).parent
    model = build()
    paths.write_polynomials(build(), folder / "polynomials.csv")
    model.printToXML(str(folder / f"{NAME}.osim"))


if __name__ == "__main__":
    main()
