"""Controllers that give torque as a function of the gait phase: splines and played-back profiles.

Phase 0 is the side's own heel strike.
"""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.control.base import Array, Signals, check_reset
from osim_exo.control.phase import PeakFlexionPhase, PhaseSettings
from osim_exo.errors import InputError


class Profile(Protocol):
    """Torque over the gait cycle."""

    def torque(self, phase: npt.ArrayLike) -> Array:
        """Torque at a phase: (..., 2) array in, right then left, to (..., 2) array, Nm."""


class Lobe(Config):
    """One pulse of torque: rise to a peak, fall to zero.

    Four parameters after Zhang et al. 2017 (Science 356:1280): peak torque, peak time, rise time
    and fall time, in percent of the gait cycle. The pulse may run over the heel strike.
    """

    peak_torque: float = Field(ge=0.0, le=300.0, description="magnitude, Nm")
    peak_percent: float = Field(ge=0.0, lt=100.0, description="gait cycle at the peak, %")
    rise_percent: float = Field(gt=0.0, le=100.0, description="from onset to peak, % of the cycle")
    fall_percent: float = Field(gt=0.0, le=100.0, description="from peak to end, % of the cycle")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        total = self.rise_percent + self.fall_percent
        if total > 100.0:
            raise ValueError(
                f"rise and fall take {total:g} % of the gait cycle; at most 100 % is allowed. "
                "Shorten rise_percent or fall_percent"
            )
        return self

    def magnitude(self, phase: npt.ArrayLike) -> Array:
        """Magnitude at any phase (any shape), Nm; two cubics, continuous slope, periodic."""
        rise, fall = self.rise_percent / 100.0, self.fall_percent / 100.0
        onset = self.peak_percent / 100.0 - rise
        since = np.mod(np.asarray(phase, dtype=float) - onset, 1.0)
        share = np.where(since < rise, since / rise, 1.0 - (since - rise) / fall)
        share = np.clip(share, 0.0, 1.0)
        return np.asarray(self.peak_torque * share**2 * (3.0 - 2.0 * share))


class SplineProfile(Config):
    """Hip torque from one flexion and one extension pulse.

    The default timing lies within what human experiments found: extension from about 90 % to 17 %
    of the cycle at its peak (Ding et al. 2016, Young et al. 2017), flexion from about 36 % with
    its peak near 50-65 % (Young et al. 2017). The torques are choices of this project.
    """

    flexion: Lobe = Lobe(peak_torque=8.0, peak_percent=58.0, rise_percent=22.0, fall_percent=26.0)
    extension: Lobe = Lobe(peak_torque=8.0, peak_percent=12.0, rise_percent=22.0, fall_percent=20.0)

    def torque(self, phase: npt.ArrayLike) -> Array:
        """Torque at a phase: array of any shape, Nm, flexion positive; both sides alike."""
        return self.flexion.magnitude(phase) - self.extension.magnitude(phase)


class TorqueTable(Config):
    """A torque profile known at points of the gait cycle, as an optimal solve gives it.

    Linear between the points, periodic.
    """

    phase: tuple[float, ...] = Field(min_length=2, description="increasing, from 0, below 1")
    right: tuple[float, ...] = Field(description="Nm at those phases of the right gait cycle")
    left: tuple[float, ...] = Field(description="Nm at those phases of the left gait cycle")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        n = len(self.phase)
        if len(self.right) != n or len(self.left) != n:
            raise ValueError(
                f"{n} phases were given with {len(self.right)} right and {len(self.left)} left "
                "torques; one torque per phase and side is needed"
            )
        steps = np.diff(self.phase)
        if not (0.0 <= self.phase[0] and self.phase[-1] < 1.0 and bool(np.all(steps > 0))):
            raise ValueError("phases must increase strictly and lie in 0 <= phase < 1")
        return self

    @classmethod
    def from_stride(
        cls, torque: npt.ArrayLike, left_strike: float = 0.5, n_point: int = 100
    ) -> Self:
        """Profile of one stride that starts at the right heel strike.

        Parameters
        ----------
        torque : (n_time, 2) array, Nm, right then left
            At equal time steps, first and last sample one stride apart.
        left_strike : float
            When the left heel strikes, as a share of the stride.
        n_point : int
            Number of points kept.
        """
        values = np.asarray(torque, dtype=float)
        if values.ndim != 2 or values.shape[1] != 2 or values.shape[0] < 3:
            raise InputError(
                f"A stride's torque has shape {values.shape}; it must be (n_time, 2) with at "
                "least 3 samples: right, then left."
            )
        stride = np.linspace(0.0, 1.0, values.shape[0])
        phase = np.arange(n_point) / n_point
        right = np.interp(phase, stride, values[:, 0])
        left = np.interp(np.mod(phase + left_strike, 1.0), stride, values[:, 1])
        return cls(phase=tuple(phase), right=tuple(right), left=tuple(left))

    def torque(self, phase: npt.ArrayLike) -> Array:
        """Torque at a phase: (..., 2) array in, right then left, to (..., 2) array, Nm."""
        at = np.asarray(phase, dtype=float)
        sides = (self.right, self.left)
        columns = [
            np.interp(at[..., i], self.phase, side, period=1.0) for i, side in enumerate(sides)
        ]
        return np.stack(columns, axis=-1)


class PhaseController:
    """Torque from a profile over the gait phase; none while the phase is unknown.

    The phase comes with the signals, or, where they have none, from the hip angle by
    `PeakFlexionPhase`.
    """

    def __init__(self, profile: Profile, phase: PhaseSettings | None = None) -> None:
        self.profile = profile
        self._estimator = PeakFlexionPhase(phase)

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Forget the strides of all environments, or of some."""
        check_reset(n_env, self._estimator.n_env, environments)
        self._estimator.reset(n_env, environments)

    def __call__(self, signals: Signals) -> Array:
        """Torque, (n_env, 2) array, Nm, right then left, flexion positive."""
        if self._estimator.n_env != signals.n_env:
            self.reset(signals.n_env)
        phase = signals.phase
        if phase is None:
            phase = self._estimator.update(signals.time, signals.hip_angle)
        known = np.isfinite(phase)
        torque = self.profile.torque(np.where(known, phase, 0.0))
        return np.where(known, torque, 0.0)


class Spline(PhaseController):
    """Flexion and extension pulses over the gait phase (Zhang et al. 2017, Franks et al. 2021)."""

    def __init__(
        self, profile: SplineProfile | None = None, phase: PhaseSettings | None = None
    ) -> None:
        super().__init__(profile or SplineProfile(), phase)


class Playback(PhaseController):
    """A solved torque profile, played back over the gait phase of each side."""

    def __init__(self, profile: TorqueTable, phase: PhaseSettings | None = None) -> None:
        super().__init__(profile, phase)
