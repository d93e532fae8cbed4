"""The learned arms of a study: evaluate trained chains in OpenSim, compare over seeds, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from osim_exo.analysis.cohort import Cell, Cohort, Missing, Unit, assemble
from osim_exo.analysis.compare import Comparison
from osim_exo.analysis.speed_changes import speed_change_plates
from osim_exo.analysis.transfer import transfer_rows, write_transfer
from osim_exo.errors import DataError, InputError, SimulationError
from osim_exo.files import MARKER, claim_output, write_json
from osim_exo.learn.chain import Chain
from osim_exo.learn.walkers import trained_chains
from osim_exo.names import CONDITIONS
from osim_exo.parallel import Backend, each, placed
from osim_exo.progress import SILENT, Progress
from osim_exo.provenance import config_hash, cores, provenance
from osim_exo.results import write_results
from osim_exo.study.config import Arms, StudyConfig
from osim_exo.study.learned_arm import LearnedArm
from osim_exo.study.loops import Loop, Measured, read_unit, settle
from osim_exo.trial import Trial

USUAL_SPEED = 1.25
"""m/s; of a study's walks, the nearest to this on the flattest ground is walked compiled too."""


FOLDER = "learned"
"""Of the learned arms' results, below a study's."""

POINTER = (
    "The learned arms, closed loops in OpenSim over training seeds, have a report of their own: "
    f"{FOLDER}/report.html. Their rows are in comparison.json too, with the physics opensim."
)


@dataclass(frozen=True)
class LoopResult:
    """What the closed loops of a study gave.

    Attributes
    ----------
    folder : with study.json, trials, comparison.json, comparison.csv, report.html and, where walks
        were compiled too, transfer.json and transfer.csv
    comparison : over training seeds
    transfer : rows of the transfer table
    gates : falls and strides of every unit
    failures : explanation by name of every unit that could not be walked
    trials : a few strides of every unit that walked
    """

    folder: Path
    comparison: Comparison
    transfer: tuple[Mapping[str, Any], ...]
    gates: Mapping[str, Sequence[Mapping[str, Any]]]
    failures: Mapping[str, str]
    trials: tuple[Trial, ...]


def learned_loops(
    arm: LearnedArm, speeds: Sequence[float], slopes_deg: Sequence[float], model: str = ""
) -> list[Loop]:
    """Every unit of the learned arms.

    Parameters
    ----------
    arm : LearnedArm
    speeds, slopes_deg : of the study; m/s and degrees
    model : that the chains must have been trained on; any if empty

    Raises
    ------
    DataError
        There are no such chains, or a chain lacks an arm.
    InputError
        The chains are of another model, or were not trained for these walks.
    """
    chains = dict(list(trained_chains(arm.trained).items())[: arm.seeds])
    for folder, chain in chains.items():
        _check(folder, chain, speeds, slopes_deg, model)
    usual = min(
        ((speed, slope) for speed in speeds for slope in slopes_deg),
        key=lambda walk: (abs(walk[1]), abs(walk[0] - USUAL_SPEED)),
    )
    return [
        Loop(
            condition, condition, folder, condition, chain.seed,
            arm.evaluation(speed, slope, physics),
        )
        for slope in slopes_deg
        for speed in speeds
        for physics in ("opensim", "compiled")
        if physics == "opensim" or (arm.transfer and (speed, slope) == usual)
        for condition in CONDITIONS
        for folder, chain in chains.items()
    ]  # fmt: skip


def chosen_arms(
    config: StudyConfig, arms: Arms | None, trained: str | Path | None, quick: bool
) -> tuple[StudyConfig, Arms]:
    """The study with the chains that were asked for, and which of its arms to run.

    Raises
    ------
    InputError
        Learned arms were asked for and there are none, or chains and no learned arm.
    """
    if trained is not None and arms == "solved":
        raise InputError(f"The chains '{trained}' were given, but only solved arms asked for.")
    if trained is not None:
        base = config.learned or (LearnedArm().quick_look() if quick else LearnedArm())
        config = config.changed(learned=base.changed(trained=str(trained)))
    if arms in ("learned", "both") and config.learned is None:
        raise InputError(
            f"Study {config.name} has no learned arms. Name trained chains with --trained."
        )
    both = trained or (config.learned and config.learned.by_default and not quick)
    return config, arms or ("both" if both else "solved")


