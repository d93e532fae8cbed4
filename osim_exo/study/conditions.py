"""Conditions on disk: a folder each, there whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from osim_exo.baseline.gait import Gait, relabel, save_gait, write_model
from osim_exo.baseline.solution import Solution
from osim_exo.baseline.storage import load_solution
from osim_exo.control.profiles import TorqueTable
from osim_exo.errors import DataError, InputError
from osim_exo.files import read_json
from osim_exo.io import read_trial, write_trial
from osim_exo.study.plan import Task
from osim_exo.trial import Trial

PART = ".part"
"""Ending of a folder that is being written."""


@dataclass(frozen=True)
class Stored:
    """What a condition's folder holds."""

    trial: Trial
    gates: list[dict[str, Any]]


def place(folder: Path, task: Task) -> Path:
    """Folder of a condition: ``trials/<arm>/<walk>_<subject>``."""
    return folder / "trials" / task.arm.name / task.case.name


def partial_place(folder: Path, task: Task) -> Path:
    """Where a condition that failed or was interrupted leaves what it had."""
    return folder / "partial" / task.arm.name / task.case.name


def stored_hash(where: Path) -> str | None:
    """Hash of the request that the stored gait answers; None where there is no gait."""
    file = where / "gait.json"
    if not file.is_file():
        return None
    content = read_json(file)
    found = content.get("config_hash") if isinstance(content, dict) else None
    return found if isinstance(found, str) else None


def keep(gait: Gait, where: Path, task: Task) -> None:
    """Write a solved condition beside its place and move it there in one step."""
    gait = relabel(gait, name=task.name, subject=task.case.subject.label)
    part = where.with_name(f".{where.name}.{os.getpid()}{PART}")
    shutil.rmtree(part, ignore_errors=True)
    try:
        write_trial(gait.trial, part)
        save_gait(gait, part, trial=False)
        write_model(gait.config, part / "model.osim")
        shutil.rmtree(where, ignore_errors=True)
        os.replace(part, where)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed run was writing; finished conditions do not carry this name."""
    for part in (folder / "trials").glob(f"*/.*{PART}*"):
        shutil.rmtree(part, ignore_errors=True)


def remove_partial(folder: Path, task: Task) -> None:
    """Remove what earlier tries of a now solved condition left, and folders that are then empty."""
    where = partial_place(folder, task)
    shutil.rmtree(where, ignore_errors=True)
    for above in (where.parent, where.parent.parent):
        if above.is_dir() and not any(above.iterdir()):
            with suppress(OSError):  # another process may be putting something there now
                above.rmdir()


def read_stored(where: Path) -> Stored:
    """Trial and gates of a condition.

    Raises
    ------
    DataError
        The folder is no condition, or a file in it is malformed.
    """
    content = read_json(where / "gait.json")
    gates = content.get("gates") if isinstance(content, dict) else None
    if not isinstance(gates, list):
        raise DataError(f"'{where / 'gait.json'}' holds no gates. Remove '{where}' and run again.")
    return Stored(read_trial(where), gates)


def read_solution(where: Path) -> Solution:
    """The solver's own trajectory of a condition, to start others from."""
    return load_solution(where / "solution")


def torque_profile(where: Path) -> TorqueTable:
    """The motor torque of a solved assisted gait, by gait phase, to play back.

    Parameters
    ----------
    where : a condition of a study, or a folder of ``osim-exo baseline solve``

    Raises
    ------
    InputError
        The gait is not an assisted one with a drive on both hips.
    """
    trial = read_trial(where if (where / "trial.json").is_file() else where / "trial")
    content = read_json(where / "gait.json")
    names = trial.exo_torque.names
    if trial.info.condition != "assisted" or names != ("hip_flexion_r", "hip_flexion_l"):
        raise InputError(
            f"'{where}' cannot be played back: it holds condition {trial.info.condition} with "
            f"exo torque on {', '.join(names) or 'nothing'}. Name the folder of an assisted gait "
            "with a hip exoskeleton."
        )
    # A recorded exo torque holds the drive's drag; the controller commands the motor's part.
    drag = float(content["config"]["model"]["exo"]["drag"])
    motor = trial.exo_torque.values + drag * trial.speeds.select(names).values
    return TorqueTable.from_stride(np.asarray(motor))
