"""Solve one condition of a study, or find that it is solved already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from osim_exo.baseline import library
from osim_exo.baseline.config import BaselineConfig, StrideTime
from osim_exo.baseline.gait import load_gait
from osim_exo.baseline.launch import solve_once
from osim_exo.baseline.solution import Solution, resized
from osim_exo.baseline.solve import CADENCE_EXPONENT, FIRST_SPEED, FIRST_STRIDE_TIME, solve
from osim_exo.errors import OsimExoError
from osim_exo.progress import SILENT, Progress
from osim_exo.study import conditions
from osim_exo.study.config import StudyConfig
from osim_exo.study.plan import NO_EXO, Task, request
from osim_exo.study.subjects import stride_time_scale


@dataclass(frozen=True)
class Outcome:
    """How a condition ended.

    Attributes
    ----------
    name : of the task
    state : ``solved`` now, ``loaded`` from an earlier run or the library, or ``failed``
    explanation : why it failed
    """

    name: str
    state: str
    explanation: str = ""


def settle(
    config: StudyConfig, folder: Path, task: Task, fresh: bool, progress: Progress = SILENT
) -> Outcome:
    """Bring one condition to its end; a failure is an outcome, not an exception.

    Runs in any process: everything that it needs lies in `folder`, and its result goes there.

    Parameters
    ----------
    config : StudyConfig
    folder : the study's output folder
    task : its needed arm must be settled
    fresh : do not use the shipped library
    progress : Progress
    """
    try:
        return _settle(config, folder, task, fresh, progress)
    except OsimExoError as error:
        return Outcome(task.name, "failed", str(error))
    except RuntimeError as error:
        # What OpenSim throws arrives as a RuntimeError; it must not stop the other conditions.
        reason = str(error).strip().partition("\n")[0]
        return Outcome(task.name, "failed", f"OpenSim refused: {reason}")


def _settle(
    config: StudyConfig, folder: Path, task: Task, fresh: bool, progress: Progress
) -> Outcome:
    where = conditions.place(folder, task)
    wanted = _wanted(config, folder, task, fresh)
    if conditions.stored_hash(where) == wanted.hash:
        return Outcome(task.name, "loaded")
    shipped = _shipped_place(config, task)
    if not fresh and _is_base(task) and conditions.stored_hash(shipped) == wanted.hash:
        conditions.keep(load_gait(shipped), where, task)
        return Outcome(task.name, "loaded")
    partial = conditions.partial_place(folder, task)
    guess = _guess(config, folder, task, wanted, fresh, progress)
    gait = solve(wanted, out=partial, guess=guess, progress=progress)
    conditions.keep(gait, where, task)
    conditions.remove_partial(folder, task)
    return Outcome(task.name, "solved")


def _is_base(task: Task) -> bool:
    """Whether this is the gait that everything else in the study starts from."""
    return task.arm == NO_EXO and task.case.is_reference


def _shipped_place(config: StudyConfig, task: Task) -> Path:
    return library.gait_folder(config.model, task.case.speed, task.case.slope_deg)


def _base_place(folder: Path, task: Task) -> Path:
    return conditions.place(folder, Task(NO_EXO, task.case.reference))


def _wanted(config: StudyConfig, folder: Path, task: Task, fresh: bool) -> BaselineConfig:
    stride = _stride_time(config, folder, task, fresh)
    playback = None
    if task.arm.controller == "playback":
        source = conditions.place(folder, replace_arm(task, task.arm.plays))
        playback = conditions.torque_profile(source)
    return request(config, task, stride, playback)


def replace_arm(task: Task, name: str) -> Task:
    """The same case in the arm of this name."""
    return replace(task, arm=replace(task.arm, name=name))


def _stride_time(config: StudyConfig, folder: Path, task: Task, fresh: bool) -> StrideTime:
    """Imposed where arms share a cadence; the base gait's own is a result, shipped or solved."""
    free = StrideTime()
    if config.cadence == "optimised":
        return free
    if not _is_base(task):
        base = conditions.read_solution(_base_place(folder, task))
        return StrideTime(fixed=base.stride_time * stride_time_scale(task.case.subject))
    shipped = _shipped_place(config, task)
    stored = conditions.stored_hash(shipped)
    as_shipped = library.request(config.model, task.case.speed, task.case.slope_deg)
    if fresh or stored is None or stored != as_shipped.hash or config.weakness:
        return free
    if request(config, task, free).hash == stored:
        return free
    return StrideTime(fixed=conditions.read_solution(shipped).stride_time)


def _guess(
    config: StudyConfig,
    folder: Path,
    task: Task,
    wanted: BaselineConfig,
    fresh: bool,
    progress: Progress,
) -> Solution | None:
    if task.arm.starts_from:
        begin = replace_arm(task, task.arm.starts_from)
        return conditions.read_solution(conditions.place(folder, begin))
    if not task.case.is_reference:
        base = conditions.read_solution(_base_place(folder, task))
        return resized(base, task.case.subject.length_scale)
    if fresh:
        first = FIRST_STRIDE_TIME * (FIRST_SPEED / wanted.speed) ** CADENCE_EXPONENT
        return solve_once(wanted, first, progress=progress)
    return None
