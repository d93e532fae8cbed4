"""Whole runs on a task without physics: learned, interrupted, resumed, refused."""

import json
import signal

import numpy as np
import pytest

from osim_exo.errors import DataError, InputError, SimulationError

torch = pytest.importorskip("torch")

from osim_exo.learn import train as module  # noqa: E402
from osim_exo.learn.config import LearnConfig, NetworkConfig, PpoConfig, StopConfig  # noqa: E402
from osim_exo.learn.records import RunFolder  # noqa: E402
from osim_exo.learn.synthetic import SyntheticConfig, SyntheticEnv  # noqa: E402
from osim_exo.learn.train import TrainConfig, converged, resume, train  # noqa: E402
from osim_exo.policy import Policy  # noqa: E402

TASK = SyntheticConfig(pairs=2, singles=1, action_pairs=1, privileged=2, steps=25)


def config(iterations=6, task=TASK, **options):
    ppo = PpoConfig(horizon=8, minibatch=64, gamma=0.95, epochs=2)
    network = NetworkConfig(hidden=(16, 16), critic_hidden=(16, 16))
    given = {"n_env": 16, "steps": 16 * 8 * iterations, "ppo": ppo, "network": network}
    return TrainConfig(task=task, learn=LearnConfig(**{**given, **options}))


def checkpoint_bytes(folder):
    with np.load(folder / "checkpoint.npz") as held:
        return {name: held[name].tobytes() for name in held.files if name != "facts"}


def comparable(folder):
    rows = RunFolder(folder).metrics()
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]


def interrupt_after(monkeypatch, iterations, error=None):
    """Let a run be interrupted, or fail, in the iteration with this number."""
    whole = module.Training.iterate

    def iterate(self):
        if self.iteration == iterations:
            if error is not None:
                raise error
            signal.raise_signal(signal.SIGINT)
        return whole(self)

    monkeypatch.setattr(module.Training, "iterate", iterate)


def test_a_toy_task_is_learned_in_seconds(tmp_path):
    ppo = PpoConfig(horizon=16, minibatch=256, gamma=0.95, epochs=4)
    network = NetworkConfig(hidden=(32, 32), critic_hidden=(32, 32))
    learn = LearnConfig(n_env=64, steps=64 * 16 * 15, ppo=ppo, network=network)
    task = TASK.changed(steps=50)
    result = train(TrainConfig(task=task, learn=learn), tmp_path / "run")
    rewards = [row["reward/mean"] for row in RunFolder(tmp_path / "run").metrics()]
    env = SyntheticEnv(task, 256, 0)
    env.reset()
    idle = np.mean([env.step(np.zeros((256, 3), np.float32)).reward for _ in range(50)])
    assert rewards[0] < idle < 0.7
    assert np.mean(rewards[-3:]) > idle + 0.12
    assert result.status == "finished"
    assert result.steps == 64 * 16 * 15


def test_a_run_s_folder_holds_all_of_it(tmp_path):
    train(config(2), tmp_path / "run")
    folder = tmp_path / "run"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.json",
        "provenance.json",
        "metrics.jsonl",
        "checkpoint.npz",
        "summary.json",
        "policy",
    }
    assert TrainConfig.model_validate(RunFolder(folder).config()) == config(2)
    summary = RunFolder(folder).summary()
    assert summary["status"] == "finished"
    assert set(summary["split_s"]) == {"physics", "inference", "update"}
    row = RunFolder(folder).metrics()[-1]
    expected = {"reward/mean", "reward/state", "reward/effort", "episode/ended", "episode/falls"}
    assert expected | {"loss/policy", "policy/std", "time/steps_per_s"} <= set(row)
    assert row["reward/state"] + row["reward/effort"] == pytest.approx(row["reward/mean"], abs=1e-4)


