"""Two drives on a CAN bus as a device: the seam for hardware without this project's firmware.

The device's side of the protocol (`DeviceCore`: sessions, watchdog, limiter) runs in the host's
process and stands between the runtime and the bus. Its watchdog does not outlive that process: set
the drives' own timeout as well, so that they stop when the host dies. Drives have encoders only;
thigh angles and rates read zero, and controllers that need them must not be used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from osim_exo.deploy.can_codec import (
    ENTER,
    LEAVE,
    MitCommand,
    MitReply,
    decode_reply,
    drive_range,
    encode_command,
)
from osim_exo.deploy.device_core import DeviceCore, FirmwareSettings, Measurement
from osim_exo.deploy.packets import DeviceState, Flag
from osim_exo.deploy.timing import Clock, SystemClock
from osim_exo.errors import DataError, InputError, MissingExtraError

SILENT_US = 30_000
"""us; a drive that has not answered for longer is a drive fault."""

PATIENCE = 64
"""Frames that are read at a time at most: a bus full of garbage does not hold the loop."""


class Bus(Protocol):
    """What is needed of a CAN bus."""

    def send(self, number: int, data: bytes) -> None:
        """Send a standard frame; failures are an `OSError`."""

    def receive(self) -> tuple[int, bytes] | None:
        """A frame that has come, or None."""

    def close(self) -> None:
        """Give the bus back."""


class PythonCanBus:
    """A bus of the library python-can.

    Parameters
    ----------
    interface, channel : as python-can names them, for instance socketcan and can0, or virtual
    bit_rate : bits per second
    """

    def __init__(self, interface: str, channel: str, bit_rate: int = 1_000_000) -> None:
        try:
            import can
        except ImportError:
            raise MissingExtraError("python-can", "can") from None
        self._can: Any = can
        try:
            self._bus: Any = can.Bus(interface=interface, channel=channel, bitrate=bit_rate)
        except (can.CanError, OSError, ValueError) as error:
            raise OSError(f"The CAN bus {interface} {channel} cannot be used: {error}") from None

    def send(self, number: int, data: bytes) -> None:
        """Send a standard frame."""
        message = self._can.Message(arbitration_id=number, data=data, is_extended_id=False)
        try:
            self._bus.send(message, timeout=0.01)
        except self._can.CanError as error:
            raise OSError(f"The CAN bus takes no frame: {error}") from None

    def receive(self) -> tuple[int, bytes] | None:
        """A data frame that has come, or None."""
        try:
            message = self._bus.recv(timeout=0.0)
        except self._can.CanError as error:
            raise OSError(f"The CAN bus is lost: {error}") from None
        if message is None or message.is_error_frame or message.is_extended_id:
            return None
        return message.arbitration_id, bytes(message.data)

    def close(self) -> None:
        """Give the bus back."""
        self._bus.shutdown()


@dataclass(frozen=True)
class Drives:
    """The two drives; right, then left.

    Attributes
    ----------
    numbers : on the bus
    model : name of the drive, see `RANGES`
    signs : 1 where the drive's positive turn is hip flexion, else -1
    host : number on the bus under which they answer
    """

    numbers: tuple[int, int] = (1, 2)
    model: str = "AK80-9"
    signs: tuple[int, int] = (1, -1)
    host: int = 0


@dataclass
class _Heard:
    """The newest answer of a drive and when it came, us."""

    reply: MitReply | None = None
    at_us: int = field(default=-SILENT_US - 1)


class CanStream:
    """Drives on a bus as the byte stream to a device; see `osim_exo.deploy.streams.ByteStream`.

    Parameters
    ----------
    bus : Bus
    drives : Drives
    settings : of the device's limits and watchdog
    clock : Clock, optional
    """

    def __init__(
        self,
        bus: Bus,
        drives: Drives | None = None,
        settings: FirmwareSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.drives = drives or Drives()
        self.core = DeviceCore(settings)
        self._range = drive_range(self.drives.model)
        self._bus, self._clock = bus, clock or SystemClock()
        self._start = self._clock.now()
        self._ticked, self._out = 0, bytearray()
        self._heard = (_Heard(), _Heard())
        for number in self.drives.numbers:
            bus.send(number, ENTER)

    @property
    def now_us(self) -> int:
        """Time of the device, us."""
        return round((self._clock.now() - self._start) * 1e6)

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes of what the device's side has sent by now."""
        self._listen()
        self._run()
        self._out += self.core.take_output()
        data = bytes(self._out[:limit])
        del self._out[:limit]
        return data

    def write(self, data: bytes) -> None:
        """Bytes of the host."""
        self.core.receive(data, self.now_us)
        self._drive()

    def close(self) -> None:
        """Zero torque, end motor control, give the bus back; one failure does not stop the next."""
        steps: list[Callable[[], None]] = [
            partial(self._bus.send, number, data)
            for number in self.drives.numbers
            for data in (self._frame(0.0), LEAVE)
        ]
        failed: OSError | None = None
        for step in [*steps, self._bus.close]:
            try:
                step()
            except OSError as error:
                failed = error
        if failed is not None:
            raise failed

    def _listen(self) -> None:
        for _ in range(PATIENCE):
            frame = self._bus.receive()
            if frame is None:
                return
            number, data = frame
            if number != self.drives.host:
                continue
            try:
                reply = decode_reply(data, self._range)
            except DataError:
                continue
            if reply.drive in self.drives.numbers:
                heard = self._heard[self.drives.numbers.index(reply.drive)]
                heard.reply, heard.at_us = reply, self.now_us

    def _run(self) -> None:
        """The device's torque loop up to now, and a sample per period."""
        settings, now = self.core.settings, self.now_us
        # After a pause the loop does not catch up: one period of steps is enough.
        behind = now - settings.period_us
        self._ticked = max(self._ticked, behind - behind % settings.tick_us)
        while self._ticked + settings.tick_us <= now:
            self._ticked += settings.tick_us
            seen = self._measure()
            self.core.tick(self._ticked, seen)
            if self._ticked % settings.period_us == 0:
                self.core.sample(self._ticked, seen)
        self._drive()

    def _drive(self) -> None:
        """The limited torque to both drives, which answer with their state."""
        on = self.core.state == DeviceState.ENABLED
        for number, sign, torque in zip(
            self.drives.numbers, self.drives.signs, self.core.torque_mnm
        ):
            self._bus.send(number, self._frame(sign * torque * 1e-3 if on else 0.0))

    def _frame(self, torque: float) -> bytes:
        return encode_command(MitCommand(torque=torque), self._range)

    def _measure(self) -> Measurement:
        right, left = (heard.reply or MitReply(0, 0.0, 0.0, 0.0, None, 0) for heard in self._heard)
        a, b = self.drives.signs
        flags = 0
        for heard in self._heard:
            silent = self.now_us - heard.at_us > SILENT_US
            if silent or (heard.reply is not None and heard.reply.error):
                flags |= Flag.DRIVE_FAULT
        return Measurement(
            angle_urad=(_micro(a * right.position), _micro(b * left.position)),
            speed_urad_per_s=(_micro(a * right.velocity), _micro(b * left.velocity)),
            torque_mnm=(round(a * right.torque * 1e3), round(b * left.torque * 1e3)),
            temperature_decidegc=(_decidegree(right), _decidegree(left)),
            flags=int(flags),
        )


