"""The report of a distilled student: figures and a page, from what ``osim-exo distil`` found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osim_exo.analysis.drawing import INK, MUTED, WIDTH, new_figure, style, svg
from osim_exo.analysis.player import page_text
from osim_exo.files import write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Content = Mapping[str, Any]

COLOURS = {
    "teacher": INK,
    "student": "#0072b2",
    "playback": "#e69f00",
    "delayed_output_feedback": "#009e73",
    "zero_torque": "#d55e00",
}
LABELS = {
    "teacher": "teacher",
    "student": "student",
    "playback": "phase-averaged playback",
    "delayed_output_feedback": "delayed output feedback",
    "zero_torque": "zero torque",
}
ERRORS = {
    "mounting": "mounting error",
    "gyro_bias": "gyroscope bias",
    "delay": "delay",
    "dropout": "lost samples",
}
METRICS = {
    "mean_activation": "activation",
    "positive_joint_power": "joint power",
    "metabolic_rate_bhargava2004": "metabolic rate",
}


def write_distillation(content: Content, folder: str | Path) -> Path:
    """Write ``distil.html`` and its figures as PNG.

    Parameters
    ----------
    content : of ``distil.json``
    folder : that exists

    Returns
    -------
    The page.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    place, drawings = Path(folder), []
    for name, description, figure in figures(content):
        with style():
            figure.savefig(place / f"{name}.png", dpi=130, facecolor="white")
        drawings.append((description, svg(figure, name, description)))
    page = place / "distil.html"
    write_text(page, _page(content, drawings))
    return page


def figures(content: Content) -> Iterator[tuple[str, str, Figure]]:
    """Name, description and figure of each drawing."""
    with style():
        if content["curves"]:
            yield "torque", "Exo torque at the right hip over the gait cycle.", _curves(content)
        yield (
            "agreement",
            "Correlation with the teacher and error, case by case, in the same states.",
            _agreement(content),
        )
        if content["degradation"]:
            text = "Error of the student's torque with worse sensors; falls are written beside."
            yield "degradation", text, _degradation(content)


