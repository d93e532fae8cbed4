"""Trials are found wherever a user may point, and results are written beside them."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from osim_exo import io
from osim_exo.analysis.compare import Comparison
from osim_exo.cli import main
from osim_exo.errors import DataError, InputError
from osim_exo.results import read_record, read_trials, write_results
from tests.synthetic import walking_trial

ARMS = ("no_exo", "zero_torque", "assisted")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a study of two subjects; copied before anything is changed in it."""
    folder = tmp_path_factory.mktemp("study")
    for subject in ("s0", "s1"):
        for arm in ARMS:
            io.write_trial(walking_trial(arm, subject), folder / "trials" / f"{subject}_{arm}")
    (folder / "study.json").write_text(json.dumps({"study": "level_walking", "seed": 3}))
    return folder


@pytest.fixture
def own_study(study: Path, tmp_path: Path) -> Path:
    return shutil.copytree(study, tmp_path / "study")


def write_measured(folder: Path, **changes: object) -> Path:
    """A measured walk: coordinates and forces of the synthetic walker, and its description."""
    trial = walking_trial("no_exo", "s0", n_strides=3, n_time=601)
    io.write_table(folder / "ik.mot", trial.time, trial.coordinates)
    io.write_table(folder / "grf.mot", trial.time, trial.grf)
    fields: dict[str, object] = {
        "name": "Anna level",
        "coordinates": "ik.mot",
        "grf": "grf.mot",
        "body_mass": 61.5,
        "height": 1.7,
        "subject": "Anna",
        "speed": 1.25,
        **changes,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items() if value is not None]
    path = folder / "anna.toml"
    path.write_text("\n".join(lines))
    return path


def test_trials_are_found_one_by_one_and_by_folder(study):
    one = read_trials([study / "trials" / "s1_assisted"])
    assert [(t.info.subject, t.info.condition) for t in one] == [("s1", "assisted")]
    assert len(read_trials([study])) == len(read_trials([study / "trials"])) == 6
    assert len(read_trials([study, study / "trials" / "s1_assisted"])) == 7


@pytest.mark.parametrize("name", ["missing", "empty", "walk.sto"])
def test_what_holds_no_trial_is_refused_with_what_is_allowed(name, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "walk.sto").write_text("x")
    with pytest.raises(DataError, match=name) as caught:
        read_trials([tmp_path / name])
    assert "trial.json" in str(caught.value)


