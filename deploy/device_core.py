"""The device's side of the protocol: sessions, watchdog and limiter in whole numbers.

The twin of the reference firmware in ``firmware/``: for the same bytes at the same times both give
the same bytes and the same torque, which a test compares. The virtual exo runs this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from osim_exo.config import Config
from osim_exo.deploy.packets import (
    SEQUENCE_MODULUS,
    TO_DEVICE,
    Body,
    ClearFault,
    Decoder,
    DeviceFacts,
    DeviceState,
    Enable,
    Fault,
    Flag,
    Hello,
    Packet,
    Sensors,
    Status,
    Stop,
    StopReason,
    TorqueCommand,
    encode,
)
from osim_exo.deploy.sequence import SequenceWindow

VERSION = (2, 0, 0)
"""Version of this firmware: major, minor, patch."""

OUT_LIMIT = 1024
"""Bytes that wait to be sent at most; a packet beyond is lost, and its number shows that."""

STATUS_EVERY = 100
"""Samples between two `Status` packets."""

BLOCKING = Flag.OVER_TEMPERATURE | Flag.ENCODER_FAULT | Flag.DRIVE_FAULT
"""What the drives report and what switches torque off."""

Whole = tuple[int, int]


class FirmwareSettings(Config):
    """Constants of the firmware; whole numbers in the units of the wire."""

    serial_number: int = Field(default=1, ge=0, lt=2**32, description="of the device")
    period_us: int = Field(default=10_000, ge=1000, le=100_000, description="between samples, us")
    tick_us: int = Field(default=1000, ge=100, le=10_000, description="of the torque loop, us")
    watchdog_us: int = Field(
        default=25_000, ge=1000, le=300_000, description="without a command torque goes off, us"
    )
    max_torque_mnm: int = Field(default=18_000, ge=1, le=100_000, description="0.001 Nm")
    rate_limit_mnm_per_s: int = Field(default=300_000, ge=1000, le=5_000_000, description="mNm/s")
    power_limit_mw: int = Field(default=80_000, ge=1, le=1_000_000, description="mW, either sign")
    angle_low_urad: int = Field(default=-700_000, ge=-2_000_000, le=0, description="extension")
    angle_high_urad: int = Field(default=1_800_000, ge=0, le=3_000_000, description="flexion")
    angle_taper_urad: int = Field(default=150_000, ge=1, le=1_000_000, description="of torque")
    speed_limit_urad_per_s: int = Field(default=12_000_000, ge=1, le=60_000_000, description="end")
    speed_taper_urad_per_s: int = Field(default=2_000_000, ge=1, le=10_000_000, description="fade")


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the device's sensors read now; whole numbers in the units of `Sensors`."""

    angle_urad: Whole = (0, 0)
    speed_urad_per_s: Whole = (0, 0)
    thigh_urad: Whole = (0, 0)
    gyro_urad_per_s: Whole = (0, 0)
    torque_mnm: Whole = (0, 0)
    temperature_decidegc: Whole = (250, 250)
    battery_mv: int = 24_000
    flags: int = 0


class OwnController(Protocol):
    """A controller on the device itself."""

    crc: int
    """CRC-32 of its constants."""

    def __call__(self, now_us: int, seen: Measurement, given_mnm: Whole) -> Whole:
        """Torque that it wants (0.001 Nm), while the drives are asked for `given_mnm`."""


