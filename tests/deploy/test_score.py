"""Scores against closed forms, and a walk on the virtual device against the walk it plays."""

import math
from pathlib import Path

import numpy as np
import pytest

from osim_exo.deploy.core import TickInput, TickOutput
from osim_exo.deploy.faults import FaultCode
from osim_exo.deploy.log import Log, Tick, read_log
from osim_exo.deploy.packets import Packet, Sensors
from osim_exo.deploy.score import flexion_peaks, score
from osim_exo.deploy.states import State
from osim_exo.deploy.walkers import HIPS, SineWalker, TrialWalker
from osim_exo.errors import DataError
from osim_exo.trial import Channels, Trial, TrialInfo
from tests.deploy.device import Bench, settings

STRIDE, MASS = 1.2, 70.0


def sine_trial(peak: float = 7.0, **info: object) -> Trial:
    """One stride of a walk made of sines, with torque that leads the angle by a quarter."""
    time = np.linspace(0.0, STRIDE, 241)
    turn = 2.0 * np.pi * time / STRIDE
    swing = 0.4 * np.cos(turn)
    torque = peak * np.sin(turn)
    fields = {"name": "sines", "body_mass": MASS, "stride": True, **info}
    return Trial.build(
        time,
        TrialInfo(**fields),
        coordinates=Channels(HIPS, np.stack([0.15 + swing, 0.15 - swing], axis=1)),
        exo_torque=Channels(HIPS, np.stack([torque, -torque], axis=1)),
    )


def sine_log(delay: float, share: float = 1.0, gain: float = 1.0, seconds: float = 13.0) -> Log:
    """A log of the same walk whose torque is late by `delay` radians of the stride."""
    ticks = []
    for k in range(round(seconds * 100)):
        turn = 2.0 * math.pi * k * 0.01 / STRIDE
        angle = 0.4 * math.cos(turn)
        right = share * 7.0 * math.sin(turn - delay)
        sensors = Sensors(
            round((0.15 + angle) * 1e6), round((0.15 - angle) * 1e6), *[0] * 10, 24_000, 0, 0, 0
        )
        out = TickOutput(
            State.ACTIVE, FaultCode(0), gain, (0.0, 0.0), (right, -right), (0, 0), True
        )
        ticks.append(Tick(k, TickInput(k * 0.01, Packet(k, k * 10_000, sensors)), out))
    return Log(Path("walk.exolog"), {}, settings(), tuple(ticks), (), 0)


@pytest.mark.parametrize("delay", [0.0, 0.3, -0.5])
def test_correlation_error_and_lag_of_sines_are_their_closed_forms(delay):
    for row in score(sine_log(delay), sine_trial()):
        assert row.n_stride >= 9
        assert row.r == pytest.approx(math.cos(delay), abs=5e-3)
        expected = 7.0 / MASS * math.sqrt(2.0) * abs(math.sin(delay / 2.0))
        assert row.rmse_nm_per_kg == pytest.approx(expected, abs=2e-3)
        assert row.phase_lag_percent == pytest.approx(100.0 * delay / (2.0 * math.pi), abs=0.3)
        assert row.phase_lag_s == pytest.approx(STRIDE * delay / (2.0 * math.pi), abs=4e-3)


def test_a_smaller_torque_correlates_and_its_error_is_the_difference():
    right, left, both = score(sine_log(0.0, share=0.5), sine_trial())
    assert (right.side, left.side, both.side) == ("right", "left", "both")
    assert both.n_stride == right.n_stride + left.n_stride
    assert both.r == pytest.approx(1.0, abs=1e-3)
    assert both.rmse_nm_per_kg == pytest.approx(0.5 * 7.0 / MASS / math.sqrt(2.0), rel=0.02)


def test_zero_torque_has_an_error_and_no_correlation():
    both = score(sine_log(0.0, share=0.0), sine_trial())[-1]
    assert both.r is None
    assert both.phase_lag_percent is None
    assert both.rmse_nm_per_kg == pytest.approx(7.0 / MASS / math.sqrt(2.0), rel=0.01)


