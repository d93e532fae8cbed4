"""Figures over the gait cycle: curves of every arm beside human bands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from osim_exo.analysis.arm_curves import ArmCurves
from osim_exo.analysis.arms import Arm, muscle_label
from osim_exo.analysis.drawing import BAND, MUTED, WIDTH, legend_columns, new_figure, style
from osim_exo.trial import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERCENT: Array = np.linspace(0.0, 100.0, 101)


@dataclass(frozen=True)
class Panel:
    """One small plot over the gait cycle: what it shows and the words around it."""

    quantity: str
    title: str
    unit: str


@dataclass(frozen=True)
class Mark:
    """A stretch of the gait cycle where two arms differ, %; `row` counts from the top."""

    start_percent: float
    end_percent: float
    colour: str
    row: int


JOINT_PANELS: tuple[Panel, ...] = (
    Panel("hip_flexion", "Hip flexion", "deg"),
    Panel("knee_flexion", "Knee flexion", "deg"),
    Panel("ankle_dorsiflexion", "Ankle dorsiflexion", "deg"),
    Panel("hip_extension_moment", "Hip extension moment", "Nm/kg"),
    Panel("knee_extension_moment", "Knee extension moment", "Nm/kg"),
    Panel("ankle_plantarflexion_moment", "Ankle plantarflexion moment", "Nm/kg"),
    Panel("hip_power", "Hip power, generated +", "W/kg"),
    Panel("knee_power", "Knee power, generated +", "W/kg"),
    Panel("ankle_power", "Ankle power, generated +", "W/kg"),
)
FORCE_PANELS: tuple[Panel, ...] = (
    Panel("grf_vertical", "Vertical ground force", "body weights"),
    Panel("grf_anterior", "Fore-aft ground force, forward +", "body weights"),
    Panel("pelvis_anterior_tilt", "Pelvis anterior tilt", "deg"),
)


def _frame(axes: Axes, panel_title: str, unit: str, last_row: bool) -> None:
    axes.set_title(panel_title)
    axes.set_ylabel(unit)
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 20, 40, 60, 80, 100])
    axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    if last_row:
        axes.set_xlabel("gait cycle, % from right heel strike")
    else:
        axes.tick_params(labelbottom=False)


def _draw_band(axes: Axes, band: tuple[Array, Array]) -> None:
    mean, sd = band
    at = slice(None, None, 2)
    for width, alpha in ((2.0, 0.28), (1.0, 0.42)):
        low, high = mean - width * sd, mean + width * sd
        axes.fill_between(PERCENT[at], low[at], high[at], color=BAND, alpha=alpha, linewidth=0)
    axes.plot(PERCENT[at], mean[at], color=BAND, linewidth=1.0, zorder=2)


def _draw_lines(axes: Axes, arm: Arm, curves: Array, width: float, each: bool) -> None:
    """Mean of the units as a strong line and, if wanted, each of them as a faint one."""
    if each and len(curves) > 1:
        for curve in curves:
            axes.plot(PERCENT[::4], curve[::4], color=arm.colour, linewidth=0.6, alpha=0.35)
    axes.plot(
        PERCENT, curves.mean(axis=0), color=arm.colour, linestyle=arm.dashes, linewidth=width,
        zorder=3,
    )  # fmt: skip


def arm_legend(figure: Figure, arms: Sequence[Arm], band: bool, several: bool) -> None:
    """One legend above all plots: arms, and what else is drawn."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Line2D([], [], color=arm.colour, linestyle=arm.dashes, label=arm.label) for arm in arms
    ]
    if several:
        handles.append(
            Line2D([], [], color=MUTED, linewidth=0.6, alpha=0.6, label="each subject or seed")
        )
    if band:
        handles.append(Patch(color=BAND, alpha=0.7, linewidth=0, label="human mean ± 1 and 2 SD"))
    columns = legend_columns([handle.get_label() for handle in handles])
    figure.legend(
        handles=handles, loc="outside upper left", ncols=columns, handlelength=2.4,
        columnspacing=1.8, borderaxespad=0.2,
    )  # fmt: skip


def _draw_marks(axes: Axes, marks: Sequence[Mark]) -> None:
    """Bars along the upper edge; one that runs over heel strike has two pieces."""
    for mark in marks:
        start, end = mark.start_percent, mark.end_percent
        pieces = [(start, end)] if start <= end else [(start, 100.0), (0.0, end)]
        for left, right in pieces:
            axes.plot(
                [left, right], [1.0 - 0.035 * mark.row] * 2, transform=axes.get_xaxis_transform(),
                color=mark.colour, linewidth=2.6, solid_capstyle="butt", clip_on=False,
            )  # fmt: skip


