"""``osim-exo deploy virtual``: an exoskeleton for those who have none."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from osim_exo.cli.command import DONE, FAILED, STDOUT, Command, JsonTarget, emit_json
from osim_exo.errors import MissingExtraError
from osim_exo.files import read_json
from osim_exo.progress import Progress

if TYPE_CHECKING:
    from osim_exo.deploy.device_core import FirmwareSettings
    from osim_exo.deploy.walkers import Walker

LIVE = "live:"
"""Begins the name of a walker that is simulated while the device runs."""


@dataclass(frozen=True)
class VirtualDevice(Command):
    """Be an exoskeleton: firmware, drives, sensors and line, simulated, on a port.

    Its name is printed first; give it to 'osim-exo deploy run --port'. Disturbances are a JSON list
    such as [{"what": "corrupt", "at_s": 10, "for_s": 2, "amount": 0.3}]; docs/safety.md lists them.
    """

    port: str = "pty"
    """pty for a pseudo-terminal, or socket://127.0.0.1:5760 (port 0: any that is free)"""

    walker: str | None = None
    """trial folder of the walk that the device measures, or live:NAME_OR_RUN, a trained walker in
    the simulation that feels the device's torque; by default sines"""

    speed: float = 1.25
    """commanded speed of a live walker, m/s"""

    slope: float = 0.0
    """ground of a live walker, uphill positive, degrees"""

    physics: Literal["compiled", "opensim"] = "compiled"
    """of a live walker"""

    policy: Path | None = None
    """policy that the firmware holds, exported to C, for deploy run --onboard: a bundle's folder,
    or a shipped one as hip_thigh_gyro"""

    board: Literal["host", "cortex-m4", "cortex-m7"] = "host"
    """where a firmware with a policy runs: compiled for this machine, or on an emulated board"""

    mass: float = 75.0
    """body mass for that policy, kg"""

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
        from osim_exo.deploy.emulator import EmulatorError
        from osim_exo.deploy.timing import SystemClock, real_time
        from osim_exo.deploy.virtual_exo import VirtualExo, VirtualSettings
        from osim_exo.deploy.virtual_port import Port, PtyPort, TcpPort, Trace, serve

        fields = {} if self.settings is None else read_json(self.settings)
        settings = VirtualSettings.model_validate(fields)
        walker = self._walker(progress)
        script = () if self.faults is None else read_script(self.faults)
        trace = None if self.trace is None else Trace(self.trace)
        exo = VirtualExo(settings, walker, script, trace)
        firmware = ExitStack()
        if self.policy is not None:
            exo.core = firmware.enter_context(self._firmware(settings.firmware))
        port: Port = PtyPort(self.alias) if self.port == "pty" else TcpPort(self.port)
        if self.json is not None:
            emit_json(self.json, {"port": port.name})
        if str(self.json) != STDOUT:
            print(f"Port: {port.name}")
        sys.stdout.flush()
        try:
            with real_time():
                serve(exo, port, SystemClock(), self.seconds)
        except EmulatorError as error:
            print(f"osim-exo: {error}", file=sys.stderr)
            return FAILED
        except KeyboardInterrupt:
            progress.note("Interrupted; the virtual device is switched off.")
        finally:
            port.close()
            firmware.close()
            if trace is not None:
                trace.close()
        return DONE

    def _walker(self, progress: Progress) -> Walker:
        """Who wears the device."""
        from osim_exo.deploy.walkers import LiveWalker, SineWalker, TrialWalker

        if self.walker is None:
            return SineWalker()
        name = self.walker.removeprefix(LIVE)
        if name == self.walker:
            from osim_exo.io import read_trial

            return TrialWalker(read_trial(Path(name)))
        try:
            from osim_exo.learn.live import LiveWalker as Simulation
            from osim_exo.learn.walkers import load_walker, shipped_walker, shipped_walkers
        except ModuleNotFoundError as error:
            raise MissingExtraError(str(error.name), "sim") from error
        trained = shipped_walker(name) if name in shipped_walkers() else load_walker(name)
        with progress.step("Preparing the walker"):
            simulation = Simulation(trained, self.speed, self.slope, physics=self.physics)
            return LiveWalker(simulation)

    @contextmanager
    def _firmware(self, settings: FirmwareSettings) -> Iterator[Any]:
        """The C firmware with the policy, on this machine or on an emulated board."""
        from osim_exo.deploy.emulator import EmulatedDevice, build_program
        from osim_exo.deploy.export import export
        from osim_exo.deploy.host_c import HostDevice, build_library
        from osim_exo.deploy.shipped import find_policy

        policy = find_policy(str(self.policy))
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            export(policy, "c99", work / "out", mass=self.mass)
            if self.board == "host":
                yield HostDevice(build_library(work / "out", work), settings, self.mass)
                return
            program = build_program(work / "out", self.board, work)
            device = EmulatedDevice(program, settings, self.mass)
            try:
                yield device
            finally:
                device.close()
