"""The benchmark of learning: rows from a run, nothing about how fast this machine is."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from osim_exo.benchmarks import learn
from osim_exo.learn.train import RunResult

SPLIT = {"physics": 30.0, "inference": 10.0, "update": 60.0}


def metrics(*lengths):
    return [
        {
            "episode/length": n,
            "time/seconds": 10.0 * i,
            "time/cpu_seconds": 8.0 * i,
            "steps": 1000.0 * i,
        }
        for i, n in enumerate(lengths)
    ]


def rows(*lengths):
    result = RunResult(Path("run"), "finished", 4000, 4, 100.0, 80.0, SPLIT, SPLIT, {})
    return {row["what"]: row["value"] for row in learn._walk_rows(result, metrics(*lengths))}


def test_a_walker_has_learned_when_its_episodes_last():
    found = rows(20.0, 300.0, 480.0, 500.0)
    assert found["walking: rate"] == 40.0
    assert found["walking: rate by processor time"] == 50.0
    assert found["walking: until episodes last 9.5 s, time"] == 20.0
    assert found["walking: until episodes last 9.5 s, processor time"] == 16.0
    assert found["walking: until episodes last 9.5 s, steps"] == 2000.0
    assert found["walking: last mean episode"] == 500.0


def test_a_walker_that_never_lasts_has_no_time_of_learning():
    assert not any("until" in what for what in rows(20.0, 300.0))


def test_every_way_of_learning_is_measured_in_the_same_run(monkeypatch):
    small = learn.SyntheticConfig(pairs=2, singles=1, action_pairs=1)
    monkeypatch.setattr(learn, "SyntheticConfig", lambda: small)
    config = learn.LearnConfig

    def smaller(network, ppo):
        return config(n_env=16, network=network, ppo=ppo.changed(horizon=8, minibatch=64))

    monkeypatch.setattr(learn, "LearnConfig", smaller)
    found = learn._variants(repeats=1)
    assert set(found) == set(learn.VARIANTS)
    assert all(parts["update"] > 0.0 and parts["inference"] > 0.0 for parts in found.values())
