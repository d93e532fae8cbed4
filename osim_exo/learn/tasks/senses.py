"""What the human's policy and the exo's policy observe, in names with units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.errors import ModelError
from osim_exo.learn.tasks.config import FASTEST, ExoSenses
from osim_exo.names import SIDES
from osim_exo.observations import TRANSLATIONS
from osim_exo.physics.base import Physics, PhysicsNames
from osim_exo.policy import Signal

Array = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

NEEDED = ("pelvis_tilt", "pelvis_tx", "pelvis_ty", "hip_flexion_r", "hip_flexion_l")
"""Coordinates without which there is no walking task."""

CLOCK = ("phase_sin", "phase_cos")
"""What a walker that imitates observes of the reference's phase."""

STEEP = math.pi / 12
"""rad; bound of the observed slope."""


@dataclass(frozen=True)
class Reading:
    """What is read of a physics once per control step; (n_env, n) arrays.

    Attributes
    ----------
    coordinates, speeds, activations : as the physics' own
    ground : forward and upward force on the right, then on the left foot, body weights
    exo_torque : Nm
    slope : (n_env,) rad
    """

    coordinates: Array
    speeds: Array
    activations: Array
    ground: Array
    exo_torque: Array
    slope: Array

    @classmethod
    def of(cls, physics: Physics) -> Reading:
        """Read a physics now."""
        ground = physics.grf[:, :, :2].reshape(physics.n_env, 4) / physics.body_weight
        return cls(
            physics.coordinates,
            physics.speeds,
            physics.activations,
            ground,
            physics.exo_torque,
            physics.slope,
        )

    def of_rows(self, rows: Rows) -> Reading:
        """The reading of some environments."""
        parts = {name: getattr(self, name)[rows] for name in self.__dataclass_fields__}
        return Reading(**parts)


def check_names(names: PhysicsNames) -> None:
    """Refuse a model that cannot walk in a plane.

    Raises
    ------
    ModelError
        It lacks coordinates.
    """
    missing = [name for name in NEEDED if name not in names.coordinates]
    if missing:
        raise ModelError(
            f"Learning to walk needs coordinates that the model lacks: {', '.join(missing)}. It "
            f"has: {', '.join(names.coordinates)}."
        )


class HumanSenses:
    """What the walker observes.

    Parameters
    ----------
    names : of the physics
    standing_height : of the pelvis, m
    clock : whether the phase of a reference is observed

    Attributes
    ----------
    signals : rows of the observation
    """

    def __init__(self, names: PhysicsNames, standing_height: float, clock: bool) -> None:
        check_names(names)
        angles = [n for n in names.coordinates if not n.endswith(TRANSLATIONS)]
        self._angles = [names.coordinates.index(n) for n in angles]
        self._tilt = np.array([n == "pelvis_tilt" for n in angles], dtype=float)
        self._height = names.coordinates.index("pelvis_ty")
        self._standing = standing_height
        self.signals = _human_signals(names, angles, clock)
        self._low, self._high = bounds(self.signals)

    def observe(
        self,
        reading: Reading,
        commanded: Array,
        mean_speed: Array,
        phase: Array | None,
        out: Float32,
    ) -> None:
        """Write the observations, clipped to their bounds.

        Parameters
        ----------
        reading : of the physics
        commanded, mean_speed : (n_env,) arrays, m/s
        phase : (n_env,) array, share of the stride; if the phase is observed
        out : (n_env, n_signal) array of float32
        """
        n_angle = len(self._angles)
        # Coordinates are relative to the slope; tilt is observed as an inner ear has it.
        out[:, 0] = reading.coordinates[:, self._height] / self._standing
        out[:, 1 : 1 + n_angle] = reading.coordinates[:, self._angles]
        out[:, 1 : 1 + n_angle] += reading.slope[:, None] * self._tilt
        at = 1 + n_angle
        for part in (reading.speeds, reading.activations, reading.ground):
            out[:, at : at + part.shape[1]] = part
            at += part.shape[1]
        for row in (commanded, mean_speed, reading.slope):
            out[:, at] = row
            at += 1
        if phase is not None:
            out[:, at], out[:, at + 1] = np.sin(2 * np.pi * phase), np.cos(2 * np.pi * phase)
        np.clip(out, self._low, self._high, out=out)


def _human_signals(names: PhysicsNames, angles: Sequence[str], clock: bool) -> tuple[Signal, ...]:
    def signal(name: str, unit: str, low: float, high: float, meaning: str) -> Signal:
        return Signal(name=name, unit=unit, low=low, high=high, meaning=meaning)

    rows = [signal("pelvis_height", "1", 0.0, 2.0, "of the pelvis over its height in standing")]
    for n in angles:
        sense = "relative to gravity" if n == "pelvis_tilt" else "coordinate, model's sign"
        rows.append(signal(n, "rad", -math.pi, math.pi, sense))
    for n in names.coordinates:
        unit, most = ("m/s", 10.0) if n.endswith(TRANSLATIONS) else ("rad/s", 50.0)
        rows.append(signal(f"{n}/speed", unit, -most, most, "generalised speed"))
    rows += [signal(f"{n}/activation", "1", 0.0, 1.0, "of the muscle") for n in names.muscles]
    for side in SIDES:
        rows.append(signal(f"ground_forward_{side}", "body weight", -10.0, 10.0, "force on foot"))
        rows.append(signal(f"ground_upward_{side}", "body weight", 0.0, 10.0, "force on foot"))
    rows += [
        signal("commanded_speed", "m/s", 0.0, FASTEST, "to walk at"),
        signal("mean_speed", "m/s", -5.0, 5.0, "forward speed of the pelvis, low-passed"),
        signal("slope", "rad", -STEEP, STEEP, "of the ground, uphill positive"),
    ]
    if clock:
        rows += [signal(name, "1", -1.0, 1.0, "of the reference's phase") for name in CLOCK]
    return tuple(rows)


