"""Compiled programs against the numpy interpreter: values, repeats, streams, threads, NaN."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llvmlite")

from osim_exo.compiler.backends import blocks, llvm
from osim_exo.compiler.backends.kernel import compile_program
from osim_exo.compiler.symbols import expression as ex
from osim_exo.compiler.symbols.program import OPERATIONS, Program
from osim_exo.errors import InputError
from tests.compiler import programs


def run(kernel, values, **options):
    """Outputs of a kernel as (n, size) arrays."""
    n = len(next(iter(values.values())))
    arrays = {name: kernel.pack(name, v) for name, v in values.items()}
    for name in kernel.signature.outputs:
        arrays[name] = kernel.zeros(name, n)
    kernel.run(arrays, **options)
    return {name: kernel.unpack(array, n) for name, array in arrays.items()}


def every_operation(graph, x, y):
    a, b = ex.less(x, y), ex.less_equal(x, 0.5)
    either, same = graph.condition("or", a, b), graph.condition("eq", x, y)
    return {
        "neg": -x,
        "abs": ex.absolute(x),
        "sqrt": ex.sqrt(x),
        "exp": ex.exp(x),
        "log": ex.log(x),
        "sin": ex.sin(x),
        "cos": ex.cos(y),
        "tanh": ex.tanh(x),
        "add": x + y,
        "sub": x - y,
        "mul": x * y,
        "div": x / y,
        "min": ex.minimum(x, y),
        "max": ex.maximum(x, y),
        "lt": ex.select(a, 1.0, 0.0),
        "le": ex.select(b, x, y),
        "eq": ex.select(same, 1.0, 0.0),
        "and": ex.select(ex.both(a, b), x, y),
        "or": ex.select(either, x, y),
        "not": ex.select(ex.negated(a), x, y),
        "select": ex.select(a, ex.sqrt(x), y),
        "const": graph.constant(2.5),
        "input": y,
        "condition": a,
    }


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 2e-15), ("float32", 1e-6)])
def test_every_operation_gives_what_numpy_gives(dtype, tolerance):
    graph = ex.Graph()
    x, y = graph.inputs("x", 2)
    outputs = every_operation(graph, x, y)
    assert set(OPERATIONS) <= set(outputs)
    program = Program.build(graph, {"x": 2}, {"y": list(outputs.values())})
    rng = np.random.default_rng(0)
    edges = np.array([0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 1e-30, 1e30])
    grid = np.stack(np.meshgrid(edges, edges), axis=-1).reshape(-1, 2)
    values = np.concatenate([grid, rng.normal(size=(999, 2)), rng.uniform(-50, 50, (999, 2))])
    # Beyond the range of angles the functions answer NaN where numpy still tries.
    values = values.astype(dtype)
    expected = program(x=values)["y"]
    found = run(compile_program(program, dtype), {"x": values})["y"]
    for k, name in enumerate(outputs):
        keep = np.abs(values[:, 0 if name == "sin" else 1]) < 1e4
        rows = keep if name in ("sin", "cos") else slice(None)
        with np.errstate(over="ignore"):
            truth = expected[rows, k].astype(dtype)
        # float32 has no numbers below 1e-38 that are normal; they may be flushed.
        np.testing.assert_allclose(
            found[rows, k],
            truth,
            rtol=tolerance,
            atol=1e-37 if dtype == "float32" else 0,
            err_msg=name,
        )


@pytest.mark.parametrize("piece", [0, 150])
@pytest.mark.parametrize("seed", [0, 1])
def test_random_programs_equal_the_interpreter(seed, piece):
    program = programs.random_program(seed, 1200)
    kernel = compile_program(program, options=llvm.Options(piece=piece))
    values = programs.values(program, 50)
    expected = program(**values)["y"]
    np.testing.assert_allclose(run(kernel, values)["y"], expected, rtol=1e-13, atol=1e-13)


def test_random_programs_in_single_precision_are_near_the_interpreter():
    program = programs.random_program(2, 1200)
    values = programs.values(program, 200)
    expected = program(**values)["y"]
    found = run(compile_program(program, "float32"), values)["y"]
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 40))
def test_any_seed_width_and_number_of_environments(seed, width, n):
    program = programs.random_program(seed, 150, inputs=5, outputs=4)
    kernel = compile_program(program, "float64", width, llvm.Options(piece=40))
    values = programs.values(program, n, seed)
    expected = program(**values)["y"]
    np.testing.assert_allclose(run(kernel, values)["y"], expected, rtol=1e-13, atol=1e-13)


def counter(streamed=("push",)):
    """A small moving thing: x' = tanh(x + 0.1 push), with a by-product."""
    graph = ex.Graph()
    x, push, gain = graph.inputs("x", 3), graph.inputs("push", 3), graph.inputs("gain", 1)
    new = [ex.tanh(x[i] + 0.1 * push[i] * gain[0]) + 0.2 * x[(i + 1) % 3] for i in range(3)]
    return Program.build(
        graph,
        {"x": 3, "push": 3, "gain": 1},
        {"next": new, "sum": [new[0] + x[1]]},
        feedback={"next": "x"},
        streamed=streamed,
    )