def loops_of(config: StudyConfig) -> list[Loop]:
    """The closed loops of a study's learned arms; see `learned_loops`."""
    if config.weakness or config.learned is None:
        raise InputError(
            f"Study {config.name} weakens muscles, but the learned arms are of trained chains with "
            'a body of their own. Run its solved arms only (arms = "solved").'
        )
    return learned_loops(config.learned, config.speeds, config.slopes_deg, config.model)


def run_learned(
    config: StudyConfig, folder: Path, loops: Sequence[Loop], **place: Any
) -> LoopResult:
    """Walk the learned arms of a study and write their results below its folder.

    Parameters
    ----------
    config : StudyConfig
    folder : of the study
    loops : of `loops_of`
    place : ``jobs``, ``backend``, ``address`` and ``progress`` of `run_loops`
    """
    arm = config.learned or LearnedArm()
    record = {
        "study": config.name,
        "title": f"{config.title or config.name}: what was learned",
        "question": "How much does a device that learned together with its wearer change effort "
        "and metabolic cost, against no device and against the same device without torque?",
        "configuration": {
            "speeds": list(config.speeds),
            "slopes_deg": list(config.slopes_deg),
            "learned": arm.model_dump(mode="json", exclude={"trained", "by_default"}),
        },
        "trained": Path(arm.trained).name,
    }
    return run_loops(
        loops, folder / FOLDER, record, least_strides=arm.least_strides, seed=config.seed, **place
    )


def _check(
    folder: Path, chain: Chain, speeds: Sequence[float], slopes_deg: Sequence[float], model: str
) -> None:
    for condition in CONDITIONS:
        chain.place(folder, condition)
    budgets = {chain.budget(condition) for condition in CONDITIONS}
    if len(budgets) > 1:
        raise DataError(
            f"The arms of the chain in '{folder}' were trained for "
            f"{', '.join(f'{steps:,}' for steps in sorted(budgets))} steps; only arms of equal "
            "training can be compared."
        )
    task = chain.task(folder, CONDITIONS[-1])
    if model and task.model.name != model:
        raise InputError(
            f"The chain in '{folder}' was trained on the model {task.model.name}, the study is "
            f"about {model}. Train on that model with osim-exo train --staged --model {model}."
        )
    spans = (
        ("speed", "m/s", speeds, task.commands.speed),
        ("slope", "degrees", slopes_deg, task.commands.slope_deg),
    )
    for what, unit, wanted, (low, high) in spans:
        outside = [value for value in wanted if not low - 1e-9 <= value <= high + 1e-9]
        if outside:
            raise InputError(
                f"The chain in '{folder}' was trained for a {what} of {low:g} to {high:g} {unit}; "
                f"the study asks for {', '.join(f'{v:g}' for v in outside)}. Train for these with "
                f"osim-exo train --staged --{what}s, or leave them out."
            )


def run_loops(
    loops: Sequence[Loop],
    folder: Path,
    record: Mapping[str, Any],
    *,
    least_strides: int,
    seed: int = 0,
    jobs: int | None = None,
    backend: Backend | None = None,
    address: str | None = None,
    progress: Progress = SILENT,
) -> LoopResult:
    """Walk all units, or those that are not stored yet, and write the results.

    Parameters
    ----------
    loops : units
    folder : of the results, new or of the same study
    record : ``study``, ``title``, ``question`` and ``configuration``
    least_strides : of a unit, below which the report says so
    seed : of permutation tests
    jobs, backend, address : as for `osim_exo.study.run.run`
    progress : Progress

    Raises
    ------
    InputError
        `folder` holds something else.
    SimulationError
        No unit could be walked.
    """
    marker = {"study": record["study"], "config_hash": config_hash(record["configuration"])}
    claim_output(folder, marker)
    content: dict[str, Any] = {**record, **marker, "provenance": provenance(seed=seed)}
    states: dict[str, dict[str, str]] = {loop.name: {"state": "waiting"} for loop in loops}
    failures: dict[str, str] = {}
    at_once = jobs or cores()
    with (
        placed(backend, at_once, address),
        progress.step(f"Closed loops of {record['study']}", len(loops), "walks") as step,
    ):
        for done, outcome in enumerate(each(settle, ((x, folder) for x in loops), at_once), 1):
            states[outcome.name] = {"state": outcome.state}
            if outcome.state == "failed":
                failures[outcome.name] = outcome.explanation
                states[outcome.name]["explanation"] = outcome.explanation
                progress.note(f"{outcome.name} failed: {outcome.explanation}")
            write_json(folder / MARKER, {**content, "conditions": states})
            step.update(done, last=f"{outcome.name} {outcome.state}")
    walked = {loop: read_unit(folder, loop) for loop in loops if loop.name not in failures}
    if not walked:
        raise SimulationError(
            f"None of {len(loops)} walks could be made. The first: {next(iter(failures.values()))}"
        )
    return _write(walked, folder, content | {"conditions": states}, failures, least_strides, seed)


