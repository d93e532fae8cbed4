"""Proximal policy optimisation of a rollout."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from osim_exo.errors import SimulationError
from osim_exo.learn.base import Mirror
from osim_exo.learn.config import LEAST_BF16_STD, NetworkConfig, PpoConfig
from osim_exo.learn.networks import Actor, Critic, Dense, Part
from osim_exo.learn.normalise import normal
from osim_exo.learn.rollout import Rollout, advantages
from osim_exo.learn.symmetry import Reflection

RETURN_MEMORY = 0.9
"""How much of the mean and deviation of returns stays at each iteration."""

LEAST_SPREAD = 0.05
"""Least deviation of returns that the critic counts in, over their mean."""


def log_probability(action: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Of actions under a Gaussian with independent parts, (n,) tensor."""
    error = (action - mean) / std
    return -(0.5 * error.square() + std.log() + 0.5 * math.log(2.0 * math.pi)).sum(-1)


def divergence(mean: Tensor, std: Tensor, new_mean: Tensor, new_std: Tensor) -> Tensor:
    """Kullback-Leibler divergence of a new Gaussian from the one that acted, (n,) tensor."""
    ratio = (std / new_std).square()
    shift = ((new_mean - mean) / new_std).square()
    return 0.5 * (ratio + shift - 1.0 - ratio.log()).sum(-1)