def open_can(url: str) -> CanStream:
    """Open ``can://INTERFACE/CHANNEL?model=AK80-9&right=1&left=2&right_sign=1&left_sign=-1``.

    Raises
    ------
    InputError
        The address cannot be read.
    """
    parts = urlsplit(url)
    interface, channel = parts.netloc, parts.path.strip("/")
    given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    known = {"model", "right", "left", "right_sign", "left_sign", "host"}
    if not interface or not channel or set(given) - known:
        raise InputError(
            f"'{url}' names no CAN bus. Write for instance "
            "can://socketcan/can0?model=AK80-9&right=1&left=2&right_sign=1&left_sign=-1."
        )
    try:
        drives = Drives(
            (int(given.get("right", 1)), int(given.get("left", 2))),
            given.get("model", "AK80-9"),
            (int(given.get("right_sign", 1)), int(given.get("left_sign", -1))),
            int(given.get("host", 0)),
        )
    except ValueError:
        raise InputError(f"'{url}' holds something else than whole numbers.") from None
    if set(map(abs, drives.signs)) != {1} or drives.numbers[0] == drives.numbers[1]:
        raise InputError(f"'{url}': signs are 1 or -1, and the drives have two numbers.")
    drive_range(drives.model)
    return CanStream(PythonCanBus(interface, channel), drives)


def _micro(value: float) -> int:
    return round(value * 1e6)


def _decidegree(reply: MitReply) -> int:
    return 250 if reply.temperature_c is None else 10 * reply.temperature_c
