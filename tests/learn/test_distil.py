"""Distillation on a small scale: a student comes nearer to its teacher; bad input is refused."""

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from osim_exo.control import (  # noqa: E402
    DelayedOutputFeedback,
    FeedbackSettings,
    LearnedController,
    PeakFlexionPhase,
    Playback,
    Signals,
)
from osim_exo.errors import DataError, InputError  # noqa: E402
from osim_exo.learn.agreement import agreement  # noqa: E402
from osim_exo.learn.cases import JudgeConfig, cases  # noqa: E402
from osim_exo.learn.classroom import Classroom  # noqa: E402
from osim_exo.learn.degradation import degradation, errors_of  # noqa: E402
from osim_exo.learn.distil import DistilConfig, distil  # noqa: E402
from osim_exo.learn.judge import body_mass, judge  # noqa: E402
from osim_exo.learn.rivals import TaughtWalk, averaged_profile, tuned_feedback  # noqa: E402
from osim_exo.learn.students import StudentConfig  # noqa: E402
from osim_exo.learn.tasks import Commands, TaskConfig, make  # noqa: E402
from osim_exo.learn.verdict import accepted, beats, benefit, summarise  # noqa: E402
from osim_exo.learn.walkers import TrainedWalker, library, shipped_walker  # noqa: E402
from osim_exo.policy import Policy  # noqa: E402
from osim_exo.sensors import SensorErrors  # noqa: E402

WALKER = "gait2d_walk_1.25_mps"
HUMAN = library() / WALKER / "policy" / "human"
SMALL = DistilConfig(
    sensors=("thigh_imu",),
    student=StudentConfig(history=20, blocks=(5, 4), width=24),
    errors=SensorErrors(rate_noise=0.02),
    rounds=3,
    n_env=12,
    seconds=1.5,
    keep=1.0,
    batches=120,
    batch=128,
)


def make_teacher(**changes):
    """A gentle exo policy that follows what it sees of the thighs."""
    task = TaskConfig(condition="assisted", learner="exo", human_policy=HUMAN, **changes)
    env = make(task, 1, 0)
    interface = env.interface
    env.close()
    names = [row.name for row in interface.observations]
    weights = np.zeros((len(names), 2), dtype=np.float32)
    for column, side in enumerate("rl"):
        weights[names.index(f"thigh_{side}/thigh_angle/@60ms"), column] = -0.6
        weights[names.index(f"thigh_{side}/thigh_rate"), column] = 0.05
    policy = Policy(interface, lambda seen: np.tanh(seen @ weights))
    human = shipped_walker(WALKER).policies["human"]
    return TrainedWalker(task, {"human": human, "exo": policy}, {})


def load(name):
    """What a process of the judge loads."""
    assert name == "teacher"
    return make_teacher()


@pytest.fixture(scope="module")
def teacher():
    return make_teacher()


