"""Causal gait phase: from peak hip flexion (what a device measures) or from heel strikes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from osim_exo.config import Config
from osim_exo.control.base import Array, check_reset


class PhaseSettings(Config):
    """Settings of the gait-phase estimators."""

    peak_flexion_percent: float = Field(
        default=87.0,
        ge=0.0,
        lt=100.0,
        description="gait cycle at peak hip flexion, %; 87 in normal walking at 1.25 m/s "
        "(seen in the reference data of MyoAssist)",
    )
    min_flexion_range: float = Field(
        default=0.25, gt=0.0, le=1.0, description="rise of the hip angle that makes a peak, rad"
    )
    peak_drop: float = Field(
        default=0.02, gt=0.0, le=0.2, description="fall below a maximum that confirms it, rad"
    )
    contact_force: float = Field(
        default=20.0, gt=0.0, description="vertical force that counts as ground contact, N"
    )
    shortest_stride: float = Field(default=0.6, gt=0.0, description="s; sooner is no new stride")
    longest_stride: float = Field(default=2.5, gt=0.0, description="s; later, walking has stopped")
    n_average: int = Field(default=3, ge=1, le=20, description="strides in the stride time")


class StrideClock:
    """Phase from gait events and the mean time of the last strides.

    Between events the phase runs on with the mean stride time; it waits just below the event's
    phase if the next event is late. It is NaN until two events have been seen, and again when no
    event came for the longest stride.
    """

    def __init__(self, settings: PhaseSettings, event_phase: float) -> None:
        self._settings = settings
        self._event_phase = event_phase
        self.reset(1)

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Forget the strides of all environments, or of some."""
        if environments is None:
            self._event = np.full((n_env, 2), np.nan)
            self._strides = np.full((self._settings.n_average, n_env, 2), np.nan)
            return
        chosen = np.asarray(environments)
        self._event[chosen] = np.nan
        self._strides[:, chosen] = np.nan

    @property
    def stride_time(self) -> Array:
        """Mean time of the last strides, (n_env, 2) array, s; NaN before the second event."""
        known = np.isfinite(self._strides)
        total = np.where(known, self._strides, 0.0).sum(axis=0)
        count = known.sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def update(self, time: Array, happened: npt.NDArray[np.bool_], when: Array) -> Array:
        """Take in the events of this step and return the phase.

        Parameters
        ----------
        time : (n_env,) array, s, now
        happened : (n_env, 2) array of bool
        when : (n_env, 2) array, s; time of the event where one happened

        Returns
        -------
        (n_env, 2) array, 0 <= phase < 1, or NaN
        """
        since = when - self._event
        soon = since < self._settings.shortest_stride
        regular = happened & (since <= self._settings.longest_stride) & ~soon
        shifted = np.concatenate([since[None], self._strides[:-1]])
        self._strides = np.where(regular, shifted, self._strides)
        restart = happened & (since > self._settings.longest_stride)
        self._strides = np.where(restart, np.nan, self._strides)
        self._event = np.where(happened & ~soon, when, self._event)
        elapsed = time[:, None] - self._event
        walking = elapsed <= self._settings.longest_stride
        progress = np.minimum(elapsed / self.stride_time, 1.0 - 1e-9)
        return np.where(walking, np.mod(self._event_phase + progress, 1.0), np.nan)


class PeakFlexionPhase:
    """Gait phase from the hip angle alone, as a device on the hip can have it.

    A peak is confirmed when the angle has fallen by `peak_drop` from a maximum that rose by
    `min_flexion_range`; it is dated back to the maximum, so that the delay of the confirmation
    does not shift the phase.
    """

    def __init__(self, settings: PhaseSettings | None = None) -> None:
        self._settings = settings or PhaseSettings()
        self._clock = StrideClock(self._settings, self._settings.peak_flexion_percent / 100.0)
        self.n_env: int | None = None
        self.reset(1)

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Forget the past of all environments, or of some."""
        check_reset(n_env, self.n_env, environments)
        self._clock.reset(n_env, environments)
        if environments is None:
            self.n_env = n_env
            self._low = np.full((n_env, 2), np.inf)
            self._high = np.full((n_env, 2), -np.inf)
            self._when = np.full((n_env, 2), np.nan)
            return
        chosen = np.asarray(environments)
        self._low[chosen], self._high[chosen] = np.inf, -np.inf
        self._when[chosen] = np.nan

    def update(self, time: Array, hip_angle: Array) -> Array:
        """Phase now, (n_env, 2) array, from the hip angle in rad, flexion positive."""
        higher = hip_angle > self._high
        self._high = np.where(higher, hip_angle, self._high)
        self._when = np.where(higher, time[:, None], self._when)
        rose = self._high - self._low > self._settings.min_flexion_range
        peak = rose & (hip_angle < self._high - self._settings.peak_drop)
        phase = self._clock.update(time, peak, self._when)
        # A new minimum, or a peak, starts the next rise: the maximum counts from there.
        restart = peak | (hip_angle < self._low)
        self._low = np.where(restart, hip_angle, self._low)
        self._high = np.where(restart, hip_angle, self._high)
        self._when = np.where(restart, time[:, None], self._when)
        return phase


class HeelStrikePhase:
    """Gait phase from the vertical ground force: the reference in simulation."""

    def __init__(self, settings: PhaseSettings | None = None) -> None:
        self._settings = settings or PhaseSettings()
        self._clock = StrideClock(self._settings, 0.0)
        self.n_env: int | None = None
        self.reset(1)

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Forget the past of all environments, or of some."""
        check_reset(n_env, self.n_env, environments)
        self._clock.reset(n_env, environments)
        if environments is None:
            self.n_env = n_env
            # A foot that starts on the ground has not just struck it.
            self._on_ground = np.ones((n_env, 2), dtype=bool)
            return
        self._on_ground[np.asarray(environments)] = True

    def update(self, time: Array, vertical_force: Array) -> Array:
        """Phase now, (n_env, 2) array, from the vertical force per foot in N."""
        on_ground = vertical_force > self._settings.contact_force
        struck = on_ground & ~self._on_ground
        self._on_ground = on_ground
        now = np.broadcast_to(time[:, None], struck.shape)
        return self._clock.update(time, struck, np.asarray(now))
