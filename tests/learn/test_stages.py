"""Chains of stages: equal budgets, interruption, going on, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for library in ("opensim", "llvmlite", "onnx"):
    pytest.importorskip(library)

from osim_exo.cli import main  # noqa: E402
from osim_exo.cli.command import BAD_INPUT, DONE  # noqa: E402
from osim_exo.errors import DataError, InputError  # noqa: E402
from osim_exo.learn import train as module  # noqa: E402
from osim_exo.learn.chain import Chain, Stage, read_chain, read_chains, with_seeds  # noqa: E402
from osim_exo.learn.config import LearnConfig, NetworkConfig, PpoConfig, StopConfig  # noqa: E402
from osim_exo.learn.held import Held  # noqa: E402
from osim_exo.learn.recipes import DEVICE_WEIGHTS, human_stages  # noqa: E402
from osim_exo.learn.staged import (  # noqa: E402
    StagedConfig,
    run_seeds,
    stages,
)
from osim_exo.learn.stages import run_chain, steps_done  # noqa: E402
from osim_exo.learn.tasks.config import Commands, TaskConfig, WalkReward  # noqa: E402
from osim_exo.learn.walkers import load_stage, pack, trained_chains  # noqa: E402
from osim_exo.models import HipExo, ModelConfig  # noqa: E402
from osim_exo.names import CONDITIONS  # noqa: E402

PER_ITERATION = 16 * 8
"""Steps of one iteration of the small runs below."""


def learn(iterations=1, **options):
    return LearnConfig(
        n_env=16,
        steps=PER_ITERATION * iterations,
        ppo=PpoConfig(horizon=8, minibatch=64, epochs=1),
        network=NetworkConfig(hidden=(8, 8), exo_hidden=(8, 8), critic_hidden=(8, 8)),
        **options,
    )


def small(worn=1, exo=1, both=1):
    return StagedConfig(
        human=(Stage(name="walk", task=TaskConfig(), learn=learn()),),
        worn_steps=worn,
        exo_steps=exo,
        both_steps=both,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A whole chain of the protocol, one iteration per stage of the shorter ones."""
    out = tmp_path_factory.mktemp("chain") / "run"
    return run_seeds(with_seeds(stages(small()), 1), out, jobs=1)[0]


def arrays(run):
    with np.load(run / "checkpoint.npz") as held:
        return {name: held[name].tobytes() for name in held.files if name != "facts"}


def test_the_arms_of_the_protocol_have_equal_budgets():
    """Worn 3, exo 3 twice as long ones and both 2 iterations, asked for in steps in between."""
    config = small(worn=3 * PER_ITERATION - 5, exo=4 * PER_ITERATION + 1, both=2 * PER_ITERATION)
    chain = Chain(stages=stages(config))
    assert {arm: chain.budget(arm) / PER_ITERATION for arm in chain.names} == {
        "walk": 1,
        "worn": 4,
        "exo": 10,
        "assisted": 12,
        "zero_torque": 12,
        "no_exo": 12,
    }
    assert chain.ancestors("no_exo") == ("walk", "no_exo")
    assert chain.ancestors("assisted") == ("walk", "worn", "exo", "assisted")


def test_the_stages_are_those_of_the_protocol():
    made = {stage.name: stage for stage in stages(small())}
    assert made["exo"].task.learner == "exo"
    assert made["exo"].task.human_policy == Path("worn/policy/human")
    assert made["exo"].learn.start_from == ()
    assert made["assisted"].task.learner == "both"
    assert made["assisted"].learn.start_from == (Path("exo"), Path("worn"))
    assert made["zero_torque"].learn.start_from == (Path("worn"),)
    assert made["no_exo"].task.model.exo is None
    limits = made["assisted"].task.model.exo.limits
    assert 0.02 <= limits.delay_s <= 0.04
    assert 5.0 <= limits.bandwidth_hz <= 10.0
    assert made["exo"].task.randomisation.sensor_rate_noise > 0.0
    assert made["zero_torque"].task.model == made["assisted"].task.model


def test_the_device_learns_for_metabolic_rate_and_the_compared_arms_by_one_reward():
    made = {stage.name: stage for stage in stages(small())}
    device = made["exo"].task.walk
    assert device.metabolic < 0.0 and device.speed > WalkReward().speed
    assert device == WalkReward(effort=-15.0, final_effort=None, **DEVICE_WEIGHTS)
    arms = [made[name].task.walk for name in CONDITIONS]
    assert arms[0] == arms[1] == arms[2] == made["worn"].task.walk
    assert arms[0].metabolic == 0.0


