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
from osim_exo.cli.deploy_score import ScoreLog, number_or_dash
from osim_exo.cli.deploy_virtual import VirtualDevice
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
    """/dev/ttyACM0, COM3, a pseudo-terminal, socket://host:port, or can://socketcan/can0"""

    mass: float
    """body mass of the person, kg; it caps the torque"""

    policy: conf.Positional[Path | None] = None
    """folder of a policy bundle to run, or a shipped one as hip_thigh_gyro; else --controller"""

    onboard: bool = False
    """the device's own copy of the policy acts, within what this machine allows and watches"""

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
        self._check_sensors()
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
        if self.policy is not None:
            if self.controller is not None or given:
                raise InputError(
                    "A policy's folder and another controller were given. Leave out --controller, "
                    "and the controller of --settings."
                )
            fields["controller"] = _policy_spec(self.policy)
        elif self.controller is not None and given.get("kind") != self.controller:
            fields["controller"] = {"kind": self.controller}
        fields |= {"onboard": True} if self.onboard else {}
        if self.condition is not None:
            fields["condition"] = self.condition
        return RunSettings(**fields, mass=self.mass, arm=self.arm)

    def _check_sensors(self) -> None:
        """Refuse a policy that needs what drives on a bus do not measure."""
        from osim_exo.deploy.streams import CAN_SCHEME

        if self.policy is None or not self.port.startswith(CAN_SCHEME):
            return
        from osim_exo.deploy.export import read_bundle
        from osim_exo.deploy.shipped import find_policy

        rows = read_bundle(find_policy(self.policy))[0].observations
        blind = [row.name for row in rows if row.name.startswith("thigh_")]
        if blind:
            raise InputError(
                f"The policy observes {', '.join(blind[:4])}; drives on a CAN bus have encoders "
                "only. Distil a student with --sensors hip_encoder."
            )

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
class ReplayLog(Command):
    """Run a black box again and compare every output bit for bit; exit code 1 if any differs."""

    log: conf.Positional[Path]
    """black box of a run"""

    policy: Path | None = None
    """folder of the policy that ran, if it lies elsewhere now, or the name of a shipped one"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Replay and print."""
        from osim_exo.deploy.log import read_log
        from osim_exo.deploy.replay import logged_policy, replay
        from osim_exo.deploy.shipped import find_policy

        log = read_log(self.log)
        held = None if self.policy is None else logged_policy(log, find_policy(self.policy))
        result = replay(log, held)
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
class Deploy:
    """Run a controller on a device, or on a virtual one; replay and score what was recorded."""

    command: Annotated[
        Annotated[RunDevice, conf.subcommand("run")]
        | Annotated[VirtualDevice, conf.subcommand("virtual")]
        | Annotated[ReplayLog, conf.subcommand("replay")]
        | Annotated[ScoreLog, conf.subcommand("score")],
        conf.arg(name=""),
    ]


def _policy_spec(name: Path) -> dict[str, Any]:
    """Settings that name a policy by its folder and its hashes."""
    from osim_exo.deploy.c_source import constants_crc
    from osim_exo.deploy.export import read_bundle
    from osim_exo.deploy.policy_controller import bundle_hash
    from osim_exo.deploy.shipped import find_policy

    folder = find_policy(name)
    _, network, _ = read_bundle(folder)
    settings = {
        "folder": str(folder.resolve()),
        "sha256": bundle_hash(folder),
        "crc32": constants_crc(network),
    }
    return {"kind": "policy", "settings": settings}


def _print_report(report: RunReport, log: Path) -> None:
    def spread(times: dict[str, float | None]) -> str:
        return ", ".join(f"{k.removesuffix('_ms')} {number_or_dash(v)}" for k, v in times.items())

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
