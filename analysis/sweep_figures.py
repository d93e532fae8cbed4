"""Figures of sweeps: shares over a parameter, one number over two settings, arms over levels."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osim_exo.analysis.drawing import INK, MUTED, new_figure, style
from osim_exo.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d5663")
"""Of series, told apart by people with any colour vision (Okabe & Ito 2008)."""

MARKS = ("o", "s", "^", "D", "v", "P", "X")

COLUMNS = 3


def save(figure: Figure, path: Path, dpi: int = 130) -> Path:
    """Write a figure as PNG on white, whole or not at all."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return write_bytes(path, buffer.getvalue())


def panels(count: int, height: float = 2.3) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels in rows of three; use within `style`."""
    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    figure = new_figure(3.2 * columns + 0.4, height * rows + 0.7)
    grid = figure.subplots(rows, columns, squeeze=False)
    every = [axes for line in grid for axes in line]
    for axes in every[count:]:
        axes.set_visible(False)
    return figure, every[:count]


def share_figure(
    rows: Sequence[Mapping[str, Any]], labels: Mapping[str, tuple[str, str]], title: str
) -> Figure:
    """Shares of falls with their intervals: a panel per parameter, a line per walker.

    Parameters
    ----------
    rows : with ``walker``, ``parameter``, ``value``, ``share``, ``ci_low`` and ``ci_high``
    labels : words and unit by parameter
    title : of the figure
    """
    parameters = list(dict.fromkeys(row["parameter"] for row in rows))
    walkers = list(dict.fromkeys(row["walker"] for row in rows))
    with style():
        figure, every = panels(len(parameters))
        for axes, parameter in zip(every, parameters):
            words, unit = labels[parameter]
            axes.set_title(words[:1].upper() + words[1:])
            axes.set_xlabel("times the model's" if unit == "1" else unit)
            axes.set_ylim(-3.0, 103.0)
            for number, walker in enumerate(walkers):
                own = [r for r in rows if r["parameter"] == parameter and r["walker"] == walker]
                own.sort(key=lambda row: float(row["value"]))
                colour = COLOURS[number % len(COLOURS)]
                values = [row["value"] for row in own]
                low, high = ([100 * row[end] for row in own] for end in ("ci_low", "ci_high"))
                axes.fill_between(values, low, high, color=colour, alpha=0.2, linewidth=0)
                mark = MARKS[number % len(MARKS)]
                shares = [100 * row["share"] for row in own]
                axes.plot(values, shares, color=colour, marker=mark, markersize=4, label=walker)
        for axes in every[::COLUMNS]:
            axes.set_ylabel("fell, %")
        heading(figure, title)
        if len(walkers) > 1:
            handles, names = every[0].get_legend_handles_labels()
            figure.legend(handles, names, loc="outside lower center", ncols=min(3, len(walkers)))
    return figure


def heading(figure: Figure, title: str) -> None:
    """Title above all panels, at the left."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK)


def map_figure(
    cells: Sequence[tuple[float, float, float | None]], labels: tuple[str, str, str], title: str
) -> Figure:
    """One number over two settings, as coloured cells with their numbers.

    Parameters
    ----------
    cells : x, y and value; None where there is none
    labels : of x, y and the value
    title : of the figure
    """
    xs, ys = sorted({cell[0] for cell in cells}), sorted({cell[1] for cell in cells})
    known = [cell[2] for cell in cells if cell[2] is not None]
    bound = max((abs(value) for value in known), default=1.0) or 1.0
    with style():
        figure = new_figure(1.1 * len(xs) + 2.6, 0.62 * len(ys) + 1.6)
        axes = figure.subplots()
        axes.grid(False)
        for x, y, value in cells:
            column, line = xs.index(x), ys.index(y)
            shade = "#f2f3f5" if value is None else _shade(value / bound)
            axes.add_patch(_square(column, line, shade))
            text = "–" if value is None else f"{value:+.1f}"
            axes.text(column, line, text, ha="center", va="center", color=INK, fontsize=9)
        axes.set_xlim(-0.5, len(xs) - 0.5)
        axes.set_ylim(-0.5, len(ys) - 0.5)
        axes.set_xticks(range(len(xs)), [f"{x:g}" for x in xs])
        axes.set_yticks(range(len(ys)), [f"{y:g}" for y in ys])
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.set_title(labels[2], color=MUTED, fontweight="normal")
        heading(figure, title)
    return figure


def _shade(share: float) -> tuple[float, float, float]:
    """Green-blue below zero, orange above, paler near it."""
    end = (0.0, 0.45, 0.70) if share < 0 else (0.84, 0.37, 0.0)
    weight = 0.75 * min(abs(share), 1.0)
    red, green, blue = (1.0 - weight + weight * part for part in end)
    return red, green, blue


def _square(column: int, line: int, colour: str | tuple[float, float, float]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.48, line - 0.48), 0.96, 0.96, facecolor=colour, edgecolor="none")


def level_figure(
    rows: Sequence[Mapping[str, Any]],
    panels_of: Sequence[tuple[str, str]],
    axis: tuple[str, str],
    title: str,
) -> Figure:
    """Arms over levels: a panel per quantity, a line per arm, a dot per seed.

    Parameters
    ----------
    rows : with ``arm``, the level under ``axis[0]``, and quantities; None where there is none
    panels_of : name of a quantity in the rows, and its words with unit
    axis : name of the level in the rows, and its words
    title : of the figure
    """
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    with style():
        figure, every = panels(len(panels_of))
        for axes, (name, words) in zip(every, panels_of):
            axes.set_title(words)
            axes.set_xlabel(axis[1])
            for number, arm in enumerate(arms):
                own = [r for r in rows if r["arm"] == arm and r.get(name) is not None]
                levels = sorted({row[axis[0]] for row in own})
                means = []
                for level in levels:
                    found = [row[name] for row in own if row[axis[0]] == level]
                    means.append(sum(found) / len(found))
                colour, mark = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
                axes.plot(
                    [row[axis[0]] for row in own],
                    [row[name] for row in own],
                    linestyle="none",
                    marker=mark,
                    markersize=3,
                    color=colour,
                    alpha=0.5,
                )
                axes.plot(levels, means, color=colour, marker=mark, markersize=5, label=arm)
        heading(figure, title)
        handles, names = every[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(4, len(arms)))
    return figure


def curve_figure(
    curves: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    labels: tuple[str, str],
    title: str,
) -> Figure:
    """Curves of several kinds, each run a line, each kind a colour.

    Parameters
    ----------
    curves : kind, x and y of every run
    labels : of x and y
    title : of the figure
    """
    kinds = list(dict.fromkeys(curve[0] for curve in curves))
    with style():
        figure = new_figure(6.4, 3.6)
        axes = figure.subplots()
        for kind, x, y in curves:
            number = kinds.index(kind)
            known = axes.get_legend_handles_labels()[1]
            label = "_" if kind in known else kind
            line = ("-", "--", ":", "-.")[number % 4]
            axes.plot(x, y, line, color=COLOURS[number % len(COLOURS)], label=label, linewidth=1.3)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.legend(loc="best")
        heading(figure, title)
    return figure
