"""What can go wrong with a virtual exo, by a script: a JSON list of disturbances with their times.

``[{"what": "corrupt", "at_s": 10, "for_s": 2, "amount": 0.3}, ...]``
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from osim_exo.config import Config
from osim_exo.deploy.device_core import Measurement
from osim_exo.deploy.packets import Flag
from osim_exo.errors import DataError
from osim_exo.files import read_json

What = Literal[
    "corrupt",
    "truncate",
    "garbage",
    "drop",
    "duplicate",
    "reorder",
    "silence",
    "deaf",
    "delay",
    "freeze",
    "stuck",
    "spike",
    "offset",
    "still",
    "clock_jump",
    "reboot",
    "hot",
    "low_battery",
    "encoder_fault",
    "imu_fault",
    "drive_fault",
    "drive_weak",
    "estop_button",
]


class Disturbance(Config):
    """One thing that goes wrong for a while.

    ``amount`` means: for corrupt, truncate, garbage, drop, duplicate and reorder the share of the
    frames that are hit; for delay and clock_jump seconds; for spike and offset rad; it is of no
    meaning for the others. ``spike`` shakes the right angle to and fro, ``offset`` shifts it,
    ``stuck`` and ``still`` hold the right encoder, and encoder, speed and gyroscope.
    """

    what: What = Field(description="kind of disturbance")
    at_s: float = Field(ge=0.0, description="device's time of its beginning, s")
    for_s: float = Field(default=1e9, gt=0.0, description="how long, s")
    amount: float = Field(default=1.0, description="share, s or rad; see the class")

    def lasts(self, time: float) -> bool:
        """It is there at `time`, s."""
        return self.at_s <= time < self.at_s + self.for_s


def read_script(path: Path) -> tuple[Disturbance, ...]:
    """Disturbances from a JSON file."""
    content = read_json(path)
    if not isinstance(content, list):
        raise DataError(f"'{path}' must hold a JSON list of disturbances; see --help of virtual.")
    return tuple(Disturbance.model_validate(entry) for entry in content)


FLAGS: dict[What, Flag] = {
    "hot": Flag.OVER_TEMPERATURE,
    "low_battery": Flag.LOW_BATTERY,
    "encoder_fault": Flag.ENCODER_FAULT,
    "imu_fault": Flag.IMU_FAULT,
    "drive_fault": Flag.DRIVE_FAULT,
    "estop_button": Flag.ESTOP_BUTTON,
}


class Disturber:
    """Applies a script to what a virtual exo measures and sends.

    Parameters
    ----------
    script : disturbances
    seed : of the chances
    """

    def __init__(self, script: Sequence[Disturbance] = (), seed: int = 0) -> None:
        self._script = tuple(script)
        self._random = random.Random(seed)
        self._held: Measurement | None = None
        self._waiting: bytes | None = None
        self._fired: set[int] = set()

    def active(self, what: What, time: float) -> Disturbance | None:
        """The first disturbance of that kind that is there at `time` (s), or None."""
        for entry in self._script:
            if entry.what == what and entry.lasts(time):
                return entry
        return None

    def once(self, what: What, time: float) -> Disturbance | None:
        """As `active`, but each entry is given one time only."""
        for place, entry in enumerate(self._script):
            if entry.what == what and entry.lasts(time) and place not in self._fired:
                self._fired.add(place)
                return entry
        return None

    def measured(self, seen: Measurement, time: float) -> Measurement:
        """What the sensors read instead at `time`, s."""
        if not self._script:
            return seen
        for what, flag in FLAGS.items():
            if self.active(what, time):
                seen = replace(seen, flags=seen.flags | flag)
        seen = self._shifted(seen, time)
        held = self._held or seen
        if self.active("freeze", time):
            self._held = held
            return replace(held, torque_mnm=seen.torque_mnm, flags=seen.flags)
        if self.active("stuck", time) or self.active("still", time):
            self._held = held
            seen = replace(seen, angle_urad=(held.angle_urad[0], seen.angle_urad[1]))
            if self.active("still", time):
                seen = replace(
                    seen,
                    speed_urad_per_s=(0, seen.speed_urad_per_s[1]),
                    gyro_urad_per_s=(self._random.randrange(-999, 999), seen.gyro_urad_per_s[1]),
                )
            return seen
        self._held = None
        return seen

    def _shifted(self, seen: Measurement, time: float) -> Measurement:
        right, left = seen.angle_urad
        if (spike := self.active("spike", time)) is not None:
            right += int(spike.amount * 1e6) * self._random.choice((-1, 1))
        if (offset := self.active("offset", time)) is not None:
            right += int(offset.amount * 1e6)
        return replace(seen, angle_urad=(right, left))

    def sent(self, data: bytes, time: float) -> bytes:
        """The bytes that come through of frames sent at `time`, s."""
        if not self._script:
            return data
        if self.active("silence", time):
            return b""
        out = bytearray()
        for piece in data.split(b"\0")[:-1]:
            frame = piece + b"\0"
            for what, spoil in self._spoilers().items():
                entry = self.active(what, time)
                if entry is not None and self._random.random() < entry.amount:
                    frame = spoil(frame)
            out += frame
        return bytes(out)

    def _spoilers(self) -> dict[What, Callable[[bytes], bytes]]:
        return {
            "corrupt": self._corrupt,
            "truncate": self._truncate,
            "garbage": lambda frame: self._random.randbytes(self._random.randrange(1, 80)) + frame,
            "drop": lambda _: b"",
            "duplicate": lambda frame: frame + frame,
            "reorder": self._reorder,
        }

    def _corrupt(self, frame: bytes) -> bytes:
        spoilt = bytearray(frame)
        if spoilt:
            spoilt[self._random.randrange(len(spoilt))] ^= 1 << self._random.randrange(8)
        return bytes(spoilt)

    def _truncate(self, frame: bytes) -> bytes:
        return frame[: self._random.randrange(len(frame))] if frame else frame

    def _reorder(self, frame: bytes) -> bytes:
        """Keep a frame back until the next one has gone."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            return frame + waiting
        self._waiting = frame
        return b""
