"""From the equations of motion to rates, and to one step in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from osim_exo.compiler.equations import damping, functions, solver
from osim_exo.compiler.equations.loads import Loads
from osim_exo.compiler.equations.mechanics import Matrix, Mechanics
from osim_exo.compiler.symbols.expression import Expr, Exprs

Scheme = Literal["implicit", "exact_damping", "explicit"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
"""How speeds advance; positions follow with the new speeds in all of them.

- ``implicit``: implicit in velocity with a symmetric positive damping matrix. Stable from 1 to 5 ms
  through falls.
- ``exact_damping``: the same with the exact, unsymmetric damping of contacts. More accurate at
  1 ms and below, less stable above.
- ``explicit``: semi-implicit Euler. Needs steps below 0.3 ms.
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


def speed_changes(mechanics: Mechanics, loads: Loads, h: Expr, scheme: Scheme) -> dict[int, Expr]:
    """Changes of the free speeds in a step of `h` seconds, by column."""
    if scheme == "explicit":
        rates = speed_rates(mechanics, loads)
        return {k: h * rates[k] for k in mechanics.free}
    matrix = mechanics.mass_matrix()
    form = damping.secant if scheme == "implicit" else damping.exact
    damping.add_contacts(matrix, mechanics, loads, h, form)
    damping.add_muscles(matrix, loads, h)
    damping.add_coordinates(matrix, loads, h)
    solve = solver.solve_symmetric if scheme == "implicit" else solver.solve_general
    right = {k: h * value for k, value in _right(mechanics, loads).items()}
    return solve(_reduced(mechanics, matrix), right, mechanics.free)


def advanced(
    mechanics: Mechanics, q: Exprs, u: Exprs, changes: Mapping[int, Expr], h: Expr
) -> tuple[Exprs, Exprs]:
    """Coordinates and speeds at the end of a step.

    Parameters
    ----------
    q, u : the state at its start
    changes : of the free speeds
    """
    new_q, new_u = q.copy(), u.copy()
    for k in mechanics.free:
        new_u[k] = u[k] + changes[k]
    rates = mechanics.rates_at(new_u)
    for k in mechanics.free:
        new_q[k] = q[k] + h * rates[k]
    for k in mechanics.topology.fixed:
        new_q[k], new_u[k] = mechanics.q[k], 0.0
    for coupler in mechanics.topology.spec.couplers:
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
