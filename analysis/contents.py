"""What stands in a report, before it becomes a page: one assembly for HTML and PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from osim_exo.analysis.arm_curves import gather, human_bands
from osim_exo.analysis.arms import Arm, Walk, arms_of, pick, sort_walks, walk_of
from osim_exo.analysis.findings import Findings, metric_label, walks_of_rows
from osim_exo.analysis.inference import EffectRow, effect_rows, statistics_sentences
from osim_exo.analysis.methods import (
    Methods,
    has_metabolics,
    tracks_human_angles,
    write_methods,
)
from osim_exo.analysis.overview import WalkRow, across, walk_rows
from osim_exo.analysis.plates import (
    Drawing,
    change_plates,
    cycle_plates,
    metabolic_plates,
    overview_plates,
)
from osim_exo.analysis.summary import Summary, summarise
from osim_exo.analysis.tables import Table, tables
from osim_exo.trial import Trial

if TYPE_CHECKING:
    from osim_exo.analysis.compare import Comparison

MANY_WALKS = 4
"""With more walks than this the figures show means only: a page must stay quick to open."""


@dataclass(frozen=True)
class Part:
    """Everything about one walk.

    Attributes
    ----------
    tables : one per assisted arm
    tests : effect sizes and tests; empty with one unit
    problems : what could not be shown and why
    """

    walk: Walk
    tables: tuple[Table, ...]
    tests: tuple[EffectRow, ...]
    drawings: tuple[Drawing, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Contents:
    """A report's content; see `build`."""

    title: str
    question: str
    facts: tuple[str, ...]
    units: tuple[str, str]
    units_n: int
    across: tuple[str, ...]
    walk_rows: tuple[WalkRow, ...]
    summaries: tuple[Summary, ...]
    notes: tuple[str, ...]
    overview: tuple[Drawing, ...]
    parts: tuple[Part, ...]
    methods: Methods
    missing: tuple[str, ...]
    study: Mapping[str, Any]
    trials: tuple[Trial, ...] = field(repr=False)


def _units(comparison: Comparison, trials: Sequence[Trial]) -> tuple[str, str]:
    """What n counts, for one and for several: subjects, training seeds or measured people."""
    if comparison.units == "seeds":
        return "training seed", "training seeds"
    if trials and all(t.info.physics == "measured" for t in trials):
        return "person", "people"
    return "virtual subject", "virtual subjects"


def _part(
    comparison: Comparison,
    findings: Findings,
    trials: Sequence[Trial],
    arms: Sequence[Arm],
    each: bool,
    tracked: bool,
) -> Part:
    walk = findings.walk
    own = pick(trials, walk)
    curves, problems = gather(own, arms)
    drawings = (
        *change_plates(findings, walk.key),
        *metabolic_plates(findings, walk.key),
        *cycle_plates(comparison, curves, human_bands(own), walk, each, tracked),
    )
    return Part(
        walk,
        tuple(tables(findings)),
        tuple(effect_rows(comparison, walk)),
        drawings,
        tuple(problems),
    )


def _facts(
    study: Mapping[str, Any],
    trials: Sequence[Trial],
    walks: Sequence[Walk],
    units: tuple[str, str],
) -> list[str]:
    facts = [str(study[name]) for name in ("name",) if study.get(name)]
    models = sorted({t.info.model for t in trials if t.info.model})
    facts += [f"model {', '.join(models)}"] if models else []
    one, many = units
    seeds = one == "training seed"
    n = len({t.info.seed if seeds else t.info.subject for t in trials} - {None})
    facts += [f"{n} {one if n == 1 else many}"] if trials else []
    facts += ["; ".join(w.title for w in walks) if len(walks) < 4 else f"{len(walks)} walks"]
    created = (study.get("provenance") or {}).get("created")
    if created:
        facts.append(f"made {str(created).replace('T', ' ').replace('+00:00', ' UTC')}")
    return facts


def build(
    comparison: Comparison,
    trials: Sequence[Trial],
    study: Mapping[str, Any] | None = None,
    further: Sequence[Drawing] = (),
) -> Contents:
    """Put a report together.

    Parameters
    ----------
    comparison : `osim_exo.analysis.compare.Comparison`
    trials : the trials it was made of, in any order; any subset of arms
    study : ``name``, ``title``, ``question``, ``configuration``, ``provenance``, ``gates``,
        ``notes``; all may be missing
    further : figures about all walks together
    """
    study = study or {}
    rows = list(comparison.rows)
    walks = sort_walks([*walks_of_rows(rows), *(walk_of(t.info) for t in trials)])
    found = [Findings(rows, walk) for walk in walks]
    arms = arms_of(trials)
    units = _units(comparison, trials)
    each = len(walks) <= MANY_WALKS
    tracked = tracks_human_angles(trials, study)
    parts = tuple(_part(comparison, findings, trials, arms, each, tracked) for findings in found)
    bands = any(human_bands(pick(trials, walk)) for walk in walks)
    methods = write_methods(trials, study, statistics_sentences(comparison, units), bands=bands)
    notes = [str(note) for note in study.get("notes", ())]
    if units[0] == "training seed":
        notes.append(
            "Intervals are over training seeds: they show how much learning varies, not how people "
            "vary."
        )
    if trials and not any(has_metabolics(t) for t in trials):
        notes.append("The trials hold no muscle states, so there are no metabolic rates.")
    return Contents(
        title=str(study.get("title") or study.get("name") or "Gait with and without exo"),
        question=str(study.get("question") or ""),
        facts=tuple(_facts(study, trials, walks, units)),
        units=units,
        units_n=max((findings.units for findings in found), default=0),
        across=across(found, units),
        walk_rows=tuple(row for findings in found for row in walk_rows(findings)),
        summaries=tuple(summarise(findings, units) for findings in found),
        notes=tuple(notes),
        overview=(*overview_plates(found), *further),
        parts=parts,
        methods=methods,
        missing=tuple(
            f"{metric_label(str(entry['what']))}: {entry['reason']} "
            f"({len(entry['trials'])} of {len(trials)} trials)"
            for entry in comparison.missing
        ),
        study=study,
        trials=tuple(trials),
    )
