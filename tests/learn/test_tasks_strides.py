"""Strides of solved gaits and of recorded motions."""

import numpy as np
import pytest

from osim_exo.errors import DataError, InputError
from osim_exo.io import write_table
from osim_exo.learn.tasks import Commands, Ends, MotionFile, Starts, TaskConfig, make
from osim_exo.learn.tasks.strides import recorded_strides, shipped_strides
from osim_exo.physics.base import PhysicsNames
from osim_exo.trial import Channels

COORDINATES = (
    "pelvis_tilt",
    "pelvis_tx",
    "pelvis_ty",
    "lumbar_extension",
    *(f"{joint}_{side}" for joint in ("hip_flexion", "knee_angle", "ankle_angle") for side in "rl"),
)
NAMES = PhysicsNames(coordinates=COORDINATES, muscles=("soleus_r", "soleus_l"))


@pytest.fixture(scope="module")
def strides():
    return shipped_strides("gait2d", NAMES)


def test_strides_between_gaits_lie_between_them(strides):
    phase, level = np.full(3, 0.3), np.zeros(3)
    at = strides.at(phase, np.array([1.0, 1.125, 1.25]), level)
    np.testing.assert_allclose(at.coordinates[1], at.coordinates[[0, 2]].mean(axis=0))
    period = strides.period(np.array([1.0, 1.125, 1.25]), level)
    assert period[1] == pytest.approx(period[[0, 2]].mean())
    steep = strides.at(phase, np.full(3, 1.25), np.array([0.0, 2.5, 5.0]))
    np.testing.assert_allclose(steep.speeds[1], steep.speeds[[0, 2]].mean(axis=0))


def test_strides_are_periodic_and_bounded_by_the_gaits(strides):
    one = strides.at(np.array([0.0, 1.0]), np.full(2, 1.25), np.zeros(2))
    np.testing.assert_allclose(one.coordinates[0], one.coordinates[1], atol=1e-9)
    fast = strides.at(np.zeros(2), np.array([1.5, 2.2]), np.array([5.0, 9.0]))
    np.testing.assert_array_equal(fast.coordinates[0], fast.coordinates[1])


def test_gaits_begin_where_the_right_leg_is_in_front(strides):
    hips = [COORDINATES.index(f"hip_flexion_{side}") for side in "rl"]
    phase = np.linspace(0.0, 1.0, 101)
    for speed in (0.8, 1.25, 1.5):
        at = strides.at(phase, np.full(101, speed), np.zeros(101)).coordinates[:, hips]
        spread = at[:, 0] - at[:, 1]
        assert spread[0] > 0.9 * spread.max()
        np.testing.assert_allclose(np.roll(spread[:-1], 50), -spread[:-1], atol=0.03)


def test_speeds_of_the_strides_are_the_slopes_of_their_coordinates(strides):
    phase = np.linspace(0.0, 1.0, 101)
    at = strides.at(phase, np.full(101, 1.25), np.zeros(101))
    step = strides.period(np.array([1.25]), np.zeros(1))[0] / 100
    slope = np.gradient(at.coordinates, step, axis=0)
    knee = COORDINATES.index("knee_angle_r")
    assert np.corrcoef(slope[:, knee], at.speeds[:, knee])[0, 1] > 0.999
    assert at.speeds[:, COORDINATES.index("pelvis_tx")].mean() == pytest.approx(1.25, abs=0.02)


def write_motion(path, *, degrees=False, drop=(), drift=0.0, forward=1.2, swing=0.4):
    time = np.linspace(0.0, 1.1, 111)
    wave = np.sin(2 * np.pi * time / 1.1)
    values = {name: np.zeros(111) for name in COORDINATES}
    values["pelvis_tx"], values["pelvis_ty"] = forward * time, np.full(111, 0.93)
    values["hip_flexion_r"], values["hip_flexion_l"] = swing * wave + drift * time, -swing * wave
    scale = 180 / np.pi if degrees else 1.0
    for name in values:
        if not name.endswith(("_tx", "_ty")):
            values[name] = values[name] * scale
    kept = {n: v for n, v in values.items() if n not in drop}
    header = {"inDegrees": "yes"} if degrees == "told" else {}
    table = Channels(tuple(kept), np.stack(list(kept.values()), axis=1))
    write_table(path, time, table, header=header)
    return path