@pytest.fixture(scope="module")
def distilled(teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("student") / "bundle"
    record = {"body_mass": body_mass(teacher)}
    return distil(teacher, folder, SMALL, record)


def room(walker, **changes):
    fields = {
        "sensors": ("thigh_gyro",),
        "history": 5,
        "rate_hz": 100.0,
        "errors": SensorErrors(),
        "n_env": 4,
        "seed": 0,
        **changes,
    }
    return Classroom(walker.task, walker.policies, **fields)


def test_a_student_comes_nearer_to_its_teacher_round_by_round(distilled):
    first, *_, last = distilled.rounds
    assert last["held_out_rmse"] < 0.8 * first["held_out_rmse"]
    assert last["held_out_r"] > 0.95
    assert last["walking_r"] > 0.9
    assert "walking_r" not in first


def test_the_bundle_is_a_controller_with_its_sensors_and_rate(distilled, teacher):
    policy = Policy.load(distilled.folder)
    interface = policy.interface
    assert [row.name for row in interface.observations] == [
        "thigh_r/thigh_angle", "thigh_l/thigh_angle", "thigh_r/thigh_rate", "thigh_l/thigh_rate"
    ]  # fmt: skip
    assert (interface.rate_hz, interface.history) == (100.0, 20)
    assert interface.actions == teacher.policies["exo"].interface.actions
    controller = LearnedController.load(distilled.folder, 75.0)
    zero = np.zeros((1, 2))
    torque = controller(Signals([0.0], zero, zero, thigh_angle=zero, thigh_rate=zero))
    assert np.abs(torque).max() < 5.0
    with pytest.raises(InputError, match="thigh_rate"):
        LearnedController(policy, 75.0, measured=("hip_angle", "hip_speed"))


def test_the_record_tells_how_it_was_made(distilled):
    record = json.loads((distilled.folder / "bundle.json").read_text())["record"]
    assert record["settings"]["sensors"] == ["thigh_imu"]
    assert len(record["rounds"]) == 3
    assert record["windows"] > 1000


def test_the_same_seed_gives_the_same_student(teacher, tmp_path):
    short = SMALL.changed(rounds=1, seconds=0.3, batches=5)
    made = [distil(teacher, tmp_path / name, short).folder for name in "ab"]
    arrays = [(folder / "network.npz").read_bytes() for folder in made]
    one, two = (np.load(folder / "network.npz") for folder in made)
    assert len(arrays[0]) == len(arrays[1])
    for name in one.files:
        np.testing.assert_array_equal(one[name], two[name])


def test_a_perfect_student_is_told_the_teachers_torque_at_the_teachers_steps(teacher):
    """The teacher of `make_teacher` written over a window of the device: no error at all."""
    school = room(teacher, sensors=("thigh_imu",), history=7)

    def know(windows):
        past = windows.reshape(len(windows), 7, 4)
        return np.tanh(-0.6 * past[:, 0, :2] + 0.05 * past[:, 6, 2:])

    lesson = school.walk(0.5, know, keep=1.0)
    school.close()
    np.testing.assert_allclose(lesson.command[5:], lesson.advice[5:], atol=1e-6)
    found = know(lesson.windows)
    np.testing.assert_allclose(found[200:], lesson.answers[200:], atol=1e-5)
    assert lesson.windows.shape == (100, 28)


def test_the_teacher_drives_first_and_the_student_afterwards(teacher):
    school = room(teacher)
    taught = school.walk(0.3, None)
    assert np.abs(taught.command).max() == 0.0
    assert np.abs(taught.advice).max() > 0.02
    most = teacher.policies["exo"].interface.actions[0].high
    full = school.walk(0.2, lambda windows: np.ones((len(windows), 2), np.float32))
    delivered = school.physics.exo_torque / school.mass
    school.close()
    np.testing.assert_allclose(full.command, most)
    assert delivered.min() > 0.5 * most


def test_what_cannot_be_taught_is_refused(teacher):
    bare = shipped_walker(WALKER)
    with pytest.raises(InputError, match="no_exo and has no policy of: exo"):
        distil(bare, "unused", SMALL)
    with pytest.raises(InputError, match="no policy of an exo"):
        body_mass(bare)
    with pytest.raises(InputError, match="multiple of the walker's 50 Hz"):
        room(teacher, rate_hz=75.0)
    with pytest.raises(InputError, match="allowed are one or more"):
        room(teacher, sensors=("thigh_camera",))
    with pytest.raises(InputError, match="sensors"):
        DistilConfig(sensors=("thigh_camera",))


def test_a_teacher_without_numbers_is_refused(teacher, tmp_path):
    exo = teacher.policies["exo"]
    silent = Policy(exo.interface, lambda seen: np.full((len(seen), 2), np.nan, np.float32))
    walker = TrainedWalker(teacher.task, {**teacher.policies, "exo": silent}, {})
    with pytest.raises(DataError, match="not numbers"):
        distil(walker, tmp_path / "none", SMALL.changed(rounds=1, seconds=0.1, batches=2))
    assert not (tmp_path / "none").exists()


def test_a_teacher_of_another_model_is_refused(teacher):
    names = teacher.policies["exo"].interface
    other = names.changed(observations=names.observations[:-1])
    stranger = Policy(other, lambda seen: np.zeros((len(seen), 2), np.float32))
    walker = TrainedWalker(teacher.task, {**teacher.policies, "exo": stranger}, {})
    with pytest.raises(InputError, match="frozen exo policy observes"):
        room(walker)


# Worse sensors


def test_worse_sensors_are_walked_one_by_one(distilled, teacher):
    rows = degradation(teacher, distilled.folder, n_env=4, seconds=1.2)
    by = {(row["error"], row["value"]): row for row in rows}
    assert by["none", 0.0]["r"] > 0.9
    assert by["delay", 40.0]["rmse_nm_per_kg"] > by["none", 0.0]["rmse_nm_per_kg"]
    assert by["mounting", 10.0]["rmse_nm_per_kg"] > by["none", 0.0]["rmse_nm_per_kg"]
    assert {row["error"] for row in rows} == {
        "none", "usual", "mounting", "gyro_bias", "delay", "dropout"
    }  # fmt: skip


def test_errors_are_in_the_units_of_the_report():
    assert errors_of("mounting", -10.0).mounting == pytest.approx(-math.radians(10))
    assert errors_of("gyro_bias", 5.0).gyro_bias == pytest.approx(math.radians(5))
    assert errors_of("delay", 20.0).delay_s == (0.02, 0.02)
    assert errors_of("dropout", 5.0).dropout == 0.05


def test_a_bundle_that_was_not_distilled_has_no_sensors_to_worsen(teacher):
    with pytest.raises(DataError, match="does not say with which sensors"):
        degradation(teacher, HUMAN)


# Rivals


def sine_walks(torque):
    time = 0.01 * np.arange(800)
    walks = []
    for period in (1.0, 1.2):
        at = 2 * np.pi * time / period
        angle = 0.1 + 0.4 * np.stack([np.cos(at), -np.cos(at)], axis=1)
        walks.append(TaughtWalk(time, angle, torque(time, angle, at)))
    return walks


def test_feedback_is_tuned_back_to_the_feedback_that_made_the_torque():
    made = FeedbackSettings(gain=9.0, delay_s=0.24, filter_time_constant=0.1)

    def torque(time, angle, at):
        controller = DelayedOutputFeedback(made)
        still = np.zeros((1, 2))
        rows = [controller(Signals([t], q[None], still))[0] for t, q in zip(time, angle)]
        return np.array(rows)

    found = tuned_feedback(sine_walks(torque))
    assert found.gain == pytest.approx(9.0, rel=1e-6)
    assert found.delay_s == pytest.approx(0.24)
    assert found.filter_time_constant == pytest.approx(0.1)


def test_a_profile_is_the_mean_torque_over_the_phase_from_hip_flexion():
    def torque(time, angle, at):
        turn = 2 * np.pi * 0.87 + at
        return 5.0 * np.sin(np.stack([turn, turn - np.pi], axis=1))

    phase = np.linspace(0.02, 0.98, 25)
    expected = 5.0 * np.sin(2 * np.pi * phase)
    for n in (800, 250):
        walks = [TaughtWalk(w.time[:n], w.hip_angle[:n], w.torque[:n]) for w in sine_walks(torque)]
        found = averaged_profile(walks).torque(np.stack([phase, phase], 1))
        np.testing.assert_allclose(found[:, 0], expected, atol=0.3)
        np.testing.assert_allclose(found[:, 1], expected, atol=0.3)


def test_the_phase_of_a_profile_is_the_one_that_a_device_estimates():
    walk = sine_walks(lambda time, angle, at: angle)[0]
    device = PeakFlexionPhase()
    live = np.array(
        [device.update(np.array([t]), q[None])[0] for t, q in zip(walk.time, walk.hip_angle)]
    )
    played = Playback(averaged_profile([walk]))
    known = np.isfinite(live).all(axis=1)
    assert known.sum() > 400
    torque = played.profile.torque(live[known])
    np.testing.assert_allclose(torque, walk.hip_angle[known], atol=0.03)


def test_walks_without_strides_have_no_profile():
    time = 0.01 * np.arange(300)
    still = np.zeros((300, 2))
    with pytest.raises(DataError, match="too few for a profile"):
        averaged_profile([TaughtWalk(time, still, still)])


def test_without_a_walk_nothing_can_be_tuned():
    with pytest.raises(DataError, match="no walk that lasted"):
        tuned_feedback([])


# Judging


def test_cases_span_the_runs_range_and_go_beyond():
    task = TaskConfig(commands=Commands(speed=(0.9, 1.5), slope_deg=(-5, 5)))
    found = cases(task, JudgeConfig())
    trained = [(c.speed, c.slope_deg) for c in found if c.kind == "trained"]
    assert len(trained) == 9
    assert {s for s, _ in trained} == {0.9, 1.2, 1.5}
    assert {s for _, s in trained} == {-5.0, 0.0, 5.0}
    beyond = [(c.speed, c.slope_deg) for c in found if c.kind == "unseen"]
    assert beyond == [(0.8, 0.0), (1.6, 0.0), (1.2, -7.0), (1.2, 7.0)]
    assert [c.label for c in found if c.kind == "changing"] == [
        "start from standing", "slow, fast, slow", "stop"
    ]  # fmt: skip
    assert [c.label for c in cases(TaskConfig(), JudgeConfig(unseen=False, changing=False))] == [
        "1.25 m/s, +0 deg"
    ]


@pytest.mark.slow
def test_a_student_is_judged_beside_its_teacher_and_rivals(distilled):
    config = JudgeConfig(physics="compiled", duration=5.0, settle=2.0, unseen=False, changing=False)
    judged = judge("teacher", load, distilled.folder, config)
    rows = {row["arm"]: row for row in judged.rows}
    assert list(rows) == [
        "teacher", "student", "playback", "delayed_output_feedback", "zero_torque"
    ]  # fmt: skip
    assert all(row["falls"] == 0 for row in rows.values())
    assert rows["student"]["r"] > 0.9
    assert rows["student"]["rmse_nm_per_kg"] < rows["zero_torque"]["rmse_nm_per_kg"]
    assert rows["teacher"]["r"] is None
    assert rows["zero_torque"]["r"] is None
    assert rows["zero_torque"]["exo_positive_power"] == pytest.approx(0.0, abs=1e-3)
    assert judged.curves["1.25 m/s, +0 deg", "student"].shape == (101,)
    assert summarise(judged.rows)["student"]["r_mean"] == rows["student"]["r"]


def row(arm, case="a", r=None, rmse=None, falls=0, value=None, kind="trained"):
    metrics = dict.fromkeys(
        ("mean_activation", "positive_joint_power", "metabolic_rate_bhargava2004"), value
    )
    facts = {"case": case, "kind": kind, "arm": arm, "falls": falls, "walks": 1}
    return {**facts, "r": r, "rmse_nm_per_kg": rmse, **metrics}


def test_benefit_is_the_share_of_the_teachers_saving_where_all_three_walked():
    rows = [
        row("zero_torque", value=10.0), row("teacher", value=8.0), row("student", value=8.5),
        row("zero_torque", "b", value=20.0), row("teacher", "b", value=18.0),
        row("student", "b", value=18.1), row("zero_torque", "c", value=50.0),
        row("teacher", "c", value=1.0), row("student", "c", value=None, falls=1),
    ]  # fmt: skip
    assert benefit(rows, "student", "mean_activation") == pytest.approx(3.4 / 4.0)
    assert benefit(rows, "teacher", "mean_activation") == pytest.approx(1.0)
    assert benefit(rows, "playback", "mean_activation") is None


def test_where_the_teacher_saves_nothing_there_is_no_share():
    rows = [row("zero_torque", value=10.0), row("teacher", value=9.99), row("student", value=5.0)]
    assert benefit(rows, "student", "mean_activation") is None


def test_a_rival_that_saves_more_than_the_teacher_is_not_the_students_to_beat():
    def rows(rival):
        arms = {"teacher": 8.0, "student": 8.2, "zero_torque": 10.0, "playback": rival}
        return [row(arm, value=value) for arm, value in arms.items()]

    assert beats(rows(9.0), "playback") is True
    assert beats(rows(8.1), "playback") is False
    assert beats(rows(7.0), "playback") is None
    assert beats(rows(9.0), "delayed_output_feedback") is None


def test_the_verdict_names_what_fails():
    def rows(r, rmse, value, falls=0):
        return [
            row("teacher", value=8.0),
            row("student", r=r, rmse=rmse, value=value, falls=falls),
            row("playback", r=0.8, rmse=0.05, value=9.0),
            row("delayed_output_feedback", r=0.7, rmse=0.06, value=9.5),
            row("zero_torque", rmse=0.09, value=10.0),
        ]

    good = accepted(rows(0.95, 0.02, 8.1))
    assert all(good.values())
    bad = accepted(rows(0.75, 0.055, 9.2, falls=1))
    assert not any(bad[name] for name in list(bad)[:6])
    assert bad["nearer to the teacher than playback"] is False
    assert bad["more benefit than playback"] is False
    assert bad["more benefit than zero_torque"] is True
    assert bad["no more falls than the teacher"] is False


def test_agreement_is_pearsons_and_the_root_mean_square():
    a = np.array([[0.0, 1.0], [2.0, 3.0]])
    found = agreement(2 * a + 1, a)
    assert found.r == pytest.approx(1.0)
    assert found.rmse == pytest.approx(math.sqrt(np.mean((a + 1) ** 2)))
    assert math.isnan(agreement(np.ones(3), np.arange(3)).r)
    a[0, 0] = np.nan
    assert agreement(a, a).rmse == 0.0
    with pytest.raises(InputError, match="shapes"):
        agreement(np.ones(3), np.ones(4))
