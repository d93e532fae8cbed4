"""What an earlier run learned, from its checkpoint or from the policies that it left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from osim_exo import bundle
from osim_exo.errors import DataError
from osim_exo.learn import checkpoint
from osim_exo.learn.checkpoint import Arrays
from osim_exo.learn.normalise import Normaliser
from osim_exo.learn.records import RunFolder
from osim_exo.learn.walkers import POLICIES, shipped_run
from osim_exo.policy import WEIGHTS, Interface, Policy

POLICY_STD = 0.25
"""Deviation of the actions, before squashing, with which a policy goes on learning that came
without its checkpoint. A walker that has learned acts with 0.1 to 0.2; with half-weak
plantarflexors its episodes grew sooner from 0.3 than from 0.15."""


@dataclass(frozen=True)
class Held:
    """What an earlier run learned.

    Attributes
    ----------
    folder : of the run
    signature : of its task; see `osim_exo.learn.checkpoint.signature`
    arrays : of its checkpoint
    averaged : whether its networks are averaged over both sides (``symmetry = "average"``)
    has_critic : whether the critic is known too
    """

    folder: Path
    signature: dict[str, Any]
    arrays: Arrays
    averaged: bool = False
    has_critic: bool = True

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read a run's checkpoint or, where there is none, its policies.

        Parameters
        ----------
        folder : of a run, or a name as for `osim_exo.learn.walkers.shipped_run`

        Raises
        ------
        DataError
            There is neither.
        """
        path = Path(folder)
        if not path.exists():
            path = shipped_run(str(folder)) or path
        if not (path / checkpoint.FILE).is_file() and (path / POLICIES).is_dir():
            return cls._of_policies(path)
        facts, arrays = checkpoint.load(path / checkpoint.FILE)
        network = RunFolder(path).config().get("learn", {}).get("network", {})
        averaged = network.get("symmetry") == "average"
        return cls(path, dict(facts["signature"]), arrays, averaged)

    @classmethod
    def _of_policies(cls, path: Path) -> Self:
        parts = sorted(p.name for p in (path / POLICIES).iterdir() if p.is_dir())
        faces = {part: _read(path / POLICIES / part) for part in parts}
        if not faces:
            raise DataError(f"'{path}' holds neither a checkpoint nor a policy.")
        seen = list(dict.fromkeys(s.name for f, _ in faces.values() for s in f.observations))
        actions = [a for f, _ in faces.values() for a in f.actions]
        places: dict[str, list[list[int]]] = {}
        arrays: Arrays = {"actor/log_std": np.full(len(actions), math.log(POLICY_STD), np.float32)}
        statistics = {name: np.zeros(len(seen)) for name in ("mean", "square", "count")}
        alive, at = np.zeros(len(seen), dtype=bool), 0
        for part, (face, held) in faces.items():
            sees = [seen.index(s.name) for s in face.observations]
            places[part] = [sees, list(range(at, at + len(face.actions)))]
            at += len(face.actions)
            scale = held["scale"].astype(float)
            alive[sees] = scale > 0.0
            statistics["mean"][sees] = held["centre"]
            statistics["square"][sees] = np.where(scale > 0.0, scale, 1.0) ** -2.0 * (scale > 0.0)
            statistics["count"][sees] = Normaliser.settle
            for name, values in held.items():
                kind, _, layer = name.partition("_")
                if layer:
                    arrays[f"actor/networks.{part}.layers.{layer}.{kind}"] = values
        arrays |= {f"actor/normaliser.{name}": values for name, values in statistics.items()}
        arrays["actor/normaliser.alive"] = alive
        signature = {
            "rate_hz": next(iter(faces.values()))[0].rate_hz,
            "observations": seen,
            "privileged": [],
            "parts": places,
            "actions": [[a.name, a.squashing, a.gain, a.offset, a.low, a.high] for a in actions],
        }
        return cls(path, signature, arrays, has_critic=False)

    @property
    def action_names(self) -> list[str]:
        """Names of its task's actions."""
        return [str(action[0]) for action in self.signature["actions"]]


def _read(folder: Path) -> tuple[Interface, Arrays]:
    """Interface and arrays of a policy that was checked."""
    interface = Policy.load(folder, "numpy").interface
    if interface.history != 1:
        raise DataError(
            f"The policy in '{folder}' sees the last {interface.history} observations; only one "
            "that sees the present one can go on learning."
        )
    _, files = bundle.read(folder)
    return interface, bundle.unpack(files[WEIGHTS], WEIGHTS)
