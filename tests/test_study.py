"""Studies: who walks, what is solved in which order, what survives a kill, what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from osim_exo import io, study
from osim_exo.baseline import Solver, library
from osim_exo.cli import main
from osim_exo.errors import BaselineError, DataError, InputError
from osim_exo.files import read_json
from osim_exo.models import shipped_path
from osim_exo.study import StudyConfig, solving
from osim_exo.study.plan import NO_EXO, Task, arms, cases, waves
from osim_exo.study.subjects import BODY_MASS_INDEX, HEIGHT, STRENGTH, draw_subjects
from osim_exo.study.subjects import stride_time_scale as stride_scale

ROOT = Path(__file__).resolve().parents[1]

TINY = StudyConfig(
    name="tiny", question="Does it run?", solver=Solver(mesh_intervals=12), subjects=1
)
"""Coarser than any gait should be: what is solved is not looked at, only that it is."""

TINY_FILE = """
from osim_exo.baseline import Solver
from osim_exo.study import StudyConfig

CONFIG = StudyConfig(name="tiny", solver=Solver(mesh_intervals=12), subjects={subjects})
"""


def run_tiny(config: StudyConfig, folder: Path) -> study.StudyResult:
    return study.run(config, folder, jobs=1)


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of the tiny study; copied before anything is changed in it."""
    folder = tmp_path_factory.mktemp("tiny")
    run_tiny(TINY, folder)
    return folder


@pytest.fixture
def own(solved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(solved, tmp_path / "tiny")


# Who walks


def test_the_same_seed_gives_the_same_people_and_more_people_do_not_change_the_first():
    eight, four = draw_subjects(8, 5), draw_subjects(4, 5)
    assert eight[:4] == four
    assert eight[1:] != draw_subjects(8, 6)[1:]
    assert [s.label for s in four] == ["subject_00", "subject_01", "subject_02", "subject_03"]


def test_the_first_subject_is_the_model_as_it_is():
    assert draw_subjects(1, 3)[0].body is None


def test_drawn_people_follow_the_stated_distributions():
    bodies = [s.body for s in draw_subjects(200, 11)[1:]]
    indices = [b.mass / b.height**2 for b in bodies]
    heights = [b.height for b in bodies]
    assert HEIGHT.low <= min(heights) <= max(heights) <= HEIGHT.high
    assert BODY_MASS_INDEX.low - 0.05 <= min(indices) <= max(indices) <= BODY_MASS_INDEX.high + 0.05
    assert STRENGTH.low <= min(b.strength for b in bodies) <= max(b.strength for b in bodies) <= 1.3
    assert np.mean(heights) == pytest.approx(1.70, abs=0.03)
    assert np.std(heights) == pytest.approx(0.09, abs=0.02)
    assert np.mean(indices) == pytest.approx(24.0, abs=0.7)


def test_stride_time_scales_as_stride_length_over_stature_does_with_froude_speed():
    # Alexander 1984: stride length / h is one function of u / sqrt(g h); with a power law of
    # exponent 0.58 (Grieve & Gear's 0.42 for frequency) stride time goes as h^(1 - 0.58 / 2).
    subject = draw_subjects(4, 0)[3]
    ratio = subject.body.height / 1.80
    relative_speed = (1.0 / ratio) ** 0.5
    stride_length = ratio * relative_speed**0.58
    assert stride_scale(subject) == pytest.approx(stride_length, rel=1e-9)
    assert stride_scale(draw_subjects(1, 0)[0]) == 1.0


# What is asked


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"speeds": (0.0,)}, "more than 0"),
        ({"speeds": (2.3,)}, "2.2"),
        ({"speeds": (float("nan"),)}, "speeds"),
        ({"speeds": ()}, "speeds"),
        ({"speeds": (1.0, 1.0)}, "twice"),
        ({"slopes_deg": (-15.5,)}, "-15"),
        ({"subjects": 0}, "subjects"),
        ({"controllers": ("playback",)}, "optimal"),
        ({"controllers": ("pid",)}, "controllers"),
        ({"model": "mine.osim", "subjects": 2}, "gait2d"),
        ({"name": "../elsewhere"}, "name"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_an_inconsistent_study_is_refused_in_words(fields, word):
    with pytest.raises(InputError, match=word):
        StudyConfig(**{"name": "x", **fields})


def test_a_study_survives_json_and_is_found_in_files(tmp_path):
    (tmp_path / "a.json").write_text(TINY.model_dump_json())
    (tmp_path / "a.py").write_text(TINY_FILE.format(subjects=1))
    assert study.load(tmp_path / "a.json") == TINY
    assert study.load(tmp_path / "a.py") == TINY.changed(question="")


def test_studies_of_solved_gaits_need_no_library_of_learning():
    """The main job installs the extra sim alone; studies of learned walkers load too."""
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'onnxruntime', 'tensorboard', 'serial', 'cobs'):\n"
        "    sys.modules[name] = None\n"
        "from osim_exo import study\n"
        "print(len([study.load(name) for name in study.available()]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) == len(study.available())


