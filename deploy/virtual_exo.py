"""An exoskeleton for those who have none: firmware, drives, sensors and line, all simulated.

`VirtualExo` is pure: bytes in, time forward, bytes out. `osim_exo.deploy.virtual_port` puts it on a
pseudo-terminal or a TCP port.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from osim_exo.config import Config
from osim_exo.deploy.device_core import DeviceCore, FirmwareSettings, Measurement
from osim_exo.deploy.disturbances import Disturbance, Disturber
from osim_exo.deploy.packets import DeviceState
from osim_exo.deploy.walkers import Pair, Pose, ReactingWalker, SineWalker, Walker
from osim_exo.device import DeviceDynamics, DeviceLimits
from osim_exo.errors import InputError

I32, I16 = 2**31 - 1, 2**15 - 1


class VirtualSettings(Config):
    """What the virtual device is like; the values are typical of small drives and MEMS sensors."""

    firmware: FirmwareSettings = FirmwareSettings()
    drive: DeviceLimits = DeviceLimits(max_torque=18.0, rate_limit=2000.0, power_limit=200.0)
    friction: float = Field(default=0.3, ge=0.0, le=10.0, description="Coulomb friction, Nm")
    drag: float = Field(default=0.02, ge=0.0, le=5.0, description="viscous drag, Nm s/rad")
    line_delay_s: float = Field(default=0.002, ge=0.0, le=1.0, description="to the host, s")
    encoder_step: float = Field(
        default=3.8e-4, ge=0.0, le=0.1, description="resolution, rad; 14 bits on a turn"
    )
    speed_noise: float = Field(default=0.02, ge=0.0, le=1.0, description="standard dev., rad/s")
    gyro_bias: float = Field(default=0.01, ge=-1.0, le=1.0, description="rad/s")
    gyro_scale: float = Field(default=1.01, ge=0.5, le=2.0, description="measured over true")
    gyro_noise: float = Field(default=0.01, ge=0.0, le=1.0, description="standard dev., rad/s")
    thigh_offset: float = Field(
        default=0.0, ge=-0.5, le=0.5, description="of the thighs' angle: a cuff put on askew, rad"
    )
    thigh_noise: float = Field(default=0.003, ge=0.0, le=0.5, description="standard dev., rad")
    torque_noise: float = Field(default=0.05, ge=0.0, le=5.0, description="standard dev., Nm")
    ambient_c: float = Field(default=25.0, ge=-20.0, le=60.0, description="degrees Celsius")
    heating: float = Field(
        default=0.002, ge=0.0, le=1.0, description="K/s at 1 Nm, with its square"
    )
    cooling_s: float = Field(default=120.0, gt=0.0, le=1e4, description="thermal time constant, s")
    battery_v: float = Field(default=24.0, ge=0.0, le=60.0, description="at the beginning, V")
    battery_v_per_hour: float = Field(default=0.5, ge=0.0, le=100.0, description="it falls by, V/h")
    seed: int = Field(default=0, ge=0, description="of noise and disturbances")


@dataclass(frozen=True, slots=True)
class Moment:
    """The device at one step of its torque loop; torques right then left.

    Attributes
    ----------
    time_us : device's time
    commanded_mnm : torque that the firmware asks of the drives, 0.001 Nm
    delivered : torque of the drives, behind a strap if they have one, without friction, Nm
    state : DeviceState
    heard_us : device's time when something came from the host last
    """

    time_us: int
    commanded_mnm: tuple[int, int]
    delivered: Pair
    state: int
    heard_us: int


class VirtualExo:
    """The whole device.

    Parameters
    ----------
    settings : VirtualSettings
    walker : who wears it
    script : what goes wrong
    observer : called after each step of the torque loop, optional
    """

    def __init__(
        self,
        settings: VirtualSettings | None = None,
        walker: Walker | None = None,
        script: Sequence[Disturbance] = (),
        observer: Callable[[Moment], None] | None = None,
    ) -> None:
        self.settings = settings or VirtualSettings()
        firmware = self.settings.firmware
        if firmware.period_us % firmware.tick_us:
            raise InputError(
                f"The firmware's period of {firmware.period_us} us must be a multiple of its tick "
                f"of {firmware.tick_us} us."
            )
        self.core = DeviceCore(firmware)
        self.time_us = 0
        self.heard_us = 0
        self.delivered: Pair = (0.0, 0.0)
        self._walker: Walker = walker or SineWalker()
        self._feel = walker.feel if isinstance(walker, ReactingWalker) else None
        self._observer = observer
        self._drive = DeviceDynamics(self.settings.drive, firmware.tick_us * 1e-6)
        if self.settings.drive.strap is not None:
            pose = self._walker(0.0)
            self._drive.reset(angle=pose.angle, speed=pose.speed)
        self._disturber = Disturber(script, self.settings.seed)
        self._random = random.Random(self.settings.seed)
        self._clock_offset_us = 0
        self._heat = [0.0, 0.0]
        self._line: deque[tuple[int, bytes]] = deque()

    @property
    def clock_us(self) -> int:
        """What the device's own clock says; a disturbance may make it jump."""
        return self.time_us + self._clock_offset_us

    def receive(self, data: bytes) -> None:
        """Bytes from the host arrive now."""
        if data and not self._disturber.active("deaf", self.time_us * 1e-6):
            self.heard_us = self.time_us
            self.core.receive(data, self.clock_us)

    def advance(self, until_us: int) -> None:
        """Let the device run until `until_us` of true time."""
        tick, period = self.settings.firmware.tick_us, self.settings.firmware.period_us
        while self.time_us + tick <= until_us:
            self.time_us += tick
            time = self.time_us * 1e-6
            self._happen(time)
            pose = self._walker(time)
            due = self.time_us % period == 0
            seen = self._measure(pose, time, due)
            commanded = self.core.tick(self.clock_us, seen)
            self._drives(commanded, pose, time)
            if self._feel is not None:
                self._feel((self._on_leg(0, pose), self._on_leg(1, pose)))
            if due:
                self._warm(period * 1e-6)
                self.core.sample(self.clock_us, seen)
            self._queue(time)
            if self._observer is not None:
                state = int(self.core.state)
                self._observer(
                    Moment(self.time_us, commanded, self.delivered, state, self.heard_us)
                )

    def take_output(self) -> bytes:
        """Bytes that have come through the line by now."""
        out = bytearray()
        while self._line and self._line[0][0] <= self.time_us:
            out += self._line.popleft()[1]
        return bytes(out)

    def _happen(self, time: float) -> None:
        """Disturbances that come once."""
        jump = self._disturber.once("clock_jump", time)
        if jump is not None:
            self._clock_offset_us = max(
                self._clock_offset_us + int(jump.amount * 1e6), -self.time_us
            )
        if self._disturber.once("reboot", time) is not None:
            self.core = DeviceCore(self.settings.firmware)
            self._clock_offset_us = -self.time_us

    def _drives(self, commanded: tuple[int, int], pose: Pose, time: float) -> None:
        if self.core.state != DeviceState.ENABLED:
            # The power stage is off: no current, whatever was on its way.
            self._drive.reset(angle=pose.angle, speed=pose.speed)
            self.delivered = (0.0, 0.0)
            return
        weak = 0.0 if self._disturber.active("drive_weak", time) else 1.0
        command = np.array([commanded]) * 1e-3 * weak
        torque = self._drive.step(command, np.array([pose.speed]), np.array([pose.angle]))
        self.delivered = float(torque[0, 0]), float(torque[0, 1])

    def _warm(self, dt: float) -> None:
        for side in (0, 1):
            rise = self.settings.heating * self.delivered[side] ** 2
            self._heat[side] += dt * (rise - self._heat[side] / self.settings.cooling_s)

    def _measure(self, pose: Pose, time: float, with_noise: bool) -> Measurement:
        """What the sensors read; noise only where a sample is sent."""
        s, gauss = self.settings, self._random.gauss
        step = s.encoder_step or 1e-6
        angle = [round(value / step) * step for value in pose.angle]
        speed, gyro, torque = list(pose.speed), list(pose.gyro), [0.0, 0.0]
        thigh = [angle + s.thigh_offset for angle in pose.thigh]
        if with_noise:
            for i in (0, 1):
                speed[i] += gauss(0.0, s.speed_noise)
                gyro[i] = s.gyro_scale * gyro[i] + s.gyro_bias + gauss(0.0, s.gyro_noise)
                thigh[i] += gauss(0.0, s.thigh_noise)
                torque[i] = self._on_leg(i, pose) + gauss(0.0, s.torque_noise)
        volts = s.battery_v - s.battery_v_per_hour * time / 3600.0
        seen = Measurement(
            (_micro(angle[0]), _micro(angle[1])),
            (_micro(speed[0]), _micro(speed[1])),
            (_micro(thigh[0]), _micro(thigh[1])),
            (_micro(gyro[0]), _micro(gyro[1])),
            (_whole(torque[0] * 1e3, I32), _whole(torque[1] * 1e3, I32)),
            (self._temperature(0), self._temperature(1)),
            min(max(int(volts * 1e3), 0), 65535),
        )
        return self._disturber.measured(seen, time)

    def _on_leg(self, side: int, pose: Pose) -> float:
        """Torque between cuff and leg: the drive's, less friction and drag, Nm."""
        speed = pose.speed[side]
        friction = self.settings.friction * min(max(speed / 0.05, -1.0), 1.0)
        return self.delivered[side] - friction - self.settings.drag * speed

    def _temperature(self, side: int) -> int:
        return _whole((self.settings.ambient_c + self._heat[side]) * 10.0, I16)

    def _queue(self, time: float) -> None:
        data = self.core.take_output()
        if not data:
            return
        late = self.settings.line_delay_s
        delay = self._disturber.active("delay", time)
        if delay is not None:
            late += delay.amount
        data = self._disturber.sent(data, time)
        # A line keeps its order: nothing overtakes what is still on its way.
        due = self.time_us + int(late * 1e6)
        due = max(due, self._line[-1][0]) if self._line else due
        if data:
            self._line.append((due, data))


def _whole(value: float, bound: int) -> int:
    return min(max(round(value), -bound), bound)


def _micro(value: float) -> int:
    return _whole(value * 1e6, I32)
