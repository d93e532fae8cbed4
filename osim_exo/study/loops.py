"""Closed loops of trained walkers: the unit that a study evaluates, stores and resumes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from osim_exo.analysis.cohort import Missing, Unit, unit_of
from osim_exo.analysis.cycles import stride_times, strides_in
from osim_exo.analysis.metrics import Metric
from osim_exo.config import Config
from osim_exo.control import (
    Controller,
    DelayedOutputFeedback,
    FeedbackSettings,
    Playback,
    Spline,
    SplineProfile,
    TorqueTable,
    ZeroTorque,
)
from osim_exo.errors import DataError, OsimExoError
from osim_exo.files import read_json, write_json
from osim_exo.io import read_trial, write_trial
from osim_exo.learn.chain import read_chain
from osim_exo.learn.evaluate import Evaluation, Walked, evaluate
from osim_exo.learn.tasks.config import Randomisation
from osim_exo.learn.walkers import load_stage
from osim_exo.models import JointExo
from osim_exo.names import Condition
from osim_exo.provenance import config_hash
from osim_exo.study.conditions import PART
from osim_exo.study.solving import Outcome
from osim_exo.trial import SERIES, Channels, Trial

UNIT = "unit.json"
"""What the walks of a unit were like."""

SHOWN_STRIDES = 2
"""Strides of a unit's first walk that are kept as a trial, to look at."""

SHOWN_BESIDE = 0.2
"""Share of a stride that is kept before and after them."""


class Drive(Config):
    """A controller that drives the device in place of the exo's policy; by default zero torque."""

    feedback: FeedbackSettings | None = Field(default=None, description="delayed output feedback")
    spline: SplineProfile | None = Field(default=None, description="pulses over the gait cycle")
    playback: TorqueTable | None = Field(default=None, description="a solved torque")

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [n for n in type(self).model_fields if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} were given; one controller drives the device")
        return self

    @property
    def name(self) -> str:
        """As a trial calls its controller."""
        if self.feedback is not None:
            return "delayed_output_feedback"
        return "spline" if self.spline else "playback" if self.playback else "none"

    def controller(self) -> Controller:
        """A new controller."""
        if self.feedback is not None:
            return DelayedOutputFeedback(self.feedback)
        if self.spline is not None:
            return Spline(self.spline)
        if self.playback is not None:
            return Playback(self.playback)
        return ZeroTorque()


@dataclass(frozen=True)
class Loop:
    """Walks of one trained seed in one arm, at one speed and slope, in one physics.

    Attributes
    ----------
    arm : folder below ``trials/``
    condition : as in a trial
    chain : folder of the seed's chain
    stage : whose policies walk
    seed : of the chain
    settings : Evaluation
    drive : controller in place of the exo's policy; None: the policy, if the task has one
    label : name of what commands the torque, where the usual one does not tell arms apart
    wears : device in place of the stage's own, on the same human; "none" takes it off
    """

    arm: str
    condition: Condition
    chain: Path
    stage: str
    seed: int
    settings: Evaluation
    drive: Drive | None = None
    label: str = ""
    wears: JointExo | Literal["none"] | None = None

    @property
    def controller(self) -> str:
        """Name of what commands the device's torque, as in a trial."""
        if self.condition != "assisted":
            return "none"
        return self.label or (self.drive.name if self.drive else "learned")

    @property
    def place(self) -> Path:
        """Folder below a study's."""
        return Path("trials") / self.arm / self.walk

    @property
    def walk(self) -> str:
        """Speed, slope and seed in words; the physics where it is not OpenSim."""
        made = f"{self.settings.speed:g}_mps_{self.settings.slope_deg:+g}_deg_seed_{self.seed}"
        return made if self.settings.physics == "opensim" else f"{made}_{self.settings.physics}"

    @property
    def name(self) -> str:
        """Label, unique in a study."""
        return f"{self.arm}_{self.walk}"

    def hash(self) -> str:
        """Of everything that the walks follow from."""
        chain = read_chain(self.chain)
        run = chain.place(self.chain, self.stage)
        task = chain.task(self.chain, self.stage)
        sums = sorted(run.glob("policy/*/SHA256SUMS"))
        for other in (task.human_policy, task.exo_policy):
            sums += [other / "SHA256SUMS"] if other is not None else []
        request: dict[str, Any] = {
            "settings": self.settings.model_dump(mode="json"),
            "drive": self.drive.model_dump(mode="json") if self.drive else None,
            "task": chain.stages[chain.names.index(self.stage)].task.model_dump(mode="json"),
            "policies": [path.read_text(encoding="utf-8") for path in sums if path.is_file()],
        }
        if self.wears is not None:
            request["wears"] = self.wears if self.wears == "none" else self.wears.model_dump()
        return config_hash(request)


@dataclass(frozen=True)
class Measured:
    """A unit as it is stored.

    Attributes
    ----------
    unit : metrics and curves, mean of its walks; falls among the metrics
    model : name of the model
    walks, falls, strides : counts
    seconds : mean time walked, s
    missing : what could not be computed, by reason
    trial : a few strides of the first walk that lasted; None where none did
    """

    unit: Unit
    model: str
    walks: int
    falls: int
    strides: int
    seconds: float
    missing: Missing
    trial: Trial | None


