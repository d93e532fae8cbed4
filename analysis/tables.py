"""The comparison tables of a report: a column per arm, the change in three parts, the flags."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from osim_exo.analysis.arms import Arm
from osim_exo.analysis.bars import Bar
from osim_exo.analysis.findings import (
    CHANGES,
    DEVICE,
    METRICS,
    Findings,
    Row,
    change_bar,
    metric_label,
    signed,
    value_bar,
)

NOTHING = "–"
"""What stands where there is no number."""

_KNOWN = ("interval_over_seeds",)
"""Flags that hold for every row; the page says them once."""

_FLAGS: Mapping[str, str] = {
    "saving_above_10_percent": "saving above 10 %",
    "energy_ratio_above_4": "energy ratio above 4",
    "unpaired_units_left_out_of_change": "change over paired units only",
    "walks_fell": "some walks fell",
}


@dataclass(frozen=True)
class Cell:
    """A table cell: a number as text and what stands small under it."""

    text: str
    small: str = ""
    marked: bool = False


@dataclass(frozen=True)
class TableRow:
    """One metric: cells per arm, cells per part of the change, flags."""

    label: str
    unit: str
    values: tuple[Cell, ...]
    changes: tuple[Cell, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Comparison of one assisted arm with the others of its walk.

    Attributes
    ----------
    arms : columns of values
    rows : metrics of `osim_exo.analysis.findings.METRICS`
    further : all other metrics
    """

    title: str
    caption: str
    arms: tuple[Arm, ...]
    rows: tuple[TableRow, ...]
    further: tuple[TableRow, ...]

    @property
    def changed(self) -> bool:
        """Whether any change is known; without one its columns need not be shown."""
        rows = (*self.rows, *self.further)
        return any(cell.text != NOTHING for row in rows for cell in row.changes)


def decimals_of(name: str, value: float) -> int:
    """Decimals to print of a metric's value: four figures at most."""
    if name in METRICS:
        return METRICS[name][1]
    return 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3


def plain(value: float, decimals: int) -> str:
    """A number with a true minus."""
    return f"{value:.{decimals}f}".replace("-", "−")


def brackets(bar: Bar, decimals: int, write: Callable[[float, int], str]) -> str:
    """The interval as ``[low, high]``; empty without one, and where it prints as a point."""
    if bar.low is None or bar.high is None:
        return ""
    low, high = write(bar.low, decimals), write(bar.high, decimals)
    return f"[{low}, {high}]" if low != high else ""


def _unit_words(row: Row) -> str:
    if row["unit"] != "1":
        return str(row["unit"])
    return "0 to 1" if row["normalisation"] == "maximum" else ""


def _value_cell(name: str, row: Row | None) -> Cell:
    if row is None:
        return Cell(NOTHING)
    places = decimals_of(name, row["value"])
    bar = value_bar(row)
    return Cell(plain(bar.value, places), brackets(bar, places, plain))


def _change_cell(row: Row | None) -> Cell:
    if row is None:
        return Cell(NOTHING)
    bar = change_bar(row)
    marked = "saving_above_10_percent" in row["flags"]
    return Cell(f"{signed(bar.value)} %", brackets(bar, 1, signed), marked)


def _row(findings: Findings, name: str, arms: Sequence[Arm], arm: Arm | None) -> TableRow | None:
    values = [findings.value(name, a) for a in arms]
    found = [value for value in values if value is not None]
    if not found:
        return None
    # The device's own numbers start from nothing: a percentage of that says nothing.
    own = name.startswith(DEVICE)
    changes = [None if own else findings.change(name, part, arm) for part in CHANGES]
    shown = [row for row in [*found, *changes] if row]
    flags = dict.fromkeys(f for row in shown for f in row["flags"] if f not in _KNOWN)
    return TableRow(
        metric_label(name),
        _unit_words(found[0]),
        tuple(_value_cell(name, value) for value in values),
        tuple(_change_cell(change) for change in changes),
        tuple(flag_words(flag) for flag in flags),
    )


def _caption(n: int, changed: bool) -> str:
    spread = (
        f"Mean over n = {n}; small numbers are 95 % intervals." if n > 1 else "n = 1: no intervals."
    )
    text = f"{spread} Rates per kilogram of body mass without the device."
    if not changed:
        return text
    return f"{text} Changes in percent of the comparator, mean of the units' own changes."


def tables(findings: Findings) -> Iterator[Table]:
    """One table per assisted arm; one of everything where there is none."""
    assisted = findings.assisted()
    shown: Sequence[Arm | None] = assisted or [None]
    for arm in shown:
        arms = [a for a in findings.arms if arm is None or _belongs(a, arm)]
        rows = {name: _row(findings, name, arms, arm) for name in findings.metrics}
        known = {name: row for name, row in rows.items() if row}
        first = tuple(row for name, row in known.items() if name in METRICS)
        further = tuple(row for name, row in known.items() if name not in METRICS)
        title = f"Comparison, {arm.label}" if arm and len(assisted) > 1 else "Comparison"
        made = Table(title, "", tuple(arms), first, further)
        if known:
            yield replace(made, caption=_caption(findings.units, made.changed))


def _belongs(other: Arm, arm: Arm) -> bool:
    """Whether an arm is a column in the table of an assisted arm."""
    return other == arm or (other.condition != "assisted" and other.physics == arm.physics)


def flag_words(flag: str) -> str:
    """A flag of a comparison in plain words."""
    return _FLAGS.get(flag, flag.replace("_", " "))
