"""Trials sorted for a comparison: by walk, arm and independent unit, repetitions averaged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from osim_exo.analysis.clinical import clinical_cycles
from osim_exo.analysis.cycles import mean_cycle
from osim_exo.analysis.events import GaitEvents, find_events
from osim_exo.analysis.metrics import Metric, compute_metrics
from osim_exo.errors import InputError, check_option
from osim_exo.names import CONDITIONS, side
from osim_exo.trial import Array, Trial, TrialInfo

Missing = dict[tuple[str, str], list[str]]
"""Names of trials by what could not be computed of them, and why."""

UNITS = ("subjects", "seeds")
"""What may count as independent."""


@dataclass(frozen=True, order=True)
class Cell:
    """One walk in one arm.

    Attributes
    ----------
    speed : m/s, NaN where it is not known
    slope_deg : degrees, uphill positive
    physics, condition, controller : as in `TrialInfo`
    """

    speed: float | None
    slope_deg: float
    physics: str
    condition: str
    controller: str


@dataclass(frozen=True)
class Unit:
    """One independent unit (subject or seed) in one cell, repetitions averaged.

    Attributes
    ----------
    subject, seed : labels; seed is None where units are subjects
    metrics : by name
    curves : by kind (``activation``, ``hip_flexion`` ...), (101,) arrays, mean of both sides
    """

    subject: str
    seed: int | None
    metrics: Mapping[str, Metric]
    curves: Mapping[str, Array]


@dataclass(frozen=True)
class Cohort:
    """All trials of a comparison.

    Attributes
    ----------
    model : name of the model
    units : ``subjects`` or ``seeds``
    conditions : those that occur, in their fixed order
    cells : units by cell and by the unit's label
    missing : what could not be computed
    """

    model: str
    units: str
    conditions: tuple[str, ...]
    cells: Mapping[Cell, Mapping[str, Unit]]
    missing: list[dict[str, Any]]

    def comparators(self, cell: Cell) -> list[tuple[str, Cell]]:
        """The cells that a cell is compared with: zero torque first, then no exo."""
        earlier = CONDITIONS[: CONDITIONS.index(cell.condition)]
        found: list[tuple[str, Cell]] = []
        for condition in reversed(earlier):
            others = [
                c
                for c in self.cells
                if (c.speed, c.slope_deg, c.physics, c.condition)
                == (cell.speed, cell.slope_deg, cell.physics, condition)
            ]
            if others:
                found.append((condition, min(others, key=lambda c: _preference(c, cell))))
        return found

    def pairs(self, cell: Cell, other: Cell) -> list[tuple[str, Unit, Unit]]:
        """Label, unit in the comparator and unit in the cell, for units that are in both.

        Where units are seeds, a comparator without seeds (one solved baseline) serves all of them.
        """
        mine, theirs = self.cells[cell], self.cells[other]
        shared = self.units == "seeds" and len(theirs) == 1 and "None" in theirs
        return [
            (label, theirs["None" if shared else label], unit)
            for label, unit in mine.items()
            if shared or label in theirs
        ]


def gather(trials: Iterable[Trial], units: str | None = None) -> Cohort:
    """Sort trials into cells and units; see `osim_exo.analysis.compare.compare`."""
    trials = list(trials)
    if not trials:
        raise InputError("No trials were given. Give at least one trial folder or trial.")
    for trial in trials:
        check_option("condition", trial.info.condition, CONDITIONS)
    models = sorted({t.info.model for t in trials if t.info.model})
    if len(models) > 1:
        raise InputError(
            f"The trials are of several models ({', '.join(models)}). Compare one model at a time."
        )
    kind = _units(trials, units)
    missing: Missing = {}
    groups: dict[Cell, dict[str, list[Trial]]] = {}
    for trial in trials:
        label = trial.info.subject if kind == "subjects" else str(trial.info.seed)
        groups.setdefault(cell_of(trial.info), {}).setdefault(label, []).append(trial)
    entries = [
        (cell, label, unit_of(repetitions, kind, missing))
        for cell, labelled in groups.items()
        for label, repetitions in labelled.items()
    ]
    return assemble(models[0] if models else "", kind, entries, missing)


def assemble(
    model: str, kind: str, entries: Iterable[tuple[Cell, str, Unit]], missing: Missing
) -> Cohort:
    """A cohort of units that were measured before.

    Parameters
    ----------
    model : name of the model
    kind : ``subjects`` or ``seeds``
    entries : cell, label and unit
    missing : names of trials by what could not be computed, and why
    """
    groups: dict[Cell, dict[str, Unit]] = {}
    for cell, label, unit in entries:
        groups.setdefault(cell, {})[label] = unit
    cells = {cell: dict(sorted(groups[cell].items())) for cell in sorted(groups, key=_order)}
    present = {cell.condition for cell in cells}
    return Cohort(
        model,
        kind,
        tuple(c for c in CONDITIONS if c in present),
        cells,
        [
            {"what": what, "reason": reason, "trials": sorted(names)}
            for (what, reason), names in missing.items()
        ],
    )


def _units(trials: list[Trial], units: str | None) -> str:
    if units is not None and units not in UNITS:
        raise InputError(
            f"units='{units}' was given; allowed are subjects and seeds. Strides, repetitions and "
            "mesh points of one walk are not independent and are averaged instead."
        )
    if units is not None:
        return check_option("units", units, UNITS)
    subjects = {t.info.subject for t in trials}
    seeds = {t.info.seed for t in trials if t.info.seed is not None}
    return "seeds" if len(subjects) == 1 and len(seeds) > 1 else "subjects"


def cell_of(info: TrialInfo) -> Cell:
    """The cell that a trial belongs to."""
    speed = round(info.speed, 6) if math.isfinite(info.speed) else None
    slope = round(info.slope_deg, 6) + 0.0
    return Cell(speed, slope, info.physics, info.condition, info.controller)


def _order(cell: Cell) -> tuple[Any, ...]:
    """Of cells; controllers stay in the order in which they were given."""
    rank = CONDITIONS.index(cell.condition)
    speed = -1.0 if cell.speed is None else cell.speed
    return cell.slope_deg, speed, cell.physics, rank


def _preference(comparator: Cell, cell: Cell) -> tuple[bool, bool, str]:
    """The arm without a controller serves as comparator before one with the same controller."""
    return (
        comparator.controller != "none",
        comparator.controller != cell.controller,
        comparator.controller,
    )


def unit_of(trials: Sequence[Trial], kind: str, missing: Missing) -> Unit:
    """Average the repetitions of one unit; a metric counts where every repetition has it.

    Parameters
    ----------
    trials : of one cell and unit, at least one
    kind : ``subjects`` or ``seeds``
    missing : what could not be computed is added here, with the trials' names
    """
    sets, curves = [], []
    for trial in trials:
        events = find_events(trial)
        found = compute_metrics(trial, events)
        for what, reason in found.missing.items():
            reason = reason.replace(f"Trial '{trial.info.name}'", "the trial")
            missing.setdefault((what, reason), []).append(trial.info.name)
        sets.append(found.metrics)
        curves.append(_curves(trial, events))
    names = [n for n in sets[0] if all(n in s for s in sets)]
    metrics = {
        n: Metric(n, float(np.mean([s[n].value for s in sets])), sets[0][n].unit,
                  sets[0][n].normalisation)
        for n in names
    }  # fmt: skip
    kinds = [k for k in curves[0] if all(k in c for c in curves)]
    info = trials[0].info
    return Unit(
        info.subject,
        info.seed if kind == "seeds" else None,
        metrics,
        {k: np.mean([c[k] for c in curves], axis=0) for k in kinds},
    )


def _curves(trial: Trial, events: GaitEvents) -> dict[str, Array]:
    """Mean cycles, averaged over both sides (each from its own heel strike)."""
    collected: dict[str, list[Array]] = {}
    sources = [("", clinical_cycles(trial, events))]
    if len(trial.activations):
        sources.append(("activation/", mean_cycle(trial, trial.activations, "own", events)))
    if len(trial.exo_torque):
        sources.append(("exo_torque/", mean_cycle(trial, trial.exo_torque, "own", events)))
    for prefix, channels in sources:
        for name in channels.names:
            plain = name[:-2] if side(name) else name
            collected.setdefault(prefix + plain, []).append(channels[name])
    return {name: np.mean(values, axis=0) for name, values in collected.items()}
