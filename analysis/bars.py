"""Figures of a comparison's numbers: rates by arm, changes with intervals, metrics over walks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osim_exo.analysis.arms import Arm, Walk
from osim_exo.analysis.drawing import INK, MUTED, WIDTH, legend_columns, new_figure, style
from osim_exo.analysis.figures import arm_legend
from osim_exo.trial import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_SLOTS = 7.0
"""Room for this many bars at least, so that a few do not become walls."""


@dataclass(frozen=True)
class Bar:
    """A value with its interval for a bar or a point; the interval is None with one unit."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def whisker(self) -> Array | None:
        """Distances below and above the value, shape (2, 1)."""
        if self.low is None or self.high is None:
            return None
        return np.array([[max(self.value - self.low, 0.0)], [max(self.high - self.value, 0.0)]])


def metabolic_figure(
    rates: Mapping[str, Sequence[tuple[Arm, Bar]]], basal: float | None
) -> Figure | None:
    """Gross metabolic rate by metabolic model and arm, W/kg, the basal part hatched.

    Parameters
    ----------
    rates : by the model's name: arm and gross rate
    basal : basal rate per kilogram of body mass, W/kg, or None where it is not part of the rate
    """
    if not any(rates.values()):
        return None
    with style():
        figure = new_figure(WIDTH, 2.9)
        axes = figure.subplots()
        ticks, labels, seen = [], [], {}
        place = 0.0
        for model, bars in rates.items():
            for arm, bar in bars:
                axes.bar(place, bar.value, 0.82, color=arm.colour)
                if basal is not None:
                    axes.bar(
                        place, basal, 0.82, color=arm.colour, edgecolor="#ffffff", hatch="////"
                    )
                if bar.whisker is not None:
                    axes.errorbar(
                        place, bar.value, bar.whisker, color=INK, capsize=3, linewidth=1.2
                    )
                top = bar.value if bar.high is None else max(bar.high, bar.value)
                axes.annotate(
                    f"{bar.value:.2f}", (place, top), (0, 3), textcoords="offset points",
                    ha="center", color=INK, fontsize=8.5,
                )  # fmt: skip
                seen[arm.key] = arm
                place += 1.0
            ticks.append(place - 0.5 - len(bars) / 2)
            labels.append(model)
            place += 0.9
        axes.set_xticks(ticks, labels, color=INK, fontsize=9)
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel("gross metabolic rate, W/kg")
        axes.margins(y=0.12)
        axes.set_xlim(-0.8, max(place - 0.9, _SLOTS) - 0.2)
        _bar_legend(figure, list(seen.values()), basal)
    return figure


def _bar_legend(figure: Figure, arms: Sequence[Arm], basal: float | None) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=arm.colour, label=arm.label) for arm in arms]
    if basal is not None:
        label = f"basal part, {basal:g} W/kg in every arm"
        handles.append(Patch(facecolor=MUTED, edgecolor="#ffffff", hatch="////", label=label))
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=legend_columns([str(handle.get_label()) for handle in handles]),
        borderaxespad=0.2,
    )


@dataclass(frozen=True)
class Change:
    """Changes of one metric, percent: mass penalty, torque benefit and net."""

    label: str
    parts: Mapping[str, Bar]


PARTS: Mapping[str, tuple[str, str, str]] = {
    "mass penalty": ("#d55e00", "s", "mass penalty (zero torque − no exo)"),
    "torque benefit": ("#009e73", "^", "torque benefit (assisted − zero torque)"),
    "net": ("#0072b2", "o", "net (assisted − no exo)"),
}
"""Colour, marker and legend of the three parts of a change."""


def change_figure(changes: Sequence[Change]) -> Figure | None:
    """Percent change of metrics with intervals, split into mass penalty, torque benefit and net."""
    changes = [change for change in changes if change.parts]
    if not changes:
        return None
    from matplotlib.lines import Line2D

    with style():
        figure = new_figure(WIDTH, 0.55 * len(changes) + 1.1)
        axes = figure.subplots()
        axes.axvline(0.0, color=MUTED, linewidth=1.0)
        for i, change in enumerate(changes):
            for name, shift in zip(PARTS, (0.24, 0.0, -0.24)):
                if name in change.parts:
                    colour, marker, _ = PARTS[name]
                    bar = change.parts[name]
                    axes.errorbar(
                        bar.value, len(changes) - 1 - i + shift, xerr=bar.whisker, color=colour,
                        marker=marker, markersize=6, capsize=2.5, linewidth=1.5,
                    )  # fmt: skip
        axes.set_yticks(
            range(len(changes))[::-1], [c.label for c in changes], color=INK, fontsize=9
        )
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.55, len(changes) - 0.45)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("change, %   (left of zero: less than the comparator)")
        present = {name for change in changes for name in change.parts}
        handles = [
            Line2D([], [], color=c, marker=m, linestyle="none", label=text)
            for name, (c, m, text) in PARTS.items()
            if name in present
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=3, borderaxespad=0.2)
    return figure


def walk_figure(label: str, values: Mapping[Walk, Sequence[tuple[Arm, Bar]]]) -> Figure | None:
    """One metric over walking speed, one plot per slope; None with fewer than two walks.

    Parameters
    ----------
    label : name of the metric with its unit
    values : by walk: arm and value
    """
    known = {w: v for w, v in values.items() if w.speed is not None and v}
    if len(known) < 2:
        return None
    slopes = sorted({walk.slope_deg for walk in known})
    with style():
        figure = new_figure(WIDTH, 2.6)
        grid = figure.subplots(1, len(slopes), squeeze=False, sharey=True)
        seen: dict[str, Arm] = {}
        for axes, slope in zip(grid.flat, slopes):
            walks = sorted((w for w in known if w.slope_deg == slope), key=lambda w: w.speed or 0.0)
            lines: dict[str, list[tuple[float, Bar]]] = {}
            for walk in walks:
                for arm, bar in known[walk]:
                    seen[arm.key] = arm
                    lines.setdefault(arm.key, []).append((walk.speed or 0.0, bar))
            for key, points in lines.items():
                _walk_line(axes, seen[key], points)
            axes.set_title(Walk(None, slope).slope_title)
            axes.set_xlabel("speed, m/s")
            axes.margins(x=0.12)
        grid[0, 0].set_ylabel(label)
        arm_legend(figure, list(seen.values()), band=False, several=False)
    return figure


def _walk_line(axes: Axes, arm: Arm, points: Sequence[tuple[float, Bar]]) -> None:
    speeds = [speed for speed, _ in points]
    axes.plot(
        speeds, [bar.value for _, bar in points], color=arm.colour, linestyle=arm.dashes,
        marker="o", markersize=4.5,
    )  # fmt: skip
    for speed, bar in points:
        if bar.whisker is not None:
            axes.errorbar(speed, bar.value, bar.whisker, color=arm.colour, capsize=2, linewidth=1.0)
