"""Human bands: the numbers of the source, interpolation over speed, comparison of curves."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

import osim_exo.analysis.normative as normative
from osim_exo.analysis.clinical import clinical_cycles
from osim_exo.analysis.normative import (
    CLASS_SPEEDS,
    MUSCLES,
    QUANTITIES,
    band,
    compare_to_band,
    dimensionless_speed,
)
from osim_exo.errors import DataError, InputError
from tests.synthetic import walking_trial

LEG = 0.9


def _speed_of(speed_class):
    return CLASS_SPEEDS[speed_class] * math.sqrt(9.80665 * LEG)


def test_table_is_small_and_cites_its_source():
    path = Path(normative.__file__).with_name("schwartz2008.csv")
    assert path.stat().st_size < 300_000
    assert "Schwartz MH, Rozumalski A, Trost JP (2008)" in path.read_text().splitlines()[1]


@pytest.mark.parametrize("quantities", [QUANTITIES, MUSCLES], ids=["gait", "emg"])
def test_bands_at_the_class_centres_are_the_sources_numbers(shared_data, quantities):
    with (shared_data / "normative" / "schwartz2008_gait.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["quantity"] in quantities]
    assert len(rows) == len(quantities) * 5 * 51
    for row in rows:
        mean, sd = band(row["quantity"], _speed_of(row["speed"]), LEG)
        at = int(float(row["percent_gait_cycle"]))
        assert mean[at] == pytest.approx(float(row["mean"]), abs=6e-3)
        assert sd[at] == pytest.approx(float(row["sd"]), abs=6e-3)


def test_published_features_of_free_walking():
    free = _speed_of("free")
    knee, _ = band("knee_flexion", free, LEG)
    assert knee.max() == pytest.approx(59.1, abs=0.1) and knee.argmax() == 72
    vertical, _ = band("grf_vertical", free, LEG)
    assert vertical.max() == pytest.approx(1.10, abs=0.01)
    assert 2 * np.mean(vertical[:-1]) == pytest.approx(1.0, abs=0.02)
    tilt, _ = band("pelvis_anterior_tilt", free, LEG)
    assert tilt.mean() == pytest.approx(11.6, abs=0.1)


def test_between_two_classes_the_band_is_their_mean_and_beyond_the_ends_the_last_class():
    slow, free = _speed_of("slow"), _speed_of("free")
    between, sd = band("hip_power", (slow + free) / 2, LEG)
    for part, i in ((between, 0), (sd, 1)):
        expected = (band("hip_power", slow, LEG)[i] + band("hip_power", free, LEG)[i]) / 2
        np.testing.assert_allclose(part, expected)
    np.testing.assert_allclose(
        band("hip_power", 5.0, LEG)[0], band("hip_power", _speed_of("very_fast"), LEG)[0]
    )
    np.testing.assert_allclose(
        band("hip_power", 0.05, LEG)[0], band("hip_power", _speed_of("very_slow"), LEG)[0]
    )


def test_dimensionless_speed_is_the_root_of_froude():
    assert dimensionless_speed(math.sqrt(9.80665 * 0.8), 0.8) == pytest.approx(1.0)
    for speed, leg in ((0.0, 1.0), (1.0, float("nan")), (-1.0, 1.0)):
        with pytest.raises(InputError, match="both must be positive"):
            dimensionless_speed(speed, leg)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_mean_itself_is_inside_and_shifted_means_are_outside(quantity):
    mean, sd = band(quantity, 1.2, LEG)
    same = compare_to_band(mean, quantity, 1.2, LEG)
    assert (same.within_1_sd, same.within_2_sd, same.rms) == (1.0, 1.0, 0.0)
    assert same.correlation == pytest.approx(1.0)
    wide = np.maximum(sd, 0.02 * np.ptp(mean))
    off = compare_to_band(mean + 1.5 * wide, quantity, 1.2, LEG)
    assert (off.within_1_sd, off.within_2_sd) == (0.0, 1.0)
    assert off.rms == pytest.approx(1.5 * np.sqrt(np.mean(wide**2)))
    opposite = compare_to_band(-mean, quantity, 1.2, LEG)
    assert opposite.correlation == pytest.approx(-1.0)


def test_flat_curve_has_no_correlation():
    assert math.isnan(compare_to_band(np.zeros(101), "hip_power", 1.2, LEG).correlation)


def test_wrong_curves_and_quantities_are_refused():
    with pytest.raises(DataError, match="101 finite numbers"):
        compare_to_band(np.zeros(100), "hip_power", 1.2, LEG)
    with pytest.raises(DataError, match="101 finite numbers"):
        compare_to_band(np.full(101, np.nan), "hip_power", 1.2, LEG)
    with pytest.raises(InputError, match="Unknown quantity 'trunk_roll'. Allowed: ankle"):
        band("trunk_roll", 1.2, LEG)


def test_synthetic_walker_moves_like_the_humans_it_was_made_from():
    curves = clinical_cycles(walking_trial(speed=1.25, height=1.75))
    for quantity in ("hip_flexion", "knee_flexion", "ankle_dorsiflexion", "grf_vertical"):
        for side in "rl":
            found = compare_to_band(curves[f"{quantity}_{side}"], quantity, 1.25, 0.53 * 1.75)
            assert found.within_2_sd > 0.98 and found.correlation > 0.999
