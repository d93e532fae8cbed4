"""Contradictory tasks are refused in words."""

import pytest

from osim_exo.errors import InputError
from osim_exo.learn.tasks import (
    CommandPoint,
    Commands,
    MotionFile,
    Randomisation,
    Starts,
    TaskConfig,
)
from osim_exo.models import AnkleExo, HipExo, ModelConfig


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"learner": "exo"}, 'needs condition = "assisted"'),
        ({"learner": "exo", "condition": "assisted"}, "needs human_policy"),
        ({"condition": "assisted"}, "needs exo_policy"),
        ({"human_policy": "here"}, "human_policy is used by"),
        ({"exo_policy": "here"}, "exo_policy is used by"),
        ({"model": ModelConfig(exo=HipExo())}, "wears a device"),
        ({"model": ModelConfig(slope_deg=5)}, "commands.slope_deg"),
        ({"reference": MotionFile(path="walk.mot")}, 'kind is "walk"'),
        ({"kind": "imitate", "starts": Starts(standing_share=0.5)}, "standing_share"),
        ({"condition": "zero_torque", "model": 3}, "3 was given"),
        ({"control_dt": 0.5}, "control_dt"),
        ({"speeds": (1, 2)}, "no such field"),
    ],
)
def test_contradictory_tasks_are_refused(fields, words):
    with pytest.raises(InputError, match=words):
        TaskConfig(**fields)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (Commands, {"speed": (1.6, 0.8)}, "low <= high"),
        (Commands, {"slope_deg": (-20, 0)}, "-10 to 10"),
        (Commands, {"change_every": (0.0, 1.0)}, "change_every"),
        (Commands, {"schedule": (CommandPoint(time=1.0, speed=1.0),)}, "begin with 0"),
        (Randomisation, {"strength": (1.2, 0.8)}, "strength"),
        (Randomisation, {"exo_delay_s": (0.0, 2.0)}, "exo_delay_s"),
    ],
)
def test_ranges_are_checked(kind, fields, words):
    with pytest.raises(InputError, match=words):
        kind(**fields)


def test_the_staged_protocol_is_four_configurations():
    stages = [
        TaskConfig(),
        TaskConfig(condition="zero_torque"),
        TaskConfig(condition="assisted", learner="exo", human_policy="human"),
        TaskConfig(condition="assisted", learner="both"),
    ]
    assert stages[0].model.exo is None
    assert all(stage.model.exo == HipExo() for stage in stages[1:])
    for stage in stages:
        assert TaskConfig.model_validate_json(stage.model_dump_json()) == stage


def test_another_device_stays_on():
    ankle = ModelConfig(exo=AnkleExo())
    task = TaskConfig(condition="assisted", learner="both", model=ankle)
    assert task.model.exo == AnkleExo()