def _curves(content: Content) -> Figure:
    cases = list(dict.fromkeys(curve["case"] for curve in content["curves"]))
    columns = min(3, len(cases))
    rows = -(-len(cases) // columns)
    figure = new_figure(WIDTH, 1.2 + 1.9 * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    percent = np.arange(101)
    for place, case in enumerate(cases):
        axes: Axes = grid[place // columns][place % columns]
        axes.set_title(case)
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        for curve in content["curves"]:
            arm = curve["arm"]
            if curve["case"] == case and arm != "zero_torque":
                width = 2.6 if arm == "teacher" else 1.4
                axes.plot(percent, curve["nm_per_kg"], color=COLOURS[arm], linewidth=width)
        axes.set_xlim(0, 100)
        if place % columns == 0:
            axes.set_ylabel("Nm/kg, flexion +")
        if place >= len(cases) - columns:
            axes.set_xlabel("gait cycle, %")
            axes.tick_params(labelbottom=True)
    for place in range(len(cases), rows * columns):
        grid[place // columns][place % columns].set_visible(False)
    _legend(figure, ("teacher", "student", "playback", "delayed_output_feedback"))
    return figure


def _legend(figure: Figure, arms: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=COLOURS[arm], label=LABELS[arm]) for arm in arms]
    figure.legend(handles=lines, loc="outside upper left", ncols=len(lines))


def _agreement(content: Content) -> Figure:
    rows = [row for row in content["rows"] if row["arm"] != "teacher"]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    figure = new_figure(WIDTH, 1.4 + 0.26 * len(cases))
    left, right = figure.subplots(1, 2, sharey=True)
    place = {case: k for k, case in enumerate(reversed(cases))}
    for row in rows:
        colour = COLOURS[row["arm"]]
        size = 38 if row["arm"] == "student" else 20
        for axes, key in ((left, "r"), (right, "rmse_nm_per_kg")):
            if row[key] is not None:
                axes.scatter(row[key], place[row["case"]], s=size, color=colour, zorder=3)
    kinds = {row["case"]: row["kind"] for row in rows}
    names = [c if kinds[c] == "trained" else f"{c} ({_KINDS[kinds[c]]})" for c in place]
    left.set_yticks(list(place.values()), names)
    left.set_xlabel("r with the teacher")
    right.set_xlabel("RMSE, Nm/kg")
    right.set_xlim(left=0.0)
    left.axvline(0.9, color=MUTED, linestyle="--", linewidth=1.0)
    right.axvline(0.03, color=MUTED, linestyle="--", linewidth=1.0)
    _legend(figure, ("student", "playback", "delayed_output_feedback", "zero_torque"))
    return figure


_KINDS = {"unseen": "beyond training", "changing": "changing"}


def _degradation(content: Content) -> Figure:
    rows = content["degradation"]
    none = next(row for row in rows if row["error"] == "none")
    tried = [name for name in ERRORS if any(row["error"] == name for row in rows)]
    figure = new_figure(WIDTH, 2.7)
    panels = figure.subplots(1, len(tried), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, tried):
        points = [row for row in rows if row["error"] == name]
        unit = points[0]["unit"]
        drawn = sorted([{**none, "value": 0.0}, *points], key=lambda row: float(row["value"]))
        at = [row["value"] for row in drawn]
        axes.plot(at, [row["rmse_nm_per_kg"] for row in drawn], "o-", color=COLOURS["student"])
        for row in drawn:
            axes.annotate(
                f"r {row['r']:.2f}" + (f"\n{row['falls']:.0f} falls" if row["falls"] else ""),
                (row["value"], row["rmse_nm_per_kg"]), textcoords="offset points", xytext=(0, 6),
                ha="center", fontsize=7, color=MUTED,
            )  # fmt: skip
        axes.axhline(0.03, color=MUTED, linestyle="--", linewidth=1.0)
        axes.set_title(ERRORS[name])
        axes.set_xlabel(unit)
        axes.margins(x=0.15)
    highest = max(row["rmse_nm_per_kg"] for row in rows)
    panels[0].set_ylim(0.0, 1.35 * max(highest, 0.03))
    panels[0].set_ylabel("RMSE, Nm/kg")
    return figure


# The page


def _page(content: Content, drawings: Sequence[tuple[str, str]]) -> str:
    sensors = ", ".join(name.replace("_", " ") for name in content["sensors"])
    figures = "".join(
        f'<figure><div class="scroll">{drawn}</div><figcaption>{escape(text)}</figcaption></figure>'
        for text, drawn in drawings
    )
    title = f"Student of {escape(str(content['teacher']))}"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{page_text("report.css")}</style></head><body>
<header class="top"><h1>{title}</h1>
<p class="question">Sensors: {escape(sensors)}. Network: {escape(content["network"])}.
Distilled in {content["seconds_to_distil"]:.0f} s.</p></header><main>
<section><h2>What was asked</h2>{_verdict(content)}</section>
<section><h2>Teacher, student and rivals</h2>{_summary(content)}</section>
<section><h2>Figures</h2>{figures}</section>
<section><h2>Every walk</h2>{_rows(content)}</section>
<section><h2>Worse sensors</h2>{_worse(content)}</section>
<section><h2>How to read this</h2><p>{_NOTE}</p></section>
</main></body></html>
"""


_NOTE = (
    "The same human policy walks in every arm; only what drives the device differs. Correlation "
    "and error compare, at every control step of the arm's own walk, its commanded torque with "
    "what the teacher would have commanded in that state; sensors are exact there. Benefit is the"
    " fall of a metric against zero torque on the same walker, all trained speeds and slopes "
    "together at which teacher, zero torque and the arm walked to the end. Playback has the "
    "teacher's mean torque over the gait phase that a device estimates from hip angles; delayed "
    "output feedback has gain, delay and filter fitted to the teacher's torque. Worse sensors are"
    " walked in the compiled physics over the run's commands, each error alike on both legs. The "
    "model is planar: a gyroscope turned out of the plane of walking loses the cosine of the "
    "angle; on a person it would also read other rotations."
)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="table">{table}</div>'


def _number(value: float | None, decimals: int = 3) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:.{decimals}f}"


def _falls(falls: int, walks: int) -> str:
    return f"{falls} of {walks}" if walks else "–"


def _verdict(content: Content) -> str:
    words = {True: "yes", False: "no", None: "cannot be said"}
    rows = [(what, words[held]) for what, held in content["accepted"].items()]
    return _table(("asked", "holds"), rows)


def _summary(content: Content) -> str:
    rows = []
    for arm, facts in content["summary"].items():
        kept, saved = facts["share_of_benefit"], facts["saved_percent"]
        benefit = [
            "–"
            if saved[name] is None
            else f"{saved[name]:+.1f} %"
            + (f" (keeps {100 * kept[name]:.0f} %)" if kept[name] is not None else "")
            for name in METRICS
        ]
        falls = [_falls(facts["falls"][k], facts["walks"][k]) for k in facts["falls"]]
        numbers = [_number(facts[k]) for k in ("r_mean", "r_worst", "rmse_mean_nm_per_kg")]
        rows.append((LABELS[arm], *numbers, *benefit, *falls))
    heads = ["arm", "r", "worst r", "RMSE, Nm/kg"]
    heads += [f"saved: {name}" for name in METRICS.values()]
    return _table([*heads, "falls", "falls beyond training", "falls, changing"], rows)


def _rows(content: Content) -> str:
    rows = [
        (
            row["case"],
            row["kind"],
            LABELS[row["arm"]],
            _falls(row["falls"], row["walks"]),
            _number(row["r"]),
            _number(row["rmse_nm_per_kg"], 4),
            *(_number(row[name]) for name in METRICS),
        )
        for row in content["rows"]
    ]
    heads = ["case", "kind", "arm", "falls", "r", "RMSE, Nm/kg"]
    return _table([*heads, "activation", "joint power, W/kg", "metabolic rate, W/kg"], rows)


def _worse(content: Content) -> str:
    rows = [
        (
            ERRORS.get(row["error"], row["error"]),
            f"{row['value']:g} {row['unit']}" if row["unit"] else "",
            _number(row["r"]),
            _number(row["rmse_nm_per_kg"], 4),
            f"{row['falls']:.0f} in {row['seconds']:.0f} s",
        )
        for row in content["degradation"]
    ]
    return _table(("error", "size", "r", "RMSE, Nm/kg", "falls"), rows)
