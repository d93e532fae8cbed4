"""The LLVM backend: widths, processors, far addresses, refusals, and what its text may contain."""

import platform
import sys

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from osim_exo.compiler.backends import emit, llvm, schedule
from osim_exo.compiler.backends.kernel import compile_program
from osim_exo.compiler.symbols import expression as ex
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import MissingExtraError
from tests.compiler import programs
from tests.compiler.test_kernel import run

on_x86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="processors of one kind"
)


@pytest.mark.parametrize(
    ("features", "widths"),
    [
        ("+avx512f,+avx512dq,+avx512vl,+avx2", (8, 16)),
        ("+avx512f,-avx512dq,+avx512vl,+avx2", (4, 8)),
        ("+avx2,+fma", (4, 8)),
        ("+sse4.2,-avx2", (2, 4)),
        ("+neon", (2, 4)),
    ],
)
def test_a_block_is_as_wide_as_a_vector_register(monkeypatch, features, widths):
    monkeypatch.setattr(llvm, "processor", lambda: ("some", features))
    assert (llvm.default_width("float64"), llvm.default_width("float32")) == widths


@on_x86
@pytest.mark.parametrize(
    ("name", "features"), [("x86-64", ""), ("x86-64-v2", "+sse4.2"), ("haswell", "+avx2,+fma")]
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_older_processors_compute_the_same(monkeypatch, name, features, dtype):
    have = llvm.processor()[1].split(",")
    if features and not set(features.split(",")) <= set(have):
        pytest.skip("this processor is older still")
    program = programs.random_program(0, 500)
    values = programs.values(program, 20)
    monkeypatch.setattr(llvm, "processor", lambda: (name, features))
    found = run(compile_program(program, dtype), values)["y"]
    tolerance = 1e-13 if dtype == "float64" else 2e-4
    np.testing.assert_allclose(found, program(**values)["y"], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1000])
def test_groups_of_any_size_are_addressed(size):
    graph = ex.Graph()
    x = graph.inputs("x", size)
    outputs = [x[k] * float(k) + x[(k * 7) % size] for k in range(size)]
    program = Program.build(graph, {"x": size}, {"y": outputs, "z": outputs}, {"z": "x"})
    values = {"x": np.random.default_rng(0).normal(size=(3, size))}
    expected = program(**values)["y"]
    kernel = compile_program(program, width=2, options=llvm.Options(piece=100))
    found = run(kernel, values)
    np.testing.assert_allclose(found["y"], expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(found["x"], found["y"])


def test_many_values_cross_from_piece_to_piece():
    graph = ex.Graph()
    x = graph.inputs("x", 2)
    early = [ex.sin(x[0] * float(k)) for k in range(1, 401)]
    conditions = [ex.less(v, x[1]) for v in early[:20]]
    late = [v * v for v in reversed(early)]
    late += [ex.select(c, 1.0, v) for c, v in zip(conditions, early)]
    program = Program.build(graph, {"x": 2}, {"y": late})
    parts = schedule.pieces(program, 50)
    assert len(schedule.crossing(program, parts)[0]) > 400
    values = {"x": np.random.default_rng(0).normal(size=(9, 2))}
    found = run(compile_program(program, options=llvm.Options(piece=50)), values)["y"]
    np.testing.assert_allclose(found, program(**values)["y"], rtol=1e-13, atol=1e-13)


def test_places_of_crossing_values_are_used_again():
    graph = ex.Graph()
    value = graph.inputs("x", 1)[0]
    for _ in range(400):
        value = ex.tanh(value) + value
    program = Program.build(graph, {"x": 1}, {"y": [value]})
    places, size = schedule.crossing(program, schedule.pieces(program, 10))
    assert len(places) >= 79 and size <= 2


def test_pieces_keep_sine_and_cosine_of_an_angle_together():
    program = programs.random_program(0, 2000)
    partners = schedule.sincos_partners(program)
    assert partners
    home = {r: k for k, part in enumerate(schedule.pieces(program, 7)) for r in part}
    assert all(home[a] == home[b] for a, b in partners.items())
    leaves = sum(i.op in schedule.LEAVES for i in program.code)
    assert len(home) == len(program.code) - leaves


def test_the_same_program_gives_the_same_bytes():
    program = programs.random_program(1, 300)
    one, two = compile_program(program), compile_program(program)
    assert one.code == two.code


def test_nothing_in_the_text_lets_llvm_reorder_a_sum():
    text, _ = emit.module_text(programs.random_program(0, 300), "float64", 8, 100)
    for flag in ("fast", "reassoc", "afn", "arcp", "nnan", "ninf"):
        assert f" {flag} " not in text


def test_nothing_outside_the_module_is_called():
    text, _ = emit.module_text(programs.random_program(0, 600), "float64", 8, 100)
    declared = [line for line in text.splitlines() if line.startswith("declare")]
    assert [line.split("@")[1].split("(")[0] for line in declared] == [
        "llvm.sqrt.v8f64",
        "llvm.fabs.v8f64",
    ]


def test_without_llvmlite_the_extra_is_named(monkeypatch):
    llvm.binding.cache_clear()
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    try:
        with pytest.raises(MissingExtraError, match=r"osim_exo\[sim\]"):
            llvm.binding()
    finally:
        llvm.binding.cache_clear()
