"""Delayed output feedback: assistance from the hip angles a quarter of a second ago."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from pydantic import Field

from osim_exo.config import Config
from osim_exo.control.base import Array, Signals, check_reset

PUBLISHED_ALPHA = 0.05
"""Share of the new value in the published filter, at `PUBLISHED_RATE`."""

PUBLISHED_RATE = 100.0
"""Loop rate of the published filter, Hz."""

FILTER_TIME_CONSTANT = -1.0 / (PUBLISHED_RATE * math.log(1.0 - PUBLISHED_ALPHA))
"""Time constant of the published filter, s: 0.195, whatever the loop rate."""


class FeedbackSettings(Config):
    """Settings of the delayed output feedback.

    The delay and the filter are those of public implementations at 100 Hz; the gain is a choice of
    this project, which gives peaks near 7 Nm in normal walking (Lim et al. 2019 report 10.9 Nm).
    """

    gain: float = Field(default=15.0, ge=0.0, le=200.0, description="Nm per unit of output")
    delay_s: float = Field(default=0.25, ge=0.0, le=1.0, description="s")
    filter_time_constant: float = Field(
        default=FILTER_TIME_CONSTANT, ge=0.0, le=2.0, description="low-pass filter, s"
    )


class DelayedOutputFeedback:
    """Delayed output feedback control (Lim et al. 2019, IEEE Trans. Robot. 35:1055).

    The output ``y = sin(right hip) - sin(left hip)`` is low-pass filtered and taken `delay_s` ago;
    the right hip gets ``-gain y``, the left ``+gain y`` (flexion positive). At the right heel
    strike the right hip is flexed, y is positive, and a quarter of a second later the right hip is
    helped to extend and the left one, in swing, to flex.

    The filter is exact for its time constant at any loop rate: a share of 0.05 per step, as
    published for 100 Hz, would be another filter at another rate. Filter and delay line advance
    with the time stamps, and not at all if a sample comes twice.
    """

    def __init__(self, settings: FeedbackSettings | None = None) -> None:
        self.settings = settings or FeedbackSettings()
        self._n_env: int | None = None

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Empty the filter and the delay line of all environments, or of some."""
        check_reset(n_env, self._n_env, environments)
        if environments is None:
            self._n_env = n_env
            self._output = np.full(n_env, np.nan)
            self._times = np.empty((0, n_env))
            self._outputs = np.empty((0, n_env))
            return
        chosen = np.asarray(environments)
        self._output[chosen] = np.nan
        self._times[:, chosen] = -np.inf
        self._outputs[:, chosen] = 0.0

    def __call__(self, signals: Signals) -> Array:
        """Torque, (n_env, 2) array, Nm, right then left, flexion positive."""
        if self._n_env != signals.n_env:
            self.reset(signals.n_env)
        self._advance(signals.time, np.sin(signals.hip_angle) @ np.array([1.0, -1.0]))
        push = self.settings.gain * self._delayed(signals.time - self.settings.delay_s)
        return np.stack([-push, push], axis=1)

    def _advance(self, time: Array, output: Array) -> None:
        """Filter the output and append it to the delay line."""
        first = np.isnan(self._output)
        if self._times.shape[0]:
            step = np.where(first, 0.0, np.maximum(time - self._times[-1], 0.0))
        else:
            step = np.zeros_like(time)
        constant = self.settings.filter_time_constant
        keep = np.exp(-step / constant) if constant > 0 else np.where(step > 0, 0.0, 1.0)
        self._output = np.where(first, output, keep * self._output + (1.0 - keep) * output)
        self._times = np.concatenate([self._times, time[None]])
        self._outputs = np.concatenate([self._outputs, self._output[None]])
        # The line needs one sample at or before the delayed time of every environment.
        old = np.all(self._times <= time - self.settings.delay_s, axis=1)
        start = max(int(old.sum()) - 1, 0)
        self._times, self._outputs = self._times[start:], self._outputs[start:]

    def _delayed(self, wanted: Array) -> Array:
        """Filtered output at a past time, linear between samples; 0 before the first sample."""
        n_sample, n_env = self._times.shape
        before = np.sum(self._times <= wanted, axis=0) - 1
        left = np.clip(before, 0, n_sample - 1)
        right = np.clip(before + 1, 0, n_sample - 1)
        env = np.arange(n_env)
        t0, t1 = self._times[left, env], self._times[right, env]
        known = (before >= 0) & np.isfinite(t0)
        span = np.where(known & (t1 > t0), t1 - t0, 1.0)
        share = np.where(known & (t1 > t0), (wanted - np.where(known, t0, 0.0)) / span, 0.0)
        y0, y1 = self._outputs[left, env], self._outputs[right, env]
        return np.where(known, y0 + share * (y1 - y0), 0.0)
