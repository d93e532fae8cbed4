"""Robustness of a walker: who falls, in walks that can be foreseen."""

import pytest

from osim_exo.errors import InputError
from osim_exo.learn.robustness import PARAMETERS, RobustnessTest, applicable, falls
from osim_exo.learn.tasks import Randomisation, TaskConfig
from osim_exo.learn.tasks.config import RANGES
from osim_exo.learn.walkers import shipped_walker

WALKER = "gait2d_walk_1.25_mps"
SHORT = RobustnessTest(walkers=24, duration=3.0, push_at=1.0)


@pytest.fixture(scope="module")
def walker():
    return shipped_walker(WALKER)


def test_nobody_falls_without_a_change_and_everybody_after_a_shove(walker):
    calm = falls(walker.task, walker.policies, "push", 0.0, SHORT)
    shoved = falls(walker.task, walker.policies, "push", -3.0, SHORT)
    assert (calm.falls, shoved.falls) == (0, 24)
    assert calm.share.high == pytest.approx(0.138, abs=2e-3)  # 1.96^2 / (24 + 1.96^2)


def test_weak_muscles_and_ice_bring_walkers_down_and_their_own_values_do_not(walker):
    for parameter, bad in (("strength", 0.2), ("contact_friction", 0.1), ("body_mass", 1.6)):
        assert falls(walker.task, walker.policies, parameter, bad, SHORT).falls > 12
        assert falls(walker.task, walker.policies, parameter, 1.0, SHORT).falls == 0


def test_the_same_seed_counts_the_same_falls(walker):
    found = {
        falls(walker.task, walker.policies, "push", 0.35, SHORT.changed(seed=4)).falls
        for _ in range(2)
    }
    assert len(found) == 1


def test_a_parameter_that_the_walker_lacks_and_a_value_out_of_range_are_refused(walker):
    with pytest.raises(InputError, match="exo_delay_s was asked for.*condition no_exo has: push"):
        falls(walker.task, walker.policies, "exo_delay_s", 0.1, SHORT)
    with pytest.raises(InputError, match="strength"):
        falls(walker.task, walker.policies, "strength", 9.0, SHORT)


def test_parameters_of_the_device_belong_to_tasks_that_wear_one():
    bare, worn = TaskConfig(), TaskConfig(condition="zero_torque")
    acts = TaskConfig(condition="assisted", learner="both")
    assert set(applicable(acts)) == set(PARAMETERS)
    assert set(applicable(worn)) - set(applicable(bare)) == {"exo_mass"}


def test_every_default_value_lies_in_the_range_of_its_setting():
    for name, parameter in PARAMETERS.items():
        if name in RANGES:
            low, high = RANGES[name]
            assert low <= min(parameter.values) <= max(parameter.values) <= high
        assert name == "push" or name in Randomisation.model_fields
