"""Inverse kinematics: markers that OpenSim itself places give the motion back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from osim_exo.cli import main
from osim_exo.errors import DataError, InputError, ModelError
from osim_exo.io import Markers, read_table, read_trc
from osim_exo.kinematics import inverse_kinematics
from osim_exo.marker_checks import read_task_weights
from osim_exo.models import ModelConfig
from osim_exo.models.recipe import load_opensim

PLACES = {
    "torso": ((0.1, 0.2, 0.0), (-0.1, 0.3, 0.1), (0.0, 0.4, -0.1)),
    "pelvis": ((0.02, 0.0, 0.13), (0.02, 0.0, -0.13), (-0.17, 0.03, 0.0)),
    **{
        f"{segment}_{side}": places
        for side in "rl"
        for segment, places in {
            "femur": ((0.08, -0.2, 0.03), (0.02, -0.3, 0.08)),
            "tibia": ((0.05, -0.15, 0.03), (0.02, -0.3, 0.06)),
            "calcn": ((0.0, 0.02, 0.0), (0.2, 0.02, 0.02)),
        }.items()
    },
}
"""Marker places on the bodies, m: a marker set of our own."""


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    """The planar model with markers, a walk of it, and where OpenSim puts the markers then."""
    osim = load_opensim()
    model = ModelConfig().build()
    for body, places in PLACES.items():
        for k, place in enumerate(places):
            frame = model.getBodySet().get(body)
            model.addMarker(osim.Marker(f"{body}.{k}", frame, osim.Vec3(*place)))
    model.finalizeConnections()
    path = tmp_path_factory.mktemp("person") / "person.osim"
    model.printToXML(str(path))
    state = model.initSystem()
    time = np.linspace(0.0, 1.0, 26)
    motion = walk(time)
    names = [f"{body}.{k}" for body, places in PLACES.items() for k in range(len(places))]
    positions = np.zeros((time.size, len(names), 3))
    for row in range(time.size):
        for name, values in motion.items():
            model.getCoordinateSet().get(name).setValue(state, values[row], False)
        model.realizePosition(state)
        for k, name in enumerate(names):
            found = model.getMarkerSet().get(name).getLocationInGround(state)
            positions[row, k] = [found.get(axis) for axis in range(3)]
    return path, Markers(time, tuple(names), positions), motion


def walk(time):
    """Coordinates of something like a walk, rad and m."""
    turn = 2.0 * np.pi * time
    found = {
        "pelvis_tilt": -0.1 + 0.05 * np.sin(2 * turn),
        "pelvis_tx": 1.2 * time,
        "pelvis_ty": 0.95 + 0.02 * np.cos(2 * turn),
        "lumbar_extension": -0.1 + 0.05 * np.cos(turn),
    }
    for side, late in (("r", 0.0), ("l", np.pi)):
        found[f"hip_flexion_{side}"] = 0.2 + 0.4 * np.sin(turn + late)
        found[f"knee_angle_{side}"] = -0.5 + 0.45 * np.cos(turn + late)
        found[f"ankle_angle_{side}"] = 0.2 * np.sin(2 * turn + late)
    return found


def write_trc(path, markers, unit="mm", positions=None):
    scale = {"mm": 1e3, "m": 1.0}[unit]
    values = scale * (markers.positions if positions is None else positions)
    n, count = values.shape[:2]
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tour.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits",
        f"25\t25\t{n}\t{count}\t{unit}",
        "Frame#\tTime\t" + "\t\t\t".join(markers.names),
        "\t\t" + "\t".join(f"{a}{k}" for k in range(1, count + 1) for a in "XYZ"),
    ]
    for row in range(n):
        cells = ["" if np.isnan(x) else repr(float(x)) for x in values[row].ravel()]
        lines.append("\t".join([str(row + 1), repr(float(markers.time[row])), *cells]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_motion_comes_back_to_a_thousandth_of_a_degree(person):
    path, markers, motion = person
    found = inverse_kinematics(path, markers)
    for name, wanted in motion.items():
        unit = 1e-5 if name.endswith(("_tx", "_ty")) else np.radians(1e-3)
        np.testing.assert_allclose(found.coordinates[name], wanted, atol=unit, err_msg=name)
    assert found.rms < 1e-5
    assert found.notes == ()


def test_markers_are_solved_where_a_c3d_file_was_read(person, tmp_path):
    # Its library wraps vectors of strings too, and OpenSim's own are no arguments any more then.
    ezc3d = pytest.importorskip("ezc3d", reason="the extra sim is not installed")
    path, markers, motion = person
    recording = ezc3d.c3d()
    recording["parameters"]["POINT"]["RATE"]["value"] = [25.0]
    recording["parameters"]["POINT"]["LABELS"]["value"] = list(markers.names)
    points = np.ones((4, len(markers.names), markers.time.size))
    points[:3] = 1e3 * markers.positions.transpose(2, 1, 0)
    recording["data"]["points"] = points
    recording.write(str(tmp_path / "walk.c3d"))
    assert list(ezc3d.c3d(str(tmp_path / "walk.c3d"))["parameters"]["POINT"]["LABELS"]["value"])
    found = inverse_kinematics(path, markers, end=0.2)
    knee = motion["knee_angle_r"][: found.time.size]
    np.testing.assert_allclose(found.coordinates["knee_angle_r"], knee, atol=np.radians(1e-3))


def test_a_gap_is_left_out_and_told_and_the_motion_is_the_same(person):
    path, markers, motion = person
    positions = markers.positions.copy()
    lost = markers.names.index("calcn_r.1")
    positions[5:9, lost], positions[20, lost] = np.nan, 0.0
    found = inverse_kinematics(path, replace(markers, positions=positions))
    assert "calcn_r.1 in 5 of 26" in " ".join(found.notes)
    assert np.isnan(found.errors["calcn_r.1"]).sum() == 5
    knee = found.coordinates["knee_angle_r"]
    np.testing.assert_allclose(knee, motion["knee_angle_r"], atol=np.radians(1e-3))


def test_a_frame_without_a_foot_is_refused_and_may_be_cut_off(person):
    path, markers, _ = person
    positions = markers.positions.copy()
    foot = [markers.names.index(f"calcn_l.{k}") for k in (0, 1)]
    positions[22:, foot] = np.nan
    holed = replace(markers, positions=positions)
    with pytest.raises(DataError, match=r"At 0.88 s calcn_l.0, calcn_l.1 .* tell ankle_angle_l\."):
        inverse_kinematics(path, holed)
    with pytest.raises(DataError, match="with start and end: 0 to 0.84 s can be used"):
        inverse_kinematics(path, holed)
    positions[0] = np.nan
    with pytest.raises(DataError, match=r"all markers were .* tell the posture.* 0.04 to 0.84 s"):
        inverse_kinematics(path, holed)
    positions[0] = markers.positions[0]
    assert inverse_kinematics(path, holed, end=0.84).time.size == 22


def test_a_joint_without_markers_is_told(person):
    path, markers, _ = person
    kept = [k for k, name in enumerate(markers.names) if not name.startswith("torso")]
    names = tuple(markers.names[k] for k in kept)
    found = inverse_kinematics(path, Markers(markers.time, names, markers.positions[:, kept]))
    assert "No marker tells lumbar_extension" in " ".join(found.notes)
    assert not found.coordinates["lumbar_extension"].any()


def test_weights_lead_the_motion_to_the_heavier_marker(person):
    path, markers, _ = person
    positions = markers.positions.copy()
    wrong = markers.names.index("femur_r.0")
    positions[:, wrong, 0] += 0.05
    moved = replace(markers, positions=positions)
    errors = [
        inverse_kinematics(path, moved, end=0.2, weights={"femur_r.0": w}).errors["femur_r.0"].max()
        for w in (0.1, 1.0, 20.0)
    ]
    assert errors[0] > errors[1] > errors[2]
    left_out = inverse_kinematics(path, moved, end=0.2, weights={"femur_r.0": 0.0})
    assert "femur_r.0" not in left_out.errors.names and left_out.rms < 1e-4
    assert "errors are large" not in " ".join(left_out.notes)
    with pytest.raises(InputError, match="nobody"):
        inverse_kinematics(path, moved, weights={"nobody": 1.0})
    with pytest.raises(InputError, match="femur_r.0=-1"):
        inverse_kinematics(path, moved, weights={"femur_r.0": -1.0})


def test_a_belt_shows_in_the_feet():
    from osim_exo.marker_checks import belt_speed

    time = np.linspace(0.0, 2.0, 201)
    stance = (time % 1.0) < 0.6
    forward = np.cumsum(np.where(stance, -1.2, 1.8)) * 0.01
    height = np.where(stance, 0.03, 0.08)
    foot = np.stack([forward, height, 0 * time], axis=1)
    positions = np.stack([foot, foot + [0.1, 0.9, 0.0], foot + [0.0, 1.0, 0.1]], axis=1)
    assert belt_speed(time, positions) == pytest.approx(1.2, abs=0.01)
    positions[..., 0] += 1.2 * time[:, None]
    assert belt_speed(time, positions) == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda m: replace(m, positions=1e3 * m.positions), DataError, "unit that the file names"),
        (lambda m: replace(m, positions=m.positions[..., [0, 2, 1]]), DataError, "have .z up"),
        (lambda m: replace(m, positions=m.positions * [-1, 1, -1]), DataError, "points forward"),
        (lambda m: replace(m, names=tuple(f"M{n}" for n in m.names)), DataError, "share 0 marker"),
        (lambda m: replace(m, positions=m.positions * np.nan), DataError, "In no frame"),
    ],
)
def test_recordings_that_do_not_fit_the_model_are_refused(person, change, error, words):
    path, markers, _ = person
    with pytest.raises(error, match=words):
        inverse_kinematics(path, change(markers))


def test_names_with_a_prefix_and_turned_axes_are_understood(person):
    path, markers, motion = person
    named = replace(markers, names=tuple(f"Anna:{n}" for n in markers.names))
    turned = replace(named, positions=named.positions[..., [0, 2, 1]] * [-1.0, 1.0, 1.0])
    found = inverse_kinematics(path, turned.turned(forward="-x", up="+z"), end=0.2)
    hip = motion["hip_flexion_r"][: found.time.size]
    np.testing.assert_allclose(found.coordinates["hip_flexion_r"], hip, atol=1e-5)


def test_a_model_without_markers_and_times_outside_are_refused(person):
    path, markers, _ = person
    with pytest.raises(ModelError, match="no markers"):
        inverse_kinematics("gait2d", markers)
    with pytest.raises(ModelError, match=r"no model file 'none\.osim'"):
        inverse_kinematics("none.osim", markers)
    with pytest.raises(InputError, match="spans 0 to 1 s"):
        inverse_kinematics(path, markers, start=0.5, end=3.0)


def test_the_command_writes_the_motion_and_tells_the_errors(person, tmp_path, capsys):
    path, markers, motion = person
    trc = write_trc(tmp_path / "walk.trc", markers)
    out, numbers = tmp_path / "walk.mot", tmp_path / "numbers.json"
    words = ["ik", str(path), str(trc), "--out", str(out), "--quiet"]
    assert main([*words, "--weight", "pelvis.0=3", "calcn_r.0=0", "--json", str(numbers)]) == 0
    table = read_table(out)
    knee = table.channels["knee_angle_r"]
    np.testing.assert_allclose(knee, motion["knee_angle_r"], atol=1e-5)
    told = json.loads(numbers.read_text())
    assert told["frames"] == 26 and told["rms_m"] < 1e-4
    assert "calcn_r.0" not in [row["marker"] for row in told["markers"]]
    assert "26 frames, 0 to 1 s" in capsys.readouterr().out
    turned = replace(markers, positions=markers.positions[..., [0, 2, 1]] * [-1.0, 1.0, 1.0])
    laboratory = ["ik", str(path), str(write_trc(tmp_path / "turned.trc", turned)), "--quiet"]
    assert main([*laboratory, "--out", str(out), "--forward", "-x", "--up", "+z"]) == 0
    again = read_table(out).channels["knee_angle_r"]
    np.testing.assert_allclose(again, motion["knee_angle_r"], atol=1e-5)
    assert main([*words, "--weight", "pelvis.0"]) == 2
    assert main([*words[:3], "--out", str(tmp_path / "walk.txt"), "--quiet"]) == 2
    assert main(["ik", str(path), str(out), "--out", str(out), "--quiet"]) == 2
    err = capsys.readouterr().err
    assert "R.Heel=2" in err and ".mot or .sto" in err and ".trc and .c3d" in err


def test_weights_are_read_from_an_opensim_setup(tmp_path):
    task = "<IKMarkerTask name='{}'><apply>{}</apply><weight>{}</weight></IKMarkerTask>"
    tasks = task.format("A", "true", 3) + task.format("B", "false", 1)
    path = tmp_path / "setup.xml"
    path.write_text(f"<OpenSimDocument><IKTaskSet>{tasks}</IKTaskSet></OpenSimDocument>")
    assert read_task_weights(path) == {"A": 3.0, "B": 0.0}
    path.write_text("<x><IKCoordinateTask name='knee'><apply>true</apply></IKCoordinateTask></x>")
    with pytest.raises(DataError, match="knee"):
        read_task_weights(path)
    path.write_text("no xml")
    with pytest.raises(DataError, match=r"no OpenSim \.xml"):
        read_task_weights(path)
    with pytest.raises(DataError, match="does not exist"):
        read_task_weights(tmp_path / "none.xml")


PUBLISHED = dict.fromkeys(("Top.Head", "R.ASIS", "L.ASIS", "V.Sacral"), 3.0)
PUBLISHED |= dict.fromkeys(("R.Heel", "L.Heel", "R.Toe.Tip", "L.Toe.Tip"), 2.0)
"""Weights of OpenSim's own gait10dof18musc example; 1 for the others."""


