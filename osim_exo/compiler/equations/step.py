"""From the equations of motion to rates, and to one step in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from osim_exo.compiler.equations import damping, functions, solver
from osim_exo.compiler.equations.joints import joint_rates
from osim_exo.compiler.equations.loads import Loads
from osim_exo.compiler.equations.mechanics import Matrix, Mechanics
from osim_exo.compiler.equations.topology import Topology
from osim_exo.compiler.symbols.expression import Expr, Exprs, vector

Scheme = Literal["midpoint", "implicit", "exact_damping", "explicit"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
"""How a step is made.

- ``midpoint``: forces half-way through the step, implicit in velocity with a symmetric positive
  damping matrix. Of second order where nothing is damped; stable from 1 to 5 ms through falls.
- ``implicit``: the same with forces at the start of the step, and positions that follow with the
  new speeds. Of first order.
- ``exact_damping``: as ``implicit`` with the exact, unsymmetric damping of contacts. Less stable
  above 1 ms.
- ``explicit``: semi-implicit Euler. Needs steps below 0.3 ms.
"""

MUSCLE_SHARE, FRICTION_SHARE = 0.55, 0.75
"""Shares of a midpoint step's end in the forces of muscles and damped coordinates, and in friction.

One half is of second order and rings, 1 is of first order and does not. The normal force of
contacts, which rings most, has 1.
"""


def speed_rates(mechanics: Mechanics, loads: Loads) -> dict[int, Expr]:
    """Accelerations of all coordinates, by column: the forward dynamics."""
    matrix = mechanics.mass_matrix()
    found = solver.solve_symmetric(
        _reduced(mechanics, matrix), _right(mechanics, loads), mechanics.free
    )
    return with_dependent(mechanics, found)


def with_dependent(mechanics: Mechanics, free: Mapping[int, Expr]) -> dict[int, Expr]:
    """Accelerations of dependent and locked coordinates added to those of the free ones."""
    found = dict(free)
    for k, constraint in mechanics.constraints.items():
        found[k] = constraint.slope * found[constraint.independent] + constraint.bias
    found.update({k: 0.0 for k in mechanics.topology.fixed})
    return found


def end_share(scheme: Scheme) -> float:
    """Share of a step's end in the force of muscles and of damped coordinates."""
    return MUSCLE_SHARE if scheme == "midpoint" else 1.0


def _friction_share(scheme: Scheme) -> float | None:
    """As `damping.add_contacts` wants it."""
    if scheme == "exact_damping":
        return None
    return FRICTION_SHARE if scheme == "midpoint" else 1.0


def speed_changes(mechanics: Mechanics, loads: Loads, h: Expr, scheme: Scheme) -> dict[int, Expr]:
    """Changes of the free speeds in a step of `h` seconds, by column."""
    if scheme == "explicit":
        rates = speed_rates(mechanics, loads)
        return {k: h * rates[k] for k in mechanics.free}
    matrix = mechanics.mass_matrix()
    damping.add_contacts(matrix, mechanics, loads, h, _friction_share(scheme))
    damping.add_muscles(matrix, loads, end_share(scheme) * h)
    damping.add_coordinates(matrix, loads, end_share(scheme) * h)
    solve = solver.solve_general if scheme == "exact_damping" else solver.solve_symmetric
    reduced = _reduced(mechanics, matrix)

    def changed(moving: Mechanics) -> dict[int, Expr]:
        right = {k: h * value for k, value in _right(moving, loads).items()}
        return solve(reduced, right, mechanics.free)

    changes = changed(mechanics)
    if scheme == "midpoint":
        # Inertial forces are quadratic in speed: with the speeds half-way through they keep energy.
        halfway = mechanics.u.copy()
        for k in mechanics.free:
            halfway[k] = halfway[k] + 0.5 * changes[k]
        changes = changed(mechanics.at_speeds(halfway))
    return changes


def coordinate_rates(topology: Topology, q: Exprs, u: Exprs) -> Exprs:
    """Rates of all coordinates for coordinates and speeds."""
    found = u.copy()
    for rigid in topology.bodies:
        columns = list(rigid.columns)
        found[columns] = vector(*joint_rates(rigid.joint, q[columns], u[columns]))
    return found


def advanced(
    mechanics: Mechanics,
    q: Exprs,
    u: Exprs,
    changes: Mapping[int, Expr],
    h: Expr,
    scheme: Scheme,
) -> tuple[Exprs, Exprs]:
    """Coordinates and speeds at the end of a step.

    Parameters
    ----------
    mechanics : at which forces were taken
    q, u : the state at the step's start
    changes : of the free speeds
    """
    topology, new_u = mechanics.topology, u.copy()
    for k in mechanics.free:
        new_u[k] = u[k] + changes[k]
    if scheme == "midpoint":
        # The mirror image of the first half, where rates were those at its start: those at its end.
        end = mechanics.q + 0.5 * h * coordinate_rates(topology, mechanics.q, new_u)
        new_q = mechanics.q + 0.5 * h * coordinate_rates(topology, end, new_u)
    else:
        new_q = q + h * coordinate_rates(topology, q, new_u)
    for k in topology.fixed:
        new_q[k], new_u[k] = mechanics.q[k], 0.0
    for coupler in topology.spec.couplers:
        k = mechanics.column[coupler.dependent]
        i = mechanics.constraints[k].independent
        value, (slope,) = functions.evaluate(coupler.function, [new_q[i]])
        new_q[k], new_u[k] = value, slope * new_u[i]
    return new_q, new_u


def _reduced(mechanics: Mechanics, matrix: Matrix) -> Matrix:
    return solver.reduced(matrix, mechanics.constraints, mechanics.free, len(mechanics.q))


def _right(mechanics: Mechanics, loads: Loads) -> dict[int, Expr]:
    """What accelerates the free coordinates: applied minus inertial forces."""
    bias = {k: constraint.bias for k, constraint in mechanics.constraints.items()}
    needed = mechanics.inverse_dynamics(bias, loads.forces, loads.couples)
    net = [moment - need for moment, need in zip(loads.moments, needed)]
    return solver.reduced_vector(net, mechanics.constraints, mechanics.free)
