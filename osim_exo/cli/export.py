"""``osim-exo export``: a policy as C99, as ONNX, or as a torque profile for OpenExo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tyro import conf

from osim_exo.cli.command import DONE, STDOUT, Command, JsonTarget, emit_json, output, table
from osim_exo.progress import Progress


@dataclass(frozen=True)
class Export(Command):
    """Write a policy for another device; everything is compared with the bundle first.

    c99: constants with their CRC, static buffers, a self-test with golden outputs, and the
    firmware's sources with limiter and watchdog. onnx: the network and its interface. openexo: CSV
    files of the mean torque over the gait cycle, for OpenExo's spline and Franks-Collins
    controllers.
    """

    bundle: conf.Positional[Path]
    """folder of the policy, or the name of a shipped one as hip_thigh_gyro"""

    to: Literal["c99", "onnx", "openexo"]
    """what to write"""

    out: Path
    """folder for the files: new, empty, or of an earlier export"""

    walk: Path | None = None
    """trial folder of a walk to compare and to average on; by default sines"""

    mass: float = 75.0
    """body mass for torques in Nm, kg"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Export and print what was compared."""
        from osim_exo.deploy.export import export
        from osim_exo.deploy.shipped import find_policy
        from osim_exo.io import read_trial

        walk = None if self.walk is None else read_trial(self.walk)
        done = export(find_policy(self.bundle), self.to, self.out, walk, self.mass)
        if self.json is not None:
            emit_json(self.json, done.to_dict())
        if str(self.json) != STDOUT:
            rows: list[tuple[str, Any]] = [
                ("folder", done.folder),
                ("inputs compared", f"{done.n_compared:,}"),
                ("largest error", _number(done.largest_error)),
                *((name.replace("_", " "), _words(value)) for name, value in done.facts.items()),
                ("files", ", ".join(done.files)),
            ]
            console = output()
            console.print(table((f"export to {self.to}", ""), rows))
            for note in done.notes:
                console.print(note)
        return DONE

    @property
    def kept(self) -> str:
        """What an interrupt leaves behind."""
        return "Nothing was written, or all of it."


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
