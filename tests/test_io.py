"""Tables, markers and trial folders: exact round trips, OpenSim as reference, clear refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osim_exo.errors import DataError, InputError
from osim_exo.io import (
    read_measured,
    read_table,
    read_trc,
    read_trial,
    write_table,
    write_trial,
)
from osim_exo.trial import SERIES, Channels, Trial, TrialInfo
from tests.synthetic import replaced, walking_trial

HEAD = "motion\nversion=1\nnRows={rows}\nnColumns=3\ninDegrees={degrees}\nendheader\n"


def _file(tmp_path, text, name="a.mot"):
    path = tmp_path / name
    path.write_text(text)
    return path


def _table(rows="0\t90\t1\n1\t180\t2\n", n=2, degrees="no", names="time\thip_flexion_r\tpelvis_tx"):
    return HEAD.format(rows=n, degrees=degrees) + names + "\n" + rows


def test_degrees_become_radians_but_not_translations_forces_or_muscle_columns(tmp_path):
    names = "time\thip_flexion_r\tpelvis_tx\t/jointset/groundPelvis/pelvis_ty/value"
    names += "\tground_force_vx\tground_force_px\t/forceset/soleus_r/activation\tknee/speed"
    table = read_table(_file(tmp_path, _table("0" + "\t180" * 7 + "\n", 1, "yes", names)))
    assert table.channels["hip_flexion_r"][0] == pytest.approx(np.pi)
    assert table.channels["knee/speed"][0] == pytest.approx(np.pi)
    assert list(table.channels.values[0, 1:6]) == [180.0] * 5
    radians = read_table(_file(tmp_path, _table("0" + "\t180" * 7 + "\n", 1, "no", names)))
    assert set(radians.channels.values[0]) == {180.0}


def test_table_round_trips_exactly(tmp_path):
    rng = np.random.default_rng(0)
    time = np.cumsum(rng.uniform(0.001, 0.01, 50))
    channels = Channels(
        ("a", "/b/value"), rng.standard_normal((50, 2)) * 10.0 ** rng.integers(-12, 12)
    )
    write_table(tmp_path / "t.sto", time, channels, "some name", {"note": "x=y"})
    back = read_table(tmp_path / "t.sto")
    np.testing.assert_array_equal(back.time, time)
    np.testing.assert_array_equal(back.channels.values, channels.values)
    assert back.channels.names == channels.names
    assert back.header["name"] == "some name" and back.header["note"] == "x=y"
    assert [p.name for p in tmp_path.iterdir()] == ["t.sto"]


def test_opensim_reads_a_written_table(tmp_path):
    osim = pytest.importorskip("opensim")
    osim.Logger.removeFileSink()
    osim.Logger.setLevelString("error")
    trial = walking_trial()
    write_table(tmp_path / "q.sto", trial.time, trial.coordinates)
    table = osim.TimeSeriesTable(str(tmp_path / "q.sto"))
    assert tuple(table.getColumnLabels()) == trial.coordinates.names
    assert table.getTableMetaDataString("inDegrees") == "no"
    np.testing.assert_array_equal(table.getMatrix().to_numpy(), trial.coordinates.values)
    storage = osim.Storage(str(tmp_path / "q.sto"))
    assert storage.getSize() == trial.time.size


def test_opensim_reads_the_same_numbers_from_reference_files(shared_data):
    osim = pytest.importorskip("opensim")
    osim.Logger.removeFileSink()
    osim.Logger.setLevelString("error")
    for name in ("moco_2d_walking/referenceGRF.sto", "gait10dof18musc/subject01_walk_ID.sto"):
        path = shared_data / name
        table, reference = read_table(path), osim.TimeSeriesTable(str(path))
        assert table.channels.names == tuple(reference.getColumnLabels())
        np.testing.assert_array_equal(table.channels.values, reference.getMatrix().to_numpy())


def test_opensim_agrees_on_degrees_of_the_measured_walk(shared_data):
    path = shared_data / "gait10dof18musc" / "subject01_walk_IK.mot"
    table = read_table(path)
    assert table.channels["pelvis_tilt"][0] == pytest.approx(np.deg2rad(10.32995988))
    assert table.channels["pelvis_ty"][0] == pytest.approx(1.01790250)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time\ta\n0\t1\n", "no 'endheader'"),
        (_table(n=5), "header says nRows=5, the file holds 2"),
        (_table("0\t1\t2\n1\t2\n"), "line 9: 2 numbers for 3 columns"),
        (_table("0\t1\t2\n1\tx\t2\n"), "line 9: 'x' is not a number"),
        (_table("0\t1\t2\n1\tnan\t2\n"), "line 9: column 2 is nan"),
        (_table("1\t1\t2\n\n1\t2\t3\n"), "strictly increasing time"),
        (_table("", 0), "no rows of numbers"),
        (_table(names="t\ta\tb"), "line 7: the first column is 't'"),
        (_table(names="time\ta\ta"), "line 7: columns occur more than once: a"),
        (HEAD.format(rows=1, degrees="no"), "ends after its header"),
        (_table().replace("version=1", "version=3\nDataType=Vec3"), "DataType is Vec3"),
    ],
)
def test_malformed_tables_name_the_place_and_what_is_allowed(tmp_path, text, message):
    path = _file(tmp_path, text)
    with pytest.raises(DataError, match=message) as error:
        read_table(path)
    assert str(path) in str(error.value)


def test_missing_and_binary_files_are_data_errors(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_table(tmp_path / "none.sto")
    (tmp_path / "binary.sto").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match="not a text file"):
        read_table(tmp_path / "binary.sto")


def test_column_names_with_tabs_are_not_written(tmp_path):
    with pytest.raises(DataError, match="tabs or line breaks"):
        write_table(tmp_path / "a.sto", np.arange(2.0), Channels(("a\tb",), np.zeros((2, 1))))
    assert list(tmp_path.iterdir()) == []


TRC = (
    "PathFileType\t4\t(X/Y/Z)\ta.trc\n"
    "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\n"
    "100\t100\t{n}\t2\t{unit}\t100\n"
    "Frame#\tTime\tHEEL\t\t\tTOE\n"
    "\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n"
    "\n"
    "1\t0.00\t1000\t2000\t3000\t\t\t\n"
    "2\t0.01\t1001\t2000\t3000\t4\t5\t6\n"
)


def test_trc_lengths_become_metres_and_gaps_become_nan(tmp_path):
    markers = read_trc(_file(tmp_path, TRC.format(n=2, unit="mm"), "a.trc"))
    assert markers.names == ("HEEL", "TOE")
    np.testing.assert_allclose(markers["HEEL"], [[1, 2, 3], [1.001, 2, 3]])
    assert np.isnan(markers["TOE"][0]).all()
    np.testing.assert_allclose(markers["TOE"][1], [0.004, 0.005, 0.006])
    in_metres = read_trc(_file(tmp_path, TRC.format(n=2, unit="m"), "b.trc"))
    assert in_metres["HEEL"][0, 0] == 1000.0
    with pytest.raises(DataError, match="No marker 'KNEE'"):
        markers["KNEE"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello\n", "starts with 'PathFileType'"),
        (TRC.format(n=2, unit="furlong"), "markers are in 'furlong'; allowed are m, cm, mm"),
        (TRC.format(n=9, unit="mm"), "NumFrames=9, the file holds 2"),
        (TRC.format(n=2, unit="mm").replace("\t4\t5\t6", "\t4"), "line 8: 6 cells for 2 markers"),
        (TRC.format(n=2, unit="mm").replace("1001", "abc"), "line 8: a cell is not a number"),
        (TRC.format(n=2, unit="mm").replace("0.01", "0.00"), "strictly increasing"),
    ],
)
def test_malformed_trc_names_the_place(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_trc(_file(tmp_path, text, "a.trc"))


def test_reference_markers_are_read_in_metres(shared_data):
    markers = read_trc(shared_data / "gait10dof18musc" / "subject01_walk.trc")
    assert markers.positions.shape == (151, 41, 3)
    np.testing.assert_allclose(markers["R.ASIS"][0], [0.61724762, 1.05527502, 0.17078198])


def test_trial_folder_round_trips_exactly(tmp_path):
    trial = replaced(walking_trial("assisted", seed=3), speed=float("nan"))
    back = read_trial(write_trial(trial, tmp_path / "a"))
    assert np.isnan(back.info.speed)
    assert replace(back.info, speed=1.0) == replace(trial.info, speed=1.0)
    np.testing.assert_array_equal(back.time, trial.time)
    for name in SERIES:
        assert getattr(back, name).names == getattr(trial, name).names
        np.testing.assert_array_equal(getattr(back, name).values, getattr(trial, name).values)


def test_writing_again_replaces_the_trial_and_leaves_no_temporary_files(tmp_path):
    write_trial(walking_trial("assisted"), tmp_path / "a")
    write_trial(walking_trial("no_exo"), tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert not (tmp_path / "a" / "exo_torque.sto").exists()
    assert read_trial(tmp_path / "a").info.condition == "no_exo"


def test_states_file_opens_on_a_model_with_these_paths(tmp_path):
    osim = pytest.importorskip("opensim")
    osim.Logger.removeFileSink()
    osim.Logger.setLevelString("error")
    model = osim.Model()
    body = osim.Body("b", 1.0, osim.Vec3(0), osim.Inertia(1))
    joint = osim.PinJoint("hip_r", model.getGround(), body)
    joint.updCoordinate().setName("hip_flexion_r")
    model.addBody(body)
    model.addJoint(joint)
    model.initSystem()
    time = np.linspace(0, 1, 5)
    value = Channels(("hip_flexion_r",), time[:, None] ** 2)
    info = TrialInfo(
        "t", provenance={"coordinate_paths": {"hip_flexion_r": "/jointset/hip_r/hip_flexion_r"}}
    )
    trial = Trial.build(time, info, coordinates=value, speeds=value)
    write_trial(trial, tmp_path / "t")
    states = osim.StatesTrajectory.createFromStatesTable(
        model, osim.TimeSeriesTable(str(tmp_path / "t" / "states.sto"))
    )
    coordinate = model.getCoordinateSet().get(0)
    assert [coordinate.getValue(states[i]) for i in range(5)] == list(time**2)


def test_other_folders_are_not_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(DataError, match="is not a trial folder"):
        write_trial(walking_trial(), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_what_cannot_be_stored_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match="cannot be stored"):
        write_trial(replaced(walking_trial(), provenance={"x": object()}), tmp_path / "a")
    empty = Trial.build(np.arange(3.0), TrialInfo("t"))
    with pytest.raises(DataError, match="nothing to write"):
        write_trial(empty, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_broken_trial_folders_say_what_is_wrong(tmp_path):
    with pytest.raises(DataError, match="has no trial.json"):
        read_trial(tmp_path)
    folder = write_trial(walking_trial(), tmp_path / "a")
    text = (folder / "trial.json").read_text()
    for broken, message in (
        (text[:40], "not JSON"),
        (json.dumps({"schema_version": 99}), "schema_version must be 1"),
        (json.dumps({"schema_version": 1, "info": {}, "series": []}), "malformed entry"),
        (text.replace('"grf"', '"speed_of_light"'), "speed_of_light"),
    ):
        (folder / "trial.json").write_text(broken)
        with pytest.raises(DataError, match=message):
            read_trial(folder)
    (folder / "trial.json").write_text(text)
    (folder / "grf.sto").unlink()
    with pytest.raises(DataError, match="grf.sto does not exist"):
        read_trial(folder)


@pytest.mark.parametrize("series", ["speeds", "moments"])
def test_a_trial_whose_coordinates_lack_a_joint_is_refused(tmp_path, series):
    trial = walking_trial()
    folder = write_trial(trial, tmp_path / "a")
    kept = [n for n in trial.coordinates.names if n != "hip_flexion_r"]
    write_table(folder / "coordinates.sto", trial.time, trial.coordinates.select(kept))
    if series == "moments":
        kept = [n for n in trial.speeds.names if n != "hip_flexion_r"]
        write_table(folder / "speeds.sto", trial.time, trial.speeds.select(kept))
    with pytest.raises(DataError, match=f"no column hip_flexion_r, which {series}.sto has"):
        read_trial(folder)


def _measured_files(tmp_path, trial):
    write_table(tmp_path / "q.mot", trial.time, trial.coordinates)
    forces = Channels(
        tuple(n.replace("_r_", "_").replace("ground_force_l_", "1_ground_force_")
              .replace("ground_torque_l_", "1_ground_torque_") for n in trial.grf.names),
        trial.grf.values,
    )  # fmt: skip
    write_table(tmp_path / "grf.mot", trial.time, forces)
    names = tuple(f"{n}_moment" for n in trial.moments.names)
    write_table(tmp_path / "id.sto", trial.time, Channels(names, trial.moments.values))
    return tmp_path / "q.mot", tmp_path / "grf.mot", tmp_path / "id.sto"


def test_measured_walk_becomes_a_trial_with_speeds_forces_and_moments(tmp_path):
    walk = walking_trial(n_strides=2)
    q, grf, moments = _measured_files(tmp_path, walk)
    info = TrialInfo("m", body_mass=75.0)
    trial = read_measured(q, info, grf=grf, moments=moments, cutoff_hz=None)
    assert trial.info.physics == "measured"
    np.testing.assert_allclose(trial.coordinates.values, walk.coordinates.values, atol=1e-12)
    inner = slice(5, -5)
    np.testing.assert_allclose(trial.speeds.values[inner], walk.speeds.values[inner], atol=5e-3)
    assert set(trial.grf.names) == set(walk.grf.names)
    np.testing.assert_allclose(trial.grf["ground_force_l_vy"], walk.grf["ground_force_l_vy"])
    np.testing.assert_allclose(trial.moments["knee_angle_l"], walk.moments["knee_angle_l"])


def test_low_pass_filter_removes_noise_and_keeps_the_walk(tmp_path):
    walk = walking_trial(n_strides=4)
    noise = 0.01 * np.random.default_rng(0).standard_normal(walk.coordinates.values.shape)
    noisy = Channels(walk.coordinates.names, walk.coordinates.values + noise)
    write_table(tmp_path / "q.mot", walk.time, noisy)
    trial = read_measured(tmp_path / "q.mot", TrialInfo("m"), cutoff_hz=6.0)
    raw = read_measured(tmp_path / "q.mot", TrialInfo("m"), cutoff_hz=None)
    error = np.abs(trial.speeds["knee_angle_r"] - walk.speeds["knee_angle_r"])[20:-20].mean()
    rough = np.abs(raw.speeds["knee_angle_r"] - walk.speeds["knee_angle_r"])[20:-20].mean()
    assert error < 0.25 * rough


def test_filter_has_its_half_power_point_at_the_cutoff(tmp_path):
    time = np.arange(0, 20, 0.005)
    wave = np.sin(2 * np.pi * 6.0 * time)
    write_table(tmp_path / "q.mot", time, Channels(("hip_flexion_r",), wave[:, None]))
    trial = read_measured(tmp_path / "q.mot", TrialInfo("m"), cutoff_hz=6.0)
    middle = trial.coordinates["hip_flexion_r"][1000:-1000]
    assert np.ptp(middle) / 2 == pytest.approx(1 / np.sqrt(2), rel=5e-3)


def test_measured_walk_of_reference_data_keeps_paths_of_state_files(shared_data):
    trial = read_measured(
        shared_data / "moco_2d_walking" / "referenceCoordinates.sto", TrialInfo("m"), cutoff_hz=None
    )
    assert "knee_angle_r" in trial.coordinates
    paths = trial.info.provenance["coordinate_paths"]
    assert paths["knee_angle_r"] == "/jointset/knee_r/knee_angle_r"


def test_measured_files_that_do_not_fit_are_refused(tmp_path):
    walk = walking_trial()
    q, grf, _ = _measured_files(tmp_path, walk)
    write_table(tmp_path / "later.mot", walk.time + 5, walk.grf)
    with pytest.raises(DataError, match="must overlap"):
        read_measured(q, TrialInfo("m"), grf=tmp_path / "later.mot")
    with pytest.raises(DataError, match="'plate1_vy' is not among"):
        read_measured(q, TrialInfo("m"), grf=grf, grf_prefixes={"r": "plate1_", "l": "plate2_"})
    with pytest.raises(InputError, match="cutoff_hz=900"):
        read_measured(q, TrialInfo("m"), cutoff_hz=900)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400), st.binary(max_size=12), st.sampled_from("tx"))
def test_damaged_text_files_give_numbers_or_a_data_error(tmp_path_factory, start, stop, junk, kind):
    whole = (TRC.format(n=2, unit="mm") if kind == "x" else _table()).encode()
    damaged = whole[: min(start, stop)] + junk + whole[max(start, stop) :]
    path = tmp_path_factory.mktemp("damaged") / "file.txt"
    path.write_bytes(damaged)
    try:
        if kind == "x":
            assert np.isfinite(read_trc(path).time).all()
        else:
            table = read_table(path)
            assert np.isfinite(table.channels.values).all() and np.isfinite(table.time).all()
    except DataError as error:
        assert str(path) in str(error)
