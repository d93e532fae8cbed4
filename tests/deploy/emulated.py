"""The reference firmware on an emulated Cortex-M: one recorded stream in, a checksum out."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from osim_exo.deploy.device_core import DeviceCore, FirmwareSettings, Measurement
from tests.deploy.firmware import SOURCES

BOARDS = {"cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}

MEASUREMENT = struct.Struct("<10i2h2H")

LINKER = """
ENTRY(start)
MEMORY { code : ORIGIN = 0x00000000, LENGTH = 4M
         ram : ORIGIN = 0x20000000, LENGTH = 4M }
SECTIONS {
    .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > code
    .bss (NOLOAD) : { *(.data*) *(.bss*) *(COMMON) } > ram
    /DISCARD/ : { *(.ARM.exidx*) *(.comment) }
}
"""

MAIN = """
#include "exo_device.h"
#include "stream.h"
void start(void);
__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    0x20400000u, (uintptr_t)start, (uintptr_t)start, (uintptr_t)start};
static struct exo_device device;
static uint8_t out[EXO_OUT_LIMIT + 8];
static uint32_t sum;
static uintptr_t ask(uintptr_t number, uintptr_t argument)
{
    register uintptr_t r0 __asm__("r0") = number;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
static void add(const uint8_t *data, uint32_t length)
{
    sum ^= exo_crc32(data, length);
    sum = sum << 1 | sum >> 31;
}
void start(void)
{
    const uint8_t *at = STREAM;
    exo_device_init(&device, &SETTINGS);
    for (uint32_t step = 0; step < N_STEP; step++) {
        struct exo_measurement seen;
        const uint64_t now = exo_get_u64(at);
        const uint16_t length = exo_get_u16(at + 8);
        int32_t *words[] = {seen.angle_urad, seen.speed_urad_per_s, seen.thigh_urad,
                            seen.gyro_urad_per_s, seen.torque_mnm};
        at += 10;
        exo_device_receive(&device, at, length, now);
        at += length;
        for (int k = 0; k < 10; k++, at += 4) {
            words[k / 2][k % 2] = exo_get_i32(at);
        }
        seen.temperature_decidegc[0] = (int16_t)exo_get_u16(at);
        seen.temperature_decidegc[1] = (int16_t)exo_get_u16(at + 2);
        seen.battery_mv = exo_get_u16(at + 4);
        seen.flags = exo_get_u16(at + 6);
        at += 8;
        exo_device_tick(&device, now, &seen);
        if (step % 10 == 9) {
            exo_device_sample(&device, now, &seen);
        }
        exo_put_i32(exo_put_i32(out, device.torque_mnm[0]), device.torque_mnm[1]);
        add(out, 8);
        add(out, exo_device_take_output(&device, out));
    }
    for (int k = 0; k < 12; k++) {
        const char hex = "0123456789abcdef"[k < 4 ? 0 : sum >> 4 * (11 - k) & 15u];
        const volatile char letter = k < 4 ? "sum "[k] : hex;
        ask(0x03, (uintptr_t)&letter);
    }
    const volatile char end = '\\n';
    ask(0x03, (uintptr_t)&end);
    ask(0x18, 0x20026u);
    for (;;) {
    }
}
"""


@dataclass(frozen=True)
class Step:
    """What comes to the device in one step of its torque loop."""

    now_us: int
    data: bytes
    seen: Measurement


def checksum(settings: FirmwareSettings, steps: list[Step]) -> int:
    """The twin's torques and bytes over all steps, as the program above adds them up."""
    core, total = DeviceCore(settings), 0

    def add(data: bytes) -> None:
        nonlocal total
        total ^= zlib.crc32(data)
        total = (total << 1 | total >> 31) & 0xFFFFFFFF

    for number, step in enumerate(steps):
        core.receive(step.data, step.now_us)
        torque = core.tick(step.now_us, step.seen)
        if number % 10 == 9:
            core.sample(step.now_us, step.seen)
        add(struct.pack("<2i", *torque))
        add(core.take_output())
    return total


def run_emulated(folder: Path, core: str, settings: FirmwareSettings, steps: list[Step]) -> int:
    """The same checksum from the firmware, compiled for `core` and run on an emulated board."""
    compiler, emulator = shutil.which("arm-none-eabi-gcc"), shutil.which("qemu-system-arm")
    if compiler is None or emulator is None:
        pytest.skip("there is no compiler for Cortex-M or no emulator on this machine")
    _write_stream(folder / "stream.h", settings, steps)
    (folder / "main.c").write_text(MAIN)
    (folder / "board.ld").write_text(LINKER)
    program = folder / "firmware.elf"
    flags = f"-std=gnu99 -Os -mthumb -mcpu={core} -Wall -Wextra -ffreestanding -nostartfiles"
    include = ["-I", str(SOURCES), "-I", str(folder), "-T", str(folder / "board.ld")]
    sources = [folder / "main.c", SOURCES / "exo_device.c", SOURCES / "exo_protocol.c"]
    built = subprocess.run(
        [compiler, *flags.split(), *include, *map(str, sources), "-o", str(program)],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    board = ["-M", BOARDS[core], "-nographic", "-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    done = subprocess.run(
        [emulator, *board, *semihosting, "-kernel", str(program)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("sum "))
    return int(line.split()[1], 16)


def _write_stream(path: Path, settings: FirmwareSettings, steps: list[Step]) -> None:
    data = bytearray()
    for step in steps:
        seen = step.seen
        data += struct.pack("<QH", step.now_us, len(step.data)) + step.data
        data += MEASUREMENT.pack(
            *seen.angle_urad,
            *seen.speed_urad_per_s,
            *seen.thigh_urad,
            *seen.gyro_urad_per_s,
            *seen.torque_mnm,
            *seen.temperature_decidegc,
            seen.battery_mv,
            seen.flags,
        )
    values = ", ".join(map(str, settings.model_dump().values()))
    path.write_text(
        f"enum {{ N_STEP = {len(steps)} }};\n"
        f"static const struct exo_settings SETTINGS = {{{values}}};\n"
        f"static const uint8_t STREAM[] = {{{','.join(map(str, data))}}};\n"
    )
