"""Spatiotemporal, force, power, activation, symmetry and clinical quantities."""

from dataclasses import replace

import numpy as np
import pytest

from osim_exo.analysis.activation import summarise_activation, without_side
from osim_exo.analysis.clinical import (
    PELVIS_TILT_OFFSET_DEG,
    clinical_angles,
    clinical_cycles,
    clinical_forces,
    clinical_moments,
    clinical_powers,
)
from osim_exo.analysis.grf import grf_features, weight_ratio
from osim_exo.analysis.metrics import compute_metrics
from osim_exo.analysis.power import (
    exo_work,
    joint_powers,
    joint_work,
    positive_joint_power,
    power_balance,
    work,
)
from osim_exo.analysis.spatiotemporal import spatiotemporal
from osim_exo.analysis.symmetry import (
    compare_sides,
    joint_symmetry,
    leg_symmetry,
    legs,
    symmetry_index,
)
from osim_exo.errors import DataError
from osim_exo.io import read_measured
from osim_exo.names import MUSCLE_GROUPS
from osim_exo.trial import Channels, TrialInfo
from osim_exo.units import GRAVITY
from tests.synthetic import replaced, walking_trial

SUBJECT01_SPEED = 1.135
"""Belt speed, m/s: slope of the toe markers' forward position in mid-stance."""


@pytest.mark.parametrize("strides", [1, 4])
def test_spatiotemporals_of_the_synthetic_walker_are_what_it_was_made_of(strides):
    s = spatiotemporal(walking_trial(speed=1.1, stride_time=1.2, n_strides=strides))
    assert s.stride_time == pytest.approx(1.2, abs=1e-6)
    assert s.cadence == pytest.approx(100.0, rel=1e-5)
    assert s.speed == pytest.approx(1.1)
    assert s.stride_length == pytest.approx(1.32, rel=1e-5)
    assert s.step_length["r"] + s.step_length["l"] == pytest.approx(1.32, abs=0.01)
    assert s.step_length["r"] == pytest.approx(s.step_length["l"], abs=0.01)
    assert s.step_time["r"] == pytest.approx(0.6, abs=0.005)
    assert s.double_support_percent == pytest.approx(
        s.stance_percent["r"] + s.stance_percent["l"] - 100
    )
    assert 55 < s.stance_percent["r"] < 70


def test_step_length_without_landmarks_comes_from_the_joint_angles():
    trial = walking_trial(n_strides=3)
    seen = spatiotemporal(trial)
    bare = spatiotemporal(replace(trial, points=Channels.empty(trial.time.size)))
    assert bare.step_length["r"] == pytest.approx(seen.step_length["r"], abs=0.02)


def test_treadmill_walking_gives_the_same_lengths():
    trial = walking_trial(n_strides=3)
    ground = spatiotemporal(trial)
    belt = {}
    for series in ("coordinates", "points"):
        channels = getattr(trial, series)
        forward = [n == "pelvis_tx" or n.endswith(".x") for n in channels.names]
        travel = np.outer(trial.info.speed * trial.time, forward)
        belt[series] = Channels(channels.names, channels.values - travel)
    treadmill = spatiotemporal(replace(trial, **belt))
    assert treadmill.speed == trial.info.speed
    assert treadmill.step_length["r"] == pytest.approx(ground.step_length["r"])
    assert treadmill.stride_length == pytest.approx(ground.stride_length)


def test_measured_walk_has_human_spatiotemporals_and_carries_its_weight(shared_data):
    folder = shared_data / "gait10dof18musc"
    info = TrialInfo("m", body_mass=72.6, height=1.8, speed=SUBJECT01_SPEED)
    trial = read_measured(
        folder / "subject01_walk_IK.mot", info, grf=folder / "subject01_walk_grf.mot"
    )
    s = spatiotemporal(trial)
    assert s.speed == SUBJECT01_SPEED and 90 < s.cadence < 115
    assert 60 < s.stance_percent["r"] < 67 and 60 < s.stance_percent["l"] < 67
    assert s.step_length["r"] + s.step_length["l"] == pytest.approx(s.stride_length, rel=0.03)
    unknown = spatiotemporal(replaced(trial, speed=float("nan")))
    assert np.isnan(unknown.speed) and np.isnan(unknown.stride_length)
    assert weight_ratio(trial) == pytest.approx(1.0, abs=0.02)
    for side in "rl":
        f = grf_features(trial, side)
        assert 1.0 < f.first_peak < 1.3 and 1.0 < f.second_peak < 1.3
        assert 0.6 < f.trough < 0.9
        assert -0.3 < f.braking < -0.1 and 0.1 < f.propulsion < 0.3


