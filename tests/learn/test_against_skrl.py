"""Our optimiser beside the one of a kept library, on a task that both learn."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skrl", reason="skrl is not installed; it is in the extra 'bench'")

import gymnasium  # noqa: E402
from skrl.agents.torch.ppo import PPO, PPO_CFG  # noqa: E402
from skrl.envs.wrappers.torch import Wrapper  # noqa: E402
from skrl.memories.torch import RandomMemory  # noqa: E402
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model  # noqa: E402
from skrl.resources.preprocessors.torch import RunningStandardScaler  # noqa: E402
from skrl.trainers.torch import SequentialTrainer, SequentialTrainerCfg  # noqa: E402

from osim_exo.learn.config import LearnConfig, NetworkConfig, PpoConfig  # noqa: E402
from osim_exo.learn.synthetic import SyntheticConfig, SyntheticEnv  # noqa: E402
from osim_exo.learn.train import Training  # noqa: E402

TASK = SyntheticConfig(pairs=2, singles=1, action_pairs=1, steps=50)
N_ENV, HORIZON, ITERATIONS = 64, 16, 25


class Wrapped(Wrapper):
    """A `BatchEnv` as skrl wants it; final observations have no place there."""

    def __init__(self, env):
        self.rewards = []
        self.num_envs, self.num_agents = env.n_env, 1
        self.observation_space = gymnasium.spaces.Box(-6.0, 6.0, (len(env.observation_names),))
        self.state_space = None
        self.action_space = gymnasium.spaces.Box(-2.0, 2.0, (len(env.action_names),))
        self.device = torch.device("cpu")
        self.env = env

    num_envs = num_agents = observation_space = state_space = action_space = device = None

    def reset(self):
        return torch.from_numpy(self.env.reset().policy), {}

    def step(self, actions):
        step = self.env.step(actions.numpy())
        self.rewards.append(float(step.reward.mean()))
        columns = (step.reward.astype(np.float32), step.terminated, step.truncated)
        reward, terminated, truncated = (torch.from_numpy(c)[:, None] for c in columns)
        return torch.from_numpy(step.observation.policy), reward, terminated, truncated, {}

    def state(self):
        return None

    def render(self, *args, **kwargs):
        return None

    def close(self):
        return None


def layers(n_in, n_out):
    relu = torch.nn.ReLU
    return torch.nn.Sequential(
        *(torch.nn.Linear(n_in, 32), relu(), torch.nn.Linear(32, 32), relu()),
        torch.nn.Linear(32, n_out),
    )


class Policy(GaussianMixin, Model):
    def __init__(self, observation_space, action_space):
        Model.__init__(
            self, observation_space=observation_space, action_space=action_space, device="cpu"
        )
        GaussianMixin.__init__(self)
        self.net = layers(self.num_observations, self.num_actions)
        self.log_std = torch.nn.Parameter(torch.full((self.num_actions,), float(np.log(0.5))))

    def compute(self, inputs, role):
        return self.net(inputs["observations"]), {"log_std": self.log_std}


class Value(DeterministicMixin, Model):
    def __init__(self, observation_space, action_space):
        Model.__init__(
            self, observation_space=observation_space, action_space=action_space, device="cpu"
        )
        DeterministicMixin.__init__(self)
        self.net = layers(self.num_observations, 1)

    def compute(self, inputs, role):
        return self.net(inputs["observations"]), {}


def learn_with_skrl(seed):
    """Mean reward of each control step."""
    torch.manual_seed(seed)
    env = Wrapped(SyntheticEnv(TASK, N_ENV, seed))
    spaces = env.observation_space, env.action_space
    config = PPO_CFG(
        rollouts=HORIZON,
        learning_epochs=4,
        mini_batches=4,
        discount_factor=0.95,
        learning_rate=1e-3,
        grad_norm_clip=1.0,
        observation_preprocessor=RunningStandardScaler,
        observation_preprocessor_kwargs={"size": env.observation_space, "device": "cpu"},
        value_preprocessor=RunningStandardScaler,
        value_preprocessor_kwargs={"size": 1, "device": "cpu"},
    )
    config.experiment.write_interval = config.experiment.checkpoint_interval = 0
    agent = PPO(
        models={"policy": Policy(*spaces), "value": Value(*spaces)},
        memory=RandomMemory(memory_size=HORIZON, num_envs=N_ENV, device="cpu"),
        cfg=config,
        observation_space=spaces[0],
        action_space=spaces[1],
        device="cpu",
    )
    trainer = SequentialTrainerCfg(
        timesteps=HORIZON * ITERATIONS,
        headless=True,
        disable_progressbar=True,
        close_environment_at_exit=False,
    )
    SequentialTrainer(cfg=trainer, env=env, agents=agent).train()
    return np.array(env.rewards)


def learn_with_ours(seed, symmetry):
    network = NetworkConfig(hidden=(32, 32), critic_hidden=(32, 32), symmetry=symmetry)
    ppo = PpoConfig(horizon=HORIZON, minibatch=256, gamma=0.95, epochs=4)
    config = LearnConfig(n_env=N_ENV, seed=seed, network=network, ppo=ppo)
    training = Training(config, SyntheticEnv(TASK, N_ENV, seed))
    training.begin()
    return np.array([training.iterate()["reward/mean"] for _ in range(ITERATIONS)])


@pytest.mark.slow
def test_as_much_is_learned_from_as_much_experience():
    last = HORIZON * 5
    library = np.mean([learn_with_skrl(seed)[-last:].mean() for seed in (0, 1)])
    plain = np.mean([learn_with_ours(seed, "none")[-5:].mean() for seed in (0, 1)])
    tied = np.mean([learn_with_ours(seed, "network")[-5:].mean() for seed in (0, 1)])
    print(f"mean reward per step: skrl {library:.3f}, ours {plain:.3f}, with symmetry {tied:.3f}")
    assert plain > library - 0.03
    assert tied > library - 0.03