def test_a_recorded_stride_is_read_in_either_unit(tmp_path):
    radians = MotionFile(path=write_motion(tmp_path / "a.mot"))
    degrees = MotionFile(path=write_motion(tmp_path / "b.mot", degrees="told"))
    one, two = (recorded_strides(m, NAMES, 0.05) for m in (radians, degrees))
    assert one.speeds[0] == pytest.approx(1.2)
    phase = np.array([0.25, 0.7])
    a, b = (s.at(phase, np.full(2, 1.2), np.zeros(2)) for s in (one, two))
    np.testing.assert_allclose(a.coordinates, b.coordinates, atol=1e-9)
    hip = COORDINATES.index("hip_flexion_r")
    assert a.coordinates[0, hip] == pytest.approx(0.4, abs=1e-3)
    assert a.speeds[0, COORDINATES.index("pelvis_tx")] == pytest.approx(1.2, rel=1e-3)
    assert (a.activations == 0.05).all()


def test_a_treadmill_needs_its_belt_speed(tmp_path):
    path = write_motion(tmp_path / "a.mot", forward=0.0)
    with pytest.raises(DataError, match="belt_speed"):
        recorded_strides(MotionFile(path=path), NAMES, 0.05)
    walked = recorded_strides(MotionFile(path=path, belt_speed=1.3), NAMES, 0.05)
    assert walked.speeds[0] == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("options", "fields", "error", "words"),
    [
        ({"drop": ("knee_angle_l",)}, {}, DataError, "no column of knee_angle_l"),
        ({"drift": 1.0}, {}, DataError, "hip_flexion_r by 1.1"),
        ({"degrees": True, "swing": 0.4}, {}, DataError, "degrees"),
        ({}, {"start": 0.5, "end": 9.0}, InputError, "spans 0 to 1.1"),
    ],
)
def test_motions_that_are_no_stride_of_this_model_are_refused(
    tmp_path, options, fields, error, words
):
    motion = MotionFile(path=write_motion(tmp_path / "a.mot", **options), **fields)
    with pytest.raises(error, match=words):
        recorded_strides(motion, NAMES, 0.05)


def test_a_missing_reference_is_told(tmp_path):
    with pytest.raises(DataError, match=r"none\.mot"):
        recorded_strides(MotionFile(path=tmp_path / "none.mot"), NAMES, 0.05)


def test_gaits_of_another_model_are_missed():
    with pytest.raises(DataError, match="standing_share = 1"):
        shipped_strides("nobody", NAMES)
    other = PhysicsNames(coordinates=(*COORDINATES, "neck"), muscles=NAMES.muscles)
    with pytest.raises(DataError, match="neck"):
        shipped_strides("gait2d", other)


def test_a_recorded_stride_is_imitated_at_its_own_speed(tmp_path):
    reference = MotionFile(path=write_motion(tmp_path / "a.mot"))
    config = TaskConfig(
        kind="imitate",
        reference=reference,
        commands=Commands(speed=(0.5, 2.0)),
        starts=Starts(angle_noise=0.0, speed_noise=0.0),
        ends=Ends(stagger=False),
    )
    env = make(config, 4, 0)
    seen = env.reset()
    named = dict(zip(env.observation_names, seen.policy[1]))
    assert named["commanded_speed"] == pytest.approx(1.2)
    turn = np.arctan2(named["phase_sin"], named["phase_cos"])
    assert named["hip_flexion_r"] == pytest.approx(0.4 * np.sin(turn), abs=2e-3)
    assert env.mirror is None
    done = env.step(np.zeros((4, len(env.action_names)), dtype=np.float32))
    assert (done.terms["joint_rms_rad"] < 0.1).all()