def test_the_policy_of_a_run_is_the_network_that_was_trained(tmp_path):
    train(config(3), tmp_path / "run")
    training = module.Training(config(3).learn, SyntheticEnv(TASK, 16, 0))
    training.restore(tmp_path / "run" / "checkpoint.npz")
    seen = np.random.default_rng(0).standard_normal((20, 5)).astype(np.float32)
    with torch.no_grad():
        expected = training.ppo.actor(torch.from_numpy(seen)).numpy()
    policy = Policy.load(tmp_path / "run" / "policy" / "synthetic", engine="numpy")
    np.testing.assert_allclose(policy(seen), expected, atol=1e-6)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(config(2, seed=seed), tmp_path / name)
    assert checkpoint_bytes(tmp_path / "a") == checkpoint_bytes(tmp_path / "b")
    assert comparable(tmp_path / "a") == comparable(tmp_path / "b")
    assert comparable(tmp_path / "a") != comparable(tmp_path / "c")


def test_an_interrupted_run_goes_on_to_the_same_result_bit_for_bit(tmp_path, monkeypatch):
    train(config(), tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(config(), tmp_path / "parts")
    assert RunFolder(tmp_path / "parts").summary()["status"] == "interrupted"
    Policy.load(tmp_path / "parts" / "policy" / "synthetic", engine="numpy")
    result = resume(tmp_path / "parts")
    assert result.iterations == 6
    assert checkpoint_bytes(tmp_path / "whole") == checkpoint_bytes(tmp_path / "parts")
    assert comparable(tmp_path / "whole") == comparable(tmp_path / "parts")


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path, monkeypatch):
    train(config(checkpoint_every=2), tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5, error=MemoryError())
        with pytest.raises(MemoryError):
            train(config(checkpoint_every=2), tmp_path / "killed")
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as stream:
        stream.write('{"iteration": 5, "rew')
    resume(tmp_path / "killed")
    assert checkpoint_bytes(tmp_path / "whole") == checkpoint_bytes(tmp_path / "killed")
    assert comparable(tmp_path / "whole") == comparable(tmp_path / "killed")


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(tmp_path, monkeypatch):
    train(config(checkpoint_every=50), tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3, error=MemoryError())
        with pytest.raises(MemoryError):
            train(config(checkpoint_every=50), tmp_path / "killed")
    assert not (tmp_path / "killed" / "checkpoint.npz").exists()
    resume(tmp_path / "killed")
    assert checkpoint_bytes(tmp_path / "whole") == checkpoint_bytes(tmp_path / "killed")
    assert comparable(tmp_path / "whole") == comparable(tmp_path / "killed")


def test_settings_that_cannot_be_used_leave_the_folder_free(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="finds no GPU"):
        train(config(device="cuda"), tmp_path / "run")
    assert train(config(2), tmp_path / "run").iterations == 2


def test_a_finished_run_is_resumed_to_itself(tmp_path):
    train(config(2), tmp_path / "run")
    before = checkpoint_bytes(tmp_path / "run")
    assert resume(tmp_path / "run").iterations == 2
    assert checkpoint_bytes(tmp_path / "run") == before


class Spoiled(SyntheticEnv):
    """A task whose reward or observations leave the numbers at some step."""

    spoils = "reward"

    def step(self, action):
        step = super().step(action)
        self.count = getattr(self, "count", 0) + 1
        if self.count == 30:
            if self.spoils == "reward":
                step.terms["reward/effort"][2] = np.nan
                step.reward[2] = np.nan
            else:
                step.observation.policy[1, 3] = np.inf
        return step


