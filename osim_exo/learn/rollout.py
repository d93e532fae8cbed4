"""Experience of one iteration, and the advantages that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Rollout:
    """What happened in `horizon` control steps of all environments; tensors on one device.

    Attributes
    ----------
    observation : (horizon, n_env, n_observation)
    privileged : (horizon, n_env, n_privileged)
    action, mean : (horizon, n_env, n_action)
        Actions that were taken, and the policy's means.
    std : (n_action,)
    reward : (horizon, n_env)
    ended : (horizon, n_env) of bool
        The episode ended in this step, whatever the reason.
    truncated : (horizon, n_env) of bool
        It was the clock.
    final : (n_truncated, n_observation + n_privileged)
        Last observations of those, in the order of ``truncated.nonzero()``.
    last : (n_env, n_observation + n_privileged)
        Observations after the last step.
    """

    observation: Tensor
    privileged: Tensor
    action: Tensor
    mean: Tensor
    std: Tensor
    reward: Tensor
    ended: Tensor
    truncated: Tensor
    final: Tensor
    last: Tensor

    @classmethod
    def empty(
        cls, horizon: int, n_env: int, sizes: tuple[int, int, int], device: torch.device
    ) -> Rollout:
        """Memory for observations, privileged observations and actions of these sizes."""
        n_observation, n_privileged, n_action = sizes

        def zeros(*size: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(*size, dtype=dtype, device=device)

        joined = n_observation + n_privileged
        return cls(
            zeros(horizon, n_env, n_observation),
            zeros(horizon, n_env, n_privileged),
            zeros(horizon, n_env, n_action),
            zeros(horizon, n_env, n_action),
            zeros(n_action),
            zeros(horizon, n_env),
            zeros(horizon, n_env, dtype=torch.bool),
            zeros(horizon, n_env, dtype=torch.bool),
            zeros(0, joined),
            zeros(n_env, joined),
        )

    def joined(self) -> Tensor:
        """What the critic sees, (horizon * n_env, n_observation + n_privileged)."""
        return torch.cat([self.observation, self.privileged], dim=-1).flatten(0, 1)


def advantages(
    reward: Tensor,
    value: Tensor,
    last_value: Tensor,
    ended: Tensor,
    truncated: Tensor,
    final_value: Tensor,
    gamma: float,
    lam: float,
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates (Schulman et al. 2016, eq. 16) and returns.

    An episode that the clock ended would have gone on: the value of its last observation stands
    for what it would have earned. One that a fall ended earns nothing more.

    Parameters
    ----------
    reward, value : (horizon, n_env) tensors
    last_value : (n_env,) tensor, value after the last step
    ended, truncated : (horizon, n_env) tensors of bool
    final_value : (n_truncated,) tensor, in the order of ``truncated.nonzero()``
    gamma, lam : discount, and weight of longer sums

    Returns
    -------
    advantage, returns : (horizon, n_env) tensors
    """
    reward = reward.clone()
    reward[truncated] += gamma * final_value
    goes_on = (~ended).to(reward.dtype)
    advantage = torch.empty_like(reward)
    carried = torch.zeros_like(last_value)
    following = last_value
    for t in range(reward.shape[0] - 1, -1, -1):
        error = reward[t] + gamma * goes_on[t] * following - value[t]
        carried = error + gamma * lam * goes_on[t] * carried
        advantage[t] = carried
        following = value[t]
    return advantage, advantage + value
