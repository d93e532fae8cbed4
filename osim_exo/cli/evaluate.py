"""``osim-exo evaluate``: walks of a trained policy in OpenSim, and compiled for contrast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
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
from osim_exo.errors import InputError
from osim_exo.files import writable_folder
from osim_exo.progress import Progress

if TYPE_CHECKING:
    from osim_exo.learn.evaluate import Walked


@dataclass(frozen=True)
class Evaluate(Command):
    """Walk with a trained policy and tell what its strides were like.

    OpenSim is the physics of record; the compiled model shows what the transfer between the two
    changes. Falls are counted. Exit code 1 if no walk lasted long enough for a stride.
    """

    walker: conf.Positional[str]
    """folder of a training run, or the name of a shipped walker, as gait2d_walk_1.25_mps"""

    physics: Literal["opensim", "compiled", "both"] = "both"
    """which physics"""

    speed: float = 1.25
    """commanded speed, m/s"""

    slope: float = 0.0
    """uphill positive, degrees"""

    runs: int = 2
    """walks, begun at phases spread over the stride"""

    duration: float = 12.0
    """of a walk, s; the first 3 s are left out of the strides"""

    standing: bool = False
    """begin standing, not within a stride"""

    substep: float = 0.0005
    """step of the compiled physics, s"""

    accuracy: float = 1e-3
    """of OpenSim's integrator"""

    out: Path | None = None
    """folder for the trials, to compare and to look at; else only printed"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Load, walk, write and print."""
        from osim_exo.learn.evaluate import Evaluation, evaluate
        from osim_exo.learn.walkers import load_walker, shipped_walker, shipped_walkers

        if self.walker not in shipped_walkers() and not Path(self.walker).is_dir():
            raise InputError(
                f"'{self.walker}' is neither the folder of a training run nor a shipped walker. "
                f"Shipped: {', '.join(shipped_walkers())}. osim-exo train makes runs."
            )
        shipped = self.walker in shipped_walkers()
        walker = shipped_walker(self.walker) if shipped else load_walker(self.walker)
        if self.out is not None:
            writable_folder(self.out)
        found: dict[str, Walked] = {}
        for physics in ("opensim", "compiled") if self.physics == "both" else (self.physics,):
            settings = Evaluation(
                physics=physics,
                speed=self.speed,
                slope_deg=self.slope,
                runs=self.runs,
                duration=self.duration,
                settle=min(3.0, 0.5 * self.duration),
                standing=self.standing,
                substep=self.substep,
                accuracy=self.accuracy,
            )
            found[physics] = evaluate(
                walker.task, None, settings, frozen=walker.policies, progress=progress
            )
            self._write(physics, found[physics])
        rows = strides(found)
        if self.json is not None:
            emit_json(self.json, {"walker": self.walker, "physics": rows})
        if str(self.json) != STDOUT:
            _show(rows)
        return DONE if any(row["strides"] for row in rows.values()) else FAILED

    def _write(self, physics: str, walked: Walked) -> None:
        from osim_exo.io import write_trial

        if self.out is not None:
            for k, trial in enumerate(walked.trials):
                write_trial(trial, self.out / physics / f"run_{k + 1}")


def strides(found: dict[str, Walked]) -> dict[str, dict[str, Any]]:
    """Falls and the strides' means and standard deviations, by physics."""
    from osim_exo.analysis.strides import stride_table
    from osim_exo.errors import DataError

    rows: dict[str, dict[str, Any]] = {}
    for physics, walked in found.items():
        tables = []
        for trial in walked.trials:
            try:
                tables.append(stride_table(trial))
            except DataError:  # fell before its first whole stride; counted among the falls
                continue
        values = np.concatenate([t.values for t in tables]) if tables else np.zeros((0, 0))
        names = tables[0].names if tables else ()
        spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(len(names), np.nan)
        rows[physics] = {
            "walks": len(walked.fell_at),
            "falls": walked.falls,
            "seconds": walked.seconds,
            "strides": len(values),
            "mean": dict(zip(names, values.mean(axis=0).tolist())) if tables else {},
            "sd": {n: None if np.isnan(s) else float(s) for n, s in zip(names, spread)},
        }
    return rows


def _show(rows: dict[str, dict[str, Any]]) -> None:
    console = output()
    for physics, row in rows.items():
        console.print(
            f"{physics}: {row['falls']} of {row['walks']} walks fell; they lasted "
            f"{row['seconds']:.1f} s on average; {row['strides']} strides"
        )
    names = next((tuple(row["mean"]) for row in rows.values() if row["mean"]), ())
    lines = []
    for name in names:
        cells = [
            f"{row['mean'][name]:.4g} ± {row['sd'][name]:.2g}"
            if row["mean"] and row["sd"][name] is not None
            else "–"
            for row in rows.values()
        ]
        lines.append((name, *cells))
    if lines:
        console.print(table(("per stride, mean ± SD", *rows), lines))
