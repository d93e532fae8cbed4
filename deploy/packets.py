"""What host and device say to each other: packets to bytes and back, without any input or output.

`docs/protocol.md` describes the format and holds test vectors. All numbers on the wire are
integers, so that no NaN can be sent; units stand in the names (``_mnm`` is 0.001 Nm, ``_urad``
1e-6 rad, ``_decidegc`` 0.1 degrees Celsius). Sides are ``_r`` and ``_l``, flexion is positive.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar

from osim_exo.errors import InputError, MissingExtraError

PROTOCOL_VERSION = 2
"""Version in every packet; a receiver refuses any other."""

HEADER = struct.Struct("<BBHIQ")
"""Version, kind, bytes in the body, sequence number, time of sending in microseconds."""

CRC = struct.Struct("<I")
"""CRC-32 (ISO-HDLC, the one of zlib) of header and body."""

MAX_FRAME = 96
"""Longest encoded frame without its delimiter, bytes; a longer run without a zero is garbage."""

SEQUENCE_MODULUS = 1 << 32


class DeviceState(IntEnum):
    """What the device is doing."""

    IDLE = 0
    ENABLED = 1
    FAULT = 2
    ESTOP = 3


class Flag(IntFlag):
    """What the device says of itself in every sensor sample."""

    TORQUE_ON = 1
    WATCHDOG = 2
    OVER_TEMPERATURE = 4
    LOW_BATTERY = 8
    ENCODER_FAULT = 16
    IMU_FAULT = 32
    ESTOP_BUTTON = 64
    LIMITED = 128
    DRIVE_FAULT = 256


class Enable(IntEnum):
    """What a torque command lets the device do."""

    OFF = 0
    COMMANDED = 1
    BY_ITSELF = 2


class StopReason(IntEnum):
    """Why the host stops the device: at the end, or in an emergency that stays latched."""

    END = 0
    EMERGENCY = 1


@dataclass(frozen=True, slots=True)
class Hello:
    """Host to device: a new session begins; torque off, sequence numbers start here."""

    session: int

    KIND: ClassVar[int] = 1
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """Device to host: the answer to `Hello`.

    ``controller_crc`` is the CRC-32 of the constants of the device's own controller, 0 without one.
    """

    session: int
    firmware_major: int
    firmware_minor: int
    firmware_patch: int
    n_joint: int
    serial_number: int
    period_us: int
    watchdog_us: int
    max_torque_mnm: int
    rate_limit_mnm_per_s: int
    power_limit_mw: int
    controller_crc: int

    KIND: ClassVar[int] = 2
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<I4B7I")


@dataclass(frozen=True, slots=True)
class Sensors:
    """Device to host, every period: what was measured at the packet's time."""

    hip_angle_r_urad: int
    hip_angle_l_urad: int
    hip_speed_r_urad_per_s: int
    hip_speed_l_urad_per_s: int
    thigh_angle_r_urad: int
    thigh_angle_l_urad: int
    thigh_gyro_r_urad_per_s: int
    thigh_gyro_l_urad_per_s: int
    torque_r_mnm: int
    torque_l_mnm: int
    temperature_r_decidegc: int
    temperature_l_decidegc: int
    battery_mv: int
    flags: int
    command_sequence: int
    state: int

    KIND: ClassVar[int] = 3
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<10i2h2HIB")


@dataclass(frozen=True, slots=True)
class TorqueCommand:
    """Host to device, every period: the torque to give, and the sample it was computed from.

    ``enable`` is one of `Enable`. With `Enable.OFF` the packet is the host's heartbeat; with
    `Enable.BY_ITSELF` the torques are the largest magnitudes that the device's own controller may
    give.
    """

    session: int
    torque_r_mnm: int
    torque_l_mnm: int
    enable: int
    sensor_sequence: int

    KIND: ClassVar[int] = 4
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<I2iBI")


@dataclass(frozen=True, slots=True)
class Status:
    """Device to host, now and then: state and counters since power-on."""

    state: int
    frames_good: int
    frames_bad: int
    sequence_refused: int
    session_refused: int
    watchdog_trips: int

    KIND: ClassVar[int] = 5
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<B5I")


@dataclass(frozen=True, slots=True)
class Fault:
    """Device to host, at once: torque went off because of `flag`; `detail` is its measure."""

    flag: int
    detail: int

    KIND: ClassVar[int] = 6
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<Hi")


@dataclass(frozen=True, slots=True)
class Stop:
    """Host to device: torque off now. Obeyed in any session and with any sequence number."""

    reason: int

    KIND: ClassVar[int] = 7
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<B")


@dataclass(frozen=True, slots=True)
class ClearFault:
    """Host to device: a latched fault may go, if its cause has gone. Never clears an ESTOP."""

    session: int

    KIND: ClassVar[int] = 8
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<I")


Body = Hello | DeviceFacts | Sensors | TorqueCommand | Status | Fault | Stop | ClearFault

