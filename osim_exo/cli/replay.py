"""``osim-exo baseline replay``: a solved gait's controls, run forward in a stepped physics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from tyro import conf

from osim_exo.cli.command import DONE, STDOUT, Command, JsonTarget, emit_json, output, table
from osim_exo.errors import DataError
from osim_exo.observations import TRANSLATIONS
from osim_exo.progress import Progress
from osim_exo.units import DEG

if TYPE_CHECKING:
    from osim_exo.baseline import Gait
    from osim_exo.trial import Trial

GAIT = "gait.json"
"""The file that makes a folder a gait's."""


def find_gait(text: str, model: str) -> Gait:
    """The gait that a user names: a folder, or SPEED/SLOPE like 1.25/0 in the library."""
    from osim_exo import baseline

    walk = re.fullmatch(r"(\d+(?:\.\d*)?)/([+-]?\d+(?:\.\d*)?)", text)
    if (Path(text) / GAIT).is_file():
        return baseline.load_gait(Path(text))
    if walk:
        return baseline.library.load(model, float(walk[1]), float(walk[2]))
    raise DataError(
        f"'{text}' is neither a folder with a {GAIT} nor SPEED/SLOPE like 1.25/0. "
        "osim-exo baseline show lists the gaits of the library."
    )


@dataclass(frozen=True)
class ReplayGait(Command):
    """Run a gait's own controls forward, and tell how far the walker departs from it.

    Nothing corrects the walker: every open-loop walk departs within a few tenths of a second.
    """

    gait: conf.Positional[str]
    """folder of a gait, or SPEED/SLOPE like 1.25/0 in the library"""

    model: str = "gait2d"
    """model of the library's gait"""

    physics: Literal["opensim", "compiled"] = "opensim"
    """OpenSim's own integration, or the compiled model"""

    start: float = 0.0
    """time in the stride to start from, s"""

    duration: float = 0.1
    """s"""

    control_dt: float = 0.005
    """time that each control is held, s"""

    substep: float = 0.0005
    """step of the compiled physics, s"""

    out: Path | None = None
    """folder for the trial, to compare and to look at; else only printed"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Load, run, write and print."""
        from osim_exo.evaluate import rollout
        from osim_exo.io import write_trial

        gait = find_gait(self.gait, self.model)
        plan = gait.solution.stride()
        with progress.step(f"Replay in {self.physics}"):
            trial = rollout(
                gait.config.model,
                plan,
                self.duration,
                start=float(plan.time[0]) + self.start,
                control_dt=self.control_dt,
                physics=self.physics,
                substep=self.substep,
                name=f"replay_{self.physics}",
                speed=gait.config.speed,
            )
        if self.out is not None:
            write_trial(trial, self.out)
        rows = departures(trial, plan)
        fell_at = trial.info.provenance["fell_at"]
        if self.json is not None:
            content = {"gait": self.gait, "physics": trial.info.physics, "start_s": self.start}
            emit_json(self.json, {**content, "fell_at_s": fell_at, "departures": rows})
        if str(self.json) != STDOUT:
            shown = [
                (f"{1e3 * r['time_s']:.0f}", f"{r['angle_deg']:.3g}", f"{1e3 * r['length_m']:.3g}")
                for r in rows
            ]
            console = output()
            console.print(table(("after, ms", "largest angle error, deg", "length, mm"), shown))
            if fell_at is not None:
                console.print(f"The walker fell at {fell_at:.3g} s.")
            if self.out is not None:
                console.print(f"Trial: {self.out}")
        return DONE


def departures(trial: Trial, plan: Any, number: int = 5) -> list[dict[str, float]]:
    """Largest differences between a replayed trial and its plan, at times spread over it.

    Parameters
    ----------
    trial : as `osim_exo.evaluate.rollout` gives it
    plan : the Motion that was replayed
    number : how many times
    """
    paths = trial.info.provenance["coordinate_paths"]
    names = trial.coordinates.names
    planned = np.stack(
        [np.interp(trial.time, plan.time, plan.states[f"{paths[n]}/value"]) for n in names], axis=1
    )
    error = np.abs(trial.coordinates.values - planned)
    is_length = np.array([name.endswith(TRANSLATIONS) for name in names])
    last = len(trial.time) - 1
    picked = np.unique(np.linspace(0, last, number + 1).round().astype(int)[1:])
    return [
        {
            "time_s": float(trial.time[k] - trial.time[0]),
            "angle_deg": float(error[k, ~is_length].max(initial=0.0) / DEG),
            "length_m": float(error[k, is_length].max(initial=0.0)),
        }
        for k in picked
    ]
