"""Losses against hand calculations; what an update does."""

import math

import pytest

torch = pytest.importorskip("torch")

from osim_exo.errors import SimulationError  # noqa: E402
from osim_exo.learn import ppo as module  # noqa: E402
from osim_exo.learn.config import LEAST_BF16_STD, NetworkConfig, PpoConfig  # noqa: E402
from osim_exo.learn.gather import Gatherer  # noqa: E402
from osim_exo.learn.networks import Part  # noqa: E402
from osim_exo.learn.ppo import Ppo, divergence, log_probability, policy_loss, value_loss  # noqa: E402
from osim_exo.learn.synthetic import SyntheticConfig, SyntheticEnv  # noqa: E402

TASK = SyntheticConfig(pairs=2, singles=1, action_pairs=1, privileged=2, steps=20)


def learner(symmetry="network", std=0.5, n_env=16, **options):
    env = SyntheticEnv(TASK, n_env, 0)
    sizes = (len(env.observation_names), len(env.privileged_names), len(env.action_names))
    network = NetworkConfig(
        hidden=(16, 16), critic_hidden=(16, 16), symmetry=symmetry, start_std=std
    )
    config = PpoConfig(**{"horizon": 8, "minibatch": 32, **options})
    parts = {name: Part(*columns) for name, columns in env.parts.items()}
    ppo = Ppo(sizes, parts, network, config, env.mirror, torch.device("cpu"), 0)
    gatherer = Gatherer(env, ppo)
    gatherer.warm_up()
    return ppo, gatherer


def test_log_probability_is_that_of_independent_gaussians():
    action = torch.tensor([[1.0, -1.0]])
    mean, std = torch.tensor([[0.5, 0.0]]), torch.tensor([0.5, 2.0])
    by_hand = sum(
        -0.5 * ((a - m) / s) ** 2 - math.log(s * math.sqrt(2.0 * math.pi))
        for a, m, s in ((1.0, 0.5, 0.5), (-1.0, 0.0, 2.0))
    )
    assert log_probability(action, mean, std).item() == pytest.approx(by_hand, rel=1e-6)


def test_divergence_is_that_of_torch_s_own_gaussians():
    mean, new = torch.randn(5, 3), torch.randn(5, 3)
    std, new_std = torch.tensor([0.3, 0.5, 1.0]), torch.tensor([0.4, 0.2, 1.5])
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, std), torch.distributions.Normal(new, new_std)
    ).sum(-1)
    torch.testing.assert_close(divergence(mean, std, new, new_std), expected)


def test_surrogate_is_clipped_where_the_change_pays():
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5])
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0])
    # min(1.5, 1.2), min(-1.5, -1.2), min(0.5, 0.8), min(-0.5, -0.8)
    expected = -(1.2 - 1.5 + 0.5 - 0.8) / 4.0
    assert policy_loss(ratio, advantage, 0.2).item() == pytest.approx(expected)


def test_value_loss_by_hand():
    value, target = torch.tensor([3.0, 0.0]), torch.tensor([1.0, 1.0])
    before = torch.tensor([2.0, 0.0])
    assert value_loss(value, target, before, None).item() == pytest.approx(0.5 * (4.0 + 1.0) / 2.0)
    # A target of 1 seen from 2: within 0.5 of 2 the nearest is 2.5, so the larger error counts.
    clipped = value_loss(torch.tensor([1.0]), torch.tensor([1.0]), torch.tensor([2.0]), 0.5)
    assert clipped.item() == pytest.approx(0.5 * 0.25)


def test_the_learning_rate_follows_the_divergence():
    ppo, _ = learner(learning_rate=1e-3, kl_target=0.01, largest_rate=1.05e-3, least_rate=9e-4)
    ppo._adapt(0.021)
    assert ppo.learning_rate == 9e-4
    ppo._adapt(0.015)
    assert ppo.learning_rate == 9e-4
    ppo._adapt(0.004)
    assert ppo.learning_rate == pytest.approx(9.9e-4)
    ppo._adapt(0.004)
    assert ppo.learning_rate == 1.05e-3


