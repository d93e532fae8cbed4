"""A rigid body's motion and inertia as expressions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from osim_exo.compiler.symbols.expression import Expr, Exprs, constants, dot, vector, zeros


@dataclass
class BodyMotion:
    """A rigid body's motion in the ground's axes, and its inertia.

    Attributes
    ----------
    rotation : (3, 3); the body's axes in the ground's
    lever : (3,); from the parent's origin to this one's
    angular_columns, linear_columns : (3, n); velocities per unit speed of its joint
    angular_velocity, velocity : (3,); velocity is that of its origin
    angular_bias, linear_bias : (3,); what its joint adds to the parent's acceleration where all
        speeds' rates are zero
    mass : kg; moment : (3,) mass times mass centre; inertia : (3, 3) about the origin
    planar_angle : angle about z where the body only turns about z
    """

    rotation: Exprs
    lever: Exprs
    position: Exprs
    angular_columns: Exprs
    linear_columns: Exprs
    angular_velocity: Exprs
    velocity: Exprs
    angular_bias: Exprs
    linear_bias: Exprs
    planar_angle: Expr | None
    mass: Expr = 0.0
    moment: Exprs = field(default_factory=lambda: zeros(3))
    inertia: Exprs = field(default_factory=lambda: zeros(3, 3))


def set_inertia(body: BodyMotion, ten: Exprs) -> None:
    """Give a body its inertia in the ground's axes; `ten` as `Topology.inertia` orders it."""
    xx, yy, zz, xy, xz, yz = ten[4:]
    own = np.empty((3, 3), dtype=object)
    for (i, j), value in zip(
        ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)), (xx, yy, zz, xy, xz, yz)
    ):
        own[i, j] = own[j, i] = value
    body.mass = ten[0]
    body.moment = body.rotation @ vector(*ten[1:4])
    body.inertia = _symmetric(body.rotation @ own @ body.rotation.T)


def _symmetric(matrix: Exprs) -> Exprs:
    """The matrix with its lower half replaced by its upper one, so that equal is one node."""
    for i in range(3):
        for j in range(i):
            matrix[i, j] = matrix[j, i]
    return matrix


def lifted(inertia: Exprs, moment: Exprs, mass: Expr, lever: Exprs) -> tuple[Exprs, Exprs, Expr]:
    """Inertia, moment and mass about a point that lies `lever` before the origin."""
    spread = 2.0 * dot(lever, moment) + mass * dot(lever, lever)
    mixed = np.outer(lever, moment)
    about = inertia + constants(np.eye(3)) * spread - mixed - mixed.T
    about = about - mass * np.outer(lever, lever)
    return _symmetric(about), moment + mass * lever, mass
