"""A comparison as the tables that the terminal shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Console

from osim_exo.cli.command import table
from osim_exo.units import grade_percent

if TYPE_CHECKING:
    from osim_exo.analysis.compare import Comparison

VALUES = ("no_exo", "zero_torque", "assisted")

CHANGES = {
    "mass_penalty_percent": "zero torque vs no exo, %",
    "torque_benefit_percent": "assisted vs zero torque, %",
    "net_percent": "assisted vs no exo, %",
}
"""Columns of changes, each named by what it compares with what."""


def show(console: Console, comparison: Comparison) -> None:
    """Print values and changes for each walk, physics and controller, and what is missing."""
    rows = comparison.table()
    for heading, group in groupby(rows, key=_heading):
        here = list(group)
        arms = [arm for arm in VALUES if any(row[arm] is not None for row in here)]
        names = ("metric", "unit", *(arm.replace("_", " ") for arm in arms))
        console.print(table(names, [_values(row, arms) for row in here], title=heading))
        console.print()
        changes = [row for row in here if row["flags"] or any(row[c] is not None for c in CHANGES)]
        if changes:
            columns = ("metric", *CHANGES.values(), "flags")
            console.print(table(columns, [_changes(row) for row in changes]))
            console.print()
    if rows:
        console.print(_units_sentence(comparison.units, max(row["n"] for row in rows)))
    for line in _missing(comparison.missing):
        console.print(line)


def show_transfer(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what the same policies do in OpenSim and compiled; nothing without rows."""
    if not rows:
        return
    lines = []
    for row in rows:
        limits = (row["ci_low"], row["ci_high"]) if row["ci_low"] is not None else None
        span = f" [{limits[0]:+.2g},{limits[1]:+.2g}]" if limits else ""
        arm = row["condition"] + ("" if row["controller"] == "none" else f" {row['controller']}")
        lines.append(
            (
                arm.replace("_", " "),
                row["quantity"],
                row["unit"],
                f"{row['opensim']:.4g}",
                f"{row['compiled']:.4g}",
                f"{row['difference']:+.2g}{span} {row['difference_unit']}",
                row["n"],
            )
        )
    first = rows[0]
    title = (
        f"From compiled to OpenSim, {first['speed_mps']:g} m/s, {first['slope_deg']:+g} degrees; "
        "difference with 95 % interval over seeds"
    )
    columns = ("arm", "quantity", "unit", "OpenSim", "compiled", "difference", "seeds")
    console.print(table(columns, lines, title=title))
    console.print()


def _heading(row: dict[str, Any]) -> str:
    speed, slope = row["speed_mps"], row["slope_deg"]
    walk = "speed not stated" if speed is None else f"{speed:g} m/s"
    if slope is None:
        walk += ", slope not stated"
    elif slope == 0:
        walk += ", level"
    else:
        walk += f", {slope:+g} degrees ({grade_percent(slope):+.1f} % grade)"
    controller = f", controller {row['controller']}" if row["controller"] else ""
    return f"{walk}, physics {row['physics']}{controller}"


def _values(row: dict[str, Any], arms: Sequence[str]) -> tuple[str, ...]:
    values = ("" if row[arm] is None else f"{row[arm]:.4g}" for arm in arms)
    return (row["metric"], row["unit"], *values)


def _changes(row: dict[str, Any]) -> tuple[str, ...]:
    changes = (_change(row[name], row[f"{name}_ci"]) for name in CHANGES)
    return (row["metric"], *changes, ", ".join(flag.replace("_", " ") for flag in row["flags"]))


def _change(percent: float | None, interval: Sequence[float] | None) -> str:
    if percent is None:
        return ""
    limits = f" [{interval[0]:+.1f},{interval[1]:+.1f}]" if interval else ""
    return f"{percent:+.1f}{limits}"


def _units_sentence(units: str, n: int) -> str:
    if n < 2:
        return "One unit only: no interval and no test can be given."
    if units == "seeds":
        return (
            f"Intervals (95 %) run over up to {n} training seeds of one subject: they say how "
            "repeatable training is, not how people differ."
        )
    return f"Intervals (95 %) run over up to {n} subjects."


def _missing(missing: Sequence[dict[str, Any]]) -> Iterator[str]:
    for entry in missing:
        trials = entry["trials"]
        shown = ", ".join(trials[:3]) + (f" and {len(trials) - 3} more" if len(trials) > 3 else "")
        yield f"Not computed: {entry['what']} ({entry['reason'].rstrip('.')}; trials: {shown})."
