"""Push test: who is pushed harder falls more often, and nobody falls unpushed."""

import pytest

from osim_exo.errors import InputError
from osim_exo.learn.evaluate import Evaluation, evaluate
from osim_exo.learn.pushes import PushTest, endurance, push_test
from osim_exo.learn.tasks.config import CommandPoint
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


def test_a_walker_that_learned_to_stop_stops_and_walks_on():
    points = [CommandPoint(time=t, speed=v) for t, v in ((0.0, 1.2), (4.0, 0.0), (9.0, 1.2))]
    shares = {}
    for name in ("gait2d_walk_start_stop", "gait2d_walk_generalist"):
        walker = shipped_walker(name)
        shares[name] = endurance(
            walker.task, walker.policies, 1.2, 0.0, schedule=points, walkers=32, seconds=12.0
        )
    assert shares["gait2d_walk_start_stop"] > 0.85
    assert shares["gait2d_walk_generalist"] < 0.5
    walker = shipped_walker("gait2d_walk_start_stop")
    settings = Evaluation(physics="compiled", schedule=points[:2], runs=4, duration=9.0, settle=3.0)
    walked = evaluate(walker.task, None, settings, walker.policies)
    assert walked.falls == 0
    for trial in walked.trials:
        speed = trial.speeds["pelvis_tx"]
        assert speed[trial.time < 1.0].mean() > 1.0
        assert abs(speed[trial.time > 4.0].mean()) < 0.3
