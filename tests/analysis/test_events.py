"""Gait events and cycles on signals whose events are known."""

from dataclasses import replace

import numpy as np
import pytest

from osim_exo.analysis.cycles import CYCLE_POINTS, cut, mean_cycle, stride_mean, stride_times
from osim_exo.analysis.events import find_events
from osim_exo.errors import DataError, InputError
from osim_exo.io import read_measured
from osim_exo.trial import Channels, Trial, TrialInfo
from tests.synthetic import replaced, walking_trial


def _forces(time, strikes, stance=0.7, rise=0.05):
    """Vertical forces of both feet: trapezoids that cross 20 N at known times, peak 800 N."""
    columns = []
    for side in "rl":
        load = np.zeros(time.size)
        for start in strikes[side]:
            up = (time - start) / rise * 800 + 20
            down = (start + stance - time) / rise * 800 + 20
            load = np.maximum(load, np.clip(np.minimum(up, down), 0, 800))
        columns.append(load)
    return Channels(("ground_force_r_vy", "ground_force_l_vy"), np.stack(columns, axis=1))


def _walk(**info):
    time = np.arange(0, 4, 0.001)
    strikes = {"r": [0.2, 1.3, 2.4, 3.5], "l": [0.75, 1.85, 2.95]}
    return Trial.build(time, TrialInfo("w", **info), grf=_forces(time, strikes)), strikes


def test_force_events_lie_between_samples_where_the_force_crosses_the_threshold():
    trial, strikes = _walk()
    events = find_events(trial)
    assert events.method == "grf"
    for side in "rl":
        np.testing.assert_allclose(events.heel_strikes[side], strikes[side], atol=1e-3)
        offs = np.array(strikes[side]) + 0.7
        np.testing.assert_allclose(events.toe_offs[side], offs[offs < 3.99], atol=1e-3)


def test_threshold_moves_the_events():
    trial, _ = _walk()
    events = find_events(trial, threshold=100.0)
    assert events.heel_strikes["r"][0] == pytest.approx(0.2 + 0.05 * 80 / 800, abs=1e-3)


def test_short_contacts_and_short_gaps_are_noise():
    trial, strikes = _walk()
    load = trial.grf.values.copy()
    load[(trial.time > 1.10) & (trial.time < 1.14), 0] = 300.0
    load[(trial.time > 1.60) & (trial.time < 1.63), 0] = 0.0
    noisy = replace(trial, grf=Channels(trial.grf.names, load))
    np.testing.assert_allclose(find_events(noisy).heel_strikes["r"], strikes["r"], atol=1e-3)


def test_periodic_stride_starts_at_right_heel_strike_and_wraps():
    events = find_events(walking_trial(stride_time=1.2))
    np.testing.assert_allclose(events.heel_strikes["r"], [0.0, 1.2])
    assert events.heel_strikes["l"] == pytest.approx([0.6], abs=0.005)
    assert events.toe_offs["l"][0] == pytest.approx(events.toe_offs["r"][0] - 0.6, abs=0.002)


def test_stride_that_starts_elsewhere_is_refused():
    trial = walking_trial()
    half = np.roll(trial.grf.values[:-1], 50, axis=0)
    shifted = Channels(trial.grf.names, np.vstack([half, half[:1]]))
    with pytest.raises(DataError, match="50 % of the stride away from its start"):
        find_events(replace(trial, grf=shifted))


@pytest.mark.parametrize("points", [True, False])
def test_kinematic_events_are_near_those_of_the_forces(points):
    trial = walking_trial(n_strides=3)
    forces = find_events(trial)
    trial = replace(trial, grf=Channels.empty(trial.time.size))
    if not points:
        trial = replace(trial, points=Channels.empty(trial.time.size))
    kinematic = find_events(trial)
    assert kinematic.method == "kinematic"
    for side in "rl":
        for found, expected in (
            (kinematic.heel_strikes[side], forces.heel_strikes[side]),
            (kinematic.toe_offs[side], forces.toe_offs[side]),
        ):
            gaps = [np.abs(expected - t).min() for t in found]
            assert len(gaps) >= 2 and max(gaps) < 0.06


