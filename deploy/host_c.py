"""Exported C on this machine: compiled and called, for checks, benchmarks and the virtual exo."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from osim_exo.deploy.device_core import FirmwareSettings, Measurement
from osim_exo.deploy.packets import DeviceState
from osim_exo.errors import DataError, OsimExoError

Float32 = npt.NDArray[np.float32]
Floats = ctypes.POINTER(ctypes.c_float)

FLAGS = "-std=c99 -O3 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()
COMPILERS = ("cc", "gcc", "clang")


class MissingToolError(OsimExoError):
    """A program of the system that is needed is not installed."""


def firmware_folder() -> Path:
    """Where the firmware's sources lie."""
    return Path(str(files("osim_exo.deploy"))) / "firmware"


def firmware_sources() -> list[Path]:
    """The portable sources, without those of a board."""
    return sorted(firmware_folder().glob("exo_*.c"))


def host_compiler() -> str | None:
    """A C compiler of this machine."""
    return next((path for name in COMPILERS if (path := shutil.which(name))), None)


def build_library(folder: Path, work: Path) -> ctypes.CDLL:
    """Compile an exported policy with the firmware as a library.

    Parameters
    ----------
    folder : of the export: the policy's constants and the firmware that they were written for
    work : where the library goes

    Raises
    ------
    MissingToolError
        There is no C compiler.
    DataError
        The compiler refuses the sources.
    """
    compiler = host_compiler()
    if compiler is None:
        raise MissingToolError(
            f"There is no C compiler on this machine ({', '.join(COMPILERS)} were looked for). "
            "Install one to compile the exported policy here."
        )
    shim, own = work / "host_shim.c", sorted(folder.glob("exo_*.c"))
    shim.write_text(SHIM, encoding="ascii")
    # A name of its own: the system does not load a second library of the same name.
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in own)).hexdigest()
    library = work / f"policy_{digest[:16]}.so"
    sources = [str(path) for path in (*own, shim)]
    flags = [*FLAGS, "-shared", "-fPIC", "-I", str(folder)]
    command = [compiler, *flags, *sources, "-o", str(library), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise DataError(f"The C compiler refuses the exported policy: {done.stderr.strip()[:2000]}")
    return ctypes.CDLL(str(library))


class HostPolicy:
    """An exported policy, compiled for this machine.

    Parameters
    ----------
    library : of `build_library`
    mass : body mass, kg
    """

    def __init__(self, library: ctypes.CDLL, mass: float = 75.0) -> None:
        self._c, self._out = library, (ctypes.c_float * 2)()
        library.shim_novelty.restype = ctypes.c_float
        self.begin(mass)

    def begin(self, mass: float) -> None:
        """Forget what was read; body mass in kg."""
        self._c.shim_begin(ctypes.c_float(mass))

    def run(self, windows: Float32) -> tuple[Float32, list[bool]]:
        """Outputs of the network, (n, 2), and whether each was finite, for (n, n_input) windows."""
        outputs = np.empty((len(windows), 2), dtype=np.float32)
        sound = []
        for row, out in zip(np.ascontiguousarray(windows, dtype=np.float32), outputs):
            sound.append(bool(self._c.shim_run(_floats(row), _floats(out))))
        return outputs, sound

    def commands(self, outputs: Float32) -> Float32:
        """Commands for (n, 2) outputs, right then left."""
        commands = np.empty((len(outputs), 2), dtype=np.float32)
        for row, out in zip(np.ascontiguousarray(outputs, dtype=np.float32), commands):
            self._c.shim_commands(_floats(row), _floats(out))
        return commands

    def step(self, channels: Float32) -> tuple[float, float]:
        """Torque in Nm for one period's readings, (10,) in the order of enum exo_channel."""
        given = np.ascontiguousarray(channels, dtype=np.float32)
        self._c.shim_step(_floats(given), self._out)
        return self._out[0], self._out[1]

    def time(self, window: Float32, repeats: int) -> float:
        """A number that depends on `repeats` runs of the network; for measuring their time."""
        self._c.shim_repeat.restype = ctypes.c_float
        return float(self._c.shim_repeat(_floats(window), ctypes.c_uint32(repeats)))

    def self_test(self) -> int:
        """0 sound, 1 weights changed, 2 other outputs than when it was exported."""
        return int(self._c.shim_self_test())


class HostDevice:
    """The whole firmware with its policy, as `osim_exo.deploy.device_core.DeviceCore`.

    Parameters
    ----------
    library : of `build_library`
    settings : FirmwareSettings
    mass : body mass for the policy, kg
    """

    def __init__(
        self, library: ctypes.CDLL, settings: FirmwareSettings | None = None, mass: float = 75.0
    ) -> None:
        self.settings = settings or FirmwareSettings()
        self._c = library
        self._look = (ctypes.c_int32 * 3)()
        self._out = ctypes.create_string_buffer(1024)
        given = (ctypes.c_int64 * 12)(*self.settings.model_dump().values())
        library.shim_device(given, ctypes.c_float(mass))

    def receive(self, data: bytes, now_us: int) -> None:
        """Bytes from the line."""
        self._c.shim_receive(data, ctypes.c_uint32(len(data)), ctypes.c_uint64(now_us))

    def tick(self, now_us: int, seen: Measurement) -> tuple[int, int]:
        """One step of the torque loop; torque for the drives, 0.001 Nm."""
        self._c.shim_tick(ctypes.c_uint64(now_us), measured(seen), self._look)
        return self._look[1], self._look[2]

    def sample(self, now_us: int, seen: Measurement) -> None:
        """Send a sensor sample."""
        self._c.shim_sample(ctypes.c_uint64(now_us), measured(seen))

    def take_output(self) -> bytes:
        """Bytes for the line."""
        length = self._c.shim_output(self._out)
        return self._out.raw[:length]

    @property
    def state(self) -> DeviceState:
        """What the device is doing."""
        return DeviceState(self._look[0])


def measured(seen: Measurement) -> ctypes.Array[ctypes.c_int32]:
    """A measurement as a row of numbers, in the order of struct exo_measurement."""
    pairs = (
        seen.angle_urad,
        seen.speed_urad_per_s,
        seen.thigh_urad,
        seen.gyro_urad_per_s,
        seen.torque_mnm,
        seen.temperature_decidegc,
    )
    values = [value for pair in pairs for value in pair]
    return (ctypes.c_int32 * 14)(*values, seen.battery_mv, seen.flags)


def _floats(values: Float32) -> ctypes._Pointer[ctypes.c_float]:
    return values.ctypes.data_as(Floats)


SHIM = """
#include "exo_policy_data.h"

int shim_run(const float *window, float *output);
void shim_commands(const float *output, float *command);
void shim_begin(float mass);
int shim_step(const float *channels, float *torque);
int shim_self_test(void);
float shim_novelty(const float *window);
float shim_repeat(const float *window, uint32_t repeats);
void shim_device(const int64_t *given, float mass);
void shim_receive(const uint8_t *data, uint32_t length, uint64_t now_us);
void shim_tick(uint64_t now_us, const int32_t *row, int32_t *look);
void shim_sample(uint64_t now_us, const int32_t *row);
int shim_output(uint8_t *to);

static struct exo_policy policy;
static struct exo_device device;

int shim_run(const float *window, float *output)
{
    return exo_network_run(&EXO_POLICY_DATA.network, window, output);
}

void shim_commands(const float *output, float *command)
{
    exo_policy_commands(&EXO_POLICY_DATA, output, command);
}

void shim_begin(float mass) { exo_policy_init(&policy, &EXO_POLICY_DATA, mass); }

int shim_step(const float *channels, float *torque)
{
    return exo_policy_step(&policy, channels, torque);
}

int shim_self_test(void) { return (int)exo_policy_self_test(&EXO_POLICY_DATA); }

float shim_novelty(const float *window)
{
    return exo_network_novelty(&EXO_POLICY_DATA.network, window);
}

float shim_repeat(const float *window, uint32_t repeats)
{
    float output[2], sum = 0.0f;
    for (uint32_t i = 0; i < repeats; i++) {
        exo_network_run(&EXO_POLICY_DATA.network, window, output);
        sum += output[0];
    }
    return sum;
}

void shim_device(const int64_t *given, float mass)
{
    const struct exo_settings settings = {
        (uint32_t)given[0], (uint32_t)given[1], (uint32_t)given[2], (uint32_t)given[3],
        (uint32_t)given[4], (uint32_t)given[5], (uint32_t)given[6], (int32_t)given[7],
        (int32_t)given[8],  (int32_t)given[9],  (int32_t)given[10], (int32_t)given[11]};
    exo_device_init(&device, &settings);
    exo_policy_init(&policy, &EXO_POLICY_DATA, mass);
    exo_device_attach(&device, exo_policy_control, &policy, EXO_POLICY_CRC);
}

static struct exo_measurement measurement(const int32_t *row)
{
    struct exo_measurement seen;
    int32_t *pairs[] = {seen.angle_urad, seen.speed_urad_per_s, seen.thigh_urad,
                        seen.gyro_urad_per_s, seen.torque_mnm};
    for (int k = 0; k < 10; k++) {
        pairs[k / 2][k % 2] = row[k];
    }
    seen.temperature_decidegc[0] = (int16_t)row[10];
    seen.temperature_decidegc[1] = (int16_t)row[11];
    seen.battery_mv = (uint16_t)row[12];
    seen.flags = (uint16_t)row[13];
    return seen;
}

void shim_receive(const uint8_t *data, uint32_t length, uint64_t now_us)
{
    exo_device_receive(&device, data, length, now_us);
}

void shim_tick(uint64_t now_us, const int32_t *row, int32_t *look)
{
    const struct exo_measurement seen = measurement(row);
    exo_device_tick(&device, now_us, &seen);
    look[0] = device.state;
    look[1] = device.torque_mnm[0];
    look[2] = device.torque_mnm[1];
}

void shim_sample(uint64_t now_us, const int32_t *row)
{
    const struct exo_measurement seen = measurement(row);
    exo_device_sample(&device, now_us, &seen);
}

int shim_output(uint8_t *to) { return exo_device_take_output(&device, to); }
"""
