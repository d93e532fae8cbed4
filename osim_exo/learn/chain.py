"""What a chain of stages is: runs that hand on what they learned, in one folder.

A stage is an ordinary training run. Where its settings name a policy or a run by a path whose first
part is the name of an earlier stage, that stage's folder is meant: ``start_from=(Path("walk"),)``,
``human_policy=Path("worn/policy/human")``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.errors import DataError, InputError
from osim_exo.files import read_json
from osim_exo.learn.config import LearnConfig
from osim_exo.learn.tasks.config import TaskConfig

CHAIN = "chain.json"
"""File that says which chain a folder holds."""

WORN, EXO = "worn", "exo"
"""Stages of the staged protocol between the human alone and the arms, which are named after their
conditions: the human adapted to the worn device, and the device learned on that frozen human."""


class Stage(Config):
    """One run of a chain."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="label; part of its folder's name")
    task: TaskConfig
    learn: LearnConfig = Field(
        default=LearnConfig(), description="its seed follows from the chain's"
    )


class Chain(Config):
    """Stages in their order, and the seed of everything in them."""

    stages: tuple[Stage, ...] = Field(min_length=1)
    seed: int = Field(default=0, ge=0, description="every random number of every stage follows")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        names = self.names
        if len(set(names)) < len(names):
            raise ValueError(f"a stage's name occurs twice: {', '.join(names)}")
        for k, stage in enumerate(self.stages):
            for path in _paths(stage):
                if not path.is_absolute() and path.parts[:1] and path.parts[0] in names[k:]:
                    raise ValueError(
                        f"stage {stage.name} needs '{path}', but {path.parts[0]} is no earlier "
                        f"stage; the order is {', '.join(names)}"
                    )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the stages."""
        return tuple(stage.name for stage in self.stages)

    @property
    def steps(self) -> int:
        """Control steps of all stages, as they will be taken."""
        return sum(steps_of(stage) for stage in self.stages)

    def place(self, folder: str | Path, name: str) -> Path:
        """Folder of a stage's run.

        Raises
        ------
        DataError
            The chain has no such stage.
        """
        if name not in self.names:
            raise DataError(
                f"The chain in '{folder}' has no stage {name}. It has: {', '.join(self.names)}."
            )
        return Path(folder) / f"{self.names.index(name) + 1:02d}_{name}"

    def ancestors(self, name: str) -> tuple[str, ...]:
        """Earlier stages that a stage builds on, and itself, in the chain's order."""
        wanted = {name}
        for stage in reversed(self.stages):
            if stage.name in wanted:
                wanted |= {p.parts[0] for p in _paths(stage) if p.parts[:1]} & set(self.names)
        return tuple(other for other in self.names if other in wanted)

    def budget(self, name: str) -> int:
        """Control steps of all training that is in a stage's policies."""
        mine = self.ancestors(name)
        return sum(steps_of(stage) for stage in self.stages if stage.name in mine)

    def task(self, folder: str | Path, name: str) -> TaskConfig:
        """Task of a stage, its policies below the chain's folder."""
        task = self.stages[self.names.index(name)].task
        human, exo = task.human_policy, task.exo_policy
        return task.changed(
            human_policy=None if human is None else self._below(folder, human),
            exo_policy=None if exo is None else self._below(folder, exo),
        )

    def learn(self, folder: str | Path, name: str) -> LearnConfig:
        """How a stage learns: with a seed of its own, from runs below the chain's folder."""
        number = self.names.index(name)
        learn = self.stages[number].learn
        source = np.random.SeedSequence((self.seed, number))
        return learn.changed(
            seed=int(source.generate_state(1)[0]),
            start_from=tuple(self._below(folder, path) for path in learn.start_from),
        )

    def _below(self, folder: str | Path, path: Path) -> Path:
        if path.is_absolute() or path.parts[0] not in self.names:
            return path
        return self.place(folder, path.parts[0]).joinpath(*path.parts[1:]).resolve()


def steps_of(stage: Stage) -> int:
    """Control steps that a stage takes: whole iterations."""
    return stage.learn.iterations * stage.learn.n_env * stage.learn.ppo.horizon


def _paths(stage: Stage) -> Iterator[Path]:
    yield from stage.learn.start_from
    yield from (p for p in (stage.task.human_policy, stage.task.exo_policy) if p is not None)


def renamed(stage: Stage, names: Mapping[str, str]) -> Stage:
    """A stage of another name, that builds on stages of other names.

    Parameters
    ----------
    stage : Stage
    names : new ones by old ones; the others stay
    """

    def moved(path: Path) -> Path:
        first, *rest = path.parts
        return path if path.is_absolute() else Path(names.get(first, first), *rest)

    policies = {
        field: moved(path)
        for field in ("human_policy", "exo_policy")
        if (path := getattr(stage.task, field)) is not None
    }
    return Stage(
        name=names.get(stage.name, stage.name),
        task=stage.task.changed(**policies),
        learn=stage.learn.changed(start_from=tuple(map(moved, stage.learn.start_from))),
    )


def read_chain(folder: str | Path) -> Chain:
    """The chain that a folder holds.

    Raises
    ------
    DataError
        It holds none.
    """
    path = Path(folder) / CHAIN
    if not path.is_file():
        raise DataError(
            f"'{folder}' holds no chain of stages: no {CHAIN}. Name the folder of one seed of "
            "osim-exo train --staged."
        )
    content = read_json(path)
    if not isinstance(content, dict) or "chain" not in content:
        raise DataError(f"'{path}' describes no chain of stages.")
    return Chain.model_validate(content["chain"])


def seed_folder(out: str | Path, seed: int) -> Path:
    """Folder of one seed's chain below the folder of several."""
    return Path(out) / f"seed_{seed}"


def read_chains(out: str | Path) -> dict[Path, Chain]:
    """Chains of every seed in a folder, by their folders, in the order of their seeds.

    Parameters
    ----------
    out : folder of several seeds' chains, or of one

    Raises
    ------
    DataError
        There is none.
    """
    place = Path(out)
    if (place / CHAIN).is_file():
        return {place: read_chain(place)}
    found = {path.parent: read_chain(path.parent) for path in place.glob(f"seed_*/{CHAIN}")}
    if not found:
        raise DataError(
            f"'{out}' holds no chain of stages. Name the --out folder of osim-exo train --staged."
        )
    return dict(sorted(found.items(), key=lambda item: item[1].seed))


def with_seeds(stages: Sequence[Stage], seeds: int) -> tuple[Chain, ...]:
    """One chain per seed, from 0 on, of the same stages.

    Raises
    ------
    InputError
        Fewer than one seed was asked for.
    """
    if seeds < 1:
        raise InputError(f"{seeds} seeds were given; at least 1 is needed.")
    return tuple(Chain(stages=tuple(stages), seed=seed) for seed in range(seeds))
