"""Recipes: stages that taught this project's walkers; docs/learning.md tells what each part gave.

No stage has a reference in its reward. Episodes begin within strides of the solved gaits, which
track human joint angles weakly, or standing; after that nothing holds a walker near them.
"""

from __future__ import annotations

from pathlib import Path

from osim_exo.learn.chain import Stage
from osim_exo.learn.config import LearnConfig
from osim_exo.learn.tasks.config import (
    Commands,
    Ends,
    Randomisation,
    Starts,
    TaskConfig,
    WalkReward,
)
from osim_exo.models import ModelConfig

WALK_STEPS, ECONOMISE_STEPS = 4_000_000, 3_000_000
"""Control steps of all environments, for one speed and slope."""

WIDE_WALK_STEPS, WIDE_ECONOMISE_STEPS = 10_000_000, 6_000_000
"""The same for ranges of speed or slope."""

STANDING_SHARE, FIRST_DURATION = 0.5, 4.0
"""Of episodes, and s: where many episodes are short, many begin, and the start is learned."""

LATER_STANDING_SHARE = 0.3
"""Of the episodes of full length that follow."""

ECONOMICAL_EFFORT = -20.0
"""Weight of squared activation when the walker walks; a heavier one shortens its steps."""

PUSHES = Randomisation(push_every=(1.0, 3.0), push_speed=0.5)
"""s and m/s; who was pushed in training stays up, and walks no worse without pushes."""


def human_stages(model: ModelConfig, commands: Commands) -> tuple[Stage, ...]:
    """Stages of a human alone: learn to walk from nothing, then economise.

    Parameters
    ----------
    model : without device
    commands : speeds and slopes
    """
    wide = commands.speed[0] < commands.speed[1] or commands.slope_deg[0] < commands.slope_deg[1]
    first, second = (
        (WIDE_WALK_STEPS, WIDE_ECONOMISE_STEPS) if wide else (WALK_STEPS, ECONOMISE_STEPS)
    )
    walk = TaskConfig(
        model=model,
        commands=commands,
        starts=Starts(standing_share=STANDING_SHARE),
        ends=Ends(duration=FIRST_DURATION),
        randomisation=PUSHES,
    )
    economise = walk.changed(
        walk=economical(walk.walk),
        starts=Starts(standing_share=LATER_STANDING_SHARE),
        ends=Ends(),
    )
    return (
        Stage(name="walk", task=walk, learn=LearnConfig(steps=first)),
        Stage(
            name="economise",
            task=economise,
            learn=LearnConfig(steps=second, start_from=(Path("walk"),)),
        ),
    )


def economical(reward: WalkReward) -> WalkReward:
    """The same reward with a heavier effort from the start, for a walker that walks already."""
    return reward.changed(effort=ECONOMICAL_EFFORT, final_effort=None)
