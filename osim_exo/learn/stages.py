"""Runs a chain of stages in one folder; finished stages are kept, an interrupted one goes on."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from osim_exo.errors import InputError
from osim_exo.files import writable_folder, write_json
from osim_exo.learn import checkpoint
from osim_exo.learn.chain import CHAIN, Chain, Stage, read_chain, steps_of
from osim_exo.learn.records import RunFolder
from osim_exo.learn.train import TrainConfig, resume, train
from osim_exo.progress import SILENT, Progress
from osim_exo.provenance import provenance

__all__ = ["DONE", "Chain", "ChainResult", "Stage", "claim", "run_chain", "state_of", "steps_done"]

DONE = ("finished", "converged")
"""How a stage has ended that is not run again."""


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


def _run_stage(chain: Chain, folder: Path, name: str, progress: Progress) -> None:
    place = chain.place(folder, name)
    state = state_of(place)
    if state in DONE:
        return
    if state == "begun":
        resume(place, progress=progress)
        return
    shutil.rmtree(place, ignore_errors=True)
    config = TrainConfig(task=chain.task(folder, name), learn=chain.learn(folder, name))
    train(config, place, progress=progress)
