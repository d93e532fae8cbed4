"""Host or device killed at any moment: torque is zero within three periods, the log is readable."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from osim_exo.deploy.device_core import FirmwareSettings
from osim_exo.deploy.link import Link
from osim_exo.deploy.log import Log, LogWriter, read_log
from osim_exo.deploy.replay import replay
from osim_exo.deploy.runtime import Runtime
from osim_exo.deploy.settings import SelfTest
from osim_exo.deploy.states import Ramps, State
from osim_exo.deploy.streams import open_stream
from osim_exo.deploy.timing import SystemClock
from osim_exo.deploy.virtual_exo import Moment, VirtualExo, VirtualSettings
from osim_exo.deploy.virtual_port import PtyPort, Trace, read_trace, serve
from tests.deploy.device import settings

pytest.importorskip("cobs", reason="the extra deploy is not installed")
pytest.importorskip("serial", reason="the extra deploy is not installed")
pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or not hasattr(os, "openpty"),
    reason="this system has no processes or terminals of that kind",
)

THREE_PERIODS_US = 30_000
PATIENCE = 60.0
"""s; on a busy machine a run may need several attempts to get to torque."""


def be_device(alias: Path, trace: Path) -> None:
    """A virtual exo on a pseudo-terminal, until it is killed."""
    device = VirtualSettings(firmware=FirmwareSettings(tick_us=2000))
    exo = VirtualExo(device, observer=Trace(trace))
    serve(exo, PtyPort(alias), SystemClock(), 1e6)


def be_host(port: Path, log: Path) -> None:
    """An armed run with the quickest way to torque, until it is killed or meets a fault."""
    run = settings(
        "spline",
        arm=True,
        ramps=Ramps(armed_s=0.0, ramp_in_s=0.5, ramp_out_s=0.1),
        self_test=SelfTest(n_sample=3),
    )
    clock = SystemClock()
    link = Link(lambda: open_stream(str(port)))
    link.connect(clock.now())
    Runtime(run, link, LogWriter(log, run, {}), clock).run(30.0)


def begin(target, *arguments: Path) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    process.start()
    return process


def end(process: multiprocessing.Process) -> None:
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join(10.0)


def wait_for(what, seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.01)
    return False


def is_driven(trace: Path) -> bool:
    """The newest step of a trace has the drives on."""
    moments = read_trace(trace)[-1:] if trace.exists() else []
    return bool(moments) and moments[0].state == 1


def readable(path: Path) -> Log:
    """The log of a killed run, every whole record of which replays bit for bit."""
    log = read_log(path)
    assert log.torn <= 1
    assert replay(log).reproduced
    return log


def assert_silence_ends_torque(moments: list[Moment]) -> None:
    """At no step is there torque more than three periods after the host was heard."""
    late = [m for m in moments if m.time_us - m.heard_us > THREE_PERIODS_US]
    assert late
    assert all(m.delivered == (0.0, 0.0) and m.commanded_mnm == (0, 0) for m in late)


def driven_pair(folder: Path, attempt: int):
    """Device and host with the drives on; None where the machine was too busy to get there."""
    alias, trace, log = (folder / f"{attempt}.{end}" for end in ("port", "trace", "exolog"))
    device = begin(be_device, alias, trace)
    host = None
    if wait_for(alias.exists):
        host = begin(be_host, alias, log)
        if wait_for(lambda: is_driven(trace) or not host.is_alive()) and host.is_alive():
            return device, host, trace, log
        end(host)
    end(device)
    return None


def kill_one(folder: Path, attempt: int, draw: random.Random, victim: str) -> bool:
    """Kill host or device at a random moment and look at what is left; True if it worked out."""
    pair = driven_pair(folder, attempt)
    if pair is None:
        return False
    device, host, trace, log = pair
    try:
        time.sleep(draw.uniform(0.0, 0.6))
        if victim == "host":
            end(host)
            at = len(read_trace(trace))
            assert wait_for(lambda: len(read_trace(trace)) > at + 50)
        else:
            end(device)
            wait_for(lambda: not host.is_alive())
    finally:
        end(host)
        end(device)
    record = readable(log)
    if victim == "host":
        assert_silence_ends_torque(read_trace(trace))
        return True
    return host_sent_zero(record)


def host_sent_zero(log: Log) -> bool:
    """More than three periods after the last sample, zero is sent and the run is in FAULT.

    False if the run had met a fault of its own on a busy machine before its device was killed.
    """
    assert log.ticks[-1].output.state is State.FAULT
    assert log.ticks[-1].output.sent_mnm == (0, 0)
    last = max(t.tick.now for t in log.ticks if t.tick.sample is not None)
    late = [t.output for t in log.ticks if t.tick.now > last + THREE_PERIODS_US * 1e-6]
    assert all(out.sent_mnm == (0, 0) and not out.enable for out in late)
    assert log.events[-1]["event"] == "end"
    return bool(late)


def kill_many(folder: Path, n: int, victim: str, seed: int) -> None:
    draw = random.Random(seed)
    done, attempt, until = 0, 0, time.monotonic() + n * PATIENCE
    while done < n and time.monotonic() < until:
        done += kill_one(folder, attempt, draw, victim)
        attempt += 1
    assert done == n


@pytest.mark.parametrize("victim", ["host", "device"])
def test_a_killed_process_means_zero_torque_and_a_readable_log(victim, tmp_path):
    kill_many(tmp_path, 5, victim, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["host", "device"])
def test_a_hundred_killed_processes_mean_zero_torque_and_readable_logs(victim, tmp_path):
    kill_many(tmp_path, 100, victim, seed=2)
