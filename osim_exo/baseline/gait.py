"""A solved gait: request, solution, recorded stride, quality gates; and its folder on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from osim_exo.analysis.gates import Gate, failed
from osim_exo.analysis.metabolics import with_metabolic_rates
from osim_exo.analysis.metrics import compute_metrics
from osim_exo.baseline.config import BaselineConfig
from osim_exo.baseline.diagnose import explain
from osim_exo.baseline.gates import check
from osim_exo.baseline.solution import Solution, stride_from
from osim_exo.baseline.storage import load_solution, save_solution
from osim_exo.errors import DataError
from osim_exo.files import read_json, write_json, write_text
from osim_exo.io import read_trial, write_trial
from osim_exo.physics.record import Recorder, describe
from osim_exo.provenance import versions
from osim_exo.trial import Trial

SAMPLES = 101
"""Samples of a recorded stride, 0 and 100 % included."""

STRIKE_FORCE = 20.0
"""N; a foot that carries more is on the ground."""


@dataclass(frozen=True)
class Gait:
    """One solved gait.

    Attributes
    ----------
    config : what was asked
    solution : what the solver gave, on its own grid
    trial : one stride from right heel strike, 101 samples
    gates : quality gates
    search : (stride time, objective) of every converged solve of the stride-time search
    """

    config: BaselineConfig
    solution: Solution
    trial: Trial
    gates: tuple[Gate, ...]
    search: tuple[tuple[float, float], ...] = ()

    @property
    def passed(self) -> bool:
        """Every required gate passed."""
        return not failed(list(self.gates))

    def explanation(self) -> str:
        """What the solver and the gates say, in sentences."""
        words = [explain(self.solution)]
        words += [
            f"Gate {g.name}: {g.value:.3g}, allowed {g.limit}. {g.explanation}"
            for g in failed(list(self.gates))
        ]
        return " ".join(words)

    def summary(self) -> dict[str, Any]:
        """The numbers that a table of gaits shows."""
        metrics = {
            name: metric.value for name, metric in compute_metrics(self.trial).metrics.items()
        }
        return {
            "speed_mps": self.config.speed,
            "slope_deg": self.config.model.slope_deg,
            "condition": self.config.condition,
            "controller": self.config.controller,
            "passed": self.passed,
            "status": self.solution.status,
            "iterations": self.solution.iterations,
            "cpu_seconds": round(self.solution.cpu_seconds, 1),
            "objective": self.solution.objective,
            "terms": dict(self.solution.terms),
            "stride_time_s": self.solution.stride_time,
            "cost_of_transport": metrics.get("cost_of_transport"),
        }


def record_stride(
    config: BaselineConfig, solution: Solution, name: str = "", subject: str = "reference"
) -> Trial:
    """The solution's stride as a trial of 101 samples from right heel strike."""
    request = config.solved_model
    model = request.build()
    recorder = Recorder(model, request.display)
    info = describe(
        request,
        model,
        name or config.condition,
        condition=config.condition,
        controller=config.controller,
        physics="moco",
        subject=subject,
        speed=config.speed,
        stride=True,
        provenance={
            "config_hash": config.hash,
            "status": solution.status,
            "iterations": solution.iterations,
            "cpu_seconds": solution.cpu_seconds,
            "objective": solution.objective,
            "objective_terms": dict(solution.terms),
            "stride_time": solution.stride_time,
            "mirrored": solution.half_stride,
            "versions": versions(),
        },
    )
    motion = solution.stride()
    strike = heel_strike_time(recorder.record(motion, info))
    return with_metabolic_rates(recorder.record(stride_from(motion, strike, SAMPLES), info))


def assemble(
    config: BaselineConfig,
    solution: Solution,
    search: list[tuple[float, float]] | None = None,
    name: str = "",
    subject: str = "reference",
) -> Gait:
    """Record a solution's stride and check it."""
    trial = record_stride(config, solution, name, subject)
    model = config.solved_model.build()
    gates = check(config, solution, model, solution.stride(), trial)
    return Gait(config, solution, trial, tuple(gates), tuple(search or ()))


def heel_strike_time(trial: Trial) -> float:
    """When the right foot lands in a periodic stride, s after its start.

    The start of the longest contact, by linear interpolation: a toe that brushes the ground in
    swing is no heel strike.
    """
    load = trial.grf["ground_force_r_vy"][:-1]
    on = load > STRIKE_FORCE
    starts = np.flatnonzero(on & ~np.roll(on, 1))
    if starts.size == 0:
        raise DataError(
            f"Trial '{trial.info.name}': the right foot is "
            f"{'always' if on.all() else 'never'} on the ground, so it has no heel strike."
        )
    strike = max(starts, key=lambda start: int(np.argmin(np.roll(on, -start))))
    before = load[strike - 1]
    share = (STRIKE_FORCE - before) / (load[strike] - before)
    step = trial.duration / load.size
    return float(((strike - 1 + share) * step) % trial.duration)


def save_gait(gait: Gait, folder: Path, *, trial: bool = True) -> Path:
    """Write ``gait.json``, ``solution.*`` and the trial's files; readable with `load_gait`.

    Without `trial` the folder is small, and loading records the stride anew.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if trial:
        write_trial(gait.trial, folder / "trial")
        write_model(gait.config, folder / "model.osim")
    save_solution(gait.solution, folder / "solution")
    write_json(
        folder / "gait.json",
        {
            "schema_version": 1,
            "config": gait.config.model_dump(mode="json"),
            "config_hash": gait.config.hash,
            "summary": gait.summary(),
            "gates": [g.as_dict() for g in gait.gates],
            "search": [list(p) for p in gait.search],
        },
    )
    return folder


def write_model(config: BaselineConfig, file: Path) -> Path:
    """The model that walked, with geometry paths, for the OpenSim GUI to play the states on."""
    shown = config.solved_model.changed(paths="geometry").build()
    return write_text(file, shown.dump())


def load_gait(folder: Path) -> Gait:
    """Read a gait's folder.

    Raises
    ------
    DataError
        The folder holds no gait, or its parts cannot be read.
    """
    if not (folder / "gait.json").is_file():
        raise DataError(
            f"{folder} is not the folder of a solved gait: it has no gait.json. Give the --out "
            "folder of osim-exo baseline solve, or one of a study's trials."
        )
    data = read_json(folder / "gait.json")
    try:
        fields = set(Gate.__dataclass_fields__)
        gates = tuple(Gate(**{k: v for k, v in g.items() if k in fields}) for g in data["gates"])
        config = BaselineConfig.model_validate(data["config"])
        search = tuple((float(t), float(j)) for t, j in data["search"])
    except (KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
        raise DataError(f"{folder / 'gait.json'} is not a gait of this version: {error}") from error
    solution = load_solution(folder / "solution")
    stored = folder / "trial"
    trial = read_trial(stored) if stored.is_dir() else record_stride(config, solution)
    return Gait(config, solution, trial, gates, search)


def relabel(gait: Gait, **facts: Any) -> Gait:
    """The same gait with other facts in its trial's info, as ``subject``."""
    return replace(gait, trial=replace(gait.trial, info=replace(gait.trial.info, **facts)))
