"""The loop on a virtual device: torque only when armed and sound, zero at every end."""

import json
import math
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest

from osim_exo.control import Signals
from osim_exo.deploy.core import TickInput, TickOutput
from osim_exo.deploy.disturbances import Disturbance
from osim_exo.deploy.faults import FaultCode
from osim_exo.deploy.link import Link
from osim_exo.deploy.log import LogWriter, read_log
from osim_exo.deploy.packets import DeviceState
from osim_exo.deploy.replay import replay
from osim_exo.deploy.runtime import Runtime, stop_on_signals, unsuitable, what_will_be_applied
from osim_exo.deploy.settings import ControllerSpec, RunSettings
from osim_exo.deploy.states import Request, State
from osim_exo.deploy.timing import Histogram, SimulatedClock, Ticker
from osim_exo.deploy.virtual_exo import VirtualSettings
from osim_exo.errors import InputError
from tests.deploy.device import QUICK, Bench, settings

pytest.importorskip("cobs", reason="the extra deploy is not installed")

WAY = [State.BOOT, State.SELF_TEST, State.IDLE, State.ARMED, State.RAMP_IN, State.ACTIVE]
TABLE = {"phase": [0.0, 0.5], "right": [8.0, -8.0], "left": [8.0, -8.0]}


def bench(
    folder: Path, *, arm: bool = True, kind: str = "delayed_output_feedback", **more
) -> Bench:
    return Bench(folder, settings(kind, arm=arm), **more)


# With and without torque


@pytest.mark.parametrize("kind", ["zero_torque", "delayed_output_feedback", "spline", "playback"])
def test_without_arm_torque_is_computed_and_none_is_sent(kind, tmp_path):
    spec = ControllerSpec(kind=kind, settings=TABLE if kind == "playback" else {})
    run = Bench(tmp_path, RunSettings(mass=70.0, controller=spec, ramps=QUICK))
    report = run.run(8.0)
    assert run.states() == [State.BOOT, State.SELF_TEST, State.IDLE]
    assert report.faults == []
    assert (report.peak_torque > 3.0) == (kind != "zero_torque")
    assert run.peak() == 0.0
    assert all(m.state == DeviceState.IDLE and m.commanded_mnm == (0, 0) for m in run.moments)
    assert all(out.sent_mnm == (0, 0) and not out.enable for _, out in run.outputs)


@pytest.mark.parametrize("kind", ["delayed_output_feedback", "spline", "playback"])
def test_with_arm_torque_goes_through_every_state_and_ends_at_zero(kind, tmp_path):
    spec = ControllerSpec(kind=kind, settings=TABLE if kind == "playback" else {})
    run = Bench(tmp_path, RunSettings(mass=70.0, controller=spec, ramps=QUICK, arm=True))
    report = run.run(8.0)
    assert run.states() == [*WAY, State.RAMP_OUT, State.IDLE]
    assert report.faults == []
    assert run.peak() > 3.0
    assert run.moments[-1].delivered == (0.0, 0.0)
    assert run.moments[-1].state == DeviceState.IDLE


def test_what_is_sent_never_exceeds_what_the_limiter_allows(tmp_path):
    run = bench(tmp_path)
    run.run(6.0)
    limits = run.settings.limits
    before = (0.0, 0.0)
    for _, out in run.outputs:
        for i in (0, 1):
            assert abs(out.sent_mnm[i]) <= abs(out.limited[i]) * 1e3
            assert abs(out.limited[i]) <= limits.cap(70.0)
            assert abs(out.limited[i]) - abs(before[i]) <= limits.rate_limit * 0.01 + 1e-9
        before = out.limited
    cap = limits.cap(70.0)
    assert all(abs(c) <= 1e3 * cap for m in run.moments for c in m.commanded_mnm)


