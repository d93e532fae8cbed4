"""Unrolled solvers against numpy's on matrices with a tree's zeros."""

import numpy as np
import pytest

from osim_exo.compiler.equations import solver
from osim_exo.compiler.equations.mechanics import Constraint
from osim_exo.compiler.symbols.expression import Graph
from osim_exo.compiler.symbols.program import Program

PARENTS = [None, 0, 1, 0, 3, 1, 5]


def ancestors(k):
    found = [k]
    while PARENTS[found[-1]] is not None:
        found.append(PARENTS[found[-1]])
    return set(found)


def tree_matrix(rng, symmetric=True):
    """A well-conditioned matrix with entries only where one column carries the other."""
    n = len(PARENTS)
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if j in ancestors(i) or i in ancestors(j):
                found[i, j] = rng.normal()
    if symmetric:
        found = found + found.T
    return found + 2.0 * n * np.eye(n)


@pytest.mark.parametrize("order", [[0, 1, 3, 4, 2, 5, 6], [0, 3, 4, 1, 5, 6, 2]])
@pytest.mark.parametrize("symmetric", [True, False])
def test_solution_is_numpys_and_the_zeros_stay(symmetric, order):
    rng = np.random.default_rng(3)
    numbers, right = tree_matrix(rng, symmetric), rng.normal(size=len(PARENTS))
    graph = Graph()
    n = len(PARENTS)
    places = [(i, j) for i in range(n) for j in range(n) if numbers[i, j] != 0.0]
    entries = dict(zip(places, graph.inputs("a", len(places))))
    if symmetric:
        for i, j in places:
            entries[i, j] = entries[max(i, j), min(i, j)]
    b = graph.inputs("b", n)
    solve = solver.solve_symmetric if symmetric else solver.solve_general
    x = solve(entries, dict(enumerate(b)), order)
    program = Program.build(graph, {"a": len(places), "b": n}, {"x": [x[k] for k in range(n)]})
    found = program(a=[[numbers[p] for p in places]], b=[right])["x"][0]
    np.testing.assert_allclose(found, np.linalg.solve(numbers, right), rtol=1e-12)
    divisions = sum(i.op == "div" for i in program.code)
    assert divisions == n


def test_reduction_is_that_of_the_dense_projection():
    rng = np.random.default_rng(4)
    dense = rng.normal(size=(4, 4))
    dense = dense @ dense.T
    matrix = {(i, j): float(dense[i, j]) for i in range(4) for j in range(4)}
    constraints = {2: Constraint(independent=0, slope=0.7, bias=0.0)}
    free = (0, 1, 3)
    projection = np.zeros((4, 3))
    projection[0, 0] = projection[1, 1] = projection[3, 2] = 1.0
    projection[2, 0] = 0.7
    reduced = solver.reduced(matrix, constraints, free, 4)
    found = np.array([[reduced[i, j] for j in free] for i in free])
    np.testing.assert_allclose(found, projection.T @ dense @ projection, rtol=1e-13)
    forces = rng.normal(size=4)
    vector = solver.reduced_vector(list(forces), constraints, free)
    np.testing.assert_allclose([vector[k] for k in free], projection.T @ forces, rtol=1e-13)
