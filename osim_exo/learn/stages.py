"""A chain of stages: runs that hand on what they learned, in one folder, for several seeds.

A stage is an ordinary training run. Where its settings name a policy or a run by a path whose first
part is the name of an earlier stage, that stage's folder is meant: ``start_from=(Path("walk"),)``,
``human_policy=Path("worn/policy/human")``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.errors import DataError, InputError
from osim_exo.files import read_json, writable_folder, write_json
from osim_exo.learn import checkpoint
from osim_exo.learn.config import LearnConfig
from osim_exo.learn.records import RunFolder
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.train import RunResult, TrainConfig, resume, train
from osim_exo.progress import SILENT, Progress
from osim_exo.provenance import provenance

CHAIN = "chain.json"
"""File that says which chain a folder holds."""

DONE = ("finished", "converged")
"""How a stage has ended that is not run again."""


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

    def config(self, folder: str | Path, name: str) -> TrainConfig:
        """Settings of a stage's run, its paths below the chain's folder."""
        stage = self.stages[self.names.index(name)]

        def found(path: Path | None) -> Path | None:
            if path is None or path.is_absolute() or path.parts[0] not in self.names:
                return path
            return self.place(folder, path.parts[0]).joinpath(*path.parts[1:]).resolve()

        task = stage.task.changed(
            human_policy=found(stage.task.human_policy), exo_policy=found(stage.task.exo_policy)
        )
        source = np.random.SeedSequence((self.seed, self.names.index(name)))
        learn = stage.learn.changed(
            seed=int(source.generate_state(1)[0]),
            start_from=tuple(found(path) for path in stage.learn.start_from),
        )
        return TrainConfig(task=task, learn=learn)


@dataclass(frozen=True)
class ChainResult:
    """How a chain ended.

    Attributes
    ----------
    folder : Path
    chain : Chain
    seconds : by stage, of training by the wall
    steps : by stage
    """

    folder: Path
    chain: Chain
    seconds: dict[str, float]
    steps: dict[str, int]


def steps_of(stage: Stage) -> int:
    """Control steps that a stage takes: whole iterations."""
    return stage.learn.iterations * stage.learn.n_env * stage.learn.ppo.horizon


def _paths(stage: Stage) -> Iterator[Path]:
    yield from stage.learn.start_from
    yield from (p for p in (stage.task.human_policy, stage.task.exo_policy) if p is not None)


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


def claim(chain: Chain, out: str | Path) -> Path:
    """Take a folder for a chain, new or the same one again; nothing in it is changed otherwise.

    Raises
    ------
    InputError
        The folder cannot be written to, or holds something else or another chain.
    """
    folder = writable_folder(out)
    if (folder / CHAIN).is_file():
        if read_chain(folder) != chain:
            raise InputError(
                f"The folder '{folder}' holds a chain with other settings. Nothing was changed. "
                "Name another with --out, or go on with that one with --resume."
            )
        return folder
    held = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    if held:
        raise InputError(
            f"The folder '{folder}' is not empty ({', '.join(held[:4])}) and holds no chain. "
            "Nothing was changed. Name another with --out."
        )
    settings = chain.model_dump(mode="json")
    content = {"chain": settings, "provenance": provenance(seed=chain.seed)}
    write_json(folder / CHAIN, content)
    return folder


def state_of(run: Path) -> str:
    """How a stage's run stands: ``finished``, ``converged``, ``begun`` or ``new``.

    A run without checkpoint has learned nothing that could be gone on with: it counts as new.
    """
    status = str(RunFolder(run).summary().get("status", ""))
    if status in DONE:
        return status
    return "begun" if (run / checkpoint.FILE).is_file() else "new"


def steps_done(chain: Chain, folder: str | Path) -> tuple[int, str]:
    """Control steps that a chain has taken so far, and the stage that it is in."""
    done = 0
    for stage in chain.stages:
        run = RunFolder(chain.place(folder, stage.name))
        if run.summary().get("status") in DONE:
            done += steps_of(stage)
            continue
        rows = run.metrics()
        return done + (int(rows[-1]["steps"]) if rows else 0), stage.name
    return done, "done"


def run_chain(chain: Chain, out: str | Path, *, progress: Progress = SILENT) -> ChainResult:
    """Run a chain, or go on with it where it stopped.

    Finished stages are kept, an interrupted one goes on to the result that it would have had.

    Parameters
    ----------
    chain : Chain
    out : folder, new or of the same chain; a stage's run lies in ``out/<nn>_<name>``
    progress : Progress

    Returns
    -------
    ChainResult

    Raises
    ------
    InputError
        The folder holds something else.
    KeyboardInterrupt
        After the running iteration was finished and everything was written.
    """
    folder = claim(chain, out)
    seconds: dict[str, float] = {}
    steps: dict[str, int] = {}
    with progress.step(f"Stages of seed {chain.seed}", len(chain.stages), "stages") as step:
        for number, stage in enumerate(chain.stages):
            step.update(number, stage=stage.name)
            _run_stage(chain, folder, stage.name, progress)
            summary = RunFolder(chain.place(folder, stage.name)).summary()
            seconds[stage.name] = float(summary["seconds"])
            steps[stage.name] = int(summary["steps"])
        step.update(len(chain.stages))
    return ChainResult(folder, chain, seconds, steps)


def _run_stage(chain: Chain, folder: Path, name: str, progress: Progress) -> RunResult | None:
    place, config = chain.place(folder, name), chain.config(folder, name)
    state = state_of(place)
    if state in DONE:
        return None
    if state == "begun":
        return resume(place, progress=progress)
    shutil.rmtree(place, ignore_errors=True)
    return train(config, place, progress=progress)


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
