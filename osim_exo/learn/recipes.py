"""Recipes: the stages that taught this project's walkers; docs/learning.md tells what each part gave.

No stage has a reference in its reward. Episodes begin within strides of the solved gaits, which
track human joint angles weakly, or standing; after that nothing holds a walker near them.
"""

from __future__ import annotations

from pathlib import Path

from osim_exo.learn.chain import Stage
from osim_exo.learn.config import LearnConfig
from osim_exo.learn.tasks.config import Commands, Randomisation, Starts, TaskConfig, WalkReward
from osim_exo.models import ModelConfig

WALK_STEPS, ECONOMISE_STEPS = 4_000_000, 4_000_000
"""Control steps of all environments, for one speed on level ground."""

WIDE_STEPS, WIDE_ECONOMISE_STEPS = 12_000_000, 12_000_000
"""The same for ranges of speed or slope."""

STANDING_SHARE = 0.3
"""Of episodes; those that begin standing and fall are short, so that few would teach nothing."""

PUSHES = Randomisation(push_every=(1.0, 3.0), push_speed=0.5)
"""m/s; walkers that are pushed in training stay up, and step as people do more often."""


def human_task(model: ModelConfig, commands: Commands) -> TaskConfig:
    """The walking task of these recipes: rewards as by default, pushes, and standing starts.

    Parameters
    ----------
    model : without device
    commands : speeds and slopes
    """
    return TaskConfig(
        model=model,
        commands=commands,
        starts=Starts(standing_share=STANDING_SHARE),
        randomisation=PUSHES,
    )


def human_stages(model: ModelConfig, commands: Commands) -> tuple[Stage, ...]:
    """Stages of a human alone: learn to walk, then economise.

    Parameters
    ----------
    model : without device
    commands : speeds and slopes
    """
    wide = commands.speed[0] < commands.speed[1] or commands.slope_deg[0] < commands.slope_deg[1]
    first, second = (WIDE_STEPS, WIDE_ECONOMISE_STEPS) if wide else (WALK_STEPS, ECONOMISE_STEPS)
    task = human_task(model, commands)
    return (
        Stage(name="walk", task=task, learn=LearnConfig(steps=first)),
        Stage(
            name="economise",
            task=task.changed(walk=economical(task.walk)),
            learn=LearnConfig(steps=second, start_from=(Path("walk"),)),
        ),
    )


def economical(reward: WalkReward) -> WalkReward:
    """The same reward with the effort's last weight from the start, for a walker that walks."""
    return reward.changed(effort=reward.final_effort or reward.effort, final_effort=None)
