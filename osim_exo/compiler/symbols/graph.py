"""The graph behind expressions: every operation held once, simplified as it is made."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Expr = Any
"""A `Node` or a number; both take part in the same arithmetic."""

Exprs = npt.NDArray[np.object_]
"""Array of expressions."""

COMMUTATIVE = frozenset({"add", "mul", "eq", "and", "or"})
"""Operations whose arguments may be swapped; ``min`` and ``max`` treat a NaN by its place."""

CONDITIONS = frozenset({"lt", "le", "eq", "and", "or", "not"})
"""Operations whose value is true or false; only `select` and each other take them."""

UNARY: dict[str, Callable[[float], float]] = {
    "neg": lambda x: -x,
    "abs": abs,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
}
BINARY: dict[str, Callable[[float, float], float]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "min": min,
    "max": max,
}
"""Operations on numbers, for those that are known while a model is built."""


class Node:
    """One operation of a graph; made by arithmetic or by the functions of this module.

    Attributes
    ----------
    graph : the graph it belongs to
    index : position in the graph; arguments come before the nodes that use them
    op : ``input``, ``const``, or an operation, as ``add``
    args : indices of the arguments
    value : of a constant its number, of an input its (group, position)
    """

    __slots__ = ("args", "graph", "index", "op", "value")

    def __init__(
        self, graph: Graph, index: int, op: str, args: tuple[int, ...], value: Any = None
    ) -> None:
        self.graph, self.index, self.op, self.args, self.value = graph, index, op, args, value

    def __add__(self, other: Any) -> Any:
        return _arithmetic(self.graph.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return _arithmetic(self.graph.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return _arithmetic(self.graph.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _arithmetic(self.graph.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return _arithmetic(self.graph.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _arithmetic(self.graph.mul, other, self)

    def __truediv__(self, other: Any) -> Any:
        return _arithmetic(self.graph.div, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _arithmetic(self.graph.div, other, self)

    def __neg__(self) -> Expr:
        return self.graph.neg(self)

    def __bool__(self) -> bool:
        raise TypeError("An expression is neither true nor false; use select().")

    def __repr__(self) -> str:
        return f"<{self.op} {self.index}>"


def _arithmetic(operation: Callable[[Any, Any], Expr], x: Any, y: Any) -> Any:
    if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
        return NotImplemented
    return operation(x, y)


class Graph:
    """All operations of a model, each held once."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[tuple[Any, ...], Node] = {}

    def _node(self, op: str, args: tuple[int, ...] = (), value: Any = None) -> Node:
        if op in COMMUTATIVE and args[0] > args[1]:
            args = (args[1], args[0])
        key = (op, args, value)
        node = self._known.get(key)
        if node is None:
            node = Node(self, len(self.nodes), op, args, value)
            self.nodes.append(node)
            self._known[key] = node
        return node

    def inputs(self, group: str, size: int) -> Exprs:
        """`size` inputs of a named group, (size,) array; the same ones for the same name."""
        found = np.empty(size, dtype=object)
        for i in range(size):
            found[i] = self._node("input", (), (group, i))
        return found

    def symbol(self, name: str) -> Node:
        """A free variable, to differentiate by and to `substitute` later."""
        return self._node("input", (), ("symbol", name))

    def constant(self, value: float) -> Node:
        """A number as a node."""
        # -0.0 and 0.0 are equal as keys; the sign of zero carries no meaning here.
        return self._node("const", (), float(value) + 0.0)

    def as_node(self, x: Expr) -> Node:
        """`x`, made a node if it is a number."""
        return x if isinstance(x, Node) else self.constant(float(x))

    def unary(self, op: str, x: Expr) -> Expr:
        """An operation on one expression."""
        if not isinstance(x, Node):
            return UNARY[op](float(x))
        if op == "abs" and x.op == "neg":
            x = self.nodes[x.args[0]]
        if op in ("cos", "sin", "tanh") and x.op == "neg":
            inner = self.unary(op, self.nodes[x.args[0]])
            return inner if op == "cos" else self.neg(inner)
        return self._node(op, (x.index,))

    def neg(self, x: Expr) -> Expr:
        """-x."""
        if not isinstance(x, Node):
            return -float(x)
        if x.op == "neg":
            return self.nodes[x.args[0]]
        if x.op == "sub":
            return self._node("sub", (x.args[1], x.args[0]))
        return self._node("neg", (x.index,))

    def add(self, x: Expr, y: Expr) -> Expr:
        """X + y."""
        if not isinstance(x, Node):
            if float(x) == 0.0:
                return y
            x = self.constant(x)
        if not isinstance(y, Node):
            if float(y) == 0.0:
                return x
            y = self.constant(y)
        if y.op == "neg":
            return self.sub(x, self.nodes[y.args[0]])
        if x.op == "neg":
            return self.sub(y, self.nodes[x.args[0]])
        return self._node("add", (x.index, y.index))

    def sub(self, x: Expr, y: Expr) -> Expr:
        """X - y."""
        if not isinstance(y, Node):
            return self.add(x, -float(y))
        if not isinstance(x, Node):
            if float(x) == 0.0:
                return self.neg(y)
            x = self.constant(x)
        if y.op == "neg":
            return self.add(x, self.nodes[y.args[0]])
        if x is y:
            return 0.0
        if x.op == "neg":
            return self.neg(self.add(self.nodes[x.args[0]], y))
        return self._node("sub", (x.index, y.index))

    def mul(self, x: Expr, y: Expr) -> Expr:
        """X * y; zero where one of them is the number zero."""
        if not isinstance(x, Node):
            x, y = y, x
        if not isinstance(y, Node):
            return self._scaled(x, float(y))
        if x.op == "neg":
            return self.neg(self.mul(self.nodes[x.args[0]], y))
        if y.op == "neg":
            return self.neg(self.mul(x, self.nodes[y.args[0]]))
        return self._node("mul", (x.index, y.index))

    def _scaled(self, x: Node, factor: float) -> Expr:
        if factor == 0.0:
            return 0.0
        if factor == 1.0:
            return x
        if factor < 0.0:
            return self.neg(self._scaled(x, -factor))
        if x.op == "neg":
            return self.neg(self._scaled(self.nodes[x.args[0]], factor))
        if x.op == "mul":
            for k in (0, 1):
                inner = self.nodes[x.args[k]]
                if inner.op == "const":
                    return self._scaled(self.nodes[x.args[1 - k]], factor * inner.value)
        return self._node("mul", (self.constant(factor).index, x.index))

    def div(self, x: Expr, y: Expr) -> Expr:
        """X / y."""
        if not isinstance(y, Node):
            return self.mul(x, 1.0 / float(y))
        if not isinstance(x, Node):
            if float(x) == 0.0:
                return 0.0
            x = self.constant(x)
        if x.op == "neg":
            return self.neg(self.div(self.nodes[x.args[0]], y))
        if y.op == "neg":
            return self.neg(self.div(x, self.nodes[y.args[0]]))
        return self._node("div", (x.index, y.index))

    def binary(self, op: str, x: Expr, y: Expr) -> Expr:
        """``add``, ``sub``, ``mul``, ``div``, ``min`` or ``max`` of two nodes."""
        if op in ("add", "sub", "mul", "div"):
            found: Expr = getattr(self, op)(x, y)
            return found
        return self._node(op, (self.as_node(x).index, self.as_node(y).index))

    def condition(self, op: str, *args: Expr) -> Node:
        """A comparison, or a combination of conditions."""
        return self._node(op, tuple(self.as_node(a).index for a in args))

    def select(self, condition: Node, x: Expr, y: Expr) -> Expr:
        """X where the condition holds, y elsewhere; NaN in the other one does not leak."""
        x, y = self.as_node(x), self.as_node(y)
        return x if x is y else self._node("select", (condition.index, x.index, y.index))