def _widths(count: int) -> list[float]:
    """Line widths that fall from arm to arm, so that lines under one another stay visible."""
    return [2.0] if count == 1 else [float(width) for width in np.linspace(2.9, 1.4, count)]


def _grid(count: int, columns: int) -> tuple[int, int]:
    return -(-count // columns), min(columns, count)


def cycle_figure(
    panels: Sequence[Panel],
    curves: Sequence[ArmCurves],
    bands: Mapping[str, tuple[Array, Array]] | None = None,
    *,
    columns: int = 3,
    row_height: float = 1.75,
    floor: float | None = None,
    marks: Mapping[str, Sequence[Mark]] | None = None,
    each: bool = True,
) -> Figure | None:
    """Small plots over the gait cycle, one line per arm; None where no panel has data.

    Parameters
    ----------
    panels : what to show; panels without data in any arm are left out
    curves : by arm; see `osim_exo.analysis.arm_curves`
    bands : human mean and standard deviation by quantity, (101,) arrays
    columns : plots side by side
    row_height : inches
    floor : lower limit of every plot, where the quantity has one
    marks : stretches of the cycle where arms differ, by quantity
    each : draw every unit as a faint line beside the mean
    """
    shown = [p for p in panels if any(p.quantity in c.curves for c in curves)]
    if not shown:
        return None
    bands = bands or {}
    rows, columns = _grid(len(shown), columns)
    with style():
        figure = new_figure(WIDTH, row_height * rows + 0.55)
        grid = figure.subplots(rows, columns, squeeze=False)
        for i, axes in enumerate(grid.flat):
            if i >= len(shown):
                axes.remove()
                continue
            panel = shown[i]
            _frame(axes, panel.title, panel.unit, i + columns >= len(shown))
            if panel.quantity in bands:
                _draw_band(axes, bands[panel.quantity])
            for entry, width in zip(curves, _widths(len(curves))):
                if panel.quantity in entry.curves:
                    _draw_lines(axes, entry.arm, entry.curves[panel.quantity], width, each)
                    if np.isfinite(entry.stance):
                        axes.axvline(
                            entry.stance, color=entry.arm.colour, linewidth=0.7, linestyle=":"
                        )
            if floor is not None:
                axes.set_ylim(bottom=floor)
            _draw_marks(axes, (marks or {}).get(panel.quantity, ()))
        several = each and any(len(entry.units) > 1 for entry in curves)
        drawn = any(p.quantity in bands for p in shown)
        arm_legend(figure, [entry.arm for entry in curves], drawn, several)
    return figure


def muscle_figure(
    curves: Sequence[ArmCurves],
    *,
    marks: Mapping[str, Sequence[Mark]] | None = None,
    each: bool = True,
) -> Figure | None:
    """Activation of every muscle of the right leg over its gait cycle, by arm."""
    names = dict.fromkeys(
        n for entry in curves for n in entry.curves if n.startswith("activation/")
    )
    panels = [Panel(n, muscle_label(n.split("/")[1]).capitalize(), "activation") for n in names]
    columns = 3 if len(panels) <= 12 else 6
    return cycle_figure(
        panels, curves, columns=columns, row_height=1.45 if columns == 3 else 1.2, floor=0.0,
        marks=marks, each=each,
    )  # fmt: skip


def exo_figure(curves: Sequence[ArmCurves], *, each: bool = True) -> Figure | None:
    """Exo torque (Nm and Nm/kg) and power (W/kg) of the right side over the gait cycle, by arm."""
    worn = [
        dataclasses.replace(
            entry, curves={k: v for k, v in entry.curves.items() if k.startswith("exo_")}
        )
        for entry in curves
    ]
    worn = [entry for entry in worn if entry.curves]
    joints = dict.fromkeys(k.split("/")[1] for entry in worn for k in entry.curves)
    panels = []
    for joint in joints:
        plus = {"hip": "flexion +", "ankle": "dorsiflexion +"}.get(
            joint, "positive as the coordinate"
        )
        title = f"{joint.capitalize()} torque, {plus}"
        panels += [
            Panel(f"exo_torque/{joint}", title, "Nm"),
            Panel(f"exo_torque_per_kg/{joint}", title, "Nm/kg"),
            Panel(f"exo_power/{joint}", f"{joint.capitalize()} power, given to the body +", "W/kg"),
        ]
    return cycle_figure(panels, worn, row_height=2.2, each=each)
