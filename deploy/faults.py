"""Fault detection: what comes from the device is believed only while it is plausible."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntFlag
from typing import Self

from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.deploy.packets import Flag, Sensors

MICRO, MILLI, DECI = 1e-6, 1e-3, 1e-1


class FaultCode(IntFlag):
    """Every fault that the runtime knows; several can be there at once."""

    NO_DATA = 1 << 0
    STALE = 1 << 1
    FROZEN = 1 << 2
    OUT_OF_RANGE = 1 << 3
    RATE_SPIKE = 1 << 4
    LEFT_RIGHT = 1 << 5
    FRAME_ERRORS = 1 << 6
    LOST = 1 << 7
    DUPLICATED = 1 << 8
    REORDERED = 1 << 9
    CLOCK_JUMP = 1 << 10
    DEADLINES = 1 << 11
    TEMPERATURE = 1 << 12
    BATTERY = 1 << 13
    DEVICE = 1 << 14
    TORQUE_MISMATCH = 1 << 15
    CONTROLLER = 1 << 16
    LINK = 1 << 17
    LOG = 1 << 18
    SELF_TEST = 1 << 19
    UNFAMILIAR = 1 << 20


class FaultThresholds(Config):
    """From where on something is a fault."""

    no_data_s: float = Field(
        default=0.03, gt=0.0, le=1.0, description="without a new sample, s; 3 periods at 100 Hz"
    )
    stale_s: float = Field(
        default=0.05, gt=0.0, le=1.0, description="age of a sample beyond the least one seen, s"
    )
    frozen_s: float = Field(
        default=0.5, gt=0.0, le=5.0, description="all readings identical for this long, s"
    )
    stuck_s: float = Field(
        default=0.15, gt=0.0, le=5.0, description="angle stuck while its speed is not zero, s"
    )
    stuck_speed: float = Field(default=0.7, gt=0.0, le=10.0, description="that speed, rad/s")
    angle_range: float = Field(default=2.3, gt=0.0, le=4.0, description="magnitude, rad")
    speed_range: float = Field(default=12.0, gt=0.0, le=60.0, description="magnitude, rad/s")
    gyro_range: float = Field(default=15.0, gt=0.0, le=60.0, description="magnitude, rad/s")
    angle_rate: float = Field(
        default=20.0, gt=0.0, le=200.0, description="change of an angle between samples, rad/s"
    )
    speed_rate: float = Field(
        default=400.0, gt=0.0, le=1e4, description="change of a speed between samples, rad/s^2"
    )
    left_right_angle: float = Field(
        default=2.0, gt=0.0, le=4.0, description="difference of the hip angles, rad"
    )
    one_sided_s: float = Field(
        default=2.5, gt=0.0, le=20.0, description="one leg walks and the other is still for, s"
    )
    one_sided_speed: float = Field(
        default=1.0, gt=0.0, le=10.0, description="speed that counts as walking, rad/s"
    )
    still_speed: float = Field(
        default=0.1, gt=0.0, le=1.0, description="speed below which a leg is still, rad/s"
    )
    window_s: float = Field(default=1.0, gt=0.0, le=60.0, description="in which errors count, s")
    frame_errors: int = Field(default=5, ge=1, le=1000, description="flawed frames per window")
    lost: int = Field(default=10, ge=1, le=1000, description="lost samples per window")
    duplicated: int = Field(default=5, ge=1, le=1000, description="repeated samples per window")
    reordered: int = Field(default=5, ge=1, le=1000, description="late samples per window")
    overruns: int = Field(default=10, ge=1, le=1000, description="missed deadlines per window")
    clock_jump_s: float = Field(
        default=0.1, gt=0.0, le=10.0, description="device's clock against the host's, s"
    )
    temperature_c: float = Field(default=75.0, gt=0.0, le=150.0, description="degrees Celsius")
    battery_v: float = Field(default=20.0, ge=0.0, le=100.0, description="V; below is a fault")
    torque_error: float = Field(
        default=6.0, gt=0.0, le=100.0, description="measured against sent torque, Nm"
    )
    torque_error_s: float = Field(default=0.2, gt=0.0, le=5.0, description="for this long, s")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.still_speed >= self.one_sided_speed:
            raise ValueError(
                f"still_speed = {self.still_speed:g} rad/s must be below one_sided_speed = "
                f"{self.one_sided_speed:g} rad/s"
            )
        return self


@dataclass(frozen=True, slots=True)
class Reading:
    """A sensor sample in SI units; right side, then left.

    Attributes
    ----------
    time : device's clock, s
    angle, speed : of the hips, rad, rad/s
    gyro, thigh : rate of the thighs and their angle to gravity, rad/s, rad
    torque : measured, Nm
    """

    time: float
    angle: tuple[float, float]
    speed: tuple[float, float]
    gyro: tuple[float, float]
    thigh: tuple[float, float]
    torque: tuple[float, float]

    @classmethod
    def of(cls, time_us: int, s: Sensors) -> Reading:
        """The sample that a packet holds."""
        return cls(
            time_us * MICRO,
            (s.hip_angle_r_urad * MICRO, s.hip_angle_l_urad * MICRO),
            (s.hip_speed_r_urad_per_s * MICRO, s.hip_speed_l_urad_per_s * MICRO),
            (s.thigh_gyro_r_urad_per_s * MICRO, s.thigh_gyro_l_urad_per_s * MICRO),
            (s.thigh_angle_r_urad * MICRO, s.thigh_angle_l_urad * MICRO),
            (s.torque_r_mnm * MILLI, s.torque_l_mnm * MILLI),
        )


@dataclass(frozen=True, slots=True)
class LinkCounts:
    """What went wrong on the line since the last period."""

    flawed: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0


class Burst:
    """Says whether `allowed` events or more happened within a window; bounded memory."""

    def __init__(self, allowed: int, window: float) -> None:
        self._times: deque[float] = deque(maxlen=allowed)
        self._window = window

    def happened(self, count: int, now: float) -> bool:
        """Note `count` events at `now` (s); True while too many lie within the window."""
        times = self._times
        for _ in range(min(count, times.maxlen or 0)):
            times.append(now)
        return len(times) == times.maxlen and now - times[0] <= self._window


class Lasting:
    """Says whether something has held without a break for a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def held(self, holds: bool, now: float) -> bool:
        """Note whether it holds at `now` (s)."""
        if not holds:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._seconds


