"""Many hours and many flawed frames: no drift, no growth, no torque that nobody commanded."""

import os
import random
import sys
from collections.abc import Iterator

import pytest

from osim_exo.deploy.device_core import DeviceCore, FirmwareSettings, Measurement
from osim_exo.deploy.link import Link
from osim_exo.deploy.packets import (
    MAX_FRAME,
    TO_HOST,
    Decoder,
    DeviceState,
    Hello,
    Packet,
    Sensors,
    Stop,
    TorqueCommand,
    encode,
)
from osim_exo.deploy.runtime import Runtime
from osim_exo.deploy.timing import Histogram, SimulatedClock, Ticker
from osim_exo.deploy.virtual_exo import VirtualExo, VirtualSettings
from osim_exo.deploy.virtual_port import InProcessLine
from tests.deploy.device import settings

pytest.importorskip("cobs", reason="the extra deploy is not installed")

SOAK_HOURS = float(os.environ.get("OSIM_EXO_SOAK_HOURS", "0.25"))
"""Simulated hours of the slow test of the whole chain; 24 take about an hour of a core."""

MILD = 5000
"""0.001 Nm; no valid command in these tests asks for more."""


class Uncounted:
    """A black box that keeps nothing."""

    failing = False
    dropped = 0

    def tick(self, number, tick, out):
        """Keep nothing."""

    def event(self, **facts):
        """Keep nothing."""

    def sync(self):
        """Keep nothing."""

    def close(self):
        """Keep nothing."""


