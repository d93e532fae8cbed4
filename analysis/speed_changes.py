"""Changes by assistance over walking speed and slope, beside what a published simulation found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osim_exo.analysis.arms import CONTROLLER_LABELS, Walk
from osim_exo.analysis.drawing import INK, MUTED, WIDTH, legend_columns, new_figure, style
from osim_exo.analysis.findings import metric_label
from osim_exo.analysis.plates import Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCE: Mapping[str, float] = {"mean_activation": -3.4, "positive_joint_power": -7.0}
"""Largest changes by a learned hip device on level ground and uphill, in percent, of Park et al.
2026 (arXiv 2603.04166, abstract): a simulation with another model and device."""

COMPARATORS: Mapping[str, tuple[str, str]] = {
    "no_exo": ("#0072b2", "against no exo"),
    "zero_torque": ("#d55e00", "against the worn, unpowered device"),
}

APART = 0.006
"""m/s; by which the points of the two comparators are moved apart, so that both are seen."""

EDGE = 0.1
"""m/s; shown below the slowest and above the fastest walk."""

Row = Mapping[str, Any]


def speed_change_plates(rows: Sequence[Row], physics: str = "opensim") -> Iterator[Drawing]:
    """One figure per assisting controller: activation and joint power over speed, by slope.

    Parameters
    ----------
    rows : of a comparison
    physics : whose rows are drawn
    """
    mine = [
        row
        for row in rows
        if row["condition"] == "assisted"
        and row["physics"] == physics
        and row["group"]["seed"] is None
        and row["group"]["subject"] is None
        and row["name"] in REFERENCE
        and row["change_percent"] is not None
    ]
    for controller in dict.fromkeys(row["controller"] for row in mine):
        own = [row for row in mine if row["controller"] == controller]
        label = CONTROLLER_LABELS.get(controller, controller.replace("_", " "))
        yield Drawing(
            f"speed-changes-{controller.replace('_', '-')}",
            f"Change by assistance over speed ({label})",
            "Mean of the units' own changes; whiskers: 95 % interval of the mean. Dotted: the "
            "largest change that a published simulation of a learned hip device reports for level "
            "ground and uphill (Park et al. 2026, arXiv 2603.04166). It is a reference, not a "
            "goal: model, device and training differ.",
            _figure(own),
        )


def _figure(rows: Sequence[Row]) -> Figure:
    from matplotlib.lines import Line2D

    slopes = sorted({row["group"]["slope_deg"] for row in rows})
    with style():
        figure = new_figure(WIDTH, 2.4 * len(REFERENCE) + 0.5)
        grid = figure.subplots(
            len(REFERENCE), len(slopes), squeeze=False, sharex=True, sharey="row"
        )
        for line, (metric, reference) in zip(grid, REFERENCE.items()):
            for axes, slope in zip(line, slopes):
                here = [r for r in rows if (r["name"], r["group"]["slope_deg"]) == (metric, slope)]
                _panel(axes, here, reference if slope >= 0.0 else None)
            line[0].set_ylabel(f"{metric_label(metric)}, %", fontsize=8)
        for axes, slope in zip(grid[0], slopes):
            axes.set_title(Walk(None, slope).slope_title)
        for axes in grid[-1]:
            axes.set_xlabel("speed, m/s")
        present = {row["comparator"] for row in rows}
        handles = [
            Line2D([], [], color=colour, marker="o", markersize=4.5, label=text)
            for name, (colour, text) in COMPARATORS.items()
            if name in present
        ]
        handles.append(Line2D([], [], color=INK, linestyle=":", label="published reference"))
        columns = legend_columns([str(handle.get_label()) for handle in handles])
        figure.legend(handles=handles, loc="outside upper left", ncols=columns, borderaxespad=0.2)
    return figure


def _panel(axes: Axes, rows: Sequence[Row], reference: float | None) -> None:
    axes.axhline(0.0, color=MUTED, linewidth=1.0)
    if reference is not None:
        axes.axhline(reference, color=INK, linestyle=":", linewidth=1.6)
    for shift, (name, (colour, _)) in zip((-APART, APART), COMPARATORS.items()):
        mine = sorted(
            (row for row in rows if row["comparator"] == name),
            key=lambda row: row["group"]["speed_mps"],
        )
        speeds = [row["group"]["speed_mps"] + shift for row in mine]
        axes.plot(
            speeds, [r["change_percent"] for r in mine], color=colour, marker="o", markersize=4.5
        )
        for speed, row in zip(speeds, mine):
            if row["change_ci_low"] is not None:
                span = (row["change_ci_low"], row["change_ci_high"])
                axes.plot([speed] * 2, span, color=colour, linewidth=1.0)
    walked = sorted({row["group"]["speed_mps"] for row in rows})
    if walked:
        axes.set_xticks(walked)
        axes.set_xlim(walked[0] - EDGE, walked[-1] + EDGE)
