"""Fine-tuning: networks of earlier runs go on in a new one, channel by channel, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from osim_exo.errors import DataError
from osim_exo.learn.held import Held
from osim_exo.learn.networks import Network
from osim_exo.learn.normalise import Normaliser
from osim_exo.learn.ppo import Ppo
from osim_exo.learn.symmetry import Linear

Rows = npt.NDArray[np.intp]


def adopt(ppo: Ppo, signature: Mapping[str, Any], runs: Sequence[Held]) -> None:
    """Put what earlier runs learned into new networks, and freeze the normalisers.

    A channel that the earlier run did not have gets zero weights: it changes nothing until it is
    learned about. Each part takes the last run that has it, as does the critic. Weights that were
    tied for a symmetric body go on untied where the body is not: the same policy at first, which
    may then treat the two sides differently.

    Parameters
    ----------
    ppo : of the new run
    signature : of the new run's task
    runs : in order; a later one has precedence

    Raises
    ------
    DataError
        Actions mean something else there, or networks have other widths or another symmetry.
    """
    for run in runs:
        _check_averaging(ppo, run)
    for part, (sees, drives) in signature["parts"].items():
        held = next((r for r in reversed(runs) if part in r.signature["parts"]), None)
        if held is None:
            continue
        _check_actions(held, signature, drives)
        theirs = held.signature["parts"][part]
        inputs = _places(
            [held.signature["observations"][i] for i in theirs[0]],
            [signature["observations"][i] for i in sees],
        )
        names = held.action_names
        outputs = _places(
            [names[i] for i in theirs[1]], [signature["actions"][i][0] for i in drives]
        )
        prefix = f"actor/networks.{part}"
        _adopt_network(ppo.actor.network(part), prefix, held, inputs, outputs)
        whole = _places(names, [action[0] for action in signature["actions"]])
        _copy(ppo.actor.log_std, held.arrays["actor/log_std"], whole)
    for run in runs:
        seen = _places(run.signature["observations"], signature["observations"])
        _adopt_normaliser(ppo.actor.normaliser, "actor/normaliser", run, seen)
    ppo.actor.normaliser.freeze()
    critics = [run for run in runs if run.has_critic]
    if critics:
        _adopt_critic(ppo, signature, critics[-1])
        ppo.critic.normaliser.freeze()


def _check_averaging(ppo: Ppo, held: Held) -> None:
    """Refuse to take the plain half of an averaged network, or a plain one as such a half."""
    averages = any(ppo.actor.network(part).mirrors is not None for part in ppo.actor.parts)
    if held.averaged != averages:
        there, here = ("is", "is not") if held.averaged else ("is not", "is")
        raise DataError(
            f"The network of '{held.folder}' {there} averaged over both sides, this one {here}. "
            'Use the same network.symmetry; one with symmetry = "network" can go on in a body '
            "whose sides differ."
        )


def _check_ties(network: Network, folder: Path) -> None:
    """Refuse weights that differ between the sides where they are tied from now on."""
    before = [(weight.clone(), bias.clone()) for weight, bias in network.dense()]
    network.tie()
    for old, new in zip(before, network.dense()):
        if any((a - b).abs().max() > 1e-4 for a, b in zip(old, new)):
            raise DataError(
                f"The network of '{folder}' treats the two sides differently, but this one is "
                'symmetric. Give network.symmetry = "none", or start from a symmetric walker.'
            )


def _check_actions(held: Held, signature: Mapping[str, Any], drives: Sequence[int]) -> None:
    theirs = {str(action[0]): action for action in held.signature["actions"]}
    for i in drives:
        ours = signature["actions"][i]
        if ours[0] in theirs and theirs[ours[0]] != ours:
            raise DataError(
                f"The run '{held.folder}' drives {ours[0]} in another way: there "
                f"{theirs[ours[0]][1:]}, here {ours[1:]}. Use the same action settings."
            )
    if held.signature["rate_hz"] != signature["rate_hz"]:
        raise DataError(
            f"The run '{held.folder}' acts at {held.signature['rate_hz']:g} Hz, this task at "
            f"{signature['rate_hz']:g} Hz. Use the same control_dt."
        )


def _places(theirs: Sequence[str], ours: Sequence[str]) -> tuple[Rows, Rows]:
    """Where names that both have stand: there and here."""
    place = {name: i for i, name in enumerate(theirs)}
    here = [i for i, name in enumerate(ours) if name in place]
    there = [place[ours[i]] for i in here]
    return np.array(there, dtype=np.intp), np.array(here, dtype=np.intp)


@torch.no_grad()
def _copy(target: Tensor, source: npt.NDArray[Any], at: tuple[Rows, Rows]) -> None:
    there, here = at
    values = torch.from_numpy(np.array(source[there]))
    target[torch.from_numpy(here)] = values.to(target.device, target.dtype)


@torch.no_grad()
def _adopt_network(
    network: Network,
    prefix: str,
    held: Held,
    inputs: tuple[Rows, Rows],
    outputs: tuple[Rows, Rows] | None,
) -> None:
    layers = [layer for layer in network.layers if isinstance(layer, Linear)]
    for i, layer in enumerate(layers):
        weight = held.arrays.get(f"{prefix}.layers.{i}.weight")
        bias = held.arrays.get(f"{prefix}.layers.{i}.bias")
        if weight is None or bias is None:
            raise DataError(f"The networks of '{held.folder}' have other layers than these.")
        ours = np.zeros(tuple(layer.weight.shape), dtype=np.float32)
        ours_bias = np.zeros(tuple(layer.bias.shape), dtype=np.float32)
        rows = rows_there = np.arange(ours.shape[0])
        columns = columns_there = np.arange(ours.shape[1])
        if i == 0:
            columns_there, columns = inputs
        if i == len(layers) - 1 and outputs is not None:
            rows_there, rows = outputs
        try:
            ours[np.ix_(rows, columns)] = weight[np.ix_(rows_there, columns_there)]
            ours_bias[rows] = bias[rows_there]
            fits = (i == 0 or weight.shape[1] == ours.shape[1]) and (
                i == len(layers) - 1 or weight.shape[0] == ours.shape[0]
            )
        except IndexError:
            fits = False
        if not fits:
            raise DataError(
                f"The networks of '{held.folder}' have other widths: layer {i} is "
                f"{weight.shape}, here {ours.shape}. Give the same network settings."
            )
        layer.weight.copy_(torch.from_numpy(ours))
        layer.bias.copy_(torch.from_numpy(ours_bias))
    _check_ties(network, held.folder)


def _adopt_normaliser(
    normaliser: Normaliser, prefix: str, held: Held, at: tuple[Rows, Rows]
) -> None:
    for name in ("mean", "square", "count", "alive"):
        _copy(normaliser.get_buffer(name), held.arrays[f"{prefix}.{name}"], at)


@torch.no_grad()
def _adopt_critic(ppo: Ppo, signature: Mapping[str, Any], held: Held) -> None:
    theirs = [*held.signature["observations"], *held.signature["privileged"]]
    ours = [*signature["observations"], *signature["privileged"]]
    at = _places(theirs, ours)
    critic = ppo.critic
    _adopt_network(critic.network, "critic/network", held, at, None)
    _adopt_normaliser(critic.normaliser, "critic/normaliser", held, at)
    for name in ("mean", "std", "fresh"):
        critic.get_buffer(name).copy_(torch.from_numpy(np.array(held.arrays[f"critic/{name}"])))
