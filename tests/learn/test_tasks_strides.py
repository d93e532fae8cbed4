"""Strides of solved gaits."""

import numpy as np
import pytest

from osim_exo.errors import DataError
from osim_exo.learn.tasks.strides import shipped_strides
from osim_exo.physics.base import PhysicsNames
from tests.learn.planar import COORDINATES, NAMES


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


def test_gaits_of_another_model_are_missed():
    with pytest.raises(DataError, match="standing_share = 1"):
        shipped_strides("nobody", NAMES)
    other = PhysicsNames(coordinates=(*COORDINATES, "neck"), muscles=NAMES.muscles)
    with pytest.raises(DataError, match="neck"):
        shipped_strides("gait2d", other)
