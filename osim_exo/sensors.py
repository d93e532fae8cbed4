"""Onboard sensors with their errors: from true signals to what a device reads.

Gyroscopes and IMUs on the thighs, encoders on the hips. Needs numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.control import Controller, Signals
from osim_exo.errors import InputError
from osim_exo.names import SIDES
from osim_exo.policy import Signal

Array = npt.NDArray[np.float64]
Random = np.random.Generator

SensorName = Literal["thigh_gyro", "thigh_imu", "hip_encoder"]
SENSORS: tuple[SensorName, ...] = get_args(SensorName)

ANGLE_RANGE = math.pi
RATE_RANGE = 35.0
"""rad/s; 2000 degrees/s, a usual range of gyroscopes."""

_ROWS = {
    "thigh_gyro": (("thigh", "thigh_rate"),),
    "thigh_imu": (("thigh", "thigh_angle"), ("thigh", "thigh_rate")),
    "hip_encoder": (("hip_flexion", "joint_angle"), ("hip_flexion", "joint_rate")),
}


def sensor_signals(sensors: Sequence[str]) -> tuple[Signal, ...]:
    """What a policy with these sensors observes, right then left; a reading only once.

    Parameters
    ----------
    sensors : of `SENSORS`

    Raises
    ------
    InputError
        There is none, or one that does not exist.
    """
    unknown = [name for name in sensors if name not in SENSORS]
    if unknown or not sensors:
        raise InputError(
            f"The sensors {', '.join(sensors) or 'none'} were given; allowed are one or more of "
            f"{', '.join(SENSORS)}."
        )
    rows: dict[str, Signal] = {}
    for sensor in SENSORS:
        for place, reading in _ROWS[sensor] if sensor in sensors else ():
            angle = reading.endswith("angle")
            most = ANGLE_RANGE if angle else RATE_RANGE
            for side in SIDES:
                name = f"{place}_{side}/{reading}"
                rows[name] = Signal(
                    name=name,
                    unit="rad" if angle else "rad/s",
                    low=-most,
                    high=most,
                    meaning="to gravity, forward positive" if place == "thigh" else "flexion",
                )
    return tuple(rows.values())


class SensorErrors(Config):
    """How wrong sensors are; nothing by default.

    Constant errors (mounting, bias, scale, offset) are the largest ones: they are drawn evenly up
    to that on either side, for each leg by itself, or are taken as they stand; see `SensorModel`.
    A sensor turned by the mounting angle in the plane of walking adds it to the thigh's angle;
    turned out of that plane, its gyroscope reads the cosine of it. The planar model has no rates
    about other axes that such a gyroscope would read too.
    """

    mounting: float = Field(default=0.0, ge=-0.5, le=0.5, description="angle of the IMU, rad")
    gyro_bias: float = Field(default=0.0, ge=-1.0, le=1.0, description="rad/s")
    gyro_scale: float = Field(default=0.0, ge=-0.5, le=0.5, description="relative error")
    encoder_offset: float = Field(default=0.0, ge=-0.5, le=0.5, description="rad")
    angle_noise: float = Field(default=0.0, ge=0.0, le=0.5, description="standard deviation, rad")
    rate_noise: float = Field(default=0.0, ge=0.0, le=5.0, description="standard dev., rad/s")
    angle_step: float = Field(default=0.0, ge=0.0, le=0.2, description="quantisation, rad")
    rate_step: float = Field(default=0.0, ge=0.0, le=1.0, description="quantisation, rad/s")
    delay_s: tuple[float, float] = Field(default=(0.0, 0.0), description="least and largest, s")
    dropout: float = Field(default=0.0, ge=0.0, le=0.9, description="share of lost samples")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.delay_s
        if not 0.0 <= low <= high <= 0.2:
            raise ValueError(
                f"delay_s = {low:g} to {high:g} s was given; allowed is 0 <= low <= high <= 0.2"
            )
        return self


USUAL = SensorErrors(
    mounting=math.radians(10.0),
    gyro_bias=math.radians(5.0),
    gyro_scale=0.03,
    encoder_offset=math.radians(3.0),
    angle_noise=0.005,
    rate_noise=0.03,
    angle_step=1e-3,
    rate_step=1e-3,
    delay_s=(0.0, 0.02),
    dropout=0.01,
)
"""Errors that a student is trained with: mounting, bias and delay as far as they are tested."""


class SensorModel:
    """Errors of the sensors of several walkers.

    Parameters
    ----------
    errors : SensorErrors
    period : between two samples, s
    random : draws
    fixed : constant errors and the least delay are taken as they stand, alike for both legs
    """

    def __init__(
        self, errors: SensorErrors, period: float, random: Random, fixed: bool = False
    ) -> None:
        self.errors = errors
        self._period, self._random, self._fixed = period, random, fixed
        self._depth = math.ceil(errors.delay_s[1] / period - 1e-9) + 2
        self.reset(1)

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Draw constant errors anew and forget the past: of all walkers, or of some."""
        if environments is None:
            self._constant = np.zeros((5, n_env, 2))
            self._delay = np.zeros(n_env)
            self._past: dict[str, Array] = {}
            self._began = np.ones(n_env, dtype=bool)
            chosen = np.arange(n_env)
        else:
            chosen = np.arange(len(self._began))[np.asarray(environments)]
        e, n = self.errors, chosen.size
        largest = (e.mounting, e.mounting, e.gyro_bias, e.gyro_scale, e.encoder_offset)
        for place, most in enumerate(largest):
            span = abs(most)
            drawn = most if self._fixed else self._random.uniform(-span, span, (n, 2))
            self._constant[place, chosen] = drawn
        low, high = e.delay_s
        self._delay[chosen] = low if self._fixed else self._random.uniform(low, high, n)
        self._began[chosen] = True

    def __call__(self, signals: Signals) -> Signals:
        """What the sensors read; call it once per sample."""
        tilt, turn, bias, scale, offset = self._constant
        e = self.errors
        read: dict[str, Array | None] = {"phase": signals.phase, "torque": signals.torque}
        read["hip_angle"] = self._with_noise(signals.hip_angle + offset, True)
        read["hip_speed"] = self._with_noise(signals.hip_speed, False)
        if signals.thigh_angle is not None:
            read["thigh_angle"] = self._with_noise(signals.thigh_angle + tilt, True)
        if signals.thigh_rate is not None:
            rate = signals.thigh_rate * np.cos(turn) * (1.0 + scale) + bias
            read["thigh_rate"] = self._with_noise(rate, False)
        lost = self._random.random(signals.n_env) < e.dropout if e.dropout else None
        measured = ("hip_angle", "hip_speed", "thigh_angle", "thigh_rate")
        for name in measured:
            values = read.get(name)
            if values is not None:
                read[name] = self._late(name, values, lost)
        self._began[:] = False
        return Signals(time=signals.time, **read)  # type: ignore[arg-type]

    def _with_noise(self, values: Array, angle: bool) -> Array:
        e = self.errors
        noise, step = (e.angle_noise, e.angle_step) if angle else (e.rate_noise, e.rate_step)
        if noise:
            values = values + noise * self._random.standard_normal(values.shape)
        return np.rint(values / step) * step if step else values

    def _late(self, name: str, now: Array, lost: npt.NDArray[np.bool_] | None) -> Array:
        """The reading of a while ago, linear between samples; a lost one repeats the last."""
        past = self._past.get(name)
        if past is None:
            past = self._past[name] = np.repeat(now[None], self._depth, axis=0)
        past[:, self._began] = now[self._began]
        if lost is not None:
            held = (lost & ~self._began)[:, None]
            now = np.where(held, past[0], now)
        past[1:] = past[:-1].copy()
        past[0] = now
        steps = self._delay / self._period
        whole = np.minimum(steps.astype(int), self._depth - 2)
        share = (steps - whole)[:, None]
        rows = np.arange(len(now))
        return np.asarray((1.0 - share) * past[whole, rows] + share * past[whole + 1, rows])


class Sensed:
    """A controller behind sensors with errors.

    Parameters
    ----------
    controller : Controller
    sensors : SensorModel
    """

    def __init__(self, controller: Controller, sensors: SensorModel) -> None:
        self.controller, self.sensors = controller, sensors

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Forget the past of all walkers, or of some; their sensors are others then."""
        self.controller.reset(n_env, environments)
        self.sensors.reset(n_env, environments)

    def __call__(self, signals: Signals) -> Array:
        """Torque for what the sensors read, (n_env, 2) array, Nm."""
        return self.controller(self.sensors(signals))