def test_shipped_studies_are_listed_and_load():
    assert set(study.available()) >= {"level_walking", "speed_slope_grid"}
    for name in study.available():
        config = study.load(name)
        assert config.name == name
        assert config.question.endswith("?")
        if isinstance(config, StudyConfig):
            assert config.quick_look().subjects == 1


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("missing.py", None, InputError),
        ("nothing.py", "x = 1", DataError),
        ("broken.py", "1 / 0", DataError),
        ("wrong.json", '{"name": "x", "speeds": [-1]}', InputError),
        ("broken.json", "{", DataError),
        ("walk.txt", "", InputError),
    ],
)
def test_a_file_that_is_no_study_is_refused(name, text, error, tmp_path):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=name.partition(".")[0]):
        study.load(path)


def test_everything_that_a_condition_starts_from_lies_in_an_earlier_wave():
    config = StudyConfig(
        name="all",
        speeds=(1.0, 1.25),
        slopes_deg=(0.0, 5.0),
        subjects=3,
        controllers=("playback", "spline", "optimal"),
    )
    done: set[str] = set()
    for wave in waves(config):
        for task in wave:
            for needed in task.arm.needs:
                assert f"{needed}_{task.case.name}" in done
            if not (task.arm.needs or task.case.is_reference):
                assert Task(NO_EXO, task.case.reference).name in done
        done |= {task.name for task in wave}
    assert len(done) == len(arms(config)) * len(cases(config)) == 5 * 12


# What is written


def test_a_study_writes_everything_that_it_promises(solved):
    record = read_json(solved / "study.json")
    assert {entry["state"] for entry in record["conditions"].values()} == {"solved"}
    assert len(record["conditions"]) == 3
    assert record["configuration"]["solver"]["mesh_intervals"] == 12
    assert "numpy" in record["provenance"]["versions"]
    assert set(record["gates"]) == set(record["conditions"])
    for arm in ("no_exo", "zero_torque", "assisted"):
        (where,) = (solved / "trials" / arm).iterdir()
        assert where.name == "1.25_mps_+0_deg_subject_00"
        assert {"gait.json", "trial.json", "states.sto", "grf.sto"} <= {
            path.name for path in where.iterdir()
        }
    comparison = json.loads((solved / "comparison.json").read_text())
    assert comparison["study"] == "tiny"
    assert comparison["conditions"] == ["no_exo", "zero_torque", "assisted"]
    assert (solved / "comparison.csv").read_text().count("\n") == 1 + len(comparison["metrics"])
    assert "Does it run?" in (solved / "report.html").read_text()
    assert not (solved / "partial").exists()


def test_all_arms_walk_at_the_shipped_gaits_stride_time_where_cadence_is_shared(solved):
    shipped = library.load("gait2d", 1.25, 0.0).solution.stride_time
    for trial in (io.read_trial(p.parent) for p in solved.rglob("trial.json")):
        assert trial.duration == pytest.approx(shipped, rel=1e-9)
        assert trial.info.subject == "subject_00"