def test_the_controller_gives_on_the_device_what_it_gives_in_simulation(tmp_path):
    run = bench(tmp_path, arm=False)
    run.run(6.0)
    controller = run.settings.controller.build(run.settings.mass)
    controller.reset(1)
    compared = 0
    for tick, out in run.outputs:
        if tick.sample is None or out.state not in (State.SELF_TEST, State.IDLE):
            continue
        body = tick.sample.body
        signals = Signals(
            time=[tick.sample.time_us * 1e-6],
            hip_angle=[[body.hip_angle_r_urad * 1e-6, body.hip_angle_l_urad * 1e-6]],
            hip_speed=[[body.hip_speed_r_urad_per_s * 1e-6, body.hip_speed_l_urad_per_s * 1e-6]],
        )
        np.testing.assert_array_equal(controller(signals)[0], out.wanted)
        compared += 1
    assert compared > 500


# Ends


class Failing:
    """A controller that does something wrong after a while."""

    def __init__(self, how: str) -> None:
        self.how, self.calls = how, 0

    def reset(self, n_env, environments=None):
        """Nothing to forget."""

    def __call__(self, signals):
        self.calls += 1
        if self.calls < 250:
            return np.full((1, 2), 5.0)
        if self.how == "raise":
            raise ZeroDivisionError("division by zero")
        if self.how == "shape":
            return np.zeros(1)
        return np.array([[5.0, math.nan if self.how == "nan" else math.inf]])


@pytest.mark.parametrize("how", ["raise", "nan", "inf", "shape"])
def test_a_controller_that_fails_ends_at_zero_torque(how, tmp_path):
    run = bench(tmp_path, controller=Failing(how))
    report = run.run(30.0)
    assert run.states()[-1] is State.FAULT
    assert report.faults == ["CONTROLLER"]
    assert any("controller" in problem for problem in report.problems)
    assert run.peak() > 4.0
    failed = next(i for i, (_, out) in enumerate(run.outputs) if out.faults)
    assert all(out.sent_mnm == (0, 0) for _, out in run.outputs[failed - 1 :])
    assert run.moments[-1].delivered == (0.0, 0.0)


def test_a_controller_that_asks_for_too_much_is_held_by_the_limiter(tmp_path):
    class Greedy(Failing):
        def __call__(self, signals):
            self.calls += 1
            return np.array([[1e6, -1e6]]) * (-1) ** self.calls

    run = bench(tmp_path, controller=Greedy("greedy"))
    run.run(6.0)
    assert 0.0 < run.peak() <= run.settings.limits.cap(70.0)


@pytest.mark.parametrize("failing", ["send_torque", "stop", "close", "sync", "event", "log_close"])
def test_one_failing_stop_prevents_no_other(failing, tmp_path):
    run = bench(tmp_path)
    calls: list[str] = []

    def watch(thing: object, name: str, label: str) -> None:
        original = getattr(thing, name)

        def wrapped(*arguments, **named):
            calls.append(label)
            if ending and label == failing:
                raise RuntimeError("broken")
            return original(*arguments, **named)

        setattr(thing, name, wrapped)

    ending: list[bool] = []
    for name in ("send_torque", "stop", "close"):
        watch(run.link, name, name)
    watch(run.log, "event", "event")
    watch(run.log, "close", "log_close")
    original_end = run.runtime._shut_down

    def end() -> None:
        calls.clear()
        ending.append(True)
        original_end()

    run.runtime._shut_down = end
    report = run.run(3.0)
    assert calls == ["send_torque", "stop"] * 3 + ["event", "log_close", "close"]
    assert any("broken" in problem for problem in report.problems) == (failing != "sync")
    assert run.moments[-1].delivered == (0.0, 0.0)


