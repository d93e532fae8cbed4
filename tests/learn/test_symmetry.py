"""Left and right are treated alike, exactly."""

import numpy as np
import pytest

from osim_exo.errors import InputError

torch = pytest.importorskip("torch")

from osim_exo.learn.base import (  # noqa: E402
    Mirror,
    Mirroring,
    generator_state,
    restore_generator,
)
from osim_exo.learn.config import NetworkConfig, PpoConfig  # noqa: E402
from osim_exo.learn.gather import Gatherer  # noqa: E402
from osim_exo.learn.networks import Actor, Critic, Part  # noqa: E402
from osim_exo.learn.ppo import Ppo  # noqa: E402
from osim_exo.learn.synthetic import SyntheticConfig, SyntheticEnv  # noqa: E402

SEEN = ("hip_r", "hip_l", "knee_r", "knee_l", "list", "tilt")
HIDDEN = ("load_r", "load_l")
DRIVEN = ("soleus_r", "soleus_l", "lateral", "exo_r", "exo_l")
MIRROR = Mirror(
    Mirroring.of_names(SEEN, odd=("list",)),
    Mirroring.of_names(HIDDEN),
    Mirroring.of_names(DRIVEN, odd=("lateral",)),
)
BOTH = {"human": Part((0, 1, 2, 3, 4, 5), (0, 1, 2)), "exo": Part((0, 1), (3, 4))}
ONE = {"human": Part(tuple(range(6)), tuple(range(5)))}


def config(symmetry):
    return NetworkConfig(
        hidden=(12, 10), exo_hidden=(8, 8), critic_hidden=(14, 6), symmetry=symmetry
    )


def observations(n=200):
    return np.random.default_rng(0).normal(0.5, 2.0, (n, 6)).astype(np.float32)


@pytest.mark.parametrize("parts", [ONE, BOTH], ids=["one part", "two parts"])
@pytest.mark.parametrize("symmetry", ["network", "average"])
def test_the_mirrored_walker_gets_the_mirrored_action(symmetry, parts):
    actor = Actor(6, 5, parts, config(symmetry), MIRROR, torch.Generator().manual_seed(0))
    for name in parts:
        with torch.no_grad():
            actor.network(name).layers[-1].weight.mul_(100.0)
    seen = observations()
    actor.normaliser.update(torch.from_numpy(seen))
    with torch.no_grad():
        action = actor(torch.from_numpy(seen)).numpy()
        mirrored = actor(torch.from_numpy(np.asarray(MIRROR.observation(seen)))).numpy()
    assert np.abs(action).max() > 0.1
    np.testing.assert_allclose(mirrored, MIRROR.action(action), atol=2e-6)


@pytest.mark.parametrize("symmetry", ["network", "average"])
def test_the_mirrored_walker_has_the_same_value(symmetry):
    critic = Critic(6, 2, config(symmetry), MIRROR, torch.Generator().manual_seed(0))
    seen = observations()
    hidden = np.random.default_rng(1).standard_normal((200, 2)).astype(np.float32)
    joined = np.hstack([seen, hidden])
    turned = np.hstack([MIRROR.observation(seen), MIRROR.privileged(hidden)])
    critic.normaliser.update(torch.from_numpy(joined))
    with torch.no_grad():
        value = critic(torch.from_numpy(joined))
        other = critic(torch.from_numpy(turned))
    assert value.std() > 0.1
    torch.testing.assert_close(other, value, atol=2e-6, rtol=1e-5)


def test_without_symmetry_the_mirrored_walker_gets_something_else():
    actor = Actor(6, 5, ONE, config("none"), MIRROR, torch.Generator().manual_seed(0))
    seen = observations()
    actor.normaliser.update(torch.from_numpy(seen))
    with torch.no_grad():
        action = actor(torch.from_numpy(seen)).numpy()
        mirrored = actor(torch.from_numpy(np.asarray(MIRROR.observation(seen)))).numpy()
    assert np.abs(mirrored - MIRROR.action(action)).max() > 1e-3


def test_tied_weights_stay_tied_through_learning():
    env = SyntheticEnv(SyntheticConfig(pairs=2, singles=1, action_pairs=1, steps=20), 16, 0)
    parts = {name: Part(*columns) for name, columns in env.parts.items()}
    network = NetworkConfig(hidden=(16, 16), critic_hidden=(16, 16))
    ppo = Ppo(
        (5, 0, 3),
        parts,
        network,
        PpoConfig(horizon=8, minibatch=32, precision="float32"),
        env.mirror,
        torch.device("cpu"),
        0,
    )
    gatherer = Gatherer(env, ppo)
    gatherer.warm_up()
    for _ in range(10):
        ppo.update(gatherer.gather()[0])
    seen = np.random.default_rng(0).standard_normal((100, 5)).astype(np.float32)
    with torch.no_grad():
        action = ppo.actor(torch.from_numpy(seen)).numpy()
        mirrored = ppo.actor(torch.from_numpy(np.asarray(env.mirror.observation(seen)))).numpy()
    assert np.abs(action).max() > 0.01
    np.testing.assert_allclose(mirrored, env.mirror.action(action), atol=1e-6)
    assert ppo.actor.std()[0] == ppo.actor.std()[1]


def test_a_part_that_sees_one_side_only_is_refused():
    with pytest.raises(InputError, match="both sides"):
        Actor(
            6,
            5,
            {"human": Part((0, 2), (0, 1, 2, 3, 4))},
            config("network"),
            MIRROR,
            torch.Generator(),
        )


def test_mirroring_twice_gives_back_the_vector():
    values = np.random.default_rng(0).standard_normal((3, 6))
    mirror = MIRROR.observation
    np.testing.assert_array_equal(mirror(mirror(values)), values)
    np.testing.assert_array_equal(mirror(values)[:, 4], -values[:, 4])
    np.testing.assert_array_equal(mirror(values)[:, 0], values[:, 1])


@pytest.mark.parametrize(
    ("index", "sign", "said"),
    [
        ([1, 2, 0], [1, 1, 1], "twice"),
        ([1, 0], [1, -1], "twice"),
        ([0, 0], [1, 1], "each channel once"),
        ([0, 1], [1, 2], "1 or -1"),
    ],
)
def test_what_is_no_mirror_is_refused(index, sign, said):
    with pytest.raises(InputError, match=said):
        Mirroring(np.array(index), np.array(sign, dtype=np.float32))


def test_a_side_without_partner_is_refused():
    with pytest.raises(InputError, match="without a partner on the other side: hip_r"):
        Mirroring.of_names(("hip_r", "tilt"))
    with pytest.raises(InputError, match="odd but unknown: roll"):
        Mirroring.of_names(("tilt",), odd=("roll",))


def test_a_generator_goes_on_from_its_state():
    generator = np.random.default_rng(3)
    generator.integers(0, 5, 3, dtype=np.int32)
    held = generator_state(generator)
    expected = generator.standard_normal(5), generator.integers(0, 9, 5, dtype=np.int32)
    other = np.random.default_rng(99)
    restore_generator(other, held)
    np.testing.assert_array_equal(other.standard_normal(5), expected[0])
    np.testing.assert_array_equal(other.integers(0, 9, 5, dtype=np.int32), expected[1])


def test_a_generator_of_another_kind_is_refused():
    with pytest.raises(InputError, match="PCG64"):
        generator_state(np.random.Generator(np.random.MT19937(0)))