def test_a_measured_walk_is_read_as_its_description_says(tmp_path):
    (trial,) = read_trials([write_measured(tmp_path)])
    info = trial.info
    assert (info.name, info.subject, info.physics) == ("Anna level", "Anna", "measured")
    assert (info.body_mass, info.height, info.speed) == (61.5, 1.7, 1.25)
    assert info.condition == "no_exo"
    simulated = walking_trial("no_exo", "s0", n_strides=3, n_time=601)
    inner = slice(60, -60)
    np.testing.assert_allclose(
        trial.coordinates["hip_flexion_r"][inner],
        simulated.coordinates["hip_flexion_r"][inner],
        atol=0.02,
    )
    assert "ground_force_r_vy" in trial.grf


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"body_mass": -3.0}, "body_mass"),
        ({"body_mass": None}, "body_mass"),
        ({"weight": 61.5}, "no such field"),
        ({"condition": "barefoot"}, "condition"),
        ({"slope_deg": 40.0}, "slope_deg"),
        ({"coordinates": "none.mot"}, "none.mot"),
    ],
)
def test_a_description_that_cannot_be_is_refused_in_words(changes, message, tmp_path):
    path = write_measured(tmp_path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        read_trials([path])
    assert "anna.toml" in str(caught.value)


def test_a_description_that_is_no_toml_is_refused(tmp_path):
    (tmp_path / "a.toml").write_text("name = = 3")
    with pytest.raises(DataError, match="not a TOML file"):
        read_trials([tmp_path / "a.toml"])


def test_a_record_is_read_or_empty_or_refused(tmp_path, study):
    assert read_record(study)["study"] == "level_walking"
    assert read_record(tmp_path) == {}
    (tmp_path / "study.json").write_text("[]")
    with pytest.raises(DataError, match="no dictionary"):
        read_record(tmp_path)


def test_results_are_written_beside_the_trials(own_study):
    comparison = write_results(own_study, read_trials([own_study]), read_record(own_study), seed=3)
    assert comparison.study == "level_walking"
    written = Comparison.from_json(own_study / "comparison.json")
    assert written.rows == comparison.rows
    assert written.seed == 3
    header = (own_study / "comparison.csv").read_text().splitlines()[0]
    assert header.startswith("name,unit")
    assert "level_walking" in (own_study / "report.html").read_text()


def test_compare_prints_each_change_with_its_comparator(study, capsys):
    assert main(["compare", str(study)]) == 0
    text = capsys.readouterr().out
    for comparator in ("zero torque vs no exo", "assisted vs zero torque", "assisted vs no exo"):
        assert comparator in text
    assert "metabolic_rate_bhargava2004" in text
    assert "up to 2 subjects" in text


def test_compare_prints_the_numbers_of_the_comparison(study, capsys):
    assert main(["compare", str(study), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["metrics"]
    (row,) = [
        r
        for r in rows
        if r["name"] == "mean_activation"
        and r["condition"] == "assisted"
        and r["comparator"] == "no_exo"
        and r["group"]["subject"] is None
    ]
    assert main(["compare", str(study)]) == 0
    lines = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith("mean_activation ")
    ]
    assert f"{row['value']:.4g}" in lines[0]
    interval = f"[{row['change_ci_low']:+.1f},{row['change_ci_high']:+.1f}]"
    assert f"{row['change_percent']:+.1f} {interval}" in lines[1]


def test_one_subject_gets_no_interval(study, capsys):
    trials = [str(study / "trials" / f"s0_{arm}") for arm in ARMS]
    assert main(["compare", *trials]) == 0
    text = capsys.readouterr().out
    assert "no interval and no test" in text
    assert "[+" not in text and "[-" not in text


def test_compare_writes_a_folder_and_refuses_another_ones(study, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["compare", str(study), "--out", str(out), "--quiet"]
    assert main(words) == 0
    assert {p.name for p in out.iterdir()} >= {
        "study.json",
        "comparison.json",
        "comparison.csv",
        "report.html",
    }
    assert main(words) == 0
    before = (out / "comparison.json").read_bytes()
    assert main(["compare", str(study / "trials" / "s0_no_exo"), "--out", str(out)]) == 2
    assert "holds the results of another run" in capsys.readouterr().err
    assert (out / "comparison.json").read_bytes() == before


def test_report_renews_what_a_study_wrote(own_study, capsys):
    assert main(["report", str(own_study)]) == 0
    assert capsys.readouterr().out.strip() == str(own_study / "report.html")
    assert Comparison.from_json(own_study / "comparison.json").seed == 3
    assert read_record(own_study) == {"study": "level_walking", "seed": 3}


def test_report_as_pdf_says_the_same_on_pages(own_study, capsys):
    assert main(["report", str(own_study), "--pdf"]) == 0
    page, pdf = capsys.readouterr().out.split()
    assert Path(page).is_file()
    content = Path(pdf).read_bytes()
    assert pdf == str(own_study / "report.pdf")
    assert content.startswith(b"%PDF-") and content.count(b"/Type /Page ") > 3


def test_report_as_pdf_without_its_library_says_what_to_install(own_study, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_pdf", None)
    assert main(["report", str(own_study), "--pdf"]) == 1
    assert 'pip install "osim_exo[sim]"' in capsys.readouterr().err
    assert (own_study / "report.html").is_file()


@pytest.mark.parametrize("words", [["compare"], ["compare", "none"], ["report", "none"]])
def test_no_trials_are_bad_input(words, capsys):
    assert main(words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_measured_walks_are_compared_like_simulated_ones(tmp_path, capsys):
    (tmp_path / "worn").mkdir()
    bare = write_measured(tmp_path)
    worn = write_measured(tmp_path / "worn", condition="zero_torque", exo_mass=3.2)
    assert main(["compare", str(bare), str(worn)]) == 0
    text = capsys.readouterr().out
    assert "physics measured" in text
    assert "cadence" in text
