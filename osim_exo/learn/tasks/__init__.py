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
    MotionFile,
    Randomisation,
    Starts,
    Synergies,
    TaskConfig,
    Trunk,
    WalkReward,
)
from osim_exo.learn.tasks.strides import Strides, recorded_strides, shipped_strides
from osim_exo.learn.tasks.walker import Actor
from osim_exo.physics.base import PhysicsNames
from osim_exo.physics.compiled import CompiledPhysics
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
    strides = strides_of(config, physics.names)
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


def strides_of(config: TaskConfig, names: PhysicsNames) -> Strides | None:
    """Strides that a task starts within or imitates; None if it needs none."""
    if config.reference is not None:
        return recorded_strides(config.reference, names, START_ACTIVATION)
    if config.kind == "imitate" or config.starts.standing_share < 1.0:
        return shipped_strides(config.starts.gaits, names)
    return None


def with_reference(config: TaskConfig, strides: Strides | None) -> TaskConfig:
    """The task with the commands of a recorded reference: its speed, on level ground."""
    if config.reference is None or strides is None:
        return config
    speed = float(strides.speeds[0])
    return config.changed(commands=Commands(speed=(speed, speed)))
