"""``osim-exo deploy``: a controller on a device, a virtual device, and what a run left behind."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.console import Console
from tyro import conf

from osim_exo.cli.command import (
    DONE,
    FAILED,
    STDOUT,
    Command,
    JsonTarget,
    emit_json,
    output,
    table,
)
from osim_exo.errors import DataError, InputError
from osim_exo.files import read_json
from osim_exo.progress import Progress
from osim_exo.provenance import provenance

if TYPE_CHECKING:
    from osim_exo.deploy.runtime import RunReport
    from osim_exo.deploy.settings import RunSettings

Kind = Literal["zero_torque", "delayed_output_feedback", "spline", "playback"]


@dataclass(frozen=True)
class RunDevice(Command):
    """Run a controller on a device; without --arm it only computes and zero torque is sent.

    Research software: no conformity with any standard is claimed. Read docs/safety.md first. An
    interrupt (Ctrl-C) ramps the torque out, a second one is an emergency stop. A fault ends an
    armed run; without --arm the run goes on when the fault has gone.
    """

    port: str
    """/dev/ttyACM0, COM3, a pseudo-terminal, or socket://host:port"""

    mass: float
    """body mass of the person, kg; it caps the torque"""

    controller: Kind | None = None
    """controller that runs; by default the settings' own, else zero_torque"""

    settings: Path | None = None
    """.json with fields of RunSettings: controller settings, limits, thresholds, ramps, rate_hz"""

    condition: str | None = None
    """label of this recording, for instance the name of the trial it is compared with"""

    arm: bool = False
    """send the torque to the device"""

    seconds: float | None = None
    """stop after this time; by default at an interrupt"""

    log: Path | None = None
    """black box, a new file; by default exo-<time>.exolog in this folder"""

    baud: int = 921_600
    """bits per second of a serial port"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Show what will be applied, run, and print what happened."""
        from osim_exo.deploy.link import Link
        from osim_exo.deploy.log import LogWriter
        from osim_exo.deploy.runtime import Runtime, stop_on_signals
        from osim_exo.deploy.streams import open_stream
        from osim_exo.deploy.timing import SystemClock, real_time

        settings = self.run_settings()
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds > 0.0):
            raise InputError(f"--seconds must be a positive number, not {self.seconds}.")
        self._show(settings)
        clock = SystemClock()
        link = Link(lambda: open_stream(self.port, self.baud))
        link.connect(clock.now())
        log = LogWriter(self._log_path(), settings, {"provenance": provenance()})
        runtime = Runtime(settings, link, log, clock)
        with real_time() as granted, stop_on_signals(runtime):
            progress.note(f"Black box: {log.path}. Scheduling: {', '.join(granted)}.")
            report = runtime.run(self.seconds)
        if self.json is not None:
            emit_json(self.json, {"log": str(log.path), **report.to_dict()})
        if str(self.json) != STDOUT:
            _print_report(report, log.path)
        return FAILED if report.final_state in ("BOOT", "FAULT", "ESTOP") else DONE

    @property
    def kept(self) -> str:
        """What an interrupt leaves behind."""
        return "The black box is kept; zero torque was sent if the device was reached."

    def run_settings(self) -> RunSettings:
        """Settings from the file, with what the command line says."""
        from osim_exo.deploy.settings import RunSettings

        fields: dict[str, Any] = {}
        if self.settings is not None:
            content = read_json(self.settings)
            if not isinstance(content, dict):
                raise DataError(f"'{self.settings}' must hold a JSON object of run settings.")
            fields = dict(content)
        for name in ("arm", "mass"):
            if name in fields:
                raise InputError(
                    f"'{self.settings}' holds {name}, which the command line alone decides. "
                    f"Remove it from the file and give --{name}."
                )
        given = fields.get("controller", {})
        if self.controller is not None and given.get("kind") != self.controller:
            fields["controller"] = {"kind": self.controller}
        if self.condition is not None:
            fields["condition"] = self.condition
        return RunSettings(**fields, mass=self.mass, arm=self.arm)

    def _show(self, settings: RunSettings) -> None:
        """Say what will be applied; on a terminal an armed run has to be confirmed."""
        from osim_exo.deploy.runtime import what_will_be_applied

        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        console.print(table(("this run", ""), what_will_be_applied(settings)))
        if self.arm and sys.stdin.isatty() and input("Type ARM to go on: ").strip() != "ARM":
            raise InputError("The run was not confirmed. Nothing was sent to the device.")

    def _log_path(self) -> Path:
        return self.log or Path(time.strftime("exo-%Y%m%dT%H%M%SZ.exolog", time.gmtime()))