class SampleMonitor:
    """Faults of the stream of samples, one call per new sample.

    Parameters
    ----------
    thresholds : FaultThresholds
    """

    def __init__(self, thresholds: FaultThresholds) -> None:
        self.thresholds = thresholds
        self._before: tuple[float, Reading] | None = None
        # Per second of arrival, the least difference of the two clocks; the line's least delay.
        self._least: deque[tuple[int, float]] = deque(maxlen=60)
        self._frozen = Lasting(thresholds.frozen_s)
        self._stuck = (Lasting(thresholds.stuck_s), Lasting(thresholds.stuck_s))
        self._moved: list[float | None] = [None, None]
        self._walked: list[float | None] = [None, None]

    def check(self, now: float, reading: Reading) -> FaultCode:
        """Faults in a new sample.

        Parameters
        ----------
        now : host's clock at arrival, s
        reading : the sample
        """
        found = self._ranges(reading) | self._one_sided(reading)
        if self._before is not None:
            arrived, before = self._before
            found |= self._changes(before, reading) | self._clock(now - arrived, before, reading)
        if self._is_stale(now, reading.time):
            found |= FaultCode.STALE
        self._before = (now, reading)
        return found

    def _ranges(self, reading: Reading) -> FaultCode:
        t = self.thresholds
        inside = (
            _within(reading.angle, t.angle_range)
            and _within(reading.speed, t.speed_range)
            and _within(reading.gyro, t.gyro_range)
            and _within(reading.thigh, t.angle_range)
        )
        found = FaultCode(0) if inside else FaultCode.OUT_OF_RANGE
        if not abs(reading.angle[0] - reading.angle[1]) <= t.left_right_angle:
            found |= FaultCode.LEFT_RIGHT
        return found

    def _changes(self, before: Reading, reading: Reading) -> FaultCode:
        t, step = self.thresholds, reading.time - before.time
        found = FaultCode(0)
        if step > 0.0 and not (
            _within(_difference(reading.angle, before.angle), t.angle_rate * step)
            and _within(_difference(reading.speed, before.speed), t.speed_rate * step)
            and _within(_difference(reading.gyro, before.gyro), t.speed_rate * step)
            and _within(_difference(reading.thigh, before.thigh), t.angle_rate * step)
        ):
            found |= FaultCode.RATE_SPIKE
        same = (
            reading.angle == before.angle
            and reading.speed == before.speed
            and reading.gyro == before.gyro
            and reading.thigh == before.thigh
        )
        frozen = self._frozen.held(same, reading.time)
        for side in (0, 1):
            stuck = (
                reading.angle[side] == before.angle[side]
                and max(abs(reading.gyro[side]), abs(reading.speed[side])) > t.stuck_speed
            )
            frozen |= self._stuck[side].held(stuck, reading.time)
        return found | FaultCode.FROZEN if frozen else found

    def _one_sided(self, reading: Reading) -> FaultCode:
        """A leg walks while the other has not moved for long: a cuff or a sensor came off."""
        t, found = self.thresholds, FaultCode(0)
        for side in (0, 1):
            fast = abs(reading.speed[side])
            if fast > t.still_speed or self._moved[side] is None:
                self._moved[side] = reading.time
            if fast > t.one_sided_speed:
                self._walked[side] = reading.time
        for still, walking in ((0, 1), (1, 0)):
            moved, walked = self._moved[still], self._walked[walking]
            if moved is not None and walked is not None and walked - moved > t.one_sided_s:
                found |= FaultCode.LEFT_RIGHT
        return found

    def _clock(self, arrived_after: float, before: Reading, reading: Reading) -> FaultCode:
        step = reading.time - before.time
        if step < 0.0 or step - arrived_after > self.thresholds.clock_jump_s:
            return FaultCode.CLOCK_JUMP
        return FaultCode(0)

    def _is_stale(self, now: float, measured: float) -> bool:
        """The sample took longer than the quickest one of the last minute, by the threshold."""
        late, second = now - measured, int(now)
        if not self._least or self._least[-1][0] != second:
            self._least.append((second, late))
        elif late < self._least[-1][1]:
            self._least[-1] = (second, late)
        return late - min(least for _, least in self._least) > self.thresholds.stale_s


