"""How forces damp the motion, as a matrix: what makes a step of milliseconds stable.

One step solves (M + h D) du = -h c, with D the derivative of the applied forces by the speeds
(linearly implicit in velocity). Muscles give moment arm times damping times moment arm; a contact
gives a 3 x 3 damping at its point, which is lifted down the tree like an inertia.
"""

from __future__ import annotations

import numpy as np

from osim_exo.compiler.equations.loads import ContactDamping, Loads
from osim_exo.compiler.equations.mechanics import Matrix, Mechanics
from osim_exo.compiler.symbols.expression import Expr, Exprs, constants, cross, dot, skew, vector


def add_muscles(matrix: Matrix, loads: Loads, h: Expr) -> None:
    """Add h * damping * gradient gradient^T of every muscle, in place."""
    for muscle in loads.muscles:
        gradient = sorted(muscle.gradient.items())
        scaled = h * muscle.damping
        for a, (i, gi) in enumerate(gradient):
            weight = scaled * gi
            for j, gj in gradient[: a + 1]:
                value = weight * gj
                # Each half by itself: exact damping of contacts has made them different.
                for place in {(i, j), (j, i)}:
                    matrix[place] = matrix.get(place, 0.0) + value


def add_coordinates(matrix: Matrix, loads: Loads, h: Expr) -> None:
    """Add the damping of coordinates by themselves, in place."""
    for k, damping in loads.coordinates.items():
        matrix[k, k] = matrix.get((k, k), 0.0) + h * damping


def secant(contact: ContactDamping, friction: float) -> Exprs:
    """Symmetric positive damping of a contact: clipped normal slope, secant friction; (3, 3).

    The exact derivative is not symmetric, and its symmetric part is indefinite in sliding, because
    friction grows with the normal force.

    Parameters
    ----------
    friction : share of the secant that counts
    """
    normal = np.outer(contact.normal, contact.normal)
    across = np.eye(3) - normal
    found: Exprs = constants(normal) * contact.normal_damping
    return np.asarray(found + constants(across) * (friction * contact.tangential_damping))


def exact(contact: ContactDamping) -> Exprs:
    """Derivative of minus the contact force by the velocity of its point, (3, 3)."""
    return contact.jacobian


def add_contacts(
    matrix: Matrix,
    mechanics: Mechanics,
    loads: Loads,
    h: Expr,
    friction: float | None,
) -> None:
    """Add h times the damping of all contacts, in place.

    Parameters
    ----------
    matrix : mass matrix; both halves are written
    friction : see `secant`; None: `exact`
    """
    symmetric = friction is not None
    at: dict[int, Exprs] = {}
    for contact in loads.contacts:
        damping = exact(contact) if friction is None else secant(contact, friction)
        block = _spatial(contact, h * damping, symmetric)
        home = contact.station.body
        at[home] = at[home] + block if home in at else block
    for i in reversed(range(len(mechanics.bodies))):
        if i not in at:
            continue
        block, body, rigid = at[i], mechanics.bodies[i], mechanics.topology.bodies[i]
        for k, column in enumerate(rigid.columns):
            unit = vector(*body.angular_columns[:, k], *body.linear_columns[:, k])
            wrench = block @ unit
            if symmetric:
                mechanics.spread(matrix, i, k, column, wrench[:3], wrench[3:])
            else:
                _spread_exact(matrix, mechanics, i, k, wrench, block.T @ unit)
        if rigid.parent >= 0:
            lifted = _lifted(block, body.lever, symmetric)
            p = rigid.parent
            at[p] = at[p] + lifted if p in at else lifted


def _spatial(contact: ContactDamping, damping: Exprs, symmetric: bool) -> Exprs:
    """The damping of a point as that of its body's origin, (6, 6): rotations first."""
    point = np.empty((6, 6), dtype=object)
    point[...] = 0.0
    point[3:, 3:] = damping
    return _lifted(point, contact.arm, symmetric)


def _lifted(block: Exprs, lever: Exprs, symmetric: bool) -> Exprs:
    """A spatial damping about a point that lies `lever` before its own, (6, 6)."""
    x = skew(lever)
    found = np.empty((6, 6), dtype=object)
    found[3:, 3:] = block[3:, 3:]
    found[:3, 3:] = block[:3, 3:] + x @ block[3:, 3:]
    if symmetric:
        found[3:, :3] = found[:3, 3:].T
    else:
        found[3:, :3] = block[3:, :3] + block[3:, 3:] @ x.T
    found[:3, :3] = block[:3, :3] + block[:3, 3:] @ x.T + x @ found[3:, :3]
    if symmetric:
        for i in range(6):
            for j in range(i):
                found[i, j] = found[j, i]
    return found


def _spread_exact(
    matrix: Matrix, mechanics: Mechanics, i: int, k: int, column: Exprs, row: Exprs
) -> None:
    """Project both wrenches of column k of body i: the block's column and its row."""
    rigid, body = mechanics.topology.bodies, mechanics.bodies[i]
    own = rigid[i].columns[k]

    def add(a: int, b: int, value: Expr) -> None:
        matrix[a, b] = matrix.get((a, b), 0.0) + value

    for j, other in enumerate(rigid[i].columns):
        unit = vector(*body.angular_columns[:, j], *body.linear_columns[:, j])
        add(other, own, dot(unit, column))
    while rigid[i].parent >= 0:
        lever = mechanics.bodies[i].lever
        column, row = (vector(*(w[:3] + cross(lever, w[3:])), *w[3:]) for w in (column, row))
        i = rigid[i].parent
        below = mechanics.bodies[i]
        for j, other in enumerate(rigid[i].columns):
            unit = vector(*below.angular_columns[:, j], *below.linear_columns[:, j])
            add(other, own, dot(unit, column))
            add(own, other, dot(unit, row))
