"""Recipes: stages that taught this project's walkers; docs/learning.md tells what each part gave.

No stage has a reference in its reward. Episodes begin within strides of the solved gaits, which
track human joint angles weakly, or standing; after that nothing holds a walker near them.
"""

from __future__ import annotations

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

STEPS, WIDE_STEPS = 4_000_000, 10_000_000
"""Control steps of all environments, for one speed and slope, and for ranges of them."""

STANDING_SHARE, DURATION = 0.5, 4.0
"""Of episodes, and s: where many episodes are short, many begin, and the start is learned.

With 10 s and a share of 0.3 a third of the walkers still fell from standing after 12 million steps.
"""

PUSHES = Randomisation(push_every=(1.0, 3.0), push_speed=0.5)
"""s and m/s; who was pushed in training stays up, and walks no worse without pushes."""

WIDE_EFFORT = -10.0
"""Last weight of squared activation for ranges of speed or slope: uphill, effort is larger."""


def human_stages(model: ModelConfig, commands: Commands) -> tuple[Stage, ...]:
    """Stages of a human alone, from nothing: one, in which effort grows once episodes last.

    A second stage of heavier effort was tried and left out: it made starting uphill from standing
    fall again, and gaits over speeds and slopes less human.

    Parameters
    ----------
    model : without device
    commands : speeds and slopes
    """
    wide = commands.speed[0] < commands.speed[1] or commands.slope_deg[0] < commands.slope_deg[1]
    task = TaskConfig(
        model=model,
        commands=commands,
        walk=WalkReward(final_effort=WIDE_EFFORT) if wide else WalkReward(),
        starts=Starts(standing_share=STANDING_SHARE),
        ends=Ends(duration=DURATION),
        randomisation=PUSHES,
    )
    return (Stage(name="walk", task=task, learn=LearnConfig(steps=WIDE_STEPS if wide else STEPS)),)
