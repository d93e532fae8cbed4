"""Walks against the human bands: a measured human fits, signs and all."""

from dataclasses import replace

import numpy as np
import pytest

from osim_exo.analysis.events import find_events
from osim_exo.analysis.normative import band
from osim_exo.analysis.realism import (
    compare_to_humans,
    humps,
    landing_place,
    leg_length,
    muscle_timing,
    realism,
    realism_gates,
)
from osim_exo.errors import DataError
from osim_exo.io import read_measured
from osim_exo.trial import Channels, TrialInfo
from tests.synthetic import replaced, walking_trial


def test_measured_human_correlates_with_every_band_of_angle_force_moment(shared_data):
    """A wrong sign between inverse dynamics and clinical curves would turn one negative."""
    folder = shared_data / "gait10dof18musc"
    trial = read_measured(
        folder / "subject01_walk_IK.mot",
        TrialInfo("m", body_mass=72.6, height=1.8, speed=1.135),
        grf=folder / "subject01_walk_grf.mot",
        moments=folder / "subject01_walk_ID.sto",
    )
    found = compare_to_humans(trial)
    assert len(found) == 23
    for name, least in (
        ("hip_flexion", 0.95),
        ("knee_flexion", 0.95),
        ("ankle_dorsiflexion", 0.75),
        ("grf_vertical", 0.95),
        ("grf_anterior", 0.9),
        ("hip_extension_moment", 0.75),
        ("knee_extension_moment", 0.6),
        ("ankle_plantarflexion_moment", 0.95),
        ("hip_power", 0.6),
        ("ankle_power", 0.5),
    ):
        for side in "rl":
            assert found[f"{name}_{side}"].correlation > least, (name, side)


def test_synthetic_walker_lies_in_the_bands_it_was_made_from():
    found = compare_to_humans(walking_trial())
    for name in ("hip_flexion_r", "knee_flexion_l", "grf_vertical_r", "pelvis_anterior_tilt"):
        assert found[name].within_2_sd > 0.98


def test_bands_need_height_and_speed():
    assert leg_length(walking_trial(height=1.8)) == pytest.approx(0.954)
    with pytest.raises(DataError, match="Set info.height"):
        compare_to_humans(replaced(walking_trial(), height=float("nan")))
    trial = walking_trial(n_strides=3)
    values = trial.coordinates.values.copy()
    values[:, trial.coordinates.names.index("pelvis_tx")] = 0.0
    still = replace(trial, coordinates=Channels(trial.coordinates.names, values))
    with pytest.raises(DataError, match="Set info.speed"):
        compare_to_humans(replaced(still, speed=float("nan")))


def test_human_vertical_force_has_two_humps_and_ripples_are_none():
    human, _ = band("grf_vertical", 1.25, 0.95)
    assert humps(human) == 2
    assert humps(human, depth=0.3) == 1
    ripple = human + 0.02 * np.sin(np.linspace(0.0, 40.0 * np.pi, 101))
    assert humps(ripple) == 2
    assert humps(np.array([0.0, 1.2, 0.9, 1.0, 0.8, 1.1, 0.0])) == 3


def test_a_synthetic_walk_from_the_bands_is_told_to_be_human():
    found = realism(walking_trial())
    assert found["angles/within_2_sd"] > 0.95
    assert found["humps"] == 2
    assert found["largest_force_bw"] == pytest.approx(found["first_peak_bw"], abs=0.15)
    assert found["cadence"] == pytest.approx(60.0 * 2.0 / 1.1, rel=0.1)


def test_landing_on_the_heel_is_told_from_the_centre_of_pressure():
    trial = walking_trial()
    n = trial.time.size
    points = Channels(("heel_r.x", "toe_r.x"), np.stack([np.full(n, 1.0), np.full(n, 1.2)], axis=1))
    values = trial.grf.values.copy()
    values[:, trial.grf.names.index("ground_force_r_px")] = 1.05
    grf = Channels(trial.grf.names, values)
    places = landing_place(replace(trial, points=points, grf=grf), "r", find_events(trial))
    assert places and np.allclose(places, 0.25)
    bare = replace(trial, points=Channels.empty(n))
    assert landing_place(bare, "r", find_events(trial)) == []


def with_activation(trial, muscle, curve):
    """A periodic trial whose muscle is active as a curve of 101 samples says, on both sides."""
    values = trial.activations.values.copy()
    cycle = curve[:-1]
    for side, late in (("r", 0), ("l", 50)):
        at = trial.activations.names.index(f"{muscle}_{side}")
        shifted = np.roll(cycle, late)
        values[:, at] = np.append(shifted, shifted[0])
    return replace(trial, activations=Channels(trial.activations.names, values))


@pytest.mark.parametrize("late", [0, 7, -12])
def test_a_muscle_that_is_active_late_is_told_to_be_late(late):
    trial = walking_trial()
    people, _ = band("emg_medial_gastrocnemius", 1.25, leg_length(trial))
    curve = 0.4 * np.append(np.roll(people[:-1], late), np.roll(people[:-1], late)[0]) + 0.01
    found = muscle_timing(with_activation(trial, "gastroc", curve))
    for side in "rl":
        timing = found[f"emg_medial_gastrocnemius_{side}"]
        assert timing.lag_percent == pytest.approx(late, abs=1)
        assert timing.correlation > 0.999 if late == 0 else timing.correlation < 0.97


def test_a_constant_activation_has_no_timing():
    found = muscle_timing(with_activation(walking_trial(), "tib_ant", np.full(101, 0.1)))
    assert np.isnan(found["emg_anterior_tibialis_r"].correlation)
    bare = walking_trial()
    bare = replace(bare, activations=Channels.empty(bare.time.size))
    assert muscle_timing(bare) == {}


def test_bursts_at_human_times_are_told_to_be_human():
    """The synthetic walker's bursts are put where textbooks have them."""
    found = realism(walking_trial())
    for muscle in ("medial_gastrocnemius", "anterior_tibialis", "medial_hamstrings"):
        assert found[f"emg_{muscle}/correlation"] > 0.6
        assert abs(found[f"emg_{muscle}/lag_percent"]) <= 6
    for quantity in ("hip_extension_moment", "ankle_power"):
        assert 0.0 <= found[f"{quantity}/within_1_sd"] <= found[f"{quantity}/within_2_sd"] <= 1.0


def test_gates_are_required_of_usual_walks_only():
    found = realism(walking_trial())
    required = {gate.name: gate for gate in realism_gates(found)}
    assert required["knee_straight"].passed and not required["knee_straight"].informative
    spoiled = {**found, "humps": 3.0, "largest_force_bw": 1.6, "least_knee_flexion_deg": -2.0}
    spoiled |= {"knee_flexion/within_1_sd": 0.69, "heel_first_share": 0.4, "stance_percent": 70.0}
    worse = {gate.name for gate in realism_gates(spoiled) if not gate.passed}
    expected = {"grf_humps", "grf_largest", "knee_straight", "human_knee_flexion"}
    assert worse >= expected | {"heel_first", "stance"}
    for fields in ({"slope_deg": 5.0}, {"condition": "assisted"}):
        assert all(gate.informative and gate.passed for gate in realism_gates(spoiled, **fields))
    assert all(gate.informative for gate in realism_gates({**found, "speed": 0.8}))
    unknown = {gate.name: gate for gate in realism_gates({**found, "humps": float("nan")})}
    assert not unknown["grf_humps"].passed
