"""Trial and Channels: shapes, names and finiteness are held from the start."""

import numpy as np
import pytest

from osim_exo.errors import DataError
from osim_exo.trial import SERIES, Channels, MuscleParameters, Trial, TrialInfo
from tests.synthetic import walking_trial

TIME = np.linspace(0.0, 1.0, 5)


def _channels(*names, n=5):
    return Channels(names, np.arange(float(n * len(names))).reshape(n, len(names)))


def test_channels_are_found_by_name_and_selected_in_the_order_given():
    c = _channels("a", "b", "c")
    np.testing.assert_array_equal(c["b"], [1, 4, 7, 10, 13])
    assert c.select(("c", "a")).names == ("c", "a")
    np.testing.assert_array_equal(c.select(("c", "a")).values[0], [2, 0])
    assert c.select(()).values.shape == (5, 0)
    assert "a" in c and "z" not in c and len(c) == 3
    with pytest.raises(DataError, match="No channel 'z'. There are: a, b, c"):
        c["z"]


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((3, 2)), np.zeros((3, 1, 1))])
def test_channels_need_one_name_per_column(values):
    with pytest.raises(DataError, match="one name per channel"):
        Channels(("a",), values)


def test_channel_names_are_unique():
    with pytest.raises(DataError, match="more than once: a"):
        Channels(("a", "a"), np.zeros((3, 2)))


def test_series_that_are_not_given_have_no_channels():
    trial = Trial.build(TIME, TrialInfo("t"), coordinates=_channels("a"))
    assert len(trial.coordinates) == 1
    assert all(getattr(trial, s).values.shape == (5, 0) for s in SERIES if s != "coordinates")
    assert trial.duration == 1.0


def test_unknown_series_and_wrong_lengths_are_refused():
    with pytest.raises(DataError, match="Unknown series \\['emg'\\]"):
        Trial.build(TIME, TrialInfo("t"), emg=_channels("a"))
    with pytest.raises(DataError, match="grf has 4 samples, time has 5"):
        Trial.build(TIME, TrialInfo("t"), grf=_channels("a", n=4))


@pytest.mark.parametrize("time", [[0.0], [0.0, 0.0], [1.0, 0.0], [[0.0, 1.0]], [0.0, np.nan]])
def test_time_increases_strictly(time):
    with pytest.raises(DataError, match="strictly increasing"):
        Trial.build(np.array(time), TrialInfo("t"))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_name_the_channel(bad):
    values = np.zeros((5, 2))
    values[2, 1] = bad
    with pytest.raises(DataError, match="activations holds NaN or infinity in soleus_r"):
        Trial.build(TIME, TrialInfo("t"), activations=Channels(("vasti_r", "soleus_r"), values))


def test_muscle_volume_and_mass():
    p = MuscleParameters(2500.0, 0.1, specific_tension=0.25e6, density=1000.0)
    assert p.volume == pytest.approx(1e-3)
    assert p.mass == pytest.approx(1.0)


def test_synthetic_walker_is_consistent():
    trial = walking_trial("assisted", n_strides=2)
    assert all(len(getattr(trial, s)) for s in SERIES)
    speeds = np.gradient(trial.coordinates.values, trial.time, axis=0)
    np.testing.assert_allclose(speeds[5:-5], trial.speeds.values[5:-5], atol=0.1)
    torque = trial.exo_torque["hip_flexion_r"]
    power = torque * trial.speeds["hip_flexion_r"]
    np.testing.assert_allclose(trial.exo_power["hip_flexion_r"], power)