def test_effort_does_not_begin_anew_in_later_stages():
    task = TaskConfig(
        walk={"effort": -5.0, "final_effort": -15.0},
        starts={"standing_share": 0.5},
        ends={"duration": 4.0},
    )
    config = StagedConfig(human=(Stage(name="walk", task=task, learn=learn()),))
    first, *later = stages(config)
    assert first.task == task
    for stage in later:
        assert (stage.task.walk.effort, stage.task.walk.final_effort) == (-15.0, None)
        assert (stage.task.starts.standing_share, stage.task.ends.duration) == (0.1, 10.0)


def test_every_stage_is_an_ordinary_run(trained):
    assert set(trained.seconds) == set(trained.chain.names)
    for number, name in enumerate(trained.chain.names, 1):
        run = trained.folder / f"{number:02d}_{name}"
        assert json.loads((run / "summary.json").read_text())["status"] == "finished"
    parts = {path.name for path in (trained.folder / "04_assisted" / "policy").iterdir()}
    assert parts == {"human", "exo"}
    assert steps_done(trained.chain, trained.folder) == (trained.chain.steps, "done")


def test_a_finished_chain_is_kept(trained):
    before = {p: p.stat().st_mtime_ns for p in trained.folder.rglob("*") if p.is_file()}
    again = run_chain(trained.chain, trained.folder)
    assert again.seconds == trained.seconds
    assert before == {p: p.stat().st_mtime_ns for p in trained.folder.rglob("*") if p.is_file()}


def test_an_interrupted_chain_goes_on_to_the_same_result(tmp_path, monkeypatch):
    """Killed in the second iteration of the second stage, after its first checkpoint."""
    first = Stage(name="walk", task=TaskConfig(), learn=learn())
    second = Stage(
        name="on",
        task=TaskConfig(),
        learn=learn(3, checkpoint_every=1, start_from=(Path("walk"),)),
    )
    chain = Chain(stages=(first, second), seed=3)
    run_chain(chain, tmp_path / "whole")
    with monkeypatch.context() as patch:
        iterate = module.Training.iterate

        def killed(self):
            if self.iteration == 1 and self.config.start_from:
                raise MemoryError
            return iterate(self)

        patch.setattr(module.Training, "iterate", killed)
        with pytest.raises(MemoryError):
            run_chain(chain, tmp_path / "parts")
    done, stage = steps_done(chain, tmp_path / "parts")
    assert (done, stage) == (2 * PER_ITERATION, "on")
    kept = (tmp_path / "parts" / "01_walk" / "checkpoint.npz").stat().st_mtime_ns
    run_chain(chain, tmp_path / "parts")
    assert (tmp_path / "parts" / "01_walk" / "checkpoint.npz").stat().st_mtime_ns == kept
    assert arrays(tmp_path / "whole" / "02_on") == arrays(tmp_path / "parts" / "02_on")


def test_a_stage_without_a_checkpoint_begins_again(trained, tmp_path):
    shutil.copytree(trained.folder, tmp_path / "run")
    last = tmp_path / "run" / "06_no_exo"
    for name in ("checkpoint.npz", "summary.json"):
        (last / name).unlink()
    shutil.rmtree(last / "policy")
    run_chain(trained.chain, tmp_path / "run")
    assert arrays(last) == arrays(trained.folder / "06_no_exo")


def test_stages_and_seeds_have_random_numbers_of_their_own():
    chains = with_seeds(stages(small()), 3)
    seeds = [chain.learn("x", name).seed for chain in chains for name in chain.names]
    assert len(set(seeds)) == len(seeds)
    with pytest.raises(InputError, match="at least 1"):
        with_seeds(stages(small()), 0)


def test_a_moved_chain_finds_its_frozen_human(trained, tmp_path):
    shutil.copytree(trained.folder, tmp_path / "elsewhere")
    walker = load_stage(tmp_path / "elsewhere", "exo")
    assert set(walker.policies) == {"human", "exo"}
    assert str(tmp_path) in str(walker.task.human_policy)


def test_packed_chains_hold_what_evaluation_needs_and_no_more(trained, tmp_path):
    packed = pack(trained.folder, tmp_path / "packed")
    (folder,) = trained_chains(packed)
    for stage in ("worn", "exo", "assisted", "zero_torque", "no_exo"):
        assert load_stage(folder, stage).policies
    (kept,) = packed.rglob("checkpoint.npz")
    assert kept.parent.name.endswith("worn") and Held.read(kept.parent).has_critic
    assert {name.split("/")[0] for name in Held.read(kept.parent).arrays} == {"actor", "critic"}
    texts = [p.read_text(encoding="utf-8") for p in packed.rglob("*.json")]
    assert not any(str(trained.folder) in text for text in texts)
    helped = load_stage(folder, "exo").task
    run = module.train(module.TrainConfig(task=helped, learn=learn()), tmp_path / "again")
    assert run.status == "finished"
    assert sum(p.stat().st_size for p in packed.rglob("*") if p.is_file()) < 2e6
    with pytest.raises(InputError, match="exists"):
        pack(trained.folder, packed)


