"""Frames of CubeMars drives in MIT mode: bytes to numbers and back, without a bus.

Facts of the public driver manual (AK series, V1.0.8, section 5.3): one standard frame of 8 bytes
per command, numbers as whole fractions of their ranges, the highest bits first; the drive answers
each command with its state. Positions and torques are at the output shaft.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from osim_exo.errors import DataError, InputError

ENTER, LEAVE, SET_ZERO = (bytes([0xFF] * 7 + [code]) for code in (0xFC, 0xFD, 0xFE))
"""Begin and end motor control; make the present position zero."""

POSITION_BITS, OTHER_BITS = 16, 12
LARGEST_KP, LARGEST_KD = 500.0, 5.0
REPLY_SIZES = (6, 8)
"""Bytes; drives of before 2021 send neither temperature nor error."""


@dataclass(frozen=True, slots=True)
class MitRange:
    """Ranges of a drive's numbers, symmetric about zero.

    Attributes
    ----------
    position : rad
    velocity : rad/s
    torque : Nm
    """

    position: float
    velocity: float
    torque: float


RANGES: dict[str, MitRange] = {
    "AK10-9": MitRange(12.5, 50.0, 65.0),
    "AK60-6": MitRange(12.5, 45.0, 15.0),
    "AK70-10": MitRange(12.5, 50.0, 25.0),
    "AK80-6": MitRange(12.5, 76.0, 12.0),
    "AK80-9": MitRange(12.5, 50.0, 18.0),
    "AK80-64": MitRange(12.5, 8.0, 144.0),
}
"""By the drive's name, as the manual lists them; newer firmware may have others."""


@dataclass(frozen=True, slots=True)
class MitCommand:
    """What a drive is to do: torque + kp (position - its own) + kd (velocity - its own).

    Attributes
    ----------
    torque : Nm
    position, velocity : rad, rad/s
    kp, kd : Nm/rad and Nm s/rad, not negative; with both zero the drive gives `torque` alone
    """

    torque: float = 0.0
    position: float = 0.0
    velocity: float = 0.0
    kp: float = 0.0
    kd: float = 0.0


@dataclass(frozen=True, slots=True)
class MitReply:
    """A drive's state.

    Attributes
    ----------
    drive : its number
    position, velocity, torque : rad, rad/s, Nm
    temperature_c : degrees Celsius, None where it is not sent
    error : code, 0 for none
    """

    drive: int
    position: float
    velocity: float
    torque: float
    temperature_c: int | None
    error: int


def drive_range(name: str) -> MitRange:
    """The range of a drive by its name.

    Raises
    ------
    InputError
        There is no such drive.
    """
    if name not in RANGES:
        raise InputError(f"Unknown drive '{name}'. Known: {', '.join(RANGES)}.")
    return RANGES[name]


def to_whole(value: float, low: float, high: float, bits: int) -> int:
    """A number as a fraction of its range in `bits`; clipped beyond the range, `low` for NaN."""
    bounded = low if math.isnan(value) else min(max(value, low), high)
    return int((bounded - low) * ((1 << bits) - 1) / (high - low) + 0.5)


def to_number(whole: int, low: float, high: float, bits: int) -> float:
    """The number that a fraction of its range stands for."""
    return low + whole * (high - low) / ((1 << bits) - 1)


def encode_command(command: MitCommand, r: MitRange) -> bytes:
    """The 8 bytes of a command."""
    p = to_whole(command.position, -r.position, r.position, POSITION_BITS)
    v = to_whole(command.velocity, -r.velocity, r.velocity, OTHER_BITS)
    kp = to_whole(command.kp, 0.0, LARGEST_KP, OTHER_BITS)
    kd = to_whole(command.kd, 0.0, LARGEST_KD, OTHER_BITS)
    t = to_whole(command.torque, -r.torque, r.torque, OTHER_BITS)
    return (p << 48 | v << 36 | kp << 24 | kd << 12 | t).to_bytes(8, "big")


def decode_command(data: bytes, r: MitRange) -> MitCommand | None:
    """The command of 8 bytes; None for `ENTER`, `LEAVE` and `SET_ZERO`.

    Raises
    ------
    DataError
        There are not 8 bytes.
    """
    if len(data) != 8:
        raise DataError(f"A command has 8 bytes; {len(data)} came.")
    if data in (ENTER, LEAVE, SET_ZERO):
        return None
    whole = int.from_bytes(data, "big")
    return MitCommand(
        torque=to_number(whole & 0xFFF, -r.torque, r.torque, OTHER_BITS),
        position=to_number(whole >> 48, -r.position, r.position, POSITION_BITS),
        velocity=to_number(whole >> 36 & 0xFFF, -r.velocity, r.velocity, OTHER_BITS),
        kp=to_number(whole >> 24 & 0xFFF, 0.0, LARGEST_KP, OTHER_BITS),
        kd=to_number(whole >> 12 & 0xFFF, 0.0, LARGEST_KD, OTHER_BITS),
    )


def encode_reply(reply: MitReply, r: MitRange) -> bytes:
    """The bytes of a drive's answer: 8, or 6 without a temperature."""
    p = to_whole(reply.position, -r.position, r.position, POSITION_BITS)
    v = to_whole(reply.velocity, -r.velocity, r.velocity, OTHER_BITS)
    t = to_whole(reply.torque, -r.torque, r.torque, OTHER_BITS)
    head = (reply.drive << 40 | p << 24 | v << 12 | t).to_bytes(6, "big")
    if reply.temperature_c is None:
        return head
    return head + bytes([reply.temperature_c & 0xFF, reply.error])


def decode_reply(data: bytes, r: MitRange) -> MitReply:
    """A drive's answer.

    Raises
    ------
    DataError
        It has neither 6 nor 8 bytes.
    """
    if len(data) not in REPLY_SIZES:
        raise DataError(f"A drive answers with 6 or 8 bytes; {len(data)} came.")
    whole = int.from_bytes(data[:6], "big")
    warm = len(data) == 8
    return MitReply(
        drive=data[0],
        position=to_number(whole >> 24 & 0xFFFF, -r.position, r.position, POSITION_BITS),
        velocity=to_number(whole >> 12 & 0xFFF, -r.velocity, r.velocity, OTHER_BITS),
        torque=to_number(whole & 0xFFF, -r.torque, r.torque, OTHER_BITS),
        temperature_c=data[6] if warm else None,
        error=data[7] if warm else 0,
    )