def test_force_features_of_a_drawn_curve():
    percent = [0, 2, 8, 20, 50, 80, 100]
    load = [0, 1.7, 0.9, 1.1, 0.7, 1.2, 0]
    trial = walking_trial(n_time=1001)
    stance = 60.0
    at = 100 * trial.time / trial.duration
    columns = {}
    for side, shift in (("r", 0), ("l", 50)):
        phase = ((at + shift) % 100) / stance * 100
        columns[f"ground_force_{side}_vx"] = np.where(
            phase < 100, 75 * GRAVITY * -0.2 * np.cos(np.pi * phase / 100), 0
        )
        columns[f"ground_force_{side}_vy"] = 75 * GRAVITY * np.interp(phase, percent, load, right=0)
    grf = Channels(tuple(columns), np.stack(list(columns.values()), axis=1))
    for side in "rl":
        f = grf_features(replace(trial, grf=grf), side)
        assert f.first_peak == pytest.approx(1.7, abs=0.05)
        assert f.first_peak_after_landing == pytest.approx(1.3, abs=0.07)
        assert f.trough == pytest.approx(0.7, abs=0.01)
        assert f.second_peak == pytest.approx(1.2, abs=0.01)
        assert f.braking == pytest.approx(-0.2, abs=0.01)
        assert f.propulsion == pytest.approx(0.2, abs=0.01)


def test_weight_includes_the_device_and_the_slope():
    worn = walking_trial("zero_torque")
    assert weight_ratio(worn) == pytest.approx(1.0, abs=1e-3)
    uphill = replaced(worn, slope_deg=10.0)
    assert weight_ratio(uphill) == pytest.approx(1 / np.cos(np.deg2rad(10)), abs=1e-3)


def test_clinical_signs_and_offset():
    trial = walking_trial()
    angles = clinical_angles(trial)
    np.testing.assert_allclose(
        angles["hip_flexion_r"], np.rad2deg(trial.coordinates["hip_flexion_r"]) + 11.5
    )
    np.testing.assert_allclose(
        angles["pelvis_anterior_tilt"], 11.5 - np.rad2deg(trial.coordinates["pelvis_tilt"])
    )
    assert angles["knee_flexion_r"].max() > 50
    assert PELVIS_TILT_OFFSET_DEG == 11.5
    thigh = angles["hip_flexion_r"] - angles["pelvis_anterior_tilt"]
    other = clinical_angles(trial, pelvis_offset_deg=0.0)
    np.testing.assert_allclose(thigh, other["hip_flexion_r"] - other["pelvis_anterior_tilt"])


def test_clinical_moments_are_extensor_and_plantarflexor_positive():
    trial = walking_trial()
    moments, powers = clinical_moments(trial), clinical_powers(trial)
    np.testing.assert_allclose(
        moments["ankle_plantarflexion_moment_r"], -trial.moments["ankle_angle_r"] / 75
    )
    np.testing.assert_allclose(
        moments["knee_extension_moment_l"], trial.moments["knee_angle_l"] / 75
    )
    np.testing.assert_allclose(
        powers["hip_power_r"], trial.moments["hip_flexion_r"] * trial.speeds["hip_flexion_r"] / 75
    )
    positive_knee = replaced(trial, provenance={"knee_flexion_sign": 1})
    np.testing.assert_allclose(
        clinical_moments(positive_knee)["knee_extension_moment_r"],
        -moments["knee_extension_moment_r"],
    )


def test_forces_are_in_weights_of_the_body_alone():
    worn = walking_trial("zero_torque")
    forces = clinical_forces(worn)
    np.testing.assert_allclose(
        forces["grf_vertical_r"], worn.grf["ground_force_r_vy"] / (75 * GRAVITY)
    )
    with pytest.raises(DataError, match="positive number of kilograms"):
        clinical_forces(replaced(worn, body_mass=float("nan")))


