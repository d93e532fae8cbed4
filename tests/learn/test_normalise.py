"""Running statistics, and channels that come alive."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from osim_exo.learn.base import Mirror, Mirroring  # noqa: E402
from osim_exo.learn.config import NetworkConfig  # noqa: E402
from osim_exo.learn.networks import Actor, Part  # noqa: E402
from osim_exo.learn.normalise import LIMIT, Normaliser  # noqa: E402


def test_statistics_of_parts_are_those_of_the_whole():
    random = np.random.default_rng(0)
    values = random.normal([1.0, -50.0, 1e4], [2.0, 0.1, 30.0], (1000, 3))
    normaliser = Normaliser(3)
    for part in np.split(values, [10, 300, 301]):
        normaliser.update(torch.from_numpy(part))
    np.testing.assert_allclose(normaliser.mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(normaliser.square, values.var(axis=0), rtol=1e-9)


def test_normalised_values_have_zero_mean_and_unit_deviation():
    values = torch.from_numpy(np.random.default_rng(0).normal(3.0, 7.0, (5000, 2))).float()
    normaliser = Normaliser(2)
    normaliser.update(values)
    normal = normaliser(values)
    assert normal.mean(0).abs().max() < 1e-5
    assert (normal.std(0) - 1.0).abs().max() < 1e-3


def test_mirrored_channels_share_their_statistics():
    index, sign = torch.tensor([1, 0, 2]), torch.tensor([1.0, 1.0, -1.0])
    normaliser = Normaliser(3, index, sign)
    values = torch.from_numpy(np.random.default_rng(0).normal([1, 5, 2], [1, 2, 1], (400, 3)))
    normaliser.update(values)
    seen = torch.cat([values, values[:, index] * sign]).numpy()
    np.testing.assert_allclose(normaliser.mean, seen.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(normaliser.square, seen.var(axis=0), rtol=1e-12)


def test_a_constant_channel_is_not_seen():
    normaliser = Normaliser(2)
    values = torch.randn(100, 2)
    values[:, 1] = 0.3
    normaliser.update(values)
    assert normaliser.alive.tolist() == [True, False]
    values[:, 1] = 8.0
    assert normaliser(values)[:, 1].abs().max() == 0.0


def constant_channel_policy():
    config = NetworkConfig(hidden=(16, 16), symmetry="none")
    part = {"human": Part((0, 1, 2), (0, 1))}
    actor = Actor(3, 2, part, config, None, torch.Generator().manual_seed(0))
    # As after learning: the output is not small.
    with torch.no_grad():
        actor.network("human").layers[-1].weight.mul_(100.0)
    values = torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    values[:, 2] = 0.0
    actor.normaliser.update(values)
    actor.silence()
    return actor, values


@pytest.mark.parametrize("frozen", [False, True])
def test_a_channel_that_comes_alive_changes_nothing_at_first(frozen):
    actor, values = constant_channel_policy()
    if frozen:
        actor.normaliser.freeze()
    before = actor(values)
    alive = values.clone()
    alive[:, 2] = torch.linspace(-1.0, 1.0, 500)
    assert torch.equal(actor(alive), before)
    born = actor.normaliser.update(alive)
    assert born.tolist() == [False, False, True]
    normal = actor.normaliser(alive)[:, 2]
    assert normal.abs().max() < 3.0
    assert normal.std() == pytest.approx(1.0, abs=0.1)
    if frozen:
        assert torch.equal(actor(alive), before)
    else:
        # Only the other channels' running statistics moved, by their sampling error.
        assert (actor(alive) - before).abs().max() < 1e-5


def test_a_channel_that_comes_alive_is_learned_from():
    actor, values = constant_channel_policy()
    values[:, 2] = torch.linspace(-1.0, 1.0, 500)
    actor.normaliser.update(values)
    actor(values).square().sum().backward()
    assert actor.network("human").layers[0].weight.grad[:, 2].abs().max() > 0.0


def test_a_frozen_normaliser_keeps_what_it_knows():
    normaliser = Normaliser(2)
    normaliser.update(torch.randn(100, 2))
    normaliser.freeze()
    before = normaliser.mean.clone(), normaliser.square.clone()
    normaliser.update(torch.randn(100, 2) * 100.0 + 7.0)
    assert torch.equal(normaliser.mean, before[0])
    assert torch.equal(normaliser.square, before[1])


def test_a_frozen_normaliser_settles_on_a_channel_that_came_alive():
    normaliser = Normaliser(1)
    normaliser.update(torch.zeros(100, 1))
    normaliser.freeze()
    for _ in range(30):
        normaliser.update(torch.randn(1000, 1) * 2.0)
    settled = normaliser.square.clone()
    assert settled.sqrt().item() == pytest.approx(2.0, rel=0.05)
    normaliser.update(torch.randn(1000, 1) * 50.0)
    assert torch.equal(normaliser.square, settled)


def test_outliers_are_clipped():
    normaliser = Normaliser(1)
    normaliser.update(torch.randn(100, 1))
    assert normaliser(torch.tensor([[1e6]])).item() == LIMIT


def test_the_mirrored_walker_s_observations_are_normalised_as_the_walker_s():
    names = ("hip_r", "hip_l", "list")
    mirror = Mirroring.of_names(names, odd=("list",))
    assert isinstance(Mirror(mirror, mirror, mirror).observation, Mirroring)
    normaliser = Normaliser(3, torch.from_numpy(mirror.index), torch.from_numpy(mirror.sign))
    values = np.random.default_rng(0).normal(1.0, 2.0, (50, 3)).astype(np.float32)
    normaliser.update(torch.from_numpy(values))
    one = mirror(normaliser(torch.from_numpy(values)).numpy())
    np.testing.assert_allclose(
        normaliser(torch.from_numpy(np.asarray(mirror(values)))).numpy(), one, atol=1e-6
    )
