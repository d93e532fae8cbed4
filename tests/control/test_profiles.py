"""Profiles are periodic and smooth, and reach their peaks where they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osim_exo.control import (
    Lobe,
    Playback,
    Signals,
    Spline,
    SplineProfile,
    TorqueTable,
    ZeroTorque,
)
from osim_exo.errors import InputError

lobes = st.builds(
    lambda peak, rise, share, torque: Lobe(
        peak_torque=torque,
        peak_percent=peak,
        rise_percent=rise,
        fall_percent=max(share * (100.0 - rise), 1.0),
    ),
    st.floats(0.0, 99.0),
    st.floats(5.0, 80.0),
    st.floats(0.1, 1.0),
    st.floats(0.0, 50.0),
)


def signals(phase=None, n_env=1, time=0.0):
    zero = np.zeros((n_env, 2))
    return Signals(time=np.full(n_env, time), hip_angle=zero, hip_speed=zero, phase=phase)


@settings(max_examples=60, deadline=None)
@given(lobes)
def test_a_pulse_is_periodic_has_a_continuous_slope_and_its_named_peak(lobe):
    phase = np.linspace(-0.5, 1.5, 40001)
    torque = lobe.magnitude(phase)
    step = phase[1] - phase[0]
    np.testing.assert_allclose(lobe.magnitude(phase + 1), torque, atol=1e-9 * (1 + torque.max()))
    slope = np.diff(torque) / step
    steepest = 6.0 / min(lobe.rise_percent, lobe.fall_percent) ** 2 * 1e4 * lobe.peak_torque
    assert np.abs(np.diff(slope)).max() <= steepest * step * 1.01 + 1e-6
    assert lobe.magnitude(lobe.peak_percent / 100) == pytest.approx(lobe.peak_torque)
    assert torque.max() <= lobe.peak_torque + 1e-9
    half = lobe.magnitude(lobe.peak_percent / 100 - lobe.rise_percent / 200)
    assert half == pytest.approx(lobe.peak_torque / 2)


def test_a_pulse_is_zero_outside_its_rise_and_fall():
    lobe = Lobe(peak_torque=10, peak_percent=5, rise_percent=20, fall_percent=15)
    assert lobe.magnitude([0.21, 0.5, 0.84]) == pytest.approx(0.0)
    assert lobe.magnitude(0.95) > 1.0


def test_the_default_spline_extends_at_heel_strike_and_flexes_at_toe_off():
    torque = SplineProfile().torque([0.05, 0.60])
    assert torque[0] < -4.0
    assert torque[1] > 4.0


def test_spline_uses_the_phase_of_each_side_and_gives_nothing_where_it_is_unknown():
    phase = np.array([[0.12, 0.58], [np.nan, 0.12]])
    torque = Spline()(signals(phase, n_env=2))
    np.testing.assert_allclose(torque, [[-8.0, 8.0], [0.0, -8.0]])


def test_spline_estimates_the_phase_from_the_hip_angle_when_none_is_given():
    spline, stride = Spline(), 1.1
    spline.reset(1)
    for time in np.arange(0, 5, 0.01):
        cycle = time / stride
        angle = 0.13 + 0.37 * np.cos(2 * np.pi * (cycle - np.array([[0.87, 1.37]])))
        torque = spline(Signals(np.array([time]), angle, np.zeros((1, 2))))
    expected = SplineProfile().torque(np.mod([cycle, cycle - 0.5], 1))
    np.testing.assert_allclose(torque[0], expected, atol=1.0)
    assert np.abs(torque).max() > 2.0


def test_playback_gives_back_the_stride_it_was_made_from():
    share = np.linspace(0, 1, 201)
    right = 5 * np.sin(2 * np.pi * share) + 2
    left = 3 * np.cos(2 * np.pi * (share - 0.48))
    table = TorqueTable.from_stride(np.stack([right, left], axis=1), left_strike=0.48)
    for at in (0.0, 0.3, 0.999):
        torque = Playback(table)(signals(np.array([[at, np.mod(at - 0.48, 1)]])))
        assert torque[0, 0] == pytest.approx(5 * np.sin(2 * np.pi * at) + 2, abs=0.02)
        assert torque[0, 1] == pytest.approx(3 * np.cos(2 * np.pi * (at - 0.48)), abs=0.02)


def test_playback_is_periodic():
    table = TorqueTable(phase=(0.0, 0.5), right=(0.0, 4.0), left=(2.0, -2.0))
    np.testing.assert_allclose(table.torque([0.75, 0.75]), [2.0, 0.0])
    np.testing.assert_allclose(table.torque([-0.25, 1.75]), [2.0, 0.0])


def test_zero_torque_is_zero():
    assert not ZeroTorque()(signals(n_env=3)).any()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Lobe(peak_torque=5, peak_percent=10, rise_percent=60, fall_percent=50), "110 %"),
        (lambda: Lobe(peak_torque=-5, peak_percent=10, rise_percent=6, fall_percent=5), "torque"),
        (lambda: TorqueTable(phase=(0, 0.5), right=(1,), left=(1, 2)), "one torque per phase"),
        (lambda: TorqueTable(phase=(0.5, 0.2), right=(1, 2), left=(1, 2)), "increase strictly"),
        (lambda: TorqueTable.from_stride(np.zeros((5, 3))), "n_time, 2"),
        (lambda: Signals(np.zeros(1), np.zeros((1, 3)), np.zeros((1, 2))), "hip_angle"),
        (lambda: Spline().reset(0), "at least 1"),
    ],
)
def test_wrong_profiles_are_refused_in_words(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_the_controllers_load_neither_opensim_nor_torch():
    import subprocess
    import sys

    code = (
        "import sys, osim_exo.control, osim_exo.device; "
        "print(sorted({'opensim', 'torch', 'gymnasium', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
