"""The tree of bodies as expressions: kinematics, mass matrix and inverse dynamics.

All vectors are in the ground's axes; a body's spatial quantities are taken at its own origin.
Mass matrix by composite bodies, inverse dynamics by the recursive Newton-Euler algorithm
(Featherstone 2008, chapters 5 and 6).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from osim_exo.compiler.equations import body_motion, functions
from osim_exo.compiler.equations.body_motion import BodyMotion
from osim_exo.compiler.equations.joints import motion, turn
from osim_exo.compiler.equations.topology import RigidBody, Topology
from osim_exo.compiler.spec import Frame
from osim_exo.compiler.symbols.expression import (
    Expr,
    Exprs,
    Graph,
    constants,
    cross,
    derivatives,
    dot,
    substitute,
    vector,
    zeros,
)
from osim_exo.errors import ModelError

Matrix = dict[tuple[int, int], Expr]
"""A sparse square matrix: (row, column) to value."""


@dataclass(frozen=True)
class Station:
    """A point that is fixed to a body (-1: the ground), or moves in its frame."""

    body: int
    location: Exprs


@dataclass(frozen=True)
class Constraint:
    """A coordinate that follows another one: value, slope and bias of its acceleration."""

    independent: int
    slope: Expr
    bias: Expr


class Mechanics:
    """Kinematics of a model as expressions.

    Parameters
    ----------
    graph, topology
    q, u : state of the coordinates and speeds, in the spec's order; dependent and locked
        coordinates are replaced by what they follow
    inertia : (n_rigid, 10) array, as `Topology.inertia` gives it
    gravity : (3,) array, m/s^2
    simbody_bias : see `joints.motion`
    """

    def __init__(
        self,
        graph: Graph,
        topology: Topology,
        q: Exprs,
        u: Exprs,
        inertia: Exprs,
        gravity: Exprs,
        simbody_bias: bool = True,
    ) -> None:
        self.graph, self.topology, self.gravity = graph, topology, gravity
        self._inertia, self._simbody_bias = inertia, simbody_bias
        self.column = topology.column
        self.q, self.u = q.copy(), u.copy()
        self.constraints: dict[int, Constraint] = {}
        self._hold()
        self._couple()
        self.bodies: list[BodyMotion] = []
        for i, rigid in enumerate(topology.bodies):
            body = self._move(rigid)
            body_motion.set_inertia(body, inertia[i])
            self.bodies.append(body)
        self.home = {k: i for i, rigid in enumerate(topology.bodies) for k in rigid.columns}
        self._offsets: dict[tuple[int, int], Exprs] = {}

    def _hold(self) -> None:
        for k in self.topology.fixed:
            self.q[k] = self.topology.spec.coordinates[k].default
            self.u[k] = 0.0

    def _couple(self) -> None:
        for coupler in self.topology.spec.couplers:
            if len(coupler.independent) != 1:
                raise ModelError(
                    f"The coupler '{coupler.name}' has {len(coupler.independent)} independent "
                    "coordinates; one can be compiled. Replace it by a function of the joint."
                )
            k, i = self.column[coupler.dependent], self.column[coupler.independent[0]]
            x = self.graph.symbol(f"coupler/{coupler.name}")
            value, (slope,) = functions.evaluate(coupler.function, [x])
            (curvature,) = derivatives([slope], x)
            value, slope, curvature = substitute([value, slope, curvature], {x: self.q[i]})
            self.constraints[k] = Constraint(i, slope, curvature * self.u[i] * self.u[i])
            self.q[k], self.u[k] = value, slope * self.u[i]

    @property
    def free(self) -> tuple[int, ...]:
        """Columns that move by themselves, along the tree, parents first."""
        held = self.topology.fixed | set(self.constraints)
        return tuple(k for k in self.topology.order if k not in held)

    def _move(self, rigid: RigidBody) -> BodyMotion:
        columns = list(rigid.columns)
        j = motion(
            self.graph,
            rigid.joint,
            rigid.parent_place,
            rigid.child_place,
            self.q[columns],
            self.u[columns],
            self._simbody_bias,
        )
        u = vector(*self.u[columns])
        if rigid.parent < 0:
            rotation = _flat(j.planar_angle) if j.planar_angle is not None else j.rotation
            return BodyMotion(
                rotation,
                j.translation,
                j.translation,
                j.angular,
                j.linear,
                j.angular @ u,
                j.linear @ u,
                j.angular_bias,
                j.linear_bias,
                j.planar_angle,
            )
        parent = self.bodies[rigid.parent]
        angle: Expr | None = None
        if parent.planar_angle is not None and j.planar_angle is not None:
            angle = parent.planar_angle + j.planar_angle
        carried, w = parent.rotation, parent.angular_velocity
        lever = carried @ j.translation
        angular, linear = carried @ j.angular, carried @ j.linear
        turning, sliding = angular @ u, linear @ u
        return BodyMotion(
            _flat(angle) if angle is not None else carried @ j.rotation,
            lever,
            parent.position + lever,
            angular,
            linear,
            w + turning,
            parent.velocity + cross(w, lever) + sliding,
            carried @ j.angular_bias + cross(w, turning),
            cross(w, cross(w, lever)) + 2.0 * cross(w, sliding) + carried @ j.linear_bias,
            angle,
        )

    def at_speeds(self, u: Exprs) -> Mechanics:
        """The same posture with other speeds; what depends on the posture is shared."""
        return Mechanics(
            self.graph, self.topology, self.q, u, self._inertia, self.gravity, self._simbody_bias
        )

    def station(self, frame: Frame, location: Sequence[Expr] = (0.0, 0.0, 0.0)) -> Station:
        """A point given in a frame, as a point of its rigid body."""
        body, place = self.topology.place(frame)
        point = constants(place.rotation) @ vector(*location) + constants(place.translation)
        return Station(body, point)

    def direction(self, body: int, v: Sequence[Expr] | Exprs) -> Exprs:
        """A vector of a body's frame in the ground's axes."""
        return vector(*v) if body < 0 else self.bodies[body].rotation @ vector(*v)

    def rotation(self, frame: Frame) -> Exprs:
        """A frame's axes in the ground's, (3, 3) array."""
        body, place = self.topology.place(frame)
        own = constants(place.rotation)
        return own if body < 0 else self.bodies[body].rotation @ own

    def angular_velocity(self, body: int) -> Exprs:
        """Angular velocity of a body, rad/s."""
        return zeros(3) if body < 0 else self.bodies[body].angular_velocity

    def arm(self, s: Station) -> Exprs:
        """From the body's origin to the station, in the ground's axes; m."""
        return self.direction(s.body, s.location)

    def position(self, s: Station) -> Exprs:
        """Position of a station in the ground, m."""
        found = self.arm(s)
        if s.body >= 0:
            found = self.bodies[s.body].position + found
        return found

    def velocity(self, s: Station, arm: Exprs | None = None) -> Exprs:
        """Velocity of the body's point at a station, m/s."""
        if s.body < 0:
            return zeros(3)
        body = self.bodies[s.body]
        turning = cross(body.angular_velocity, self.arm(s) if arm is None else arm)
        found: Exprs = body.velocity + turning
        return found

    def between(self, body_a: int, body_b: int) -> list[int]:
        """Columns that move one of two bodies but not both, along the tree."""
        a, b = set(self.topology.chain(body_a)), set(self.topology.chain(body_b))
        return [k for i in sorted(a ^ b) for k in self.topology.bodies[i].columns]

    def offset(self, ancestor: int, body: int) -> Exprs:
        """From an ancestor's origin to a body's, m; without their distance to the ground."""
        if ancestor == body:
            return zeros(3)
        key = (ancestor, body)
        if key not in self._offsets:
            parent = self.topology.bodies[body].parent
            self._offsets[key] = self.offset(ancestor, parent) + self.bodies[body].lever
        return self._offsets[key]

    def column_velocity(self, column: int, s: Station) -> Exprs:
        """Velocity of a station per unit speed of one coordinate; zeros if it does not move it."""
        home = self.home[column]
        if home not in self.topology.chain(s.body):
            return zeros(3)
        k = self.topology.bodies[home].columns.index(column)
        carrier = self.bodies[home]
        reach = self.offset(home, s.body) + self.arm(s)
        found: Exprs = carrier.linear_columns[:, k] + cross(carrier.angular_columns[:, k], reach)
        return found

    def mass_matrix(self) -> Matrix:
        """Mass matrix by composite bodies; (row, column) with structural zeros left out."""
        found: Matrix = {}
        rigid = self.topology.bodies
        composite = [(b.inertia, b.moment, b.mass) for b in self.bodies]
        for i in reversed(range(len(rigid))):
            inertia, moment, mass = composite[i]
            body = self.bodies[i]
            for k, column in enumerate(rigid[i].columns):
                hw, hl = body.angular_columns[:, k], body.linear_columns[:, k]
                couple = inertia @ hw + cross(moment, hl)
                force = mass * hl + cross(hw, moment)
                self.spread(found, i, k, column, couple, force)
            if rigid[i].parent >= 0:
                p = rigid[i].parent
                lifted = body_motion.lifted(inertia, moment, mass, body.lever)
                below = composite[p]
                composite[p] = (below[0] + lifted[0], below[1] + lifted[1], below[2] + lifted[2])
        return found

    def spread(
        self,
        matrix: Matrix,
        i: int,
        k: int,
        column: int,
        couple: Exprs,
        force: Exprs,
    ) -> None:
        """Project a wrench at body i, that column k of its joint causes, on the columns below it.

        Adds to both halves of the matrix.
        """
        rigid, body = self.topology.bodies, self.bodies[i]
        for j in range(k + 1):
            value = dot(body.angular_columns[:, j], couple) + dot(body.linear_columns[:, j], force)
            _add(matrix, column, rigid[i].columns[j], value)
        while rigid[i].parent >= 0:
            couple = couple + cross(self.bodies[i].lever, force)
            i = rigid[i].parent
            below = self.bodies[i]
            for j, other in enumerate(rigid[i].columns):
                value = dot(below.angular_columns[:, j], couple)
                value = value + dot(below.linear_columns[:, j], force)
                _add(matrix, column, other, value)

    def accelerations(self, speed_rates: Mapping[int, Expr]) -> list[tuple[Exprs, Exprs]]:
        """Angular acceleration, and acceleration of the origin without gravity, of every body.

        Parameters
        ----------
        speed_rates : by column; zero where a column is left out
        """
        found: list[tuple[Exprs, Exprs]] = []
        for rigid, body in zip(self.topology.bodies, self.bodies):
            angular, linear = body.angular_bias, body.linear_bias
            for k, column in enumerate(rigid.columns):
                rate = speed_rates.get(column, 0.0)
                angular = angular + body.angular_columns[:, k] * rate
                linear = linear + body.linear_columns[:, k] * rate
            if rigid.parent < 0:
                found.append((angular, linear - self.gravity))
            else:
                below, origin = found[rigid.parent]
                found.append((below + angular, origin + cross(below, body.lever) + linear))
        return found

    def inverse_dynamics(
        self, speed_rates: Mapping[int, Expr], forces: Sequence[Exprs], couples: Sequence[Exprs]
    ) -> list[Expr]:
        """Generalised forces that a motion needs beside forces on bodies, one per coordinate.

        The recursive Newton-Euler algorithm. Dependent and locked coordinates are not projected
        on those they follow.

        Parameters
        ----------
        speed_rates : by column; zero where a column is left out
        forces, couples : (3,) per rigid body, at its origin
        """
        wrenches = []
        for i, (body, (angular, linear)) in enumerate(
            zip(self.bodies, self.accelerations(speed_rates))
        ):
            w = body.angular_velocity
            couple = body.inertia @ angular + cross(body.moment, linear)
            couple = couple + cross(w, body.inertia @ w) - couples[i]
            force = body.mass * linear + cross(angular, body.moment)
            force = force + cross(w, cross(w, body.moment)) - forces[i]
            wrenches.append((couple, force))
        needed: list[Expr] = [0.0] * len(self.q)
        for i in reversed(range(len(self.bodies))):
            rigid, body, (couple, force) = self.topology.bodies[i], self.bodies[i], wrenches[i]
            for k, column in enumerate(rigid.columns):
                value = dot(body.angular_columns[:, k], couple)
                value = value + dot(body.linear_columns[:, k], force)
                needed[column] = value
            if rigid.parent >= 0:
                below_couple, below_force = wrenches[rigid.parent]
                wrenches[rigid.parent] = (
                    below_couple + couple + cross(body.lever, force),
                    below_force + force,
                )
        return needed


def _add(matrix: Matrix, i: int, j: int, value: Expr) -> None:
    matrix[i, j] = matrix.get((i, j), 0.0) + value
    if i != j:
        matrix[j, i] = matrix[i, j]


def _flat(angle: Expr) -> Exprs:
    return turn(np.array([0.0, 0.0, 1.0]), angle)
