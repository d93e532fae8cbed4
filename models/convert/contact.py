"""Contact: Hunt-Crossley spheres made smooth, floors on welded platforms moved to the ground."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from osim_exo.errors import ModelError
from osim_exo.models.convert.document import Document, name_of, number, numbers, put, value
from osim_exo.trial import Array

if TYPE_CHECKING:
    import opensim

CONTACT = "HuntCrossleyForce"

SMOOTHING = (
    "Smooth contacts push harder than Hunt-Crossley ones at small depth, by the smoothing that "
    "OpenSim gives them: 23 % at 5 mm, 7 % at 10 mm, 2 % at 20 mm, and a little before they touch. "
    "Weights and gaits that hang on the contact should be looked at again."
)
"""What a user should know about `smooth_contact`; see its test for the formula."""


def smooth_contact(document: Document) -> list[str]:
    """Turn Hunt-Crossley contacts of spheres on a half-space into smooth ones; their names.

    Both follow the same law (Hunt & Crossley 1975); for equal materials the stiffness keeps its
    number, for others the two stiffnesses k = E^(2/3) act in series: 0.5 E^(2/3) = k1 k2 / (k1 +
    k2), dissipation is weighted by the other side's share and friction is 2 u1 u2 / (u1 + u2).

    Raises
    ------
    ModelError
        A contact has meshes, more than one half-space, or none.
    """
    geometry = {name_of(g): g for g in document.objects("ContactGeometrySet")}
    holder = document.objects("ForceSet")
    made = []
    for force in document.forces():
        if force.tag != CONTACT:
            continue
        spheres, planes = _sides(force, geometry, document.source)
        holder.remove(force)
        for name, material in spheres:
            new = SubElement(holder, "SmoothSphereHalfSpaceForce")
            new.set("name", f"{name_of(force)}_{name}" if len(spheres) > 1 else name_of(force))
            put(new, "socket_sphere", f"/contactgeometryset/{name}")
            put(new, "socket_half_space", f"/contactgeometryset/{planes[0][0]}")
            put(new, "transition_velocity", value(force, "transition_velocity"))
            for tag, combined in _combined(material, planes[0][1]).items():
                put(new, tag, repr(combined))
            made.append(name_of(new))
    return made


def _sides(
    force: Element, geometry: dict[str, Element], source: str
) -> tuple[list[tuple[str, Element]], list[tuple[str, Element]]]:
    """Spheres and half-spaces of a contact, each with its material."""
    spheres, planes = [], []
    for material in force.iter("HuntCrossleyForce..ContactParameters"):
        for name in value(material, "geometry").split():
            name = name.rsplit("/", 1)[-1]
            kind = geometry[name].tag if name in geometry else "missing geometry"
            if kind == "ContactSphere":
                spheres.append((name, material))
            elif kind == "ContactHalfSpace":
                planes.append((name, material))
            else:
                raise ModelError(
                    f"Contact '{name_of(force)}' of {source} has '{name}', a {kind}; only spheres "
                    "on one half-space can be made smooth. Drop it with --drop and add spheres."
                )
    if len(planes) != 1 or not spheres:
        raise ModelError(
            f"Contact '{name_of(force)}' of {source} has {len(spheres)} spheres and "
            f"{len(planes)} half-spaces; needed are spheres and one half-space. Drop it with "
            "--drop and add contacts with --add."
        )
    return spheres, planes


def _combined(one: Element, other: Element) -> dict[str, float]:
    k1, k2 = (number(m, "stiffness") ** (2.0 / 3.0) for m in (one, other))
    share = k2 / (k1 + k2) if k1 + k2 > 0.0 else 0.5
    result = {
        "stiffness": (2.0 * k1 * share) ** 1.5,
        "dissipation": share * number(one, "dissipation")
        + (1.0 - share) * number(other, "dissipation"),
    }
    for tag in ("static_friction", "dynamic_friction", "viscous_friction"):
        u1, u2 = number(one, tag), number(other, tag)
        result[tag] = 2.0 * u1 * u2 / (u1 + u2) if u1 + u2 > 0.0 else 0.0
    return result


def to_ground(document: Document, model: opensim.Model) -> list[str]:
    """Attach half-spaces on bodies that are welded to the ground to the ground itself; their names.

    Parameters
    ----------
    document : tree to edit
    model : the same model in OpenSim
    """
    still = _anchored(model)
    state = model.initSystem()
    listed = model.getContactGeometrySet()
    moved = []
    for element in document.objects("ContactGeometrySet"):
        if element.tag != "ContactHalfSpace":
            continue
        plane = listed.get(name_of(element))
        frame = plane.getFrame()
        if frame.findBaseFrame().getName() not in still:
            continue
        turned, place = _parts(frame.getTransformInGround(state))
        own_turn, own_place = _parts(plane.getTransform())
        put(element, "socket_frame", "/ground")
        put(element, "location", numbers(list(place + turned @ own_place)))
        put(element, "orientation", numbers(_angles(turned @ own_turn)))
        moved.append(name_of(element))
    return moved


def _anchored(model: opensim.Model) -> set[str]:
    """Bodies that a chain of welds holds to the ground."""
    listed = model.getJointSet()
    joints = [listed.get(i) for i in range(listed.getSize())]
    pairs = [
        {f.findBaseFrame().getName() for f in (j.getParentFrame(), j.getChildFrame())}
        for j in joints
        if j.getConcreteClassName() == "WeldJoint"
    ]
    found = {"ground"}
    while True:
        grown = found.union(*(pair for pair in pairs if pair & found))
        if grown == found:
            return found - {"ground"}
        found = grown


def _parts(transform: opensim.Transform) -> tuple[Array, Array]:
    """Rotation (3, 3) and translation (3,) of a transform."""
    rotation, place = transform.R(), transform.p()
    turned = np.array([[rotation.get(i, k) for k in range(3)] for i in range(3)])
    return turned, np.array([place.get(i) for i in range(3)])


def _angles(turned: Array) -> list[float]:
    """Body-fixed x-y-z angles of a rotation matrix, rad."""
    return [
        math.atan2(-turned[1, 2], turned[2, 2]),
        math.asin(min(1.0, max(-1.0, turned[0, 2]))),
        math.atan2(-turned[0, 1], turned[0, 0]),
    ]
