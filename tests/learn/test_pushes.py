"""Push test: who is pushed harder falls more often, and nobody falls unpushed."""

import pytest

from osim_exo.errors import InputError
from osim_exo.learn.pushes import PushTest, push_test
from osim_exo.learn.walkers import shipped_walker


def test_a_shipped_walker_stays_up_unpushed_and_falls_when_its_speed_is_taken():
    walker = shipped_walker("gait2d_walk_1.25_mps")
    settings = PushTest(sizes=(0.0, -1.9), walkers=6, settle=1.0, watch=2.0)
    found = push_test(walker.task, walker.policies, settings)
    assert found.fell_before == 0.0
    assert found.survived == {0.0: 1.0, -1.9: 0.0}


def test_a_push_test_needs_sizes_and_walkers():
    with pytest.raises(InputError, match="sizes"):
        PushTest(sizes=())
    with pytest.raises(InputError, match="walkers"):
        PushTest(walkers=0)
