"""Tasks to learn: walking with or without a reference, with a device or without."""

from __future__ import annotations

from collections.abc import Mapping

from osim_exo.learn.base import BatchEnv
from osim_exo.learn.tasks.batch import TaskEnv
from osim_exo.learn.tasks.config import (
    CommandPoint,
    Commands,
    Ends,
    ExoSenses,
    ImitateReward,
    Randomisation,
    Starts,
    Synergies,
    TaskConfig,
    Trunk,
    WalkReward,
)
from osim_exo.learn.tasks.motion import MotionFile
from osim_exo.learn.tasks.recorded import KNEES, recorded_strides
from osim_exo.learn.tasks.strides import Strides, shipped_strides
from osim_exo.learn.tasks.walker import Actor
from osim_exo.physics.base import Physics
from osim_exo.physics.compiled import CompiledPhysics
from osim_exo.physics.compiled.source import model_spec
from osim_exo.policy import Policy

__all__ = [
    "Actor",
    "BatchEnv",
    "CommandPoint",
    "Commands",
    "Ends",
    "ExoSenses",
    "ImitateReward",
    "MotionFile",
    "Randomisation",
    "Starts",
    "Strides",
    "Synergies",
    "TaskConfig",
    "TaskEnv",
    "Trunk",
    "WalkReward",
    "frozen_policies",
    "make",
    "strides_of",
]

START_ACTIVATION = 0.05
"""Of every muscle where a recorded motion does not tell."""


def make(
    config: TaskConfig, n_env: int, seed: int, frozen: Mapping[str, Actor] | None = None
) -> TaskEnv:
    """Make the environments of a task.

    Parameters
    ----------
    config : TaskConfig
    n_env : environments that step together
    seed : of everything that is drawn
    frozen : policies that act but are not learned, by part (``human``, ``exo``); read from the
        folders that the configuration names if not given

    Raises
    ------
    InputError
        Something in the configuration does not fit the model or the policies.
    DataError
        A reference or a policy cannot be read.
    """
    physics = CompiledPhysics(
        config.model,
        n_env,
        config.control_dt,
        config.substep,
        config.dtype,
        config.threads,
        on_failure="mark",
    )
    strides = strides_of(config, physics)
    policies = frozen_policies(config) if frozen is None else frozen
    return TaskEnv(with_reference(config, strides), physics, seed, strides, policies)


def frozen_policies(config: TaskConfig) -> dict[str, Actor]:
    """The policies that a task names, by part, read from their folders.

    Raises
    ------
    DataError
        A folder is no policy.
    """
    folders = {"human": config.human_policy, "exo": config.exo_policy}
    return {part: Policy.load(path, "numpy") for part, path in folders.items() if path is not None}


def strides_of(config: TaskConfig, physics: Physics) -> Strides | None:
    """Strides that a task starts within or imitates; None if it needs none.

    Parameters
    ----------
    config : TaskConfig
    physics : of the task's model; is as before afterwards
    """
    if config.reference is not None:
        bends = _knee_flexion(config)
        return recorded_strides(config.reference, physics.names, START_ACTIVATION, physics, bends)
    if config.kind == "imitate" or config.starts.standing_share < 1.0:
        return shipped_strides(config.starts.gaits, physics.names)
    return None


def _knee_flexion(config: TaskConfig) -> float:
    """Sign of the model's knee angles in flexion: that of the wider side of their range."""
    ranges = [c.range for c in model_spec(config.model).coordinates if c.name in KNEES]
    return 1.0 if sum(low + high for low, high in ranges) > 0.0 else -1.0


def with_reference(config: TaskConfig, strides: Strides | None) -> TaskConfig:
    """The task with the commands of a recorded reference: its speed, on level ground."""
    if config.reference is None or strides is None:
        return config
    speed = float(strides.speeds[0])
    return config.changed(commands=Commands(speed=(speed, speed)))
