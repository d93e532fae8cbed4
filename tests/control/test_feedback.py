"""Delayed output feedback: the published recursion at 100 Hz, the same torque at other rates."""

import numpy as np
import pytest

from osim_exo.control import DelayedOutputFeedback, FeedbackSettings, Signals
from osim_exo.errors import InputError


def hips(time, stride=1.1):
    """Hip angles of a walk: right peak flexion shortly before its heel strike at time 0."""
    cycle = 2 * np.pi * (np.asarray(time) / stride - 0.9)
    return 0.13 + 0.37 * np.stack([np.cos(cycle), np.cos(cycle - np.pi)], axis=-1)


def play(controller, time, angles):
    controller.reset(1)
    zero = np.zeros((1, 2))
    return np.array([controller(Signals([t], a[None], zero))[0] for t, a in zip(time, angles)])


def test_it_is_the_published_recursion_at_100_hz():
    time = np.arange(0, 4, 0.01)
    angles = hips(time)
    torque = play(DelayedOutputFeedback(FeedbackSettings(gain=10.0)), time, angles)
    raw = np.sin(angles[:, 0]) - np.sin(angles[:, 1])
    filtered = [raw[0]]
    for value in raw[1:]:
        filtered.append(0.95 * filtered[-1] + 0.05 * value)
    expected = np.concatenate([np.zeros(25), filtered[:-25]]) * 10.0
    np.testing.assert_allclose(torque[:, 0], -expected, atol=1e-9)
    np.testing.assert_allclose(torque[:, 1], expected, atol=1e-9)


def test_the_torque_does_not_depend_on_the_loop_rate():
    def at_rate(rate):
        time = np.arange(0, 5, 1 / rate)
        torque = play(DelayedOutputFeedback(), time, hips(time))
        return torque[(time * 20 % 1 < 1e-6) & (time > 2)]

    reference = at_rate(1000)
    for rate in (40, 100, 200):
        found = at_rate(rate)
        n = min(len(found), len(reference))
        coarse = np.abs(found[:n] - reference[:n]).max()
        assert coarse < 40 / rate, (rate, coarse)


def test_a_quarter_second_after_right_heel_strike_the_right_hip_is_extended_the_left_flexed():
    time = np.arange(0, 5 * 1.1 + 0.25, 0.01)
    torque = play(DelayedOutputFeedback(), time, hips(time))
    assert torque[-1, 0] < -2.0
    assert torque[-1, 1] > 2.0


def test_it_does_positive_work_on_both_hips_in_walking():
    time = np.arange(0, 8.8, 0.01)
    angles = hips(time)
    torque = play(DelayedOutputFeedback(), time, angles)
    speed = np.gradient(angles, time, axis=0)
    work = (torque * speed)[time > 4.4].sum(axis=0)
    assert (work > 0).all()
    assert 5.0 < np.abs(torque).max() < 11.0


def test_a_sample_that_comes_twice_changes_nothing():
    time = np.arange(0, 3, 0.01)
    angles = hips(time)
    once = play(DelayedOutputFeedback(), time, angles)
    twice = play(DelayedOutputFeedback(), np.repeat(time, 2), np.repeat(angles, 2, axis=0))
    np.testing.assert_allclose(twice[1::2], once, atol=1e-12)


def test_one_environment_can_be_reset_alone():
    controller = DelayedOutputFeedback()
    controller.reset(2)
    zero = np.zeros((2, 2))
    for t in np.arange(0, 2, 0.01):
        controller(Signals([t, t], np.stack([hips(t), hips(t)]), zero))
    controller.reset(2, np.array([True, False]))
    fresh = DelayedOutputFeedback()
    for k, t in enumerate(np.arange(2, 4, 0.01)):
        now = np.stack([hips(t), hips(t)])
        pair = controller(Signals([0.01 * k, t], now, zero))
        single = fresh(Signals([0.01 * k], now[:1], zero[:1]))
        np.testing.assert_allclose(pair[0], single[0], atol=1e-12)
    assert np.abs(pair[1]).max() > 1.0


def test_settings_are_checked():
    with pytest.raises(InputError, match="delay_s"):
        FeedbackSettings(delay_s=-0.1)
