"""Sweeps: the same result wherever cells run, nothing finished lost, bad input in words."""

import csv
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from osim_exo import study
from osim_exo.cli import main
from osim_exo.errors import DataError, InputError, SimulationError
from osim_exo.files import read_json
from osim_exo.learn.robustness import RobustnessTest
from osim_exo.study import RobustnessSweep, run_sweep
from osim_exo.study.sweep import Sweep, cell_file

WALKER = "gait2d_walk_1.25_mps"
SMALL = RobustnessSweep(
    name="small",
    question="Does it run?",
    walkers=(WALKER,),
    parameters={"push": (0.0, 0.4), "strength": (0.75, 1.0), "exo_mass": (1.0,)},
    test=RobustnessTest(walkers=12, duration=2.0, push_at=0.5),
)


class Squares(Sweep):
    """Cells that do next to nothing."""

    kind: str = "squares"
    broken: str = ""

    def quick_look(self):
        return self

    def waves(self):
        return (("1", "2"), ("3",))

    def settle(self, cell, folder, progress):
        if cell == self.broken:
            raise SimulationError(f"{cell} is broken.")
        return [{"cell": cell, "square": int(cell) ** 2, "none": None}]

    def present(self, folder, rows):
        return {"sum": sum(row["square"] for row in rows)}

    def lines(self, rows):
        return ("cell",), [(row["cell"],) for row in rows]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return run_sweep(SMALL, tmp_path_factory.mktemp("small") / "out", jobs=1)


def test_a_walker_is_tried_at_every_value_that_it_has(small):
    tried = [(row["parameter"], row["value"]) for row in small.rows]
    assert tried == [("push", 0.0), ("push", 0.4), ("strength", 0.75), ("strength", 1.0)]
    for row in small.rows:
        assert row["share"] == row["falls"] / 12
        assert row["ci_low"] <= row["share"] <= row["ci_high"]
    assert small.rows[0]["falls"] == small.rows[3]["falls"] == 0


def test_results_are_written_as_tables_and_a_figure(small):
    content = read_json(small.folder / "results.json")
    assert content["rows"] == list(small.rows) and content["study"] == "small"
    with (small.folder / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(row["share"]) for row in table] == [row["share"] for row in small.rows]
    assert (small.folder / "robustness.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "module"), [("loky", "joblib"), ("dask", "distributed"),
                                                 ("ray", "ray")])  # fmt: skip
def test_cells_give_the_same_rows_on_every_backend(backend, module, small, tmp_path):
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    found = run_sweep(SMALL, tmp_path, jobs=2, backend=backend)
    assert found.rows == small.rows and not found.failures


def test_finished_cells_are_kept_and_other_settings_are_refused(tmp_path):
    sweep = Squares(name="squares")
    run_sweep(sweep, tmp_path, jobs=1)
    path = cell_file(tmp_path, "2")
    path.write_text(path.read_text().replace('"square": 4', '"square": 5'))
    assert run_sweep(sweep, tmp_path, jobs=1).findings == {"sum": 1 + 5 + 9}
    with pytest.raises(InputError, match="results of another run"):
        run_sweep(sweep.changed(seed=1), tmp_path, jobs=1)


def test_a_broken_cell_does_not_stop_the_others_and_is_tried_again(tmp_path):
    sweep = Squares(name="squares", broken="1")
    for _ in range(2):
        result = run_sweep(sweep, tmp_path, jobs=1)
        assert result.failures == {"1": "1 is broken."}
        assert [row["cell"] for row in result.rows] == ["2", "3"]
    assert read_json(tmp_path / "results.json")["failures"] == {"1": "1 is broken."}


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"parameters": {"colour": (1.0,)}}, "no parameter colour"),
        ({"parameters": {"push": ()}}, "no values"),
        ({"walkers": (WALKER, WALKER)}, "twice"),
        ({"walkers": ()}, "walkers"),
        ({"test": {"walkers": 0}}, "walkers"),
        ({"kind": "other"}, "kind"),
    ],
)
def test_an_inconsistent_sweep_is_refused_in_words(fields, word):
    with pytest.raises(InputError, match=word):
        SMALL.changed(**fields)


def test_a_walker_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="nobody"):
        run_sweep(SMALL.changed(walkers=("nobody",)), tmp_path)
    assert not (tmp_path / "study.json").exists()


def test_sweeps_come_from_files_and_run_from_the_command_line(tmp_path, capsys):
    file = tmp_path / "mine.json"
    file.write_text(SMALL.changed(parameters={"push": (0.0,)}).model_dump_json())
    assert study.load(file) == SMALL.changed(parameters={"push": (0.0,)})
    words = ["study", "run", str(file), "--out", str(tmp_path / "out"), "--jobs", "1", "--quiet"]
    assert main([*words, "--json", str(tmp_path / "rows.json")]) == 0
    assert "0 of 12" in capsys.readouterr().out
    assert json.loads((tmp_path / "rows.json").read_text())["rows"][0]["falls"] == 0
    assert main([*words, "--subjects", "2"]) == 2
    assert "leave out --subjects" in capsys.readouterr().err
    file.write_text('{"kind": "unheard", "name": "x"}')
    assert main(words) == 2
    assert "robustness" in capsys.readouterr().err


def test_folders_of_walkers_are_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    found = SMALL.for_walkers((WALKER, "run")).walkers
    assert found == (WALKER, str(Path(tmp_path / "run").resolve()))
