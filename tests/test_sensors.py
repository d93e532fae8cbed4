"""Onboard sensors: their errors have the size that was asked for."""

import math

import numpy as np
import pytest

from osim_exo.control import Signals, ZeroTorque
from osim_exo.errors import InputError
from osim_exo.sensors import Sensed, SensorErrors, SensorModel, sensor_signals


def truth(time, n_env=1, value=0.0):
    pair = np.full((n_env, 2), float(value))
    return Signals(np.full(n_env, time), pair, 2 * pair, thigh_angle=3 * pair, thigh_rate=4 * pair)


def model(n_env=1, fixed=False, seed=0, **errors):
    made = SensorModel(SensorErrors(**errors), 0.01, np.random.default_rng(seed), fixed)
    made.reset(n_env)
    return made


def test_without_errors_the_truth_is_read():
    signals = truth(0.3, 4, 0.7)
    read = model(4)(signals)
    for name in ("time", "hip_angle", "hip_speed", "thigh_angle", "thigh_rate"):
        np.testing.assert_array_equal(getattr(read, name), getattr(signals, name))
    assert read.phase is None


def test_what_nothing_measures_stays_unmeasured():
    zero = np.zeros((1, 2))
    read = model(mounting=0.1, gyro_bias=0.1)(Signals([0.0], zero, zero))
    assert read.thigh_angle is None
    assert read.thigh_rate is None


def test_noise_has_its_deviation_and_leaves_each_reading_its_own():
    sensors = model(2000, angle_noise=0.02, rate_noise=0.3)
    read = sensors(truth(0.0, 2000))
    assert read.hip_angle.std() == pytest.approx(0.02, rel=0.05)
    assert read.thigh_angle.std() == pytest.approx(0.02, rel=0.05)
    assert read.thigh_rate.std() == pytest.approx(0.3, rel=0.05)
    assert abs(read.thigh_rate.mean()) < 0.02
    assert abs(np.corrcoef(read.thigh_rate.ravel(), read.hip_speed.ravel())[0, 1]) < 0.1


def test_constant_errors_fill_their_range_and_stay_over_a_walk():
    sensors = model(4000, mounting=0.2, gyro_bias=0.1, encoder_offset=0.05)
    first, second = sensors(truth(0.0, 4000)), sensors(truth(0.01, 4000))
    np.testing.assert_array_equal(first.thigh_rate, second.thigh_rate)
    for read, most in (
        (first.thigh_angle, 0.2), (first.thigh_rate, 0.1), (first.hip_angle, 0.05)
    ):  # fmt: skip
        assert np.abs(read).max() <= most
        assert read.std() == pytest.approx(most / math.sqrt(3), rel=0.05)
        assert abs(np.corrcoef(read.T)[0, 1]) < 0.1


def test_scale_and_misalignment_act_on_the_gyroscope():
    read = model(fixed=True, mounting=math.radians(10), gyro_scale=0.05)(truth(0.0, 1, 1.0))
    expected = 4.0 * math.cos(math.radians(10)) * 1.05
    np.testing.assert_allclose(read.thigh_rate, expected)
    np.testing.assert_allclose(read.thigh_angle, 3.0 + math.radians(10))
    np.testing.assert_allclose(read.hip_speed, 2.0)


def test_fixed_errors_keep_their_sign_on_both_legs():
    read = model(3, fixed=True, gyro_bias=-0.0873)(truth(0.0, 3))
    np.testing.assert_allclose(read.thigh_rate, -0.0873)


def test_readings_come_in_steps():
    read = model(500, angle_step=0.01, angle_noise=0.1)(truth(0.0, 500))
    np.testing.assert_allclose(read.hip_angle / 0.01, np.rint(read.hip_angle / 0.01), atol=1e-9)
    assert len(np.unique(read.hip_angle)) > 20


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.02, 0.015])
def test_delay_moves_a_ramp_by_itself(delay):
    sensors = model(fixed=True, delay_s=(delay, delay))
    read = [sensors(truth(0.01 * k, 1, k)).hip_angle[0, 0] for k in range(10)]
    np.testing.assert_allclose(read[5:], np.arange(5, 10) - delay / 0.01, atol=1e-9)
    assert read[0] == 0.0


def test_delays_are_drawn_within_their_range():
    sensors = model(3000, delay_s=(0.005, 0.02))
    for k in range(6):
        read = sensors(truth(0.01 * k, 3000, k))
    late = 5 - read.hip_angle[:, 0]
    assert late.min() >= 0.5 - 1e-9
    assert late.max() <= 2.0 + 1e-9
    assert late.mean() == pytest.approx(1.25, abs=0.03)


def test_lost_samples_repeat_the_last_one():
    sensors = model(4000, dropout=0.3)
    sensors(truth(0.0, 4000, 1.0))
    read = sensors(truth(0.01, 4000, 2.0))
    held = read.hip_angle[:, 0] == 1.0
    assert held.mean() == pytest.approx(0.3, abs=0.03)
    np.testing.assert_array_equal(read.thigh_rate[held], 4.0)
    np.testing.assert_array_equal(read.thigh_rate[~held], 8.0)


def test_some_walkers_begin_anew_with_other_errors_and_no_past():
    sensors = model(2, gyro_bias=0.5, delay_s=(0.02, 0.02))
    first = sensors(truth(0.0, 2)).thigh_rate
    sensors.reset(2, [1])
    second = sensors(truth(0.0, 2, 7.0)).thigh_rate
    np.testing.assert_array_equal(second[0], first[0])
    assert (second[1] - 28.0 != first[1]).all()
    assert (np.abs(second[1] - 28.0) <= 0.5).all()


def test_a_sensed_controller_resets_both():
    calls = []

    class Watch(ZeroTorque):
        def reset(self, n_env, environments=None):
            calls.append((n_env, environments))

        def __call__(self, signals):
            calls.append(signals.hip_angle[0, 0])
            return super().__call__(signals)

    sensed = Sensed(Watch(), model(fixed=True, encoder_offset=0.1))
    sensed.reset(1)
    sensed(truth(0.0, 1, 1.0))
    assert calls == [(1, None), 1.1]


def test_sensors_name_what_they_read_and_a_reading_comes_once():
    names = [row.name for row in sensor_signals(["thigh_imu", "thigh_gyro", "hip_encoder"])]
    assert names[:2] == ["thigh_r/thigh_rate", "thigh_l/thigh_rate"]
    assert sorted(names) == sorted(set(names))
    assert len(names) == 8
    assert [row.unit for row in sensor_signals(["thigh_gyro"])] == ["rad/s", "rad/s"]


@pytest.mark.parametrize("sensors", [[], ["thigh_camera"], ["thigh_gyro", "knee_encoder"]])
def test_unknown_sensors_are_refused(sensors):
    with pytest.raises(InputError, match="thigh_gyro, thigh_imu, hip_encoder"):
        sensor_signals(sensors)


@pytest.mark.parametrize(
    "errors", [{"delay_s": (0.03, 0.01)}, {"delay_s": (0.0, 1.0)}, {"gyro_bias": float("nan")}]
)
def test_errors_out_of_range_are_refused(errors):
    with pytest.raises(InputError):
        SensorErrors(**errors)