def test_the_arms_differ_by_the_exo_alone(solved):
    trials = {t.info.condition: t for t in map(io.read_trial, sorted(solved.glob("trials/*/*")))}
    assert trials["no_exo"].info.exo_mass == 0.0
    assert trials["zero_torque"].info.exo_mass == pytest.approx(3.2)
    assert len(trials["no_exo"].exo_torque) == 0
    drag = trials["zero_torque"].exo_torque.values
    assert np.abs(drag).max() < 0.5  # the drag of the unpowered drive, no command
    assert np.abs(trials["assisted"].exo_torque.values).max() > 2.0


def test_a_finished_study_is_only_read_when_run_again(own, monkeypatch):
    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a finished condition was solved again")

    monkeypatch.setattr(solving, "solve", refuse)
    before = {path: path.stat().st_mtime_ns for path in own.rglob("gait.json")}
    result = run_tiny(TINY, own)
    assert {path: path.stat().st_mtime_ns for path in own.rglob("gait.json")} == before
    assert len(before) == 3
    assert len(result.trials) == 3
    states = {e["state"] for e in read_json(own / "study.json")["conditions"].values()}
    assert states == {"loaded"}


def test_a_report_made_again_keeps_the_gates(own, capsys):
    (own / "report.html").unlink()
    assert main(["report", str(own)]) == 0
    assert "replay" in (own / "report.html").read_text()


def test_a_library_gait_is_taken_as_it_is(tmp_path, monkeypatch):
    config = StudyConfig(name="shipped")
    task = waves(config)[0][0]
    monkeypatch.setattr(solving, "solve", None)
    outcome = solving.settle(config, tmp_path, task, fresh=False)
    assert outcome.state == "loaded"
    trial = io.read_trial(tmp_path / "trials" / "no_exo" / task.case.name)
    shipped = library.load("gait2d", 1.25, 0.0).trial
    np.testing.assert_allclose(trial.coordinates.values, shipped.coordinates.values, atol=1e-12)


@pytest.mark.parametrize("change", [{"subjects": 2}, {"seed": 1}, {"name": "other"}], ids=str)
def test_a_folder_of_another_study_is_refused_and_left_as_it_was(change, own):
    before = (own / "study.json").read_bytes()
    with pytest.raises(InputError, match="another run"):
        run_tiny(TINY.changed(**change), own)
    assert (own / "study.json").read_bytes() == before


def test_a_failed_subject_does_not_lose_the_others(own, monkeypatch, capsys):
    real = solving.solve

    def fail_one(config, **options):
        if config.model.subject is not None:
            raise BaselineError("soleus_r at its bound. Try: a slower speed.")
        return real(config, **options)

    monkeypatch.setattr(solving, "solve", fail_one)
    # The two-subject study takes over what the one-subject study has solved.
    (own / "study.json").unlink()
    for name in ("comparison.json", "comparison.csv", "report.html"):
        (own / name).unlink()
    two = own.with_name("two")
    two.mkdir()
    shutil.copytree(own / "trials", two / "moved")
    (two.parent / "two.py").write_text(TINY_FILE.format(subjects=2))
    study_file = str(two.parent / "two.py")
    claim = {"study": "tiny", "baseline": "library"}
    config = study.load(study_file)
    from osim_exo.provenance import config_hash

    (two / "study.json").write_text(json.dumps({**claim, "config_hash": config_hash(config)}))
    (two / "moved").rename(two / "trials")
    assert main(["study", "run", study_file, "--out", str(two), "--jobs", "1"]) == 1
    printed = capsys.readouterr().out
    assert "soleus_r at its bound" in printed
    assert "no_exo_1.25_mps_+0_deg_subject_01" in printed
    record = read_json(two / "study.json")["conditions"]
    assert record["no_exo_1.25_mps_+0_deg_subject_01"]["state"] == "failed"
    assert "Not tried" in record["assisted_1.25_mps_+0_deg_subject_01"]["explanation"]
    assert record["assisted_1.25_mps_+0_deg_subject_00"]["state"] == "loaded"
    assert (two / "report.html").is_file()