@pytest.mark.parametrize("piece", [0, 4])
@pytest.mark.parametrize("repeats", [1, 2, 7])
def test_repeats_feed_back_and_take_the_next_of_a_stream(repeats, piece):
    program, n = counter(), 21
    rng = np.random.default_rng(0)
    x, push, gain = rng.normal(size=(n, 3)), rng.normal(size=(n, repeats, 3)), np.ones((n, 1))
    kernel = compile_program(program, options=llvm.Options(piece=piece))
    found = run(kernel, {"x": x, "push": push, "gain": gain}, repeats=repeats)
    for k in range(repeats):
        out = program(x=x, push=push[:, k], gain=gain)
        x = out["next"]
    np.testing.assert_allclose(found["x"], x, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(found["next"], found["x"])
    np.testing.assert_allclose(found["sum"], out["sum"], rtol=1e-13, atol=1e-13)


def test_outputs_that_are_fed_back_need_no_array():
    program = counter(streamed=())
    kernel = compile_program(program)
    values = {"x": np.ones((5, 3)), "push": np.ones((5, 3)), "gain": np.ones((5, 1))}
    arrays = {name: kernel.pack(name, v) for name, v in values.items()}
    arrays["sum"] = kernel.zeros("sum", 5)
    kernel.run(arrays, repeats=2)
    once = program(**values)["next"]
    twice = program(**{**values, "x": once})["next"]
    np.testing.assert_allclose(kernel.unpack(arrays["x"], 5), twice, rtol=1e-13)


def test_outputs_may_be_inputs_constants_or_each_other():
    graph = ex.Graph()
    x = graph.inputs("x", 2)
    outputs = {"a": [x[1], x[0], 3.0], "b": [x[0] + x[1], x[0] + x[1], x[0]], "c": []}
    program = Program.build(graph, {"x": 2}, outputs, feedback={})
    found = run(compile_program(program), {"x": np.array([[1.0, 2.0], [5.0, 7.0]])})
    np.testing.assert_array_equal(found["a"], [[2, 1, 3], [7, 5, 3]])
    np.testing.assert_array_equal(found["b"], [[3, 3, 1], [12, 12, 5]])
    assert found["c"].shape == (2, 0)


def test_inputs_that_swap_places_when_fed_back():
    graph = ex.Graph()
    x = graph.inputs("x", 2)
    program = Program.build(graph, {"x": 2}, {"y": [x[1], x[0]]}, feedback={"y": "x"})
    found = run(compile_program(program), {"x": np.array([[1.0, 2.0]])}, repeats=3)
    np.testing.assert_array_equal(found["x"], [[2.0, 1.0]])


def test_the_number_of_threads_does_not_change_a_bit():
    program = programs.random_program(3, 800, feedback={"y": "x"})
    kernel = compile_program(program, options=llvm.Options(piece=200))
    values = programs.values(program, 203)
    found = [run(kernel, values, repeats=3, threads=t)["x"] for t in (1, 2, 3, 64)]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_the_place_in_a_block_does_not_change_a_bit():
    program = programs.random_program(3, 400)
    kernel = compile_program(program)
    values = programs.values(program, 40)
    whole = run(kernel, values)["y"]
    for k in (0, 5, 39):
        alone = run(kernel, {name: v[k : k + 1] for name, v in values.items()})["y"]
        np.testing.assert_array_equal(whole[k], alone[0])


def test_a_part_of_the_blocks_leaves_the_others_alone():
    program = programs.random_program(3, 200)
    kernel = compile_program(program)
    n = 5 * kernel.width
    arrays = {name: kernel.pack(name, v) for name, v in programs.values(program, n).items()}
    arrays["y"] = kernel.zeros("y", n)
    kernel.run(arrays, part=slice(1, 3), threads=2)
    assert (arrays["y"][[0, 3, 4]] == 0.0).all() and (arrays["y"][1:3] != 0.0).all()
    kernel.run(arrays, part=slice(0, 0))
    assert (arrays["y"][0] == 0.0).all()


def test_nan_in_one_environment_touches_no_other():
    program = programs.random_program(1, 800, feedback={"y": "x"})
    kernel = compile_program(program)
    values = programs.values(program, 37)
    clean = run(kernel, values, repeats=3)["x"]
    values["x"][11] = np.nan
    values["x"][20] = np.inf
    spoiled = run(kernel, values, repeats=3)["x"]
    others = np.setdiff1d(np.arange(37), [11, 20])
    np.testing.assert_array_equal(clean[others], spoiled[others])
    assert np.isnan(spoiled[11]).any()


def test_spare_lanes_repeat_the_last_environment():
    packed = blocks.pack(np.arange(10.0).reshape(5, 2), 4, "float64")
    assert packed.shape == (2, 2, 4)
    np.testing.assert_array_equal(packed[1], [[8.0] * 4, [9.0] * 4])


def test_rows_and_columns_are_written_in_place():
    packed = blocks.pack(np.arange(18.0).reshape(9, 2), 4, "float64")
    blocks.write(packed, [[-1.0, -2.0], [-3.0, -4.0]], rows=[1, 8])
    blocks.write(packed, 0.5, rows=np.arange(9) == 4)
    blocks.fill_spare(packed, 9)
    expected = np.arange(18.0).reshape(9, 2)
    expected[[1, 8]], expected[4] = [[-1.0, -2.0], [-3.0, -4.0]], 0.5
    np.testing.assert_array_equal(blocks.unpack(packed, 9), expected)
    np.testing.assert_array_equal(packed[2, :, 1:], packed[2, :, :1].repeat(3, axis=1))
    packed[:, 1] = 7.0
    assert (blocks.unpack(packed, 9)[:, 1] == 7.0).all()
    blocks.write(packed, expected)
    np.testing.assert_array_equal(blocks.unpack(packed, 9), expected)


def test_arrays_that_do_not_fit_are_told():
    program = counter()
    kernel = compile_program(program)
    good = {"x": (9, 3), "gain": (9, 1)}
    arrays = {name: kernel.pack(name, np.ones(shape)) for name, shape in good.items()}
    arrays |= {"push": kernel.pack("push", np.ones((9, 2, 3))), "sum": kernel.zeros("sum", 9)}
    kernel.run(arrays, repeats=2)
    with pytest.raises(InputError, match="needs arrays that are missing: gain"):
        kernel.run({k: v for k, v in arrays.items() if k != "gain"}, repeats=2)
    with pytest.raises(InputError, match="Unknown group 'shove'"):
        kernel.run({**arrays, "shove": arrays["sum"]}, repeats=2)
    with pytest.raises(InputError, match="'push' is float64 of shape"):
        kernel.run(arrays, repeats=3)
    with pytest.raises(InputError, match="'x' is float32"):
        kernel.run({**arrays, "x": arrays["x"].astype("float32")}, repeats=2)
    unaligned = np.zeros(arrays["x"].size + 1)[1:].reshape(arrays["x"].shape)
    if unaligned.ctypes.data % 64:
        with pytest.raises(InputError, match="aligned"):
            kernel.run({**arrays, "x": unaligned}, repeats=2)
    with pytest.raises(InputError, match="at least 1"):
        kernel.run(arrays, repeats=0)
    with pytest.raises(InputError, match="not contiguous"):
        kernel.run(arrays, repeats=2, part=slice(0, 2, 2))
    with pytest.raises(InputError, match=r"must be \(n, repeats, 3\)"):
        kernel.pack("push", np.ones((9, 3)))
    with pytest.raises(InputError, match=r"must be \(n, 3\)"):
        kernel.pack("x", np.ones((9, 4)))
    with pytest.raises(InputError, match="no environments"):
        kernel.pack("x", np.ones((0, 3)))


def test_unknown_types_and_widths_are_refused():
    program = programs.random_program(0, 60)
    with pytest.raises(InputError, match="Unknown dtype 'float16'"):
        compile_program(program, "float16")
    for width in (0, 3, 128):
        with pytest.raises(InputError, match="power of two"):
            compile_program(program, width=width)


def test_python_runs_while_a_kernel_does():
    import threading

    program = programs.random_program(0, 400, feedback={"y": "x"})
    kernel = compile_program(program)
    values = programs.values(program, 64)
    arrays = {name: kernel.pack(name, v) for name, v in values.items()}
    thread = threading.Thread(target=kernel.run, args=(arrays,), kwargs={"repeats": 20_000})
    thread.start()
    turns = 0
    while thread.is_alive():
        turns += 1
        thread.join(0.001)
    assert turns > 3