def test_a_recorded_walk_agrees_with_the_published_solution(shared_data):
    folder = shared_data / "gait10dof18musc"
    found = inverse_kinematics(
        folder / "subject01.osim", read_trc(folder / "subject01_walk.trc"), weights=PUBLISHED
    )
    published = read_table(folder / "subject01_walk_IK.mot").channels
    for name in found.coordinates.names:
        unit = 1e-4 if name.endswith(("_tx", "_ty")) else np.radians(0.1)
        np.testing.assert_allclose(
            found.coordinates[name], published[name], atol=unit, err_msg=name
        )
    assert "a treadmill" in " ".join(found.notes)


@pytest.mark.slow
def test_a_walk_in_space_is_near_the_motion_that_was_refined_from_it(shared_data):
    """The published motion went on through residual reduction and another fit of the model."""
    folder = shared_data / "moco_3d_walking"
    found = inverse_kinematics(
        folder / "subject_walk_scaled.osim",
        read_trc(folder / "markers_walk.trc"),
        start=0.5,
        end=0.9,
    )
    table = read_table(folder / "coordinates.sto")
    published = {name.split("/")[-2]: table.channels[name] for name in table.channels.names}
    assert found.rms < 0.02
    for side in "rl":
        for name in (f"hip_flexion_{side}", f"knee_angle_{side}", f"ankle_angle_{side}"):
            wanted = np.interp(found.time, table.time, published[name])
            error = np.degrees(found.coordinates[name] - wanted)
            assert np.abs(error).max() < 8.0, name
