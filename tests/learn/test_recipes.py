"""The measured recipe as stages."""

from pathlib import Path

import pytest

from osim_exo.learn.chain import Chain
from osim_exo.learn.recipes import human_stages
from osim_exo.learn.tasks import Commands
from osim_exo.models import ModelConfig

WIDE = Commands(speed=(0.8, 1.6), slope_deg=(-7.0, 7.0), change_every=(3, 6))


@pytest.mark.parametrize("commands", [Commands(), WIDE])
def test_a_human_learns_from_nothing_without_reference_pushed_and_also_from_standing(commands):
    made = Chain(stages=human_stages(ModelConfig(), commands), seed=3).stages
    assert made[-1].task.commands == commands and not made[0].learn.start_from
    for stage in made:
        task = stage.task
        assert task.kind == "walk" and task.reference is None and task.condition == "no_exo"
        assert task.starts.standing_share > 0.0 and task.randomisation.push_every is not None
        assert task.walk.final_effort is not None and task.walk.final_effort < task.walk.effort


def test_one_command_is_one_stage_and_ranges_are_learned_from_one_command_within_them():
    assert len(human_stages(ModelConfig(), Commands())) == 1
    level, walk = human_stages(ModelConfig(), WIDE)
    assert walk.learn.start_from == (Path(level.name),)
    assert level.task.commands == Commands(speed=(1.25, 1.25), slope_deg=(0.0, 0.0))
    steep = Commands(speed=(0.8, 1.0), slope_deg=(2.0, 5.0))
    first = human_stages(ModelConfig(), steep)[0].task.commands
    assert first.speed == (1.0, 1.0) and first.slope_deg == (2.0, 2.0)


def test_ranges_of_speed_or_slope_get_more_steps_than_one_command():
    narrow, wide = (
        Chain(stages=human_stages(ModelConfig(), commands)).steps
        for commands in (Commands(), Commands(slope_deg=(-5.0, 5.0)))
    )
    assert wide > 2 * narrow
