"""Expressions: folding, common subexpressions, and derivatives against differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osim_exo.compiler.symbols import expression as ex
from osim_exo.compiler.symbols.program import Program


def test_numbers_fold_and_zeros_vanish():
    graph = ex.Graph()
    x = graph.inputs("x", 1)[0]
    assert ex.exp(0.0) == 1.0
    assert x * 0.0 == 0.0 and x - x == 0.0 and 0.0 / x == 0.0
    assert x + 0.0 is x and x * 1.0 is x and graph.neg(-x) is x
    assert (x * 2.0) * 0.5 is x
    assert ex.select(True, x, 0.0) is x


def test_the_same_operation_is_built_once():
    graph = ex.Graph()
    x, y = graph.inputs("x", 2)
    assert x + y is y + x and x * y is y * x
    assert ex.sin(x) is ex.sin(x)
    assert ex.cos(-x) is ex.cos(x)
    assert (x - y) is not (y - x) and -(x - y) is (y - x)
    assert graph.inputs("x", 2)[1] is y


def test_an_expression_is_no_truth_value():
    x = ex.Graph().inputs("x", 1)[0]
    with pytest.raises(TypeError, match="use select"):
        bool(x)


def test_arrays_of_expressions_multiply_as_matrices():
    graph = ex.Graph()
    a, b = graph.inputs("a", 3), graph.inputs("b", 3)
    outputs = ex.vector(*(ex.skew(a) @ b - ex.cross(a, b)), ex.dot(a, b))
    program = Program.build(graph, {"a": 3, "b": 3}, {"y": outputs})
    u, v = np.random.default_rng(0).normal(size=(2, 20, 3))
    found = program(a=u, b=v)["y"]
    np.testing.assert_allclose(found[:, :3], 0.0, atol=1e-15)
    np.testing.assert_allclose(found[:, 3], (u * v).sum(axis=1), rtol=1e-13)


FUNCTIONS = {
    "sin": lambda x: ex.sin(x) * 2.0,
    "cos": lambda x: ex.cos(x * 3.0),
    "exp": lambda x: ex.exp(-x * x),
    "log": lambda x: ex.log(x * x + 1.0),
    "sqrt": lambda x: ex.sqrt(x * x + 0.5),
    "tanh": lambda x: ex.tanh(x - 0.2),
    "abs": lambda x: ex.absolute(x),
    "div": lambda x: (1.0 + x) / (3.0 + x * x),
    "min": lambda x: ex.minimum(x * x, 0.3),
    "max": lambda x: ex.maximum(0.3, x),
    "select": lambda x: ex.select(ex.less(x, 0.1), x * x, 3.0 - x),
    "neg": lambda x: -ex.sin(x) - x,
}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(sorted(FUNCTIONS)), min_size=1, max_size=5), st.integers(0, 999))
def test_derivatives_equal_differences(names, seed):
    graph = ex.Graph()
    x, y = graph.inputs("x", 2)
    value = x
    for name in names:
        value = FUNCTIONS[name](value) + 0.25 * y
    slopes = [ex.derivatives([value], v)[0] for v in (x, y)]
    program = Program.build(graph, {"x": 2}, {"f": [value], "d": slopes})
    at = np.random.default_rng(seed).uniform(-1.5, 1.5, (40, 2))
    h = 1e-6
    step = h * np.eye(2)
    found = program(x=at)["d"]
    for k in range(2):
        up, down = program(x=at + step[k])["f"][:, 0], program(x=at - step[k])["f"][:, 0]
        numeric = (up - down) / (2.0 * h)
        close = np.isclose(found[:, k], numeric, rtol=1e-4, atol=1e-6)
        # A corner within h of the point spoils the difference, not the derivative.
        assert close.mean() > 0.9


def test_substitute_replaces_a_symbol_everywhere():
    graph = ex.Graph()
    x = graph.inputs("x", 1)[0]
    s = graph.symbol("s")
    value = ex.sin(s) * s + ex.maximum(s, x)
    slope = ex.derivatives([value], s)[0]
    both = ex.substitute([value, slope], {s: x * 2.0})
    program = Program.build(graph, {"x": 1}, {"y": both})
    at = np.array([[0.7], [-0.3]])
    t = 2.0 * at[:, 0]
    expected = np.sin(t) * t + np.maximum(t, at[:, 0])
    np.testing.assert_allclose(program(x=at)["y"][:, 0], expected, rtol=1e-14)
    assert ex.substitute([value], {s: 0.5})[0].graph is graph
