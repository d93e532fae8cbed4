"""Joints: locked coordinates become welds or constants, gimbals become custom joints.

A locked coordinate is a constraint in OpenSim; with the joint welded at the same pose the motion is
the same and the constraint is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement

from osim_exo.errors import InputError, ModelError
from osim_exo.models.convert.document import (
    Document,
    is_true,
    name_of,
    number,
    numbers,
    put,
    value,
)

if TYPE_CHECKING:
    import opensim

JOINTS = (
    "WeldJoint",
    "PinJoint",
    "SliderJoint",
    "UniversalJoint",
    "PlanarJoint",
    "BallJoint",
    "FreeJoint",
    "CustomJoint",
)
"""Joints that can be compiled; a GimbalJoint is turned into a CustomJoint."""

FUNCTIONS = (
    "Constant",
    "LinearFunction",
    "PolynomialFunction",
    "SimmSpline",
    "MultiplierFunction",
    "PiecewiseLinearFunction",
)
"""Functions of a CustomJoint's axes that can be compiled."""

AXES = ("rotation1", "rotation2", "rotation3", "translation1", "translation2", "translation3")

_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_AS_CUSTOM: dict[str, tuple[tuple[tuple[float, float, float], ...], tuple[int, ...]]] = {
    # axes in the order rotation1..translation3, and the axis that each coordinate turns or moves
    "GimbalJoint": ((_X, _Y, _Z, _X, _Y, _Z), (0, 1, 2)),
    "UniversalJoint": ((_X, _Y, _Z, _X, _Y, _Z), (0, 1)),
    "PlanarJoint": ((_Z, _Y, _X, _X, _Y, _Z), (0, 3, 4)),
}


@dataclass
class Fixed:
    """What is held still.

    Attributes
    ----------
    values : value of every coordinate that disappears, rad or m
    welded : joints that became welds
    constant : coordinates of joints that keep others
    """

    values: dict[str, float] = field(default_factory=dict)
    welded: list[str] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)


def coordinates(joint: Element) -> list[Element]:
    """Coordinates of a joint."""
    return joint.findall("coordinates/Coordinate")


def held(document: Document) -> dict[str, float]:
    """Value of every coordinate that the file locks or prescribes as a constant.

    Raises
    ------
    ModelError
        A coordinate is prescribed by a function of time.
    """
    found = {}
    for joint in document.joints():
        for coordinate in coordinates(joint):
            if is_true(coordinate, "locked"):
                found[name_of(coordinate)] = number(coordinate, "default_value")
            elif is_true(coordinate, "prescribed"):
                constant = coordinate.find("prescribed_function/Constant")
                if constant is None:
                    raise ModelError(
                        f"Coordinate '{name_of(coordinate)}' of {document.source} is prescribed "
                        "by a function of time, which a model that is to be controlled cannot "
                        "have. Allowed is a Constant. Set <prescribed> to false, or lock it."
                    )
                found[name_of(coordinate)] = number(constant, "value")
    return found


def asked(
    document: Document, names: Iterable[str], beginnings: Iterable[tuple[str, ...]]
) -> dict[str, float]:
    """Default value of every coordinate of the joints that the user wants welded.

    Raises
    ------
    InputError
        A name is no joint of the model, or no joint begins with one of the patterns.
    """
    joints = {name_of(j): j for j in document.joints()}
    movable = [n for n, j in joints.items() if coordinates(j)]
    chosen = set()
    for name in names:
        if name not in joints:
            raise InputError(
                f"--weld names the joint '{name}', which {document.source} does not have. "
                f"It has: {', '.join(movable)}."
            )
        chosen.add(name)
    for group in beginnings:
        matching = {n for n in movable if n.startswith(group)}
        if not matching:
            raise InputError(
                f"No joint of {document.source} has a name that begins with "
                f"{', '.join(group)}. Name the joints to weld with --weld; it has: "
                f"{', '.join(movable)}."
            )
        chosen |= matching
    return {
        name_of(c): number(c, "default_value")
        for n in sorted(chosen)
        for c in coordinates(joints[n])
    }


def follow_couplers(
    document: Document, model: opensim.Model, values: dict[str, float]
) -> dict[str, float]:
    """Add the coordinates that couplers tie to held ones, and remove those couplers.

    Raises
    ------
    ModelError
        A held coordinate depends on one that is free.
    """
    from osim_exo.models.convert.sampling import couplers

    listed = document.objects("ConstraintSet")
    found = dict(values)
    todo = couplers(model)
    while True:
        ready = [c for c in todo if all(i in found for i in c.independent)]
        if not ready:
            break
        for coupler in ready:
            found[coupler.dependent] = coupler.value([found[i] for i in coupler.independent])
            todo.remove(coupler)
            for element in list(listed):
                if name_of(element) == coupler.name:
                    listed.remove(element)
    for coupler in todo:
        stuck = [n for n in (coupler.dependent, *coupler.independent) if n in found]
        if stuck:
            tied = ", ".join((coupler.dependent, *coupler.independent))
            raise ModelError(
                f"Coordinate '{stuck[0]}' is to be held still, but the constraint "
                f"'{coupler.name}' ties {tied} together, and others of them are free. Weld or "
                "unlock all of them."
            )
    return found


