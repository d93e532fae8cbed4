"""Policy and critic: small networks over normalised observations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from osim_exo.errors import InputError
from osim_exo.learn.base import Mirror
from osim_exo.learn.config import Activation, NetworkConfig, Symmetry
from osim_exo.learn.normalise import Normaliser
from osim_exo.learn.symmetry import Linear, Reflection, Tied

ACTIVATIONS = {"relu": torch.relu, "elu": functional.elu, "tanh": torch.tanh}
"""A network's nonlinearity is a part of it, and is stored with it."""

Dense = list[tuple[Tensor, Tensor]]
"""Weight and bias of each layer, as they are applied."""

SMALL_START = 0.01
"""Gain of a policy's last layer: the first actions are noise around zero."""


def apply(layers: Dense, activation: Activation, values: Tensor) -> Tensor:
    """Output of a network of these layers, in the precision of `values`."""
    nonlinear = ACTIVATIONS[activation]
    for weight, bias in layers[:-1]:
        values = nonlinear(functional.linear(values, weight, bias))
    return functional.linear(values, *layers[-1])


class Network(nn.Module):
    """A multilayer perceptron that mirrors as it was asked to.

    Parameters
    ----------
    widths : input, hidden layers, output
    activation : of the hidden layers
    symmetry : ``network``, ``average`` or, for both others, anything
    mirrors : of input and output, or None
    last_gain : of the last layer's start
    generator : random numbers of the start
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: Activation,
        symmetry: Symmetry,
        mirrors: tuple[Reflection, Reflection] | None,
        last_gain: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.mirrors = mirrors if symmetry == "average" else None
        if self.mirrors is not None:
            self.source, self.target = self.mirrors
        ties: list[Reflection] = []
        if mirrors is not None and symmetry == "network":
            hidden = [Reflection.halves(width) for width in widths[1:-1]]
            ties = [mirrors[0], *hidden, mirrors[1]]
        self.layers = nn.ModuleList()
        for i, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
            gain = last_gain if i == len(widths) - 2 else math.sqrt(2.0)
            tied = (ties[i], ties[i + 1]) if ties else None
            self.layers.append(Linear(n_in, n_out, gain, generator, tied))

    def dense(self, dtype: torch.dtype | None = None) -> Dense:
        """Layers as they are applied; make them once for many calls of `run`."""
        layers = self._linear()
        kind = dtype or layers[0].weight.dtype
        return [(layer.weight.to(kind), layer.bias.to(kind)) for layer in layers]

    def _linear(self) -> list[Linear]:
        return [layer for layer in self.layers if isinstance(layer, Linear)]

    def tie(self) -> None:
        """Make weights alike that mirror each other, where the network is of that kind."""
        for layer in self._linear():
            layer.tie()

    def tie_gradients(self) -> None:
        """Make their gradients alike; call it before each step of an optimiser."""
        for layer in self._linear():
            layer.tie_gradients()

    @torch.no_grad()
    def folded(self) -> Dense:
        """Layers of a plain network that gives the same outputs."""
        layers = self.dense()
        if self.mirrors is None:
            return layers
        index, sign = self.source.index, self.source.sign
        first, bias = layers[0]
        # f(M o) has the weight W M, and M is its own inverse.
        turned = first[:, index] * sign[index]
        folded = [(torch.cat([first, turned]), torch.cat([bias, bias]))]
        for weight, bias in layers[1:-1]:
            none = torch.zeros_like(weight)
            rows = torch.cat([weight, none], 1), torch.cat([none, weight], 1)
            folded.append((torch.cat(rows), torch.cat([bias, bias])))
        last, bias = layers[-1]
        target, turn = self.target.index, self.target.sign
        other = last[target] * turn[:, None]
        folded.append((0.5 * torch.cat([last, other], 1), 0.5 * (bias + bias[target] * turn)))
        return folded

    def run(self, layers: Dense, values: Tensor) -> Tensor:
        """Output for normalised inputs, (n, n_in) tensor, in their precision."""
        if self.mirrors is None:
            return apply(layers, self.activation, values)
        both = torch.cat([values, self.source(values)])
        direct, turned = apply(layers, self.activation, both).chunk(2)
        mean: Tensor = 0.5 * (direct + self.target(turned))
        return mean

    def forward(self, values: Tensor) -> Tensor:
        """Output for normalised inputs, (n, n_in) tensor."""
        return self.run(self.dense(), values)

    @torch.no_grad()
    def silence(self, silent: Tensor) -> None:
        """Set the first layer's weights for these inputs to zero, (n_in,) tensor of bool."""
        self._linear()[0].weight[:, silent] = 0.0


@dataclass(frozen=True)
class Part:
    """A policy of its own among those that learn together, as the human's and the exo's.

    Attributes
    ----------
    observation, action : columns of the task's observation and action
    """

    observation: tuple[int, ...]
    action: tuple[int, ...]