def test_an_error_in_the_loop_still_stops_the_device_and_is_raised(tmp_path):
    run = bench(tmp_path)

    def fail(number: int, tick: TickInput, out: TickOutput) -> None:
        if out.state is State.ACTIVE:
            raise RuntimeError("unforeseen")

    run.runtime._on_tick = fail
    with pytest.raises(RuntimeError, match="unforeseen"):
        run.run(20.0)
    run.clock.sleep_until(run.clock.now() + 0.005)
    run.line.read(1)
    assert run.moments[-1].delivered == (0.0, 0.0)
    assert run.moments[-1].state == DeviceState.IDLE
    assert read_log(run.path).events[-1]["event"] == "end"


def test_the_first_signal_ramps_out_and_the_second_stops_at_once(tmp_path):
    if not hasattr(signal, "SIGTERM"):
        pytest.skip("this system has no signals")
    run = bench(tmp_path)

    def send(number: int, tick: TickInput, out: TickOutput) -> None:
        run.outputs.append((tick, out))
        if out.state is State.ACTIVE or out.state is State.RAMP_OUT and len(run.states()) == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    run.runtime._on_tick = send
    with stop_on_signals(run.runtime):
        run.run(30.0)
    assert run.states() == [*WAY, State.RAMP_OUT, State.ESTOP]
    assert run.moments[-1].state == DeviceState.ESTOP
    assert run.moments[-1].delivered == (0.0, 0.0)


def test_an_emergency_stop_is_not_lost_among_other_requests(tmp_path):
    run = bench(tmp_path)

    def ask(number: int, tick: TickInput, out: TickOutput) -> None:
        if out.state is State.ACTIVE:
            run.runtime.request(Request.ESTOP)
            run.runtime.request(Request.ARM)

    run.runtime._on_tick = ask
    run.run(30.0)
    assert run.states()[-1] is State.ESTOP


# What goes wrong on the way


FAULTS = [
    ("silence", 1.0, FaultCode.NO_DATA),
    ("drop", 0.6, FaultCode.LOST | FaultCode.NO_DATA),
    ("corrupt", 0.5, FaultCode.FRAME_ERRORS | FaultCode.NO_DATA),
    ("truncate", 0.5, FaultCode.FRAME_ERRORS | FaultCode.NO_DATA),
    ("garbage", 0.3, FaultCode.FRAME_ERRORS | FaultCode.NO_DATA),
    ("duplicate", 0.5, FaultCode.DUPLICATED),
    ("reorder", 1.0, FaultCode.REORDERED),
    ("delay", 2.0, FaultCode.NO_DATA),
    ("delay", 0.02, None),
    ("freeze", 1.0, FaultCode.FROZEN),
    ("stuck", 1.0, FaultCode.FROZEN),
    ("still", 1.0, FaultCode.LEFT_RIGHT | FaultCode.RATE_SPIKE),
    ("spike", 1.0, FaultCode.RATE_SPIKE),
    ("offset", 2.5, FaultCode.OUT_OF_RANGE | FaultCode.RATE_SPIKE),
    ("clock_jump", 0.5, FaultCode.CLOCK_JUMP),
    ("clock_jump", -0.5, FaultCode.CLOCK_JUMP),
    ("reboot", 1.0, FaultCode.NO_DATA),
    ("hot", 1.0, FaultCode.TEMPERATURE),
    ("low_battery", 1.0, FaultCode.BATTERY),
    ("encoder_fault", 1.0, FaultCode.DEVICE),
    ("imu_fault", 1.0, FaultCode.DEVICE),
    ("drive_fault", 1.0, FaultCode.DEVICE),
    ("drive_weak", 1.0, FaultCode.TORQUE_MISMATCH),
    ("deaf", 1.0, FaultCode.DEVICE),
]


@pytest.mark.parametrize(("what", "amount", "code"), FAULTS, ids=lambda v: str(v))
def test_each_disturbance_ends_an_armed_run_at_zero_torque(what, amount, code, tmp_path):
    begin = 3.0
    script = [Disturbance(what=what, at_s=begin, amount=amount)]
    run = bench(tmp_path, script=script, kind="spline")
    report = run.run(12.0)
    if code is None:
        assert report.faults == []
        return
    assert any(FaultCode[name] & code for name in report.faults), report.faults
    assert run.states()[-1] is State.FAULT
    assert run.peak() > 1.0
    assert run.moments[-1].delivered == (0.0, 0.0)
    assert read_log(run.path).torn == 0


