"""How many units in the last place the vector functions are off; run it to see the table."""

from __future__ import annotations

from functools import cache

import numpy as np

from osim_exo.compiler.backends.kernel import Kernel, compile_program
from osim_exo.compiler.symbols import expression as ex
from osim_exo.compiler.symbols.program import Program

FUNCTIONS = ("exp", "log", "sin", "cos", "tanh", "sqrt")

RANGES = {
    "float64": (
        ("exp", -700.0, 709.0),
        ("exp", -1.0, 1.0),
        ("log", 1e-300, 1e300),
        ("log", 1e-3, 10.0),
        ("log", 0.9, 1.1),
        ("sin", -4.0, 4.0),
        ("sin", -1e4, 1e4),
        ("sin", -1e6, 1e6),
        ("cos", -4.0, 4.0),
        ("cos", -1e4, 1e4),
        ("tanh", -1e-3, 1e-3),
        ("tanh", -1.0, 1.0),
        ("tanh", -30.0, 30.0),
        ("sqrt", 1e-300, 1e300),
    ),
    "float32": (
        ("exp", -86.0, 88.0),
        ("exp", -1.0, 1.0),
        ("log", 1e-37, 1e38),
        ("log", 1e-3, 10.0),
        ("log", 0.9, 1.1),
        ("sin", -4.0, 4.0),
        ("sin", -1e4, 1e4),
        ("cos", -4.0, 4.0),
        ("cos", -1e4, 1e4),
        ("tanh", -1e-3, 1e-3),
        ("tanh", -1.0, 1.0),
        ("tanh", -30.0, 30.0),
        ("sqrt", 1e-37, 1e38),
    ),
}


def kernel(dtype: str, width: int | None = None) -> Kernel:
    """A kernel with all functions of one input ``x``, in the order of `FUNCTIONS`."""
    graph = ex.Graph()
    x = graph.inputs("x", 1)[0]
    outputs = [getattr(ex, name)(x) for name in FUNCTIONS]
    return compile_program(Program.build(graph, {"x": 1}, {"y": outputs}), dtype, width)


@cache
def kernel_cached(dtype: str) -> Kernel:
    """`kernel`, compiled once."""
    return kernel(dtype)


def evaluate(compiled: Kernel, x: np.ndarray) -> dict[str, np.ndarray]:
    """All functions of some numbers."""
    arrays = {"x": compiled.pack("x", x[:, None]), "y": compiled.zeros("y", len(x))}
    compiled.run(arrays)
    return dict(zip(FUNCTIONS, compiled.unpack(arrays["y"], len(x)).T))


def worst(compiled: Kernel, name: str, low: float, high: float, n: int = 200_000) -> float:
    """Largest error in units in the last place over random numbers from low to high."""
    rng = np.random.default_rng(0)
    if high / max(low, 1e-320) > 1e6 and low > 0:
        x = np.exp(rng.uniform(np.log(low), np.log(high), n))
    else:
        x = rng.uniform(low, high, n)
    x = x.astype(compiled.dtype)
    truth = getattr(np, name)(x.astype(np.longdouble))
    unit = np.spacing(np.abs(truth).astype(compiled.dtype)).astype(np.longdouble)
    return float(np.max(np.abs(evaluate(compiled, x)[name] - truth) / unit))


if __name__ == "__main__":
    for dtype, ranges in RANGES.items():
        compiled = kernel(dtype)
        for name, low, high in ranges:
            error = worst(compiled, name, low, high)
            print(f"{dtype} {name:5s} {low:9.3g} .. {high:9.3g}  {error:.2f} ulp")
