"""The firmware with its policy on an emulated Cortex-M, as the core of a virtual exo.

Compiled with the Arm compiler and run by QEMU; the board's serial port carries sensors, drives and
the host's line in lock step. Emulation tells that the code works there and how many instructions it
takes, not how long: no caches, flash or cycles are modelled.
"""

from __future__ import annotations

import queue
import shutil
import struct
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from osim_exo.deploy.device_core import FirmwareSettings, Measurement
from osim_exo.deploy.host_c import MissingToolError, firmware_folder, measured
from osim_exo.deploy.packets import DeviceState, Flaw, frame, unframe
from osim_exo.errors import DataError, OsimExoError

Core = Literal["cortex-m4", "cortex-m7"]

BOARDS: dict[Core, str] = {"cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}
FLOATS: dict[Core, str] = {"cortex-m4": "fpv4-sp-d16", "cortex-m7": "fpv5-sp-d16"}

COMPILER, EMULATOR, SIZE = "arm-none-eabi-gcc", "qemu-system-arm", "arm-none-eabi-size"

FLAGS = "-std=gnu99 -O2 -mthumb -mfloat-abi=hard -Wall -Wextra -Werror -Wdouble-promotion"
FLAGS += " -ffunction-sections -fdata-sections -nostartfiles -Wl,--gc-sections"

BEGIN, TICK, SAMPLE, RUN = range(1, 5)
CHUNK = 1024
"""Bytes of the host's line in one request; a faster host has to wait."""

INSTRUCTIONS_PER_TICK = 40
"""With one instruction per simulated nanosecond and the boards' timer at 25 MHz."""

PATIENCE = 20.0
"""s; longer without an answer, the emulated program hangs."""


class EmulatorError(OsimExoError):
    """The emulated firmware does not answer, or does not pass its self-test."""


def missing_tools() -> list[str]:
    """Programs that emulation needs and this machine lacks."""
    return [name for name in (COMPILER, EMULATOR) if shutil.which(name) is None]


@dataclass(frozen=True)
class Program:
    """Firmware for a board.

    Attributes
    ----------
    path : of the program
    core : Core
    flash_bytes, ram_bytes : of code with constants, and of static memory; without stack
    """

    path: Path
    core: Core
    flash_bytes: int
    ram_bytes: int


def build_program(folder: Path, core: Core, work: Path) -> Program:
    """Compile an exported policy with the firmware for an emulated board.

    Parameters
    ----------
    folder : of the export
    core : Core
    work : where the program goes

    Raises
    ------
    MissingToolError
        There is no compiler for Cortex-M.
    DataError
        The compiler refuses the sources.
    """
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise MissingToolError(f"{COMPILER} is not installed; it compiles for Cortex-M.")
    firmware, path = firmware_folder(), work / f"{core}.elf"
    flags = [*FLAGS.split(), f"-mcpu={core}", f"-mfpu={FLOATS[core]}"]
    include = ["-I", str(folder), "-T", str(firmware / "board_mps2.ld")]
    sources = [*sorted(folder.glob("exo_*.c")), firmware / "board_mps2.c"]
    command = [compiler, *flags, *include, *map(str, sources), "-o", str(path), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise DataError(f"The Arm compiler refuses the firmware: {done.stderr.strip()[:2000]}")
    flash, ram = _sizes(path)
    return Program(path, core, flash, ram)


def _sizes(path: Path) -> tuple[int, int]:
    size = shutil.which(SIZE)
    if size is None:
        return 0, 0
    listed = subprocess.run([size, str(path)], capture_output=True, text=True, check=True)
    text, data, bss = map(int, listed.stdout.splitlines()[1].split()[:3])
    return text + data, data + bss


class EmulatedDevice:
    """The whole firmware on an emulated board, as `osim_exo.deploy.device_core.DeviceCore`.

    Parameters
    ----------
    program : Program
    settings : FirmwareSettings
    mass : body mass for the policy, kg
    count : let one instruction take one simulated nanosecond, so that instructions can be counted

    Attributes
    ----------
    crc : CRC-32 of the policy's constants

    Raises
    ------
    MissingToolError
        There is no emulator.
    EmulatorError
        The program does not answer, or its self-test fails.
    """

    def __init__(
        self,
        program: Program,
        settings: FirmwareSettings | None = None,
        mass: float = 75.0,
        count: bool = False,
    ) -> None:
        emulator = shutil.which(EMULATOR)
        if emulator is None:
            raise MissingToolError(f"{EMULATOR} is not installed; it emulates the microcontroller.")
        self.settings = settings or FirmwareSettings()
        command = [emulator, "-M", BOARDS[program.core], "-display", "none", "-monitor", "none"]
        command += ["-serial", "stdio", "-kernel", str(program.path)]
        command += ["-icount", "shift=0"] if count else []
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0
        )
        self._heard, self._out = b"", b""
        self._frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._state = DeviceState.IDLE
        words = [value & 0xFFFFFFFF for value in self.settings.model_dump().values()]
        try:
            result, self.crc = struct.unpack(
                "<BI", self._ask(BEGIN, struct.pack("<12If", *words, mass))
            )
            if result != 0:
                raise EmulatorError(f"The policy's self-test fails on the device: {result}.")
        except BaseException:
            self.close()
            raise

    def receive(self, data: bytes, now_us: int) -> None:
        """Bytes from the line; they reach the board with its next step."""
        self._heard += data

    def tick(self, now_us: int, seen: Measurement) -> tuple[int, int]:
        """One step of the torque loop; torque for the drives, 0.001 Nm."""
        heard, self._heard = self._heard[:CHUNK], self._heard[CHUNK:]
        reply = self._ask(TICK, struct.pack("<Q", now_us) + bytes(measured(seen)) + heard)
        state, right, left = struct.unpack_from("<B2i", reply)
        self._state = DeviceState(state)
        self._out += reply[9:]
        return right, left

    def sample(self, now_us: int, seen: Measurement) -> None:
        """Send a sensor sample."""
        self._out += self._ask(SAMPLE, struct.pack("<Q", now_us) + bytes(measured(seen)))

    def take_output(self) -> bytes:
        """Bytes for the line."""
        data, self._out = self._out, b""
        return data

    @property
    def state(self) -> DeviceState:
        """What the device is doing, as of its last step."""
        return self._state

    def instructions(self, repeats: int = 20) -> float:
        """Instructions of one run of the network; needs ``count=True``."""
        (ticks,) = struct.unpack("<I", self._ask(RUN, struct.pack("<I", repeats)))
        return float(ticks) * INSTRUCTIONS_PER_TICK / repeats

    def close(self) -> None:
        """Switch the board off."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _ask(self, kind: int, body: bytes) -> bytes:
        """One request and its answer, without the kind."""
        stream = self._process.stdin
        if stream is None:
            raise EmulatorError("The emulator has no input.")
        try:
            stream.write(frame(bytes([kind]) + body))
        except OSError as error:
            raise EmulatorError(f"The emulator has gone: {error}.") from None
        content = unframe(self._next())
        if isinstance(content, Flaw) or content[:1] != bytes([kind]):
            raise EmulatorError(f"The emulated firmware answers with {content!r}.")
        return content[1:]

    def _listen(self) -> None:
        """Take in frames as they come; a thread, since not every system can wait for a pipe."""
        stream, rest = self._process.stdout, b""
        while stream is not None:
            try:
                data = stream.read(4096)
            except (OSError, ValueError):
                data = b""
            if not data:
                # An empty frame says that the emulator has ended.
                self._frames.put(b"")
                return
            *frames, rest = (rest + data).split(b"\0")
            for piece in frames:
                self._frames.put(piece)

    def _next(self) -> bytes:
        """The next frame, without its zero."""
        try:
            piece = self._frames.get(timeout=PATIENCE)
        except queue.Empty:
            piece = b""
        if not piece:
            raise EmulatorError(
                f"The emulated firmware did not answer within {PATIENCE:g} s, or the emulator "
                f"ended. Is {EMULATOR} able to run {' and '.join(BOARDS.values())}?"
            )
        return piece
