"""``osim-exo doctor``: can this machine do the main job, and if not, what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from osim_exo.cli.command import DONE, FAILED, STDOUT, Command, JsonTarget, emit_json, output
from osim_exo.progress import Progress


@dataclass(frozen=True)
class Doctor(Command):
    """Check this machine: versions, OpenSim and Moco, write access, a short self-test.

    Exit code 0 if `osim-exo study run` can work here, 1 if not; each problem comes with its fix.
    """

    out: Path = Path("results")
    """folder that results are to go to; only looked at"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Look at everything and print what was found."""
        from osim_exo import doctor

        report = doctor.examine(self.out)
        if self.json is not None:
            emit_json(self.json, report.as_dict())
        if str(self.json) != STDOUT:
            output().print(report.as_text())
        return DONE if report.healthy else FAILED