def test_kinematic_events_of_a_sine_are_its_extremes():
    time = np.arange(0, 5, 0.01)
    wave = np.sin(2 * np.pi * time)
    names = ("pelvis.x", "heel_r.x", "toe_r.x", "heel_l.x", "toe_l.x")
    walk = 1.3 * time
    right, left = walk + wave, walk - wave
    points = Channels(names, np.column_stack([walk, right, right, left, left]))
    events = find_events(Trial.build(time, TrialInfo("s"), points=points))
    np.testing.assert_allclose(events.heel_strikes["r"], np.arange(5) + 0.25, atol=1e-6)
    np.testing.assert_allclose(events.toe_offs["r"], np.arange(4) + 0.75, atol=1e-6)
    hips = ("hip_r.x", "hip_l.x", *names[1:])
    points = Channels(hips, np.column_stack([walk + 0.1, walk - 0.1, right, right, left, left]))
    between = find_events(Trial.build(time, TrialInfo("s"), points=points))
    np.testing.assert_allclose(between.heel_strikes["r"], events.heel_strikes["r"])


def test_knee_sign_of_the_model_is_respected():
    trial = walking_trial(n_strides=3)
    bare = replace(
        trial, points=Channels.empty(trial.time.size), grf=Channels.empty(trial.time.size)
    )
    values = bare.coordinates.values.copy()
    for side in "rl":
        values[:, bare.coordinates.names.index(f"knee_angle_{side}")] *= -1
    other = replace(bare, coordinates=Channels(bare.coordinates.names, values))
    other = replaced(other, provenance={"knee_flexion_sign": 1})
    np.testing.assert_allclose(
        find_events(bare).heel_strikes["r"], find_events(other).heel_strikes["r"]
    )


def test_standing_holds_no_stride():
    time = np.linspace(0, 2, 50)
    names = ("ground_force_r_vy", "ground_force_l_vy")
    standing = Trial.build(time, TrialInfo("s"), grf=Channels(names, np.full((50, 2), 350.0)))
    with pytest.raises(DataError, match="holds no whole right stride"):
        find_events(standing)


def test_measured_walk_has_the_strides_seen_in_its_forces(shared_data):
    folder = shared_data / "gait10dof18musc"
    trial = read_measured(
        folder / "subject01_walk_IK.mot", TrialInfo("m"), grf=folder / "subject01_walk_grf.mot"
    )
    forces = find_events(trial)
    assert forces.method == "grf"
    kinematic = find_events(replace(trial, grf=Channels.empty(trial.time.size)))
    for t in kinematic.heel_strikes["r"]:
        assert np.abs(forces.heel_strikes["r"] - t).min() < 0.03


def test_cycles_of_a_known_wave_are_that_wave():
    trial, strikes = _walk()
    phase = (trial.time - 0.2) / 1.1
    waves = Channels(("c",), np.cos(2 * np.pi * phase)[:, None])
    cycles = cut(trial, waves, stride_times(trial))
    assert cycles.values.shape == (3, CYCLE_POINTS, 1)
    expected = np.cos(2 * np.pi * np.linspace(0, 1, 101))
    np.testing.assert_allclose(cycles.mean()["c"], expected, atol=2e-3)
    assert cycles.sd().values.max() < 5e-3


def test_left_channels_start_at_left_heel_strike_when_asked():
    for strides in (1, 3):
        trial = walking_trial(n_strides=strides)
        right = mean_cycle(trial, trial.coordinates, "right")
        own = mean_cycle(trial, trial.coordinates, "own")
        np.testing.assert_allclose(own["hip_flexion_l"], own["hip_flexion_r"], atol=0.01)
        assert np.abs(right["hip_flexion_l"] - right["hip_flexion_r"]).max() > 0.5
        np.testing.assert_array_equal(own["pelvis_tx"], right["pelvis_tx"])
    with pytest.raises(InputError, match="Unknown phase 'left'"):
        mean_cycle(trial, trial.coordinates, "left")


def test_stride_mean_integrates_exactly_the_whole_strides():
    trial, _ = _walk()
    line = 3.0 + 2.0 * trial.time
    mean = stride_mean(trial, line)
    start, end = stride_times(trial)[[0, -1], [0, 1]]
    assert mean == pytest.approx(3.0 + (start + end))
    both = stride_mean(trial, np.stack([line, -line], axis=1))
    np.testing.assert_allclose(both, [mean, -mean])


def test_side_without_two_strikes_has_no_stride():
    trial, _ = _walk()
    events = find_events(trial)
    events.heel_strikes["l"] = np.array([0.7])
    with pytest.raises(DataError, match="has 1 heel strike"):
        stride_times(trial, "l", events)
