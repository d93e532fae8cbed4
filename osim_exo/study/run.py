"""Run a study: settle its conditions in parallel, keep a record, compare, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osim_exo.baseline.config import StrideTime
from osim_exo.errors import BaselineError, InputError
from osim_exo.files import MARKER, claim_output, write_json
from osim_exo.parallel import Backend, each, placed
from osim_exo.progress import SILENT, Progress
from osim_exo.provenance import config_hash, cores, provenance
from osim_exo.results import write_results
from osim_exo.study import conditions
from osim_exo.study.config import Arms, Controller, StudyConfig
from osim_exo.study.learned import (
    POINTER,
    LoopResult,
    chosen_arms,
    loops_of,
    merged,
    run_learned,
)
from osim_exo.study.loops import Loop
from osim_exo.study.plan import Task, request, waves
from osim_exo.study.shipped import load
from osim_exo.study.solving import Outcome, replace_arm, settle
from osim_exo.trial import Trial

if TYPE_CHECKING:
    from osim_exo.analysis.compare import Comparison


@dataclass(frozen=True)
class StudyResult:
    """What a study gave.

    Attributes
    ----------
    config : as run, with what the caller changed
    folder : with study.json, trials, comparison.json, comparison.csv and report.html
    comparison : of the subjects that have all arms
    trials : the compared trials
    gates : quality gates by trial name, as dictionaries
    failures : explanation by name of every condition that was not solved
    learned : what the learned arms gave, with a report of their own; None without them
    """

    config: StudyConfig
    folder: Path
    comparison: Comparison
    trials: tuple[Trial, ...]
    gates: Mapping[str, Sequence[Mapping[str, Any]]]
    failures: Mapping[str, str]
    learned: LoopResult | None = None


def run(
    study: StudyConfig | str | Path,
    out: str | Path,
    *,
    quick: bool = False,
    subjects: int | None = None,
    controllers: Sequence[Controller] | None = None,
    fresh: bool = False,
    jobs: int | None = None,
    backend: Backend | None = None,
    address: str | None = None,
    arms: Arms | None = None,
    trained: str | Path | None = None,
    progress: Progress = SILENT,
) -> StudyResult:
    """Run a study, or go on with it where it stopped.

    A condition whose folder holds a gait of the same request is loaded. Conditions are written in
    one step, so that even a kill loses no more than those that were being solved.

    Parameters
    ----------
    study : configuration, name of a shipped study, or path of a .py or .json file
    out : output folder, new or of the same study
    quick : apply the study's quick settings
    subjects : number of virtual subjects, instead of the study's
    controllers : instead of the study's
    fresh : solve the no-exo baseline from nothing instead of loading it from the library
    jobs : conditions at a time; all cores by default
    backend, address : where they run; see `osim_exo.parallel.placed`. Other machines must see
        `out`.
    arms : ``solved``, ``learned`` or ``both``; by default both where the study has learned arms,
        but only the solved ones of a quick look
    trained : chains of the learned arms, instead of the study's: a shipped set, or the folder of
        ``osim-exo train --staged``
    progress : Progress

    Returns
    -------
    StudyResult
        Look at ``failures``: one failed solve does not stop the others.

    Raises
    ------
    InputError
        The study is unknown or inconsistent, or `out` cannot be used.
    BaselineError
        No subject has all arms, so there is nothing to compare; the message says what failed.
    SimulationError
        No closed loop of the learned arms could be walked.
    """
    config = study if isinstance(study, StudyConfig) else load(study)
    if not isinstance(config, StudyConfig):
        raise InputError(f"'{study}' is a sweep ({config.kind}); run it with run_sweep.")
    config = _changed(config, quick, subjects, controllers)
    if jobs is not None and jobs < 1:
        raise InputError(f"{jobs} jobs were given; at least 1 is needed.")
    config, wanted = chosen_arms(config, arms, trained, quick)
    loops = loops_of(config) if wanted != "solved" else []
    place = {"jobs": jobs, "backend": backend, "address": address, "progress": progress}
    if wanted == "learned":
        return _only_learned(config, Path(out), loops, place)
    groups = waves(config)
    for group in groups:
        if group[0].arm.controller != "playback":
            request(config, group[0], StrideTime()).model.build()
    folder = Path(out)
    marker = {
        "study": config.name,
        "config_hash": config_hash(config.changed(learned=None)),
        "baseline": "solved" if fresh else "library",
    }
    claim_output(folder, marker)
    record = _Record(folder, marker, config)
    conditions.remove_unfinished(folder)
    tasks = [task for group in groups for task in group]
    at_once = jobs or cores()
    with (
        placed(backend, at_once, address),
        progress.step(f"Study {config.name}", total=len(tasks), unit="conditions") as step,
    ):
        for group in groups:
            ready = [task for task in group if record.is_ready(task)]
            here = len(ready) < 2 or (at_once == 1 and backend in (None, "loky"))
            calls = [(config, folder, task, fresh) for task in ready]
            # One condition at a time runs here, with its own progress.
            found = (settle(*c, progress) for c in calls) if here else each(settle, calls, at_once)
            for outcome in found:
                record.add(outcome)
                step.update(record.count, last=f"{outcome.name} {outcome.state}")
                if outcome.state == "failed":
                    progress.note(f"{outcome.name} failed: {outcome.explanation}")
    learned = None
    if loops:
        learned = run_learned(config, folder, loops, **place)
        record.content["notes"] = [POINTER]
    return _finish(config, record, tasks, learned)


def _changed(
    config: StudyConfig,
    quick: bool,
    subjects: int | None,
    controllers: Sequence[Controller] | None,
) -> StudyConfig:
    if quick:
        config = config.quick_look()
    if subjects is not None:
        config = config.changed(subjects=subjects)
    if controllers:
        config = config.changed(controllers=tuple(controllers))
    return config


class _Record:
    """The study's ``study.json``, renewed after every condition."""

    def __init__(self, folder: Path, marker: Mapping[str, Any], config: StudyConfig) -> None:
        self.folder = folder
        self.failures: dict[str, str] = {}
        self._settled: set[str] = set()
        self.content: dict[str, Any] = {
            **marker,
            "title": config.title or config.name,
            "question": config.question,
            "seed": config.seed,
            "configuration": config.model_dump(mode="json"),
            "provenance": provenance(seed=config.seed),
            "conditions": {
                task.name: {"state": "waiting"} for group in waves(config) for task in group
            },
            "gates": {},
        }
        self.write()

    @property
    def count(self) -> int:
        """Conditions that came to an end."""
        return len(self._settled) + len(self.failures)

    def is_ready(self, task: Task) -> bool:
        """Whether what a task needs is there; if not, the task has failed too."""
        needed = [replace_arm(task, name) for name in task.arm.needs]
        if not task.case.is_reference and not task.arm.needs:
            needed.append(Task(task.arm, task.case.reference))
        missing = [other.name for other in needed if other.name not in self._settled]
        if missing:
            self.add(
                Outcome(task.name, "failed", f"Not tried, because {missing[0]} was not solved.")
            )
        return not missing

    def add(self, outcome: Outcome) -> None:
        """Note how a condition ended."""
        entry = {"state": outcome.state}
        if outcome.state == "failed":
            self.failures[outcome.name] = outcome.explanation
            entry["explanation"] = outcome.explanation
        else:
            self._settled.add(outcome.name)
        self.content["conditions"][outcome.name] = entry
        self.write()

    def write(self) -> None:
        """Renew the file."""
        write_json(self.folder / MARKER, self.content)


