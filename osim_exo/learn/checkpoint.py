"""Checkpoints: everything that a run needs to go on bit for bit, as plain arrays in one file."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from osim_exo import bundle
from osim_exo.errors import DataError
from osim_exo.files import write_bytes
from osim_exo.learn.base import BatchEnv
from osim_exo.learn.ppo import Ppo

Arrays = dict[str, npt.NDArray[Any]]

FILE = "checkpoint.npz"
VERSION = "osim_exo.checkpoint/1"
FACTS = "facts"


def save(path: Path, facts: Mapping[str, Any], arrays: Arrays) -> None:
    """Write a checkpoint whole.

    Parameters
    ----------
    path : of the file
    facts : numbers and texts; the version is added
    arrays : of numbers
    """
    text = json.dumps({"version": VERSION, **facts})
    held = {**arrays, FACTS: np.frombuffer(text.encode(), dtype=np.uint8)}
    write_bytes(path, bundle.pack(held))


def load(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Facts and arrays of a checkpoint.

    Raises
    ------
    DataError
        There is none, or it is damaged or of another version.
    """
    if not path.is_file():
        raise DataError(
            f"There is no checkpoint '{path}'. A run that stopped before its first checkpoint "
            "has nothing to go on from; start it anew in another folder."
        )
    arrays = bundle.unpack(path.read_bytes(), str(path))
    if FACTS not in arrays:
        raise DataError(f"'{path}' is not a checkpoint.")
    facts = json.loads(io.BytesIO(arrays.pop(FACTS).tobytes()).read())
    if facts.get("version") != VERSION:
        raise DataError(
            f"The checkpoint '{path}' has the version {facts.get('version')!r}; this osim_exo "
            f"reads {VERSION!r}. Go on with the osim_exo that wrote it, or start anew."
        )
    return facts, arrays


def signature(env: BatchEnv) -> dict[str, Any]:
    """What must be the same where networks are used again: signals, actions, model."""
    face = env.interface
    return {
        "model": face.model,
        "model_hash": face.model_hash,
        "rate_hz": face.rate_hz,
        "observations": list(env.observation_names),
        "privileged": list(env.privileged_names),
        "parts": {name: [list(a), list(b)] for name, (a, b) in env.parts.items()},
        "actions": [[a.name, a.squashing, a.gain, a.offset, a.low, a.high] for a in face.actions],
    }


def check_signature(held: Mapping[str, Any], now: Mapping[str, Any], what: str) -> None:
    """Refuse networks that were trained for something else.

    Raises
    ------
    DataError
        With the first difference in words.
    """
    for name in ("observations", "privileged", "actions", "rate_hz", "model", "model_hash"):
        if held.get(name) != now[name]:
            how = _difference(held.get(name), now[name])
            raise DataError(
                f"{what} does not fit this task: {name.replace('_', ' ')} differ. {how} Use a run "
                "of the same model and kind of task, or train anew."
            )


def _difference(held: Any, now: Any) -> str:
    if isinstance(held, list) and isinstance(now, list):
        for there, here in zip(held, now):
            if there != here:
                return f"There {there!r}, here {here!r}."
        return f"There are {len(held)}, here {len(now)}."
    return f"There {held!r}, here {now!r}."


def module_arrays(prefix: str, module: nn.Module) -> Arrays:
    """Parameters and buffers as arrays."""
    return {f"{prefix}/{k}": v.detach().cpu().numpy() for k, v in module.state_dict().items()}


def load_module(prefix: str, module: nn.Module, arrays: Arrays) -> None:
    """Put arrays of `module_arrays` into a module of the same make.

    Raises
    ------
    DataError
        Other networks: names or sizes differ.
    """
    state: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        array = arrays.get(f"{prefix}/{name}")
        if array is None or array.shape != tuple(tensor.shape):
            raise DataError(
                f"The networks in the checkpoint are made differently: {prefix}/{name} is "
                f"{'missing' if array is None else array.shape}, needed is {tuple(tensor.shape)}. "
                "Give the same network settings as the run that wrote it."
            )
        state[name] = torch.from_numpy(np.array(array)).to(tensor.dtype)
    module.load_state_dict(state)


def learner_arrays(ppo: Ppo) -> Arrays:
    """Networks, optimiser and random numbers of a learner."""
    arrays = module_arrays("actor", ppo.actor) | module_arrays("critic", ppo.critic)
    for i, parameter in enumerate(ppo.parameters):
        for name, value in ppo.optimiser.state.get(parameter, {}).items():
            arrays[f"optimiser/{i}/{name}"] = value.detach().cpu().numpy()
    arrays["random"] = ppo.generator.get_state().numpy()
    arrays["learning_rate"] = np.array(ppo.learning_rate)
    return arrays


def restore_learner(ppo: Ppo, arrays: Arrays) -> None:
    """Put a learner back into the state of `learner_arrays`; it goes on bit for bit."""
    load_module("actor", ppo.actor, arrays)
    load_module("critic", ppo.critic, arrays)
    for i, parameter in enumerate(ppo.parameters):
        prefix = f"optimiser/{i}/"
        held = {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
        if held:
            ppo.optimiser.state[parameter] = {
                name: torch.from_numpy(np.array(a)).to(ppo.device) for name, a in held.items()
            }
    ppo.generator.set_state(torch.from_numpy(np.array(arrays["random"])))
    ppo.learning_rate = float(arrays["learning_rate"])
