"""Forces: all in the ForceSet, only kinds that compile, none on coordinates that are gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from osim_exo.errors import InputError, ModelError
from osim_exo.models.convert.contact import CONTACT
from osim_exo.models.convert.document import (
    Document,
    is_true,
    name_of,
    numbers,
    put,
    value,
)
from osim_exo.models.convert.joints import Fixed
from osim_exo.models.convert.muscles import MUSCLE, REPLACED

if TYPE_CHECKING:
    import opensim

FORCES = (
    "SmoothSphereHalfSpaceForce",
    "CoordinateLimitForce",
    "SpringGeneralizedForce",
    "ExpressionBasedCoordinateForce",
    "BushingForce",
    "CoordinateActuator",
    "TorqueActuator",
    "ActivationCoordinateActuator",
)
"""Forces that can be compiled, besides muscles."""

_ADVICE = {
    CONTACT: "--contact smooth makes SmoothSphereHalfSpaceForces of its spheres",
    "ElasticFoundationForce": "leave it out with --drop and add contact spheres with --add",
    "ExternalForce": "leave it out with --drop; recorded loads do not belong into a model file",
    "PrescribedForce": "leave it out with --drop",
}

_REMOVED_SETS = ("ControllerSet", "ProbeSet")


def gather(document: Document, model: opensim.Model) -> list[str]:
    """Move forces kept among the model's components into its ForceSet; their names.

    Raises
    ------
    ModelError
        A force of that name is in the ForceSet already.
    """
    import opensim

    holder = document.model.find("components")
    if holder is None:
        return []
    target = document.objects("ForceSet")
    there = {name_of(f) for f in target}
    moved = []
    for element in list(holder):
        name = name_of(element)
        if opensim.Force.safeDownCast(model.getComponent(f"/{name}")) is None:
            continue
        if name in there:
            raise ModelError(
                f"{document.source} has two forces named '{name}', one among its components and "
                "one in its ForceSet. Rename one of them."
            )
        holder.remove(element)
        target.append(element)
        moved.append(name)
    return moved


def clear(document: Document) -> list[str]:
    """Remove controllers and probes; ``class name`` of each."""
    removed = []
    for set_name in _REMOVED_SETS:
        listed = document.objects(set_name)
        removed += [f"{e.tag} {name_of(e)}" for e in listed]
        listed[:] = []
    return removed


def drop(document: Document, wanted: Iterable[str]) -> list[str]:
    """Remove forces and constraints by name or class; ``class name`` of each.

    Raises
    ------
    InputError
        Something that is wanted away is not there.
    """
    sets = [document.objects("ForceSet"), document.objects("ConstraintSet")]
    removed = []
    for item in wanted:
        found = [(s, e) for s in sets for e in s if item in (name_of(e), e.tag)]
        if not found:
            classes = sorted({e.tag for s in sets for e in s})
            raise InputError(
                f"--drop names '{item}', which is no force or constraint of {document.source}, "
                f"nor a class of one. Classes there: {', '.join(classes) or 'none'}."
            )
        for holder, element in found:
            holder.remove(element)
            removed.append(f"{element.tag} {name_of(element)}")
    return removed


def drop_disabled(document: Document) -> list[str]:
    """Remove forces that apply none and constraints that are not enforced."""
    removed = []
    for set_name, flag in (("ForceSet", "appliesForce"), ("ConstraintSet", "isEnforced")):
        holder = document.objects(set_name)
        for element in list(holder):
            if not is_true(element, flag, default=True):
                holder.remove(element)
                removed.append(f"{element.tag} {name_of(element)}")
    return removed


def drop_orphans(document: Document, fixed: Fixed) -> list[str]:
    """Remove forces on coordinates that are gone, and settle path points that follow them.

    OpenSim's own welding leaves them behind, and the model then fails with "Invalid coordinate".
    """
    holder = document.objects("ForceSet")
    removed = []
    for force in list(holder):
        if value(force, "coordinate").rsplit("/", 1)[-1] in fixed.values:
            holder.remove(force)
            removed.append(f"{force.tag} {name_of(force)}")
    return removed


def settle_points(document: Document, model: opensim.Model, fixed: Fixed) -> list[str]:
    """Make path points that follow coordinates now gone plain ones, or remove them; their names.

    Parameters
    ----------
    document : tree to edit
    model : the model before the coordinates went
    fixed : the coordinates and their values
    """
    changed = []
    for force in document.forces():
        _check_polynomial(force, fixed, document.source)
        listed = force.find("GeometryPath/PathPointSet/objects")
        for point in list(listed) if listed is not None else []:
            sockets = ("coordinate", "x_coordinate", "y_coordinate", "z_coordinate")
            used = [value(point, f"socket_{s}").rsplit("/", 1)[-1] for s in sockets]
            if listed is None or not set(used) & set(fixed.values):
                continue
            changed.append(name_of(point))
            if point.tag == "ConditionalPathPoint":
                low, high = (float(x) for x in value(point, "range").split())
                if not low <= fixed.values[used[0]] <= high:
                    listed.remove(point)
                    continue
                location = [float(x) for x in value(point, "location").split()]
            else:
                location = _moving_location(point, used[1:], model, name_of(force), fixed)
            _make_plain(point, location)
    return changed


def _check_polynomial(force: Element, fixed: Fixed, source: str) -> None:
    path = force.find("FunctionBasedPath")
    used = value(path, "coordinate_paths").split() if path is not None else []
    gone = [p.rsplit("/", 1)[-1] for p in used if p.rsplit("/", 1)[-1] in fixed.values]
    if gone:
        raise ModelError(
            f"Muscle '{name_of(force)}' of {source} has a polynomial path in {', '.join(gone)}, "
            "which would be held still; such a path cannot be cut down. Convert the model that "
            "still has its geometry paths, with the joint welded at once."
        )


def _moving_location(
    point: Element, used: list[str], model: opensim.Model, force: str, fixed: Fixed
) -> list[float]:
    import opensim

    if not set(used) <= set(fixed.values):
        raise ModelError(
            f"The moving path point '{name_of(point)}' of '{force}' follows "
            f"{', '.join(dict.fromkeys(used))}, of which only some are held still. Weld all of "
            "these joints or none."
        )
    # OpenSim's iterator complains if it is left early, so every component is looked at.
    all_moving = [opensim.MovingPathPoint.safeDownCast(c) for c in model.getComponentsList()]
    (moving,) = (
        m
        for m in all_moving
        if m is not None
        and m.getName() == name_of(point)
        and f"/{force}/" in m.getAbsolutePathString()
    )
    functions = (moving.get_x_location(), moving.get_y_location(), moving.get_z_location())
    return [f.calcValue(opensim.Vector(1, fixed.values[n])) for f, n in zip(functions, used)]


def _make_plain(point: Element, location: list[float]) -> None:
    point.tag = "PathPoint"
    put(point, "location", numbers(location))
    for child in list(point):
        if child.tag not in ("components", "socket_parent_frame", "location"):
            point.remove(child)


def unsupported(document: Document) -> list[str]:
    """One sentence for every force or constraint that cannot be compiled."""
    allowed = (*FORCES, MUSCLE, *REPLACED)
    faults = []
    for force in document.forces():
        if force.tag not in allowed:
            advice = _ADVICE.get(force.tag, f"leave it out with --drop {name_of(force)}")
            faults.append(f"force '{name_of(force)}' is a {force.tag} ({advice})")
    for constraint in document.objects("ConstraintSet"):
        if constraint.tag != "CoordinateCouplerConstraint":
            faults.append(
                f"constraint '{name_of(constraint)}' is a {constraint.tag} (allowed: "
                f"CoordinateCouplerConstraint; leave it out with --drop {name_of(constraint)})"
            )
    return faults
