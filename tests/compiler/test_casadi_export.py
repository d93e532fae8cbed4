"""The CasADi form of programs, in processes of its own: values, derivatives, refusals."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from osim_exo.compiler.backends import casadi_export
from osim_exo.compiler.symbols import expression as ex
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import MissingExtraError, OsimExoError
from tests.compiler import programs
from tests.compiler.test_kernel import every_operation

ROOT = Path(__file__).resolve().parents[2]

needs_casadi = pytest.mark.skipif(find_spec("casadi") is None, reason="casadi is not installed")

PROCESS = """
import json, sys
import numpy as np
from osim_exo.compiler.backends.casadi_export import to_function
from osim_exo.compiler.symbols.program import Program
program = Program.from_bytes(open(sys.argv[1], "rb").read())
given = json.load(open(sys.argv[2]))
function = to_function(program, "exported")
assert function.name() == "exported" and function.name_in() == list(program.inputs)
assert function.name_out() == list(program.outputs)
jacobian = function.jacobian()
rows, slopes = [], []
for k in range(len(given["x"])):
    arguments = {name: np.array(values[k]) for name, values in given.items()}
    rows.append(np.array(function(**arguments)["y"]).ravel().tolist())
    dense = jacobian(*(arguments[name] for name in program.inputs), np.array(rows[-1]))
    first = dense[0] if isinstance(dense, tuple) else dense
    slopes.append(np.array(first).tolist())
print(json.dumps({"y": rows, "jacobian": slopes}))
"""


def run(folder, program, values):
    """Values and Jacobian by the first input group, computed by CasADi in another process."""
    (folder / "program").write_bytes(program.to_bytes())
    (folder / "values.json").write_text(json.dumps({k: v.tolist() for k, v in values.items()}))
    command = [sys.executable, "-c", PROCESS, folder / "program", folder / "values.json"]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=casadi_export.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    return np.array(found["y"]), np.array(found["jacobian"])


@needs_casadi
def test_every_operation_gives_what_numpy_gives(tmp_path):
    graph = ex.Graph()
    x, y = graph.inputs("x", 2)
    program = Program.build(graph, {"x": 2}, {"y": list(every_operation(graph, x, y).values())})
    values = np.random.default_rng(0).normal(size=(40, 2))
    values[:, 0] = np.abs(values[:, 0])
    values[:3] = [[0.5, 0.5], [0.25, 0.25], [2.0, 1.0]]
    found, _ = run(tmp_path, program, {"x": values})
    np.testing.assert_allclose(found, program(x=values)["y"], rtol=1e-12)


@needs_casadi
def test_random_programs_and_their_jacobians_agree(tmp_path):
    program = programs.random_program(0, 300, inputs=4, outputs=3)
    values = programs.values(program, 4)
    found, jacobian = run(tmp_path, program, values)
    np.testing.assert_allclose(found, program(**values)["y"], rtol=1e-12, atol=1e-12)
    step = 1e-6
    for k in range(4):
        shift = step * np.eye(4)[k]
        up = program(x=values["x"] + shift, p=values["p"])["y"]
        down = program(x=values["x"] - shift, p=values["p"])["y"]
        numeric = (up - down) / (2 * step)
        np.testing.assert_allclose(jacobian[:, :, k], numeric, rtol=1e-5, atol=1e-7)


@needs_casadi
@pytest.mark.skipif(find_spec("opensim") is None, reason="opensim is not installed")
def test_the_library_path_that_opensim_leaves_is_explained_and_taken_out(tmp_path, monkeypatch):
    program = programs.random_program(0, 60)
    (tmp_path / "program").write_bytes(program.to_bytes())
    text = (
        "import sys; from osim_exo.compiler.backends import casadi_export; "
        "from osim_exo.compiler.symbols import program; "
        "p = program.Program.from_bytes(open(sys.argv[1], 'rb').read()); "
        "print(casadi_export.to_function(p))"
    )
    command = [sys.executable, "-c", text, tmp_path / "program"]
    place = next(iter(find_spec("opensim").submodule_search_locations))
    monkeypatch.setenv("LD_LIBRARY_PATH", place)
    options = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 300}
    clean = subprocess.run(command, env=casadi_export.environment(), **options)
    assert clean.returncode == 0 and clean.stdout.startswith("program:(x[40],p[3])->(y[40])")
    spoiled = subprocess.run(command, **options)
    assert spoiled.returncode == 0 or "casadi_export.environment()" in spoiled.stderr


def test_a_process_with_opensim_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensim", object())
    with pytest.raises(OsimExoError, match="in a process of its own"):
        casadi_export.to_function(programs.random_program(0, 60))


def test_without_casadi_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "opensim", raising=False)
    monkeypatch.setitem(sys.modules, "casadi", None)
    with pytest.raises(MissingExtraError, match=r"osim_exo\[casadi\]"):
        casadi_export.to_function(programs.random_program(0, 60))
