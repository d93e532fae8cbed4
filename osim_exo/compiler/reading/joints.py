"""Bodies, joints, coordinates and couplers of an OpenSim model as parts of a `ModelSpec`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import opensim as osim

from osim_exo.compiler import spec
from osim_exo.compiler.reading.functions import frame, function, numbers, refusal, vec3
from osim_exo.errors import ModelError

KINDS: dict[str, spec.JointKind] = {
    "WeldJoint": "weld",
    "PinJoint": "pin",
    "SliderJoint": "slider",
    "UniversalJoint": "universal",
    "PlanarJoint": "planar",
    "BallJoint": "ball",
    "FreeJoint": "free",
    "CustomJoint": "custom",
    "GimbalJoint": "custom",
}
"""Joint classes that compile. A GimbalJoint is a CustomJoint about x, y and z in turn."""

UNBOUNDED = 1e9
"""Stands for the end of a range that is infinite, rad or m."""

MOTIONS: dict[int, Literal["rotational", "translational", "coupled"]] = {
    1: "rotational",
    2: "translational",
    3: "coupled",
}

IDENTITY = spec.Linear(slopes=(1.0,), intercept=0.0)


def body(of: Any) -> spec.Body:
    """An opensim.Body."""
    inertia = of.getInertia()  # its moments and products point into it
    moments, products = vec3(inertia.getMoments()), vec3(inertia.getProducts())
    xy, xz, yz = products
    return spec.Body(
        name=of.getName(),
        path=of.getAbsolutePathString(),
        mass=of.getMass(),
        mass_centre=vec3(of.getMassCenter()),
        inertia=((moments[0], xy, xz), (xy, moments[1], yz), (xz, yz, moments[2])),
    )


def joint(of: Any, state: Any) -> spec.Joint:
    """An opensim.Joint of a model whose system was built.

    Raises
    ------
    ModelError
        The joint's class does not compile, or a coordinate is prescribed to move.
    """
    name = of.getConcreteClassName()
    if name not in KINDS:
        raise refusal(
            of,
            "is a joint that does not compile",
            f"Joints that do: {', '.join(KINDS)}. Write it as a CustomJoint, or weld it: "
            f"osim-exo models convert IN.osim OUT.osim --weld {of.getName()}.",
        )
    coordinates = [coordinate(of.get_coordinates(k), state) for k in range(of.numCoordinates())]
    axes: tuple[spec.TransformAxis, ...] = ()
    if name == "CustomJoint":
        axes = _custom_axes(of)
    elif name == "GimbalJoint":
        axes = _gimbal_axes(coordinates)
    return spec.Joint(
        name=of.getName(),
        kind=KINDS[name],
        parent=frame(of.getParentFrame()),
        child=frame(of.getChildFrame()),
        coordinates=tuple(coordinates),
        axes=axes,
    )


def coordinate(of: Any, state: Any) -> spec.Coordinate:
    """An opensim.Coordinate; one that is prescribed to stay is locked there."""
    default, locked = of.getDefaultValue(), of.getLocked(state)
    if of.isPrescribed(state):
        held = of.getPrescribedFunction()
        if held.getConcreteClassName() != "Constant":
            raise refusal(
                of,
                "is prescribed to move, which does not compile",
                "Set its <prescribed> to false, or prescribe a Constant, which holds it there.",
            )
        default, locked = osim.Constant.safeDownCast(held).getValue(), True
    low, high = of.getRangeMin(), of.getRangeMax()
    return spec.Coordinate(
        name=of.getName(),
        path=of.getAbsolutePathString(),
        motion=MOTIONS.get(of.getMotionType(), "coupled"),
        range=(
            low if math.isfinite(low) else -UNBOUNDED,
            high if math.isfinite(high) else UNBOUNDED,
        ),
        default=default,
        default_speed=of.getDefaultSpeedValue(),
        locked=locked,
    )


def _custom_axes(of: Any) -> tuple[spec.TransformAxis, ...]:
    transform = osim.CustomJoint.safeDownCast(of).getSpatialTransform()
    found = []
    for kind in ("rotation", "translation"):
        for k in (1, 2, 3):
            axis = getattr(transform, f"get_{kind}{k}")()
            names = axis.getCoordinateNamesInArray()
            found.append(
                spec.TransformAxis(
                    axis=vec3(axis.get_axis()),
                    coordinates=tuple(names.get(i) for i in range(names.getSize())),
                    function=_smooth(axis.getFunction(), of) if axis.hasFunction() else None,
                )
            )
    return tuple(found)


def _smooth(of: Any, owner: Any) -> spec.Function:
    """A function that accelerations are computed from.

    OpenSim 4.6 gives the first derivative of a MultivariatePolynomialFunction where it is asked
    for the second one, so that its own accelerations are wrong.
    """
    found = function(of, owner)
    inner = found
    while isinstance(inner, spec.Multiplier):
        inner = inner.function
    if isinstance(inner, spec.MultivariatePolynomial):
        raise refusal(
            owner,
            "moves by a MultivariatePolynomialFunction, whose second derivative OpenSim 4.6 has "
            "wrong",
            "Use a PolynomialFunction or a SimmSpline of one coordinate, or a LinearFunction.",
        )
    return found


def _gimbal_axes(coordinates: Sequence[spec.Coordinate]) -> tuple[spec.TransformAxis, ...]:
    units = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    turns = [
        spec.TransformAxis(axis=axis, coordinates=(c.name,), function=IDENTITY)
        for axis, c in zip(units, coordinates)
    ]
    return (*turns, *(spec.TransformAxis(axis=axis) for axis in units))


def coupler(of: Any) -> spec.Coupler:
    """An opensim.CoordinateCouplerConstraint."""
    constraint = osim.CoordinateCouplerConstraint.safeDownCast(of)
    names = constraint.getIndependentCoordinateNames()
    relation = _smooth(constraint.getFunction(), of)
    scale = numbers(of, "scale_factor")[0]
    return spec.Coupler(
        name=of.getName(),
        dependent=constraint.getDependentCoordinateName(),
        independent=tuple(names.get(i) for i in range(names.getSize())),
        function=relation if scale == 1.0 else spec.Multiplier(scale=scale, function=relation),
    )


def hold_dependents(
    joints: Sequence[spec.Joint], couplers: Sequence[spec.Coupler], model: Any
) -> tuple[list[spec.Joint], list[spec.Coupler]]:
    """Joints and couplers, with coordinates that depend on locked ones locked themselves.

    Raises
    ------
    ModelError
        A dependent coordinate is locked or depends on a dependent one, or one angle of a ball or
        free joint is held: its speed is not its rate.
    """
    held = {c.name: c.default for j in joints for c in j.coordinates if c.locked}
    dependent = {c.dependent for c in couplers}
    kept = []
    for c in couplers:
        tied = [name for name in c.independent if name in dependent]
        if tied or c.dependent in held:
            raise ModelError(
                f"The coupler '{c.name}' makes '{c.dependent}' follow {', '.join(c.independent)}; "
                f"{'which follows another one' if tied else 'but it is locked'}. That does not "
                "compile. Make each follow a free coordinate."
            )
        if any(name not in held for name in c.independent):
            kept.append(c)
            continue
        constraint = osim.CoordinateCouplerConstraint.safeDownCast(
            next(x for x in list(model.getComponentsList()) if x.getName() == c.name)
        )
        at = osim.Vector.createFromMat(np.array([held[name] for name in c.independent]))
        scale = numbers(constraint, "scale_factor")[0]
        held[c.dependent] = scale * constraint.getFunction().calcValue(at)
    for j in joints:
        angles = [c.name for c in j.coordinates[:3]] if j.kind in ("ball", "free") else []
        stuck = [name for name in angles if name in held]
        bound = [name for name in angles if name in {c.dependent for c in kept}]
        bound += [name for name in angles if any(name in c.independent for c in kept)]
        if bound or len(stuck) not in (0, 3):
            raise ModelError(
                f"Angles {', '.join(bound or stuck)} of the joint '{j.name}' ({j.kind}) are locked "
                "or coupled singly, which does not compile. Make it a GimbalJoint, whose "
                "coordinates are independent."
            )
    return [_held(j, held) for j in joints], kept


def _held(j: spec.Joint, held: Mapping[str, float]) -> spec.Joint:
    coordinates = tuple(
        c.changed(locked=True, default=held[c.name]) if c.name in held else c for c in j.coordinates
    )
    return j.changed(coordinates=coordinates)


def grounded(joints: Sequence[spec.Joint]) -> set[str]:
    """Paths of the ground and of all bodies that are welded to it; joints in any order."""
    found = {spec.GROUND}
    while True:
        more = {j.child.base for j in joints if j.kind == "weld" and j.parent.base in found}
        if more <= found:
            return found
        found |= more


def check_fitted_paths(joints: Sequence[spec.Joint], muscles: Sequence[spec.Muscle]) -> None:
    """No polynomial path depends on an angle of a ball or free joint.

    OpenSim takes the angle's rate for the path's speed but applies the force as if it were the
    joint's speed, so that work is not conserved there.

    Raises
    ------
    ModelError
        One does.
    """
    angles = {c.name for j in joints if j.kind in ("ball", "free") for c in j.coordinates[:3]}
    for muscle in muscles:
        if isinstance(muscle.path, spec.FunctionPath):
            found = [name for name in muscle.path.coordinates if name in angles]
            if found:
                raise ModelError(
                    f"The polynomial path of '{muscle.name}' depends on {', '.join(found)}, angles "
                    "of a ball or free joint, where OpenSim's own forces and speeds do not match. "
                    "Make the joint a GimbalJoint or a CustomJoint."
                )


def check_tree(joints: Sequence[spec.Joint], bodies: Sequence[spec.Body]) -> None:
    """Every body hangs from the ground by one joint, which has the body as its child.

    Raises
    ------
    ModelError
        A joint is the wrong way round, or a body has two.
    """
    carried: dict[str, str] = {}
    for j in joints:
        other = carried.setdefault(j.child.base, j.name)
        if other != j.name:
            raise ModelError(
                f"Joints '{other}' and '{j.name}' both carry {j.child.base}: the model is a loop, "
                "which does not compile. Remove one of them."
            )
    reached = {spec.GROUND}
    waiting = list(joints)
    while waiting:
        ready = [j for j in waiting if j.parent.base in reached and j.child.base != spec.GROUND]
        if not ready:
            names = ", ".join(f"'{j.name}'" for j in waiting)
            raise ModelError(
                f"Joint(s) {names} have their parent farther from the ground than their child, "
                "which does not compile. Exchange parent and child frames (and the signs of the "
                "coordinates)."
            )
        reached |= {j.child.base for j in ready}
        waiting = [j for j in waiting if j not in ready]
    loose = [b.name for b in bodies if b.path not in reached]
    if loose:
        raise ModelError(f"Bodies without a joint: {', '.join(loose)}. Add a FreeJoint to each.")


def check_names(coordinates: Sequence[spec.Coordinate]) -> None:
    """Coordinates are told apart by their names.

    Raises
    ------
    ModelError
        Two have the same.
    """
    names = [c.name for c in coordinates]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ModelError(
            f"Several coordinates are called {', '.join(twice)}. Rename them: a compiled model "
            "tells coordinates apart by name."
        )