class Actor(nn.Module):
    """Gaussian policies: a network for each part's mean, a deviation per action, one normaliser.

    Parameters
    ----------
    n_observation, n_action : sizes of the task
    parts : by name; the actions of all together are those of the task
    config : NetworkConfig
    mirror : the mirrored walker, or None where nothing is symmetric
    generator : random numbers of the start
    """

    order: Tensor

    def __init__(
        self,
        n_observation: int,
        n_action: int,
        parts: Mapping[str, Part],
        config: NetworkConfig,
        mirror: Mirror | None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        source = target = None
        if mirror is not None and config.symmetry != "none":
            source, target = Reflection.of(mirror.observation), Reflection.of(mirror.action)
        self.normaliser = _normaliser(n_observation, source)
        self.parts = dict(parts)
        self.networks = nn.ModuleDict()
        log_std = torch.full((n_action,), math.log(config.start_std))
        for name, part in parts.items():
            mirrors = None
            if source is not None and target is not None:
                mirrors = (source.within(part.observation), target.within(part.action))
            is_exo = name == "exo"
            hidden = config.exo_hidden if is_exo else config.hidden
            widths = (len(part.observation), *hidden, len(part.action))
            self.networks[name] = Network(
                widths, config.activation, config.symmetry, mirrors, SMALL_START, generator
            )
            log_std[list(part.action)] = math.log(
                config.exo_start_std if is_exo else config.start_std
            )
            self.register_buffer(f"sees_{name}", torch.tensor(part.observation))
        order = [column for part in parts.values() for column in part.action]
        self.register_buffer("order", torch.argsort(torch.tensor(order)))
        self.log_std = nn.Parameter(log_std)
        self.least_std = config.least_std
        self._pairs = None if target is None else Tied(target.without_signs())
        self._whole = len(parts) == 1 and all(
            part.observation == tuple(range(n_observation))
            and part.action == tuple(range(n_action))
            for part in parts.values()
        )

    def network(self, part: str) -> Network:
        """The network of one part."""
        found = self.networks[part]
        if not isinstance(found, Network):
            raise InputError(f"There is no part '{part}'.")
        return found

    def dense(self, dtype: torch.dtype | None = None) -> list[Dense]:
        """Layers of all parts as they are applied; make them once for many calls of `run`."""
        return [self.network(part).dense(dtype) for part in self.parts]

    def run(self, layers: list[Dense], values: Tensor) -> Tensor:
        """Mean action for normalised observations, (n, n_observation), in their precision."""
        if self._whole:
            (part,) = self.parts
            return self.network(part).run(layers[0], values)
        means = [
            self.network(part).run(dense, values[:, self.get_buffer(f"sees_{part}")])
            for part, dense in zip(self.parts, layers)
        ]
        return torch.cat(means, dim=1)[:, self.order]

    def std(self) -> Tensor:
        """Deviation of each action, the same on both sides, (n_action,) tensor."""
        return self.log_std.exp()

    def tie(self) -> None:
        """Make what mirrors each other alike."""
        for part in self.parts:
            self.network(part).tie()
        if self._pairs is not None:
            self._pairs.alike(self.log_std.data)

    def tie_gradients(self) -> None:
        """Make the gradients alike; call it before each step of an optimiser."""
        for part in self.parts:
            self.network(part).tie_gradients()
        if self._pairs is not None and self.log_std.grad is not None:
            self._pairs.alike(self.log_std.grad)

    @torch.no_grad()
    def keep_exploring(self) -> None:
        """Raise deviations to the least one that is allowed; call it after each gradient step."""
        self.log_std.clamp_(min=math.log(self.least_std))

    @torch.no_grad()
    def silence(self) -> None:
        """Zero the weights of channels that never varied, so that nothing jumps when they do."""
        silent = ~self.normaliser.alive
        for part in self.parts:
            self.network(part).silence(silent[self.get_buffer(f"sees_{part}")])

    def forward(self, observation: Tensor) -> Tensor:
        """Mean action of raw observations, (n, n_observation) tensor."""
        return self.run(self.dense(), self.normaliser(observation))


class Critic(nn.Module):
    """An estimate of the return from what policy and critic observe.

    The network gives the return in deviations from the mean of the returns so far. When these
    change, its last layer changes such that the estimates do not (van Hasselt et al. 2016).
    """

    mean: Tensor
    std: Tensor
    fresh: Tensor

    def __init__(
        self,
        n_observation: int,
        n_privileged: int,
        config: NetworkConfig,
        mirror: Mirror | None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        source = None
        if mirror is not None and config.symmetry != "none":
            source = Reflection.joined(
                Reflection.of(mirror.observation), Reflection.of(mirror.privileged)
            )
        self.normaliser = _normaliser(n_observation + n_privileged, source)
        self.network = Network(
            (n_observation + n_privileged, *config.critic_hidden, 1),
            config.activation,
            config.symmetry,
            None if source is None else (source, Reflection.identity(1)),
            1.0,
            generator,
        )
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))
        self.register_buffer("fresh", torch.ones((), dtype=torch.bool))

    @torch.no_grad()
    def rescale(self, mean: Tensor, std: Tensor) -> None:
        """Count returns from a new mean in a new deviation; estimates stay what they are."""
        weight, bias = self.network.dense()[-1]
        weight.mul_(self.std / std)
        bias.mul_(self.std).add_(self.mean - mean).div_(std)
        self.mean.copy_(mean)
        self.std.copy_(std)

    def silence(self) -> None:
        """Zero the weights of channels that never varied, so that nothing jumps when they do."""
        self.network.silence(~self.normaliser.alive)

    def forward(self, joined: Tensor) -> Tensor:
        """Return, (n,) tensor, for raw observations and privileged ones side by side."""
        normal: Tensor = self.network(self.normaliser(joined))
        return normal[:, 0] * self.std + self.mean


def _normaliser(size: int, source: Reflection | None) -> Normaliser:
    return Normaliser(size) if source is None else Normaliser(size, source.index, source.sign)
