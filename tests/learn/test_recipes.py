"""The measured recipe as stages."""

from pathlib import Path

import pytest

from osim_exo.learn.chain import Chain
from osim_exo.learn.recipes import human_stages
from osim_exo.learn.tasks import Commands
from osim_exo.models import ModelConfig


@pytest.mark.parametrize(
    "commands", [Commands(), Commands(speed=(0.8, 1.6), slope_deg=(-7.0, 7.0), change_every=(3, 6))]
)
def test_the_human_learns_to_walk_then_goes_on_from_there_at_the_last_effort(commands):
    chain = Chain(stages=human_stages(ModelConfig(), commands), seed=3)
    walk, economise = chain.stages
    assert chain.names == ("walk", "economise")
    assert walk.task.commands == economise.task.commands == commands
    assert economise.learn.start_from == (Path("walk"),)
    assert walk.task.walk.effort > economise.task.walk.effort
    assert walk.task.kind == "walk" and walk.task.reference is None
    assert economise.task.walk.final_effort is None


def test_ranges_of_speed_or_slope_get_more_steps_than_one_command():
    narrow, wide = (
        Chain(stages=human_stages(ModelConfig(), commands)).steps
        for commands in (Commands(), Commands(slope_deg=(-5.0, 5.0)))
    )
    assert wide > 2 * narrow