def test_other_chains_and_other_folders_are_left_alone(trained, tmp_path):
    other = Chain(stages=trained.chain.stages, seed=7)
    with pytest.raises(InputError, match="other settings"):
        run_chain(other, trained.folder)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        run_chain(other, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(InputError, match="given twice"):
        run_seeds((other, other), tmp_path / "new")


def test_folders_without_chains_are_told(tmp_path):
    with pytest.raises(DataError, match="holds no chain"):
        read_chain(tmp_path)
    with pytest.raises(DataError, match="holds no chain"):
        read_chains(tmp_path)
    with pytest.raises(DataError, match="no trained chains"):
        trained_chains("nowhere")


def test_contradictory_stages_are_refused():
    walk = Stage(name="walk", task=TaskConfig(), learn=learn())
    with pytest.raises(InputError, match="twice"):
        Chain(stages=(walk, walk))
    early = Stage(name="early", task=TaskConfig(), learn=learn(start_from=(Path("walk"),)))
    with pytest.raises(InputError, match="no earlier stage"):
        Chain(stages=(early, walk))
    worn = TaskConfig(condition="zero_torque")
    with pytest.raises(InputError, match="put on by the protocol"):
        StagedConfig(human=(Stage(name="walk", task=worn),))
    with pytest.raises(InputError, match="these names"):
        StagedConfig(human=(Stage(name="worn", task=TaskConfig()),))
    stops = Stage(name="walk", task=TaskConfig(), learn=learn(stop=StopConfig()))
    with pytest.raises(InputError, match="equal budgets"):
        StagedConfig(human=(stops,))


def test_the_humans_stages_follow_model_and_commands():
    commands = Commands(speed=(0.8, 1.6), slope_deg=(-7.0, 7.0))
    made = human_stages(ModelConfig(), commands)
    assert made[-1].task.commands.speed == (0.8, 1.6)
    assert all(stage.task.model.exo is None for stage in made)
    device = HipExo(reflected_inertia=0.0)
    chain = Chain(stages=stages(StagedConfig(human=made, device=device)))
    assert chain.stages[-2].task.model.exo == device


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.json"
    path.write_text(small().model_dump_json())
    return path


def test_the_command_line_trains_goes_on_and_counts(file, tmp_path, trained):
    out, told = tmp_path / "out", tmp_path / "told.json"
    shutil.copytree(trained.folder.parent, out)
    words = ["train", "--staged", "--config", str(file), "--out", str(out), "--json", str(told)]
    assert main([*words, "--quiet"]) == DONE
    (row,) = json.loads(told.read_text())
    assert row["budgets"]["assisted"] == row["budgets"]["no_exo"] == row["budgets"]["zero_torque"]
    assert main(["train", "--resume", "--out", str(out), "--quiet"]) == DONE
    assert main(["train", "--resume", "--out", str(out / "seed_0"), "--quiet"]) == DONE


def test_without_device_only_the_humans_own_stages_are_trained(file, tmp_path, capsys):
    words = ["train", "--staged", "--condition", "no_exo", "--config", str(file), "--jobs", "1"]
    assert main([*words, "--out", str(tmp_path / "out"), "--quiet"]) == DONE
    chain = read_chain(tmp_path / "out" / "seed_0")
    assert chain.names == ("walk",)
    assert "evaluate" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--staged", "--steps", "10"), "leave out --steps"),
        (("--staged", "--condition", "assisted"), "Leave out --condition"),
        (("--staged", "--condition", "no_exo", "--device", "hip"), "no --device"),
        (("--staged", "--seeds", "0"), "at least 1"),
        (("--staged", "--jobs", "0", "--seeds", "2"), "at least 1"),
        (("--staged", "--config", "FILE", "--speeds", "1.0"), "holds all settings"),
        (("--seeds", "2"), "go with --staged"),
    ],
)
def test_contradictory_options_are_told(file, tmp_path, capsys, words, said):
    given = [str(file) if word == "FILE" else word for word in words]
    assert main(["train", *given, "--out", str(tmp_path / "x"), "--quiet"]) == BAD_INPUT
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