def test_clinical_cycles_without_body_mass_hold_angles_only():
    trial = replaced(walking_trial(), body_mass=float("nan"))
    names = clinical_cycles(trial).names
    assert "hip_flexion_l" in names and not any("moment" in n or "grf" in n for n in names)


def test_work_of_a_sine_is_known():
    trial = walking_trial(stride_time=2.0, n_time=2001)
    power = 10 * np.sin(2 * np.pi * trial.time / 2.0)
    done = work(trial, power)
    assert done.positive == pytest.approx(20 / np.pi, rel=1e-5)
    assert done.negative == pytest.approx(-20 / np.pi, rel=1e-5)
    assert done.mean_positive == pytest.approx(10 / np.pi, rel=1e-5)


def test_powers_of_muscles_and_passive_structures_make_up_the_joints():
    balance = power_balance(walking_trial("assisted"))
    assert np.abs(balance.residual).max() < 1e-9
    np.testing.assert_allclose(balance.total, balance.muscles + balance.passive + balance.exo)
    assert np.abs(balance.exo).max() > 1


def test_positive_joint_power_counts_the_body_not_the_device():
    trial = walking_trial("assisted")
    by_joint = positive_joint_power(trial)
    done = joint_work(trial)
    assert set(by_joint) == {"hip", "knee", "ankle"}
    hip = done["hip_flexion_r"].mean_positive + done["hip_flexion_l"].mean_positive
    assert by_joint["hip"] == pytest.approx(hip)
    assert set(exo_work(trial)) == {"hip_flexion_r", "hip_flexion_l"}
    assert exo_work(walking_trial("no_exo")) == {}


def test_power_needs_moments_and_speeds():
    trial = walking_trial()
    none = Channels.empty(trial.time.size)
    with pytest.raises(DataError, match="no joint moments"):
        joint_powers(replace(trial, moments=none))
    with pytest.raises(DataError, match="no moments of ankle_angle_r"):
        rest = trial.moments.select([n for n in trial.moments.names if n != "ankle_angle_r"])
        positive_joint_power(replace(trial, moments=rest))
    with pytest.raises(DataError, match="no muscle powers"):
        power_balance(replace(trial, muscle_powers=none))


def test_activation_summary_against_hand_calculation():
    trial = walking_trial()
    n = trial.time.size
    values = np.tile(np.linspace(0, 1, n)[:, None], (1, 18))
    values[:, 9:] = 0.25
    ramp = replace(trial, activations=Channels(trial.activations.names, values))
    summary = summarise_activation(ramp)
    assert summary.mean["soleus_r"] == pytest.approx(0.5)
    assert summary.peak["soleus_r"] == 1.0
    assert summary.overall == pytest.approx(0.375)
    assert set(summary.group_mean) == set(MUSCLE_GROUPS)
    assert summary.group_mean["plantarflexors"] == pytest.approx(0.375)
    volumes = np.array([trial.info.muscles[m].volume for m in trial.activations.names])
    expected = (0.5 * volumes[:9].sum() + 0.25 * volumes[9:].sum()) / volumes.sum()
    assert summary.overall_volume_weighted == pytest.approx(expected)
    assert without_side(summary.mean)["soleus"] == pytest.approx(0.375)


def test_activation_without_muscle_parameters_has_no_volume_weight():
    summary = summarise_activation(replaced(walking_trial(), muscles={}))
    assert np.isnan(summary.overall_volume_weighted) and summary.overall > 0
    trial = walking_trial()
    with pytest.raises(DataError, match="no activations"):
        summarise_activation(replace(trial, activations=Channels.empty(trial.time.size)))


def test_symmetry_index_has_robinsons_value_and_our_sign():
    assert symmetry_index(110.0, 90.0) == pytest.approx(20.0)
    assert symmetry_index(90.0, 110.0) == pytest.approx(-20.0)
    assert symmetry_index(5.0, 5.0) == 0.0
    assert np.isnan(symmetry_index(0.0, 0.0))


def test_sides_that_differ_by_scale_and_offset():
    phase = np.linspace(0, 2 * np.pi, 101)
    s = compare_sides(3 * np.sin(phase) + 1, np.sin(phase))
    assert s.index == pytest.approx(100.0)
    assert s.correlation == pytest.approx(1.0)
    assert s.rms == pytest.approx(np.sqrt(np.mean((2 * np.sin(phase) + 1) ** 2)))
    assert np.isnan(compare_sides(np.ones(101), np.ones(101)).correlation)


