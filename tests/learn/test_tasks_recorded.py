"""Recorded motions as references: units, signs, strides, heights."""

import numpy as np
import pytest

from osim_exo.errors import DataError, InputError
from osim_exo.io import read_table, write_table
from osim_exo.learn.tasks import Commands, Ends, MotionFile, Starts, TaskConfig, make
from osim_exo.learn.tasks.motion import keep, kept
from osim_exo.learn.tasks.recorded import recorded_strides
from osim_exo.learn.tasks.repeats import best_span
from osim_exo.learn.tasks.strides import shipped_strides
from osim_exo.trial import Channels
from tests.learn.planar import COORDINATES, NAMES

STILL = Starts(angle_noise=0.0, speed_noise=0.0)


def write_motion(
    path, *, degrees=False, drop=(), drift=0.0, forward=1.2, swing=0.4, height=0.93, turned=None
):
    time = np.linspace(0.0, 1.1, 111)
    wave = np.sin(2 * np.pi * time / 1.1)
    values = {name: np.zeros(111) for name in COORDINATES}
    values["pelvis_tx"], values["pelvis_ty"] = forward * time, np.full(111, height)
    values["hip_flexion_r"], values["hip_flexion_l"] = swing * wave + drift * time, -swing * wave
    if turned is not None:
        values["pelvis_rotation"] = np.full(111, turned)
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
        ({"drift": 1.0}, {}, DataError, "hip_flexion_r by"),
        ({"degrees": True, "swing": 0.4}, {}, DataError, "degrees"),
        ({"swing": 0.4 / 57.3}, {}, DataError, "no joint moves by more than 0.8 degrees"),
        ({"height": 930.0}, {}, DataError, "needed are metres over the ground"),
        ({"turned": 3.0}, {}, DataError, "turned by 172 degrees"),
        ({}, {"names": {"neck": "pelvis_ty"}}, InputError, "neck"),
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


def test_a_recorded_stride_is_imitated_at_its_own_speed(tmp_path):
    reference = MotionFile(path=write_motion(tmp_path / "a.mot"), height="recorded")
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


@pytest.fixture(scope="module")
def solved():
    """A solved gait at 1.25 m/s as a stride of coordinates, (101, n), and its period."""
    strides = shipped_strides("gait2d", NAMES)
    return strides.stride(1.25, 0.0), float(strides.period(np.full(1, 1.25), np.zeros(1))[0])


def write_walk(path, solved, *, strides=3, knees=1.0, rename=None, taller=1.0, lead=0.3):
    """Some strides of the solved gait as another model's recording, begun within a stride."""
    stride, period = solved
    time = np.arange(0.0, strides * period, 0.01)
    turn = np.mod(time / period + lead, 1.0) * 100
    values = {
        name: np.interp(turn, np.arange(101), column) for name, column in zip(COORDINATES, stride.T)
    }
    values["pelvis_tx"], values["pelvis_ty"] = 1.25 * taller * time, taller * values["pelvis_ty"]
    for side in "rl":
        values[f"knee_angle_{side}"] *= knees
    values["pelvis_list"] = 0.05 * np.sin(time)
    named = {(rename or {}).get(n, n): v for n, v in values.items()}
    write_table(path, time, Channels(tuple(named), np.stack(list(named.values()), axis=1)))
    return path


def at_phases(strides):
    """The reference over its own stride."""
    return strides.stride(float(strides.speeds[0]), 0.0)


def test_a_taller_model_that_bends_its_knees_forward_walks_as_ours(tmp_path, solved):
    path = write_walk(tmp_path / "a.mot", solved, knees=-1.0, taller=1.1)
    env = make(TaskConfig(kind="imitate", reference=MotionFile(path=path)), 2, 0)
    told = " ".join(env.notes)
    assert "Left out of the file: pelvis_list" in told
    assert "knees bend to the other side" in told and "which repeats best" in told
    strides = env.walker._strides
    assert strides.speeds[0] == pytest.approx(1.25, abs=0.005)
    period = strides.period(np.full(1, 1.25), np.zeros(1))[0]
    assert period == pytest.approx(solved[1], abs=0.011)
    found, wanted = at_phases(strides), solved[0]
    shifts = [np.roll(wanted[:-1], k, axis=0) for k in range(100)]
    angles = [i for i, n in enumerate(COORDINATES) if not n.endswith(("_tx", "_ty"))]
    errors = [np.abs(found[:-1] - shifted)[:, angles].max() for shifted in shifts]
    best = shifts[int(np.argmin(errors))]
    assert np.degrees(min(errors)) < 4.0
    height = COORDINATES.index("pelvis_ty")
    np.testing.assert_allclose(found[:-1, height], best[:, height], atol=0.015)


