"""Passive forces on coordinates, as OpenSim has them, as expressions."""

from __future__ import annotations

from osim_exo.compiler.equations.bushing import apply_bushing
from osim_exo.compiler.equations.loads import Loads
from osim_exo.compiler.equations.mechanics import Mechanics
from osim_exo.compiler.spec import (
    Bushing,
    ExpressionForce,
    LimitForce,
    PassiveForce,
    SpringForce,
)
from osim_exo.compiler.symbols import formula
from osim_exo.compiler.symbols.expression import (
    Expr,
    Exprs,
    clip,
    derivatives,
    less,
    select,
    substitute,
    vector,
)
from osim_exo.errors import ModelError


def apply_passive_force(force: PassiveForce, mechanics: Mechanics, loads: Loads) -> Exprs:
    """Add a passive force and its damping to the loads.

    Returns
    -------
    (1,) array
        The generalised force, N m or N; of a bushing the twelve numbers of its record.

    Raises
    ------
    ModelError
        The force acts on a coordinate that the model does not have, or its formula or numbers
        cannot be used; the message names it.
    """
    if isinstance(force, Bushing):
        return apply_bushing(force, mechanics, loads).record
    column = coordinate_column(force.name, force.coordinate, mechanics)
    q, u = mechanics.q[column], mechanics.u[column]
    if isinstance(force, LimitForce):
        value, damping = limit_force(force, q, u)
    elif isinstance(force, SpringForce):
        value, damping = spring_force(force, q, u)
    else:
        value, damping = expression_force(force, mechanics, q, u)
    loads.generalised(column, value)
    loads.coordinate_damping(column, damping)
    return vector(value)


def coordinate_column(owner: str, coordinate: str, mechanics: Mechanics) -> int:
    """Column of a coordinate that a component acts on; a `ModelError` names the component."""
    if coordinate not in mechanics.column:
        raise ModelError(
            f"'{owner}' acts on the coordinate '{coordinate}', which the model does not have. "
            "Remove it, or name one of the model's coordinates."
        )
    return mechanics.column[coordinate]


def limit_force(force: LimitForce, q: Expr, u: Expr) -> tuple[Expr, Expr]:
    """Generalised force and damping of a CoordinateLimitForce.

    Stiffness and damping rise smoothly from zero at a limit to their full value a transition
    beyond it.
    """
    if force.transition <= 0.0:
        raise ModelError(
            f"The limit force '{force.name}' has a transition of {force.transition:g}; it must be "
            "positive."
        )
    above = _smooth_step((q - force.upper_limit) / force.transition)
    below = _smooth_step((force.lower_limit - q) / force.transition)
    damping = force.damping * (above + below)
    value = force.lower_stiffness * below * (force.lower_limit - q)
    value = value - force.upper_stiffness * above * (q - force.upper_limit)
    return value - damping * u, damping


def spring_force(force: SpringForce, q: Expr, u: Expr) -> tuple[Expr, Expr]:
    """Generalised force and damping of a SpringGeneralizedForce."""
    value = -force.stiffness * (q - force.rest) - force.viscosity * u
    return value, max(force.viscosity, 0.0)


def expression_force(
    force: ExpressionForce, mechanics: Mechanics, q: Expr, u: Expr
) -> tuple[Expr, Expr]:
    """Generalised force and damping of an ExpressionBasedCoordinateForce.

    The damping is minus the formula's derivative by qdot, and zero where that is negative.
    """
    position, speed = mechanics.graph.symbol("formula/q"), mechanics.graph.symbol("formula/qdot")
    value = formula.parse(force.expression, {"q": position, "qdot": speed}, force.name)
    (slope,) = derivatives([value], speed)
    try:
        value, slope = substitute([value, slope], {position: q, speed: u})
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ModelError(
            f"The formula of '{force.name}', '{force.expression}', has no value where its "
            f"coordinate '{force.coordinate}' is held ({error}). Unlock it or remove the force."
        ) from error
    # Also where the derivative is NaN, as that of a root at zero, the damping is zero.
    return value, select(less(slope, 0.0), -slope, 0.0)


def _smooth_step(x: Expr) -> Expr:
    """Zero below 0, one above 1, and a polynomial with two continuous derivatives between."""
    t = clip(x, 0.0, 1.0)
    return t * t * t * (10.0 + t * (6.0 * t - 15.0))
