"""Sparse linear systems along the tree of bodies, unrolled into expressions.

Eliminating from the leaves to the root keeps the zeros of the tree (Featherstone 2008, chapter 6):
two coordinates couple only where one of their bodies carries the other, or a muscle spans both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from osim_exo.compiler.equations.mechanics import Constraint, Matrix
from osim_exo.compiler.symbols.expression import Expr, is_zero


def reduced(
    matrix: Matrix, constraints: Mapping[int, Constraint], free: Sequence[int], n: int
) -> Matrix:
    """G^T A G: the matrix for free columns only, dependent ones carried by those they follow.

    Parameters
    ----------
    matrix : of all n columns
    constraints : by dependent column
    free : columns that remain
    """
    found = dict(matrix)
    for k, constraint in constraints.items():
        i, g = constraint.independent, constraint.slope
        for j in range(n):
            if j not in (k, i):
                _add(found, i, j, g * found.get((k, j), 0.0))
                _add(found, j, i, g * found.get((j, k), 0.0))
        mixed = g * (found.get((k, i), 0.0) + found.get((i, k), 0.0))
        _add(found, i, i, mixed + g * g * found.get((k, k), 0.0))
    kept = set(free)
    return {(i, j): x for (i, j), x in found.items() if i in kept and j in kept and not is_zero(x)}


def reduced_vector(
    values: Sequence[Expr], constraints: Mapping[int, Constraint], free: Sequence[int]
) -> dict[int, Expr]:
    """G^T b: generalised forces on the free columns."""
    found = dict(enumerate(values))
    for k, constraint in constraints.items():
        i = constraint.independent
        found[i] = found[i] + constraint.slope * found[k]
    return {k: found[k] for k in free}


def solve_symmetric(
    matrix: Matrix, right: Mapping[int, Expr], order: Sequence[int]
) -> dict[int, Expr]:
    """Solution of a symmetric positive definite system by L^T D L.

    Parameters
    ----------
    matrix : both halves; only the entries (i, j) with j not after i in `order` are read
    right : right-hand side by column
    order : columns, parents first
    """
    place = {k: p for p, k in enumerate(order)}
    low = {(i, j): x for (i, j), x in matrix.items() if place[j] <= place[i]}
    inverse: dict[int, Expr] = {}
    for k in reversed(order):
        inverse[k] = 1.0 / low[k, k]
        below = [j for j in order[: place[k]] if (k, j) in low]
        scaled = {j: low[k, j] * inverse[k] for j in below}
        for a, i in enumerate(below):
            for j in below[: a + 1]:
                low[i, j] = low.get((i, j), 0.0) - scaled[i] * low[k, j]
        low.update({(k, j): scaled[j] for j in below})
    x = dict(right)
    for k in reversed(order):
        for j in order[: place[k]]:
            if (k, j) in low:
                x[j] = x[j] - low[k, j] * x[k]
    for k in order:
        x[k] = x[k] * inverse[k]
        for j in order[: place[k]]:
            if (k, j) in low:
                x[k] = x[k] - low[k, j] * x[j]
    return x


def solve_general(
    matrix: Matrix, right: Mapping[int, Expr], order: Sequence[int]
) -> dict[int, Expr]:
    """Solution of a system with a symmetric pattern but unsymmetric values, without pivoting."""
    place = {k: p for p, k in enumerate(order)}
    a = dict(matrix)
    x = dict(right)
    for k in reversed(order):
        inverse = 1.0 / a[k, k]
        below = [j for j in order[: place[k]] if (k, j) in a]
        for j in below:
            a[k, j] = a[k, j] * inverse
        x[k] = x[k] * inverse
        for i in order[: place[k]]:
            if (i, k) in a:
                for j in below:
                    a[i, j] = a.get((i, j), 0.0) - a[i, k] * a[k, j]
                x[i] = x[i] - a[i, k] * x[k]
    for k in order:
        for j in order[: place[k]]:
            if (k, j) in a:
                x[k] = x[k] - a[k, j] * x[j]
    return x


def _add(matrix: Matrix, i: int, j: int, value: Expr) -> None:
    if not is_zero(value):
        matrix[i, j] = matrix.get((i, j), 0.0) + value