def fix(document: Document, model: opensim.Model, values: dict[str, float]) -> Fixed:
    """Weld joints whose coordinates are all held and make the other held ones constants.

    Parameters
    ----------
    document : tree to edit
    model : the same model in OpenSim, before the edit
    values : held coordinates, rad or m
    """
    result = Fixed(values=dict(values))
    state = model.initSystem()
    for name, held_value in values.items():
        coordinate = model.getCoordinateSet().get(name)
        coordinate.setLocked(state, False)
        coordinate.setIsPrescribed(state, False)
        coordinate.setValue(state, held_value, False)
    model.realizePosition(state)
    for joint in document.joints():
        names = [name_of(c) for c in coordinates(joint)]
        still = [n for n in names if n in values]
        if names and still == names:
            _weld(joint, model.getJointSet().get(name_of(joint)), state)
            result.welded.append(name_of(joint))
        elif still:
            _hold(joint, still, model, values, document.source)
            result.constant += still
    return result


def _weld(joint: Element, component: opensim.Joint, state: opensim.State) -> None:
    """Turn a joint into a weld at its present pose; its own frames stay for what hangs on them."""
    parent = component.getParentFrame()
    pose = component.getChildFrame().findTransformBetween(state, parent)
    frames = joint.find("frames")
    if frames is None:
        frames = SubElement(joint, "frames")
    frame = SubElement(frames, "PhysicalOffsetFrame", name="weld_frame")
    put(frame, "socket_parent", parent.getAbsolutePathString())
    put(frame, "translation", numbers([pose.p().get(i) for i in range(3)]))
    angles = pose.R().convertRotationToBodyFixedXYZ()
    put(frame, "orientation", numbers([angles.get(i) for i in range(3)]))
    put(joint, "socket_parent_frame", "weld_frame")
    joint.tag = "WeldJoint"
    for child in list(joint):
        if child.tag not in ("components", "socket_parent_frame", "socket_child_frame", "frames"):
            joint.remove(child)


def _hold(
    joint: Element,
    still: list[str],
    model: opensim.Model,
    values: dict[str, float],
    source: str,
) -> None:
    """Make some coordinates of a joint constants in its axes."""
    import opensim

    as_custom(joint)
    if joint.tag != "CustomJoint":
        names = [name_of(c) for c in coordinates(joint)]
        raise ModelError(
            f"Joint '{name_of(joint)}' ({joint.tag}) of {source} has some coordinates locked "
            f"({', '.join(still)}) and others free ({', '.join(set(names) - set(still))}), which "
            "can be converted for Custom, Gimbal, Universal and Planar joints only. Lock all of "
            "them, none of them, or make it a CustomJoint."
        )
    for axis in joint.iter("TransformAxis"):
        used = value(axis, "coordinates").split()
        if not set(used) & set(still):
            continue
        if not set(used) <= set(still):
            raise ModelError(
                f"Axis '{name_of(axis)}' of joint '{name_of(joint)}' in {source} depends on "
                f"{', '.join(used)}, of which only some are locked. Lock all of them or none."
            )
        constant = values[used[0]]
        component = opensim.CustomJoint.safeDownCast(model.getJointSet().get(name_of(joint)))
        if component is not None and len(used) == 1:
            axes = component.getSpatialTransform()
            function = axes.getTransformAxis(AXES.index(name_of(axis))).getFunction()
            constant = function.calcValue(opensim.Vector(1, constant))
        put(axis, "coordinates", "")
        _set_function(axis, "Constant", "value", repr(float(constant)))
    listed = joint.find("coordinates")
    for coordinate in coordinates(joint):
        if listed is not None and name_of(coordinate) in still:
            listed.remove(coordinate)


def _set_function(axis: Element, kind: str, tag: str, text: str) -> None:
    for child in list(axis):
        if child.get("name") == "function" or child.tag == "function":
            axis.remove(child)
    put(SubElement(axis, kind, name="function"), tag, text)


def as_custom(joint: Element) -> bool:
    """Turn a Gimbal, Universal or Planar joint into the same CustomJoint; True if it was one.

    All three turn about body-fixed axes and move along axes of the parent frame, as a CustomJoint
    does (Seth et al. 2010), so speeds and coordinates keep their meaning.
    """
    if joint.tag not in _AS_CUSTOM:
        return False
    axes, uses = _AS_CUSTOM[joint.tag]
    names = [name_of(c) for c in coordinates(joint)]
    transform = SubElement(joint, "SpatialTransform")
    for k, (axis_name, direction) in enumerate(zip(AXES, axes)):
        axis = SubElement(transform, "TransformAxis", name=axis_name)
        moved = names[uses.index(k)] if k in uses else ""
        put(axis, "coordinates", moved)
        put(axis, "axis", numbers(list(direction)))
        if moved:
            _set_function(axis, "LinearFunction", "coefficients", "1 0")
        else:
            _set_function(axis, "Constant", "value", "0")
    joint.tag = "CustomJoint"
    return True


def unsupported(document: Document) -> list[str]:
    """One sentence for every joint or joint function that cannot be compiled."""
    faults = []
    for joint in document.joints():
        if joint.tag not in JOINTS:
            faults.append(
                f"joint '{name_of(joint)}' is a {joint.tag} (allowed: {', '.join(JOINTS)}, and "
                "GimbalJoint, which is converted; weld it with --weld)"
            )
        for axis in joint.iter("TransformAxis"):
            outer = [child for child in axis if child.get("name") == "function"]
            inner = [child for f in outer for child in f.findall(".//function/*")]
            for function in (*outer, *inner):
                if function.tag not in FUNCTIONS:
                    faults.append(
                        f"joint '{name_of(joint)}' uses a {function.tag} on {name_of(axis)} "
                        f"(allowed: {', '.join(FUNCTIONS)}; resample it to a SimmSpline)"
                    )
    return faults