def test_epochs_end_when_the_policy_went_far():
    ppo, gatherer = learner(epochs=10, kl_stop=1.5, kl_target=1e-4, learning_rate=3e-3)
    facts = ppo.update(gatherer.gather()[0])
    assert facts["policy/epochs"] < 10


def test_the_deviation_never_falls_below_its_floor():
    ppo, gatherer = learner(std=0.06)
    with torch.no_grad():
        ppo.actor.log_std.fill_(math.log(0.01))
    ppo.update(gatherer.gather()[0])
    assert ppo.actor.std().min() >= 0.05 * (1.0 - 1e-6)


@pytest.mark.parametrize(
    ("std", "precision", "bf16"),
    [
        (LEAST_BF16_STD + 0.05, "auto", 1.0),
        (LEAST_BF16_STD - 0.05, "auto", 0.0),
        (0.5, "float32", 0.0),
    ],
)
def test_bfloat16_is_used_only_while_the_deviation_is_wide(monkeypatch, std, precision, bf16):
    monkeypatch.setattr(module, "has_fast_bf16", lambda device: True)
    network = {"std": std, "precision": precision}
    ppo, gatherer = learner(**network)
    with torch.no_grad():
        ppo.actor.log_std.fill_(math.log(std))
    assert ppo.update(gatherer.gather()[0])["policy/bf16"] == bf16


@pytest.mark.parametrize("symmetry", ["network", "average", "data", "none"])
def test_an_update_makes_good_actions_likelier(symmetry):
    ppo, gatherer = learner(symmetry, epochs=2, precision="float32")
    rollout, _ = gatherer.gather()
    samples, _ = ppo._samples(rollout, torch.float32)
    mean = ppo.actor.run(ppo.actor.dense(), samples.inputs)
    before = log_probability(samples.action, mean, ppo.actor.std())
    ppo.update(rollout)
    mean = ppo.actor.run(ppo.actor.dense(), samples.inputs)
    after = log_probability(samples.action, mean, ppo.actor.std())
    assert ((after - before) * samples.advantage).mean() > 0.0


def test_estimates_stay_when_returns_are_counted_anew():
    ppo, gatherer = learner()
    rollout, _ = gatherer.gather()
    before = ppo.critic(rollout.last)
    ppo.critic.rescale(torch.tensor(17.0), torch.tensor(4.0))
    torch.testing.assert_close(ppo.critic(rollout.last), before, rtol=1e-4, atol=1e-5)


def test_the_critic_learns_the_returns():
    ppo, gatherer = learner(n_env=64, minibatch=64, gamma=0.95)
    explained = [ppo.update(gatherer.gather()[0])["value/explained"] for _ in range(15)]
    assert explained[-1] > 0.5 > explained[0]


def test_numbers_that_are_not_finite_stop_learning_and_leave_the_networks_sound():
    ppo, gatherer = learner()
    rollout, _ = gatherer.gather()
    rollout.action[0, 0, 0] = float("nan")
    with pytest.raises(SimulationError, match="left the finite numbers"):
        ppo.update(rollout)
    assert all(torch.isfinite(parameter).all() for parameter in ppo.parameters)


def test_the_learning_of_two_seeds_differs():
    env = SyntheticEnv(TASK, 4, 0)
    made = []
    for seed in (0, 1):
        parts = {name: Part(*columns) for name, columns in env.parts.items()}
        config = NetworkConfig(hidden=(8, 8), critic_hidden=(8, 8))
        made.append(
            Ppo((5, 2, 3), parts, config, PpoConfig(), env.mirror, torch.device("cpu"), seed)
        )
    assert not torch.equal(made[0].parameters[1], made[1].parameters[1])