class DeviceCore:
    """What the device's microcontroller does: bytes and measurements in, torque and bytes out.

    Parameters
    ----------
    settings : FirmwareSettings
    controller : of the device's own, for commands that let it act; optional
    """

    def __init__(
        self, settings: FirmwareSettings | None = None, controller: OwnController | None = None
    ) -> None:
        self.settings = settings or FirmwareSettings()
        self._controller = controller
        self._by_itself = False
        self._allowed: Whole = (0, 0)
        self.state = DeviceState.IDLE
        self.torque_mnm: Whole = (0, 0)
        self.watchdog_trips = 0
        self.session_refused = 0
        self.sequence_refused = 0
        self._decoder = Decoder(TO_DEVICE)
        self._window = SequenceWindow()
        self._session = 0
        self._target: Whole = (0, 0)
        self._commanded_at = 0
        self._command_sequence = 0
        self._latched = 0
        self._limited = False
        self._sequence = 0
        self._samples = 0
        self._out = bytearray()

    def receive(self, data: bytes, now_us: int) -> None:
        """Take in bytes from the line at the device's time, us."""
        for packet in self._decoder.feed(data):
            self._obey(packet, now_us)

    def tick(self, now_us: int, seen: Measurement) -> Whole:
        """One step of the torque loop.

        Parameters
        ----------
        now_us : device's time
        seen : what the sensors read

        Returns
        -------
        (right, left) torque for the drives, 0.001 Nm
        """
        if seen.flags & Flag.ESTOP_BUTTON and self.state != DeviceState.ESTOP:
            self._switch_off(DeviceState.ESTOP)
            self._send(Fault(int(Flag.ESTOP_BUTTON), 0), now_us)
        if self.state == DeviceState.ENABLED:
            silence = now_us - self._commanded_at
            if seen.flags & BLOCKING:
                self._fail(seen.flags & BLOCKING, 0, now_us)
            elif silence > self.settings.watchdog_us:
                self.watchdog_trips += 1
                self._fail(int(Flag.WATCHDOG), silence, now_us)
        if self.state == DeviceState.ENABLED:
            if self._by_itself and self._controller is not None:
                wanted = self._controller(now_us, seen, self.torque_mnm)
                self._target = _clipped(wanted, self._allowed)
            right = self._bounded(0, seen)
            left = self._bounded(1, seen)
            self._limited = (right, left) != self._target
            self.torque_mnm = right, left
        return self.torque_mnm

    def sample(self, now_us: int, seen: Measurement) -> None:
        """Send a sensor sample, and a status now and then; call it once per period."""
        flags = seen.flags | self._latched
        flags |= Flag.TORQUE_ON * (self.state == DeviceState.ENABLED)
        flags |= Flag.LIMITED * self._limited
        body = Sensors(
            *seen.angle_urad,
            *seen.speed_urad_per_s,
            *seen.thigh_urad,
            *seen.gyro_urad_per_s,
            *seen.torque_mnm,
            *seen.temperature_decidegc,
            seen.battery_mv,
            flags,
            self._command_sequence,
            int(self.state),
        )
        self._send(body, now_us)
        self._samples += 1
        if self._samples % STATUS_EVERY == 0:
            self._send(self._status(), now_us)

    def take_output(self) -> bytes:
        """Bytes that are to go over the line."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def _obey(self, packet: Packet, now_us: int) -> None:
        body = packet.body
        if isinstance(body, Hello):
            self._greet(packet.sequence, body, now_us)
        elif isinstance(body, Stop):
            emergency = body.reason != StopReason.END
            if emergency or self.state == DeviceState.ENABLED:
                self._switch_off(DeviceState.ESTOP if emergency else DeviceState.IDLE)
        elif isinstance(body, TorqueCommand | ClearFault):
            if body.session != self._session or self._session == 0:
                self.session_refused += 1
            elif not self._window.take(packet.sequence):
                self.sequence_refused += 1
            elif isinstance(body, TorqueCommand):
                self._command(packet.sequence, body, now_us)
            elif self.state == DeviceState.FAULT:
                self._latched = 0
                self._switch_off(DeviceState.IDLE)

    def _greet(self, sequence: int, hello: Hello, now_us: int) -> None:
        self._session = hello.session
        self._window.reset()
        self._window.take(sequence)
        self._latched = 0
        self._switch_off(DeviceState.IDLE)
        s = self.settings
        self._send(
            DeviceFacts(
                hello.session,
                *VERSION,
                2,
                s.serial_number,
                s.period_us,
                s.watchdog_us,
                s.max_torque_mnm,
                s.rate_limit_mnm_per_s,
                s.power_limit_mw,
                0 if self._controller is None else self._controller.crc,
            ),
            now_us,
        )

    def _command(self, sequence: int, command: TorqueCommand, now_us: int) -> None:
        self._command_sequence, self._commanded_at = sequence, now_us
        if self.state not in (DeviceState.IDLE, DeviceState.ENABLED):
            return
        by_itself = command.enable == Enable.BY_ITSELF and self._controller is not None
        if command.enable != Enable.COMMANDED and not by_itself:
            self._switch_off(DeviceState.IDLE)
            return
        self.state, self._by_itself = DeviceState.ENABLED, by_itself
        cap = self.settings.max_torque_mnm
        given = _clipped((command.torque_r_mnm, command.torque_l_mnm), (cap, cap))
        if by_itself:
            self._allowed = max(given[0], 0), max(given[1], 0)
        else:
            self._target = given

    def _bounded(self, side: int, seen: Measurement) -> int:
        """Torque of one side within the rate limit and, above all, the bounds of this instant."""
        s = self.settings
        cap, speed, angle = (
            s.max_torque_mnm,
            abs(seen.speed_urad_per_s[side]),
            seen.angle_urad[side],
        )
        if speed:
            cap = min(cap, s.power_limit_mw * 1_000_000 // speed)
        cap = _faded(cap, s.speed_limit_urad_per_s - speed, s.speed_taper_urad_per_s)
        low = -_faded(cap, angle - s.angle_low_urad, s.angle_taper_urad)
        high = _faded(cap, s.angle_high_urad - angle, s.angle_taper_urad)
        step = s.rate_limit_mnm_per_s * s.tick_us // 1_000_000
        before = self.torque_mnm[side]
        wanted = min(max(self._target[side], before - step), before + step)
        return min(max(wanted, low), high)

    def _fail(self, flag: int, detail: int, now_us: int) -> None:
        self._latched |= flag
        self._switch_off(DeviceState.FAULT)
        self._send(Fault(flag, min(detail, 2**31 - 1)), now_us)

    def _switch_off(self, state: DeviceState) -> None:
        """Torque off at once; an ESTOP stays until power goes off."""
        self._target = self.torque_mnm = (0, 0)
        self._limited = self._by_itself = False
        if self.state != DeviceState.ESTOP:
            self.state = state

    def _status(self) -> Status:
        return Status(
            int(self.state),
            self._decoder.good,
            self._decoder.bad,
            self.sequence_refused,
            self.session_refused,
            self.watchdog_trips,
        )

    def _send(self, body: Body, now_us: int) -> None:
        self._sequence = (self._sequence + 1) % SEQUENCE_MODULUS
        data = encode(Packet(self._sequence, now_us, body))
        if len(self._out) + len(data) <= OUT_LIMIT:
            self._out += data


def _clipped(values: Whole, bounds: Whole) -> Whole:
    """Each value with at most the magnitude of its bound."""
    right, left = bounds
    return min(max(values[0], -right), right), min(max(values[1], -left), left)


def _faded(cap: int, room: int, taper: int) -> int:
    """`cap`, less where the room to an end is less than the taper, none beyond the end."""
    if room <= 0:
        return 0
    return cap if room >= taper else cap * room // taper