def test_synthetic_walker_is_symmetric_and_a_stiff_knee_shows():
    trial = walking_trial(n_strides=3)
    assert all(abs(s.index) < 0.5 and s.correlation > 0.999 for s in joint_symmetry(trial).values())
    values = trial.coordinates.values.copy()
    values[:, trial.coordinates.names.index("knee_angle_l")] *= 0.5
    stiff = replace(trial, coordinates=Channels(trial.coordinates.names, values))
    found = joint_symmetry(stiff)
    assert found["knee_flexion"].index == pytest.approx(100 * 0.5 / 0.75, abs=0.5)
    assert abs(found["hip_flexion"].index) < 0.5


def limping_trial():
    """A walk of 1.2 m/s in strides of 1.1 s that one can compute by hand.

    The right foot stands for 60 % of the stride from 0 %, the left one for 50 % from 50 %; the left
    foot is carried 0.05 m further forward; only the hips have moments, of 20 and 10 Nm, at speeds
    of 2 sin(2 pi t / T) rad/s.
    """
    trial = walking_trial(n_strides=4, stride_time=1.1, speed=1.2, n_time=1101)
    time, zeros = trial.time, np.zeros(trial.time.size)
    phase = time / 1.1
    swing = np.sin(2 * np.pi * phase)

    def channels(source, **columns):
        return Channels(source.names, np.stack([columns.get(n, zeros) for n in source.names], 1))

    loads = {
        "ground_force_r_vy": 700.0 * (phase % 1 < 0.6),
        "ground_force_l_vy": 700.0 * ((phase - 0.5) % 1 < 0.5),
    }
    heel = 0.3 * np.cos(2 * np.pi * phase)
    places = {"heel_r.x": 1.2 * time + heel, "heel_l.x": 1.2 * time - heel + 0.05}
    speeds = {f"hip_flexion_{s}": 2.0 * swing for s in "rl"}
    moments = {"hip_flexion_r": zeros + 20.0, "hip_flexion_l": zeros + 10.0}
    return replace(
        trial,
        grf=channels(trial.grf, **loads),
        points=channels(trial.points, **places),
        speeds=channels(trial.speeds, **speeds),
        moments=channels(trial.moments, **moments),
    )


def test_each_legs_step_stance_and_work_are_those_computed_by_hand():
    found = legs(limping_trial())
    assert found["r"].stance_time == pytest.approx(0.6 * 1.1, abs=0.003)
    assert found["l"].stance_time == pytest.approx(0.5 * 1.1, abs=0.003)
    # From the left heel's place at its strike to the right one's half a stride later.
    assert found["r"].step_length == pytest.approx(1.2 * 0.55 - 0.05, abs=0.003)
    assert found["l"].step_length == pytest.approx(1.2 * 0.55 + 0.05, abs=0.003)
    # 20 Nm times 2 sin over its positive half: 20 * 2 * T / pi.
    assert found["r"].positive_work == pytest.approx(40 * 1.1 / np.pi, rel=1e-3)
    assert found["l"].positive_work == pytest.approx(20 * 1.1 / np.pi, rel=1e-3)
    assert found["r"].negative_work == pytest.approx(-40 * 1.1 / np.pi, rel=1e-3)


def test_symmetry_of_the_legs_is_robinsons_index_of_those_numbers():
    found = leg_symmetry(limping_trial())
    assert found["stance_time"] == pytest.approx(100 * 0.1 / 0.55, abs=1.0)
    assert found["step_length"] == pytest.approx(-100 * 0.1 / 0.66, abs=1.0)
    assert found["positive_work"] == pytest.approx(100 * 1.0 / 1.5, abs=0.2)


def test_a_comparison_knows_the_symmetry_of_the_legs():
    trial = limping_trial()
    found = compute_metrics(trial).metrics
    assert found["symmetry_index/positive_work"].value == pytest.approx(100 / 1.5, abs=0.2)
    share = legs(trial)["l"].positive_work / trial.info.body_mass
    assert found["leg_positive_work/l"].value == pytest.approx(share)
    bare = compute_metrics(replace(trial, moments=Channels.empty(trial.time.size))).metrics
    assert "symmetry_index/positive_work" not in bare
    assert "symmetry_index/stance_time" in bare
