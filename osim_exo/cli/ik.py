"""``osim-exo ik``: the motion of a model that follows recorded markers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tyro import conf

from osim_exo.cli.command import DONE, STDOUT, Command, JsonTarget, emit_json, output, table
from osim_exo.errors import DataError, InputError
from osim_exo.progress import Progress

if TYPE_CHECKING:
    from osim_exo.io import Markers
    from osim_exo.kinematics import SolvedMotion

MOTIONS = (".mot", ".sto")


@dataclass(frozen=True)
class Ik(Command):
    """Inverse kinematics with OpenSim: recorded markers in, a motion and its marker errors out.

    The model is that of the recorded person, scaled, with markers named as in the recording. The
    motion can be compared as a measured walk, and imitated: osim-exo train --task imitate
    --reference MOTION.mot.
    """

    model: conf.Positional[str]
    """.osim file with a MarkerSet"""

    markers: conf.Positional[Path]
    """.trc or .c3d file"""

    out: Path
    """.mot or .sto file to write: coordinates in radians and metres"""

    start: float | None = None
    """first frame, s"""

    end: float | None = None
    """last frame, s"""

    weight: tuple[str, ...] = ()
    """weights as MARKER=NUMBER, 1 where not named; 0 leaves a marker out"""

    tasks: Path | None = None
    """weights from an OpenSim IK setup or task set (.xml); --weight changes them"""

    forward: str | None = None
    """axis of the recording that points forward, +x to -z; by default +x"""

    up: str | None = None
    """axis that points up; by default +y in .trc; in .c3d the file's own, else +z"""

    accuracy: float = 1e-7
    """of the assembly; OpenSim's own tool takes 1e-5, which is faster and coarser"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Solve, write and print."""
        from osim_exo.kinematics import inverse_kinematics
        from osim_exo.marker_checks import read_task_weights

        if self.out.suffix.lower() not in MOTIONS:
            raise InputError(f"--out {self.out} was given; needed is a .mot or .sto file.")
        weights = read_task_weights(self.tasks) if self.tasks is not None else {}
        weights |= dict(_weight(text) for text in self.weight)
        found = inverse_kinematics(
            self.model,
            read_markers(self.markers, self.forward, self.up),
            start=self.start,
            end=self.end,
            weights=weights,
            accuracy=self.accuracy,
            progress=progress,
        )
        found.write(self.out)
        if self.json is not None:
            emit_json(self.json, _as_dict(found, self.out))
        if str(self.json) != STDOUT:
            _show(found, self.out)
        return DONE


def read_markers(path: Path, forward: str | None, up: str | None) -> Markers:
    """Markers of a .trc or .c3d file in OpenSim's axes.

    Raises
    ------
    DataError
        It is neither, or cannot be read.
    """
    from osim_exo.io import read_c3d, read_trc

    kind = path.suffix.lower()
    if kind == ".trc":
        return read_trc(path).turned(forward or "+x", up or "+y")
    if kind == ".c3d":
        return read_c3d(path, forward, up).markers
    raise DataError(f"{path} holds no markers that can be read; allowed are .trc and .c3d files.")


def _weight(text: str) -> tuple[str, float]:
    name, equals, number = text.rpartition("=")
    try:
        if not (name and equals):
            raise ValueError
        return name, float(number)
    except ValueError:
        raise InputError(
            f"--weight was given '{text}'; needed is MARKER=NUMBER, like R.Heel=2."
        ) from None


def _rows(found: SolvedMotion) -> list[dict[str, Any]]:
    """Errors by marker, the worst first, m."""
    rows = []
    for name in found.errors.names:
        errors = found.errors[name]
        seen = np.isfinite(errors)
        if seen.any():
            rms = float(np.sqrt(np.mean(errors[seen] ** 2)))
            worst = int(np.nanargmax(errors))
            rows.append(
                {
                    "marker": name,
                    "rms_m": rms,
                    "largest_m": float(errors[worst]),
                    "at_s": float(found.time[worst]),
                    "frames_unseen": int((~seen).sum()),
                }
            )
    return sorted(rows, key=lambda row: -row["rms_m"])


def _as_dict(found: SolvedMotion, path: Path) -> dict[str, Any]:
    return {
        "file": str(path),
        "frames": int(found.time.size),
        "start": float(found.time[0]),
        "end": float(found.time[-1]),
        "rms_m": found.rms,
        "largest_m": found.largest[0],
        "markers": _rows(found),
        "notes": list(found.notes),
    }


def _show(found: SolvedMotion, path: Path) -> None:
    console = output()
    lines = [
        (
            row["marker"],
            f"{1e3 * row['rms_m']:.1f}",
            f"{1e3 * row['largest_m']:.1f}",
            f"{row['at_s']:.3g}",
            row["frames_unseen"] or "",
        )
        for row in _rows(found)
    ]
    console.print(table(("marker", "RMS, mm", "largest, mm", "at, s", "frames unseen"), lines))
    largest, name, time = found.largest
    console.print(
        f"{found.time.size} frames, {found.time[0]:g} to {found.time[-1]:g} s; all markers: RMS "
        f"{1e3 * found.rms:.1f} mm, largest {1e3 * largest:.1f} mm ({name} at {time:.3g} s)"
    )
    for note in found.notes:
        console.print(f"Note: {note}")
    console.print(f"Motion: {path}")
