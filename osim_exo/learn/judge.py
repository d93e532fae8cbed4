"""A student on trial: closed loops beside its teacher and its rivals, and with worse sensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.analysis.cycles import mean_cycle
from osim_exo.analysis.metrics import compute_metrics
from osim_exo.control import (
    Controller,
    DelayedOutputFeedback,
    FeedbackSettings,
    LearnedController,
    Playback,
    TorqueTable,
    ZeroTorque,
)
from osim_exo.errors import DataError, InputError
from osim_exo.learn.agreement import agreement
from osim_exo.learn.cases import Case, JudgeConfig, cases
from osim_exo.learn.evaluate import Evaluation, Walked, evaluate
from osim_exo.learn.rivals import TaughtWalk, averaged_profile, tuned_feedback
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.walkers import TrainedWalker
from osim_exo.parallel import each
from osim_exo.progress import SILENT, Progress
from osim_exo.sensors import Sensed, SensorErrors, SensorModel
from osim_exo.trial import Trial

Array = npt.NDArray[np.float64]
Row = dict[str, Any]
Load = Callable[[str], TrainedWalker]

ARMS = ("teacher", "student", "playback", "delayed_output_feedback", "zero_torque")
"""Who drives the device; the same human walks in all of them."""

METRICS = ("mean_activation", "positive_joint_power", "metabolic_rate_bhargava2004")
"""Whose fall against zero torque is the benefit."""

FURTHER = ("metabolic_rate_umberger2010", "exo_positive_power", "cost_of_transport")


@dataclass(frozen=True)
class Job:
    """One walk of one arm, as it is sent to a process.

    Attributes
    ----------
    case, arm : what is walked, who drives
    controller : bundle of the student, or settings of a rival
    errors : of the sensors that a student reads, and whether they are taken as they stand; none:
        true readings
    """

    case: Case
    arm: str
    controller: Path | FeedbackSettings | TorqueTable | None = None
    errors: tuple[SensorErrors, bool] | None = None


@dataclass(frozen=True)
class Judged:
    """What the walks gave.

    Attributes
    ----------
    rows : one per case and arm
    curves : by case and arm, (101,) array, Nm/kg; delivered at the right hip over the gait cycle
    rivals : settings of those that were tuned
    """

    rows: list[Row]
    curves: dict[tuple[str, str], Array] = field(default_factory=dict)
    rivals: dict[str, Any] = field(default_factory=dict)


def judge(
    run: str,
    load: Load,
    student: Path,
    config: JudgeConfig,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> Judged:
    """Walk with the teacher, the student and the rivals.

    Parameters
    ----------
    run : of the teacher
    load : reads it; importable, as it is sent to other processes
    student : its bundle
    config : JudgeConfig
    jobs : walks at a time
    progress : Progress

    Raises
    ------
    DataError
        The teacher has no walk that lasted.
    """
    walks = cases(load(run).task, config)
    first = [Job(case, "teacher") for case in walks]
    judged = Judged([])
    with progress.step(f"The teacher in {config.physics}"):
        taught = gather(judged, run, load, first, config, jobs)
    known = [walk for case in walks if case.kind == "trained" for walk in taught[case.label]]
    profile, feedback = averaged_profile(known), tuned_feedback(known)
    judged.rivals["playback"] = profile.model_dump(mode="json")
    judged.rivals["delayed_output_feedback"] = feedback.model_dump(mode="json")
    rest = [Job(case, "student", student) for case in walks]
    for case in walks:
        if case.kind == "trained":
            rest.append(Job(case, "playback", profile))
            rest.append(Job(case, "delayed_output_feedback", feedback))
            rest.append(Job(case, "zero_torque"))
    with progress.step(f"Student and rivals in {config.physics}"):
        gather(judged, run, load, rest, config, jobs)
    order = {case.label: k for k, case in enumerate(walks)}
    judged.rows.sort(key=lambda row: (order[row["case"]], ARMS.index(row["arm"])))
    return judged


def gather(
    judged: Judged, run: str, load: Load, jobs: Sequence[Job], config: JudgeConfig, n_job: int
) -> dict[str, list[TaughtWalk]]:
    """Walk, and put rows and curves to what is there already."""
    found: dict[str, list[TaughtWalk]] = {job.case.label: [] for job in jobs}
    calls = [(run, load, job, config) for job in jobs]
    results = each(walk, calls, n_job) if n_job > 1 else (walk(*call) for call in calls)
    for row, curve, walks in results:
        judged.rows.append(row)
        found[row["case"]] += walks
        if curve is not None:
            judged.curves[row["case"], row["arm"]] = curve
    return found


def walk(
    run: str, load: Load, job: Job, config: JudgeConfig
) -> tuple[Row, Array | None, list[TaughtWalk]]:
    """One arm in one case: its row, its mean torque, and, for the teacher, what rivals need."""
    walker, case = load(run), job.case
    settings = Evaluation(
        physics=config.physics,
        speed=case.speed,
        slope_deg=case.slope_deg,
        schedule=case.schedule,
        standing=case.standing,
        runs=config.runs,
        duration=config.duration,
        settle=min(config.settle, 0.5 * config.duration),
        accuracy=config.accuracy,
        workers=1,
        seed=config.seed,
    )
    mass = body_mass(walker)
    driver = _controller(job, mass, settings)
    done = evaluate(walker.task, None, settings, walker.policies, controller=driver, name=job.arm)
    # A stumble before a fall is no gait: it would look like a saving.
    lasted = [trial for trial in done.trials if trial.info.provenance["fell_at"] is None]
    row = _row(job, done, settings, walker.task.control_dt, mass)
    row |= _metrics(lasted if case.kind != "changing" else ())
    curve = _curve(lasted, mass) if case.kind == "trained" else None
    taught = _taught(done, settings, walker.task) if job.arm == "teacher" else []
    return row, curve, taught


def body_mass(walker: TrainedWalker) -> float:
    """Of the person without the device, kg: largest torque over that per kg.

    Raises
    ------
    InputError
        The walker has no device with a policy.
    """
    exo, device = walker.policies.get("exo"), walker.task.model.exo
    if exo is None or device is None:
        raise InputError(
            "The run has no policy of an exo. Give a run of osim-exo train with --condition "
            "assisted."
        )
    return float(device.limits.max_torque / exo.interface.actions[0].high)


def _controller(job: Job, mass: float, settings: Evaluation) -> Controller | None:
    given = job.controller
    if isinstance(given, FeedbackSettings):
        return DelayedOutputFeedback(given)
    if isinstance(given, TorqueTable):
        return Playback(given)
    if given is not None:
        student = LearnedController.load(given, mass, engine="numpy")
        if job.errors is None:
            return student
        errors, fixed = job.errors
        random = np.random.default_rng((settings.seed, 1))
        return Sensed(student, SensorModel(errors, settings.record_dt, random, fixed))
    return ZeroTorque() if job.arm == "zero_torque" else None


def _row(job: Job, done: Walked, settings: Evaluation, step: float, mass: float) -> Row:
    """Falls, and agreement with the teacher in the same states."""
    case, torques = job.case, done.torques
    r = rmse = None
    if torques is not None and torques.advice is not None:
        first = round(settings.settle / step)
        lasted = [len(torques.command) if t is None else round(t / step) for t in done.fell_at]
        parts = [
            (torques.command[first:end, k], torques.advice[first:end, k])
            for k, end in enumerate(lasted)
            if end > first
        ]
        if parts:
            own, wanted = (np.concatenate(side) / mass for side in zip(*parts))
            found = agreement(own, wanted)
            r = found.r if math.isfinite(found.r) else None
            rmse = found.rmse
    return {
        "case": case.label,
        "kind": case.kind,
        "speed_mps": case.speed,
        "slope_deg": case.slope_deg,
        "arm": job.arm,
        "physics": settings.physics,
        "walks": len(done.fell_at),
        "falls": done.falls,
        "seconds": done.seconds,
        "r": r,
        "rmse_nm_per_kg": rmse,
    }


def _metrics(trials: Sequence[Trial]) -> dict[str, float | None]:
    """Mean metrics of the walks that lasted; None without one."""
    values: dict[str, list[float]] = {name: [] for name in (*METRICS, *FURTHER)}
    for trial in trials:
        try:
            found = compute_metrics(trial).metrics
        except DataError:  # stands, or walks too slowly for a whole stride
            continue
        for name, column in values.items():
            if name in found:
                column.append(found[name].value)
    return {name: float(np.mean(column)) if column else None for name, column in values.items()}


def _curve(trials: Sequence[Trial], mass: float) -> Array | None:
    """Mean torque at the right hip over its gait cycle, (101,) array, Nm/kg."""
    curves = []
    for trial in trials:
        try:
            cycle = mean_cycle(trial, trial.exo_torque.select(["hip_flexion_r"]))
        except DataError:  # stands, or walks too slowly for a whole stride
            continue
        curves.append(cycle["hip_flexion_r"] / mass)
    return np.mean(curves, axis=0) if curves else None


def _taught(done: Walked, settings: Evaluation, task: TaskConfig) -> list[TaughtWalk]:
    """The teacher's commands beside the hip angles, of walks that lasted."""
    if done.torques is None or done.falls:
        return []
    hold = round(task.control_dt / settings.record_dt)
    first = round(settings.settle / settings.record_dt)
    found = []
    for k, trial in enumerate(done.trials):
        torque = np.repeat(done.torques.command[:, k], hold, axis=0)
        n = len(trial.time)
        hips = [trial.coordinates[f"hip_flexion_{side}"] for side in "rl"]
        found.append(TaughtWalk(trial.time, np.stack(hips, 1), torque[first : first + n]))
    return found


def by_arm(rows: Sequence[Mapping[str, Any]], kind: str, arm: str) -> list[Mapping[str, Any]]:
    """Rows of one arm in the cases of one kind."""
    return [row for row in rows if row["kind"] == kind and row["arm"] == arm]