def test_peaks_are_the_maxima_that_stand_out():
    time = np.arange(0.0, 10.0, 0.01)
    wobble = 0.05 * np.sin(2 * np.pi * 7.0 * time)
    angle = 0.4 * np.cos(2 * np.pi * time / STRIDE) + wobble
    found = time[flexion_peaks(angle)]
    assert len(found) in (7, 8, 9)
    np.testing.assert_allclose(np.mod(found + STRIDE / 2, STRIDE) - STRIDE / 2, 0.0, atol=0.12)
    assert flexion_peaks(np.full(100, 0.3)) == []


def test_a_device_that_plays_a_trial_scores_perfectly_against_its_own_torque(tmp_path):
    walk = sine_trial()
    run = Bench(tmp_path, settings("delayed_output_feedback"), walker=TrialWalker(walk))
    run.run(15.0)
    log = read_log(run.path)
    times = np.array([t.tick.sample.time_us * 1e-6 for t in log.ticks if t.tick.sample])
    torque = np.array([t.output.limited for t in log.ticks if t.tick.sample])
    begin = STRIDE * math.ceil(8.0 / STRIDE)
    sampled = np.stack([np.interp(begin + walk.time, times, torque[:, i]) for i in (0, 1)], axis=1)
    recorded = Trial.build(
        walk.time,
        walk.info,
        coordinates=walk.coordinates,
        exo_torque=Channels(HIPS, sampled),
    )
    both = score(log, recorded)[-1]
    assert both.r == pytest.approx(1.0, abs=0.02)
    assert both.rmse_nm_per_kg < 0.01
    assert both.phase_lag_percent == pytest.approx(0.0, abs=0.6)


@pytest.mark.parametrize(
    ("log", "trial", "words"),
    [
        (sine_log(0.0, gain=0.5), sine_trial(), "no period at full torque"),
        (sine_log(0.0, seconds=1.0), sine_trial(), "no whole stride"),
        (sine_log(0.0), sine_trial(body_mass=math.nan), "no body mass"),
    ],
)
def test_what_cannot_be_compared_is_bad_input(log, trial, words):
    with pytest.raises(DataError, match=words):
        score(log, trial)


def test_a_trial_without_exo_torque_is_bad_input():
    trial = sine_trial()
    bare = Trial.build(trial.time, trial.info, coordinates=trial.coordinates)
    with pytest.raises(DataError, match="lacks exo torque"):
        score(sine_log(0.0), bare)


# Walkers


def test_a_trial_of_one_stride_is_repeated_without_a_break():
    walker, sines = TrialWalker(sine_trial()), SineWalker(STRIDE)
    for time in np.linspace(0.0, 10.0 * STRIDE, 500):
        a, b = walker(float(time)), sines(float(time))
        np.testing.assert_allclose(a.angle, b.angle, atol=1e-3)
        # The slope at the ends of the stride is one-sided.
        np.testing.assert_allclose(a.speed, b.speed, atol=0.04)


def test_a_longer_trial_goes_to_and_fro_without_a_jump():
    walker = TrialWalker(sine_trial(stride=False))
    angles = [walker(t * 0.001).angle[0] for t in range(5000)]
    assert max(abs(np.diff(angles))) < 0.01


def test_the_thigh_turns_with_hip_and_pelvis():
    trial = sine_trial()
    tilt = 0.1 * np.sin(4.0 * np.pi * trial.time / STRIDE)
    names = (*HIPS, "pelvis_tilt")
    values = np.hstack([trial.coordinates.values, tilt[:, None]])
    walker = TrialWalker(Trial.build(trial.time, trial.info, coordinates=Channels(names, values)))
    pose = walker(0.6)
    rate = 0.4 * np.pi / STRIDE * math.cos(4.0 * math.pi * 0.6 / STRIDE)
    assert pose.gyro[0] - pose.speed[0] == pytest.approx(rate, abs=5e-3)


def test_a_trial_without_hips_is_bad_input():
    trial = sine_trial()
    knees = Channels(("knee_angle_r", "knee_angle_l"), trial.coordinates.values)
    with pytest.raises(DataError, match="hip_flexion_r and hip_flexion_l"):
        TrialWalker(Trial.build(trial.time, trial.info, coordinates=knees))
