"""How fast random programs of two sizes are compiled, loaded and run; run it to see the table."""

from __future__ import annotations

import time

from osim_exo.compiler.backends import cache
from osim_exo.compiler.backends.kernel import compile_program
from tests.compiler import programs

ENVIRONMENTS = 256
SECONDS = 2.0


def row(operations: int, dtype: str) -> str:
    """One line: time to compile and to load, and evaluations per second of one core."""
    program = programs.random_program(0, operations, inputs=100, outputs=100, feedback={"y": "x"})
    start = time.process_time()
    kernel = compile_program(program, dtype)
    compiled = time.process_time() - start
    data = cache.encode(kernel)
    start = time.perf_counter()
    cache.decode(data)
    loaded = time.perf_counter() - start
    values = programs.values(program, ENVIRONMENTS)
    arrays = {name: kernel.pack(name, v) for name, v in values.items()}
    rates = []
    while sum(1.0 / r for r in rates) < SECONDS:
        start = time.thread_time()
        kernel.run(arrays, repeats=20)
        rates.append(1.0 / (time.thread_time() - start))
    best = sorted(rates)[len(rates) // 2] * 20 * ENVIRONMENTS
    return (
        f"{program.operations:6d} operations {dtype} x{kernel.width:2d}: compiled in "
        f"{compiled:5.2f} processor s, {len(data) / 1e3:4.0f} kB loaded in {1e3 * loaded:4.1f} ms, "
        f"{best / 1e3:6.0f} thousand evaluations/s, {best * program.operations / 1e9:5.1f} "
        "thousand million operations/s"
    )


if __name__ == "__main__":
    for operations in (7_600, 36_000):
        for dtype in ("float64", "float32"):
            print(row(operations, dtype), flush=True)
