"""The leg that wears a virtual exo: hip angle, hip speed and thigh rate over time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from osim_exo.errors import DataError
from osim_exo.trial import Channels, Trial

Pair = tuple[float, float]
HIPS = ("hip_flexion_r", "hip_flexion_l")
TILT = "pelvis_tilt"


@dataclass(frozen=True, slots=True)
class Pose:
    """Hip angle and speed, and the thigh's rate and angle to gravity; right, then left.

    Radians and rad/s; hip flexion and a thigh that points forward are positive.
    """

    angle: Pair
    speed: Pair
    gyro: Pair
    thigh: Pair


class Walker(Protocol):
    """Somebody who walks."""

    def __call__(self, time: float) -> Pose:
        """Pose at `time`, s."""


@runtime_checkable
class ReactingWalker(Protocol):
    """Somebody whose walk the device changes."""

    def __call__(self, time: float) -> Pose:
        """Pose at `time`, s."""

    def feel(self, torque: Pair) -> None:
        """Torque between cuffs and legs from now on, Nm."""


class Simulated(Protocol):
    """A walking simulation, as `osim_exo.learn.live.LiveWalker`; nothing of it is imported."""

    def walk_to(self, time: float) -> Mapping[str, Pair]:
        """``hip_angle``, ``hip_speed``, ``thigh_angle`` and ``thigh_rate`` at `time`, s."""

    def feel(self, torque: Pair) -> None:
        """Torque from now on, Nm."""


class LiveWalker:
    """A walking simulation as who wears a virtual exo.

    Parameters
    ----------
    simulation : Simulated
    """

    def __init__(self, simulation: Simulated) -> None:
        self._simulation = simulation
        self.feel = simulation.feel

    def __call__(self, time: float) -> Pose:
        """Pose at `time`, s."""
        found = self._simulation.walk_to(time)
        return Pose(
            found["hip_angle"], found["hip_speed"], found["thigh_rate"], found["thigh_angle"]
        )


class SineWalker:
    """A walk made of sines, for tests and demonstrations without recordings.

    Parameters
    ----------
    stride_time : s
    amplitude, middle : of the hip angle, rad
    """

    def __init__(
        self, stride_time: float = 1.1, amplitude: float = 0.4, middle: float = 0.15
    ) -> None:
        self._rate, self._amplitude, self._middle = 2 * math.pi / stride_time, amplitude, middle

    def __call__(self, time: float) -> Pose:
        """Pose at `time`, s."""
        turn, swing = self._rate * time, self._amplitude * math.cos(self._rate * time)
        fast = -self._amplitude * self._rate * math.sin(turn)
        speed = fast, -fast
        # The trunk leans so far forward that the thighs swing about the vertical.
        angle = self._middle + swing, self._middle - swing
        return Pose(angle, speed, speed, (swing, -swing))


class TrialWalker:
    """Plays a recorded walk; a trial of one stride is repeated, another is walked to and fro.

    The thigh's angle and rate are those of the hip and, where the trial has it, of the pelvis; on a
    slope the pelvis leans by the slope's angle more against gravity than against the ground.

    Parameters
    ----------
    trial : with the coordinates `HIPS` and their speeds
    """

    def __init__(self, trial: Trial) -> None:
        missing = [name for name in HIPS if name not in trial.coordinates]
        if missing:
            raise DataError(
                f"Trial '{trial.info.name}' has no {' and '.join(missing)}; a virtual exo needs "
                f"{' and '.join(HIPS)}. It has: {', '.join(trial.coordinates.names)}."
            )
        self._periodic = trial.info.stride
        self._time: list[float] = (trial.time - trial.time[0]).tolist()
        angle = trial.coordinates.select(HIPS).values
        speed = _speeds(trial, HIPS)
        lean, rate = np.zeros((len(angle), 1)), np.zeros((len(angle), 1))
        if TILT in trial.coordinates:
            lean = trial.coordinates.select((TILT,)).values + math.radians(trial.info.slope_deg)
            rate = _speeds(trial, (TILT,))
        columns = [angle, speed, speed + rate, angle + lean]
        self._rows: list[list[float]] = np.hstack(columns).tolist()

    def __call__(self, time: float) -> Pose:
        """Pose at `time`, s; linear between samples."""
        length, backward = self._time[-1], False
        if self._periodic:
            time = math.fmod(time, length)
        else:
            time = math.fmod(time, 2.0 * length)
            backward = time > length
            time = 2.0 * length - time if backward else time
        right = min(max(bisect_right(self._time, time), 1), len(self._time) - 1)
        t0, t1 = self._time[right - 1], self._time[right]
        share = (time - t0) / (t1 - t0)
        row = [a + share * (b - a) for a, b in zip(self._rows[right - 1], self._rows[right])]
        sign = -1.0 if backward else 1.0
        return Pose(
            (row[0], row[1]),
            (sign * row[2], sign * row[3]),
            (sign * row[4], sign * row[5]),
            (row[6], row[7]),
        )


def _speeds(trial: Trial, names: tuple[str, ...]) -> np.ndarray:
    """Recorded speeds, or the slope of the coordinates where there are none; (n_time, n) array."""
    if all(name in trial.speeds for name in names):
        return trial.speeds.select(names).values
    chosen: Channels = trial.coordinates.select(names)
    return np.asarray(np.gradient(chosen.values, trial.time, axis=0))
