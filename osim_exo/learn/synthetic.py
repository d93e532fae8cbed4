"""A task without physics: steer a symmetric linear system to rest. For tests and benchmarks."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from osim_exo.config import Config
from osim_exo.learn.base import (
    Float32,
    Mirror,
    Mirroring,
    Observation,
    Snapshot,
    Step,
    generator_state,
    restore_generator,
)
from osim_exo.policy import Action, Interface, Signal


class SyntheticConfig(Config):
    """Sizes of the system; the defaults are those of the planar walker."""

    kind: Literal["synthetic"] = "synthetic"
    pairs: int = Field(default=28, ge=1, le=500, description="observed pairs, right and left")
    singles: int = Field(default=4, ge=0, le=500, description="observed numbers without a side")
    action_pairs: int = Field(default=10, ge=1, le=500, description="pairs of actions")
    privileged: int = Field(default=0, ge=0, le=500, description="numbers only the critic sees")
    steps: int = Field(default=100, ge=2, description="control steps of an episode")
    noise: float = Field(default=0.02, ge=0.0, le=1.0, description="of the state, per step")


class SyntheticEnv:
    """x' = A x + B a + noise, with A and B that mirror; reward 1 - mean x^2 - mean a^2 / 10.

    An episode ends as a fall where a number leaves -6 to 6.

    Parameters
    ----------
    config : SyntheticConfig
    n_env : int
    seed : int
    """

    def __init__(self, config: SyntheticConfig, n_env: int, seed: int) -> None:
        self.config, self.n_env = config, n_env
        state = _names("x", config.pairs, config.singles)
        self.observation_names = state
        self.privileged_names = tuple(f"hidden_{i}" for i in range(config.privileged))
        self.action_names = _names("a", config.action_pairs, 1)
        self.mirror = Mirror(
            Mirroring.of_names(state),
            Mirroring.of_names(self.privileged_names),
            Mirroring.of_names(self.action_names),
        )
        system = np.random.default_rng(12345)
        n, m = len(state), len(self.action_names)
        free = system.standard_normal((n, n)) / np.sqrt(n)
        free = 0.5 * (free + _turned(free, self.mirror.observation, self.mirror.observation))
        drive = system.standard_normal((n, m)) / np.sqrt(m)
        drive = 0.5 * (drive + _turned(drive, self.mirror.observation, self.mirror.action))
        self._free = (0.97 * np.eye(n) + 0.1 * free).astype(np.float32)
        self._drive = (0.2 * drive).astype(np.float32)
        self._random = np.random.default_rng(seed)
        self._state = np.zeros((n_env, n), dtype=np.float32)
        self._clock = np.zeros(n_env, dtype=np.int64)

    @property
    def interface(self) -> Interface:
        """Signals and actions without physical meaning."""
        names = self.observation_names
        return Interface(
            observations=tuple(Signal(name=n, unit="1", low=-6.0, high=6.0) for n in names),
            actions=tuple(
                Action(name=n, unit="1", low=-2.0, high=2.0, squashing="clip")
                for n in self.action_names
            ),
            rate_hz=50.0,
            model="synthetic",
            model_hash="synthetic",
        )

    @property
    def parts(self) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        """One policy, which sees and drives everything."""
        columns = range(len(self.observation_names)), range(len(self.action_names))
        return {"synthetic": (tuple(columns[0]), tuple(columns[1]))}

    def _observe(self) -> Observation:
        shape = (self.n_env, len(self.privileged_names))
        hidden = np.broadcast_to(self._state.sum(axis=1, keepdims=True), shape)
        return Observation(self._state.copy(), np.array(hidden, dtype=np.float32))

    def _begin(self, rows: np.typing.NDArray[np.bool_]) -> None:
        size = (int(rows.sum()), self._state.shape[1])
        self._state[rows] = self._random.standard_normal(size, dtype=np.float32)
        self._clock[rows] = 0

    def reset(self) -> Observation:
        """Begin every environment's episode; clocks differ, so that they do not end together."""
        self._begin(np.ones(self.n_env, dtype=bool))
        self._clock[:] = self._random.integers(0, self.config.steps, self.n_env)
        return self._observe()

    def step(self, action: Float32) -> Step:
        """Advance by one control step."""
        command = np.clip(action, -2.0, 2.0)
        noise = self._random.standard_normal(self._state.shape, dtype=np.float32)
        self._state = self._state @ self._free.T + command @ self._drive.T
        self._state += np.float32(self.config.noise) * noise
        self._clock += 1
        size = np.square(self._state).mean(axis=1)
        effort = np.square(command).mean(axis=1) / 10.0
        terminated = np.abs(self._state).max(axis=1) > 6.0
        truncated = (self._clock >= self.config.steps) & ~terminated
        final = self._observe()
        self._begin(terminated | truncated)
        terms = {"reward/state": 1.0 - size, "reward/effort": -effort}
        reward = (1.0 - size - effort).astype(np.float32)
        return Step(self._observe(), reward, terminated, truncated, final, terms)

    def snapshot(self) -> Snapshot:
        """State, clocks and random generator."""
        return {
            "state": self._state.copy(),
            "clock": self._clock.copy(),
            "random": generator_state(self._random),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        self._state = np.array(snapshot["state"], dtype=np.float32)
        self._clock = np.array(snapshot["clock"], dtype=np.int64)
        restore_generator(self._random, snapshot["random"])

    def close(self) -> None:
        """Nothing to give back."""


def _names(stem: str, pairs: int, singles: int) -> tuple[str, ...]:
    sided = [f"{stem}{i}_{side}" for i in range(pairs) for side in "rl"]
    return (*sided, *(f"{stem}{i}_mid" for i in range(singles)))


def _turned(
    matrix: np.typing.NDArray[np.floating], out: Mirroring, into: Mirroring
) -> np.typing.NDArray[np.floating]:
    """What the matrix is for the mirrored system."""
    turned = matrix[out.index][:, into.index]
    return np.asarray(turned * out.sign[:, None] * into.sign)
