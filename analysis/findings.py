"""The rows of a comparison by metric, arm and kind of change, as a report looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from osim_exo.analysis.arms import Arm, Walk, find_arms, muscle_label, sort_walks
from osim_exo.analysis.bars import Bar, Change

Row = Mapping[str, Any]

METRICS: Mapping[str, tuple[str, int]] = {
    "metabolic_rate_bhargava2004": ("Metabolic rate, gross (Bhargava 2004)", 2),
    "metabolic_rate_bhargava2004_net": ("Metabolic rate, net (Bhargava 2004)", 2),
    "metabolic_rate_umberger2010": ("Metabolic rate, gross (Umberger 2010)", 2),
    "metabolic_rate_umberger2010_net": ("Metabolic rate, net (Umberger 2010)", 2),
    "cost_of_transport": ("Cost of transport, gross (Bhargava 2004)", 2),
    "mean_activation": ("Mean muscle activation", 4),
    "mean_activation_volume_weighted": ("Mean muscle activation, weighted by volume", 4),
    "positive_joint_power": ("Biological positive joint power", 3),
    "mean_trunk_moment": ("Mean trunk moment, absolute", 3),
    "exo_positive_power": ("Exo positive power", 3),
    "exo_peak_torque": ("Exo peak torque", 2),
    "energy_ratio": ("Energy ratio", 2),
    "walking_speed": ("Walking speed", 3),
    "cadence": ("Cadence", 1),
    "stride_length": ("Stride length", 3),
    "stance_percent": ("Stance", 1),
    "grf_peak1_bw": ("First vertical force peak", 2),
}
"""Metrics of the first table, in their order: label and decimals. Others follow in a second one."""

HEADLINE = (
    "metabolic_rate_bhargava2004",
    "metabolic_rate_umberger2010",
    "cost_of_transport",
    "mean_activation",
    "positive_joint_power",
)
"""Metrics whose changes are drawn."""

CHANGES: Mapping[str, tuple[str, str]] = {
    "mass penalty": ("zero_torque", "no_exo"),
    "torque benefit": ("assisted", "zero_torque"),
    "net": ("assisted", "no_exo"),
}
"""Condition and comparator of the three parts of a change."""

DEVICE = ("exo_", "energy_ratio")
"""How the names of the device's own metrics start."""

LARGE_SAVING = 10.0
"""Percent; a larger saving in simulation is a reason to doubt it."""

LARGE_RATIO = 4.0
"""Metabolic watts saved per exo positive watt; more is implausible."""


def row_walk(row: Row) -> Walk:
    """The walk that a row of a comparison belongs to."""
    return Walk.of(row["group"].get("speed_mps"), row["group"].get("slope_deg"))


def pooled(rows: Iterable[Row]) -> list[Row]:
    """Rows of all units together."""
    return [row for row in rows if row["group"]["subject"] is None and row["group"]["seed"] is None]


def value_bar(row: Row) -> Bar:
    """A row's value with its interval."""
    return Bar(row["value"], row["ci_low"], row["ci_high"])


def change_bar(row: Row) -> Bar:
    """A row's change in percent with its interval."""
    return Bar(row["change_percent"], row["change_ci_low"], row["change_ci_high"])


def signed(value: float, decimals: int = 1) -> str:
    """A number with its sign, a true minus and no negative zero."""
    text = f"{abs(value):.{decimals}f}"
    zero = float(text) == 0.0
    return text if zero else ("+" if value > 0 else "−") + text


def interval(bar: Bar, decimals: int = 1) -> str:
    """The interval in words, or an empty text where there is none."""
    if bar.low is None or bar.high is None:
        return ""
    return f"{signed(bar.low, decimals)} to {signed(bar.high, decimals)}"


class Findings:
    """The rows of one walk, found by metric, arm and part.

    Parameters
    ----------
    rows : rows of a comparison (`osim_exo.analysis.compare`)
    walk : the walk to look at
    """

    def __init__(self, rows: Iterable[Row], walk: Walk) -> None:
        self.walk = walk
        self.rows = [row for row in pooled(rows) if row_walk(row) == walk]
        self.arms = find_arms(
            (row["condition"], row["controller"], row["physics"]) for row in self.rows
        )

    @property
    def metrics(self) -> list[str]:
        """Metric names, those of `METRICS` first; the device's own only where one is worn."""
        worn = any(arm.condition != "no_exo" for arm in self.arms)
        names = dict.fromkeys(
            row["name"] for row in self.rows if worn or not row["name"].startswith(DEVICE)
        )
        return [n for n in METRICS if n in names] + [n for n in names if n not in METRICS]

    @property
    def units(self) -> int:
        """The largest number of independent units behind a row."""
        return max((int(row["n"]) for row in self.rows), default=0)

    def value(self, metric: str, arm: Arm) -> Row | None:
        """A row that holds the metric's value in an arm."""
        rows = [r for r in self.rows if r["name"] == metric and arm.matches(r)]
        return next((row for row in rows if row["value"] is not None), None)

    def change(self, metric: str, part: str, arm: Arm | None = None) -> Row | None:
        """The row of one part of a metric's change.

        Parameters
        ----------
        part : ``mass penalty``, ``torque benefit`` or ``net``
        arm : which assisted arm, where there are several; the first by default
        """
        condition, comparator = CHANGES[part]
        for row in self.rows:
            fits = (row["name"], row["condition"], row["comparator"]) == (
                metric,
                condition,
                comparator,
            )
            own = arm is None or (row["physics"] == arm.physics and arm.condition != condition)
            if fits and row["change_percent"] is not None and (own or arm and arm.matches(row)):
                return row
        return None

    def changes(self, arm: Arm | None = None) -> list[Change]:
        """Changes of the headline metrics, for the figure."""
        out = []
        for metric in HEADLINE:
            rows = {part: self.change(metric, part, arm) for part in CHANGES}
            parts = {part: change_bar(row) for part, row in rows.items() if row}
            out.append(Change(METRICS[metric][0], parts))
        return [change for change in out if change.parts]

    def assisted(self) -> list[Arm]:
        """Arms with assistance."""
        return [arm for arm in self.arms if arm.condition == "assisted"]


def walks_of_rows(rows: Iterable[Row]) -> tuple[Walk, ...]:
    """Every walk that a comparison covers."""
    return sort_walks(row_walk(row) for row in rows)


def metric_label(name: str) -> str:
    """Words for a metric's stable name."""
    if name in METRICS:
        return METRICS[name][0]
    whole, _, part = name.partition("/")
    label = METRICS[whole][0] if whole in METRICS else whole.replace("_", " ").capitalize()
    return f"{label}: {muscle_label(part)}" if part else label
