"""The example notebooks: stripped, readable, and they run from the first cell to the last."""

import ast
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
MOST_CODE_CELLS = 14

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    """The notebook; nbformat 4 with stable cell ids."""
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def python(source: str) -> str:
    """A cell's source without the notebook's own commands."""
    return "\n".join(line for line in source.splitlines() if not line.startswith("%"))


def test_all_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == [
        "01_first_comparison",
        "02_your_own_model_and_exo",
        "03_train_a_walker",
        "04_personalise_for_weakness",
        "05_from_policy_to_device",
    ]


@each_notebook
def test_a_notebook_is_valid_with_stable_cell_ids(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


@each_notebook
def test_a_notebook_is_stored_without_outputs(path):
    cells = code_cells(read(path))
    assert 0 < len(cells) <= MOST_CODE_CELLS
    for cell in cells:
        assert cell.outputs == []
        assert cell.execution_count is None


@each_notebook
def test_a_notebooks_code_parses_and_uses_public_names_only(path):
    for cell in code_cells(read(path)):
        tree = ast.parse(python(cell.source), filename=f"{path.name}, cell {cell.id}")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                names = [*str(node.module).split("."), *(alias.name for alias in node.names)]
                assert not [name for name in names if name.startswith("_")]
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_")


@each_notebook
def test_a_notebook_is_quick_by_default(path):
    first = code_cells(read(path))[0]
    assert "QUICK = True" in first.source.splitlines()


@pytest.mark.slow
@each_notebook
def test_a_notebook_runs_and_leaves_its_folder_as_it_was(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("opensim")
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "made"))
    (tmp_path / "made").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    notebook = read(path)
    client = nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    )
    client.execute()
    assert list(work.iterdir()) == []
    assert any(cell.outputs for cell in code_cells(notebook))


def test_stable_baselines3_learns_on_the_walking_environment(tmp_path, monkeypatch):
    pytest.importorskip("stable_baselines3")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import stable_baselines3_ppo as example
    from stable_baselines3 import PPO

    before, after = example.main(["--steps", "150000", "--out", str(tmp_path)])
    assert before < 60
    assert after > 1.5 * before
    learned = PPO.load(tmp_path / "policy", device="cpu")
    env = example.make(4, 2)
    action, _ = learned.predict(env.reset(), deterministic=True)
    assert env.action_space.contains(action[0])
    env.close()
