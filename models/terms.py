"""The terms of a polynomial of several variables, in OpenSim's order."""

from __future__ import annotations

import itertools


def exponents(dimension: int, order: int) -> list[tuple[int, ...]]:
    """Exponents of every term, last variable running fastest.

    The order of the coefficients of OpenSim's MultivariatePolynomialFunction.
    """
    terms = itertools.product(range(order + 1), repeat=dimension)
    return [t for t in terms if sum(t) <= order]
