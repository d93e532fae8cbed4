"""Programs: what is kept of a graph, the numpy interpreter, bytes and back, and refusals."""

import numpy as np
import pytest

from osim_exo.compiler.symbols import expression as ex
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import DataError, InputError
from tests.compiler import programs


def test_only_what_an_output_needs_is_kept():
    graph = ex.Graph()
    x = graph.inputs("x", 3)
    ex.exp(x[2])
    program = Program.build(graph, {"x": 3}, {"y": [x[0] * x[1]]})
    assert program.operations == 1
    assert [i.op for i in program.code] == ["input", "input", "mul"]


def test_interpreter_agrees_with_plain_numpy():
    graph = ex.Graph()
    x, y = graph.inputs("x", 2)
    inside = ex.both(ex.less(x, y), ex.negated(ex.less_equal(y, 0.3)))
    outputs = [ex.select(inside, ex.sin(x) / y, ex.tanh(x - y)), ex.clip(x, -0.5, 0.5)]
    program = Program.build(graph, {"x": 2}, {"out": outputs})
    values = np.random.default_rng(0).normal(size=(500, 2))
    a, b = values.T
    found = program(x=values)["out"]
    np.testing.assert_allclose(
        found[:, 0], np.where((a < b) & (b > 0.3), np.sin(a) / b, np.tanh(a - b)), rtol=1e-15
    )
    np.testing.assert_array_equal(found[:, 1], np.clip(a, -0.5, 0.5))


def test_a_nan_goes_through_a_clip_and_not_out_of_a_bound():
    graph = ex.Graph()
    low, x, high = graph.inputs("x", 3)
    program = Program.build(graph, {"x": 3}, {"y": [ex.clip(x, low, high)]})
    rows = [[0.0, np.nan, 1.0], [np.nan, 0.4, 1.0], [0.0, 0.4, np.nan], [0.0, 2.0, 1.0]]
    np.testing.assert_array_equal(program(x=rows)["y"][:, 0], [np.nan, 0.4, 0.4, 1.0])


@pytest.mark.parametrize("seed", range(3))
def test_bytes_give_the_same_program_back(seed):
    program = programs.random_program(seed, 300, feedback={"y": "x"})
    again = Program.from_bytes(program.to_bytes())
    assert again.digest == program.digest
    assert again.feedback == {"y": "x"}
    values = programs.values(program, 5)
    np.testing.assert_array_equal(again(**values)["y"], program(**values)["y"])


def test_two_builds_of_the_same_program_have_the_same_digest():
    one, two = programs.random_program(4, 500), programs.random_program(4, 500)
    assert one.digest == two.digest != programs.random_program(5, 500).digest


def test_damaged_bytes_are_refused():
    data = programs.random_program(0, 200).to_bytes()
    for bad in (data[:-1], data[: len(data) // 2], b"", b"x" * 100):
        with pytest.raises(DataError, match="delete it and build again"):
            Program.from_bytes(bad)


def test_code_that_uses_later_registers_is_refused():
    program = programs.random_program(0, 100)
    at = next(k for k, i in enumerate(program.code) if len(i.args) == 2)
    data = bytearray(program.to_bytes())
    start = len(data) - len(program.code) * 20 + at * 12
    data[start : start + 4] = (10**6).to_bytes(4, "little")
    with pytest.raises(DataError, match="comes after it"):
        Program.from_bytes(bytes(data))


def test_wrong_inputs_are_told_by_name():
    program = programs.random_program(0, 100)
    with pytest.raises(InputError, match="not given: p"):
        program(x=np.zeros((2, 40)))
    with pytest.raises(InputError, match=r"'p' has shape \(2, 4\)"):
        program(x=np.zeros((2, 40)), p=np.zeros((2, 4)))


def test_feedback_of_another_size_is_refused():
    with pytest.raises(InputError, match="cannot become input"):
        programs.random_program(0, 100, outputs=7, feedback={"y": "x"})


def test_conditions_and_numbers_are_not_mixed():
    graph = ex.Graph()
    x, y = graph.inputs("x", 2)
    with pytest.raises(InputError, match="'mul' takes 'lt' where it needs a number"):
        Program.build(graph, {"x": 2}, {"y": [ex.less(x, y) * x]})
    with pytest.raises(InputError, match="'select' takes 'input' where it needs a condition"):
        Program.build(graph, {"x": 2}, {"y": [graph.select(x, x, y)]})


def test_an_input_that_is_not_declared_is_refused():
    graph = ex.Graph()
    x = graph.inputs("x", 3)
    with pytest.raises(InputError, match=r"uses x\[2\]"):
        Program.build(graph, {"x": 2}, {"y": [x[2]]})
