"""``osim-exo deploy``: a run on a virtual device from two terminals, and what it leaves behind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from osim_exo.cli import main
from osim_exo.cli.deploy import RunDevice
from osim_exo.deploy.log import read_log
from osim_exo.errors import InputError
from osim_exo.io import write_trial
from tests.deploy.device import Bench, settings
from tests.deploy.test_score import sine_trial

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["run", "virtual", "replay", "score"]

pytest.importorskip("cobs", reason="the extra deploy is not installed")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert main(["deploy", command, "--help"]) == 0
    assert f"usage: osim-exo deploy {command}" in capsys.readouterr().out


def test_help_loads_no_heavy_library(tmp_path):
    code = (
        "import sys; from osim_exo.cli import main\n"
        f"for name in {COMMANDS!r}: main(['deploy', name, '--help'])\n"
        "heavy = {'opensim', 'scipy', 'torch', 'serial', 'onnxruntime'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    return write_trial(sine_trial(), tmp_path / "walk")


@pytest.fixture
def device(tmp_path: Path, walk: Path) -> Iterator[str]:
    """Port of a virtual device in a process of its own."""
    words = ["deploy", "virtual", "--port", "socket://127.0.0.1:0", "--walker", str(walk)]
    process = subprocess.Popen(
        [sys.executable, "-m", "osim_exo", *words, "--seconds", "120", "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line.startswith("}"):
            break
    yield json.loads(text)["port"]
    process.kill()
    process.wait()


def test_a_shadow_run_is_recorded_replayed_and_scored(device, walk, tmp_path, capsys):
    patient = tmp_path / "patient.json"
    thresholds = {"no_data_s": 1.0, "stale_s": 1.0, "clock_jump_s": 1.0, "overruns": 1000}
    patient.write_text(json.dumps({"thresholds": thresholds, "self_test": {"n_sample": 5}}))
    log, report = tmp_path / "a.exolog", tmp_path / "report.json"
    words = ["--port", device, "--mass", "70", "--controller", "delayed_output_feedback"]
    words += ["--seconds", "9", "--log", str(log), "--settings", str(patient)]
    assert main(["deploy", "run", *words, "--condition", "walk", "--json", str(report)]) == 0
    captured = capsys.readouterr()
    assert "computed only; zero is sent" in captured.err
    assert "14 Nm per hip" in captured.err
    content = json.loads(report.read_text())
    assert content["final_state"] == "IDLE"
    assert content["latency"]["p99_ms"] > 0.0
    record = read_log(log)
    assert record.settings.condition == "walk"
    assert all(t.output.sent_mnm == (0, 0) for t in record.ticks)

    assert main(["deploy", "replay", str(log)]) == 0
    assert "equal bit for bit" in capsys.readouterr().out

    assert main(["deploy", "score", str(log), "--against", str(walk), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["side"] for row in rows] == ["right", "left", "both"]
    assert rows[2]["condition"] == "sines"
    assert rows[2]["r"] is not None
    assert main(["deploy", "score", str(log), "--against", str(walk)]) == 0
    assert "RMSE Nm/kg" in capsys.readouterr().out


def test_a_changed_log_is_told_by_exit_code(tmp_path, capsys):
    run = Bench(tmp_path, settings())
    run.run(2.0)
    data = run.path.read_bytes()
    cut = data.find(b"\0", len(data) // 2) + 1
    end = data.find(b"\0", cut) + 1
    (tmp_path / "gap.exolog").write_bytes(data[:cut] + data[end:])
    assert main(["deploy", "replay", str(tmp_path / "gap.exolog")]) == 0
    assert "are lost" in capsys.readouterr().out
    (tmp_path / "empty.exolog").write_bytes(b"")
    assert main(["deploy", "replay", str(tmp_path / "empty.exolog")]) == 2
    assert "no black box" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "socket://nowhere", "--mass", "70"], "names no TCP port"),
        (["--port", "socket://127.0.0.1:9", "--mass", "5"], "mass"),
        (["--port", "socket://127.0.0.1:9", "--mass", "70", "--seconds", "-1"], "--seconds"),
        (["--port", "socket://127.0.0.1:9", "--mass", "70", "--controller", "playback"], "phase"),
    ],
)
def test_bad_input_is_told_before_anything_is_sent(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["deploy", "run", *words]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_port_where_nobody_is_fails_with_the_systems_reason(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["deploy", "run", "--port", "socket://127.0.0.1:9", "--mass", "70"]) == 1
    assert "refused" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["arm", "mass"])
def test_a_settings_file_cannot_arm_or_choose_the_mass(name, tmp_path):
    path = tmp_path / "s.json"
    path.write_text(json.dumps({name: 1}))
    with pytest.raises(InputError, match="command line alone decides"):
        RunDevice(port="x", mass=70.0, settings=path).run_settings()


def test_a_controller_on_the_command_line_wins_and_keeps_its_own_settings(tmp_path):
    path = tmp_path / "s.json"
    spec = {"kind": "delayed_output_feedback", "settings": {"gain": 7.0}}
    path.write_text(json.dumps({"controller": spec}))
    same = RunDevice(port="x", mass=70.0, settings=path, controller="delayed_output_feedback")
    assert same.run_settings().controller.settings == {"gain": 7.0}
    other = RunDevice(port="x", mass=70.0, settings=path, controller="spline")
    assert other.run_settings().controller.settings == {}
    alone = RunDevice(port="x", mass=70.0, settings=path)
    assert alone.run_settings().controller.kind == "delayed_output_feedback"


def test_arming_on_a_terminal_has_to_be_confirmed(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    words = ["deploy", "run", "--port", "socket://127.0.0.1:9", "--mass", "70", "--arm"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "SENT TO THE DEVICE" in said
    assert "not confirmed" in said


def test_logs_and_trials_have_to_match_in_number(capsys):
    words = ["deploy", "score", "a", "b", "c", "--against", "d", "e"]
    assert main(words) == 2
    assert "one for each" in capsys.readouterr().err
