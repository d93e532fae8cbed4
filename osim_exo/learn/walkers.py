"""Trained walkers: the task and the policies of a run's folder, and those that ship."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from osim_exo.errors import DataError
from osim_exo.files import read_json
from osim_exo.learn.tasks import frozen_policies
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.tasks.walker import Actor
from osim_exo.policy import Policy

POLICIES = "policy"
"""Folder of a run that holds one policy per learned part."""


@dataclass(frozen=True)
class TrainedWalker:
    """What a run has learned, ready to walk.

    Attributes
    ----------
    task : TaskConfig
    policies : of every part that acts, learned or frozen; ``human`` and ``exo``
    summary : the run's own account: steps, seconds, last measurements
    """

    task: TaskConfig
    policies: dict[str, Actor]
    summary: dict[str, Any]


def load_walker(folder: str | Path) -> TrainedWalker:
    """Read a run's folder, or a shipped one.

    Raises
    ------
    DataError
        The folder holds no finished run of a walking task.
    """
    place = Path(folder)
    content = read_json(place / "config.json")
    task = content.get("task") if isinstance(content, dict) else None
    if not isinstance(task, dict) or task.get("kind") not in ("walk", "imitate"):
        raise DataError(
            f"'{place}' is not the folder of a walker's training: its config.json has no walking "
            "task. Name the --out folder of osim-exo train."
        )
    config = TaskConfig.model_validate(task)
    parts = sorted(path.name for path in (place / POLICIES).glob("*") if path.is_dir())
    if not parts:
        raise DataError(
            f"'{place}' holds no policy yet. Let the training finish, or resume it with osim-exo "
            "train --resume."
        )
    learned: dict[str, Actor] = {
        part: Policy.load(place / POLICIES / part, "numpy") for part in parts
    }
    summary = place / "summary.json"
    facts = read_json(summary) if summary.is_file() else {}
    return TrainedWalker(config, {**frozen_policies(config), **learned}, facts)


def library() -> Path:
    """Where the shipped walkers lie."""
    return Path(str(files("osim_exo.learn"))) / "library"


def shipped_walkers() -> tuple[str, ...]:
    """Names of the shipped walkers."""
    return tuple(sorted(path.parent.name for path in library().glob("*/config.json")))


def shipped_walker(name: str) -> TrainedWalker:
    """A shipped walker by its name.

    Raises
    ------
    DataError
        There is no such walker.
    """
    if name not in shipped_walkers():
        raise DataError(
            f"There is no shipped walker '{name}'. There are: "
            f"{', '.join(shipped_walkers()) or 'none'}."
        )
    return load_walker(library() / name)
