"""``osim-exo train --staged``: the chain of stages that a comparison needs, for several seeds."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osim_exo.cli.command import DONE, STDOUT, emit_json, output, table
from osim_exo.errors import InputError
from osim_exo.files import read_json
from osim_exo.progress import Progress, seconds_in_words

if TYPE_CHECKING:
    from osim_exo.cli.train import Train
    from osim_exo.learn.chain import Stage
    from osim_exo.learn.staged import StagedConfig
    from osim_exo.learn.stages import ChainResult

USED = (
    *("out", "model", "speeds", "slopes", "condition", "device", "seeds", "jobs"),
    *("config", "staged", "json"),
)
"""Options that mean something for a chain of stages."""

CHANGE_EVERY, STOP_SHARE = (3.0, 6.0), 0.05
"""Within an episode, where there are several speeds or slopes: time between two commands, s, and
the share of changes that command to stand."""


def holds_chains(folder: Path) -> bool:
    """Whether a folder is one of staged training."""
    return any(folder.glob("chain.json")) or any(folder.glob("seed_*/chain.json"))


def run(command: Train, progress: Progress) -> int:
    """Train every stage of every seed, or go on with it, and print."""
    from osim_exo.learn.chain import read_chains, with_seeds
    from osim_exo.learn.staged import run_seeds
    from osim_exo.learn.stages import run_chain

    if command.resume:
        found = read_chains(command.out)
        results: tuple[ChainResult, ...]
        if command.out in found:
            results = (run_chain(found[command.out], command.out, progress=progress),)
        else:
            chains = tuple(found.values())
            results = run_seeds(chains, command.out, jobs=command.jobs, progress=progress)
    else:
        chains = with_seeds(_stages(command), 1 if command.seeds is None else command.seeds)
        results = run_seeds(chains, command.out, jobs=command.jobs, progress=progress)
    if command.json is not None:
        emit_json(command.json, [_as_dict(result) for result in results])
    if str(command.json) != STDOUT:
        _print(command.out, results)
    return DONE


def _stages(command: Train) -> tuple[Stage, ...]:
    """All stages of the protocol, or with ``--condition no_exo`` those of the human alone."""
    from osim_exo.learn.staged import stages

    config = settings(command)
    if command.condition is None:
        return stages(config)
    if command.condition != "no_exo" or command.device is not None:
        raise InputError(
            "--staged has an arm for every condition. Leave out --condition, or train the human "
            "alone with --condition no_exo and no --device."
        )
    return config.human


def settings(command: Train) -> StagedConfig:
    """The protocol that the options describe.

    Raises
    ------
    InputError
        An option does not go with stages, or a value is out of range.
    """
    from osim_exo.learn.recipes import human_stages, real
    from osim_exo.learn.staged import StagedConfig
    from osim_exo.learn.tasks.config import Commands
    from osim_exo.models import AnkleExo, HipExo, ModelConfig

    given = [
        f"--{field.name.replace('_', '-')}"
        for field in fields(command)
        if field.name not in USED and getattr(command, field.name) != field.default
    ]
    if given:
        raise InputError(
            f"--staged decides what each stage does; leave out {', '.join(given)}. Other steps or "
            "rewards go into a file of settings, for --config."
        )
    if command.config is not None:
        beside = [n for n in ("model", "speeds", "slopes", "device") if getattr(command, n)]
        if beside:
            raise InputError(
                f"--config holds all settings of the stages; leave out --{', --'.join(beside)}."
            )
        return StagedConfig.model_validate(read_json(command.config))
    from osim_exo.cli.train import span

    model = ModelConfig() if command.model is None else ModelConfig(name=command.model)
    speed = span("speeds", command.speeds or "1.25")
    slope = span("slopes", command.slopes or "0")
    wide = speed[0] < speed[1] or slope[0] < slope[1]
    commands = Commands(
        speed=speed,
        slope_deg=slope,
        change_every=CHANGE_EVERY if wide else None,
        stop_share=STOP_SHARE if wide else 0.0,
    )
    device = real(AnkleExo() if command.device == "ankle" else HipExo())
    return StagedConfig(human=human_stages(model, commands), device=device)


def _as_dict(result: ChainResult) -> dict[str, Any]:
    return {
        "folder": str(result.folder),
        "seed": result.chain.seed,
        "seconds": result.seconds,
        "steps": result.steps,
        "budgets": {name: result.chain.budget(name) for name in result.chain.names},
    }


def _print(out: Path, results: tuple[ChainResult, ...]) -> None:
    from osim_exo.learn.chain import EXO

    console = output()
    first = results[0].chain
    rows = []
    for name in first.names:
        seconds = [result.seconds[name] for result in results]
        mean = sum(seconds) / len(seconds)
        steps = results[0].steps[name]
        rows.append(
            (
                name,
                f"{steps:,}",
                f"{first.budget(name):,}",
                seconds_in_words(mean),
                f"{steps / max(mean, 1e-9):,.0f}",
            )
        )
    columns = ("stage", "steps", "steps in its policies", "time per seed", "steps per second")
    console.print(table(columns, rows))
    total = sum(sum(result.seconds.values()) for result in results) / len(results)
    console.print(f"{len(results)} seeds, {seconds_in_words(total)} of training each")
    if EXO in first.names:
        console.print(
            "Compare the arms in OpenSim: osim-exo study run level_walking --arms learned "
            f"--trained {out} --out DIR"
        )
    else:
        walker = first.place(results[0].folder, first.names[-1])
        console.print(f"Look at a walker in OpenSim: osim-exo evaluate {walker}")
