"""A device that is told in time delivers a periodic torque."""

import numpy as np
import pytest

from osim_exo.baseline.delivery import deliver, lead_command
from osim_exo.device import DeviceLimits
from osim_exo.errors import InputError

PERIOD = 1.1
TIME = np.linspace(0.0, PERIOD, 401)
LIMITS = DeviceLimits(
    max_torque=15.0, rate_limit=250.0, bandwidth_hz=10.0, delay_s=0.013, power_limit=60.0
)


def sine(amplitude: float, harmonics: int = 1) -> np.ndarray:
    angle = 2 * np.pi * harmonics * TIME / PERIOD
    return amplitude * np.stack([np.sin(angle), np.cos(angle)], axis=1)


def test_the_command_is_the_torque_ahead_by_the_delay_plus_lag_times_its_rate() -> None:
    at = np.array([0.0, 0.4, 1.0995, 2.5])
    found = lead_command(TIME, sine(5.0), LIMITS, at)
    pulse = 2 * np.pi / PERIOD
    ahead = pulse * (at + 0.013)
    lag = 1 / (2 * np.pi * 10.0)
    expected = 5.0 * (np.sin(ahead) + lag * pulse * np.cos(ahead))
    np.testing.assert_allclose(found[:, 0], expected, atol=5e-3)


def test_what_the_device_delivers_is_what_was_wanted() -> None:
    torque = sine(10.0, 2)
    done = deliver(TIME, torque, np.zeros_like(torque), LIMITS)
    assert done.rms < 0.01
    assert done.largest < 0.02
    assert done.peak_command > 10.0


def test_a_device_that_would_have_to_be_commanded_beyond_its_torque_falls_short() -> None:
    torque = sine(15.0, 2)
    done = deliver(TIME, torque, np.zeros_like(torque), LIMITS)
    assert done.peak_command > 15.0
    assert done.largest > 0.1
    assert np.abs(done.delivered).max() <= 15.0


def test_rate_and_power_limits_show_in_what_is_delivered() -> None:
    slow = LIMITS.changed(rate_limit=60.0)
    torque = sine(10.0, 2)
    at_rest = np.zeros_like(torque)
    assert deliver(TIME, torque, at_rest, slow).rms > 1.0
    assert deliver(TIME, torque, at_rest + 12.0, LIMITS).rms > 1.0


def test_strides_repeat_where_the_period_is_no_multiple_of_the_loop_step() -> None:
    time = TIME * (1.00037 / PERIOD)
    done = deliver(time, sine(10.0), np.zeros((time.size, 2)), LIMITS)
    assert done.rms < 0.01
    assert done.time[-1] == pytest.approx(1.00037)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="one row per time"):
        lead_command(TIME, sine(1.0)[:-1], LIMITS, TIME)
    with pytest.raises(InputError, match="growing times"):
        lead_command(TIME[::-1], sine(1.0), LIMITS, TIME)
