"""Random programs with the operation mix of a model's step, for tests and measurements."""

from __future__ import annotations

import numpy as np

from osim_exo.compiler.symbols import expression as ex
from osim_exo.compiler.symbols.program import Program

LIMIT = 8.0
"""No value of a random program gets larger than this."""


class _Pool:
    """Expressions made so far, each with a bound on its size."""

    def __init__(self, graph: ex.Graph, rng: np.random.Generator, inputs: list[ex.Expr]) -> None:
        self.graph, self.rng = graph, rng
        self.values = [(x, 1.0) for x in inputs]

    def pick(self) -> tuple[ex.Expr, float]:
        n = len(self.values)
        first = 0 if self.rng.random() < 0.3 else max(0, n - 300)
        return self.values[self.rng.integers(first, n)]

    def put(self, x: ex.Expr, bound: float) -> None:
        if bound > LIMIT:
            x, bound = x * (1.0 / bound), 1.0
        self.values.append((x, bound))

    def grow(self) -> None:
        (x, a), (y, b) = self.pick(), self.pick()
        kind = self.rng.random()
        c = float(self.rng.uniform(0.2, 1.5))
        if kind < 0.42:
            self.put(x * y, a * b)
        elif kind < 0.70:
            self.put(x + y, a + b)
        elif kind < 0.84:
            self.put(x - y * c, a + b * c)
        elif kind < 0.87:
            self.put(x / (2.0 + y * y), a / 2.0)
        elif kind < 0.88:
            self.put(ex.sqrt(c + x * x), np.sqrt(c) + a)
        elif kind < 0.89:
            self.put(ex.exp(-(x * x) * c), 1.0)
        elif kind < 0.893:
            self.put(ex.log(1.0 + c + x * x), np.log(3.0 + a * a))
        elif kind < 0.897:
            self.put(ex.tanh(x), 1.0)
        elif kind < 0.90:
            self.put(ex.sin(x) * ex.cos(x) + ex.cos(y), 2.0)
        elif kind < 0.92:
            # The two sides meet at c: rounding may take either.
            self.put(ex.select(ex.less(x, c), x - c, (x - c) * 0.5), a + c)
        elif kind < 0.93:
            self.put(ex.minimum(x, ex.maximum(y, ex.absolute(x) * 0.5)), max(a, b))
        else:
            self.put(x * c, a * c)


def random_program(
    seed: int, operations: int, inputs: int = 40, outputs: int = 40, **options: object
) -> Program:
    """A program of about so many operations on inputs ``x`` within -1..1 and a constant ``p``.

    Outputs are ``y``, each within `LIMIT`. Options go to `Program.build`.
    """
    graph = ex.Graph()
    rng = np.random.default_rng(seed)
    x, p = graph.inputs("x", inputs), graph.inputs("p", 3)
    pool = _Pool(graph, rng, [*x, *p])
    while len(graph.nodes) < operations:
        pool.grow()
    # Everything is summed up in some output, so that nothing is left out as unused.
    sums: list[ex.Expr] = [0.0] * outputs
    used = {a for node in graph.nodes for a in node.args}
    for value, bound in pool.values:
        if value.index not in used:
            k = int(rng.integers(outputs))
            sums[k] = sums[k] + value * (0.01 / bound)
    last = [value for value, _ in pool.values[-outputs:]]
    found = [ex.tanh(s + v) for s, v in zip(sums, last)]
    return Program.build(graph, {"x": inputs, "p": 3}, {"y": found}, **options)  # type: ignore[arg-type]


def values(program: Program, n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs for n environments, each (n, size) and within -1..1."""
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-1.0, 1.0, (n, size)) for name, size in program.inputs.items()}