def settle(loop: Loop, folder: Path) -> Outcome:
    """Walk and store a unit; a failure is an outcome. Runs in any process.

    Parameters
    ----------
    loop : Loop
    folder : of the study
    """
    where = folder / loop.place
    try:
        wanted = loop.hash()
        if (where / UNIT).is_file() and read_json(where / UNIT).get("hash") == wanted:
            return Outcome(loop.name, "loaded")
        _keep(loop, _walk(loop), wanted, where)
    except OsimExoError as error:
        return Outcome(loop.name, "failed", str(error))
    except RuntimeError as error:
        # What OpenSim throws arrives as a RuntimeError; it must not stop the other units.
        reason = str(error).strip().partition("\n")[0]
        return Outcome(loop.name, "failed", f"OpenSim refused: {reason}")
    return Outcome(loop.name, "solved")


def _walk(loop: Loop) -> Walked:
    walker = load_stage(loop.chain, loop.stage)
    task = walker.task
    if loop.wears == "none":
        bare = task.model.changed(exo=None)
        task = task.changed(condition="no_exo", model=bare, randomisation=Randomisation())
    elif loop.wears is not None:
        task = task.changed(model=task.model.changed(exo=loop.wears))
    if loop.condition != task.condition and loop.drive is None:
        raise DataError(
            f"Stage {loop.stage} in '{loop.chain}' walks in the condition {task.condition}, "
            f"not in {loop.condition}."
        )
    policies = dict(walker.policies)
    if loop.drive is not None:
        policies.pop("exo", None)
    driven = None if loop.drive is None else loop.drive.controller()
    return evaluate(
        task,
        None,
        loop.settings,
        policies,
        name=loop.name,
        controller=driven,
        seed=loop.seed,
    )


def _keep(loop: Loop, walked: Walked, wanted: str, where: Path) -> None:
    """Write a unit beside its place and move it there in one step."""
    whole = [trial for trial in walked.trials if strides_in(trial)]
    missing: Missing = {}
    unit = unit_of(whole, "seeds", missing) if whole else Unit("reference", loop.seed, {}, {})
    strides = sum(strides_in(trial) for trial in whole)
    metrics = {**unit.metrics, **_falls(walked, strides)}
    content = {
        "hash": wanted,
        "name": loop.name,
        "seed": loop.seed,
        "subject": unit.subject,
        "model": whole[0].info.model if whole else "",
        "walks": len(walked.fell_at),
        "falls": walked.falls,
        "fell_at": list(walked.fell_at),
        "seconds": walked.seconds,
        "strides": strides,
        "settings": loop.settings.model_dump(mode="json"),
        "drive": loop.drive.model_dump(mode="json") if loop.drive else None,
        "metrics": {n: [m.value, m.unit, m.normalisation] for n, m in metrics.items()},
        "curves": {n: np.round(c, 6).tolist() for n, c in unit.curves.items()},
        "missing": [[what, reason] for what, reason in missing],
    }
    part = where.with_name(f".{where.name}.{os.getpid()}{PART}")
    shutil.rmtree(part, ignore_errors=True)
    try:
        if whole:
            write_trial(_named(excerpt(whole[0], SHOWN_STRIDES), loop), part)
        write_json(part / UNIT, content)
        shutil.rmtree(where, ignore_errors=True)
        os.replace(part, where)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _falls(walked: Walked, strides: int) -> dict[str, Metric]:
    """What is told of every unit, also where every walk fell at once."""
    share = walked.falls / len(walked.fell_at)
    rows = (("fall_share", share, "1"), ("seconds_walked", walked.seconds, "s"))
    return {n: Metric(n, float(v), u) for n, v, u in (*rows, ("strides", strides, "1"))}


def excerpt(trial: Trial, strides: int) -> Trial:
    """Some whole right strides from the middle of a trial.

    Parameters
    ----------
    trial : with at least one whole right stride
    strides : at most so many
    """
    found = stride_times(trial, "r")
    first = max(0, (len(found) - strides) // 2)
    chosen = found[first : first + strides]
    # Some swing before and stance after, so that the events at the ends are found again.
    more = SHOWN_BESIDE * float(chosen[0][1] - chosen[0][0])
    keep = (trial.time >= chosen[0][0] - more) & (trial.time <= chosen[-1][1] + more)
    series: Mapping[str, Channels] = {name: getattr(trial, name) for name in SERIES}
    cut = {name: Channels(c.names, c.values[keep]) for name, c in series.items()}
    return Trial(trial.time[keep] - trial.time[keep][0], trial.info, **cut)


def _named(trial: Trial, loop: Loop) -> Trial:
    info = replace(trial.info, name=loop.name, condition=loop.condition, controller=loop.controller)
    return replace(trial, info=info)


def read_unit(folder: Path, loop: Loop) -> Measured:
    """A stored unit.

    Raises
    ------
    DataError
        It is missing or malformed.
    """
    where = folder / loop.place
    content = read_json(where / UNIT)
    try:
        rows = content["metrics"].items()
        metrics = {name: Metric(name, float(v), unit, norm) for name, (v, unit, norm) in rows}
        curves = {n: np.array(c, dtype=float) for n, c in content["curves"].items()}
        unit = Unit(str(content["subject"]), int(content["seed"]), metrics, curves)
        missing: Missing = {(what, reason): [loop.name] for what, reason in content["missing"]}
        walks, falls, strides = (int(content[key]) for key in ("walks", "falls", "strides"))
        model, seconds = str(content["model"]), float(content["seconds"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"'{where / UNIT}' lacks or garbles {error}. Remove '{where}' and run again."
        ) from error
    trial = read_trial(where) if (where / "trial.json").is_file() else None
    return Measured(unit, model, walks, falls, strides, seconds, missing, trial)
