"""How a student's torque gets worse with its sensors, in the compiled physics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osim_exo.errors import DataError
from osim_exo.learn.agreement import agreement
from osim_exo.learn.classroom import Classroom
from osim_exo.learn.distil import DistilConfig, lesson_task
from osim_exo.learn.walkers import TrainedWalker
from osim_exo.learn.worse_sensors import STEPS, errors_of
from osim_exo.policy import Policy
from osim_exo.progress import SILENT, Progress
from osim_exo.sensors import USUAL, SensorErrors


def degradation(
    walker: TrainedWalker,
    student: str | Path,
    n_env: int = 32,
    seconds: float = 6.0,
    seed: int = 1,
    progress: Progress = SILENT,
) -> list[dict[str, Any]]:
    """Agreement and falls of a student over the run's commands, by error of its sensors.

    Each error is the same on both legs and in every walk. The first row has none, the second all
    of `osim_exo.sensors.USUAL`, drawn for each walk.

    Parameters
    ----------
    walker : of the teacher
    student : bundle of `osim_exo.learn.distil.distil`
    n_env, seconds : walkers, and how long each of them walks

    Raises
    ------
    DataError
        The bundle was not distilled.
    """
    policy = Policy.load(student, "numpy")
    config = _settings(policy, student)
    tried: list[tuple[str, float, str, SensorErrors, bool]] = [
        ("none", 0.0, "", SensorErrors(), True),
        ("usual", 1.0, "", USUAL, False),
    ]
    for what, (unit, values) in STEPS.items():
        tried += [(what, v, unit, errors_of(what, v), True) for v in values if v]
    rows = []
    with progress.step("Worse sensors"):
        for what, value, unit, errors, fixed in tried:
            measured = _walk(walker, policy, config, errors, fixed, n_env, seconds, seed)
            rows.append({"error": what, "value": value, "unit": unit, **measured})
    return rows


def _settings(policy: Policy, student: str | Path) -> DistilConfig:
    settings: Any = policy.record.get("settings")
    if not isinstance(settings, Mapping) or "sensors" not in settings:
        raise DataError(
            f"'{student}' does not say with which sensors it was distilled. Give the folder that "
            "osim-exo distil wrote."
        )
    return DistilConfig.model_validate(dict(settings))


def _walk(
    walker: TrainedWalker,
    policy: Policy,
    config: DistilConfig,
    errors: SensorErrors,
    fixed: bool,
    n_env: int,
    seconds: float,
    seed: int,
) -> dict[str, float]:
    interface = policy.interface
    room = Classroom(
        lesson_task(walker.task, config),
        walker.policies,
        config.sensors,
        interface.history,
        interface.rate_hz,
        errors,
        n_env,
        seed,
        fixed,
    )
    try:
        lesson = room.walk(seconds, policy, keep=0.01)
    finally:
        room.close()
    found = agreement(lesson.command[lesson.settled], lesson.advice[lesson.settled])
    return {
        "r": found.r,
        "rmse_nm_per_kg": found.rmse,
        "falls": float(lesson.falls),
        "falls_per_minute": 60.0 * lesson.falls / lesson.seconds,
        "seconds": lesson.seconds,
    }
