"""Tables of how human a walk is: curves beside people's, single numbers, trends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from osim_exo.cli.command import table

if TYPE_CHECKING:
    from osim_exo.analysis.gates import Gate
    from osim_exo.analysis.trends import Trend

HEADS = {"speed": "m/s", "slope": "°"}


def show_realism(console: Console, human: Mapping[str, Mapping[str, float]]) -> None:
    """Per physics curves beside people's, then the numbers that have no curve.

    Parameters
    ----------
    console : to print on
    human : of `osim_exo.analysis.realism.mean_realism`, by physics
    """
    for physics, found in human.items():
        if found:
            console.print(_bands(physics, found))
            console.print(_muscles(physics, found))
    names = dict.fromkeys(n for found in human.values() for n in found if "/" not in n)
    lines = [
        (name.replace("_", " "), *(_number(found.get(name)) for found in human.values()))
        for name in names
    ]
    if lines:
        console.print(table(("gait", *human), lines))


def _bands(physics: str, found: Mapping[str, float]) -> Any:
    from osim_exo.analysis.normative import QUANTITIES
    from osim_exo.analysis.realism import COMPARED

    lines = []
    for name in ("angles", *COMPARED):
        if f"{name}/within_1_sd" in found:
            label = "mean of the three angles" if name == "angles" else name.replace("_", " ")
            shares = [f"{100 * found[f'{name}/within_{k}_sd']:.0f}" for k in (1, 2)]
            single = [_number(found.get(f"{name}/{part}")) for part in ("rms", "correlation")]
            lines.append((label, *shares, *single, QUANTITIES.get(name, "")))
    heads = (f"{physics}, against people", "% in 1 SD", "% in 2 SD", "RMS", "r", "unit of RMS")
    return table(heads, lines)


def _muscles(physics: str, found: Mapping[str, float]) -> Any:
    from osim_exo.analysis.normative import MUSCLES

    lines = [
        (
            name.removeprefix("emg_").replace("_", " "),
            _number(found[f"{name}/correlation"]),
            f"{found[f'{name}/lag_percent']:+.0f}",
        )
        for name in MUSCLES
        if f"{name}/correlation" in found
    ]
    return table((f"{physics}, against EMG", "r", "later by, % of cycle"), lines)


def show_gates(console: Console, gates: Mapping[str, Sequence[Gate]]) -> None:
    """Per physics what is demanded, and whether the walk meets it.

    Parameters
    ----------
    console : to print on
    gates : of `osim_exo.analysis.realism.realism_gates`, by physics
    """
    for physics, own in gates.items():
        lines = [
            (
                gate.name,
                f"{gate.value:.3g}",
                gate.limit,
                "–" if gate.informative else "yes" if gate.passed else "no",
            )
            for gate in own
        ]
        if lines:
            console.print(table((f"{physics}, gate", "value", "allowed", "met"), lines))


def trend_rows(trends: Sequence[Trend]) -> list[dict[str, Any]]:
    """Trends as plain fields, with their slope and whether they hold."""
    return [{**asdict(trend), "slope": trend.slope, "holds": trend.holds} for trend in trends]


def show_trends(console: Console, trends: Sequence[Trend], falls: int) -> None:
    """A table over speed and one over slope.

    Parameters
    ----------
    console : to print on
    trends : of `osim_exo.learn.trends.walked_trends`
    falls : of its walks
    """
    for over, unit in HEADS.items():
        own = [trend for trend in trends if trend.over == over]
        if not own:
            continue
        lines = [
            (
                f"{trend.name}, {trend.unit}",
                *map(_number, trend.values),
                _people(trend),
                "yes" if trend.holds else "no",
            )
            for trend in own
        ]
        heads = [f"{x:g}{unit}" if unit == "°" else f"{x:g} {unit}" for x in own[0].at]
        console.print(table((f"over {over}", *heads, "people", "as people"), lines))
    held = sum(trend.holds for trend in trends)
    console.print(f"{held} of {len(trends)} change as people's do; {falls} walks fell")


def _people(trend: Trend) -> str:
    if not trend.people:
        return "rises" if trend.rises else "falls"
    return f"{_number(trend.people[0])} to {_number(trend.people[-1])}"


def _number(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.3g}"
