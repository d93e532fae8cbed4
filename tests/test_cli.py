"""The command line: right exit codes, plain words, no traceback unless it is asked for."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, ValidationError

from osim_exo import errors, models
from osim_exo.cli import explain, main
from osim_exo.cli.command import attach_json_target

ROOT = Path(__file__).resolve().parents[1]

HELP = [
    [],
    ["doctor"],
    ["models"],
    ["models", "list"],
    ["models", "card"],
    ["models", "path"],
    ["models", "convert"],
    ["models", "verify"],
    ["models", "cache"],
    ["baseline"],
    ["baseline", "solve"],
    ["baseline", "library"],
    ["baseline", "show"],
    ["baseline", "replay"],
    ["train"],
    ["evaluate"],
    ["study"],
    ["study", "list"],
    ["study", "run"],
    ["compare"],
    ["report"],
    ["deploy"],
    ["deploy", "run"],
    ["deploy", "virtual"],
    ["deploy", "replay"],
    ["deploy", "score"],
    ["bench"],
]


class Walk(BaseModel):
    speed: float = Field(gt=0.0, le=2.2)
    slope_deg: float = 0.0


def validation_error(**fields: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Walk(**fields)
    return caught.value


def fail_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Words of a command that raises `error`."""

    def fail(_name: str) -> None:
        raise error

    monkeypatch.setattr(models, "shipped_path", fail)
    return ["models", "path", "gait2d"]