def _only_learned(
    config: StudyConfig, folder: Path, loops: Sequence[Loop], place: Mapping[str, Any]
) -> StudyResult:
    """A study of its closed loops alone; its folder may get the solved arms later."""
    learned = run_learned(config, folder, loops, **place)
    return StudyResult(
        config, folder, learned.comparison, learned.trials, learned.gates, learned.failures, learned
    )


def _finish(
    config: StudyConfig, record: _Record, tasks: Sequence[Task], learned: LoopResult | None
) -> StudyResult:
    chosen = _comparable(tasks, record.failures)
    if not chosen:
        first = next(iter(record.failures.values()))
        raise BaselineError(
            f"Study {config.name} has nothing to compare: {len(record.failures)} of {len(tasks)} "
            f"conditions failed. The first: {first} What was solved lies in {record.folder}; the "
            "same command tries the rest again."
        )
    stored = {
        task.name: conditions.read_stored(conditions.place(record.folder, task)) for task in chosen
    }
    record.content["gates"] = {name: found.gates for name, found in stored.items()}
    record.write()
    trials = tuple(found.trial for found in stored.values())
    comparison = write_results(record.folder, trials, record.content, seed=config.seed)
    gates, failures = record.content["gates"], dict(record.failures)
    if learned is not None:
        comparison = merged(comparison, learned.comparison)
        comparison.to_json(record.folder / "comparison.json")
        comparison.to_csv(record.folder / "comparison.csv")
        gates, failures = {**gates, **learned.gates}, {**failures, **learned.failures}
    return StudyResult(config, record.folder, comparison, trials, gates, failures, learned)


def _comparable(tasks: Sequence[Task], failures: Mapping[str, str]) -> list[Task]:
    """Tasks of the subjects that have every arm that anybody has on that walk."""
    chosen = []
    walks = dict.fromkeys((task.case.speed, task.case.slope_deg) for task in tasks)
    for walk in walks:
        here = [task for task in tasks if (task.case.speed, task.case.slope_deg) == walk]
        done = [task for task in here if task.name not in failures]
        wanted = {task.arm.name for task in done}
        for case in dict.fromkeys(task.case for task in here):
            own = [task for task in done if task.case == case]
            if {task.arm.name for task in own} == wanted and len(wanted) > 1:
                chosen += own
    return chosen
