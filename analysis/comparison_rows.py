"""The rows of comparison.json and the paired statistics behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from osim_exo.analysis.cohort import Cell, Cohort, Unit
from osim_exo.analysis.metrics import SAVINGS, Metric
from osim_exo.analysis.statistics import holm, mean_interval, paired

LARGEST_PLAUSIBLE_SAVING = 10.0
"""Savings above this many percent are flagged: simulation tends to promise too much."""

LARGEST_PLAUSIBLE_RATIO = 4.0
"""Metabolic watts saved per watt that the device puts in, above which a result is implausible."""

SMALLEST_EXO_POWER = 1.0
"""Positive power of the device below which an energy ratio means nothing, W."""

Row = dict[str, Any]

_RATIOS = {
    "energy_ratio": "metabolic_rate_bhargava2004",
    "energy_ratio_umberger2010": "metabolic_rate_umberger2010",
}


def metric_rows(cohort: Cohort, seed: int) -> tuple[list[Row], list[Row]]:
    """Rows for every unit and for all units together, and the statistics of the latter."""
    rows: list[Row] = []
    statistics: list[Row] = []
    for cell, units in cohort.cells.items():
        comparators = cohort.comparators(cell)
        for name in _names(list(units.values())):
            if not comparators:
                rows += _own_rows(cohort, cell, name)
            for condition, other in comparators:
                rows += _change_rows(cohort, cell, condition, other, name)
                statistics += _statistics(cohort, cell, condition, other, name, seed)
        for condition, other in comparators:
            if (cell.condition, condition) == ("assisted", "zero_torque"):
                rows += _ratio_rows(cohort, cell, other)
    _correct(statistics)
    _flag_falls(cohort, rows)
    return rows, statistics


def _flag_falls(cohort: Cohort, rows: list[Row]) -> None:
    """Mark rows whose walks, or their comparator's, ended by a fall."""
    fell: set[tuple[Any, ...]] = set()
    for cell, units in cohort.cells.items():
        walk = cell.speed, cell.slope_deg, cell.physics
        for unit in units.values():
            if "fall_share" in unit.metrics and unit.metrics["fall_share"].value > 0.0:
                arms = ((cell.condition, cell.controller), (cell.condition, None))
                fell |= {(*walk, *arm, seed) for arm in arms for seed in (unit.seed, None)}
    for row in rows:
        group = row["group"]
        walk = group["speed_mps"], group["slope_deg"], row["physics"]
        own = (*walk, row["condition"], row["controller"], group["seed"])
        if own in fell or (*walk, row["comparator"], None, group["seed"]) in fell:
            row["flags"].append("walks_fell")


def energy_ratio(unit: Unit, comparator: Unit, rate: str) -> float | None:
    """Metabolic watts saved per positive watt of the device; None below 1 W or without muscles.

    Both are per kilogram of the same body mass, which cancels.
    """
    power, watts = unit.metrics.get("exo_positive_power"), "exo_positive_power_watts"
    if power is None or rate not in unit.metrics or rate not in comparator.metrics:
        return None
    if unit.metrics[watts].value < SMALLEST_EXO_POWER:
        return None
    return (comparator.metrics[rate].value - unit.metrics[rate].value) / power.value


NO_PERCENT = ("exo_", "symmetry_", "fall_share", "seconds_walked", "strides")
"""Metrics that are zero, or nearly so, in one arm, or count: a change in percent says nothing."""


def percent_change(before: float, after: float) -> float | None:
    """Change in percent of the size of the value before; None where that is zero."""
    return 100.0 * (after - before) / abs(before) if before != 0 else None


def _names(units: Sequence[Unit]) -> list[str]:
    return list(dict.fromkeys(name for unit in units for name in unit.metrics))


def _own_rows(cohort: Cohort, cell: Cell, name: str) -> list[Row]:
    having = {k: u for k, u in cohort.cells[cell].items() if name in u.metrics}
    metric = next(iter(having.values())).metrics[name]
    rows = [_row(cell, metric, u, [u.metrics[name].value]) for u in having.values()]
    rows.append(_row(cell, metric, None, [u.metrics[name].value for u in having.values()]))
    return _labelled(cohort, rows)


def _change_rows(cohort: Cohort, cell: Cell, condition: str, other: Cell, name: str) -> list[Row]:
    having = {k: u for k, u in cohort.cells[cell].items() if name in u.metrics}
    metric = next(iter(having.values())).metrics[name]
    before = {
        label: theirs.metrics[name].value
        for label, theirs, _ in cohort.pairs(cell, other)
        if name in theirs.metrics
    }
    changes = {
        label: None
        if name.startswith(NO_PERCENT)
        else percent_change(before[label], unit.metrics[name].value)
        for label, unit in having.items()
        if label in before
    }
    rows = [
        _row(cell, metric, u, [u.metrics[name].value], condition, [changes.get(label)])
        for label, u in having.items()
    ]
    values = [u.metrics[name].value for u in having.values()]
    together = _row(cell, metric, None, values, condition, list(changes.values()))
    if len(changes) < len(having):
        together["flags"].append("unpaired_units_left_out_of_change")
    return _labelled(cohort, [*rows, together])


