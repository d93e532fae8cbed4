"""The C firmware and its Python twin give the same bytes and the same torque, whatever comes."""

import ctypes
import random
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from osim_exo.deploy.device_core import DeviceCore, FirmwareSettings, Measurement
from osim_exo.deploy.packets import (
    ClearFault,
    DeviceState,
    Flag,
    Hello,
    Packet,
    Stop,
    TorqueCommand,
    encode,
)
from osim_exo.deploy.states import State
from tests.deploy.device import Bench, settings
from tests.deploy.emulated import BOARDS, Step, checksum, run_emulated
from tests.deploy.firmware import SOURCES, Firmware, compiled
from tests.deploy.test_packets import vectors

cobs = pytest.importorskip("cobs.cobs", reason="the extra deploy is not installed")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compiled(tmp_path_factory.mktemp("firmware"))


class Host:
    """Sends all sorts of things, most of them nearly right."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.sequence = self.draw.randrange(2**32)
        self.session = 0

    def bytes(self) -> bytes:
        draw, roll = self.draw, self.draw.random()
        self.sequence = (self.sequence + 1) % 2**32
        if self.session == 0 or roll < 0.02:
            self.session = draw.choice([0, 1, 77, 2**32 - 1])
            body = Hello(self.session)
        elif roll < 0.025:
            body = Stop(draw.choice([0, 0, 0, 0, 0, 0, 0, 1]))
        elif roll < 0.06:
            body = ClearFault(self.session)
        elif roll < 0.08:
            return draw.randbytes(draw.randrange(200))
        elif roll < 0.12:
            return b""
        else:
            wide = draw.choice([5_000, 20_000, 2**31 - 1])
            session = self.session if draw.random() < 0.97 else draw.randrange(2**32)
            enable = draw.choice([1] * 20 + [0, 2, 3])
            torque = draw.randrange(-wide, wide), draw.randrange(-wide, wide)
            body = TorqueCommand(session, *torque, enable, 0)
        number = self.sequence
        if draw.random() < 0.05:
            number = (number + draw.choice([-3, -1, 0, 5, 99, 101, 2**31])) % 2**32
        data = bytearray(encode(Packet(number, draw.randrange(2**64), body)))
        spoil = draw.random()
        if spoil < 0.03:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        elif spoil < 0.05:
            del data[draw.randrange(len(data)) :]
        elif spoil < 0.06:
            data = data * 2
        return bytes(data)

    def seen(self) -> Measurement:
        draw = self.draw
        wild = draw.random() < 0.1

        def pair(size: int) -> tuple[int, int]:
            edge = 2**31 - 1 if wild else size
            return draw.randrange(-edge, edge), draw.randrange(-edge, edge)

        flag = draw.choice(list(Flag)) if draw.random() < 0.003 else 0
        if flag in (Flag.ESTOP_BUTTON, Flag.TORQUE_ON, Flag.LIMITED) and draw.random() < 0.9:
            flag = 0
        return Measurement(
            pair(2_000_000),
            pair(13_000_000),
            pair(2_000_000),
            pair(13_000_000),
            pair(20_000),
            (draw.randrange(-(2**15), 2**15), 300),
            draw.randrange(2**16),
            int(flag),
        )


def compare(library: ctypes.CDLL, seed: int, steps: int) -> set[DeviceState]:
    """Run both on one stream; the states that were met."""
    host = Host(seed)
    limits = FirmwareSettings(power_limit_mw=40_000, tick_us=host.draw.choice([500, 1000, 2000]))
    ours, theirs = DeviceCore(limits), Firmware(library, limits)
    now, met = 0, set()
    for step in range(steps):
        now += host.draw.choice([1000] * 50 + [0, 26_000, 40_000])
        if step % 10 == 0:
            data = host.bytes()
            ours.receive(data, now)
            theirs.receive(data, now)
        seen = host.seen()
        assert ours.tick(now, seen) == theirs.tick(now, seen)
        if step % 10 == 9:
            ours.sample(now, seen)
            theirs.sample(now, seen)
        if host.draw.random() < 0.05:
            assert ours.take_output() == theirs.take_output()
        met.add(ours.state)
        assert ours.state == theirs.state
    counts = [ours.watchdog_trips, ours._decoder.good, ours._decoder.bad]
    counts += [ours.session_refused, ours.sequence_refused]
    assert theirs.look()[3:] == counts
    assert ours.take_output() == theirs.take_output()
    return met


def test_firmware_compiles_without_a_warning_and_uses_no_heap(library):
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(SOURCES.glob("exo_*")))
    assert not re.search(r"\b(malloc|calloc|realloc|free|alloca)\s*\(", text)
    assert set(re.findall(r"#include <(.*)>", text)) == {
        "math.h",
        "stdbool.h",
        "stdint.h",
        "string.h",
    }


@pytest.mark.parametrize(("packet", "data"), vectors(), ids=lambda v: type(v).__name__)
def test_firmware_encodes_the_documented_vectors(packet, data, library):
    raw = cobs.decode(data[:-1])
    out = ctypes.create_string_buffer(97)
    length = library.exo_encode(
        ctypes.c_uint8(packet.body.KIND),
        ctypes.c_uint32(packet.sequence),
        ctypes.c_uint64(packet.time_us),
        raw[16:-4],
        out,
    )
    assert out.raw[:length] == data


@pytest.mark.parametrize(("packet", "data"), vectors(), ids=lambda v: type(v).__name__)
def test_firmware_takes_the_vectors_that_are_meant_for_it(packet, data, library):
    firmware = Firmware(library)
    firmware.receive(data, 0)
    good, bad = firmware.look()[4:6]
    for_device = isinstance(packet.body, Hello | TorqueCommand | Stop | ClearFault)
    assert (good, bad) == ((1, 0) if for_device else (0, 1))


def test_checksum_and_stuffing_are_those_of_the_libraries(library):
    draw = random.Random(5)
    out = ctypes.create_string_buffer(1200)
    library.exo_crc32.restype = ctypes.c_uint32
    assert library.exo_crc32(b"123456789", ctypes.c_uint32(9)) == 0xCBF43926
    for _ in range(2000):
        data = draw.randbytes(draw.randrange(600))
        if draw.random() < 0.5:
            data = data.replace(b"\0", b"\7")
        size = ctypes.c_uint32(len(data))
        assert library.exo_crc32(data, size) == zlib.crc32(data)
        length = library.exo_cobs_encode(data, size, out)
        assert out.raw[:length] == cobs.encode(data)
        spoilt = bytearray(out.raw[:length])
        if draw.random() < 0.7:
            spoilt[draw.randrange(length)] = draw.randrange(256)
        length = library.exo_cobs_decode(bytes(spoilt), ctypes.c_uint32(len(spoilt)), out)
        try:
            expected = cobs.decode(bytes(spoilt))
        except cobs.DecodeError:
            assert length == -1
        else:
            assert out.raw[:length] == expected


def test_firmware_and_twin_agree_on_random_streams(library):
    met = set()
    for seed in range(12):
        met |= compare(library, seed, 1500)
    assert met == set(DeviceState)


@pytest.mark.slow
def test_firmware_and_twin_agree_on_thousands_of_random_streams(library):
    for seed in range(1000, 4000):
        compare(library, seed, 200)


whole = st.integers(-(2**31), 2**31 - 1)
commands = st.tuples(whole | st.integers(-25_000, 25_000), whole)
postures = st.tuples(st.integers(-1_000_000, 2_000_000) | whole, whole)
rates = st.tuples(st.integers(-14_000_000, 14_000_000) | whole, whole)


@given(st.lists(st.tuples(commands, postures, rates), min_size=1, max_size=80))
@hypothesis.settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_limits_of_the_compiled_firmware_hold_for_any_stream(library, stream):
    s = FirmwareSettings()
    firmware = Firmware(library, s)
    firmware.receive(encode(Packet(1, 0, Hello(9))), 0)
    before = (0, 0)
    step = s.rate_limit_mnm_per_s * s.tick_us / 1e6
    for k, (command, angle, speed) in enumerate(stream):
        now = (k + 1) * s.tick_us
        firmware.receive(encode(Packet(k + 2, 0, TorqueCommand(9, *command, 1, 0))), now)
        torque = firmware.tick(now, Measurement(angle, speed))
        for i in (0, 1):
            assert abs(torque[i]) <= min(s.max_torque_mnm, abs(command[i]) + abs(before[i]))
            assert abs(torque[i]) <= abs(before[i]) + step
            assert abs(torque[i] * 1e-3 * speed[i] * 1e-6) <= s.power_limit_mw * 1e-3
            assert torque[i] == 0 or abs(speed[i]) < s.speed_limit_urad_per_s
            assert torque[i] <= 0 or angle[i] < s.angle_high_urad
            assert torque[i] >= 0 or angle[i] > s.angle_low_urad
        before = torque


def test_the_runtime_drives_the_compiled_firmware(library, tmp_path):
    run = Bench(tmp_path, settings("spline", arm=True))
    run.exo.core = Firmware(library, run.device.firmware)
    report = run.run(6.0)
    assert report.faults == []
    assert run.states()[-3:] == [State.ACTIVE, State.RAMP_OUT, State.IDLE]
    assert run.peak() > 3.0
    assert run.moments[-1].delivered == (0.0, 0.0)


def test_the_compiled_watchdog_takes_torque_away_within_three_periods(library):
    firmware = Firmware(library)
    firmware.receive(encode(Packet(1, 0, Hello(9))), 0)
    firmware.receive(encode(Packet(2, 0, TorqueCommand(9, 5000, -5000, 1, 0))), 0)
    torque = {now: firmware.tick(now, Measurement()) for now in range(1000, 40_000, 1000)}
    assert torque[20_000] == (5000, -5000)
    assert all(pair == (0, 0) for now, pair in torque.items() if now > 26_000)
    assert firmware.state == DeviceState.FAULT


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
def test_firmware_compiles_for_a_microcontroller_and_is_small(core, tmp_path):
    compiler, size = shutil.which("arm-none-eabi-gcc"), shutil.which("arm-none-eabi-size")
    if compiler is None or size is None:
        pytest.skip("there is no compiler for Cortex-M on this machine")
    flags = f"-std=c99 -Os -mthumb -mcpu={core} -Wall -Wextra -Werror -c".split()
    total = 0
    for source in sorted(SOURCES.glob("exo_*.c")):
        target = tmp_path / f"{source.stem}.o"
        done = subprocess.run(
            [compiler, *flags, str(source), "-o", str(target)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        listed = subprocess.run([size, str(target)], capture_output=True, text=True, check=True)
        text, data, bss = map(int, listed.stdout.splitlines()[1].split()[:3])
        assert (data, bss) == (0, 0)
        total += text
    assert total < 8192


@pytest.mark.parametrize("core", BOARDS)
def test_firmware_on_an_emulated_microcontroller_agrees_with_its_twin(core, tmp_path):
    host, limits, now, steps = Host(23), FirmwareSettings(), 0, []
    for number in range(3000):
        now += host.draw.choice([1000] * 50 + [0, 26_000])
        steps.append(Step(now, host.bytes() if number % 10 == 0 else b"", host.seen()))
    assert run_emulated(tmp_path, core, limits, steps) == checksum(limits, steps)


def test_every_setting_reaches_the_compiled_firmware(library):
    header = Path(SOURCES / "exo_device.h").read_text(encoding="utf-8")
    listed = re.search(r"struct exo_settings \{(.*?)\};", header, re.DOTALL)
    assert listed is not None
    names = re.findall(r"u?int32_t (\w+);", listed.group(1))
    assert names == list(FirmwareSettings.model_fields)
