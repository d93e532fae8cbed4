"""The report as a PDF: the same words, tables and figures on pages, by matplotlib alone."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osim_exo.analysis.contents import Contents, Part, build
from osim_exo.analysis.drawing import INK, MUTED, new_figure, style
from osim_exo.analysis.plates import Drawing
from osim_exo.analysis.report import compact, gate_table, report_path
from osim_exo.errors import MissingExtraError
from osim_exo.files import write_bytes
from osim_exo.trial import Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from osim_exo.analysis.compare import Comparison

PAGE = (11.69, 8.27)
"""Inches; A4 lying, so that the comparison table fits its width."""

_MARGIN = 0.7
_WIDTH = 132
_SIZES: Mapping[str, tuple[float, float, str, str]] = {
    "title": (18.0, 1.7, "bold", INK),
    "heading": (12.5, 1.8, "bold", INK),
    "text": (10.0, 1.5, "normal", INK),
    "note": (8.5, 1.5, "normal", MUTED),
    "table": (7.2, 1.4, "normal", INK),
}
"""Size in points, line height in sizes, weight and colour of a kind of line."""

Line = tuple[str, str]
"""Kind and text of a printed line."""


def _wrapped(kind: str, text: str, indent: str = "") -> Iterator[Line]:
    width = int(_WIDTH * _SIZES["text"][0] / _SIZES[kind][0])
    for line in textwrap.wrap(text, width, subsequent_indent=indent) or [""]:
        yield kind, line


def _summary(contents: Contents) -> Iterator[Line]:
    yield from _wrapped("title", contents.title)
    if contents.question:
        yield from _wrapped("text", contents.question)
    yield from _wrapped("note", " · ".join(contents.facts))
    yield "heading", "Summary"
    for sentence in contents.across:
        yield from _wrapped("text", f"• {sentence}", "  ")
    for summary in contents.summaries:
        if len(contents.summaries) > 1:
            yield "heading", summary.heading
        for sentence in summary.sentences:
            yield from _wrapped("text", f"• {sentence}", "  ")
        for flag in summary.flags:
            yield from _wrapped("text", f"Doubtful. {flag}", "  ")
    for note in contents.notes:
        yield from _wrapped("text", f"Note. {note}", "  ")


def _tables(part: Part) -> Iterator[Line]:
    for table in part.tables:
        yield "heading", f"{table.title}, {part.walk.title}"
        yield from _wrapped("note", table.caption)
        heads = [arm.label for arm in table.arms] + ["mass penalty", "torque benefit", "net"]
        yield "table", f"{'':50}" + "".join(f"{head[:19]:>20}" for head in heads)
        for row in table.rows:
            cells = (*row.values, *row.changes)
            label = f"{row.label} {row.unit}".strip()
            yield "table", f"{label[:49]:50}" + "".join(f"{cell.text:>20}" for cell in cells)
            if any(cell.small for cell in cells):
                yield "table", f"{'':50}" + "".join(f"{cell.small:>20}" for cell in cells)
            for flag in row.flags:
                yield "table", f"  ! {flag}"


def _closing(contents: Contents) -> Iterator[Line]:
    gates = gate_table(contents.study.get("gates") or {})
    if gates:
        yield "heading", "Quality gates"
        yield from _wrapped("text", gates["sentence"])
        for gate in gates["rows"]:
            text = f"{gate.name}: {gate.passed} of {gate.count} passed"
            yield from _wrapped("text", f"• {text}; limit {gate.limit}; values {gate.values}", "  ")
            for failure in gate.failures:
                yield from _wrapped("note", f"    failed: {failure}", "    ")
    yield "heading", "Methods"
    for paragraph in contents.methods.plain:
        yield from _wrapped("text", paragraph)
        yield "text", ""
    if contents.methods.references:
        yield "heading", "References"
    for i, reference in enumerate(contents.methods.references, start=1):
        yield from _wrapped("note", f"{i}. {reference.text}", "   ")
    provenance: dict[str, Any] = dict(contents.study.get("provenance") or {})
    provenance.pop("config", None)
    if provenance:
        yield "heading", "Provenance"
    for name, value in compact(provenance):
        yield from _wrapped("note", f"{name}: {value}", "   ")


def _text_pages(lines: Sequence[Line]) -> Iterator[Figure]:
    """Pages with the lines, top to bottom; a heading never stands last on a page."""
    figure, place = new_figure(*PAGE), 0.0
    height = PAGE[1] * 72 - 2 * _MARGIN * 72
    for kind, text in lines:
        size, leading, weight, colour = _SIZES[kind]
        step = size * leading
        gap = size if kind == "heading" and place else 0.0
        if place and place + gap + step + (40.0 if kind == "heading" else 0.0) > height:
            yield figure
            figure, place, gap = new_figure(*PAGE), 0.0, 0.0
        place += gap
        figure.text(
            _MARGIN / PAGE[0], 1.0 - (_MARGIN * 72 + place) / (PAGE[1] * 72), text, fontsize=size,
            fontweight=weight, color=colour, va="top",
            family="monospace" if kind == "table" else "sans-serif",
        )  # fmt: skip
        place += step
    yield figure


def _captioned(drawing: Drawing) -> Figure:
    """The figure on a page of its own, in its own size at the top, its caption below."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = drawing.figure
    width, height = figure.get_size_inches()
    caption = textwrap.wrap(f"{drawing.title}. {drawing.caption}", 150)
    top = 1.0 - _MARGIN / PAGE[1]
    for legend in figure.legends:
        legend.set_loc("upper left")
        legend.set_bbox_to_anchor((_MARGIN / PAGE[0], top))
    figure.set_size_inches(*PAGE)
    share = min((height - 0.3) / PAGE[1], 0.8)
    left, bottom = _MARGIN / PAGE[0], top - 0.3 / PAGE[1] - share
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(left, bottom, min(width / PAGE[0], 1.0 - 2 * left), share))
    figure.text(left, bottom - 0.02, "\n".join(caption), va="top", fontsize=8.5, color=MUTED)
    return figure


def write_pdf(
    path: str | Path,
    comparison: Comparison,
    trials: Sequence[Trial],
    study: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report as PDF: text pages, then every figure with its caption.

    Parameters
    ----------
    path : file, or folder that gets ``report.pdf``
    comparison, trials, study : as in `osim_exo.analysis.report.write_report`

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_pdf import PdfPages
    except ImportError as error:
        raise MissingExtraError("matplotlib", "sim") from error
    contents = build(comparison, trials, study)
    buffer = io.BytesIO()
    with (
        style(),
        PdfPages(buffer, metadata={"Title": contents.title, "CreationDate": None}) as pages,
    ):
        for figure in _text_pages(list(_summary(contents))):
            pages.savefig(figure)
        for drawing in contents.overview:
            pages.savefig(_captioned(drawing))
        for part in contents.parts:
            for figure in _text_pages(list(_tables(part))):
                pages.savefig(figure)
            for drawing in part.drawings:
                pages.savefig(_captioned(drawing))
        for figure in _text_pages(list(_closing(contents))):
            pages.savefig(figure)
    return write_bytes(report_path(path, "report.pdf"), buffer.getvalue())
