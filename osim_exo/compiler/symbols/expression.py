"""Expressions as a graph in which equal operations are one node.

A model is built by ordinary arithmetic on `Node` objects, also inside numpy object arrays, with
numbers folded at once. Structural zeros vanish as they are met, and an operation that was built
before is returned, not built again (common subexpressions). `program` turns the graph into a
straight-line program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.symbols.graph import (
    BINARY,
    CONDITIONS,
    UNARY,
    Expr,
    Exprs,
    Graph,
    Node,
)

__all__ = [
    "CONDITIONS",
    "Expr",
    "Exprs",
    "Graph",
    "Node",
    "absolute",
    "both",
    "clip",
    "constants",
    "cos",
    "cross",
    "derivatives",
    "dot",
    "exp",
    "is_zero",
    "less",
    "less_equal",
    "log",
    "maximum",
    "minimum",
    "negated",
    "select",
    "sin",
    "skew",
    "sqrt",
    "square",
    "substitute",
    "tanh",
    "vector",
    "zeros",
]

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "eq": lambda x, y: x == y,
}


def _graph(*values: Expr) -> Graph | None:
    return next((v.graph for v in values if isinstance(v, Node)), None)


def _unary(op: str) -> Callable[[Expr], Expr]:
    def function(x: Expr) -> Expr:
        graph = _graph(x)
        return UNARY[op](float(x)) if graph is None else graph.unary(op, x)

    function.__name__ = op
    function.__doc__ = f"{op}(x) of an expression or a number."
    return function


absolute, sqrt, exp, log = _unary("abs"), _unary("sqrt"), _unary("exp"), _unary("log")
sin, cos, tanh = _unary("sin"), _unary("cos"), _unary("tanh")


def minimum(x: Expr, y: Expr) -> Expr:
    """The smaller of two; NaN where x is NaN, x where only y is."""
    graph = _graph(x, y)
    return min(float(x), float(y)) if graph is None else graph.binary("min", x, y)


def maximum(x: Expr, y: Expr) -> Expr:
    """The larger of two; NaN where x is NaN, x where only y is."""
    graph = _graph(x, y)
    return max(float(x), float(y)) if graph is None else graph.binary("max", x, y)


def clip(x: Expr, low: Expr, high: Expr) -> Expr:
    """X within low and high."""
    return minimum(maximum(x, low), high)


def less(x: Expr, y: Expr) -> Any:
    """Condition x < y; a bool for two numbers."""
    graph = _graph(x, y)
    return bool(x < y) if graph is None else graph.condition("lt", x, y)


def less_equal(x: Expr, y: Expr) -> Any:
    """Condition x <= y; a bool for two numbers."""
    graph = _graph(x, y)
    return bool(x <= y) if graph is None else graph.condition("le", x, y)


def both(x: Any, y: Any) -> Any:
    """Whether two conditions hold."""
    if isinstance(x, bool):
        return y if x else False
    if isinstance(y, bool):
        return x if y else False
    return x.graph.condition("and", x, y)


def negated(x: Any) -> Any:
    """Whether a condition does not hold."""
    return (not x) if isinstance(x, bool) else x.graph.condition("not", x)


def select(condition: Any, x: Expr, y: Expr) -> Expr:
    """X where the condition holds, y elsewhere."""
    if isinstance(condition, (bool, np.bool_)):
        return x if condition else y
    return condition.graph.select(condition, x, y)


def square(x: Expr) -> Expr:
    """X * x."""
    return x * x


def is_zero(x: Expr) -> bool:
    """Whether an expression is the number zero: what structure leaves out."""
    return not isinstance(x, Node) and float(x) == 0.0


def _rebuild(graph: Graph, node: Node, args: Sequence[Expr]) -> Expr:
    if node.op in UNARY:
        return graph.neg(args[0]) if node.op == "neg" else graph.unary(node.op, args[0])
    if node.op in BINARY:
        if _graph(*args) is None:
            return BINARY[node.op](*args)
        return graph.binary(node.op, *args)
    if node.op == "select":
        return select(args[0], args[1], args[2])
    if node.op in _COMPARE and _graph(*args) is None:
        return _COMPARE[node.op](*args)
    if node.op == "and":
        return both(args[0], args[1])
    if node.op == "not":
        return negated(args[0])
    return graph.condition(node.op, *args)


def substitute(outputs: Iterable[Expr], replace: Mapping[Node, Expr]) -> list[Expr]:
    """Expressions with some of their nodes replaced by others."""
    outputs = list(outputs)
    if _graph(*outputs) is None:
        return outputs
    first = min((n.index for n in replace), default=0)
    done: dict[int, Expr] = {node.index: value for node, value in replace.items()}

    def value(root: Expr) -> Expr:
        if not isinstance(root, Node):
            return root
        graph = root.graph
        stack = [root.index]
        while stack:
            index = stack[-1]
            if index in done:
                stack.pop()
                continue
            node = graph.nodes[index]
            if index < first or not node.args:
                done[index] = node.value if node.op == "const" else node
                stack.pop()
                continue
            waiting = [a for a in node.args if a not in done]
            if waiting:
                stack.extend(waiting)
                continue
            args = [done[a] for a in node.args]
            same = all(isinstance(a, Node) and a.index == i for a, i in zip(args, node.args))
            done[index] = node if same else _rebuild(graph, node, args)
            stack.pop()
        return done[root.index]

    return [value(x) for x in outputs]


def derivatives(outputs: Sequence[Expr], variable: Node) -> list[Expr]:
    """Partial derivatives of expressions by one node, everything else held.

    Forward mode over the nodes between the variable and the outputs. A ``min``, ``max``, ``abs``
    or ``select`` has the derivative of the branch that is taken. The variable should be an input
    or a `Graph.symbol`: simplification may have gone around an inner node.
    """
    graph = variable.graph
    known: dict[int, Expr] = {variable.index: 1.0}

    def derivative(root: Expr) -> Expr:
        if not isinstance(root, Node):
            return 0.0
        stack = [root.index]
        while stack:
            index = stack[-1]
            if index in known:
                stack.pop()
                continue
            node = graph.nodes[index]
            if index < variable.index or not node.args or node.op in CONDITIONS:
                known[index] = 0.0
                stack.pop()
                continue
            waiting = [a for a in node.args if a not in known]
            if waiting:
                stack.extend(waiting)
                continue
            known[index] = _chain(graph, node, [known[a] for a in node.args])
            stack.pop()
        return known[root.index]

    return [derivative(x) for x in outputs]


def _chain(graph: Graph, node: Node, rates: list[Expr]) -> Expr:
    """Derivative of one operation from those of its arguments."""
    if all(is_zero(r) for r in rates):
        return 0.0
    args = [graph.nodes[a] for a in node.args]
    values = [a.value if a.op == "const" else a for a in args]
    x, dx = values[0], rates[0]
    if node.op == "add":
        return dx + rates[1]
    if node.op == "sub":
        return dx - rates[1]
    if node.op == "mul":
        return dx * values[1] + x * rates[1]
    if node.op == "div":
        return (dx - node * rates[1]) / values[1]
    if node.op == "select":
        return select(args[0], rates[1], rates[2])
    if node.op in ("min", "max"):
        # Where both are equal the variable counts, not the bound that it has just reached.
        compare = less if args[0].op == "const" else less_equal
        first = compare(x, values[1]) if node.op == "min" else compare(values[1], x)
        return select(first, dx, rates[1])
    slopes: dict[str, Callable[[], Expr]] = {
        "neg": lambda: -1.0,
        "abs": lambda: select(less(x, 0.0), -1.0, 1.0),
        "sqrt": lambda: 0.5 / node,
        "exp": lambda: node,
        "log": lambda: 1.0 / x,
        "sin": lambda: cos(x),
        "cos": lambda: -sin(x),
        "tanh": lambda: 1.0 - node * node,
    }
    return slopes[node.op]() * dx


def vector(*components: Expr) -> Exprs:
    """Array of expressions."""
    found = np.empty(len(components), dtype=object)
    found[:] = components
    return found


def constants(values: npt.ArrayLike) -> Exprs:
    """Array of numbers as an array of expressions."""
    return np.asarray(values, dtype=float).astype(object)


def zeros(*shape: int) -> Exprs:
    """Array of zeros."""
    return constants(np.zeros(shape))


def dot(a: Exprs, b: Exprs) -> Expr:
    """Inner product."""
    total: Expr = 0.0
    for x, y in zip(a, b, strict=True):
        total = total + x * y
    return total


def cross(a: Exprs, b: Exprs) -> Exprs:
    """Vector product of two 3-vectors."""
    return vector(a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def skew(a: Exprs) -> Exprs:
    """Matrix of a vector product: ``skew(a) @ b == cross(a, b)``, (3, 3) array."""
    x, y, z = a
    rows = [[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]
    found = np.empty((3, 3), dtype=object)
    for i in range(3):
        for j in range(3):
            found[i, j] = rows[i][j]
    return found
