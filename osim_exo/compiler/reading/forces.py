"""Muscles, contacts, passive forces and actuators of an OpenSim model as parts of a `ModelSpec`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set
from typing import Any

import opensim as osim

from osim_exo import names
from osim_exo.compiler import spec
from osim_exo.compiler.reading.functions import (
    frame,
    function,
    numbers,
    refusal,
    rotation,
    station,
    vec3,
)
from osim_exo.units import DEG

PathRanges = Mapping[str, Mapping[str, tuple[float, float]]]
"""Fitted range of each coordinate, rad or m, by muscle and coordinate name."""


def _text(component: Any, name: str) -> str:
    """A property of text."""
    return str(osim.PropertyHelper.getValueString(component.getPropertyByName(name), 0))


def _coordinate(component: Any) -> str:
    """The name of the coordinate that a force acts on."""
    found = component.getPropertyByName("coordinate")
    path = osim.PropertyHelper.getValueString(found, 0) if found.size() else "UNASSIGNED"
    if path == "UNASSIGNED":
        raise refusal(component, "acts on no coordinate", "Name its coordinate, or remove it.")
    return str(path).rsplit("/", 1)[-1]


def muscle(
    component: Any, state: Any, path_ranges: PathRanges, slow_fractions: Mapping[str, float]
) -> spec.Muscle:
    """A DeGrooteFregly2016Muscle.

    Raises
    ------
    ModelError
        Implicit tendon dynamics, or a path that does not compile.
    """
    of = osim.DeGrooteFregly2016Muscle.safeDownCast(component)
    name = of.getName()
    rigid = of.get_ignore_tendon_compliance()
    if not rigid and of.get_tendon_compliance_dynamics_mode() != "explicit":
        raise refusal(
            component,
            "has implicit tendon dynamics, which do not compile",
            "Set tendon_compliance_dynamics_mode to explicit, or ignore_tendon_compliance to true.",
        )
    base = name[:-2] if names.side(name) else name
    low, high = of.getMinControl(), of.getMaxControl()
    return spec.Muscle(
        name=name,
        path_name=of.getAbsolutePathString(),
        path=_path(component, of.getPath(), state, path_ranges.get(name, {})),
        max_isometric_force=of.get_max_isometric_force(),
        optimal_fibre_length=of.get_optimal_fiber_length(),
        tendon_slack_length=of.get_tendon_slack_length(),
        pennation_at_optimal=of.get_pennation_angle_at_optimal(),
        max_contraction_velocity=of.get_max_contraction_velocity(),
        rigid_tendon=rigid,
        ignore_activation_dynamics=of.get_ignore_activation_dynamics(),
        activation_time=of.get_activation_time_constant(),
        deactivation_time=of.get_deactivation_time_constant(),
        activation_smoothing=of.get_activation_dynamics_smoothing(),
        active_force_width=of.get_active_force_width_scale(),
        fibre_damping=of.get_fiber_damping(),
        passive_strain=of.get_passive_fiber_strain_at_one_norm_force(),
        tendon_strain=of.get_tendon_strain_at_one_norm_force(),
        ignore_passive_force=of.get_ignore_passive_fiber_force(),
        min_control=low if math.isfinite(low) else 0.0,
        max_control=high if math.isfinite(high) else 1.0,
        default_activation=of.get_default_activation(),
        slow_fraction=slow_fractions.get(name, slow_fractions.get(base, 0.5)),
    )


def _path(
    component: Any, path: Any, state: Any, ranges: Mapping[str, tuple[float, float]]
) -> spec.PointsPath | spec.FunctionPath:
    kind = path.getConcreteClassName()
    if kind == "FunctionBasedPath":
        return _function_path(component, path, ranges)
    if kind != "GeometryPath":
        raise refusal(component, f"has a path of class {kind}, which does not compile", _FIT)
    geometry = osim.GeometryPath.safeDownCast(path)
    wraps = geometry.getWrapSet()
    if wraps.getSize():
        over = ", ".join(wraps.get(i).getWrapObjectName() for i in range(wraps.getSize()))
        raise refusal(component, f"wraps over {over}, which does not compile", _FIT)
    points = geometry.getPathPointSet()
    return spec.PointsPath(
        points=tuple(_point(component, points.get(i), state) for i in range(points.getSize()))
    )


_FIT = (
    "Fit polynomials to the model's paths: osim-exo models convert IN.osim OUT.osim --paths "
    "polynomial."
)


def _function_path(
    component: Any, path: Any, ranges: Mapping[str, tuple[float, float]]
) -> spec.FunctionPath:
    for extra in ("moment_arm_functions", "lengthening_speed_function"):
        if path.getPropertyByName(extra).size():
            raise refusal(
                component,
                f"has a FunctionBasedPath with its own {extra}, which does not compile",
                "Remove that property: OpenSim then differentiates the length, as is done here.",
            )
    of = osim.FunctionBasedPath.safeDownCast(path)
    coordinates = tuple(str(p).rsplit("/", 1)[-1] for p in of.getCoordinatePaths())
    known = [c for c in coordinates if c in ranges]
    if ranges and len(known) < len(coordinates):
        missing = ", ".join(c for c in coordinates if c not in ranges)
        raise refusal(
            component,
            f"has fitted ranges, but none for {missing}",
            "Give a range for every coordinate of the path, or none.",
        )
    return spec.FunctionPath(
        coordinates=coordinates,
        length=function(of.getLengthFunction(), component),
        valid=tuple((float(ranges[c][0]), float(ranges[c][1])) for c in known),
    )


def _point(component: Any, point: Any, state: Any) -> spec.PathPoint:
    kind = point.getConcreteClassName()
    carrier = frame(point.getParentFrame())
    if kind == "PathPoint":
        return spec.PathPoint(frame=carrier, location=vec3(point.getLocation(state)))
    if kind == "ConditionalPathPoint":
        conditional = osim.ConditionalPathPoint.safeDownCast(point)
        return spec.PathPoint(
            frame=carrier,
            location=vec3(point.getLocation(state)),
            coordinate=conditional.getCoordinate().getName(),
            active_range=(conditional.get_range(0), conditional.get_range(1)),
        )
    if kind == "MovingPathPoint":
        return _moving_point(component, osim.MovingPathPoint.safeDownCast(point), carrier)
    raise refusal(component, f"runs through a {kind}, which does not compile", _FIT)


def _moving_point(component: Any, point: Any, carrier: spec.Frame) -> spec.PathPoint:
    axes = [function(getattr(point, f"get_{x}_location")(), component) for x in "xyz"]
    followed = {
        getattr(point, f"get{x}Coordinate")().getName()
        for x, axis in zip("XYZ", axes)
        if axis.kind != "constant"
    }
    if len(followed) > 1:
        raise refusal(
            component,
            f"has a MovingPathPoint that follows several coordinates: {', '.join(followed)}",
            _FIT,
        )
    return spec.PathPoint(
        frame=carrier,
        coordinate=followed.pop() if followed else point.getXCoordinate().getName(),
        functions=(axes[0], axes[1], axes[2]),
    )


def contact(component: Any, state: Any, grounded: Set[str]) -> spec.Contact:
    """A SmoothSphereHalfSpaceForce.

    Parameters
    ----------
    component
    state : of the model
    grounded : paths of the ground and of bodies that are welded to it

    Raises
    ------
    ModelError
        The half space moves.
    """
    of = osim.SmoothSphereHalfSpaceForce.safeDownCast(component)
    sphere = osim.ContactSphere.safeDownCast(of.getConnectee("sphere"))
    plane = osim.ContactHalfSpace.safeDownCast(of.getConnectee("half_space"))
    carrier = plane.getFrame()
    base = carrier.findBaseFrame().getAbsolutePathString()
    if base not in grounded:
        raise refusal(
            component,
            f"has its half space on {base}, which moves and so does not compile",
            "Fix the half space to the ground, or weld its body there: osim-exo models convert "
            "IN.osim OUT.osim --weld JOINT.",
        )
    pose = carrier.getTransformInGround(state).compose(plane.getTransform())
    half_space = spec.Frame(
        base=spec.GROUND, rotation=rotation(pose.R()), translation=vec3(pose.p())
    )
    return spec.Contact(
        name=of.getName(),
        path=of.getAbsolutePathString(),
        sphere=station(sphere.getFrame(), sphere.get_location()),
        radius=sphere.getRadius(),
        half_space=half_space,
        stiffness=of.get_stiffness(),
        dissipation=of.get_dissipation(),
        static_friction=of.get_static_friction(),
        dynamic_friction=of.get_dynamic_friction(),
        viscous_friction=of.get_viscous_friction(),
        transition_velocity=of.get_transition_velocity(),
        constant_contact_force=of.get_constant_contact_force(),
        hertz_smoothing=of.get_hertz_smoothing(),
        hunt_crossley_smoothing=of.get_hunt_crossley_smoothing(),
    )


def _limit(component: Any, model: Any) -> spec.LimitForce:
    """A CoordinateLimitForce; of a rotation OpenSim's properties are per degree."""
    name = _coordinate(component)
    degrees = model.getCoordinateSet().get(name).getMotionType() == osim.Coordinate.Rotational
    unit = DEG if degrees else 1.0
    value = {key: numbers(component, key)[0] for key in _LIMIT_NUMBERS}
    return spec.LimitForce(
        name=component.getName(),
        coordinate=name,
        upper_limit=value["upper_limit"] * unit,
        upper_stiffness=value["upper_stiffness"] / unit,
        lower_limit=value["lower_limit"] * unit,
        lower_stiffness=value["lower_stiffness"] / unit,
        damping=value["damping"] / unit,
        transition=value["transition"] * unit,
    )