def in_process(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "osim_exo", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_every_command_has_help(words, capsys):
    assert main([*words, "--help"]) == 0
    assert "usage: osim-exo" in capsys.readouterr().out


def test_help_loads_no_heavy_library(tmp_path):
    code = (
        "import sys; from osim_exo.cli import main\n"
        f"for words in {HELP!r}: main([*words, '--help'])\n"
        "heavy = {'opensim', 'scipy', 'matplotlib', 'joblib', 'torch'} & set(sys.modules)\n"
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


def test_no_words_at_all_give_the_help(capsys):
    assert main([]) == 0
    assert "doctor" in capsys.readouterr().out


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"osim-exo \d+\.\d+\.\d+", capsys.readouterr().out.strip())


@pytest.mark.parametrize(
    "words",
    [["docter"], ["models"], ["models", "crd"], ["models", "card"], ["doctor", "--jsn"], ["bench"]],
    ids=" ".join,
)
def test_wrong_arguments_are_bad_input(words, capsys):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err != ""
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError("mass is -3"), 2),
        (errors.ModelError("no coordinate hip"), 2),
        (errors.DataError("not a .sto file"), 2),
        (errors.SimulationError("fell at 0.3 s"), 1),
        (errors.BaselineError("soleus_r at its bound"), 1),
        (errors.MissingExtraError("opensim", "sim"), 1),
        (OSError(28, "No space left on device", "out/a.sto"), 1),
        (FileNotFoundError(2, "No such file or directory", "walk.mot"), 1),
        (MemoryError(), 1),
        (ModuleNotFoundError("No module named 'scipy'", name="scipy"), 1),
        (RuntimeError("unforeseen"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_failure_has_its_exit_code_and_no_traceback(error, code, monkeypatch, capsys):
    assert main(fail_with(error, monkeypatch)) == code
    message = capsys.readouterr().err
    assert message.startswith("osim-exo: ")
    assert "Traceback" not in message
    assert len(message.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("module", "extra"), [("scipy", "sim"), ("torch.nn", "learn"), ("mujoco", "bench")]
)
def test_a_missing_library_is_told_with_the_extra_that_installs_it(module, extra):
    code, words = explain(ModuleNotFoundError(f"No module named '{module}'", name=module))
    assert code == 1
    assert f'pip install "osim_exo[{extra}]"' in words


@pytest.mark.parametrize("place", [0, 1, 3])
def test_debug_shows_the_traceback_wherever_it_stands(place, monkeypatch, capsys):
    words = fail_with(errors.InputError("mass is -3"), monkeypatch)
    words.insert(place, "--debug")
    assert main(words) == 2
    message = capsys.readouterr().err
    assert "Traceback (most recent call last)" in message
    assert message.endswith("osim-exo: mass is -3\n")


def test_a_full_disk_is_told_with_its_file():
    code, message = explain(OSError(28, "No space left on device", "out/a.sto"))
    assert code == 1
    assert "No space left on device ('out/a.sto')" in message
    assert "kept" in message


def test_a_settings_error_names_the_field_the_value_and_what_is_allowed():
    code, message = explain(validation_error(speed=-1.0, slope_deg="steep"))
    assert code == 2
    assert "speed" in message
    assert "-1.0" in message
    assert "more than 0" in message
    assert "slope_deg" in message
    assert "'steep'" in message
    assert "pydantic" not in message


def test_an_unforeseen_error_asks_for_the_traceback():
    _, message = explain(KeyError("x"))
    assert "--debug" in message
    assert "KeyError" in message


def test_an_interrupt_says_what_was_kept(monkeypatch, capsys):
    assert main(fail_with(KeyboardInterrupt(), monkeypatch)) == 130
    assert capsys.readouterr().err == "osim-exo: Interrupted. Nothing had been written.\n"


def test_a_reader_that_goes_away_is_no_reason_for_a_traceback():
    code = "import os, sys; from osim_exo.cli import main; sys.exit(main(['models', 'list']))"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_an_unknown_model_is_bad_input_that_lists_the_known_ones(capsys):
    assert main(["models", "card", "gait9d"]) == 2
    message = capsys.readouterr().err
    assert "gait9d" in message
    assert "gait2d" in message


def test_a_model_file_that_is_none_is_bad_input(tmp_path, capsys):
    (tmp_path / "walk.osim").write_text("not a model")
    assert main(["models", "card", str(tmp_path / "walk.osim")]) == 2
    assert "walk.osim" in capsys.readouterr().err


def test_an_unknown_benchmark_is_bad_input(capsys):
    assert main(["bench", "nothing"]) == 2
    assert "Unknown benchmark 'nothing'" in capsys.readouterr().err


def test_models_are_listed_for_people_and_for_programs(tmp_path, capsys):
    assert main(["models", "list"]) == 0
    assert "gait2d" in capsys.readouterr().out
    assert main(["models", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "gait2d", "file": "gait2d.osim"}]
    assert main(["models", "list", "--json", str(tmp_path / "models.json")]) == 0
    assert json.loads((tmp_path / "models.json").read_text())[0]["name"] == "gait2d"
    assert capsys.readouterr().out == ""


def test_a_card_counts_what_the_model_holds(capsys):
    assert main(["models", "card", "gait2d", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert len(card["coordinates"]) == 10
    assert len(card["muscles"]) == 18


def test_a_path_leads_to_an_existing_model(capsys):
    assert main(["models", "path", "gait2d"]) == 0
    assert Path(capsys.readouterr().out.strip()).is_file()


@pytest.mark.parametrize(
    ("words", "attached"),
    [
        ("doctor --json", "doctor --json -"),
        ("doctor --json a.json", "doctor --json a.json"),
        ("doctor --json --out x", "doctor --json - --out x"),
        ("compare --json a b", "compare --json - a b"),
        ("compare a b --json -", "compare a b --json -"),
        ("doctor --json /dev/stdout", "doctor --json /dev/stdout"),
        ("bench stepping --json result", "bench stepping --json result"),
        ("bench stepping --json", "bench stepping --json -"),
        ("bench stepping --json --quick", "bench stepping --json - --quick"),
        ("models list", "models list"),
    ],
)
def test_json_without_a_file_goes_to_the_output(words, attached):
    assert attach_json_target(words.split()) == attached.split()


def test_running_the_package_as_a_module_is_the_command_line(tmp_path):
    done = in_process("models", "list", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)[0]["name"] == "gait2d"
    assert list(tmp_path.iterdir()) == []


def test_a_command_leaves_no_opensim_log_behind(tmp_path):
    (tmp_path / "bad.osim").write_text("<OpenSimDocument></OpenSimDocument>")
    in_process("models", "card", "gait2d", cwd=tmp_path)
    in_process("models", "card", "bad.osim", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.osim"]


def test_kept_models_are_told_and_deleted(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OSIM_EXO_CACHE", str(tmp_path))
    (tmp_path / "a.kernel").write_bytes(b"0" * 1000)
    (tmp_path / "b.spec.json").write_text("{}")
    assert main(["models", "cache"]) == 0
    assert f"{tmp_path}: 2 files, 0.0 MB." in capsys.readouterr().out
    assert main(["models", "cache", "--clear"]) == 0
    assert "2 files deleted." in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("OSIM_EXO_CACHE", "")
    assert main(["models", "cache"]) == 0
    assert "Nothing is kept" in capsys.readouterr().out