def test_the_emergency_button_is_an_estop_on_both_ends(tmp_path):
    run = bench(tmp_path, script=[Disturbance(what="estop_button", at_s=3.0, for_s=0.5)])
    run.run(10.0)
    assert run.states()[-1] is State.ESTOP
    assert run.peak(since_s=3.002) == 0.0
    assert run.moments[-1].state == DeviceState.ESTOP


def test_torque_is_zero_three_periods_after_the_last_command_that_arrives(tmp_path):
    run = bench(tmp_path, script=[Disturbance(what="deaf", at_s=3.0)], kind="spline")
    run.run(10.0)
    assert run.peak() > 1.0
    assert run.peak(since_s=3.0 + 0.03) == 0.0


def test_without_arm_a_run_heals_when_the_fault_has_gone(tmp_path):
    script = [
        Disturbance(what="silence", at_s=2.0, for_s=1.5),
        Disturbance(what="reboot", at_s=8.0, for_s=0.1),
    ]
    run = bench(tmp_path, arm=False, script=script)
    run.run(16.0)
    cycle = [State.FAULT, State.BOOT, State.SELF_TEST, State.IDLE]
    assert run.states() == [State.BOOT, State.SELF_TEST, State.IDLE, *cycle, *cycle]
    assert run.peak() == 0.0


def test_a_latched_fault_of_an_armed_run_needs_a_reset(tmp_path):
    run = bench(tmp_path, script=[Disturbance(what="silence", at_s=3.0, for_s=0.05)], kind="spline")

    def reset(number: int, tick: TickInput, out: TickOutput) -> None:
        if out.state is State.FAULT:
            run.runtime.request(Request.RESET)

    run.runtime._on_tick = reset
    run.run(12.0)
    assert run.states() == [*WAY, State.FAULT, *WAY, State.RAMP_OUT, State.IDLE]


class Breaking:
    """A line that breaks at a time and is back after another."""

    def __init__(self, run: Bench, at: float, back: float) -> None:
        self.run, self.at, self.back = run, at, back

    def broken(self) -> bool:
        return self.at <= self.run.clock.now() - 100.0 < self.back

    def read(self, limit: int) -> bytes:
        if self.broken():
            raise OSError(5, "Input/output error")
        return self.run.line.read(limit)

    def write(self, data: bytes) -> None:
        if self.broken():
            raise OSError(5, "Input/output error")
        self.run.line.write(data)

    def close(self) -> None:
        raise OSError(9, "Bad file descriptor")

    def open(self) -> "Breaking":
        if self.broken():
            raise OSError(2, "No such file or directory")
        return self


@pytest.mark.parametrize("arm", [False, True])
def test_a_lost_line_is_a_fault_and_is_opened_again(arm, tmp_path):
    run = bench(tmp_path, arm=arm)
    line = Breaking(run, 3.0, 5.2)
    run.runtime.link = run.link = Link(line.open)
    report = run.run(12.0)
    assert report.link_lost == 1
    assert "LINK" in report.faults
    if arm:
        assert run.states()[-1] is State.FAULT
        run.clock.sleep_until(run.clock.now() + 0.1)
        run.line.read(1)
        assert run.moments[-1].delivered == (0.0, 0.0)
    else:
        assert run.states()[-4:] == [State.FAULT, State.BOOT, State.SELF_TEST, State.IDLE]


