"""The loop that runs a controller on a device at a fixed rate, and ends at zero torque always."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any, Protocol

from osim_exo.control import Controller
from osim_exo.deploy.core import ControlCore, TickInput, TickOutput
from osim_exo.deploy.faults import FaultCode
from osim_exo.deploy.link import Link
from osim_exo.deploy.packets import DeviceFacts, Enable, Sensors, StopReason
from osim_exo.deploy.settings import RunSettings
from osim_exo.deploy.states import ENABLED, Request, State
from osim_exo.deploy.timing import Clock, Histogram, SystemClock, Ticker

FIRMWARE_MAJOR = 2
"""Firmware that this version knows; another major version is refused."""

WATCHDOG_PERIODS = 3.0
"""The device must switch torque off by itself within so many periods."""

LINGER = 0.3
"""s; how long zero is sent in FAULT or ESTOP before an armed run ends."""

STOPS = 3
"""How often zero torque and stop are sent at the end: one lost packet must not matter."""

SENT = 256
"""Commands whose time of sending is kept, for the round trip."""


class BlackBox(Protocol):
    """What the runtime needs of a log."""

    failing: bool
    dropped: int

    def tick(self, number: int, tick: TickInput, out: TickOutput) -> None:
        """Keep one period."""

    def event(self, **facts: Any) -> None:
        """Keep facts."""

    def sync(self) -> None:
        """Bring all to the disk."""

    def close(self) -> None:
        """End."""


@dataclass
class RunReport:
    """What happened in a run; durations in ms, torque in Nm.

    Attributes
    ----------
    ticks, samples : periods, and those with a new sample
    overruns : missed deadlines
    latency : from the deadline to the command being written
    lateness : from the deadline to the loop's start
    round_trip : from a command to the first sample that confirms it
    states : names of the states that were entered, in order
    final_state : name
    faults : names of all faults that were seen
    peak_torque : largest magnitude that was computed (in shadow mode) or sent
    link_lost, log_dropped : counts
    problems : what went wrong on the way or while stopping, in words
    """

    ticks: int = 0
    samples: int = 0
    overruns: int = 0
    latency: dict[str, float | None] = field(default_factory=dict)
    lateness: dict[str, float | None] = field(default_factory=dict)
    round_trip: dict[str, float | None] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)
    final_state: str = State.BOOT.name
    faults: list[str] = field(default_factory=list)
    peak_torque: float = 0.0
    link_lost: int = 0
    log_dropped: int = 0
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)


def unsuitable(facts: DeviceFacts, settings: RunSettings) -> list[str]:
    """Why a device must not be used for a run; nothing if it may."""
    reasons = []
    longest = WATCHDOG_PERIODS * settings.period
    if facts.firmware_major != FIRMWARE_MAJOR:
        reasons.append(
            f"its firmware is version {facts.firmware_major}.{facts.firmware_minor}; "
            f"{FIRMWARE_MAJOR}.x is needed"
        )
    if facts.n_joint != 2:
        reasons.append(f"it drives {facts.n_joint} joints; 2 are needed")
    if not 0 < facts.watchdog_us * 1e-6 <= longest:
        reasons.append(
            f"its watchdog takes {facts.watchdog_us * 1e-3:g} ms; at most {longest * 1e3:g} ms is "
            f"allowed at {settings.rate_hz:g} Hz"
        )
    if facts.period_us * 1e-6 > 1.01 * settings.period:
        reasons.append(
            f"it measures every {facts.period_us * 1e-3:g} ms; {settings.period * 1e3:g} ms or "
            "less is needed"
        )
    if settings.onboard and facts.controller_crc != settings.controller.policy().crc32:
        own = f"{facts.controller_crc:08x}" if facts.controller_crc else "none"
        reasons.append(
            f"its own policy is {own}; {settings.controller.policy().crc32:08x} is needed. Export "
            "the bundle to C and put it on the device"
        )
    return reasons


def what_will_be_applied(settings: RunSettings) -> list[tuple[str, str]]:
    """What a run may do to the person: shown before anything moves."""
    limits, ramps = settings.limits, settings.ramps
    return [
        ("controller", _name(settings)),
        ("torque", "SENT TO THE DEVICE" if settings.arm else "computed only; zero is sent"),
        ("body mass", f"{settings.mass:g} kg"),
        ("largest torque", f"{limits.cap(settings.mass):.3g} Nm per hip"),
        ("largest rise", f"{limits.rate_limit:g} Nm/s"),
        ("largest power", f"{limits.power_limit:g} W per hip"),
        ("hip range", f"{limits.angle_low:g} to {limits.angle_high:g} rad, flexion positive"),
        ("speed limit", f"{limits.speed_limit:g} rad/s"),
        (
            "ramps",
            f"{ramps.armed_s:g} s at zero, in {ramps.ramp_in_s:g} s, out {ramps.ramp_out_s:g} s",
        ),
        ("loop", f"{settings.rate_hz:g} Hz"),
    ]


def _name(settings: RunSettings) -> str:
    spec = settings.controller
    if spec.kind != "policy":
        return spec.kind
    where = "on the device" if settings.onboard else "on this machine"
    return f"policy {spec.policy().sha256[:12]} {where}"


class Runtime:
    """Runs one controller on one device.

    Parameters
    ----------
    settings : RunSettings
    link : Link
    log : black box
    clock : Clock, optional
    controller : another one than the settings name, optional
    on_tick : called after each period with its number, input and output, optional
    """

    def __init__(
        self,
        settings: RunSettings,
        link: Link,
        log: BlackBox,
        clock: Clock | None = None,
        controller: Controller | None = None,
        on_tick: Callable[[int, TickInput, TickOutput], None] | None = None,
    ) -> None:
        self.settings, self.link, self.log = settings, link, log
        self.clock = clock or SystemClock()
        self.core = ControlCore(settings, controller)
        self.report = RunReport()
        self._on_tick = on_tick
        self._request = Request.NONE
        self._stopping = self._estop = False
        self._ended_at: float | None = None
        self._facts: DeviceFacts | None = None
        self._suitable = True
        self._faults = FaultCode(0)
        self._state: State | None = None
        self._latency, self._lateness = Histogram(), Histogram()
        self._round_trip = Histogram(width=1e-4)
        self._sent_at = [math.nan] * SENT
        self._confirmed = 0

    def request(self, request: Request) -> None:
        """Ask for something; it is looked at in the next period. STOP and ESTOP end the run."""
        # Flags that nothing takes back: a signal may come between any two steps of the loop.
        self._stopping |= request is Request.STOP
        self._estop |= request is Request.ESTOP
        self._request = request

    def run(self, seconds: float | None = None) -> RunReport:
        """Run until stopped, until an armed run meets a fault, or for `seconds`.

        However it ends, zero torque and a stop go to the device, and log and line are closed.
        """
        ticker = Ticker(self.clock, self.settings.period)
        end = math.inf if seconds is None else self.clock.now() + seconds
        try:
            while True:
                missed = ticker.wait()
                began = self.clock.now()
                if began >= end and not self._stopping:
                    self.request(Request.STOP)
                out = self._period(ticker.deadline, began, missed)
                if self._is_over(began, out):
                    break
        finally:
            self.report.overruns = ticker.overruns
            self._shut_down()
        return self.report

    def _period(self, deadline: float, began: float, missed: int) -> TickOutput:
        news = self.link.poll(began)
        self._meet(self.link.facts)
        tick = TickInput(
            now=began,
            sample=news.sample,
            counts=news.counts,
            overruns=missed,
            connected=self.link.facts is not None,
            suitable=self._suitable,
            link_lost=not self.link.is_open,
            log_lost=self.log.failing,
            request=self._next_request(),
        )
        out = self.core.step(tick)
        self.link.send_torque(began, out.sent_mnm, out.enable)
        if out.state is State.ESTOP:
            self.link.stop(began, StopReason.EMERGENCY)
        written = self.clock.now()
        self.log.tick(self.report.ticks, tick, out)
        self._note(tick, out, news.faults)
        self._time(deadline, began, written, tick)
        if self._on_tick is not None:
            self._on_tick(self.report.ticks, tick, out)
        self.report.ticks += 1
        return out

    def _next_request(self) -> Request:
        request, self._request = self._request, Request.NONE
        if self._estop:
            return Request.ESTOP
        if self._stopping:
            return Request.STOP
        if request is Request.NONE and self.settings.arm and self._state is State.IDLE:
            return Request.ARM
        return request

    def _is_over(self, now: float, out: TickOutput) -> bool:
        """The run has come to its end."""
        if out.state is State.ESTOP or (out.state is State.FAULT and self.settings.arm):
            if self._ended_at is None:
                self._ended_at = now
            return now - self._ended_at >= LINGER
        self._ended_at = None
        return self._stopping and out.state not in ENABLED

    def _meet(self, facts: DeviceFacts | None) -> None:
        """Look at what a device says of itself when it is new."""
        if facts is self._facts:
            return
        self._facts = facts
        if facts is None:
            return
        reasons = unsuitable(facts, self.settings)
        self._suitable = not reasons
        self.report.problems += [f"The device cannot be used: {reason}." for reason in reasons]
        self.log.event(event="device", **asdict(facts))

    def _note(self, tick: TickInput, out: TickOutput, device_faults: list[Any]) -> None:
        report = self.report
        report.samples += tick.sample is not None
        self._faults |= out.faults
        peak = max(map(abs, out.limited))
        report.peak_torque = max(report.peak_torque, peak)
        for fault in device_faults:
            self.log.event(event="device_fault", flag=fault.flag, detail=fault.detail)
        if out.state is not self._state:
            self._state = out.state
            report.states.append(out.state.name)
            self.log.event(event="state", state=out.state.name, faults=int(out.faults))
            if out.state in (State.FAULT, State.ESTOP):
                self._try("bringing the log to the disk", self.log.sync)
        if self.core.problem and self.core.problem not in report.problems:
            report.problems.append(self.core.problem)

    def _time(self, deadline: float, began: float, written: float, tick: TickInput) -> None:
        self._lateness.add(began - deadline)
        self._latency.add(written - deadline)
        self._sent_at[self.link.sequence % SENT] = written
        if tick.sample is not None and isinstance(tick.sample.body, Sensors):
            confirmed = tick.sample.body.command_sequence
            recent = 0 <= self.link.sequence - confirmed < SENT
            sent = self._sent_at[confirmed % SENT]
            if recent and confirmed != self._confirmed and math.isfinite(sent):
                self._confirmed = confirmed
                self._round_trip.add(began - sent)

    # The end

    def _shut_down(self) -> None:
        """Every step is taken, whatever becomes of the others."""
        now = self.clock.now()
        for _ in range(STOPS):
            self._try("sending zero torque", lambda: self.link.send_torque(now, (0, 0), Enable.OFF))
            self._try("sending a stop", lambda: self.link.stop(now, self._reason()))
        report = self.report
        report.latency, report.lateness = self._latency.summary(), self._lateness.summary()
        report.round_trip = self._round_trip.summary()
        report.final_state = (self._state or State.BOOT).name
        report.faults = [code.name for code in FaultCode if code & self._faults and code.name]
        report.link_lost = self.link.lost
        self._try("keeping the end in the log", lambda: self.log.event(**self._end()))
        report.log_dropped = self.log.dropped
        self._try("closing the log", self.log.close)
        self._try("closing the line", self.link.close)

    def _reason(self) -> StopReason:
        return StopReason.EMERGENCY if self._state is State.ESTOP else StopReason.END

    def _end(self) -> dict[str, Any]:
        return {"event": "end", **self.report.to_dict()}

    def _try(self, what: str, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:
            # One failing stop must not keep the next from being tried; it is told in the report.
            self.report.problems.append(f"{what} failed: {type(error).__name__}: {error}")


@contextmanager
def stop_on_signals(runtime: Runtime) -> Iterator[None]:
    """The first interrupt or termination ramps torque out, the second is an emergency stop."""
    seen = 0

    def heard(_number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        runtime.request(Request.STOP if seen == 1 else Request.ESTOP)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP"):
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, heard) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
