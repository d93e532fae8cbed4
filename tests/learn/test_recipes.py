"""The measured recipe as stages."""

import pytest

from osim_exo.learn.chain import Chain
from osim_exo.learn.recipes import human_stages
from osim_exo.learn.tasks import Commands
from osim_exo.models import ModelConfig


@pytest.mark.parametrize(
    "commands", [Commands(), Commands(speed=(0.8, 1.6), slope_deg=(-7.0, 7.0), change_every=(3, 6))]
)
def test_a_human_learns_from_nothing_without_reference_pushed_and_also_from_standing(commands):
    (stage,) = Chain(stages=human_stages(ModelConfig(), commands), seed=3).stages
    task = stage.task
    assert task.commands == commands and task.condition == "no_exo"
    assert task.kind == "walk" and task.reference is None and not stage.learn.start_from
    assert task.starts.standing_share > 0.0 and task.randomisation.push_every is not None
    assert task.walk.final_effort is not None and task.walk.final_effort < task.walk.effort


def test_ranges_of_speed_or_slope_get_more_steps_than_one_command():
    narrow, wide = (
        Chain(stages=human_stages(ModelConfig(), commands)).steps
        for commands in (Commands(), Commands(slope_deg=(-5.0, 5.0)))
    )
    assert wide > 2 * narrow