TO_DEVICE: tuple[type[Body], ...] = (Hello, TorqueCommand, Stop, ClearFault)
TO_HOST: tuple[type[Body], ...] = (DeviceFacts, Sensors, Status, Fault)

BODIES: dict[int, type[Body]] = {kind.KIND: kind for kind in TO_DEVICE + TO_HOST}

_VALUES: dict[int, Callable[[Any], Any]] = {
    kind.KIND: attrgetter(*(field.name for field in fields(kind))) for kind in BODIES.values()
}


@dataclass(frozen=True, slots=True)
class Packet:
    """A body with its sequence number and the sender's clock when it was made, in us."""

    sequence: int
    time_us: int
    body: Body


class Flaw(IntEnum):
    """Why bytes between two delimiters are no packet."""

    FRAMING = 1
    CRC = 2
    LENGTH = 3
    VERSION = 4
    KIND = 5


@cache
def _codec() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes], type[Exception]]:
    """Encoder, decoder and error of the library cobs, which the base install lacks."""
    try:
        from cobs import cobs
    except ImportError:
        raise MissingExtraError("cobs", "deploy") from None
    return cobs.encode, cobs.decode, cobs.DecodeError


def frame(content: bytes) -> bytes:
    """`content` with its CRC, COBS-encoded, with the delimiter: bytes without a zero, then one."""
    return _codec()[0](content + CRC.pack(zlib.crc32(content))) + b"\0"


def unframe(framed: bytes) -> bytes | Flaw:
    """Content of a frame without its delimiter, or what is wrong with it."""
    _, decode, error = _codec()
    try:
        raw = decode(framed)
    except error:
        return Flaw.FRAMING
    if len(raw) < CRC.size:
        return Flaw.LENGTH
    content = raw[: -CRC.size]
    if CRC.unpack_from(raw, len(content))[0] != zlib.crc32(content):
        return Flaw.CRC
    return content


def to_content(packet: Packet) -> bytes:
    """Header and body of a packet.

    Raises
    ------
    InputError
        A field does not fit its integer on the wire.
    """
    body = packet.body
    values = _VALUES[body.KIND](body)
    try:
        header = HEADER.pack(
            PROTOCOL_VERSION, body.KIND, body.LAYOUT.size, packet.sequence, packet.time_us
        )
        # attrgetter gives the bare value where there is one field only.
        data = body.LAYOUT.pack(*values) if isinstance(values, tuple) else body.LAYOUT.pack(values)
    except struct.error as error:
        raise InputError(
            f"{packet} does not fit its packet: {error}. Give integers within the range that "
            "docs/protocol.md lists for each field."
        ) from None
    return header + data


def from_content(content: bytes) -> Packet | Flaw:
    """The packet that `content` holds, or what is wrong with it."""
    if len(content) < HEADER.size:
        return Flaw.LENGTH
    version, kind, length, sequence, time_us = HEADER.unpack_from(content)
    if version != PROTOCOL_VERSION:
        return Flaw.VERSION
    body = BODIES.get(kind)
    if body is None:
        return Flaw.KIND
    if length != body.LAYOUT.size or len(content) != HEADER.size + length:
        return Flaw.LENGTH
    return Packet(sequence, time_us, body(*body.LAYOUT.unpack_from(content, HEADER.size)))


def encode(packet: Packet) -> bytes:
    """A packet as the bytes that go over the line, delimiter included."""
    return frame(to_content(packet))


class Decoder:
    """Packets from a stream of bytes that may hold anything.

    After garbage it is in step again at the next zero byte. It keeps at most `MAX_FRAME` bytes.

    Parameters
    ----------
    accepts : kinds of packets that this end receives; others count as flaws
    """

    def __init__(self, accepts: Iterable[type[Body]]) -> None:
        self._accepts = frozenset(kind.KIND for kind in accepts)
        self._rest = b""
        self._skipping = False
        self.good = 0
        self.flaws: dict[Flaw, int] = dict.fromkeys(Flaw, 0)

    @property
    def bad(self) -> int:
        """Number of pieces that were no packet."""
        return sum(self.flaws.values())

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Packet]:
        """Take in bytes and return the packets that they complete, oldest first."""
        found: list[Packet] = []
        *complete, rest = (self._rest + data).split(b"\0")
        for piece in complete:
            if self._skipping:
                self._skipping = False
            elif piece:
                self._take(piece, found)
        if len(rest) > MAX_FRAME:
            if not self._skipping:
                self.flaws[Flaw.LENGTH] += 1
            self._skipping, rest = True, b""
        elif self._skipping:
            rest = b""
        self._rest = rest
        return found

    def _take(self, piece: bytes, found: list[Packet]) -> None:
        content = Flaw.LENGTH if len(piece) > MAX_FRAME else unframe(piece)
        packet = content if isinstance(content, Flaw) else from_content(content)
        if isinstance(packet, Packet) and packet.body.KIND not in self._accepts:
            packet = Flaw.KIND
        if isinstance(packet, Flaw):
            self.flaws[packet] += 1
            return
        self.good += 1
        found.append(packet)
