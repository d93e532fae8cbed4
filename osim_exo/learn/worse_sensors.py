"""A student's walks with worse sensors: agreement, what the walker has of it, and falls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from osim_exo.learn.cases import JudgeConfig, cases
from osim_exo.learn.judge import METRICS, Job, Judged, Load, gather
from osim_exo.learn.verdict import benefit
from osim_exo.progress import SILENT, Progress
from osim_exo.sensors import USUAL, SensorErrors

STEPS: dict[str, tuple[str, tuple[float, ...]]] = {
    "mounting": ("deg", (-10.0, -5.0, 0.0, 5.0, 10.0)),
    "gyro_bias": ("deg/s", (-5.0, -2.5, 0.0, 2.5, 5.0)),
    "delay": ("ms", (0.0, 10.0, 20.0, 40.0)),
    "dropout": ("%", (0.0, 5.0, 20.0)),
}
"""Errors that are tried one by one, and their unit; the issue asks for 10 deg, 5 deg/s, 20 ms."""


WALKED: tuple[tuple[str, float], ...] = (
    ("mounting", -10.0),
    ("mounting", 10.0),
    ("gyro_bias", -5.0),
    ("gyro_bias", 5.0),
    ("delay", 20.0),
    ("delay", 40.0),
    ("dropout", 20.0),
)
"""Errors whose walks are judged like a student's own, in the units of `STEPS`."""


def errors_of(what: str, value: float) -> SensorErrors:
    """Sensors with one error, in the unit of `STEPS`."""
    if what == "delay":
        return SensorErrors(delay_s=(value / 1e3, value / 1e3))
    if what == "dropout":
        return SensorErrors(dropout=value / 1e2)
    return SensorErrors().changed(**{what: math.radians(value)})


def walked_degradation(
    run: str,
    load: Load,
    student: Path,
    config: JudgeConfig,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> list[dict[str, Any]]:
    """Agreement, benefit kept and falls of a student's walks, by error of its sensors.

    The teacher and zero torque walk with true readings. Each error but `USUAL`, which is drawn for
    each leg and walk, is the same on both legs.

    Parameters
    ----------
    run : of the teacher
    load : reads it; importable, as it is sent to other processes
    student : its bundle
    config : which walks, in which physics; of its cases only those within the run's range
    jobs : walks at a time
    """
    tried = [("none", 0.0, "", SensorErrors(), True), ("usual", 1.0, "", USUAL, False)]
    tried += [(what, v, STEPS[what][0], errors_of(what, v), True) for what, v in WALKED]
    steady = config.changed(unseen=False, changing=False)
    walks = cases(load(run).task, steady)
    todo = [Job(case, arm) for case in walks for arm in ("teacher", "zero_torque")]
    for what, value, _, errors, fixed in tried:
        arm = f"{what} {value:g}"
        todo += [Job(case, arm, student, (errors, fixed)) for case in walks]
    judged = Judged([])
    with progress.step(f"Walks with worse sensors in {config.physics}"):
        gather(judged, run, load, todo, steady, jobs)
    found = []
    for what, value, unit, _, _ in tried:
        arm = f"{what} {value:g}"
        own = [row for row in judged.rows if row["arm"] == arm]
        found.append(
            {
                "error": what,
                "value": value,
                "unit": unit,
                "physics": config.physics,
                "r": _mean([row["r"] for row in own]),
                "rmse_nm_per_kg": _mean([row["rmse_nm_per_kg"] for row in own]),
                "share_of_benefit": {name: benefit(judged.rows, arm, name) for name in METRICS},
                "falls": sum(row["falls"] for row in own),
                "walks": sum(row["walks"] for row in own),
            }
        )
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
