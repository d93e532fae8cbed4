"""Trained walkers: the task and the policies of a run's folder, and those that ship."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from osim_exo.bundle import SUMS
from osim_exo.errors import DataError, InputError
from osim_exo.files import read_json, write_json
from osim_exo.learn.chain import CHAIN, EXO, WORN, Chain, read_chain, read_chains, seed_folder
from osim_exo.learn.tasks import frozen_policies
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.tasks.motion import kept
from osim_exo.learn.tasks.walker import Actor
from osim_exo.names import CONDITIONS
from osim_exo.policy import Policy
from osim_exo.provenance import config_hash

PACKED = (WORN, EXO, *CONDITIONS)
"""Stages of the staged protocol that are evaluated."""

POLICIES = "policy"
"""Folder of a run that holds one policy per learned part."""


@dataclass(frozen=True)
class TrainedWalker:
    """What a run has learned, ready to walk.

    Attributes
    ----------
    task : TaskConfig
    policies : of every part that acts, learned or frozen; ``human`` and ``exo``
    summary : the run's own account: steps, seconds, last measurements
    """

    task: TaskConfig
    policies: dict[str, Actor]
    summary: dict[str, Any]


def load_walker(folder: str | Path) -> TrainedWalker:
    """Read a run's folder, or a shipped one.

    Raises
    ------
    DataError
        The folder holds no finished run of a walking task.
    """
    place = Path(folder)
    content = read_json(place / "config.json")
    task = content.get("task") if isinstance(content, dict) else None
    if not isinstance(task, dict) or task.get("kind") not in ("walk", "imitate"):
        raise DataError(
            f"'{place}' is not the folder of a walker's training: its config.json has no walking "
            "task. Name the --out folder of osim-exo train."
        )
    return _walker(place, TaskConfig.model_validate(task))


def load_stage(folder: str | Path, stage: str) -> TrainedWalker:
    """What a stage of a chain has learned; the chain's folder may have been moved.

    Parameters
    ----------
    folder : of one seed's chain
    stage : its name, as ``assisted``

    Raises
    ------
    DataError
        The folder holds no chain, or the stage has no policy yet.
    """
    chain = read_chain(folder)
    return _walker(chain.place(folder, stage), chain.task(folder, stage))


def _walker(place: Path, config: TaskConfig) -> TrainedWalker:
    """The policies of a run, with the frozen ones that its task names."""
    parts = sorted(path.name for path in (place / POLICIES).glob("*") if path.is_dir())
    if not parts:
        raise DataError(
            f"'{place}' holds no policy yet. Let the training finish, or resume it with osim-exo "
            "train --resume."
        )
    learned: dict[str, Actor] = {
        part: Policy.load(place / POLICIES / part, "numpy") for part in parts
    }
    if config.reference is not None:
        config = config.changed(reference=kept(config.reference, place))
    summary = place / "summary.json"
    facts = read_json(summary) if summary.is_file() else {}
    return TrainedWalker(config, {**frozen_policies(config), **learned}, facts)


def library() -> Path:
    """Where the shipped walkers lie."""
    return Path(str(files("osim_exo.learn"))) / "library"


def shipped_walkers() -> tuple[str, ...]:
    """Names of the shipped walkers."""
    return tuple(sorted(path.parent.name for path in library().glob("*/config.json")))


def shipped_walker(name: str) -> TrainedWalker:
    """A shipped walker by its name.

    Raises
    ------
    DataError
        There is no such walker.
    """
    if name not in shipped_walkers():
        raise DataError(
            f"There is no shipped walker '{name}'. There are: "
            f"{', '.join(shipped_walkers()) or 'none'}."
        )
    return load_walker(library() / name)


CHAINS = "chains"
"""Folder of the library with shipped chains of stages: ``chains/<name>/seed_<k>``."""


def shipped_chains() -> tuple[str, ...]:
    """Names of the shipped sets of chains."""
    found = (library() / CHAINS).glob(f"*/seed_*/{CHAIN}")
    return tuple(sorted({path.parent.parent.name for path in found}))


def shipped_run(name: str) -> Path | None:
    """Folder of what a name that ships stands for; None for any other.

    Parameters
    ----------
    name : of a walker, as ``gait2d_walk_generalist``, or of a chain's stage, as
        ``hip/seed_1/no_exo``

    Raises
    ------
    DataError
        The chain has no such stage.
    """
    if name in shipped_walkers():
        return library() / name
    seed, _, stage = name.rpartition("/")
    chain = library() / CHAINS / seed
    if not (seed and (chain / CHAIN).is_file()):
        return None
    return read_chain(chain).place(chain, stage)


def trained_chains(name_or_folder: str | Path) -> dict[Path, Chain]:
    """Trained chains by their folders, in the order of their seeds.

    Parameters
    ----------
    name_or_folder : a shipped set, or the folder of ``osim-exo train --staged``

    Raises
    ------
    DataError
        There is no such set or folder.
    """
    if str(name_or_folder) in shipped_chains():
        return read_chains(library() / CHAINS / str(name_or_folder))
    if Path(name_or_folder).is_dir():
        return read_chains(name_or_folder)
    raise DataError(
        f"There are no trained chains '{name_or_folder}'. Shipped: "
        f"{', '.join(shipped_chains()) or 'none'}; osim-exo train --staged --out FOLDER makes "
        "others."
    )


def pack(trained: str | Path, into: str | Path, stages: Sequence[str] = PACKED) -> Path:
    """Copy what evaluation needs of trained chains: settings, policies, summaries.

    The worn human keeps its critic too, with which it can go on learning with another device.

    Parameters
    ----------
    trained : folder of ``osim-exo train --staged``
    into : new folder
    stages : that are copied

    Raises
    ------
    DataError
        A stage has no policy yet.
    InputError
        `into` exists.
    """
    target = Path(into)
    if target.exists():
        raise InputError(f"'{target}' exists. Name a new folder.")
    for folder in read_chains(trained):
        for stage in stages:
            load_stage(folder, stage)
    for folder, chain in read_chains(trained).items():
        place = seed_folder(target, chain.seed)
        for stage in stages:
            run = chain.place(folder, stage)
            own = place / run.name
            shutil.copytree(run / POLICIES, own / POLICIES)
            shutil.copy2(run / "summary.json", own / "summary.json")
            # As in the chain: paths by the names of stages, none of the machine that trained.
            planned = chain.stages[chain.names.index(stage)]
            settings = planned.model_dump(mode="json", exclude={"name"})
            write_json(own / "config.json", settings)
            described = {"config": settings, "config_hash": config_hash(settings)}
            facts = dict(read_json(run / "provenance.json"))
            write_json(own / "provenance.json", facts | described)
            if stage == WORN:
                _copy_networks(run, own)
        shutil.copy2(folder / CHAIN, place / CHAIN)
    return target


def _copy_networks(run: Path, into: Path) -> None:
    """A checkpoint's networks, without optimiser and environments."""
    from osim_exo.learn import checkpoint

    facts, arrays = checkpoint.load(run / checkpoint.FILE)
    networks = {n: a for n, a in arrays.items() if n.split("/")[0] in ("actor", "critic")}
    checkpoint.save(into / checkpoint.FILE, {"signature": facts["signature"]}, networks)


def find_walker(name_or_folder: str | Path) -> TrainedWalker:
    """A shipped walker by its name, or what a run's folder holds.

    Raises
    ------
    DataError
        It is neither.
    """
    if str(name_or_folder) in shipped_walkers():
        return shipped_walker(str(name_or_folder))
    if not Path(name_or_folder).is_dir():
        raise DataError(
            f"'{name_or_folder}' is neither the folder of a training run nor a shipped walker. "
            f"Shipped: {', '.join(shipped_walkers()) or 'none'}. osim-exo train makes runs."
        )
    return load_walker(name_or_folder)


def walker_digest(name_or_folder: str | Path) -> str:
    """SHA-256 of a walker's own policies and settings, first 16 digits; changes when they do.

    Raises
    ------
    DataError
        There is no such walker.
    """
    shipped = str(name_or_folder) in shipped_walkers()
    place = library() / str(name_or_folder) if shipped else Path(name_or_folder)
    files = [place / "config.json", *sorted((place / POLICIES).glob(f"*/{SUMS}"))]
    if not files[0].is_file():
        raise DataError(f"'{place}' is not the folder of a training run: it has no config.json.")
    total = hashlib.sha256()
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()[:16]
