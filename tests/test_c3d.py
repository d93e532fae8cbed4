"""C3D files: written here with ezc3d, read by both libraries, force plates against ezc3d."""

import sys

import numpy as np
import pytest

from osim_exo.errors import DataError, InputError, MissingExtraError
from osim_exo.io import read_c3d
from osim_exo.io.force_plates import plate_loads

ezc3d = pytest.importorskip("ezc3d")

CORNERS = np.array([[0.0, 400.0, 0.0], [600.0, 400.0, 0.0], [600.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
UP = np.array([0.0, 0.0, 1.0])
POINT = np.array([420.0, 130.0])
LOAD = np.array([30.0, -12.0, 700.0])
FREE = 3.5


def _plate_channels(n):
    """What a type 2 plate with its sensor 40 mm under the top gives for a known reaction."""
    centre = CORNERS.mean(axis=0)
    x = (CORNERS[0] - CORNERS[1]) / 600.0
    y = (CORNERS[0] - CORNERS[3]) / 400.0
    axes = np.stack([x, y, np.cross(x, y)])
    force = axes @ LOAD
    arm = axes @ (np.append(POINT, 0.0) - centre)
    top_to_sensor = np.array([0.0, 0.0, -40.0])
    moment = np.cross(arm + top_to_sensor, force) + np.array([0, 0, (axes @ [0, 0, FREE * 1e3])[2]])
    return np.tile(np.concatenate([force, moment]), (n, 1))


def _write(path, *, units="mm", screens=True, plate=True, scale=1.0):
    file = ezc3d.c3d()
    frames = 10
    points = np.zeros((4, 2, frames))
    points[:3, 0] = np.array([[500.0], [200.0], [900.0]]) * scale
    points[:3, 1] = np.arange(frames) * 10.0 * scale
    points[3] = 1
    points[:3, 1, 3] = np.nan
    file["parameters"]["POINT"]["RATE"]["value"] = [100]
    file["parameters"]["POINT"]["LABELS"]["value"] = ["HEEL", "TOE"]
    if units:
        file["parameters"]["POINT"]["UNITS"]["value"] = [units]
    else:
        file["parameters"]["POINT"]["UNITS"]["value"] = []
    if screens:
        file.add_parameter("POINT", "X_SCREEN", ["+X"])
        file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    file["data"]["points"] = points
    file["parameters"]["ANALOG"]["RATE"]["value"] = [1000]
    file["parameters"]["ANALOG"]["LABELS"]["value"] = ["Fx", "Fy", "Fz", "Mx", "My", "Mz"]
    file["parameters"]["ANALOG"]["UNITS"]["value"] = ["N"] * 3 + ["Nmm"] * 3
    file["data"]["analogs"] = _plate_channels(frames * 10).T[None]
    if plate:
        file.add_parameter("FORCE_PLATFORM", "USED", [1])
        file.add_parameter("FORCE_PLATFORM", "TYPE", [2])
        file.add_parameter("FORCE_PLATFORM", "ZERO", [1, 0])
        file.add_parameter("FORCE_PLATFORM", "CORNERS", CORNERS.T[:, :, None] * scale)
        file.add_parameter("FORCE_PLATFORM", "ORIGIN", np.array([[0.0], [0.0], [-40.0]]) * scale)
        file.add_parameter("FORCE_PLATFORM", "CHANNEL", np.arange(1.0, 7.0)[:, None])
        file.add_parameter("FORCE_PLATFORM", "CAL_MATRIX", np.zeros((6, 6, 0)))
    file.write(str(path))
    return path


def test_known_load_comes_back_in_opensims_axes(tmp_path):
    recording = read_c3d(_write(tmp_path / "a.c3d"))
    plate = recording.plates[0]
    np.testing.assert_allclose(plate.force[0], [30.0, 700.0, 12.0], atol=1e-3)
    np.testing.assert_allclose(plate.centre_of_pressure[0], [0.420, 0.0, -0.130], atol=1e-5)
    np.testing.assert_allclose(plate.free_moment[0], [0.0, FREE, 0.0], atol=1e-3)
    assert recording.analog_time[10] == pytest.approx(recording.markers.time[1])
    np.testing.assert_allclose(recording.markers["HEEL"][0], [0.5, 0.9, -0.2], atol=1e-6)
    assert np.isnan(recording.markers["TOE"][3]).all()


def test_forward_axis_turns_the_recording(tmp_path):
    recording = read_c3d(_write(tmp_path / "a.c3d"), forward="+y")
    np.testing.assert_allclose(recording.markers["HEEL"][0], [0.2, 0.9, 0.5], atol=1e-6)
    np.testing.assert_allclose(recording.plates[0].force[0], [-12.0, 700.0, 30.0], atol=1e-3)
    with pytest.raises(DataError, match="two different axes"):
        read_c3d(tmp_path / "a.c3d", forward="-z")
    with pytest.raises(InputError, match="Unknown forward 'north'"):
        read_c3d(tmp_path / "a.c3d", forward="north")


@pytest.mark.parametrize("scale", [1.0, 0.001])
def test_missing_point_units_are_judged_by_size(tmp_path, scale):
    path = _write(tmp_path / "a.c3d", units="", scale=scale)
    np.testing.assert_allclose(read_c3d(path).markers["HEEL"][0], [0.5, 0.9, -0.2], atol=1e-6)


def test_given_unit_overrides_the_file(tmp_path):
    recording = read_c3d(_write(tmp_path / "a.c3d", plate=False), point_unit="cm")
    np.testing.assert_allclose(recording.markers["HEEL"][0], [5.0, 9.0, -2.0], atol=1e-5)
    with pytest.raises(DataError, match="markers are in 'inch'"):
        read_c3d(tmp_path / "a.c3d", point_unit="inch")


def test_ground_reaction_has_the_channels_of_a_trial(tmp_path):
    recording = read_c3d(_write(tmp_path / "a.c3d"))
    grf = recording.ground_reaction({"r": 0})
    assert grf["ground_force_r_vy"][0] == pytest.approx(700.0, abs=1e-3)
    assert grf["ground_force_r_px"][0] == pytest.approx(0.42, abs=1e-5)
    with pytest.raises(DataError, match="Force plate 1 was asked for; there are 1"):
        recording.ground_reaction({"r": 0, "l": 1})
    with pytest.raises(InputError, match="Unknown side"):
        recording.ground_reaction({"right": 0})


def test_c3d_library_reads_the_same_as_ezc3d(tmp_path, monkeypatch):
    pytest.importorskip("c3d")
    path = _write(tmp_path / "a.c3d")
    first = read_c3d(path)
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    second = read_c3d(path)
    assert first.markers.names == second.markers.names
    np.testing.assert_allclose(first.markers.positions, second.markers.positions)
    np.testing.assert_allclose(first.plates[0].force, second.plates[0].force)
    np.testing.assert_allclose(
        first.plates[0].centre_of_pressure, second.plates[0].centre_of_pressure
    )
    monkeypatch.setitem(sys.modules, "c3d", None)
    with pytest.raises(MissingExtraError, match=r"osim_exo\[sim\]"):
        read_c3d(path)


def test_reference_recording_equals_ezc3ds_force_plates(shared_data):
    path = shared_data / "c3d" / "walking2.c3d"
    recording = read_c3d(path)
    expected = ezc3d.c3d(str(path), extract_forceplat_data=True)["data"]["platform"]
    assert recording.markers.positions.shape == (1249, 44, 3)
    for plate, other in zip(recording.plates, expected):
        x, y, z = other["force"]
        np.testing.assert_allclose(plate.force, np.stack([x, z, -y], axis=1), atol=1e-9)
        x, y, z = other["center_of_pressure"] / 1000
        loaded = plate.force[:, 1] > 25
        assert loaded.sum() > 900
        np.testing.assert_allclose(
            plate.centre_of_pressure[loaded], np.stack([x, z, -y], axis=1)[loaded], atol=1e-9
        )
        np.testing.assert_allclose(
            plate.free_moment[loaded, 1], other["Tz"][2][loaded] / 1000, atol=1e-9
        )


def test_reference_recording_reads_alike_with_c3d(shared_data, monkeypatch):
    pytest.importorskip("c3d")
    path = shared_data / "c3d" / "walking2.c3d"
    first = read_c3d(path)
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    second = read_c3d(path)
    assert first.markers.names == second.markers.names
    np.testing.assert_array_equal(first.markers.positions, second.markers.positions)
    np.testing.assert_allclose(first.plates[1].force, second.plates[1].force)


def test_load_stored_as_action_gives_the_same_reaction():
    channels = _plate_channels(3) * [1, 1, 1, 1e-3, 1e-3, 1e-3]
    origin = np.array([0.0, 0.0, -0.04])
    reaction = plate_loads(channels, 2, CORNERS / 1000, origin, None, UP, "f")
    action = plate_loads(-channels, 2, CORNERS / 1000, origin, None, UP, "f")
    np.testing.assert_allclose(reaction.force, action.force)
    np.testing.assert_allclose(reaction.centre_of_pressure, action.centre_of_pressure)
    np.testing.assert_allclose(reaction.free_moment, action.free_moment)


def test_calibration_matrix_of_a_type_4_plate_is_applied():
    channels = _plate_channels(2) * [1, 1, 1, 1e-3, 1e-3, 1e-3]
    origin = np.array([0.0, 0.0, -0.04])
    matrix = np.diag([2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    expected = plate_loads(channels, 2, CORNERS / 1000, origin, None, UP, "f")
    found = plate_loads(
        channels @ np.linalg.inv(matrix), 4, CORNERS / 1000, origin, matrix, UP, "f"
    )
    np.testing.assert_allclose(found.force, expected.force)
    np.testing.assert_allclose(found.centre_of_pressure, expected.centre_of_pressure)


def test_eight_channel_plate_finds_a_load_between_its_sensors():
    a, b, height = 0.12, 0.2, -0.05
    share = np.array([0.4, 0.3, 0.1, 0.2])  # sensors at (a, b), (-a, b), (-a, -b), (a, -b)
    vertical = -700.0 * share
    channels = np.concatenate([[10.0, 10.0, 4.0, 4.0], vertical])[None]
    corners = np.array([[0.3, 0.2, 0], [-0.3, 0.2, 0], [-0.3, -0.2, 0], [0.3, -0.2, 0]])
    corners = corners[::-1]  # so that z points into the floor
    plate = plate_loads(channels, 3, corners, np.array([a, b, height]), None, UP, "f")
    x = a * (share[0] + share[3] - share[1] - share[2])
    y = b * (share[0] + share[1] - share[2] - share[3])
    # The force (20, 8, -700) N, z into the floor, meets the top 50 mm above the sensors' plane.
    tilt_x, tilt_y = x + 0.05 * 20.0 / 700.0, y + 0.05 * 8.0 / 700.0
    np.testing.assert_allclose(plate.force[0], [20.0, -8.0, 700.0])
    np.testing.assert_allclose(np.abs(plate.centre_of_pressure[0, :2]), np.abs([tilt_x, tilt_y]))


def test_type_1_plate_gives_its_own_centre_of_pressure():
    corners = CORNERS[::-1] / 1000
    channels = np.array([[5.0, 6.0, -500.0, 0.1, 0.05, 2.0]])
    plate = plate_loads(channels, 1, corners, np.zeros(3), None, UP, "f")
    assert plate.force[0, 2] == pytest.approx(500.0)
    distance = plate.centre_of_pressure[0] - corners.mean(axis=0)
    np.testing.assert_allclose(np.abs(distance), [0.1, 0.05, 0.0])


def test_unknown_plates_and_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="type 5 with 6 channels; allowed"):
        plate_loads(np.zeros((1, 6)), 5, CORNERS, np.zeros(3), None, UP, "f")
    with pytest.raises(DataError, match="do not span an area"):
        plate_loads(np.zeros((1, 6)), 2, 0 * CORNERS, np.zeros(3), None, UP, "f")
    with pytest.raises(DataError, match="does not exist"):
        read_c3d(tmp_path / "none.c3d")
    (tmp_path / "text.c3d").write_text("not a c3d file " * 100)
    with pytest.raises(DataError, match="cannot be read as C3D"):
        read_c3d(tmp_path / "text.c3d")
    whole = _write(tmp_path / "a.c3d").read_bytes()
    (tmp_path / "cut.c3d").write_bytes(whole[:900])
    with pytest.raises(DataError, match="cannot be read as C3D"):
        read_c3d(tmp_path / "cut.c3d")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", ["ezc3d", "c3d"])
def test_recording_cut_short_is_refused(tmp_path, monkeypatch, library):
    whole = _write(tmp_path / "a.c3d").read_bytes()
    (tmp_path / "cut.c3d").write_bytes(whole[: len(whole) - 1500])
    if library == "c3d":
        pytest.importorskip("c3d")
        monkeypatch.setitem(sys.modules, "ezc3d", None)
    with pytest.raises(DataError, match="truncated|cannot be read as C3D"):
        read_c3d(tmp_path / "cut.c3d")


@pytest.mark.slow
def test_damaged_recordings_give_numbers_or_a_data_error(tmp_path):
    whole = _write(tmp_path / "a.c3d").read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(25):
        damaged = bytearray(whole)
        for place in rng.integers(2, 2500, 4):
            damaged[place] = rng.integers(256)
        (tmp_path / "damaged.c3d").write_bytes(damaged)
        try:
            assert read_c3d(tmp_path / "damaged.c3d").markers.time.size > 0
        except DataError as error:
            assert "damaged.c3d" in str(error)