def test_a_study_in_which_everything_fails_says_so(tmp_path, monkeypatch, capsys):
    def fail(_config, **_options):
        raise BaselineError("the solver ran out of iterations")

    monkeypatch.setattr(solving, "solve", fail)
    (tmp_path / "s.py").write_text(TINY_FILE.format(subjects=1))
    out = tmp_path / "out"
    assert main(["study", "run", str(tmp_path / "s.py"), "--out", str(out)]) == 1
    message = capsys.readouterr().err
    assert "nothing to compare" in message
    assert "ran out of iterations" in message
    assert read_json(out / "study.json")["conditions"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="process groups are killed by signal")
def test_a_kill_in_the_middle_loses_only_the_running_condition(tmp_path):
    (tmp_path / "s.py").write_text(TINY_FILE.format(subjects=1))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "osim_exo", "study", "run", str(tmp_path / "s.py")]
    command += ["--out", str(out), "--jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = out / "trials" / "no_exo" / "1.25_mps_+0_deg_subject_00"
    running = subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while not first.exists() and running.poll() is None:
            time.sleep(0.05)
        assert running.poll() is None, "the study ended before it could be killed"
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    finished = {p: p.stat().st_mtime_ns for p in out.glob("trials/*/*/gait.json")}
    assert 1 <= len(finished) < 3
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in finished} == finished
    states = [e["state"] for e in read_json(out / "study.json")["conditions"].values()]
    assert states.count("loaded") == len(finished)
    assert states.count("solved") == 3 - len(finished)
    assert (out / "report.html").is_file()
    assert not list(out.glob("trials/*/.*"))


@pytest.mark.slow
def test_subjects_walk_in_parallel_processes_and_keep_their_own_size(tmp_path):
    config = TINY.changed(subjects=2)
    result = study.run(config, tmp_path / "two", jobs=2)
    assert not result.failures
    assert len(result.trials) == 6
    masses = {t.info.subject: t.info.body_mass for t in result.trials}
    assert masses["subject_01"] == draw_subjects(2, config.seed)[1].body.mass
    stride = {t.info.subject: t.duration for t in result.trials}
    scale = stride_scale(draw_subjects(2, config.seed)[1])
    assert stride["subject_01"] / stride["subject_00"] == pytest.approx(scale, rel=1e-6)
    assert result.comparison.units == "subjects"


# Bad input on the command line


