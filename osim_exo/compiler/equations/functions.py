"""OpenSim's functions of coordinates as expressions: value and partial derivatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from osim_exo.compiler.spec import (
    Constant,
    Function,
    Linear,
    Multiplier,
    MultivariatePolynomial,
    PiecewiseCubic,
    PiecewiseLinear,
    Polynomial,
)
from osim_exo.compiler.symbols.expression import (
    Expr,
    clip,
    less,
    maximum,
    minimum,
    select,
)
from osim_exo.errors import ModelError
from osim_exo.models.terms import exponents

CUBIC_TOLERANCE = 1e-12
"""Largest error, relative to the spline's size, of its truncated-power form."""

Table = Mapping[tuple[int, ...], float]


def evaluate(function: Function, x: Sequence[Expr]) -> tuple[Expr, list[Expr]]:
    """Value and partial derivatives of a function.

    Parameters
    ----------
    function : of the model's spec
    x : its arguments

    Returns
    -------
    value, partials
        One partial derivative per argument.
    """
    if isinstance(function, Constant):
        return function.value, [0.0] * len(x)
    if isinstance(function, Linear):
        _require(function.kind, len(function.slopes), x)
        value: Expr = function.intercept
        for slope, argument in zip(function.slopes, x):
            value = value + slope * argument
        return value, list(function.slopes)
    if isinstance(function, Multiplier):
        value, partials = evaluate(function.function, x)
        return function.scale * value, [function.scale * p for p in partials]
    if isinstance(function, MultivariatePolynomial):
        _require(function.kind, function.dimension, x)
        return _multivariate(function, x)
    _require(function.kind, 1, x)
    if isinstance(function, Polynomial):
        return _polynomial(function, x[0])
    if isinstance(function, PiecewiseLinear):
        return _piecewise_linear(function, x[0])
    return _piecewise_cubic(function, x[0])


def _require(kind: str, dimension: int, x: Sequence[Expr]) -> None:
    if len(x) != dimension:
        raise ModelError(
            f"A {kind} function of {dimension} arguments was given {len(x)}. Correct the function "
            "in the model."
        )


def _polynomial(function: Polynomial, x: Expr) -> tuple[Expr, list[Expr]]:
    value: Expr = function.coefficients[0]
    slope: Expr = 0.0
    for coefficient in function.coefficients[1:]:
        slope = slope * x + value
        value = value * x + coefficient
    return value, [slope]


def _piecewise_linear(function: PiecewiseLinear, x: Expr) -> tuple[Expr, list[Expr]]:
    knots, values = np.array(function.knots), np.array(function.values)
    slopes = np.diff(values) / np.diff(knots)
    value: Expr = values[0] + slopes[0] * (x - knots[0])
    slope: Expr = float(slopes[0])
    for i in range(1, len(slopes)):
        before = less(x, knots[i])
        value = select(before, value, values[i] + slopes[i] * (x - knots[i]))
        slope = select(before, slope, float(slopes[i]))
    return value, [slope]


def _piecewise_cubic(function: PiecewiseCubic, x: Expr) -> tuple[Expr, list[Expr]]:
    first, last = function.knots[0], function.knots[-1]
    inside = clip(x, first, last)
    powers = _truncated_powers(function)
    if powers is None:
        value, slope = _chosen_cubic(function, inside)
    else:
        value, slope = powers.evaluate(inside)
    value = value + function.slope_right * maximum(x - last, 0.0)
    value = value + function.slope_left * minimum(x - first, 0.0)
    return value, [slope]