def test_a_flood_of_old_samples_leaves_the_newest(tmp_path):
    link, clock = (run := bench(tmp_path)).link, run.clock
    for now in (100.0, 100.01, 100.02):
        clock.sleep_until(now)
        link.poll(now)
    assert link.facts is not None
    clock.sleep_until(100.45)
    news = link.poll(100.45)
    assert news.sample is not None
    assert news.sample.time_us == 440_000
    assert news.counts.lost == 0
    assert link.poll(100.45).sample is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"watchdog_us": 31_000}, "watchdog takes 31 ms; at most 30 ms"),
        ({"period_us": 20_000}, "measures every 20 ms"),
    ],
)
def test_a_device_that_does_not_suit_is_refused(change, words, tmp_path):
    device = VirtualSettings(firmware=VirtualSettings().firmware.changed(**change))
    run = bench(tmp_path, device=device)
    report = run.run(5.0)
    assert any(words in problem for problem in report.problems)
    assert State.ARMED not in run.states()
    assert "SELF_TEST" in report.faults
    assert run.peak() == 0.0


def test_other_firmware_and_other_joints_are_refused():
    from osim_exo.deploy.packets import DeviceFacts

    facts = DeviceFacts(1, 1, 0, 0, 4, 1, 10_000, 25_000, 18_000, 300_000, 80_000, 0)
    reasons = unsuitable(facts, settings())
    assert len(reasons) == 2
    assert "firmware is version 1.0" in reasons[0]
    assert "4 joints" in reasons[1]


def test_a_device_that_never_answers_leaves_the_run_in_boot(tmp_path):
    run = bench(tmp_path, script=[Disturbance(what="deaf", at_s=0.0)])
    report = run.run(3.0)
    assert report.final_state == "BOOT"
    assert run.peak() == 0.0


def test_what_will_be_applied_names_the_cap_of_the_person():
    shown = dict(what_will_be_applied(settings(arm=True)))
    assert shown["largest torque"] == "14 Nm per hip"
    assert shown["torque"] == "SENT TO THE DEVICE"
    assert "zero is sent" in dict(what_will_be_applied(settings()))["torque"]


# Black box


def test_a_replay_gives_every_output_bit_for_bit(tmp_path):
    script = [
        Disturbance(what="corrupt", at_s=2.0, for_s=1.0, amount=0.02),
        Disturbance(what="hot", at_s=4.0),
    ]
    run = bench(tmp_path, script=script)
    run.run(8.0)
    log = read_log(run.path)
    result = replay(log)
    assert result.reproduced
    assert result.n_equal == len(run.outputs) == len(log.ticks)
    assert [t.output for t in log.ticks] == [out for _, out in run.outputs]
    assert [t.tick for t in log.ticks] == [tick for tick, _ in run.outputs]


def test_a_replay_sees_a_changed_controller(tmp_path):
    run = bench(tmp_path, arm=False)
    run.run(4.0)
    other = ControllerSpec(kind="spline").build(75.0)
    result = replay(read_log(run.path), other)
    assert not result.reproduced
    assert result.first_difference is not None