def test_the_sign_of_the_knees_may_be_said(tmp_path, solved):
    path = write_walk(tmp_path / "a.mot", solved)
    knee = COORDINATES.index("knee_angle_r")
    means = {
        said: at_phases(recorded_strides(MotionFile(path=path, knee_flexion=said), NAMES, 0.05))[
            :, knee
        ].mean()
        for said in ("auto", "negative", "positive")
    }
    assert means["auto"] == means["negative"] == -means["positive"] < 0.0


def test_other_names_of_columns_may_be_given(tmp_path, solved):
    path = write_walk(tmp_path / "a.mot", solved, rename={"lumbar_extension": "trunk"})
    with pytest.raises(DataError, match=r"no column of lumbar_extension.*reference\.names"):
        recorded_strides(MotionFile(path=path), NAMES, 0.05)
    given = MotionFile(path=path, names={"lumbar_extension": "trunk"})
    assert recorded_strides(given, NAMES, 0.05).speeds[0] == pytest.approx(1.25, rel=1e-3)


def test_markers_are_sent_to_inverse_kinematics(tmp_path):
    with pytest.raises(DataError, match="osim-exo ik"):
        recorded_strides(MotionFile(path=tmp_path / "walk.trc"), NAMES, 0.05)


def test_what_is_open_is_spread_and_what_is_fast_is_left_out(tmp_path):
    path = write_motion(tmp_path / "a.mot", drift=0.1)
    table = read_table(path)
    hip = table.channels["hip_flexion_r"] + 0.02 * np.sin(2 * np.pi * 20 * table.time / 1.1)
    columns = {n: table.channels[n] for n in table.channels.names} | {"hip_flexion_r": hip}
    values = np.stack(list(columns.values()), axis=1)
    write_table(path, table.time, Channels(tuple(columns), values))
    place = COORDINATES.index("hip_flexion_r")
    wave = 0.4 * np.sin(2 * np.pi * np.linspace(0, 1, 101))
    smooth = at_phases(recorded_strides(MotionFile(path=path), NAMES, 0.05))[:, place]
    assert smooth[0] == pytest.approx(smooth[-1])
    np.testing.assert_allclose(smooth - smooth.mean(), wave, atol=1e-3)
    rough = recorded_strides(MotionFile(path=path, cutoff_hz=None), NAMES, 0.05)
    assert np.abs(at_phases(rough)[:, place] - smooth).max() > 0.015


def test_one_stride_is_found_in_many_and_two_are_not_taken_for_one():
    time = np.arange(0.0, 6.0, 0.01)
    turn = 2 * np.pi * time / 0.9
    angles = np.stack([np.sin(turn), np.cos(2 * turn + 0.3)], axis=1)
    start, end = best_span(time, angles)
    assert end - start == pytest.approx(0.9, abs=0.011)
    assert best_span(time[:50], angles[:50]) is None


def test_a_run_keeps_a_copy_of_its_reference(tmp_path):
    motion = MotionFile(path=write_motion(tmp_path / "a.mot"))
    run = tmp_path / "run"
    run.mkdir()
    keep(motion, run)
    assert kept(motion, run) == motion
    motion.path.unlink()
    assert recorded_strides(kept(motion, run), NAMES, 0.05).speeds[0] == pytest.approx(1.2)


def test_measured_walks_of_other_models_become_references(shared_data):
    path = shared_data / "moco_3d_walking" / "coordinates.sto"
    env = make(TaskConfig(kind="imitate", reference=MotionFile(path=path), starts=STILL), 2, 0)
    found = at_phases(env.walker._strides)
    by_name = dict(zip(env.physics.names.coordinates, np.degrees(found).T))
    for side in "rl":
        assert -75 < by_name[f"knee_angle_{side}"].min() < -60
        assert by_name[f"hip_flexion_{side}"].max() == pytest.approx(28, abs=3)
    assert 1.1 < env.walker._strides.speeds[0] < 1.3
    env.reset()
    load = env.physics.quantities("grf")["grf"][:, [1, 7]].sum(axis=1)
    assert (load > 0.3 * env.physics.body_weight).all()
    assert (load < 3.0 * env.physics.body_weight).all()
