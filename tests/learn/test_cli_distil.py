"""``osim-exo distil``: bad input in words, and the whole command on a small run."""

import json

import pytest

from osim_exo.cli import main, parse
from osim_exo.cli.command import BAD_INPUT, DONE, FAILED

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from osim_exo.learn.config import LearnConfig, PpoConfig  # noqa: E402
from osim_exo.learn.tasks import TaskConfig  # noqa: E402
from osim_exo.learn.train import TrainConfig, train  # noqa: E402
from osim_exo.learn.walkers import library  # noqa: E402
from osim_exo.policy import Policy  # noqa: E402

WALKER = "gait2d_walk_1.25_mps"


def test_options_become_settings():
    words = ["distil", "runs/assisted", "--out", "student", "--sensors", "thigh_imu", "hip_encoder"]
    command = parse([*words, "--student", "gru", "--rounds", "9", "--seed", "4"])
    settings = command.settings()
    assert settings.sensors == ("thigh_imu", "hip_encoder")
    assert (settings.student.kind, settings.rounds, settings.seed) == ("gru", 9, 4)
    assert command.walks().physics == "opensim"
    assert command.report.name == "student_report"
    quick = parse([*words, "--quick"])
    assert quick.settings().n_env < settings.n_env
    assert quick.walks().physics == "compiled"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["runs/none"], "neither the folder of a training run nor a shipped walker"),
        ([WALKER], "no policy of an exo"),
        ([WALKER, "--jobs", "0"], "at least 1"),
    ],
)
def test_bad_input_is_told_in_words_and_writes_nothing(words, told, tmp_path, capsys):
    code = main(["distil", *words, "--out", str(tmp_path / "student")])
    error = " ".join(capsys.readouterr().err.split())
    assert code in (BAD_INPUT, FAILED)
    assert told in error
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_sensor_is_refused(tmp_path, capsys):
    code = main(["distil", WALKER, "--out", str(tmp_path / "s"), "--sensors", "thigh_camera"])
    assert code == BAD_INPUT
    assert "thigh_camera" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_becomes_a_student_and_a_report(tmp_path, capsys):
    human = library() / WALKER / "policy" / "human"
    task = TaskConfig(condition="assisted", learner="exo", human_policy=human)
    learn = LearnConfig(n_env=16, steps=16 * 8, ppo=PpoConfig(horizon=8, minibatch=64, epochs=1))
    train(TrainConfig(task=task, learn=learn), tmp_path / "run")
    out = tmp_path / "student"
    words = [str(tmp_path / "run"), "--out", str(out), "--rounds", "2", "--duration", "4"]
    code = main(["distil", *words, "--quick", "--json", str(tmp_path / "told.json")])
    assert code in (DONE, FAILED), capsys.readouterr().err
    told = json.loads((tmp_path / "told.json").read_text())
    kept = json.loads((tmp_path / "student_report" / "distil.json").read_text())
    assert told["accepted"] == kept["accepted"]
    assert {row["arm"] for row in told["rows"]} == set(told["summary"])
    assert len(told["rounds"]) == 2
    page = (tmp_path / "student_report" / "distil.html").read_text()
    assert page.count("<svg") == 3
    for name in ("torque", "agreement", "degradation"):
        assert (tmp_path / "student_report" / f"{name}.png").stat().st_size > 5000
    assert Policy.load(out).record["teacher"] == str(tmp_path / "run")
    assert "r >= 0.82 at worst" in capsys.readouterr().out
