"""Fine-tuning keeps what was learned."""

import shutil

import numpy as np
import pytest

from osim_exo.errors import DataError

torch = pytest.importorskip("torch")

from osim_exo.learn.config import LearnConfig, NetworkConfig, PpoConfig  # noqa: E402
from osim_exo.learn.held import POLICY_STD, Held  # noqa: E402
from osim_exo.learn.records import RunFolder  # noqa: E402
from osim_exo.learn.synthetic import SyntheticConfig, SyntheticEnv  # noqa: E402
from osim_exo.learn.train import TrainConfig, Training, train  # noqa: E402
from osim_exo.learn.walkers import shipped_walkers  # noqa: E402

TASK = SyntheticConfig(pairs=2, singles=1, action_pairs=1, privileged=2, steps=25)
LEARN = LearnConfig(
    n_env=64,
    steps=64 * 16 * 12,
    ppo=PpoConfig(horizon=16, minibatch=256, gamma=0.95),
    network=NetworkConfig(hidden=(32, 32), critic_hidden=(32, 32)),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer") / "run"
    train(TrainConfig(task=TASK, learn=LEARN), folder)
    return folder


class Extended(SyntheticEnv):
    """The same task, in which a device's torque is observed too: silent at first."""

    level = 0.0

    def __init__(self, config, n_env, seed):
        super().__init__(config, n_env, seed)
        names = (*self.observation_names, "exo_r", "exo_l")
        self.observation_names = names
        mirror = self.mirror
        self.mirror = type(mirror)(
            type(mirror.observation).of_names(names), mirror.privileged, mirror.action
        )

    def _observe(self):
        seen = super()._observe()
        torque = self.level * np.random.default_rng(0).standard_normal((self.n_env, 2))
        both = np.hstack([seen.policy, torque.astype(np.float32)])
        return type(seen)(both, seen.privileged)


def fine_tuning(run, env, **options):
    learn = LEARN.changed(start_from=(run,), **options)
    training = Training(learn, env)
    training.begin()
    return training


def before(run):
    training = Training(LEARN, SyntheticEnv(TASK, 64, 0))
    training.restore(run / "checkpoint.npz")
    return training


def seen(n_column=5):
    return torch.from_numpy(np.random.default_rng(0).standard_normal((50, n_column))).float()


def test_fine_tuning_begins_with_the_policy_as_it_was(run):
    training = fine_tuning(run, SyntheticEnv(TASK, 64, 5))
    with torch.no_grad():
        assert torch.equal(training.ppo.actor(seen()), before(run).ppo.actor(seen()))
        assert torch.equal(training.ppo.actor.std(), before(run).ppo.actor.std())
        torch.testing.assert_close(training.ppo.critic(seen(7)), before(run).ppo.critic(seen(7)))


def test_fine_tuning_learns_slowly_with_frozen_normalisers(run):
    training = fine_tuning(run, SyntheticEnv(TASK, 64, 5))
    assert training.ppo.learning_rate == 1e-4
    assert training.ppo.config.largest_rate == 5e-4
    assert bool(training.ppo.actor.normaliser.frozen)
    assert bool(training.ppo.critic.normaliser.frozen)


def test_fine_tuning_does_not_destroy_a_policy(run):
    learned = np.mean([row["reward/mean"] for row in RunFolder(run).metrics()[-3:]])
    training = fine_tuning(run, SyntheticEnv(TASK, 64, 5))
    rewards = [training.iterate()["reward/mean"] for _ in range(5)]
    assert min(rewards) > learned - 0.15
    assert training.ppo.learning_rate <= 5e-4


def test_a_new_channel_changes_nothing_when_it_comes_alive(run):
    env = Extended(TASK, 64, 5)
    training = fine_tuning(run, env)
    old = before(run).ppo.actor
    actor = training.ppo.actor
    for level in (0.0, 8.0):
        Extended.level = level
        training.ppo.observe(torch.from_numpy(env.reset().policy), torch.zeros(64, 2))
        values = torch.from_numpy(env.reset().policy)
        with torch.no_grad():
            torch.testing.assert_close(actor(values), old(values[:, :5]), rtol=0.0, atol=1e-6)
    Extended.level = 0.0
    assert actor.normaliser.alive.all()
    assert bool(actor.normaliser.frozen)


def test_networks_of_other_widths_are_refused(run):
    network = NetworkConfig(hidden=(16, 16), critic_hidden=(32, 32))
    with pytest.raises(DataError, match="other widths"):
        fine_tuning(run, SyntheticEnv(TASK, 64, 5), network=network)


def test_actions_that_mean_something_else_are_refused(run, monkeypatch):
    face = SyntheticEnv(TASK, 1, 0).interface
    wider = tuple(action.changed(gain=3.0) for action in face.actions)
    monkeypatch.setattr(SyntheticEnv, "interface", face.changed(actions=wider))
    with pytest.raises(DataError, match="drives a0_r in another way"):
        fine_tuning(run, SyntheticEnv(TASK, 64, 5))


def test_a_task_at_another_rate_is_refused(run, monkeypatch):
    face = SyntheticEnv(TASK, 1, 0).interface.changed(rate_hz=100.0)
    monkeypatch.setattr(SyntheticEnv, "interface", face)
    with pytest.raises(DataError, match="acts at 50 Hz, this task at 100 Hz"):
        fine_tuning(run, SyntheticEnv(TASK, 64, 5))


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="There is no checkpoint"):
        fine_tuning(tmp_path, SyntheticEnv(TASK, 64, 5))