class ExoSensors:
    """What the device measures: angles and rates now and a while ago, and its own torque.

    Readings from before an episode's start equal the first one.

    Parameters
    ----------
    settings : ExoSenses
    names : of the physics
    max_torque : of the device, Nm
    n_env : int
    dt : control step, s; lags are rounded to it

    Attributes
    ----------
    signals : rows of the observation
    """

    def __init__(
        self, settings: ExoSenses, names: PhysicsNames, max_torque: float, n_env: int, dt: float
    ) -> None:
        check_names(names)
        columns = {name: i for i, name in enumerate(names.coordinates)}
        self._tilt = columns["pelvis_tilt"]
        self._hips = [columns[f"hip_flexion_{side}"] for side in SIDES]
        self._joints = [columns[name] for name in names.exo_coordinates]
        self._kinds, self._own_torque = settings.sensors, settings.own_torque
        self._max_torque = max(max_torque, 1e-9)
        self._back = tuple(round(lag / dt) for lag in settings.lags_s)
        self._n_now = 2 * sum(2 if k == "thigh" else len(self._joints) for k in self._kinds)
        self._past = np.zeros((max(self._back) + 1, n_env, self._n_now))
        self._newest = 0
        self.signals = _exo_signals(settings, names, self._back, dt)
        self._low, self._high = bounds(self.signals)
        angles = [row.unit == "rad" for row in self.signals[: self._n_now]]
        self._is_angle = np.array(angles)

    def measure(self, reading: Reading) -> Array:
        """True angles and rates now, (n_env, n_now) array; rad and rad/s."""
        q, u = reading.coordinates, reading.speeds
        parts = []
        for kind in self._kinds:
            if kind == "thigh":
                lean = (q[:, self._tilt] + reading.slope)[:, None]
                parts += [lean + q[:, self._hips], u[:, self._tilt, None] + u[:, self._hips]]
            else:
                parts += [q[:, self._joints], u[:, self._joints]]
        return np.concatenate(parts, axis=1)

    @property
    def is_angle(self) -> npt.NDArray[np.bool_]:
        """Which columns of `measure` are angles; the others are rates."""
        return self._is_angle

    def begin(self, rows: Rows, measured: Array) -> None:
        """Fill the memory of some environments with (n_row, n_now) readings."""
        self._past[:, rows] = measured

    def push(self, measured: Array) -> None:
        """Remember the readings of a new control step, (n_env, n_now)."""
        self._newest = (self._newest - 1) % len(self._past)
        self._past[self._newest] = measured

    def observe(self, torque: Array, rows: Rows | slice, out: Float32) -> None:
        """Write the observations of some environments, clipped to their bounds.

        Parameters
        ----------
        torque : (n_row, n_exo) array, delivered, Nm
        rows : environments
        out : (n_row, n_signal) array of float32
        """
        at = 0
        for back in self._back:
            past = self._past[(self._newest + back) % len(self._past)]
            out[:, at : at + self._n_now] = past[rows]
            at += self._n_now
        if self._own_torque:
            out[:, at:] = torque / self._max_torque
        np.clip(out, self._low, self._high, out=out)

    def snapshot(self) -> npt.NDArray[np.generic]:
        """Readings, newest first."""
        return np.roll(self._past, -self._newest, axis=0)

    def restore(self, past: npt.NDArray[np.generic]) -> None:
        """Go back to a snapshot."""
        self._past, self._newest = np.array(past, dtype=float), 0


def _exo_signals(
    settings: ExoSenses, names: PhysicsNames, back: tuple[int, ...], dt: float
) -> tuple[Signal, ...]:
    rows = []
    for steps in back:
        ago = f"@{1000 * steps * dt:.0f}ms" if steps else ""
        for kind in settings.sensors:
            places = [f"thigh_{s}" for s in SIDES] if kind == "thigh" else names.exo_coordinates
            what = "to gravity, forward positive" if kind == "thigh" else "coordinate's sign"
            for quantity, unit, most in (("angle", "rad", math.pi), ("rate", "rad/s", 50.0)):
                rows += [
                    Signal(
                        name=f"{place}/{kind}_{quantity}/{ago}".rstrip("/"),
                        unit=unit,
                        low=-most,
                        high=most,
                        delay_s=steps * dt,
                        meaning=what,
                    )
                    for place in places
                ]
    if settings.own_torque:
        rows += [
            Signal(name=f"{n}/torque", unit="1", low=-1.0, high=1.0, meaning="over its maximum")
            for n in names.exo
        ]
    return tuple(rows)


def bounds(signals: Sequence[Signal]) -> tuple[Float32, Float32]:
    """Lowest and highest of each signal."""
    low = np.array([row.low for row in signals], dtype=np.float32)
    return low, np.array([row.high for row in signals], dtype=np.float32)
