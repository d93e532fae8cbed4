"""Trained walkers from run folders, and the ones that ship."""

import pytest

from osim_exo.errors import DataError
from osim_exo.files import write_json
from osim_exo.learn.evaluate import Evaluation, evaluate
from osim_exo.learn.held import Held
from osim_exo.learn.tasks import TaskConfig
from osim_exo.learn.walkers import (
    CHAINS,
    library,
    load_stage,
    load_walker,
    shipped_chains,
    shipped_run,
    shipped_walker,
    shipped_walkers,
    trained_chains,
)
from osim_exo.names import CONDITIONS


@pytest.mark.parametrize("name", shipped_walkers())
def test_a_shipped_walker_walks_ten_seconds_at_its_speed(name):
    walker = shipped_walker(name)
    speed = sum(walker.task.commands.speed) / 2
    settings = Evaluation(physics="compiled", speed=speed, runs=4, duration=10.0, settle=8.0)
    walked = evaluate(walker.task, None, settings, walker.policies)
    assert walked.falls == 0
    for trial in walked.trials:
        assert trial.speeds["pelvis_tx"].mean() == pytest.approx(speed, abs=0.1)


@pytest.mark.parametrize("name", shipped_chains())
def test_the_arms_of_shipped_chains_trained_equally_and_walk(name):
    chains = trained_chains(name)
    assert [chain.seed for chain in chains.values()] == list(range(5))
    for folder, chain in chains.items():
        assert len({chain.budget(condition) for condition in CONDITIONS}) == 1
        for condition in CONDITIONS:
            walker = load_stage(folder, condition)
            assert walker.task.condition == condition
            settings = Evaluation(physics="compiled", runs=1, duration=4.0, substep=0.002)
            assert evaluate(walker.task, None, settings, walker.policies).falls == 0


def test_what_ships_is_found_by_its_name(tmp_path):
    run = shipped_run("hip/seed_1/no_exo")
    assert run == library() / CHAINS / "hip" / "seed_1" / "07_no_exo"
    assert Held.read("hip/seed_1/no_exo").action_names == Held.read(run).action_names
    assert shipped_run("gait2d_walk_generalist") == library() / "gait2d_walk_generalist"
    assert shipped_run("hip") is None and shipped_run(str(tmp_path)) is None
    with pytest.raises(DataError, match="no stage bare"):
        shipped_run("hip/seed_1/bare")


def test_unknown_walkers_and_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="no shipped walker 'nobody'"):
        shipped_walker("nobody")
    with pytest.raises(DataError, match=r"config\.json"):
        load_walker(tmp_path)
    write_json(tmp_path / "config.json", {"task": {"kind": "synthetic"}})
    with pytest.raises(DataError, match="no walking task"):
        load_walker(tmp_path)
    write_json(tmp_path / "config.json", {"task": TaskConfig().model_dump(mode="json")})
    with pytest.raises(DataError, match="no policy yet"):
        load_walker(tmp_path)
