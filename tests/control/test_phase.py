"""Gait phase from sensors agrees with the known phase of a walk."""

import numpy as np
import pytest

from osim_exo.control import HeelStrikePhase, PeakFlexionPhase, PhaseSettings
from osim_exo.errors import InputError

STRIDE = 1.1


def hip_angles(time, peak=0.87, stride=STRIDE):
    """Right and left hip angle whose maxima lie at a known share of each gait cycle."""
    right = 2 * np.pi * (time / stride - peak)
    return 0.13 + 0.37 * np.stack([np.cos(right), np.cos(right - np.pi)], axis=-1)


def circular_error(a, b):
    return np.abs(np.mod(a - b + 0.5, 1.0) - 0.5)


def run(estimator, time, signal):
    return np.array([estimator.update(np.array([t]), s[None])[0] for t, s in zip(time, signal)])


def test_phase_from_peak_flexion_is_the_true_phase_after_two_strides():
    time = np.arange(0, 8, 0.01)
    random = np.random.default_rng(0)
    angles = hip_angles(time) + 0.002 * random.standard_normal((time.size, 2))
    phase = run(PeakFlexionPhase(), time, angles)
    true = np.stack([np.mod(time / STRIDE, 1), np.mod(time / STRIDE - 0.5, 1)], axis=1)
    later = time > 3.0
    assert np.isfinite(phase[later]).all()
    assert circular_error(phase, true)[later].max() < 0.05


def test_phase_is_unknown_before_two_peaks_and_after_walking_stopped():
    time = np.arange(0, 14, 0.01)
    moving = np.minimum(time, 7.0)
    phase = run(PeakFlexionPhase(), time, hip_angles(moving))
    assert np.isnan(phase[time < STRIDE]).all()
    assert np.isfinite(phase[(time > 4) & (time < 7)]).all()
    assert np.isnan(phase[time > 10.5]).all()


def test_phase_follows_a_change_of_cadence():
    time = np.arange(0, 20, 0.01)
    rate = np.where(time < 8, 1 / 1.2, 1 / 0.95)
    cycles = np.cumsum(rate) * 0.01
    phase = run(PeakFlexionPhase(), time, hip_angles(cycles, stride=1.0))
    error = circular_error(phase[:, 0], np.mod(cycles, 1))
    assert error[(time > 4) & (time < 8)].max() < 0.05
    assert error[time > 13].max() < 0.05


def test_small_movements_are_no_strides():
    time = np.arange(0, 10, 0.01)
    angles = 0.1 * hip_angles(time)
    assert np.isnan(run(PeakFlexionPhase(), time, angles)).all()


def test_phase_from_heel_strikes_is_zero_at_the_strike():
    time = np.arange(0, 6, 0.005)
    cycle = np.stack([time / STRIDE, time / STRIDE - 0.5], axis=1)
    force = np.where(np.mod(cycle, 1) < 0.62, 700.0, 0.0)
    phase = run(HeelStrikePhase(), time, force)
    later = time > 2.5
    assert circular_error(phase, np.mod(cycle, 1))[later].max() < 0.01


def test_environments_are_independent_and_can_be_reset_alone():
    time = np.arange(0, 5, 0.01)
    angles = np.stack([hip_angles(time), hip_angles(time, stride=0.9)], axis=1)
    both, alone = PeakFlexionPhase(), PeakFlexionPhase()
    both.reset(2)
    for t, a in zip(time, angles):
        pair = both.update(np.array([t, t]), a)
        single = alone.update(np.array([t]), a[1:])
    np.testing.assert_array_equal(pair[1], single[0])
    both.reset(2, [0])
    after = both.update(np.array([5.0, 5.0]), angles[-1])
    assert np.isnan(after[0]).all() and np.isfinite(after[1]).all()
    with pytest.raises(InputError, match="Reset all"):
        both.reset(3, [0])


def test_settings_are_checked():
    with pytest.raises(InputError, match="peak_flexion_percent"):
        PhaseSettings(peak_flexion_percent=100.0)


def read_table(path):
    lines = path.read_text().splitlines()
    header = next(i for i, line in enumerate(lines) if line.strip() == "endheader") + 1
    table = np.array([line.split() for line in lines[header + 1 :] if line.strip()], dtype=float)
    return dict(zip(lines[header].split(), table.T))


def test_the_phase_of_a_measured_walk_is_zero_at_the_heel_strikes_of_its_force_plates(shared_data):
    folder = shared_data / "gait10dof18musc"
    motion = read_table(folder / "subject01_walk_IK.mot")
    plates = read_table(folder / "subject01_walk_grf.mot")
    time = motion["time"]
    angles = np.deg2rad(np.stack([motion[f"hip_flexion_{s}"] for s in "rl"], axis=1))
    phase = run(PeakFlexionPhase(), time, angles)
    for side, plate in enumerate(("ground_force_vy", "1_ground_force_vy")):
        loaded = np.interp(time, plates["time"], plates[plate]) > 20.0
        last_strike = np.flatnonzero(loaded[1:] & ~loaded[:-1])[-1] + 1
        assert circular_error(phase[last_strike, side], 0.0) < 0.05
