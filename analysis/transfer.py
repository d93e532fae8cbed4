"""From the compiled model to OpenSim: what the same policies do in both, with intervals."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from osim_exo.analysis.cohort import Cell, Cohort, Unit
from osim_exo.analysis.statistics import mean_interval
from osim_exo.files import write_json, write_text

SHARES = (
    "mean_activation",
    "positive_joint_power",
    "metabolic_rate_bhargava2004",
    "metabolic_rate_umberger2010",
    "walking_speed",
    "cadence",
    "grf_peak1_bw",
    "exo_positive_power",
    "exo_rms_torque",
)
"""Metrics whose difference is told in percent of the compiled value."""

TORQUE = "exo_torque/hip_flexion"
"""Curve of the device's torque over the gait cycle."""

Row = dict[str, Any]


def transfer_rows(cohort: Cohort) -> list[Row]:
    """One row per walk, arm and quantity that OpenSim and the compiled model both have.

    Keys: ``speed_mps, slope_deg, condition, controller, quantity, unit, n, opensim, compiled``
    (means over units), ``difference`` (mean over units; percent of the compiled value, but s and
    Nm for ``seconds_walked`` and ``torque_profile_rms``, which is the root mean square difference
    of the mean profiles) with ``ci_low`` and ``ci_high`` (95 % over units, None for one).

    Parameters
    ----------
    cohort : with cells of both physics
    """
    rows: list[Row] = []
    for cell in cohort.cells:
        twin = Cell(cell.speed, cell.slope_deg, "compiled", cell.condition, cell.controller)
        if cell.physics != "opensim" or twin not in cohort.cells:
            continue
        here, there = cohort.cells[cell], cohort.cells[twin]
        both = [(unit, there[label]) for label, unit in here.items() if label in there]
        rows += [row for row in _rows(cell, both) if row["n"]]
    return rows


def _rows(cell: Cell, both: Sequence[tuple[Unit, Unit]]) -> list[Row]:
    rows = [_row(cell, "seconds_walked", "s", _values(both, "seconds_walked"), relative=False)]
    for name in SHARES:
        values = _values(both, name)
        unit = next((a.metrics[name].unit for a, _ in both if name in a.metrics), "")
        if values and not any(compiled == 0.0 for _, compiled in values):
            rows.append(_row(cell, name, unit, values, relative=True))
    curves = [(a.curves[TORQUE], b.curves[TORQUE]) for a, b in both if TORQUE in a.curves]
    if curves:
        apart = [float(np.sqrt(np.mean((a - b) ** 2))) for a, b in curves]
        sizes = [tuple(float(np.sqrt(np.mean(c**2))) for c in pair) for pair in curves]
        row = _row(cell, "torque_profile_rms", "Nm", sizes, relative=False)
        low, high = mean_interval(np.array(apart))
        rows.append(row | {"difference": float(np.mean(apart)), "ci_low": low, "ci_high": high})
    return rows


def _values(both: Sequence[tuple[Unit, Unit]], name: str) -> list[tuple[float, float]]:
    return [
        (a.metrics[name].value, b.metrics[name].value)
        for a, b in both
        if name in a.metrics and name in b.metrics
    ]


def _row(
    cell: Cell, name: str, unit: str, values: Sequence[tuple[float, ...]], relative: bool
) -> Row:
    pairs = np.array(values, dtype=float).reshape(-1, 2)
    apart = pairs[:, 0] - pairs[:, 1]
    if relative:
        apart = 100.0 * apart / np.abs(pairs[:, 1])
    low, high = mean_interval(apart)
    mean = [float(x) for x in pairs.mean(axis=0)] if len(pairs) else [None, None]
    return {
        "speed_mps": cell.speed,
        "slope_deg": cell.slope_deg,
        "condition": cell.condition,
        "controller": cell.controller,
        "quantity": name,
        "unit": unit,
        "n": len(pairs),
        "opensim": mean[0],
        "compiled": mean[1],
        "difference": float(apart.mean()) if len(pairs) else None,
        "difference_unit": "%" if relative else unit,
        "ci_low": low,
        "ci_high": high,
    }


def write_transfer(folder: Path, rows: Sequence[Row]) -> None:
    """Write ``transfer.json`` and ``transfer.csv``; nothing where there is no row."""
    if not rows:
        return
    write_json(folder / "transfer.json", {"schema_version": 1, "rows": list(rows)})
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "transfer.csv", text.getvalue())