def solve_words(*words: str) -> list[str]:
    return ["baseline", "solve", *words]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["study", "run", "no_such_study"], "level_walking"),
        (["study", "run", "level_walking", "--subjects", "0"], "subjects"),
        (["study", "run", "level_walking", "--jobs", "0"], "at least 1"),
        (["study", "run", "level_walking", "--controller", "playback"], "optimal"),
        (solve_words("--speed", "0"), "more than 0"),
        (solve_words("--speed", "-1.2"), "more than 0"),
        (solve_words("--speed", "2.3"), "2.2"),
        (solve_words("--speed", "nan"), "finite"),
        (solve_words("--slope", "15.5"), "15"),
        (solve_words("--slope", "-16"), "-15"),
        (solve_words("--slope", "inf"), "finite"),
        (solve_words("--mass", "0"), "mass"),
        (solve_words("--mass", "-70"), "mass"),
        (solve_words("--mass", "nan"), "mass"),
        (solve_words("--height", "17"), "height"),
        (solve_words("--mesh", "2"), "mesh_intervals"),
        (solve_words("--stride-time", "nan"), "fixed"),
        (solve_words("--model", "gait9d"), "gait2d"),
        (solve_words("--weakness", "soleus"), "NAME=FACTOR"),
        (solve_words("--weakness", "tongue_r=0.5"), "soleus_r"),
        (solve_words("--weakness", "soleus_r=0"), "above 0"),
        (solve_words("--weakness", "soleus_r=nan"), "soleus_r"),
        (solve_words("--condition", "zero_torque", "--controller", "spline"), "zero_torque"),
        (solve_words("--controller", "playback"), "--profile"),
        (solve_words("--guess", "nowhere"), "nowhere"),
        (["study", "run", "level_walking", "--controller", "pid"], "pid"),
        (solve_words("--condition", "half_torque"), "half_torque"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_ends_with_2_and_words_and_writes_nothing(words, named, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([*words, "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert named in message
    assert "Traceback" not in message
    assert not out.exists()


def test_an_output_folder_that_is_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    for words in (["study", "run", "level_walking"], ["baseline", "solve"]):
        assert main([*words, "--out", str(tmp_path / "out")]) == 2
        assert "cannot be used" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_an_output_folder_without_permission_is_refused(tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        pytest.skip("this user may write everywhere")
    assert main(["study", "run", "level_walking", "--out", str(locked / "out")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_gait_does_not_go_into_a_studys_or_another_gaits_folder(solved, capsys):
    assert main(["baseline", "solve", "--out", str(solved)]) == 2
    assert "results of a study" in capsys.readouterr().err
    (where,) = (solved / "trials" / "no_exo").iterdir()
    assert main(["baseline", "solve", "--out", str(where)]) == 2
    assert "another gait" in capsys.readouterr().err


def test_a_model_without_the_gait_coordinates_is_refused_with_what_it_lacks(tmp_path, capsys):
    text = shipped_path("gait2d").read_text(encoding="utf-8").replace("hip_flexion_l", "hip_bend_l")
    (tmp_path / "mine.osim").write_text(text, encoding="utf-8")
    words = ["--model", str(tmp_path / "mine.osim"), "--out", str(tmp_path / "out")]
    assert main(solve_words(*words)) == 2
    message = capsys.readouterr().err
    assert "hip_flexion_l" in message
    assert not (tmp_path / "out").exists()


# Gaits on the command line


def test_the_library_and_its_gaits_are_shown(capsys):
    assert main(["baseline", "show", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert {"speed_mps", "slope_deg", "cost_of_transport", "current"} <= set(entries[0])
    assert main(["baseline", "show", "1.25/0"]) == 0
    printed = capsys.readouterr().out
    assert "replay_50ms" in printed
    assert "hip flexion" in printed
    assert main(["baseline", "show", "1.25/0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["speed_mps"] == 1.25


@pytest.mark.parametrize("what", ["1.33/0", "1.25/4", "nowhere", "1.25"])
def test_a_gait_that_is_not_there_is_bad_input(what, capsys):
    assert main(["baseline", "show", what]) == 2
    assert what.partition("/")[0] in capsys.readouterr().err


@pytest.mark.slow
def test_a_solved_gait_is_written_shown_and_not_solved_twice(tmp_path, capsys, monkeypatch):
    out = tmp_path / "gait"
    words = solve_words("--mesh", "12", "--stride-time", "1.1", "--out", str(out))
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "grf_weight" in printed
    assert "pelvis anterior tilt" in printed
    from osim_exo import baseline

    monkeypatch.setattr(baseline, "solve", None)
    assert main(words) == 0
    assert "already" in capsys.readouterr().err
    assert main(["baseline", "show", str(out)]) == 0


@pytest.mark.slow
def test_a_solved_assisted_gait_is_played_back(solved, tmp_path, capsys):
    (where,) = (solved / "trials" / "assisted").iterdir()
    out = tmp_path / "played"
    words = ["--controller", "playback", "--profile", str(where), "--mesh", "25"]
    stride = library.load("gait2d", 1.25, 0.0).solution.stride_time
    words += ["--stride-time", repr(stride), "--guess", str(where)]
    assert main(solve_words(*words, "--out", str(out))) == 0
    played = io.read_trial(out / "trial").exo_torque.values
    optimal = io.read_trial(where).exo_torque.values
    assert np.corrcoef(played[:, 0], optimal[:, 0])[0, 1] > 0.8


def test_a_gait_without_exo_cannot_be_played_back(solved, tmp_path, capsys):
    (where,) = (solved / "trials" / "no_exo").iterdir()
    words = ["--controller", "playback", "--profile", str(where), "--out", str(tmp_path / "o")]
    assert main(solve_words(*words)) == 2
    assert "assisted" in capsys.readouterr().err