def policy_loss(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """Clipped surrogate (Schulman et al. 2017, eq. 7), negative, as a mean."""
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
    return -torch.minimum(ratio * advantage, clipped * advantage).mean()


def value_loss(value: Tensor, target: Tensor, before: Tensor, clip: float | None) -> Tensor:
    """Half the mean squared error; with `clip`, a value gains nothing from a larger change."""
    error = (value - target).square()
    if clip is not None:
        near = before + (value - before).clamp(-clip, clip)
        error = torch.maximum(error, (near - target).square())
    return 0.5 * error.mean()


@dataclass(frozen=True)
class Acting:
    """A policy made ready for many calls between two updates."""

    layers: list[Dense]
    centre: Tensor
    scale: Tensor
    std: Tensor


@dataclass(frozen=True)
class _Samples:
    """A rollout as flat tensors, inputs normalised; first dimension n_sample."""

    inputs: Tensor
    critic_inputs: Tensor
    action: Tensor
    mean: Tensor
    log_probability: Tensor
    advantage: Tensor
    target: Tensor
    value: Tensor

    def shuffled(self, order: Tensor) -> _Samples:
        return _Samples(*(part.index_select(0, order) for part in self._parts()))

    def sliced(self, first: int, end: int) -> _Samples:
        return _Samples(*(part[first:end] for part in self._parts()))

    def joined(self, other: _Samples) -> _Samples:
        return _Samples(*(torch.cat(both) for both in zip(self._parts(), other._parts())))

    def _parts(self) -> list[Tensor]:
        return [getattr(self, name) for name in self.__dataclass_fields__]


class Ppo:
    """Policy, critic and their optimiser.

    Parameters
    ----------
    sizes : numbers of observations, privileged observations and actions
    parts : policies that learn together, by name
    network : NetworkConfig
    config : PpoConfig
    mirror : the mirrored walker, or None
    device : of networks and rollouts
    seed : of weights, noise and order of samples
    """

    def __init__(
        self,
        sizes: tuple[int, int, int],
        parts: Mapping[str, Part],
        network: NetworkConfig,
        config: PpoConfig,
        mirror: Mirror | None,
        device: torch.device,
        seed: int,
    ) -> None:
        n_observation, n_privileged, n_action = sizes
        self.sizes, self.config, self.device = sizes, config, device
        start = torch.Generator().manual_seed(seed)
        self.actor = Actor(n_observation, n_action, parts, network, mirror, start).to(device)
        self.critic = Critic(n_observation, n_privileged, network, mirror, start).to(device)
        self.generator = torch.Generator(device).manual_seed(seed + 1)
        self.parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.optimiser = torch.optim.Adam(self.parameters, lr=config.learning_rate, fused=True)
        self._reflections: tuple[Reflection, Reflection, Reflection] | None = None
        if mirror is not None and network.symmetry == "data":
            observation = Reflection.of(mirror.observation)
            joined = Reflection.joined(observation, Reflection.of(mirror.privileged))
            action = Reflection.of(mirror.action)
            self._reflections = (observation.to(device), joined.to(device), action.to(device))

    @property
    def learning_rate(self) -> float:
        """Present learning rate."""
        return float(self.optimiser.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.optimiser.param_groups[0]["lr"] = rate

    @torch.no_grad()
    def observe(self, observation: Tensor, privileged: Tensor, *, first: bool = False) -> None:
        """Let the normalisers learn from observations, (n, ...) tensors.

        Parameters
        ----------
        first : before learning begins; channels that are silent lose their random weights
        """
        self.actor.normaliser.update(observation)
        self.critic.normaliser.update(torch.cat([observation, privileged], dim=-1))
        if first:
            self.actor.silence()
            self.critic.silence()

    @torch.no_grad()
    def acting(self) -> Acting:
        """The policy as it is now, ready for many calls of `act`."""
        layers = self.actor.dense()
        return Acting(layers, *self.actor.normaliser.centre_and_scale(), self.actor.std())

    @torch.no_grad()
    def act(self, acting: Acting, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Action with noise, and its mean, (n, n_action) tensors."""
        inputs = normal(observation, acting.centre, acting.scale)
        mean = self.actor.run(acting.layers, inputs)
        noise = torch.randn(mean.shape, generator=self.generator, device=self.device)
        return torch.addcmul(mean, noise, acting.std), mean

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Learn from a rollout.

        Returns
        -------
        dict
            ``loss/policy``, ``loss/value``, ``policy/divergence``, ``policy/std``,
            ``policy/learning_rate``, ``policy/epochs``, ``policy/bf16``, ``value/explained``.

        Raises
        ------
        SimulationError
            A loss is not finite; the networks are those of before the last gradient step.
        """
        dtype = self._precision()
        samples, explained = self._samples(rollout, dtype)
        parts = self._parts(samples.action.shape[0])
        facts: list[tuple[float, float, float]] = []
        epochs = 0
        for _ in range(self.config.epochs):
            done = [self._learn(samples.sliced(*part), rollout.std, dtype) for part in parts]
            facts += done
            epochs += 1
            if self._went_far(sum(fact[2] for fact in done) / len(done)):
                break
        self.actor.tie()
        self.critic.network.tie()
        means = [sum(column) / len(facts) for column in zip(*facts)]
        return {
            "loss/policy": means[0],
            "loss/value": means[1],
            "policy/divergence": means[2],
            "policy/std": float(self.actor.std().detach().mean()),
            "policy/learning_rate": self.learning_rate,
            "policy/epochs": float(epochs),
            "policy/bf16": float(dtype == torch.bfloat16),
            "value/explained": explained,
        }

    def _parts(self, n_sample: int) -> list[tuple[int, int]]:
        """First and end of each minibatch."""
        n_part = max(1, n_sample // self.config.minibatch)
        edges = [n_sample * i // n_part for i in range(n_part + 1)]
        return list(zip(edges, edges[1:]))

    def _went_far(self, kl: float) -> bool:
        stop = self.config.kl_stop
        return stop is not None and kl > stop * self.config.kl_target

    def _precision(self) -> torch.dtype:
        wide = float(self.actor.std().detach().min()) > LEAST_BF16_STD
        if self.config.precision == "auto" and wide and has_fast_bf16(self.device):
            return torch.bfloat16
        return torch.float32

    @torch.no_grad()
    def _samples(self, rollout: Rollout, dtype: torch.dtype) -> tuple[_Samples, float]:
        """Samples in random order, inputs in the precision that they are used in.

        One order serves all epochs: minibatches are then views, and nothing is copied twice.
        """
        config, critic = self.config, self.critic
        shape = rollout.reward.shape
        critic_inputs = critic.normaliser(rollout.joined()).to(dtype)
        found = critic.network.run(critic.network.dense(dtype), critic_inputs)
        value = found[:, 0].float() * critic.std + critic.mean
        advantage, returns = advantages(
            rollout.reward,
            value.reshape(shape),
            critic(rollout.last),
            rollout.ended,
            rollout.truncated,
            critic(rollout.final),
            config.gamma,
            config.lam,
        )
        returns, advantage = returns.flatten(), advantage.flatten()
        spread = returns.var().clamp_min(1e-12)
        explained = float(1.0 - (returns - value).var() / spread)
        self._rescale(returns)
        action, mean = rollout.action.flatten(0, 1), rollout.mean.flatten(0, 1)
        samples = _Samples(
            self.actor.normaliser(rollout.observation.flatten(0, 1)).to(dtype),
            critic_inputs,
            action,
            mean,
            log_probability(action, mean, rollout.std),
            (advantage - advantage.mean()) / (advantage.std() + 1e-8),
            (returns - critic.mean) / critic.std,
            (value - critic.mean) / critic.std,
        )
        samples = self._with_mirrored(samples)
        n_sample = samples.action.shape[0]
        order = torch.randperm(n_sample, generator=self.generator, device=self.device)
        return samples.shuffled(order), explained

    def _rescale(self, returns: Tensor) -> None:
        critic = self.critic
        mean = returns.mean()
        # Once every episode lasts, returns hardly vary; a rare fall must not be all that counts.
        std = torch.maximum(returns.std(), LEAST_SPREAD * mean.abs()).clamp_min(1e-4)
        if bool(critic.fresh):
            critic.fresh.fill_(False)
        else:
            mean = RETURN_MEMORY * critic.mean + (1.0 - RETURN_MEMORY) * mean
            std = RETURN_MEMORY * critic.std + (1.0 - RETURN_MEMORY) * std
        critic.rescale(mean, std)

    def _with_mirrored(self, samples: _Samples) -> _Samples:
        if self._reflections is None:
            return samples
        observation, joined, action = self._reflections
        turned = _Samples(
            observation(samples.inputs),
            joined(samples.critic_inputs),
            action(samples.action),
            action(samples.mean),
            samples.log_probability,
            samples.advantage,
            samples.target,
            samples.value,
        )
        return samples.joined(turned)

    def _learn(
        self, batch: _Samples, old_std: Tensor, dtype: torch.dtype
    ) -> tuple[float, float, float]:
        """One gradient step; losses and divergence before it."""
        actor, critic, config = self.actor, self.critic, self.config
        mean = actor.run(actor.dense(dtype), batch.inputs).float()
        value = critic.network.run(critic.network.dense(dtype), batch.critic_inputs).float()[:, 0]
        std = actor.std()
        ratio = (log_probability(batch.action, mean, std) - batch.log_probability).exp()
        policy = policy_loss(ratio, batch.advantage, config.clip)
        worth = value_loss(value, batch.target, batch.value, config.value_clip)
        loss = policy + worth
        if config.entropy:
            loss = loss - config.entropy * std.log().sum()
        with torch.no_grad():
            kl = divergence(batch.mean, old_std, mean, std).mean()
            facts = torch.stack([policy, worth, kl]).tolist()
        if not all(math.isfinite(fact) for fact in facts):
            raise SimulationError(
                f"Learning left the finite numbers: policy loss {facts[0]:.3g}, value loss "
                f"{facts[1]:.3g}, divergence {facts[2]:.3g}. Lower ppo.largest_rate, or look for "
                "observations or rewards that grow without bound; resume from the last checkpoint."
            )
        self._adapt(facts[2])
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        actor.tie_gradients()
        critic.network.tie_gradients()
        nn.utils.clip_grad_norm_(actor.parameters(), config.largest_gradient)
        nn.utils.clip_grad_norm_(critic.parameters(), config.largest_gradient)
        self.optimiser.step()
        actor.keep_exploring()
        return facts[0], facts[1], facts[2]

    def _adapt(self, kl: float) -> None:
        """Change the learning rate such that the divergence stays near its target."""
        config, rate = self.config, self.learning_rate
        if kl > 2.0 * config.kl_target:
            self.learning_rate = max(config.least_rate, rate / 1.3)
        elif kl < 0.5 * config.kl_target:
            self.learning_rate = min(config.largest_rate, rate * 1.1)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 matrices faster than float32 ones."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Older versions of torch cannot say; float32 is always right.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))