def spoilt(draw: random.Random, data: bytes) -> bytes:
    """A frame with something wrong, or plain garbage."""
    kind = draw.randrange(5)
    if kind == 0:
        hit = bytearray(data)
        for bit in draw.sample(range(8 * (len(hit) - 1)), draw.randrange(1, 4)):
            hit[bit // 8] ^= 1 << bit % 8
        return bytes(hit)
    if kind == 1:
        return data[: draw.randrange(len(data) - 1)] + b"\0"
    if kind == 2:
        return draw.randbytes(draw.randrange(1, 60)) + b"\0"
    if kind == 3:
        # With its end spoilt: the frame before may end with this one's beginning.
        cut = draw.randrange(1, len(data) - 2)
        return data[cut:-2] + bytes([data[-2] ^ 0x80]) + b"\0" + data[:cut]
    return data[:-3] + data[2:]


def stream(n_frame: int, seed: int) -> Iterator[tuple[bytes, int, TorqueCommand | None]]:
    """Frames for a device: one in ten is a valid command, which is given beside its bytes.

    The flawed ones are made of commands for enormous torque.
    """
    draw = random.Random(seed)
    sequence = 1
    old: list[bytes] = []
    for time_us in range(n_frame):
        if draw.random() < 0.1:
            sequence += 1
            body = TorqueCommand(
                7, draw.randrange(-MILD, MILD + 1), draw.randrange(-MILD, MILD + 1), 1, 0
            )
            data = encode(Packet(sequence, time_us, body))
            old = [*old[-20:], data]
            yield data, sequence, body
        elif old and draw.random() < 0.15:
            yield draw.choice(old), sequence, None
        else:
            wild = TorqueCommand(7, draw.choice([-1, 1]) * 2**30, 2**30, 1, 0)
            yield spoilt(draw, encode(Packet(sequence + 1, time_us, wild))), sequence, None


def attack(n_frame: int, seed: int) -> DeviceCore:
    """Feed a device and hold its torque to what valid frames commanded, at every tick."""
    device = DeviceCore(FirmwareSettings())
    device.receive(encode(Packet(1, 0, Hello(7))), 0)
    seen, now = Measurement(), 0
    low, high = [0, 0], [0, 0]
    for data, sequence, valid in stream(n_frame, seed):
        now += 1000
        device.receive(data, now)
        torque = device.tick(now, seen)
        if valid is not None:
            # The torque moves within the hull of the last commands and zero.
            for i, value in enumerate((valid.torque_r_mnm, valid.torque_l_mnm)):
                low[i], high[i] = min(low[i], value), max(high[i], value)
        assert low[0] <= torque[0] <= high[0] and low[1] <= torque[1] <= high[1]
        if device.state != DeviceState.ENABLED and device.state != DeviceState.IDLE:
            # The host begins again after a watchdog trip, with the number it is at.
            device.receive(b"\0" + encode(Packet(sequence, 0, Hello(7))), now)
        device.take_output()
        assert device._decoder.pending <= MAX_FRAME
    return device


def test_flawed_frames_give_no_torque_that_valid_ones_did_not_command():
    device = attack(20_000, seed=1)
    assert device._decoder.good > 1500
    assert device._decoder.bad > 5000


@pytest.mark.slow
def test_a_million_flawed_frames_give_no_torque_that_valid_ones_did_not_command():
    device = attack(1_000_000, seed=2)
    assert device._decoder.good > 80_000
    assert device._decoder.bad > 300_000


def samples_from_noise(n_frame: int, seed: int) -> int:
    """Feed a host flawed samples; every packet that comes out was sent whole."""
    draw, decoder, sequence, got = random.Random(seed), Decoder(TO_HOST), 0, 0
    sent: set[Packet] = set()
    for k in range(n_frame):
        body = Sensors(*(draw.randrange(-(2**31), 2**31) for _ in range(10)), 3, 3, 9, 0, k, 1)
        sequence += 1
        packet = Packet(sequence, k, body)
        data = encode(packet)
        if draw.random() < 0.2:
            sent.add(packet)
        else:
            # A zero first, so that garbage cannot swallow the next whole frame's beginning.
            data = spoilt(draw, data) + b"\0"
        for out in decoder.feed(data):
            assert out in sent
            got += 1
        if k % 1000 == 0:
            sent.clear()
    return got


def test_a_host_takes_only_samples_that_were_sent_whole():
    assert samples_from_noise(20_000, seed=1) > 3900


@pytest.mark.slow
def test_a_host_takes_only_samples_that_were_sent_whole_among_a_million():
    assert samples_from_noise(1_000_000, seed=2) > 195_000


def test_a_stop_is_obeyed_amid_garbage_in_any_session():
    draw = random.Random(3)
    for _ in range(200):
        device = DeviceCore()
        device.receive(encode(Packet(1, 0, Hello(7))), 0)
        device.receive(encode(Packet(2, 0, TorqueCommand(7, 9000, 9000, 1, 0))), 0)
        for now in range(1000, 20_000, 1000):
            device.tick(now, Measurement())
        assert device.torque_mnm == (5700, 5700)
        number = draw.randrange(2**32)
        device.receive(draw.randbytes(50) + b"\0" + encode(Packet(number, 0, Stop(0))), 20_000)
        assert device.torque_mnm == (0, 0)
        assert device.tick(21_000, Measurement()) == (0, 0)


@pytest.mark.slow
def test_twenty_four_hours_of_deadlines_do_not_drift():
    clock = SimulatedClock(start=12_345.678)
    ticker, times = Ticker(clock, 0.01), Histogram()
    n = 24 * 3600 * 100
    for _ in range(n):
        ticker.wait()
        times.add(clock.now() - ticker.deadline)
    assert ticker.overruns == 0
    assert clock.now() == pytest.approx(12_345.678 + 24 * 3600, abs=1e-6)
    assert times.count == n
    assert times.max < 1e-6


def run_for(hours: float) -> tuple[Runtime, list[int]]:
    """The whole chain, armed, on simulated time, and blocks of memory in use at twelve moments."""
    clock = SimulatedClock()
    device = VirtualSettings(
        firmware=FirmwareSettings(tick_us=5000), battery_v_per_hour=0.05, friction=0.2
    )
    exo = VirtualExo(device)
    memory: list[int] = []
    n = round(hours * 3600 * 100)

    def watch(number: int, tick, out) -> None:
        if number % (n // 12) == n // 24:
            memory.append(sys.getallocatedblocks())

    line = InProcessLine(exo, clock)
    runtime = Runtime(settings(arm=True), Link(lambda: line), Uncounted(), clock, on_tick=watch)
    runtime.run(hours * 3600)
    return runtime, memory


@pytest.mark.slow
@pytest.mark.timeout(1200 + round(600 * SOAK_HOURS))
def test_hours_of_walking_use_no_more_memory_and_lose_no_time():
    runtime, memory = run_for(SOAK_HOURS)
    report = runtime.report
    assert report.faults == []
    assert report.final_state == "IDLE"
    assert report.overruns == 0
    n = round(SOAK_HOURS * 3600 * 100)
    assert n <= report.ticks <= n + 100
    assert report.samples >= report.ticks - 10
    # A leak of one object per period would be tens of thousands.
    assert max(memory[2:]) - min(memory[2:]) < 1000