def test_a_log_cut_anywhere_is_readable_up_to_there(tmp_path):
    run = bench(tmp_path, arm=False)
    run.run(2.0)
    data = run.path.read_bytes()
    whole = len(read_log(run.path).ticks)
    for cut in range(len(data) // 2, len(data), 611):
        part = tmp_path / "part.exolog"
        part.write_bytes(data[:cut])
        log = read_log(part)
        assert log.torn <= 1
        assert len(log.ticks) <= whole
        assert replay(log).reproduced


def test_a_damaged_log_is_read_around_its_damage(tmp_path):
    run = bench(tmp_path, arm=False)
    run.run(1.0)
    data, draw = run.path.read_bytes(), random.Random(6)
    whole = {t.number: t for t in read_log(run.path).ticks}
    begin = data.index(b"\0") + 1
    for _ in range(200):
        spoilt = bytearray(data)
        for _ in range(draw.randrange(1, 4)):
            spoilt[draw.randrange(begin, len(data))] = draw.randrange(256)
        (tmp_path / "spoilt.exolog").write_bytes(spoilt)
        log = read_log(tmp_path / "spoilt.exolog")
        assert all(whole[t.number] == t for t in log.ticks)
        assert len(log.ticks) >= len(whole) - 6


def test_a_full_disk_ends_an_armed_run_and_the_log_tells_its_gap(tmp_path, monkeypatch):
    run = bench(tmp_path, kind="spline")
    write, full = os.write, []

    def short(file: int, data: bytes) -> int:
        if full and len(full) < 5:
            full.append(True)
            if len(full) == 3:
                return write(file, data[:7])
            raise OSError(28, "No space left on device")
        return write(file, data)

    def fill(number: int, tick: TickInput, out: TickOutput) -> None:
        if out.state is State.ACTIVE and not full:
            full.append(True)

    monkeypatch.setattr(os, "write", short)
    run.runtime._on_tick = fill
    report = run.run(10.0)
    assert "LOG" in report.faults
    assert run.states()[-1] is State.FAULT
    assert run.moments[-1].delivered == (0.0, 0.0)
    log = read_log(run.path)
    assert log.torn == 1
    assert {"event": "gap", "dropped": report.log_dropped} in log.events
    result = replay(log)
    assert result.reproduced
    assert result.gap_at is not None


def test_a_black_box_is_never_written_over(tmp_path):
    path = tmp_path / "a.exolog"
    LogWriter(path, settings(), {}).close()
    with pytest.raises(InputError, match="never written over"):
        LogWriter(path, settings(), {})


def test_a_file_that_is_no_black_box_is_bad_input(tmp_path):
    (tmp_path / "a").write_text(json.dumps({"a": 1}))
    with pytest.raises(InputError, match="no black box"):
        read_log(tmp_path / "a")
    with pytest.raises(InputError, match="no file"):
        read_log(tmp_path / "b")


# Time


def test_deadlines_do_not_drift_and_missed_ones_are_counted():
    clock = SimulatedClock(start=7.0)
    ticker = Ticker(clock, 0.01)
    for k in range(1, 1001):
        assert ticker.wait() == 0
        assert clock.now() == pytest.approx(7.0 + k * 0.01, abs=1e-9)
        clock.sleep_until(clock.now() + 0.004 * (k % 2))
    clock.sleep_until(clock.now() + 0.035)
    # Two deadlines are given up; the third has just passed and is served at once.
    assert ticker.wait() == 2
    assert ticker.overruns == 2
    assert ticker.deadline == pytest.approx(7.0 + 1003 * 0.01, abs=1e-9)
    assert ticker.wait() == 0
    assert clock.now() == pytest.approx(7.0 + 1004 * 0.01, abs=1e-9)


def test_percentiles_are_those_of_the_values():
    values = np.random.default_rng(0).exponential(1e-3, 20_000)
    histogram = Histogram()
    for value in values:
        histogram.add(float(value))
    for percent in (50.0, 90.0, 99.0):
        expected = float(np.percentile(values, percent))
        assert histogram.percentile(percent) == pytest.approx(expected, abs=2e-5)
    assert histogram.max == values.max()


def test_a_runtime_on_the_system_clock_keeps_its_rate(tmp_path):
    run = bench(tmp_path, arm=False)
    run.settings = settings(kind="zero_torque")
    from osim_exo.deploy.timing import SystemClock
    from osim_exo.deploy.virtual_exo import VirtualExo
    from osim_exo.deploy.virtual_port import InProcessLine

    clock = SystemClock()
    line = InProcessLine(VirtualExo(), clock)
    runtime = Runtime(
        run.settings, Link(lambda: line), LogWriter(tmp_path / "b", run.settings, {}), clock
    )
    begin = clock.now()
    report = runtime.run(1.0)
    assert clock.now() - begin >= 1.0
    assert report.ticks + report.overruns == pytest.approx(
        (clock.now() - begin) * 100.0, abs=0.1 * 100.0 + 5
    )
