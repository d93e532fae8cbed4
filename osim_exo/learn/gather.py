"""Gathering experience: the policy acts in all environments, and episodes are counted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from osim_exo.errors import SimulationError
from osim_exo.learn.base import BatchEnv, Observation, Snapshot, Step
from osim_exo.learn.clock import Clock
from osim_exo.learn.ppo import Ppo
from osim_exo.learn.rollout import Rollout

WARM_UP = 8
"""Control steps of noise from which the normalisers learn before anything else."""


@dataclass
class Episodes:
    """What ended since the last reading, and the running episodes' returns and lengths.

    Attributes
    ----------
    returns, lengths : (n_env,) arrays, of the running episodes
    """

    returns: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]
    ended_returns: list[float] = field(default_factory=list)
    ended_lengths: list[int] = field(default_factory=list)
    falls: int = 0

    @classmethod
    def of(cls, n_env: int) -> Episodes:
        """None have begun."""
        return cls(np.zeros(n_env), np.zeros(n_env, dtype=np.int64))

    def add(self, step: Step) -> None:
        """Count one control step."""
        self.returns += step.reward
        self.lengths += 1
        ended = step.terminated | step.truncated
        if ended.any():
            self.ended_returns += self.returns[ended].tolist()
            self.ended_lengths += self.lengths[ended].tolist()
            self.falls += int(step.terminated.sum())
            self.returns[ended], self.lengths[ended] = 0.0, 0

    def read(self) -> dict[str, float]:
        """Means over the episodes that ended since the last reading; none: no means."""
        count = len(self.ended_lengths)
        facts = {"episode/ended": float(count), "episode/falls": float(self.falls)}
        if count:
            facts["episode/return"] = float(np.mean(self.ended_returns))
            facts["episode/length"] = float(np.mean(self.ended_lengths))
            facts["episode/fall_share"] = self.falls / count
        self.ended_returns, self.ended_lengths, self.falls = [], [], 0
        return facts


class Gatherer:
    """Steps the environments with a policy and fills rollouts.

    Parameters
    ----------
    env : BatchEnv
    ppo : Ppo
        Whose policy acts.
    """

    def __init__(self, env: BatchEnv, ppo: Ppo) -> None:
        self.env, self.ppo = env, ppo
        self.episodes = Episodes.of(env.n_env)
        self.clock = Clock()
        self._rollout = Rollout.empty(ppo.config.horizon, env.n_env, ppo.sizes, ppo.device)
        self._now = env.reset()

    def warm_up(self) -> None:
        """Let the normalisers learn from a few steps of noise, then begin anew."""
        seen = [self._now]
        acting = self.ppo.acting()
        for _ in range(WARM_UP):
            action, _ = self.ppo.act(acting, self._tensor(seen[-1].policy))
            seen.append(self.env.step(action.cpu().numpy()).observation)
        policy = np.concatenate([o.policy for o in seen])
        privileged = np.concatenate([o.privileged for o in seen])
        self.ppo.observe(self._tensor(policy), self._tensor(privileged), first=True)
        self._now = self.env.reset()

    def gather(self) -> tuple[Rollout, dict[str, float]]:
        """A rollout, and the means of the task's terms.

        Raises
        ------
        SimulationError
            An observation or a reward is not finite; the message names it.
        """
        rollout, device = self._rollout, self.ppo.device
        acting = self.ppo.acting()
        rollout.std.copy_(acting.std)
        finals: list[Tensor] = []
        sums: dict[str, float] = {}
        clock = self.clock
        instant = clock.now()
        for t in range(self.ppo.config.horizon):
            observation = self._tensor(self._now.policy)
            rollout.observation[t] = observation
            rollout.privileged[t] = self._tensor(self._now.privileged)
            rollout.action[t], rollout.mean[t] = self.ppo.act(acting, observation)
            command = rollout.action[t].cpu().numpy()
            instant = clock.add("inference", instant)
            step = self.env.step(command)
            instant = clock.add("physics", instant)
            self._check(step)
            rollout.reward[t] = self._tensor(step.reward)
            rollout.ended[t] = torch.from_numpy(step.terminated | step.truncated).to(device)
            rollout.truncated[t] = torch.from_numpy(step.truncated & ~step.terminated).to(device)
            if step.truncated.any():
                rows = np.flatnonzero(step.truncated & ~step.terminated)
                finals.append(self._joined(step.final_observation, rows))
            for name, values in step.terms.items():
                sums[name] = sums.get(name, 0.0) + float(np.mean(values))
            self.episodes.add(step)
            self._now = step.observation
        rollout.last = self._joined(self._now)
        rollout.final = torch.cat(finals) if finals else rollout.last[:0]
        clock.add("inference", instant)
        return rollout, {name: total / self.ppo.config.horizon for name, total in sums.items()}

    def _tensor(self, values: npt.NDArray[np.floating]) -> Tensor:
        single = np.asarray(values, dtype=np.float32)
        return torch.from_numpy(single).to(self.ppo.device)

    def _joined(self, observation: Observation, rows: npt.NDArray[np.intp] | None = None) -> Tensor:
        joined = np.concatenate([observation.policy, observation.privileged], axis=1)
        return self._tensor(joined if rows is None else joined[rows])

    def _check(self, step: Step) -> None:
        """Refuse numbers that would spoil the networks."""
        if np.isfinite(step.reward.sum()) and np.isfinite(step.observation.policy.sum()):
            if np.isfinite(step.observation.privileged.sum()):
                return
        bad = [name for name, values in step.terms.items() if not np.isfinite(values).all()]
        if not np.isfinite(step.reward).all():
            rows = np.flatnonzero(~np.isfinite(step.reward))
            which = f"of the terms {', '.join(bad)}" if bad else "though every term is finite"
            raise SimulationError(
                f"The reward is not finite in {rows.size} of {step.reward.size} environments, "
                f"{which}. The run's folder is intact. Look at that term and its weight; if the "
                "physics diverges, use a smaller substep or end episodes earlier."
            )
        names = (*self.env.observation_names, *self.env.privileged_names)
        seen = np.concatenate([step.observation.policy, step.observation.privileged], axis=1)
        columns = np.flatnonzero(~np.isfinite(seen).all(axis=0))
        if columns.size:
            raise SimulationError(
                f"Observations are not finite: {', '.join(names[i] for i in columns[:5])}. The "
                "run's folder is intact. The physics diverged; use a smaller substep, or end "
                "episodes before such states."
            )

    def snapshot(self) -> Snapshot:
        """Environments, running episodes and present observations."""
        held = {f"env/{name}": np.asarray(a) for name, a in self.env.snapshot().items()}
        return {
            **held,
            "now/policy": self._now.policy,
            "now/privileged": self._now.privileged,
            "episodes/returns": self.episodes.returns,
            "episodes/lengths": self.episodes.lengths,
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        prefix = "env/"
        self.env.restore(
            {k.removeprefix(prefix): v for k, v in snapshot.items() if k.startswith(prefix)}
        )
        self._now = Observation(
            np.asarray(snapshot["now/policy"], dtype=np.float32),
            np.asarray(snapshot["now/privileged"], dtype=np.float32),
        )
        self.episodes = Episodes(
            np.array(snapshot["episodes/returns"], dtype=float),
            np.array(snapshot["episodes/lengths"], dtype=np.int64),
        )
