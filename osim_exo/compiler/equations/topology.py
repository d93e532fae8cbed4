"""Which bodies are rigid together, and in which order the tree moves them: numbers only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.equations.joints import Offset
from osim_exo.compiler.spec import GROUND, Frame, Joint, ModelSpec
from osim_exo.errors import ModelError

Floats = npt.NDArray[np.float64]

IDENTITY = Offset(np.eye(3), np.zeros(3))


@dataclass(frozen=True)
class Part:
    """A body of the model as part of a rigid one, with its pose there."""

    body: int
    place: Offset


@dataclass
class RigidBody:
    """Bodies that are welded together, and the joint that carries them.

    Attributes
    ----------
    name : of the body that the joint moves
    parent : index of the rigid body that carries it; -1: the ground
    joint, parent_place, child_place : the joint and its frames in the two rigid bodies
    columns : the joint's coordinates
    parts : bodies of the spec
    """

    name: str
    parent: int
    joint: Joint
    parent_place: Offset
    child_place: Offset
    columns: tuple[int, ...]
    parts: list[Part] = field(default_factory=list)


class Topology:
    """Which bodies are rigid together, and in which order the tree moves them: numbers only.

    Attributes
    ----------
    bodies : rigid bodies, parents first
    grounded : bodies of the spec that are welded to the ground
    column : position of every coordinate, by name
    fixed : columns that do not move: locked ones
    order : columns along the tree, parents first
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.column = {c.name: i for i, c in enumerate(spec.coordinates)}
        self.fixed = {i for i, c in enumerate(spec.coordinates) if c.locked}
        self.bodies: list[RigidBody] = []
        self.grounded: list[Part] = []
        self._places: dict[str, tuple[int, Offset]] = {GROUND: (-1, IDENTITY)}
        self._body_index = {b.path: i for i, b in enumerate(spec.bodies)}
        waiting = list(spec.joints)
        while waiting:
            ready = [j for j in waiting if j.parent.base in self._places]
            if not ready:
                raise ModelError(
                    f"The joints {', '.join(j.name for j in waiting)} hang on no body that is "
                    "joined to the ground. Join every body to the ground by one chain of joints."
                )
            for joint in ready:
                self._add(joint)
                waiting.remove(joint)
        self.order = tuple(k for body in self.bodies for k in body.columns)

    def _add(self, joint: Joint) -> None:
        parent, place = self._places[joint.parent.base]
        upper = _compose(place, _offset(joint.parent))
        lower = _offset(joint.child)
        if joint.child.base not in self._body_index or joint.child.base in self._places:
            raise ModelError(
                f"The joint '{joint.name}' moves '{joint.child.base}', which is no body or is "
                "moved by another joint. Closed chains cannot be compiled."
            )
        part = self._body_index[joint.child.base]
        if joint.kind == "weld":
            inside = _compose(upper, _inverse(lower))
            self._places[joint.child.base] = (parent, inside)
            parts = self.bodies[parent].parts if parent >= 0 else self.grounded
            parts.append(Part(part, inside))
            return
        columns = tuple(self.column[c.name] for c in joint.coordinates)
        body = RigidBody(self.spec.bodies[part].name, parent, joint, upper, lower, columns)
        body.parts.append(Part(part, IDENTITY))
        self._places[joint.child.base] = (len(self.bodies), IDENTITY)
        self.bodies.append(body)

    def place(self, frame: Frame) -> tuple[int, Offset]:
        """The rigid body that a frame is fixed to, and the frame's pose in it."""
        if frame.base not in self._places:
            raise ModelError(f"A frame hangs on '{frame.base}', which is no body of the model.")
        body, place = self._places[frame.base]
        return body, _compose(place, _offset(frame))

    def chain(self, body: int) -> list[int]:
        """A rigid body and all that carry it, from the body down to the first above ground."""
        found = []
        while body >= 0:
            found.append(body)
            body = self.bodies[body].parent
        return found

    def inertia(self, masses: Floats, inertias: Floats) -> Floats:
        """Mass, first moment and inertia of every rigid body about its origin.

        Parameters
        ----------
        masses, inertias : (..., n_body) array; factor on the mass, and on the inertia about its
            mass centre, of every body of the spec

        Returns
        -------
        (..., n_rigid, 10) array
            Mass; mass times mass centre x, y, z; inertia xx, yy, zz, xy, xz, yz.
        """
        found = np.zeros((*masses.shape[:-1], len(self.bodies), 10))
        for i, rigid in enumerate(self.bodies):
            for part in rigid.parts:
                body, place = self.spec.bodies[part.body], part.place
                centre = place.rotation @ np.array(body.mass_centre) + place.translation
                own = place.rotation @ np.array(body.inertia) @ place.rotation.T
                shift = np.dot(centre, centre) * np.eye(3) - np.outer(centre, centre)
                m = masses[..., part.body] * body.mass
                found[..., i, 0] += m
                found[..., i, 1:4] += m[..., None] * centre
                found[..., i, 4:] += _six(own) * inertias[..., part.body, None]
                found[..., i, 4:] += _six(shift) * m[..., None]
        return found


def _six(matrix: Floats) -> Floats:
    return np.array(
        [matrix[0, 0], matrix[1, 1], matrix[2, 2], matrix[0, 1], matrix[0, 2], matrix[1, 2]]
    )


def _offset(frame: Frame) -> Offset:
    return Offset(np.array(frame.rotation), np.array(frame.translation))


def _compose(outer: Offset, inner: Offset) -> Offset:
    return Offset(
        outer.rotation @ inner.rotation, outer.rotation @ inner.translation + outer.translation
    )


def _inverse(place: Offset) -> Offset:
    return Offset(place.rotation.T, -place.rotation.T @ place.translation)