class _TruncatedPowers:
    """A spline as one cubic about its middle knot plus d max(0, x - knot)^3 for every other knot.

    Exact for a spline whose second derivative is continuous, and cheaper than choosing among all
    intervals; de Boor 1978, chapter 8.
    """

    def __init__(self, function: PiecewiseCubic) -> None:
        knots, cubics = function.knots, function.coefficients
        middle = (len(knots) - 1) // 2
        self.origin, self.cubic = knots[middle], cubics[middle]
        self.right = [
            (knots[i], cubics[i][3] - cubics[i - 1][3]) for i in range(middle + 1, len(cubics))
        ]
        self.left = [(knots[i], cubics[i - 1][3] - cubics[i][3]) for i in range(middle, 0, -1)]

    def evaluate(self, x: Expr) -> tuple[Expr, Expr]:
        t = x - self.origin
        c0, c1, c2, c3 = self.cubic
        value = c0 + t * (c1 + t * (c2 + t * c3))
        slope = c1 + t * (2.0 * c2 + 3.0 * c3 * t)
        for pieces, bound in ((self.right, maximum), (self.left, minimum)):
            for knot, jump in pieces:
                if jump != 0.0:
                    beyond = bound(x - knot, 0.0)
                    value = value + jump * (beyond * beyond * beyond)
                    slope = slope + 3.0 * jump * (beyond * beyond)
        return value, slope


def _truncated_powers(function: PiecewiseCubic) -> _TruncatedPowers | None:
    """The truncated-power form, or None where it does not reproduce the spline."""
    form = _TruncatedPowers(function)
    size = max(abs(c) for cubic in function.coefficients for c in cubic[:1]) + 1e-3
    for i, (c0, c1, c2, c3) in enumerate(function.coefficients):
        width = function.knots[i + 1] - function.knots[i]
        for share in (0.0, 0.1, 0.5, 0.9, 1.0):
            t = share * width
            value, slope = form.evaluate(function.knots[i] + t)
            error = abs(value - (c0 + t * (c1 + t * (c2 + t * c3))))
            slope_error = width * abs(slope - (c1 + t * (2 * c2 + 3 * c3 * t)))
            if max(error, slope_error) > CUBIC_TOLERANCE * size:
                return None
    return form


def _chosen_cubic(function: PiecewiseCubic, x: Expr) -> tuple[Expr, Expr]:
    origin: Expr = function.knots[0]
    chosen: list[Expr] = list(function.coefficients[0])
    for knot, cubic in zip(function.knots[1:], function.coefficients[1:]):
        before = less(x, knot)
        origin = select(before, origin, knot)
        chosen = [select(before, old, new) for old, new in zip(chosen, cubic)]
    t = x - origin
    c0, c1, c2, c3 = chosen
    return c0 + t * (c1 + t * (c2 + t * c3)), c1 + t * (2.0 * c2 + 3.0 * c3 * t)


def _multivariate(function: MultivariatePolynomial, x: Sequence[Expr]) -> tuple[Expr, list[Expr]]:
    terms = exponents(function.dimension, function.order)
    if len(terms) != len(function.coefficients):
        raise ModelError(
            f"A polynomial of {function.dimension} variables and order {function.order} needs "
            f"{len(terms)} coefficients, not {len(function.coefficients)}. Correct the function "
            "in the model."
        )
    table = {t: c for t, c in zip(terms, function.coefficients) if c != 0.0}
    partials = [_horner(_partial(table, i), x) for i in range(function.dimension)]
    return _horner(table, x), partials


def _partial(table: Table, variable: int) -> Table:
    found = {}
    for term, coefficient in table.items():
        if term[variable] > 0:
            lower = list(term)
            lower[variable] -= 1
            found[tuple(lower)] = coefficient * term[variable]
    return found


def _horner(table: Table, x: Sequence[Expr]) -> Expr:
    """Nested Horner form, first variable outermost."""
    if not table:
        return 0.0
    if not x:
        return table[()]
    by_power: dict[int, dict[tuple[int, ...], float]] = {}
    for term, coefficient in table.items():
        by_power.setdefault(term[0], {})[term[1:]] = coefficient
    value: Expr = 0.0
    for power in range(max(by_power), -1, -1):
        value = value * x[0] + _horner(by_power.get(power, {}), x[1:])
    return value