_LIMIT_NUMBERS = (
    "upper_limit",
    "upper_stiffness",
    "lower_limit",
    "lower_stiffness",
    "damping",
    "transition",
)


def _spring(component: Any, model: Any) -> spec.SpringForce:
    return spec.SpringForce(
        name=component.getName(),
        coordinate=_coordinate(component),
        stiffness=numbers(component, "stiffness")[0],
        rest=numbers(component, "rest_length")[0],
        viscosity=numbers(component, "viscosity")[0],
    )


def _expression(component: Any, model: Any) -> spec.ExpressionForce:
    return spec.ExpressionForce(
        name=component.getName(),
        coordinate=_coordinate(component),
        expression=_text(component, "expression"),
    )


def _bushing(component: Any, model: Any) -> spec.Bushing:
    of = osim.BushingForce.safeDownCast(component)
    frames = [osim.PhysicalFrame.safeDownCast(of.getConnectee(f"frame{k}")) for k in (1, 2)]
    return spec.Bushing(
        name=of.getName(),
        frame1=frame(frames[0]),
        frame2=frame(frames[1]),
        rotational_stiffness=vec3(of.get_rotational_stiffness()),
        translational_stiffness=vec3(of.get_translational_stiffness()),
        rotational_damping=vec3(of.get_rotational_damping()),
        translational_damping=vec3(of.get_translational_damping()),
    )


