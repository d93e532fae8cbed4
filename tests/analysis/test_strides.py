"""Numbers per stride, on a synthetic walker whose stride is known."""

import numpy as np
import pytest

from osim_exo.analysis.strides import stride_table
from tests.synthetic import walking_trial


def test_strides_of_the_synthetic_walker_are_all_alike():
    trial = walking_trial()
    table = stride_table(trial)
    assert len(table.values) >= 1
    spread = np.ptp(table.values, axis=0)
    assert (spread <= 0.02 * np.abs(table.values).mean(axis=0) + 1e-9).all(), table.names


def test_stride_time_speed_and_range_are_those_of_the_signals():
    trial = walking_trial()
    table = stride_table(trial)
    duration = table["stride_time"].mean()
    distance = np.diff(trial.coordinates["pelvis_tx"][[0, -1]])[0]
    assert table["walking_speed"].mean() == pytest.approx(distance / trial.duration, rel=1e-2)
    assert 0.8 < duration < 1.5
    knee = trial.coordinates["knee_angle_r"]
    assert table["knee_angle_range_deg"].max() == pytest.approx(np.degrees(np.ptp(knee)), rel=1e-2)
    weight = trial.info.body_mass * 9.80665
    peak = trial.grf["ground_force_r_vy"].max() / weight
    assert table["grf_peak_bw"].max() == pytest.approx(peak, rel=1e-3)
