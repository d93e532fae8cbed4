"""``osim-exo baseline replay``: a gait's controls run forward, in either physics, and reported."""

import json

import pytest

from osim_exo.baseline import library
from osim_exo.cli import main
from osim_exo.errors import DataError
from osim_exo.io import read_trial

pytest.importorskip("opensim")


@pytest.fixture(autouse=True)
def shipped(tmp_path_factory, monkeypatch):
    """A shipped gait, and compiled programs that are not kept with the user's."""
    monkeypatch.setenv("OSIM_EXO_CACHE", str(tmp_path_factory.getbasetemp() / "programs"))
    try:
        library.load("gait2d", 1.25, 0.0)
    except DataError as error:
        pytest.skip(f"no shipped gait of this model yet: {error}")


@pytest.mark.parametrize("physics", ["opensim", "compiled"])
def test_a_replay_says_its_physics_and_stays_near_the_gait(physics, tmp_path, capsys):
    target, out = tmp_path / "replay.json", tmp_path / "trial"
    words = ["baseline", "replay", "1.25/0", "--physics", physics, "--duration", "0.05"]
    assert main([*words, "--out", str(out), "--json", str(target), "--quiet"]) == 0
    content = json.loads(target.read_text(encoding="utf-8"))
    assert content["physics"] == physics and content["fell_at_s"] is None
    assert [row["time_s"] for row in content["departures"]] == pytest.approx(
        [0.01, 0.02, 0.03, 0.04, 0.05]
    )
    assert max(row["angle_deg"] for row in content["departures"]) < 1.0
    trial = read_trial(out)
    assert trial.info.physics == physics and trial.info.speed == 1.25
    printed = capsys.readouterr().out
    assert "largest angle error" in printed and str(out) in printed


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nowhere"], 2, "SPEED/SLOPE"),
        (["1.25/0", "--duration", "9"], 2, "the plan spans"),
        (["1.25/0", "--physics", "compiled", "--substep", "0.0007"], 2, "no multiple"),
    ],
)
def test_a_replay_that_cannot_be_is_refused_in_words(words, code, says, capsys):
    assert main(["baseline", "replay", *words, "--quiet"]) == code
    assert says in capsys.readouterr().err


def test_another_physics_is_refused_by_the_parser(capsys):
    assert main(["baseline", "replay", "1.25/0", "--physics", "mujoco"]) == 2
    assert "opensim" in capsys.readouterr().err