def _write(
    walked: Mapping[Loop, Measured],
    folder: Path,
    content: dict[str, Any],
    failures: Mapping[str, str],
    least_strides: int,
    seed: int,
) -> LoopResult:
    gates = {loop.name: _gates(found, least_strides) for loop, found in walked.items()}
    content |= {"gates": gates, "notes": [*content.get("notes", ()), *_notes(walked)]}
    everything = cohort_of(walked)
    opensim = {loop: found for loop, found in walked.items() if loop.settings.physics == "opensim"}
    trials = tuple(found.trial for found in opensim.values() if found.trial is not None)
    transfer = transfer_rows(everything)
    write_transfer(folder, transfer)
    write_json(folder / MARKER, content)
    cohort = cohort_of(opensim)
    from osim_exo.analysis.compare import compare_cohort

    rows = compare_cohort(cohort, seed=seed).rows
    plates = tuple(speed_change_plates(rows))
    comparison = write_results(folder, trials, content, seed=seed, cohort=cohort, further=plates)
    return LoopResult(folder, comparison, tuple(transfer), gates, failures, trials)


def cohort_of(walked: Mapping[Loop, Measured]) -> Cohort:
    """Units sorted into cells; seeds whose walks all fell stay in, with their falls."""
    entries: list[tuple[Cell, str, Unit]] = []
    missing: Missing = {}
    models = sorted({found.model for found in walked.values() if found.model})
    for loop, found in walked.items():
        settings = loop.settings
        cell = Cell(
            round(settings.speed, 6), round(settings.slope_deg, 6) + 0.0, settings.physics,
            loop.condition, loop.controller,
        )  # fmt: skip
        entries.append((cell, str(loop.seed), found.unit))
        reasons = dict(found.missing)
        if found.trial is None:
            why = f"all {found.walks} walks fell before a whole stride after settling"
            reasons[("everything but falls", why)] = [loop.name]
        for key, names in reasons.items():
            missing.setdefault(key, []).extend(names)
    return assemble(models[0] if models else "", "seeds", entries, missing)


def _gates(found: Measured, least_strides: int) -> list[dict[str, Any]]:
    return [
        {
            "name": "no_falls",
            "value": found.falls,
            "limit": f"0 of {found.walks} walks",
            "passed": found.falls == 0,
            "explanation": "A walk that fell counts up to its fall; its numbers are doubtful.",
            "informative": False,
        },
        {
            "name": "strides",
            "value": found.strides,
            "limit": f"at least {least_strides}",
            "passed": found.strides >= least_strides,
            "explanation": "Means over few strides are uncertain.",
            "informative": False,
        },
    ]


def _notes(walked: Mapping[Loop, Measured]) -> list[str]:
    """How many walks of each arm fell, in OpenSim."""
    counts: dict[str, list[int]] = {}
    for loop, found in walked.items():
        if loop.settings.physics == "opensim":
            count = counts.setdefault(loop.arm, [0, 0])
            count[0] += found.falls
            count[1] += found.walks
    fell = "; ".join(
        f"{arm.replace('_', ' ')} {falls} of {walks}" for arm, (falls, walks) in counts.items()
    )
    return [
        f"Walks that fell in OpenSim: {fell}. Every walk counts in the share of falls; other "
        "numbers are of the strides before a fall.",
        "All arms had equal training: the human without device and the one with the unpowered "
        "device went on learning for as many steps as the device and its wearer took.",
    ]


def merged(first: Comparison, second: Comparison) -> Comparison:
    """Rows of solved gaits and of closed loops in one comparison; their physics tell them apart."""
    return replace(
        first,
        conditions=tuple(c for c in CONDITIONS if c in {*first.conditions, *second.conditions}),
        rows=(*first.rows, *second.rows),
        statistics=(*first.statistics, *second.statistics),
        curves=(*first.curves, *second.curves),
        missing=(*first.missing, *second.missing),
    )