@dataclass(frozen=True)
class VirtualDevice(Command):
    """Be an exoskeleton: firmware, drives, sensors and line, simulated, on a port.

    Its name is printed first; give it to 'osim-exo deploy run --port'. Disturbances are a JSON list
    such as [{"what": "corrupt", "at_s": 10, "for_s": 2, "amount": 0.3}]; docs/safety.md lists them.
    """

    port: str = "pty"
    """pty for a pseudo-terminal, or socket://127.0.0.1:5760 (port 0: any that is free)"""

    walker: Path | None = None
    """trial folder of the walk that the device measures; by default sines"""

    faults: Path | None = None
    """.json with disturbances"""

    seconds: float = math.inf
    """stop after this time; by default at an interrupt"""

    alias: Path | None = None
    """path of a link to the pseudo-terminal"""

    trace: Path | None = None
    """file for every step of the torque loop"""

    settings: Path | None = None
    """.json with fields of VirtualSettings"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Serve until the time is over or an interrupt comes."""
        from osim_exo.deploy.disturbances import read_script
        from osim_exo.deploy.timing import SystemClock, real_time
        from osim_exo.deploy.virtual_exo import VirtualExo, VirtualSettings
        from osim_exo.deploy.virtual_port import Port, PtyPort, TcpPort, Trace, serve
        from osim_exo.deploy.walkers import SineWalker, TrialWalker, Walker

        fields = {} if self.settings is None else read_json(self.settings)
        settings = VirtualSettings.model_validate(fields)
        walker: Walker = SineWalker()
        if self.walker is not None:
            from osim_exo.io import read_trial

            walker = TrialWalker(read_trial(self.walker))
        script = () if self.faults is None else read_script(self.faults)
        trace = None if self.trace is None else Trace(self.trace)
        exo = VirtualExo(settings, walker, script, trace)
        port: Port = PtyPort(self.alias) if self.port == "pty" else TcpPort(self.port)
        if self.json is not None:
            emit_json(self.json, {"port": port.name})
        if str(self.json) != STDOUT:
            print(f"Port: {port.name}")
        sys.stdout.flush()
        try:
            with real_time():
                serve(exo, port, SystemClock(), self.seconds)
        except KeyboardInterrupt:
            progress.note("Interrupted; the virtual device is switched off.")
        finally:
            port.close()
            if trace is not None:
                trace.close()
        return DONE


@dataclass(frozen=True)
class ReplayLog(Command):
    """Run a black box again and compare every output bit for bit; exit code 1 if any differs."""

    log: conf.Positional[Path]
    """black box of a run"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Replay and print."""
        from osim_exo.deploy.log import read_log
        from osim_exo.deploy.replay import replay

        result = replay(read_log(self.log))
        if self.json is not None:
            emit_json(self.json, result.to_dict())
        if str(self.json) != STDOUT:
            print(f"{result.n_equal} of {result.n_tick} periods are equal bit for bit.")
            if result.first_difference is not None:
                print(f"Period {result.first_difference} differs: {result.difference}")
            if result.gap_at is not None:
                print(f"Records before period {result.gap_at} are lost; a replay ends there.")
            if result.torn:
                print(f"{result.torn} records cannot be read.")
        return DONE if result.reproduced else FAILED


@dataclass(frozen=True)
class ScoreLog(Command):
    """Compare the torque of black boxes with simulated walks: correlation, error, phase lag."""

    logs: Annotated[conf.Positional[tuple[Path, ...]], conf.arg(metavar="LOG ...")]
    """black boxes of runs"""

    against: tuple[Path, ...]
    """trial folders: one for all logs, or one for each, in their order"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Compare and print."""
        from osim_exo.deploy.log import read_log
        from osim_exo.deploy.score import score
        from osim_exo.io import read_trial

        if not self.logs or len(self.against) not in (1, len(self.logs)):
            raise InputError(
                f"{len(self.logs)} logs and {len(self.against)} trials were given; give one trial "
                "for all logs or one for each."
            )
        trials = [read_trial(folder) for folder in self.against]
        trials = trials * len(self.logs) if len(trials) == 1 else trials
        rows = [
            (path, row)
            for path, trial in zip(self.logs, trials)
            for row in score(read_log(path), trial)
        ]
        if self.json is not None:
            emit_json(self.json, [{"log": str(path), **row.to_dict()} for path, row in rows])
        if str(self.json) != STDOUT:
            columns = ("log", "condition", "side", "strides", "r", "RMSE Nm/kg", "lag %", "lag s")
            cells = [
                (
                    path.name,
                    row.condition,
                    row.side,
                    row.n_stride,
                    _with_sd(row.r, row.r_sd),
                    _with_sd(row.rmse_nm_per_kg, row.rmse_sd_nm_per_kg),
                    _number(row.phase_lag_percent),
                    _number(row.phase_lag_s),
                )
                for path, row in rows
            ]
            output().print(table(columns, cells))
        return DONE


@dataclass(frozen=True)
class Deploy:
    """Run a controller on a device, or on a virtual one; replay and score what was recorded."""

    command: Annotated[
        Annotated[RunDevice, conf.subcommand("run")]
        | Annotated[VirtualDevice, conf.subcommand("virtual")]
        | Annotated[ReplayLog, conf.subcommand("replay")]
        | Annotated[ScoreLog, conf.subcommand("score")],
        conf.arg(name=""),
    ]


def _print_report(report: RunReport, log: Path) -> None:
    def spread(times: dict[str, float | None]) -> str:
        return ", ".join(f"{k.removesuffix('_ms')} {_number(v)}" for k, v in times.items())

    rows = [
        ("states", " > ".join(report.states)),
        ("periods", f"{report.ticks}, {report.samples} with a new sample"),
        ("missed deadlines", report.overruns),
        ("loop latency, ms", spread(report.latency)),
        ("late by, ms", spread(report.lateness)),
        ("round trip, ms", spread(report.round_trip)),
        ("peak torque, Nm", f"{report.peak_torque:.3g}"),
        ("faults", ", ".join(report.faults) or "none"),
        ("line lost", report.link_lost),
        ("log records lost", report.log_dropped),
        ("black box", log),
    ]
    console = output()
    console.print(table(("run", ""), rows))
    for problem in report.problems:
        console.print(problem)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _with_sd(value: float | None, sd: float | None) -> str:
    return "-" if value is None else f"{_number(value)} ± {_number(sd)}"
