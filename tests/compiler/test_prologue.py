"""What a kernel does to a block before its repeats: copies, and controls by row within bounds."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from osim_exo.compiler.backends.cache import decode, encode
from osim_exo.compiler.backends.kernel import compile_program
from osim_exo.compiler.backends.prologue import Prologue, Rows
from osim_exo.compiler.symbols import expression as ex
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import InputError

LOW, HIGH = (-1.0, 0.0, -np.inf), (1.0, 0.5, np.inf)
INF, NAN = np.inf, np.nan


def adder():
    """x' = x + u, with u of two arrays of rows."""
    graph = ex.Graph()
    x, u = graph.inputs("x", 3), graph.inputs("u", 3)
    program = Program.build(graph, {"x": 3, "u": 3}, {"next": x + u}, {"next": "x"})
    given = {"first": Rows(LOW[:2], HIGH[:2]), "second": Rows(LOW[2:], HIGH[2:])}
    return program, Prologue({"x": "before"}, {"u": given})


def arrays_of(kernel, x, first, second):
    n = len(x)
    made = {"x": kernel.pack("x", x), "u": kernel.zeros("u", n), "before": kernel.zeros("x", n)}
    return {**made, "first": first, "second": second}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("width", [1, 4, 16])
@pytest.mark.parametrize("n", [1, 16, 37])
def test_rows_are_taken_within_bounds_and_the_block_is_kept(dtype, width, n):
    program, before = adder()
    kernel = compile_program(program, dtype, width, before=before)
    rng = np.random.default_rng(n)
    x, u = rng.normal(size=(n, 3)).astype(dtype), rng.normal(size=(n, 3))
    arrays = arrays_of(kernel, x, u[:, :2].copy(), u[:, 2:].copy())
    kernel.run(arrays, repeats=2, threads=2)
    clipped = np.clip(u, LOW, HIGH).astype(dtype)
    np.testing.assert_array_equal(kernel.unpack(arrays["u"], n), clipped)
    np.testing.assert_array_equal(kernel.unpack(arrays["before"], n), x)
    np.testing.assert_array_equal(kernel.unpack(arrays["x"], n), x + clipped + clipped)
    # Spare lanes repeat the last environment.
    spare = arrays["u"].transpose(0, 2, 1).reshape(-1, 3)[n:]
    np.testing.assert_array_equal(spare, np.tile(clipped[-1], (len(spare), 1)))


def test_values_that_are_not_finite_meet_bounds_as_numpy_clips_them():
    program, before = adder()
    kernel = compile_program(program, width=4, before=before)
    u = np.array([[NAN, 0.1, 1.0], [INF, -INF, 2.0], [0.0, NAN, INF], [-INF, INF, NAN]])
    arrays = arrays_of(kernel, np.zeros((4, 3)), u[:, :2].copy(), u[:, 2:].copy())
    kernel.run(arrays)
    np.testing.assert_array_equal(kernel.unpack(arrays["u"], 4), np.clip(u, LOW, HIGH))


def test_rows_may_lie_apart_backwards_or_all_at_one_place():
    program, before = adder()
    kernel = compile_program(program, width=4, before=before)
    wide = np.random.default_rng(0).uniform(0.0, 0.5, (6, 7, 2))
    for first in (wide[:, 3], wide[::-1, 3], np.broadcast_to(wide[0, 0], (6, 2))):
        second = np.arange(6.0)[:, None]
        arrays = arrays_of(kernel, np.zeros((6, 3)), first, second)
        kernel.run(arrays)
        np.testing.assert_array_equal(kernel.unpack(arrays["u"], 6), np.hstack([first, second]))


def test_rows_that_do_not_fit_are_told():
    program, before = adder()
    kernel = compile_program(program, width=4, before=before)
    first, second = np.zeros((6, 2)), np.zeros((6, 1))
    good = arrays_of(kernel, np.zeros((6, 3)), first, second)
    kernel.run(good)
    wrong = {
        "another number": {"second": np.zeros((5, 1))},
        "more blocks": {"first": np.zeros((9, 2)), "second": np.zeros((9, 1))},
        "columns": {"first": np.zeros((6, 3))},
        "kind": {"first": first.astype("float32")},
        "columns first": {"first": np.zeros((2, 6)).T},
        "odd address": {"first": np.zeros(97, dtype="uint8")[1:].view("float64").reshape(6, 2)},
    }
    for change in wrong.values():
        with pytest.raises(InputError, match="Rows '(first|second)' are float.* the kernel needs"):
            kernel.run({**good, **change})
    with pytest.raises(InputError, match="missing: before"):
        kernel.run({k: v for k, v in good.items() if k != "before"})


def test_a_prologue_that_does_not_fit_its_program_is_told():
    program, _ = adder()
    for columns in (2, 4):
        wrong = Prologue(filled={"u": {"first": Rows((0.0,) * columns, (1.0,) * columns)}})
        with pytest.raises(InputError, match=f"first have {columns} columns; group 'u' has 3"):
            compile_program(program, before=wrong)
    with pytest.raises(InputError, match="2 lowest and 1 highest"):
        Rows((0.0, 0.0), (1.0,))


def test_a_kept_kernel_still_knows_its_prologue():
    program, before = adder()
    kernel = decode(encode(compile_program(program, width=4, before=before)))
    arrays = arrays_of(kernel, np.ones((5, 3)), np.full((5, 2), 9.0), np.full((5, 1), 9.0))
    kernel.run(arrays)
    np.testing.assert_array_equal(kernel.unpack(arrays["x"], 5), [[2.0, 1.5, 10.0]] * 5)
