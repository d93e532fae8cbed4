"""A run on a virtual device in this process, on simulated time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from osim_exo.control import Controller
from osim_exo.deploy.c_source import constants_crc
from osim_exo.deploy.core import TickInput, TickOutput
from osim_exo.deploy.disturbances import Disturbance
from osim_exo.deploy.export import read_bundle
from osim_exo.deploy.link import Link
from osim_exo.deploy.log import LogWriter
from osim_exo.deploy.policy_controller import bundle_hash
from osim_exo.deploy.runtime import RunReport, Runtime
from osim_exo.deploy.settings import ControllerSpec, RunSettings
from osim_exo.deploy.states import Ramps, State
from osim_exo.deploy.timing import SimulatedClock
from osim_exo.deploy.virtual_exo import Moment, VirtualExo, VirtualSettings
from osim_exo.deploy.virtual_port import InProcessLine
from osim_exo.deploy.walkers import Walker

QUICK = Ramps(armed_s=0.2, ramp_in_s=0.5, ramp_out_s=0.3)


def policy_settings(folder: Path, **fields: object) -> RunSettings:
    """A run of a policy bundle."""
    _, network, _ = read_bundle(folder)
    spec = {
        "folder": str(folder),
        "sha256": bundle_hash(folder),
        "crc32": constants_crc(network),
    }
    fields = {"mass": 70.0, "ramps": QUICK, **fields}
    return RunSettings(controller=ControllerSpec(kind="policy", settings=spec), **fields)


def settings(kind: str = "delayed_output_feedback", **fields: object) -> RunSettings:
    """A run of a person of 70 kg with short ramps."""
    fields = {"mass": 70.0, "ramps": QUICK, **fields}
    return RunSettings(controller=ControllerSpec(kind=kind), **fields)


@dataclass
class Bench:
    """A runtime, its device and everything that happened."""

    folder: Path
    settings: RunSettings
    script: Sequence[Disturbance] = ()
    controller: Controller | None = None
    walker: Walker | None = None
    core: Any = None
    device: VirtualSettings = field(default_factory=VirtualSettings)
    moments: list[Moment] = field(default_factory=list)
    outputs: list[tuple[TickInput, TickOutput]] = field(default_factory=list)

    def __post_init__(self) -> None:
        numbers = count(1)
        self.clock = SimulatedClock(start=100.0)
        self.exo = VirtualExo(self.device, self.walker, self.script, self.moments.append)
        if self.core is not None:
            self.exo.core = self.core
        self.line = InProcessLine(self.exo, self.clock)
        self.link = Link(lambda: self.line, lambda: next(numbers))
        self.path = self.folder / "run.exolog"
        self.log = LogWriter(self.path, self.settings, {})
        self.runtime = Runtime(
            self.settings,
            self.link,
            self.log,
            self.clock,
            self.controller,
            lambda _, tick, out: self.outputs.append((tick, out)),
        )

    def run(self, seconds: float | None) -> RunReport:
        report = self.runtime.run(seconds)
        # The device goes on without its host.
        self.line.read(1)
        self.clock.sleep_until(self.clock.now() + 0.1)
        self.line.read(1)
        return report

    def peak(self, since_s: float = 0.0) -> float:
        """Largest torque that the drives delivered, Nm."""
        late = [m for m in self.moments if m.time_us >= since_s * 1e6]
        return max((abs(t) for m in late for t in m.delivered), default=0.0)

    def states(self) -> list[State]:
        return [State[name] for name in self.runtime.report.states]
