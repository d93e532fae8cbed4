"""A measured walk straight from a C3D file: events and forces of the walk that it was made of."""

import json
from pathlib import Path

import numpy as np
import pytest

from osim_exo.analysis.compare import compare
from osim_exo.cli import main
from osim_exo.errors import DataError, InputError
from osim_exo.io import read_measured_c3d
from osim_exo.io.measured_c3d import LANDMARKS
from osim_exo.results import read_trials
from osim_exo.trial import Trial, TrialInfo
from tests.synthetic import walking_trial

ezc3d = pytest.importorskip("ezc3d")

LAB = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""From x forward, y up, z right to a laboratory with z up."""

PLATES = {"r": 0, "l": 1}
MARKERS = {name: name.upper() for name in LANDMARKS}
INFO = TrialInfo("walk", body_mass=70.0, speed=1.25)
RATE = 200


@pytest.fixture(scope="module")
def walk() -> Trial:
    return walking_trial("no_exo", "s0", n_strides=3, n_time=3 * 220 + 1)


def write_walk(path: Path, trial: Trial, *, gap: slice | None = None, lost: float = np.inf) -> Path:
    """Markers at 200 Hz and one type 2 plate a foot, in mm, N and Nmm, z up.

    `lost`: from this time, s, the left foot stands beside its plate.
    """
    time = np.arange(0.0, trial.duration, 1 / RATE)

    def at(channels, name):
        return np.interp(time, trial.time, channels[name])

    points = np.ones((4, len(LANDMARKS), time.size))
    for i, name in enumerate(LANDMARKS):
        place = np.stack([at(trial.points, f"{name}.{axis}") for axis in "xyz"])
        points[:3, i] = 1000 * LAB @ place
        if gap is not None:
            points[:3, i, gap] = np.nan
    channels = []
    for side in "rl":
        force = LAB @ [at(trial.grf, f"ground_force_{side}_v{axis}") for axis in "xyz"]
        where = LAB @ [at(trial.grf, f"ground_force_{side}_p{axis}") for axis in "xyz"]
        if side == "l":
            force = np.where(time < lost, force, 0.0)
        channels += [force, 1000 * np.cross(where.T, force.T).T]
    file = ezc3d.c3d()
    parameters = file["parameters"]
    parameters["POINT"]["RATE"]["value"] = [RATE]
    parameters["POINT"]["LABELS"]["value"] = [MARKERS[name] for name in LANDMARKS]
    parameters["POINT"]["UNITS"]["value"] = ["mm"]
    file["data"]["points"] = points
    parameters["ANALOG"]["RATE"]["value"] = [RATE]
    parameters["ANALOG"]["LABELS"]["value"] = [
        f"{s}{k}{a}" for s in "rl" for k in "FM" for a in "xyz"
    ]
    parameters["ANALOG"]["UNITS"]["value"] = (["N"] * 3 + ["Nmm"] * 3) * 2
    file["data"]["analogs"] = np.concatenate(channels)[None]
    corners = 1000 * np.array([[5.0, 1, 0], [-5, 1, 0], [-5, -1, 0], [5, -1, 0]]).T
    file.add_parameter("FORCE_PLATFORM", "USED", [2])
    file.add_parameter("FORCE_PLATFORM", "TYPE", [2, 2])
    file.add_parameter("FORCE_PLATFORM", "ZERO", [1, 0])
    file.add_parameter("FORCE_PLATFORM", "CORNERS", np.stack([corners, corners], axis=2))
    file.add_parameter("FORCE_PLATFORM", "ORIGIN", np.zeros((3, 2)))
    file.add_parameter("FORCE_PLATFORM", "CHANNEL", np.arange(1.0, 13.0).reshape(2, 6).T)
    file.add_parameter("FORCE_PLATFORM", "CAL_MATRIX", np.zeros((6, 6, 0)))
    file.write(str(path))
    return path


def values(trial: Trial) -> dict[str, float]:
    return {row["name"]: row["value"] for row in compare([trial]).rows}


def test_forces_and_markers_give_the_walks_own_numbers(walk: Trial, tmp_path: Path) -> None:
    file = write_walk(tmp_path / "a.c3d", walk)
    info = TrialInfo("walk", body_mass=walk.info.body_mass, speed=walk.info.speed)
    found = read_measured_c3d(file, info, plates=PLATES, markers=MARKERS)
    assert found.info.physics == "measured"
    measured, made = values(found), values(walk)
    for name in ("stride_time", "cadence", "walking_speed", "stride_length", "step_length"):
        assert measured[name] == pytest.approx(made[name], rel=0.01), name
    for name in ("stance_percent", "grf_peak1_bw", "grf_peak2_bw", "grf_trough_bw"):
        assert measured[name] == pytest.approx(made[name], rel=0.02), name
    assert measured["grf_braking_bw"] == pytest.approx(made["grf_braking_bw"], abs=0.01)
    missing = {entry["what"] for entry in compare([found]).missing}
    assert {"activation", "joint_power", "metabolic_rate_bhargava2004"} <= missing


def test_forces_alone_and_markers_alone_are_enough_for_events(walk: Trial, tmp_path: Path) -> None:
    file = write_walk(tmp_path / "a.c3d", walk)
    made = values(walk)
    forces = values(read_measured_c3d(file, INFO, plates=PLATES))
    assert forces["stride_time"] == pytest.approx(made["stride_time"], rel=0.01)
    markers = read_measured_c3d(file, INFO, markers=MARKERS)
    assert "ground_force_r_vy" not in markers.grf
    assert values(markers)["cadence"] == pytest.approx(made["cadence"], rel=0.02)


def test_short_gaps_are_filled_and_long_ones_refused(walk: Trial, tmp_path: Path) -> None:
    short = write_walk(tmp_path / "short.c3d", walk, gap=slice(100, 110))
    trial = read_measured_c3d(short, INFO, markers=MARKERS)
    expected = np.interp(trial.time, walk.time, walk.points["heel_r.x"])
    np.testing.assert_allclose(trial.points["heel_r.x"], expected, atol=0.02)
    long = write_walk(tmp_path / "long.c3d", walk, gap=slice(100, 160))
    with pytest.raises(DataError, match=r"not seen for 0.3\d s; at most 0.1 s"):
        read_measured_c3d(long, INFO, markers=MARKERS)
    # What lies before and after the markers is left out.
    begun = write_walk(tmp_path / "begun.c3d", walk, gap=slice(0, 40))
    trial = read_measured_c3d(begun, INFO, plates=PLATES, markers=MARKERS)
    assert trial.time[0] == pytest.approx(40 / RATE)
    assert trial.grf.values.shape[0] == trial.time.size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "5 markers .* 2 force plates. Name plates, markers or both"),
        ({"plates": {"r": 0}}, "plate of each foot is needed"),
        ({"plates": {"r": 0, "l": 0}}, "both feet are on plate 0"),
        ({"plates": {"r": 0, "l": 7}}, "Force plate 7 was asked for"),
        ({"markers": {"pelvis": "PELVIS"}}, "markers lack heel_r, toe_r, heel_l, toe_l"),
        ({"markers": {**MARKERS, "nose": "NOSE"}}, "name nose that is no landmark"),
        ({"markers": {**MARKERS, "pelvis": "SACRUM"}}, "No marker 'SACRUM'. There are: PELVIS"),
    ],
)
def test_what_does_not_fit_the_file_is_refused(walk, tmp_path, options, message) -> None:
    file = write_walk(tmp_path / "a.c3d", walk)
    with pytest.raises(DataError, match=message):
        read_measured_c3d(file, INFO, **options)


def test_a_foot_beside_its_plate_is_not_taken_for_one_without_load(walk, tmp_path) -> None:
    file = write_walk(tmp_path / "a.c3d", walk, lost=1.2)
    with pytest.raises(DataError, match="do not carry the body"):
        read_measured_c3d(file, INFO, plates=PLATES)


def describe(folder: Path, name: str, **changes: object) -> Path:
    fields = {"name": name, "c3d": "a.c3d", "body_mass": 70.0, "speed": 1.25, **changes}
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items() if value is not None]
    path = folder / f"{name}.toml"
    path.write_text("\n".join([*lines, "plates = { r = 0, l = 1 }"]))
    return path


def test_the_command_compares_described_recordings(walk, tmp_path, capsys) -> None:
    write_walk(tmp_path / "a.c3d", walk)
    files = [
        describe(tmp_path, "plain"),
        describe(tmp_path, "worn", condition="zero_torque", exo_mass=3.2),
    ]
    out = tmp_path / "out"
    assert main(["compare", *map(str, files), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "grf_peak1_bw" in shown
    assert "Not computed: activation" in shown
    rows = json.loads((out / "comparison.json").read_text())["metrics"]
    change = [r for r in rows if r["name"] == "cadence" and r["comparator"] == "no_exo"]
    assert change[0]["change_percent"] == pytest.approx(0.0, abs=1e-9)
    assert "Walking was measured" in (out / "report.html").read_text(encoding="utf-8")


def test_a_bare_recording_is_told_what_must_stand_beside_it(walk, tmp_path, capsys) -> None:
    file = write_walk(tmp_path / "a.c3d", walk)
    assert main(["compare", str(file)]) == 2
    message = capsys.readouterr().err
    for part in ("5 markers", "2 force plates", 'c3d = "a.c3d"', "body_mass", "condition"):
        assert part in message
    (tmp_path / "bad.c3d").write_text("not a recording")
    assert main(["compare", str(tmp_path / "bad.c3d")]) == 2
    message = capsys.readouterr().err
    assert "bad.c3d cannot be read as C3D" in message
    assert "Describe" not in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"c3d": None}, "either coordinates"),
        ({"coordinates": "ik.mot"}, "either coordinates"),
        ({"grf": "grf.mot"}, "grf belong to coordinates"),
        ({"coordinates": "ik.mot", "c3d": None}, "plates belong to c3d"),
    ],
)
def test_a_description_names_one_source(tmp_path, changes, message) -> None:
    with pytest.raises(InputError, match=message):
        read_trials([describe(tmp_path, "walk", **changes)])


def test_a_recording_over_ground_gives_landmarks_but_no_whole_stride_of_force(shared_data) -> None:
    file = shared_data / "c3d" / "walking2.c3d"
    names = {
        "pelvis": ("RASI", "LASI", "RPSI", "LPSI"),
        "heel_r": "RCAL",
        "toe_r": "RMT2",
        "heel_l": "LCAL",
        "toe_l": "LMT2",
    }
    trial = read_measured_c3d(file, INFO, markers=names)
    assert 0.5 < trial.duration < 5.0
    assert 0.7 < trial.points["pelvis.y"].mean() < 1.2
    with pytest.raises(DataError, match="lands 1 time"):
        read_measured_c3d(file, INFO, plates=PLATES)
