"""The tests of a comparison in a report: table rows, marks on curves, and sentences about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from osim_exo.analysis.arms import CONDITION_LABELS, CONTROLLER_LABELS, Walk
from osim_exo.analysis.figures import Mark
from osim_exo.analysis.findings import METRICS, metric_label

if TYPE_CHECKING:
    from osim_exo.analysis.compare import Comparison

ALPHA = 0.05
"""Level below which a stretch of the gait cycle is marked."""

_MARKS: Mapping[str, tuple[str, int]] = {"no_exo": ("#4d5663", 0), "zero_torque": ("#d55e00", 1)}


@dataclass(frozen=True)
class EffectRow:
    """Effect size and test of one metric between two arms, as texts."""

    metric: str
    contrast: str
    n: int
    change: str
    interval: str
    cohen_dz: str
    hedges_g: str
    p_value: str
    p_holm: str


def _number(value: float | None, places: int = 2) -> str:
    return "–" if value is None else f"{value:.{places}f}".replace("-", "−")


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _significant(value: float | None) -> bool:
    return value is not None and value <= ALPHA


def _at(row: Mapping[str, Any], walk: Walk) -> bool:
    return Walk.of(row["speed_mps"], row["slope_deg"]) == walk


def _contrast(row: Mapping[str, Any]) -> str:
    first = CONDITION_LABELS.get(row["condition"], row["condition"])
    if row["condition"] == "assisted" and row["controller"] != "none":
        first += f" ({CONTROLLER_LABELS.get(row['controller'], row['controller'])})"
    return f"{first} − {CONDITION_LABELS.get(row['comparator'], row['comparator'])}"


def effect_rows(comparison: Comparison, walk: Walk) -> Iterator[EffectRow]:
    """Effect sizes and tests of the first table's metrics at one walk."""
    rows = [row for row in comparison.statistics if _at(row, walk) and row["name"] in METRICS]
    for name in METRICS:
        for row in (r for r in rows if r["name"] == name):
            low, high = row["ci_low"], row["ci_high"]
            span = "–" if low is None else f"{_figures(low)} to {_figures(high)}"
            yield EffectRow(
                metric_label(name), _contrast(row), row["n"], _figures(row["mean_change"]), span,
                _number(row["cohen_dz"]), _number(row["hedges_g"]), _p(row["p_value"]),
                _p(row["p_holm"]),
            )  # fmt: skip


def _figures(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")


def _assisted(comparison: Comparison, walk: Walk) -> list[Mapping[str, Any]]:
    return [r for r in comparison.curves if r["condition"] == "assisted" and _at(r, walk)]


def _several(rows: Iterable[Mapping[str, Any]]) -> bool:
    return len({(row["controller"], row["physics"]) for row in rows}) > 1


def marks(comparison: Comparison, walk: Walk) -> dict[str, list[Mark]]:
    """Stretches of curves where the assisted arm differs, by quantity.

    A stretch is marked where its cluster's p-value, and that of the curve after Holm's correction
    across its family, are at most `ALPHA`. With several assisted arms nothing is marked, as the
    bars would not tell whose they are.
    """
    found: dict[str, list[Mark]] = {}
    rows = _assisted(comparison, walk)
    if _several(rows):
        return found
    for row in rows:
        if not _significant(row["p_holm"]):
            continue
        colour, place = _MARKS[row["comparator"]]
        for cluster in row["clusters"]:
            if _significant(cluster["p_value"]):
                mark = Mark(cluster["start_percent"], cluster["end_percent"], colour, place)
                found.setdefault(row["name"], []).append(mark)
    return found


def cluster_words(comparison: Comparison, walk: Walk) -> str:
    """What the bars over curves mean, or why there are none; empty with one unit."""
    rows = _assisted(comparison, walk)
    smallest = [r["p_smallest"] for r in rows if r["p_smallest"] is not None]
    if not smallest:
        return ""
    if _several(rows):
        return "Tests over the cycle of several assisted arms stand in comparison.json."
    n = max(r["n"] for r in rows)
    if min(smallest) > ALPHA:
        return f"No test can reach p = {ALPHA:g} with n = {n} (smallest p {_p(min(smallest))})."
    words = (
        "Bars along the top: the assisted arm differs from no exo (grey, upper) or from zero "
        f"torque (orange, lower), {_CURVE_TESTS[_test(rows)]} of both legs' mean, "
        f"p ≤ {ALPHA:g} after Holm's correction."
    )
    return words if marks(comparison, walk) else f"{words} There is no such stretch."


def statistics_sentences(comparison: Comparison, units: tuple[str, str]) -> list[str]:
    """What was done to go from units to intervals and p-values, for the methods paragraph."""
    one, many = units
    n = max((int(row["n"]) for row in comparison.rows), default=0)
    if n < 2:
        return [f"With one {one}, no inference was made: there is no interval and no p-value."]
    sentences = [
        f"Independent units are {many} (n = {n}), never strides or samples of one walk; arms were "
        "compared in pairs within each of them. Intervals are 95 % Student t intervals of the mean "
        "and of the mean of the units' percent changes.",
    ]
    if comparison.statistics:
        sentences.append(
            "Metrics were tested with sign-flip permutation [@nichols2002]; effect sizes are "
            "Cohen's dz and Hedges' g of paired data. Within a family of muscles or joints "
            "p-values are corrected after Holm [@holm1979]."
        )
    if any(row["p_value"] is not None for row in comparison.curves):
        test = _test(comparison.curves)
        how = "the " + _CURVE_TESTS[test] if test == "spm1d" else "cluster permutation tests"
        sentences.append(
            f"Curves over the gait cycle were compared with {how} "
            f"[@{_CURVE_SOURCES[test]}], also corrected after Holm."
        )
    return sentences


_CURVE_TESTS = {
    "permutation": "cluster permutation test",
    "spm1d": "paired t test with random field theory (spm1d)",
}
_CURVE_SOURCES = {"permutation": "maris2007", "spm1d": "pataky2012"}


def _test(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which test stands behind rows of curves; files of earlier versions do not say."""
    return next((str(row["test"]) for row in rows if "test" in row), "permutation")
