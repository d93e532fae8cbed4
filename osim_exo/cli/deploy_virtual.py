"""``osim-exo deploy virtual``: an exoskeleton for those who have none."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

from osim_exo.cli.command import DONE, STDOUT, Command, JsonTarget, emit_json
from osim_exo.files import read_json
from osim_exo.progress import Progress


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