PASSIVE: dict[str, Callable[[Any, Any], spec.PassiveForce]] = {
    "CoordinateLimitForce": _limit,
    "SpringGeneralizedForce": _spring,
    "ExpressionBasedCoordinateForce": _expression,
    "BushingForce": _bushing,
}
"""Readers of passive forces by class; each takes the component and the model."""


def _limits(component: Any) -> tuple[float | None, float | None]:
    """Least and greatest control; None: no limit."""
    of = osim.ScalarActuator.safeDownCast(component)
    low, high = of.getMinControl(), of.getMaxControl()
    return low if math.isfinite(low) else None, high if math.isfinite(high) else None


def _coordinate_actuator(component: Any, model: Any) -> spec.CoordinateActuator:
    low, high = _limits(component)
    lagged = component.getConcreteClassName() == "ActivationCoordinateActuator"
    return spec.CoordinateActuator(
        name=component.getName(),
        path=component.getAbsolutePathString(),
        coordinate=_coordinate(component),
        optimal_force=numbers(component, "optimal_force")[0],
        activation_time=numbers(component, "activation_time_constant")[0] if lagged else None,
        min_control=low,
        max_control=high,
    )


def _torque_actuator(component: Any, model: Any) -> spec.TorqueActuator:
    of = osim.TorqueActuator.safeDownCast(component)
    low, high = _limits(component)
    return spec.TorqueActuator(
        name=of.getName(),
        path=of.getAbsolutePathString(),
        body1=of.getBodyA().getAbsolutePathString(),
        body2=of.getBodyB().getAbsolutePathString(),
        axis=vec3(of.getAxis()),
        axis_in_ground=of.getTorqueIsGlobal(),
        optimal_force=of.getOptimalForce(),
        min_control=low,
        max_control=high,
    )


ACTUATORS: dict[str, Callable[[Any, Any], spec.Actuator]] = {
    "CoordinateActuator": _coordinate_actuator,
    "ActivationCoordinateActuator": _coordinate_actuator,
    "TorqueActuator": _torque_actuator,
}
"""Readers of actuators that are no muscles, by class."""