@pytest.mark.parametrize(
    ("spoils", "said"),
    [
        ("reward", "not finite in 1 of 16 environments, of the terms reward/effort"),
        ("observation", "Observations are not finite: x1_l"),
    ],
)
def test_numbers_that_are_not_finite_are_named_and_the_folder_stays_whole(
    tmp_path, monkeypatch, spoils, said
):
    with monkeypatch.context() as patch:
        patch.setattr(module, "SyntheticEnv", Spoiled)
        patch.setattr(Spoiled, "spoils", spoils)
        with pytest.raises(SimulationError, match=said):
            train(config(checkpoint_every=1), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    assert folder.summary()["status"] == "failed"
    assert said in folder.summary()["reason"]
    Policy.load(folder.policy / "synthetic", engine="numpy")
    assert resume(tmp_path / "run").iterations == 6


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty .notes.txt.*--resume"):
        train(config(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_resuming_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="not the folder of a training run"):
        resume(tmp_path)


def test_resuming_with_changed_settings_is_refused(tmp_path):
    train(config(2), tmp_path)
    path = tmp_path / "config.json"
    changed = json.loads(path.read_text())
    changed["learn"]["steps"] *= 2
    path.write_text(json.dumps(changed))
    with pytest.raises(DataError, match="was changed since the run began"):
        resume(tmp_path)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (TASK.changed(pairs=3), "observations differ"),
        (TASK.changed(privileged=1), "privileged differ"),
    ],
)
def test_a_checkpoint_of_another_task_is_refused(tmp_path, task, said):
    train(config(2), tmp_path / "run")
    training = module.Training(config(2).learn, SyntheticEnv(task, 16, 0))
    with pytest.raises(DataError, match=said):
        training.restore(tmp_path / "run" / "checkpoint.npz")


def test_a_checkpoint_of_another_model_is_refused(tmp_path, monkeypatch):
    train(config(2), tmp_path / "run")
    face = SyntheticEnv(TASK, 1, 0).interface.changed(model_hash="other")
    monkeypatch.setattr(SyntheticEnv, "interface", face)
    with pytest.raises(DataError, match="model hash differ. There 'synthetic', here 'other'"):
        resume(tmp_path / "run")


def test_a_checkpoint_of_another_version_is_refused(tmp_path, monkeypatch):
    train(config(2), tmp_path / "run")
    monkeypatch.setattr(module.checkpoint, "VERSION", "osim_exo.checkpoint/2")
    with pytest.raises(DataError, match="has the version 'osim_exo.checkpoint/1'"):
        resume(tmp_path / "run")


def test_a_damaged_checkpoint_is_refused(tmp_path):
    train(config(2), tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="cannot be read as arrays"):
        resume(tmp_path / "run")


def test_a_gpu_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="finds no GPU"):
        train(config(device="cuda"), tmp_path)


def test_learning_has_settled_when_reward_is_flat_and_episodes_last():
    stop = StopConfig(window=4, least_gain=0.02, least_length_share=0.9)
    assert converged([(1.0, 0.0), (1.0, 0.0), (1.01, 0.0), (1.0, 0.05)], stop)
    assert not converged([(1.0, 0.0), (1.0, 0.0), (1.01, 0.0)], stop)
    assert not converged([(1.0, 0.0), (1.0, 0.0), (1.2, 0.0), (1.2, 0.0)], stop)
    assert not converged([(1.0, 0.0), (1.0, 0.0), (1.0, 0.3), (1.0, 0.3)], stop)
    assert not converged([(1.0, np.nan)] * 4, stop)


def test_a_run_stops_early_only_if_it_was_asked_to(tmp_path):
    stop = StopConfig(window=4, least_gain=1e9, least_length_share=0.0)
    result = train(config(30, stop=stop), tmp_path / "early")
    assert (result.status, result.iterations < 30) == ("converged", True)
    assert train(config(6), tmp_path / "all").iterations == 6


def test_tensorboard_files_are_written_where_asked(tmp_path):
    pytest.importorskip("tensorboard")
    train(config(2, tensorboard=True), tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(InputError, match="more than the n_env x horizon = 128 samples"):
        LearnConfig(n_env=16, ppo=PpoConfig(horizon=8, minibatch=256))
    with pytest.raises(InputError, match="even where symmetry"):
        NetworkConfig(hidden=(15, 16))
    with pytest.raises(InputError, match="must lie within"):
        PpoConfig(learning_rate=0.05)