class Lopsided(SyntheticEnv):
    """The same task for a body whose sides differ."""

    def __init__(self, config, n_env, seed):
        super().__init__(config, n_env, seed)
        self.mirror = None


def test_tied_weights_go_on_untied_in_a_body_whose_sides_differ(run):
    training = fine_tuning(run, Lopsided(TASK, 64, 5))
    actor, old, values = training.ppo.actor, before(run).ppo.actor, seen()
    mirror = SyntheticEnv(TASK, 1, 0).mirror

    def asymmetry():
        with torch.no_grad():
            turned = actor(torch.from_numpy(np.asarray(mirror.observation(values.numpy()))))
            return np.abs(turned.numpy() - mirror.action(actor(values).numpy())).max()

    with torch.no_grad():
        assert torch.equal(actor(values), old(values))
        assert torch.equal(actor.std(), old.std())
    assert asymmetry() < 1e-5
    for _ in range(3):
        training.iterate()
    assert asymmetry() > 1e-3


def test_a_network_whose_sides_differ_is_no_start_for_a_symmetric_one(run, tmp_path):
    own = LEARN.changed(network=LEARN.network.changed(symmetry="none"), steps=64 * 16)
    train(TrainConfig(task=TASK, learn=own), tmp_path / "untied")
    with pytest.raises(DataError, match="treats the two sides differently"):
        fine_tuning(tmp_path / "untied", SyntheticEnv(TASK, 64, 5))


def test_an_averaged_network_is_no_start_for_a_plain_one(run, tmp_path):
    own = LEARN.changed(network=LEARN.network.changed(symmetry="average"), steps=64 * 16)
    train(TrainConfig(task=TASK, learn=own), tmp_path / "averaged")
    with pytest.raises(DataError, match="is averaged over both sides"):
        fine_tuning(tmp_path / "averaged", Lopsided(TASK, 64, 5))
    with pytest.raises(DataError, match="is not averaged over both sides"):
        fine_tuning(run, SyntheticEnv(TASK, 64, 5), network=own.network)


def test_a_policy_without_its_checkpoint_goes_on_learning(run, tmp_path):
    shutil.copytree(run / "policy", tmp_path / "shipped" / "policy")
    training = fine_tuning(tmp_path / "shipped", SyntheticEnv(TASK, 64, 5))
    with torch.no_grad():
        new, old = training.ppo.actor(seen()), before(run).ppo.actor(seen())
    torch.testing.assert_close(new, old, atol=1e-6, rtol=1e-5)
    assert training.ppo.actor.std().detach().numpy() == pytest.approx(POLICY_STD)
    assert bool(training.ppo.actor.normaliser.frozen)
    assert not bool(training.ppo.critic.normaliser.frozen)
    rewards = [training.iterate()["reward/mean"] for _ in range(5)]
    learned = np.mean([row["reward/mean"] for row in RunFolder(run).metrics()[-3:]])
    assert min(rewards) > learned - 0.15


def test_a_shipped_walker_is_found_by_its_name():
    (name, *_) = shipped_walkers()
    held = Held.read(name)
    assert held.folder.name == name
    assert "human" in held.signature["parts"] and not held.averaged
