"""A student's walks with worse sensors, by the command and without torch."""

import json
import subprocess
import sys

import pytest

from osim_exo.cli import main
from osim_exo.cli.command import BAD_INPUT, FAILED
from osim_exo.errors import DataError
from osim_exo.learn.teachers import find_teacher
from osim_exo.learn.worse_sensors import WALKED

pytest.importorskip("opensim")

NAME = "hip_thigh_gyro"


@pytest.mark.slow
def test_the_shipped_student_is_walked_with_every_error_beside_its_teacher(tmp_path, capsys):
    words = ["--speeds", "1.2", "--physics", "compiled", "--duration", "4"]
    told = tmp_path / "told.json"
    assert main(["--quiet", "degrade", NAME, *words, "--json", str(told)]) == 0
    content = json.loads(told.read_text())
    assert content["teacher"] == "hip/seed_4" and content["physics"] == "compiled"
    rows = {(row["error"], row["value"]): row for row in content["rows"]}
    assert set(rows) == {("none", 0.0), ("usual", 1.0), *WALKED}
    assert all(row["falls"] == 0 and row["walks"] == 1 for row in rows.values())
    assert rows["none", 0.0]["r"] > 0.97
    assert rows["delay", 40.0]["rmse_nm_per_kg"] > 1.5 * rows["delay", 20.0]["rmse_nm_per_kg"]
    assert min(rows["none", 0.0]["share_of_benefit"].values()) > 0.8
    assert "mounting +10 deg" in capsys.readouterr().out


def test_a_shipped_seed_teaches_by_its_name():
    first, second = find_teacher("hip/seed_0"), find_teacher("hip/seed_1")
    assert find_teacher("hip").policies["exo"].record == first.policies["exo"].record
    assert find_teacher("hip/seed_1/no_exo").task.condition == "no_exo"
    with pytest.raises(DataError, match="no stage bare"):
        find_teacher("hip/seed_1/bare")
    assert first.policies["exo"].record != second.policies["exo"].record


def test_bad_input_is_told_in_words(capsys):
    assert main(["degrade", "nowhere"]) in (BAD_INPUT, FAILED)
    assert NAME in capsys.readouterr().err
    assert main(["degrade", NAME, "--teacher", "nobody"]) in (BAD_INPUT, FAILED)
    assert "nobody" in capsys.readouterr().err
    assert main(["degrade", NAME, "--jobs", "0"]) == BAD_INPUT


def test_walking_with_a_student_needs_no_torch():
    code = "import sys, osim_exo.learn.worse_sensors; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
