"""Train Stable-Baselines3's PPO on the walking environment, all walkers of a batch at once.

    pip install "osim_exo[sim]" stable-baselines3
    python examples/stable_baselines3_ppo.py --out runs/sb3

`GaitVectorEnv` steps compiled physics for many walkers in one call; `GaitVecEnv` gives it the
interface that Stable-Baselines3 expects. One walker works without it: ``PPO("MlpPolicy",
gymnasium.make("osim_exo/Gait-v0", physics="compiled"))``. Episodes begin within the stride of a
shipped gait. For walkers as good as the shipped ones use ``osim-exo train``: its reward, symmetric
networks and curriculum are made for walking, those here are general.

Two million steps take a minute and a half on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from osim_exo.baseline import library
from osim_exo.env import GaitVectorEnv
from osim_exo.models import ModelConfig
from osim_exo.physics import CompiledPhysics, StartState
from osim_exo.task import GaitTask

N_ENV, N_START, SPEED = 64, 20, 1.25


class GaitVecEnv(VecEnv):
    """A `GaitVectorEnv` as Stable-Baselines3 steps it."""

    def __init__(self, env: GaitVectorEnv) -> None:
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> np.ndarray:
        """Begin an episode in every environment."""
        seen, _ = self.env.reset(seed=self._seeds[0])
        self._reset_seeds()
        return seen

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for `step_wait`."""
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Step; finished episodes have begun anew, their last observation is told beside."""
        seen, reward, terminated, truncated, found = self.env.step(self.actions)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for k in np.flatnonzero(done):
            infos[k]["terminal_observation"] = found["final_obs"][k]
            infos[k]["TimeLimit.truncated"] = bool(truncated[k] and not terminated[k])
        return seen, reward, done, infos

    def close(self) -> None:
        """Close the physics."""
        self.env.close()

    def get_attr(self, name: str, indices: Any = None) -> list[Any]:
        """The same for every environment."""
        count = len(list(range(self.env.num_envs) if indices is None else indices))
        return [getattr(self.env, name)] * count

    def set_attr(self, name: str, value: Any, indices: Any = None) -> None:
        """Set it for all; environments of a batch share their settings."""
        self._refuse_some(indices)
        setattr(self.env, name, value)

    def env_method(self, name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call it once, for all."""
        self._refuse_some(indices)
        return [getattr(self.env, name)(*args, **kwargs)] * self.num_envs

    def _refuse_some(self, indices: Any) -> None:
        if indices is not None:
            raise ValueError(f"environments {indices} were named; a batch is changed as a whole")

    def env_is_wrapped(self, wrapper: Any, indices: Any = None) -> list[bool]:
        """No environment has a wrapper."""
        return [False] * self.num_envs


def starts() -> list[StartState]:
    """States within the stride of the shipped gait."""
    trial = library.load("gait2d", SPEED, 0.0).trial
    rows = np.linspace(0, trial.time.size - 1, N_START, endpoint=False).astype(int)

    def at(row: int, series: str) -> dict[str, float]:
        channels = getattr(trial, series)
        return dict(zip(channels.names, channels.values[row].tolist()))

    return [
        StartState(at(row, "coordinates"), at(row, "speeds"), at(row, "activations"))
        for row in rows
    ]


def make(n_env: int, seed: int) -> VecMonitor:
    """Walkers without device at 1.25 m/s, episodes of 10 s at most."""
    physics = CompiledPhysics(ModelConfig(), n_env=n_env, substep=0.002, on_failure="mark")
    env = GaitVecEnv(GaitVectorEnv(physics, GaitTask(), starts=starts()))
    env.seed(seed)
    return VecMonitor(env)


def main(arguments: Sequence[str] | None = None) -> tuple[float, float]:
    """Train, keep the policy, and tell the mean length of episodes before and after, in steps."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=2_000_000, help="of all walkers together")
    parser.add_argument("--out", type=Path, default=Path("runs/sb3"), help="folder of the policy")
    given = parser.parse_args(arguments)
    env, looked_at = make(N_ENV, 0), make(16, 1)
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=32,
        batch_size=512,
        n_epochs=4,
        gamma=0.98,
        policy_kwargs={"net_arch": [128, 128], "log_std_init": -1.0},
        seed=0,
        verbose=0,
        device="cpu",
    )

    def length() -> float:
        _, lengths = evaluate_policy(model, looked_at, 32, return_episode_rewards=True)
        return float(np.mean(lengths))

    before = length()
    model.learn(given.steps)
    after = length()
    given.out.mkdir(parents=True, exist_ok=True)
    model.save(given.out / "policy")
    print(f"mean length of episodes: {before:.0f} steps untrained, {after:.0f} after training")
    env.close()
    looked_at.close()
    return before, after


if __name__ == "__main__":
    main()
