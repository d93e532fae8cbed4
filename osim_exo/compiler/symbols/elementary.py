"""Functions that are no operation of a program, built from those that are."""

from __future__ import annotations

from osim_exo.compiler.symbols.expression import Expr, Node, exp, less, log, select, sqrt

HALVINGS = 3
"""Halvings of the angle's quarter tangent; leaves angles below pi/16."""

SERIES_TERMS = 13
"""Terms of the arctangent's series, enough for double precision below tan(pi/16)."""


def arctangent(y: Expr, x: Expr) -> Expr:
    """Angle of the point (x, y) against the x axis, -pi to pi (``atan2``).

    The angle is halved until the power series of its tangent converges fast. NaN at the origin and
    on the negative x axis.
    """
    radius = sqrt(x * x + y * y)
    # Tangent of half the angle, in the form that does not cancel.
    tangent = select(less(x, 0.0), _quotient(radius - x, y), _quotient(y, radius + x))
    for _ in range(HALVINGS):
        tangent = tangent / (1.0 + sqrt(1.0 + tangent * tangent))
    square = tangent * tangent
    series: Expr = 0.0
    for k in range(SERIES_TERMS - 1, -1, -1):
        series = series * square + (-1.0) ** k / (2 * k + 1)
    return 2.0 ** (HALVINGS + 1) * (tangent * series)


def _quotient(a: Expr, b: Expr) -> Expr:
    if isinstance(b, Node) or float(b) != 0.0:
        return a / b
    return float("nan")


def hyperbolic_sine(x: Expr) -> Expr:
    """sinh(x)."""
    return 0.5 * (exp(x) - exp(-x))


def hyperbolic_cosine(x: Expr) -> Expr:
    """cosh(x)."""
    return 0.5 * (exp(x) + exp(-x))


def power(base: Expr, exponent: Expr) -> Expr:
    """Base to the power of an exponent.

    Whole and half exponents by multiplication and square root; any other exponent, and one that is
    no number, by the logarithm, so that a negative base then gives NaN.
    """
    if isinstance(exponent, Node):
        return exp(exponent * log(base))
    number = float(exponent)
    if not isinstance(base, Node):
        return float(base) ** number
    if number < 0.0:
        return 1.0 / power(base, -number)
    if number == int(number) and number <= 64:
        return _whole_power(base, int(number))
    if 2.0 * number == int(2.0 * number) and number <= 64:
        return _whole_power(base, int(number)) * sqrt(base)
    return exp(number * log(base))


def _whole_power(base: Expr, exponent: int) -> Expr:
    value: Expr = 1.0
    while exponent:
        if exponent & 1:
            value = value * base
        exponent >>= 1
        if exponent:
            base = base * base
    return value
