"""The report: one self-contained HTML file that opens offline."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osim_exo import __version__
from osim_exo.analysis.bibliography import CITATION, Reference, bibtex
from osim_exo.analysis.contents import Contents, build
from osim_exo.analysis.drawing import VARIABLES, svg
from osim_exo.analysis.plates import Drawing
from osim_exo.analysis.player import (
    page_text,
    playable,
    player_markup,
    player_script,
)
from osim_exo.analysis.tables import Table
from osim_exo.errors import MissingExtraError
from osim_exo.files import write_text
from osim_exo.trial import Trial

if TYPE_CHECKING:
    from markupsafe import Markup

    from osim_exo.analysis.compare import Comparison


@dataclass(frozen=True)
class _Gate:
    """One quality gate over all trials."""

    name: str
    passed: int
    count: int
    limit: str
    values: str
    explanation: str
    failures: tuple[str, ...]

    @property
    def all_passed(self) -> bool:
        return self.passed == self.count


def plain_value(value: object) -> str:
    """A value of a settings or gates table as text; long numbers to four figures."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain_value(item) for item in value)
    return str(value)


def flattened(settings: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as lines: dotted name and value."""
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            yield from flattened(value, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(settings, (list, tuple)) and any(
        isinstance(i, (Mapping, list)) for i in settings
    ):
        for i, value in enumerate(settings):
            yield from flattened(value, f"{prefix}[{i}]")
    else:
        yield prefix, plain_value(settings)


def compact(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A record as lines, one per entry; nested entries on one line as ``name value, ...``."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            text = ", ".join(f"{inner} {leaf}" for inner, leaf in flattened(value))
        else:
            text = plain_value(value)
        yield str(name).replace("_", " "), text


def _span(values: Sequence[object]) -> str:
    numbers = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) == len(values) and len(set(numbers)) > 1:
        return f"{min(numbers):.4g} to {max(numbers):.4g}"
    return ", ".join(dict.fromkeys(plain_value(v) for v in values))


def _failure(trial: str, gate: Mapping[str, Any], known: str) -> str:
    """One failed gate; its explanation only where it is not the one that already stands there."""
    own = str(gate.get("explanation") or "")
    return f"{trial}: {plain_value(gate.get('value'))}" + (
        f" ({own})" if own not in ("", known) else ""
    )


def gate_table(gates: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any] | None:
    """Gates of all trials: a sentence, a row per gate and a row per gate and trial."""
    every = [
        (trial, gate)
        for trial, entries in gates.items()
        for gate in entries
        if not gate.get("informative")
    ]
    if not every:
        return None
    rows = []
    for name in dict.fromkeys(str(gate["name"]) for _, gate in every):
        own = [(trial, gate) for trial, gate in every if str(gate["name"]) == name]
        explanation = next((str(g["explanation"]) for _, g in own if g.get("explanation")), "")
        failed = [(trial, gate) for trial, gate in own if not gate["passed"]]
        rows.append(
            _Gate(
                name.replace("_", " "),
                len(own) - len(failed),
                len(own),
                _span([gate.get("limit") for _, gate in own]),
                _span([gate.get("value") for _, gate in own]),
                explanation,
                tuple(_failure(trial, gate, explanation) for trial, gate in failed),
            )
        )
    failures = sum(row.count - row.passed for row in rows)
    total = sum(row.count for row in rows)
    sentence = (
        f"All {total} checks of {len(gates)} trials passed."
        if failures == 0
        else f"{failures} of {total} checks failed. What rests on a trial that fails is doubtful."
    )
    listing = [
        {
            "trial": trial,
            "name": str(gate["name"]).replace("_", " "),
            "value": plain_value(gate.get("value")),
            "limit": plain_value(gate.get("limit")),
            "passed": bool(gate["passed"]),
        }
        for trial, gate in every
    ]
    return {"sentence": sentence, "rows": rows, "every": listing}


def _trial_rows(trials: Sequence[Trial]) -> list[dict[str, str]]:
    rows = []
    for info in (trial.info for trial in trials):
        hash_ = f" {info.model_hash[:12]}" if info.model_hash else ""
        status, count = info.provenance.get("status"), info.provenance.get("iterations")
        solver = "" if status is None else str(status).replace("_", " ")
        solver += "" if count is None else f", {count} iterations"
        rows.append(
            {
                "name": info.name,
                "condition": info.condition,
                "controller": info.controller,
                "physics": info.physics,
                "subject": info.subject,
                "body_mass": plain_value(info.body_mass),
                "exo_mass": plain_value(info.exo_mass),
                "seed": plain_value(info.seed),
                "model": f"{info.model}{hash_}",
                "solver": solver,
            }
        )
    return rows


def _cited(text: str, references: Sequence[Reference]) -> Markup:
    """A paragraph with links to its references in place of citations."""
    from markupsafe import Markup, escape

    numbers = {reference.key: i for i, reference in enumerate(references, start=1)}
    out, end = Markup(), 0
    for match in CITATION.finditer(text):
        keys = sorted(re.findall(r"[a-z0-9]+", match.group(1)), key=lambda key: numbers[key])
        links = Markup(", ").join(
            Markup('<a href="#ref-{}">{}</a>').format(key, numbers[key]) for key in keys
        )
        out += escape(text[end : match.start()]) + Markup("[{}]").format(links)
        end = match.end()
    return out + escape(text[end:])


def _player_note(trials: Sequence[Trial]) -> str:
    shown = playable(trials)
    drawn = {t.info.subject for t in trials if len(t.points)}
    left = len(drawn) - len({t.info.subject for t in shown})
    note = (
        "The walker is seen from its right side; the left leg is darker. Muscles are coloured and "
        "widened by activation, blue arrows are ground forces (one body weight is 0.55 m), the arc "
        "shows the exo torque that turns the thigh. The ground is drawn at its slope. Keys on the "
        "picture: space plays, arrows step, Home and End jump."
    )
    if left > 0:
        note += f" Subjects left out to keep the page small: {left} of {len(drawn)}."
    return note


def _figure(drawing: Drawing) -> dict[str, Any]:
    from markupsafe import Markup

    element = svg(drawing.figure, drawing.key, f"{drawing.title}. {drawing.caption}")
    return {
        "key": drawing.key,
        "title": drawing.title,
        "caption": drawing.caption,
        "svg": Markup(element),
    }


def _table(table: Table) -> dict[str, Any]:
    """A table for the page; its arms' colours follow the page's theme."""
    arms = [
        {
            "label": arm.label,
            "colour": f"var(--{VARIABLES[arm.colour]})" if arm.colour in VARIABLES else arm.colour,
        }
        for arm in table.arms
    ]
    fields = ("title", "caption", "rows", "further", "changed")
    return {"arms": arms, **{name: getattr(table, name) for name in fields}}


def _context(contents: Contents, bib_name: str) -> dict[str, Any]:
    from markupsafe import Markup

    references = contents.methods.references
    provenance = dict(contents.study.get("provenance") or {})
    configuration = contents.study.get("configuration") or provenance.pop("config", None) or {}
    provenance.pop("config", None)
    bib = base64.b64encode(bibtex(references).encode()).decode()
    player = player_markup(contents.trials)
    parts = [
        {
            "walk": part.walk,
            "tables": [_table(table) for table in part.tables],
            "tests": part.tests,
            "figures": [_figure(drawing) for drawing in part.drawings],
            "problems": part.problems,
            "summary": contents.summaries[i] if len(contents.parts) > 1 else None,
        }
        for i, part in enumerate(contents.parts)
    ]
    single = contents.summaries[0] if len(contents.summaries) == 1 else None
    return {
        "version": __version__,
        "title": contents.title,
        "question": contents.question,
        "facts": contents.facts,
        "css": Markup(page_text("report.css") + (page_text("player.css") if player else "")),
        "script": Markup(player_script() if player else ""),
        "tiles": single.tiles if single else (),
        "across": contents.across,
        "walk_rows": contents.walk_rows,
        "summaries": contents.summaries,
        "notes": contents.notes,
        "units": contents.units,
        "units_n": contents.units_n,
        "missing": contents.missing,
        "overview": [_figure(drawing) for drawing in contents.overview],
        "player": Markup(player),
        "player_note": _player_note(contents.trials),
        "parts": parts,
        "gates": gate_table(contents.study.get("gates") or {}),
        "methods": [_cited(text, references) for text in contents.methods.paragraphs],
        "references": references,
        "bib_name": bib_name,
        "bib_uri": f"data:application/x-bibtex;charset=utf-8;base64,{bib}",
        "provenance": list(compact(provenance)),
        "configuration": list(flattened(configuration)),
        "trials": _trial_rows(contents.trials),
    }


def render(contents: Contents, *, bib_name: str = "report.bib") -> str:
    """The report as HTML text; see `write_report`."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("jinja2", "sim") from error
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    template = environment.from_string(page_text("report.html"))
    return template.render(_context(contents, bib_name))


def report_path(path: str | Path, name: str) -> Path:
    """The file to write: `path`, or `name` in it where it is a folder or has no suffix."""
    target = Path(path)
    return target / name if target.is_dir() or not target.suffix else target


def write_report(
    path: str | Path,
    comparison: Comparison,
    trials: Sequence[Trial],
    study: Mapping[str, Any] | None = None,
    further: Sequence[Drawing] = (),
) -> Path:
    """Write the report and, beside it, its references as BibTeX.

    Parameters
    ----------
    path : file, or folder that gets ``report.html``
    comparison : `osim_exo.analysis.compare.Comparison` of the trials
    trials : any subset of arms; one or many subjects, speeds and slopes
    study : plain dictionary with ``name``, ``title``, ``question``, ``configuration``,
        ``provenance`` (as `osim_exo.provenance.provenance` gives it) and ``gates`` (by trial name,
        lists of ``name``, ``value``, ``limit``, ``passed``, ``explanation``) and ``notes``, a list
        of sentences; all may be missing
    further : figures that stand before those of each walk

    Returns
    -------
    Path of the HTML file: self-contained, without any request to elsewhere

    Raises
    ------
    MissingExtraError
        matplotlib or jinja2 is not installed.
    InputError
        `path` cannot be written.
    """
    target = report_path(path, "report.html")
    bib = target.with_suffix(".bib")
    contents = build(comparison, trials, study, further)
    html = render(contents, bib_name=bib.name)
    write_text(bib, bibtex(contents.methods.references))
    return write_text(target, html)
