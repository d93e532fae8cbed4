"""The reference firmware, compiled for this machine, with the interface of its Python twin."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from osim_exo.deploy.device_core import FirmwareSettings, Measurement
from osim_exo.deploy.packets import DeviceState

SOURCES = Path(__file__).resolve().parents[2] / "deploy" / "firmware"
STRICT = "-std=c99 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()


class Settings(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int32 if "angle" in name or "speed" in name else ctypes.c_uint32)
        for name in FirmwareSettings.model_fields
    ]


class Seen(ctypes.Structure):
    _fields_ = [
        ("angle_urad", ctypes.c_int32 * 2),
        ("speed_urad_per_s", ctypes.c_int32 * 2),
        ("thigh_urad", ctypes.c_int32 * 2),
        ("gyro_urad_per_s", ctypes.c_int32 * 2),
        ("torque_mnm", ctypes.c_int32 * 2),
        ("temperature_decidegc", ctypes.c_int16 * 2),
        ("battery_mv", ctypes.c_uint16),
        ("flags", ctypes.c_uint16),
    ]


def compiled(folder: Path) -> ctypes.CDLL:
    """The firmware as a library, with two functions that look into its state."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler on this machine")
    peek = folder / "peek.c"
    peek.write_text(
        '#include "exo_device.h"\n'
        "uint32_t peek_size(void) { return sizeof(struct exo_device); }\n"
        "void peek(const struct exo_device *d, int64_t *to)\n"
        "{\n"
        "    to[0] = d->state; to[1] = d->torque_mnm[0]; to[2] = d->torque_mnm[1];\n"
        "    to[3] = d->watchdog_trips; to[4] = d->decoder.good; to[5] = d->decoder.bad;\n"
        "    to[6] = d->session_refused; to[7] = d->sequence_refused;\n"
        "}\n"
    )
    library = folder / "firmware.so"
    sources = [*sorted(SOURCES.glob("exo_*.c")), peek]
    include = ["-I", str(SOURCES)]
    command = [compiler, *STRICT, "-Wno-missing-prototypes", "-shared", "-fPIC", *include]
    done = subprocess.run(
        [*command, *map(str, sources), "-o", str(library), "-lm"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


class Firmware:
    """As `osim_exo.deploy.device_core.DeviceCore`, in C."""

    def __init__(self, library: ctypes.CDLL, settings: FirmwareSettings | None = None) -> None:
        self.settings = settings or FirmwareSettings()
        self._c = library
        self._device = ctypes.create_string_buffer(library.peek_size())
        self._out = ctypes.create_string_buffer(1024)
        given = Settings(*self.settings.model_dump().values())
        library.exo_device_init(self._device, ctypes.byref(given))

    def receive(self, data: bytes, now_us: int) -> None:
        self._c.exo_device_receive(
            self._device, data, ctypes.c_uint32(len(data)), ctypes.c_uint64(now_us)
        )

    def tick(self, now_us: int, seen: Measurement) -> tuple[int, int]:
        self._c.exo_device_tick(self._device, ctypes.c_uint64(now_us), _seen(seen))
        look = self.look()
        return look[1], look[2]

    def sample(self, now_us: int, seen: Measurement) -> None:
        self._c.exo_device_sample(self._device, ctypes.c_uint64(now_us), _seen(seen))

    def take_output(self) -> bytes:
        length = self._c.exo_device_take_output(self._device, self._out)
        return self._out.raw[:length]

    def look(self) -> list[int]:
        """State, torques, watchdog trips, good and bad frames, refused sessions and numbers."""
        values = (ctypes.c_int64 * 8)()
        self._c.peek(self._device, values)
        return list(values)

    @property
    def state(self) -> DeviceState:
        return DeviceState(self.look()[0])


def _seen(seen: Measurement) -> ctypes.c_void_p:
    return ctypes.byref(
        Seen(
            seen.angle_urad,
            seen.speed_urad_per_s,
            seen.thigh_urad,
            seen.gyro_urad_per_s,
            seen.torque_mnm,
            seen.temperature_decidegc,
            seen.battery_mv,
            seen.flags,
        )
    )