def _ratio_rows(cohort: Cohort, cell: Cell, other: Cell) -> list[Row]:
    rows: list[Row] = []
    for name, rate in _RATIOS.items():
        found = [(unit, energy_ratio(unit, t, rate)) for _, t, unit in cohort.pairs(cell, other)]
        known = [ratio for _, ratio in found if ratio is not None]
        if not any(rate in unit.metrics for unit, _ in found):
            continue
        own = []
        for unit, ratio in found:
            metric = Metric(name, np.nan, "1")
            own.append(_row(cell, metric, unit, [] if ratio is None else [ratio], "zero_torque"))
        own.append(_row(cell, Metric(name, np.nan, "1"), None, known, "zero_torque"))
        for row in own:
            if row["value"] is not None and row["value"] > LARGEST_PLAUSIBLE_RATIO:
                row["flags"].append("energy_ratio_above_4")
        rows += _labelled(cohort, own)
    return rows


def _row(
    cell: Cell,
    metric: Metric,
    unit: Unit | None,
    values: Sequence[float],
    comparator: str | None = None,
    changes: Sequence[float | None] = (),
) -> Row:
    """One row; `unit` is None for all units together."""
    known = [c for c in changes if c is not None]
    whole = len(known) == len(changes)
    low, high = mean_interval(np.array(values))
    change_low, change_high = mean_interval(np.array(known)) if whole else (None, None)
    change = float(np.mean(known)) if known and whole else None
    flags = []
    saving = change is not None and change < -LARGEST_PLAUSIBLE_SAVING
    if saving and cell.condition == "assisted" and metric.name.startswith(SAVINGS):
        flags.append("saving_above_10_percent")
    return {
        "name": metric.name,
        "unit": metric.unit,
        "normalisation": metric.normalisation,
        "condition": cell.condition,
        "controller": cell.controller,
        "physics": cell.physics,
        "group": {
            "speed_mps": cell.speed,
            "slope_deg": cell.slope_deg,
            "subject": unit.subject if unit else None,
            "seed": unit.seed if unit else None,
        },
        "value": float(np.mean(values)) if len(values) else None,
        "ci_low": low,
        "ci_high": high,
        "n": len(values),
        "comparator": comparator,
        "change_percent": change,
        "change_ci_low": change_low,
        "change_ci_high": change_high,
        "flags": flags,
    }


def _labelled(cohort: Cohort, rows: list[Row]) -> list[Row]:
    """Mark intervals over seeds: they say nothing about other people."""
    for row in rows:
        if cohort.units == "seeds" and row["ci_low"] is not None:
            row["flags"].append("interval_over_seeds")
    return rows


def _statistics(
    cohort: Cohort, cell: Cell, condition: str, other: Cell, name: str, seed: int
) -> list[Row]:
    pairs = [
        (theirs.metrics[name].value, mine.metrics[name].value)
        for _, theirs, mine in cohort.pairs(cell, other)
        if name in theirs.metrics and name in mine.metrics
    ]
    if len(pairs) < 2:
        return []
    before, after = np.array(pairs).T
    if np.array_equal(before, after):
        return []
    result = paired(before, after, seed)
    return [
        {
            **_where(cohort, cell, condition, name),
            "family": name.split("/")[0] + "/*" if "/" in name else name,
            "n": result.n,
            "mean_change": result.mean_change,
            "ci_low": result.ci_low,
            "ci_high": result.ci_high,
            "cohen_dz": result.cohen_dz,
            "hedges_g": result.hedges_g,
            "p_value": result.p_value,
            "p_holm": None,
            "p_smallest": result.p_smallest,
        }
    ]


def _where(cohort: Cohort, cell: Cell, condition: str, name: str) -> Row:
    return {
        "name": name,
        "condition": cell.condition,
        "controller": cell.controller,
        "physics": cell.physics,
        "speed_mps": cell.speed,
        "slope_deg": cell.slope_deg,
        "comparator": condition,
        "units": cohort.units,
    }


def _correct(rows: list[Row]) -> None:
    """Holm correction across the members of a family (muscles, joints) of one comparison."""
    families: dict[tuple[Any, ...], list[Row]] = {}
    keys = ("condition", "controller", "physics", "speed_mps", "slope_deg", "comparator", "family")
    for row in rows:
        families.setdefault(tuple(row[k] for k in keys), []).append(row)
    for members in families.values():
        for row, p in zip(members, holm([m["p_value"] for m in members])):
            row["p_holm"] = p
