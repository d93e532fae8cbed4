"""The doctor finds what is wrong, says it in plain words and names the fix."""

import configparser
import importlib.metadata
import json
import re
import sys
from pathlib import Path

import pytest

from osim_exo import doctor
from osim_exo.cli import main

ROOT = Path(__file__).resolve().parents[1]


def python(code: str) -> list[str]:
    """A self-test that runs `code`; the record's path is sys.argv[1]."""
    return [sys.executable, "-c", code]


def begun(stage: str) -> str:
    """Code that notes the begin of a stage as the real self-test does."""
    return (
        "import sys, os, json; "
        f"open(sys.argv[1], 'a').write(json.dumps(dict(stage='{stage}', state='begun')) + '\\n'); "
    )


def test_this_machine_can_do_the_main_job(capsys):
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is True
    found = {f["subject"]: f for f in report["findings"]}
    assert found["self-test opensim"]["found"].startswith("4.6")
    assert found["self-test moco"]["found"] == "effort 12.0000, must be 12"
    assert "10 coordinates" in found["self-test model"]["found"]
    assert found["self-test step"]["state"] == found["self-test ground"]["state"] == "ok"
    assert report["versions"]["opensim"] == importlib.metadata.version("opensim")


def test_text_report_ends_with_the_verdict(capsys):
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "This machine can do the main job."
    assert {line.split()[0] for line in lines[:5]} <= {"ok", "note"}


def test_a_crash_of_opensim_is_told_with_the_stage_and_the_fix():
    code = begun("moco") + "os.kill(os.getpid(), 11)"
    (finding,) = doctor.self_test(python(code))
    assert finding.state == "problem"
    assert finding.subject == "self-test moco"
    assert "segmentation fault" in finding.found
    assert "solve a Moco problem" in finding.found
    assert "new virtual environment" in finding.fix


def test_an_old_processor_is_told_apart():
    code = begun("opensim") + "os.kill(os.getpid(), 4)"
    (finding,) = doctor.self_test(python(code))
    assert "illegal instruction" in finding.found
    assert "another machine" in finding.fix


def test_a_python_that_does_not_even_start_is_told():
    (finding,) = doctor.self_test(python("sys.exit(3)"))
    assert finding.subject == "self-test start"
    assert "NameError" in finding.found


def test_a_self_test_that_hangs_is_stopped(monkeypatch):
    monkeypatch.setattr(doctor, "SELF_TEST_LIMIT", 0.5)
    code = begun("step") + "import time; time.sleep(60)"
    (finding,) = doctor.self_test(python(code))
    assert "did not end within 0.5 s when it was to simulate 10 ms" in finding.found


@pytest.mark.parametrize(
    ("stage", "reason", "fix"),
    [
        (
            "opensim",
            "ImportError: libgfortran.so.5: cannot open shared object file",
            "libgfortran5",
        ),
        ("opensim", "ImportError: numpy.core.multiarray failed to import", "virtual environment"),
        ("model", "ModelError: gait2d.osim cannot be read", "Reinstall osim_exo"),
    ],
)
def test_a_stage_that_failed_gets_the_fix_that_suits_it(stage, reason, fix):
    note = json.dumps({"stage": stage, "state": "failed", "found": reason})
    code = f"import sys; open(sys.argv[1], 'a').write({note!r} + '\\n')"
    (finding,) = doctor.self_test(python(code))
    assert finding.found == reason
    assert fix in finding.fix


def test_stages_before_the_failed_one_are_reported_as_passed(tmp_path):
    record = tmp_path / "record.jsonl"
    notes = [
        {"stage": "opensim", "state": "begun"},
        {"stage": "opensim", "state": "passed", "found": "4.6"},
        {"stage": "moco", "state": "begun"},
    ]
    code = f"import sys; open(sys.argv[1], 'w').write({chr(10).join(map(json.dumps, notes))!r})"
    states = [(f.subject, f.state) for f in doctor.self_test(python(code))]
    assert states == [("self-test opensim", "ok"), ("self-test moco", "problem")]
    assert not record.exists()


def test_a_missing_library_of_the_main_job_is_a_problem_and_an_optional_one_a_note(monkeypatch):
    monkeypatch.setattr(doctor, "is_present", lambda module: module not in ("scipy", "ezc3d"))
    monkeypatch.setattr(doctor, "self_test", lambda: [])
    report = doctor.examine(Path("results"))
    found = {f.subject: f for f in report.findings}
    assert not report.healthy
    assert found["scipy"].state == "problem"
    assert found["ezc3d"].state == "note"
    assert 'pip install "osim_exo[sim]"' in found["scipy"].fix
    assert report.as_text().endswith("cannot do the main job yet; mend: scipy.")


def test_a_missing_opensim_names_the_pythons_it_is_made_for(monkeypatch):
    monkeypatch.setattr(doctor, "is_present", lambda module: module != "opensim")
    report = doctor.examine(Path("results"))
    (finding,) = [f for f in report.findings if f.subject == "opensim"]
    assert "3.11 to 3.13" in finding.fix
    assert not any(f.subject.startswith("self-test") for f in report.findings)


def test_an_output_folder_that_cannot_be_used_is_a_problem_with_exit_code_1(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert main(["doctor", "--out", str(tmp_path / "file" / "out")]) == 1
    assert "mend: output folder" in capsys.readouterr().out
    assert (tmp_path / "file").read_text() == "x"


def test_looking_at_an_output_folder_does_not_make_it(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "self_test", lambda: [])
    assert doctor.examine(tmp_path / "a" / "b").healthy
    assert list(tmp_path.iterdir()) == []


def test_little_memory_is_noted_and_no_hindrance(monkeypatch):
    monkeypatch.setattr(doctor.provenance, "memory_gb", lambda: 2.0)
    monkeypatch.setattr(doctor, "self_test", lambda: [])
    report = doctor.examine(Path("results"))
    (memory,) = [f for f in report.findings if f.subject == "memory"]
    assert (memory.state, report.healthy) == ("note", True)
    assert "--jobs 1" in memory.fix


def test_self_test_leaves_no_log_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert all(f.state == "ok" for f in doctor.self_test())
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_knows_every_extra_and_every_library_of_the_main_job():
    if not (ROOT / "setup.cfg").is_file():
        pytest.skip("setup.cfg is not beside the tests")
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = dict(config["options.extras_require"])
    sim = {re.split(r"[<>=\[]", line)[0] for line in extras.pop("sim").split()}
    assert sim == set(doctor.MAIN_JOB)
    assert set(extras) - {"all", "docs"} == set(doctor.OTHER_EXTRAS)