class Monitor:
    """All faults of one period of the loop, from the samples, the line, the clock and the device.

    Parameters
    ----------
    thresholds : FaultThresholds
    """

    def __init__(self, thresholds: FaultThresholds | None = None) -> None:
        self.thresholds = thresholds or FaultThresholds()
        self.reset()

    def reset(self) -> None:
        """Forget the past: a new session with the device begins."""
        t = self.thresholds
        self._samples = SampleMonitor(t)
        self._fresh: float | None = None
        self._bursts = (
            (FaultCode.FRAME_ERRORS, Burst(t.frame_errors, t.window_s)),
            (FaultCode.LOST, Burst(t.lost, t.window_s)),
            (FaultCode.DUPLICATED, Burst(t.duplicated, t.window_s)),
            (FaultCode.REORDERED, Burst(t.reordered, t.window_s)),
            (FaultCode.DEADLINES, Burst(t.overruns, t.window_s)),
        )
        self._mismatch = Lasting(t.torque_error_s)

    def sample(self, now: float, reading: Reading, sensors: Sensors) -> FaultCode:
        """Faults in a new sample; `now` is the host's clock, s."""
        self._fresh = now
        found = self._samples.check(now, reading)
        hottest = max(sensors.temperature_r_decidegc, sensors.temperature_l_decidegc) * DECI
        if hottest > self.thresholds.temperature_c or sensors.flags & Flag.OVER_TEMPERATURE:
            found |= FaultCode.TEMPERATURE
        low = sensors.battery_mv * MILLI < self.thresholds.battery_v
        if low or sensors.flags & Flag.LOW_BATTERY:
            found |= FaultCode.BATTERY
        if sensors.flags & (Flag.WATCHDOG | Flag.ENCODER_FAULT | Flag.IMU_FAULT | Flag.DRIVE_FAULT):
            found |= FaultCode.DEVICE
        return found

    def period(self, now: float, counts: LinkCounts, overruns: int) -> FaultCode:
        """Faults of the line and the loop, once per period at `now` (s), after `sample`."""
        if self._fresh is None:
            self._fresh = now
        found = FaultCode(0)
        if now - self._fresh > self.thresholds.no_data_s:
            found |= FaultCode.NO_DATA
        seen = (counts.flawed, counts.lost, counts.duplicated, counts.reordered, overruns)
        for (code, burst), count in zip(self._bursts, seen):
            if burst.happened(count, now):
                found |= code
        return found

    def torque(
        self, now: float, sent: tuple[float, float], measured: tuple[float, float]
    ) -> FaultCode:
        """Fault of a drive that does not do what it is told; Nm."""
        wrong = not _within(_difference(sent, measured), self.thresholds.torque_error)
        return FaultCode.TORQUE_MISMATCH if self._mismatch.held(wrong, now) else FaultCode(0)


def _within(values: tuple[float, float], bound: float) -> bool:
    # Written so that NaN is not within.
    return abs(values[0]) <= bound and abs(values[1]) <= bound


def _difference(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return a[0] - b[0], a[1] - b[1]
