"""Comparison of the arms of an exoskeleton study: no device, worn unpowered, assisting."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osim_exo.analysis.cluster_rows import curve_rows
from osim_exo.analysis.cohort import Cohort, gather
from osim_exo.analysis.comparison_rows import metric_rows
from osim_exo.analysis.metrics import HEADLINE
from osim_exo.errors import DataError
from osim_exo.files import read_json, write_text
from osim_exo.trial import Trial

SCHEMA_VERSION = 1
"""Version of comparison.json."""

Row = dict[str, Any]

_LISTS = ("metrics", "statistics", "curves", "missing")


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; the content of comparison.json.

    Attributes
    ----------
    study : name of the study
    model : name of the model, empty if the trials name none
    seed : seed of the permutation tests
    units : ``subjects`` or ``seeds``, what the intervals and tests run over
    conditions : condition names in the order no exo, zero torque, assisted
    rows : one per metric, arm, walk, unit (or all units together) and comparator
    statistics : paired effect sizes and tests behind the rows of all units together
    curves : tests of gait-cycle curves
    missing : what could not be computed, with the reason
    """

    study: str
    model: str
    seed: int
    units: str
    conditions: tuple[str, ...]
    rows: tuple[Row, ...]
    statistics: tuple[Row, ...]
    curves: tuple[Row, ...]
    missing: tuple[Row, ...]

    def table(self, metrics: Sequence[str] = HEADLINE) -> list[Row]:
        """The headline metrics, one row per walk, assisting controller and metric.

        Keys: ``metric, unit, speed_mps, slope_deg, controller, physics, n``, the means
        ``no_exo, zero_torque, assisted``, the changes ``mass_penalty_percent`` (zero torque against
        no exo), ``torque_benefit_percent`` (assisted against zero torque) and ``net_percent``
        (assisted against no exo) each with ``..._ci`` (low, high), and ``flags``. What is not
        known is None.
        """
        together = [r for r in self.rows if r["group"]["subject"] is None]
        together = [r for r in together if r["group"]["seed"] is None]
        walks = _unique((*_walk(r), r["physics"]) for r in together)
        table = []
        for walk in walks:
            here = [r for r in together if (*_walk(r), r["physics"]) == walk]
            controllers = _unique(r["controller"] for r in here if r["condition"] == "assisted")
            for controller in controllers or (None,):
                for name in metrics:
                    mine = [
                        r
                        for r in here
                        if r["name"] == name
                        and (r["condition"] != "assisted" or r["controller"] == controller)
                    ]
                    if mine:
                        table.append(_table_row(name, controller, mine))
        return table

    def to_dict(self) -> dict[str, Any]:
        """The content of comparison.json."""
        return {
            "schema_version": SCHEMA_VERSION,
            "study": self.study,
            "model": self.model,
            "seed": self.seed,
            "units": self.units,
            "conditions": list(self.conditions),
            "metrics": list(self.rows),
            "statistics": list(self.statistics),
            "curves": list(self.curves),
            "missing": list(self.missing),
        }

    def to_json(self, path: str | Path) -> Path:
        """Write comparison.json in one step, one row a line."""
        parts = [
            f'"{key}": [\n{_lines(value)}\n]'
            if key in _LISTS and value
            else f'"{key}": {_line(value)}'
            for key, value in self.to_dict().items()
        ]
        return write_text(path, "{\n" + ",\n".join(parts) + "\n}\n")

    def to_csv(self, path: str | Path) -> Path:
        """Write the rows as a table in one step; groups are flattened, flags joined by ``;``."""
        flat = [_flattened(row) for row in self.rows]
        text = io.StringIO()
        if flat:
            writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(flat)
        return write_text(path, text.getvalue())

    @classmethod
    def from_json(cls, path: str | Path) -> Comparison:
        """Read comparison.json.

        Raises
        ------
        DataError
            The file is missing, is not JSON, or has another schema.
        """
        data = read_json(path)
        if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
            raise DataError(
                f"{path} is not a comparison of schema version {SCHEMA_VERSION}. Compare again."
            )
        try:
            return cls(
                str(data["study"]),
                str(data["model"]),
                int(data["seed"]),
                str(data["units"]),
                tuple(data["conditions"]),
                *(tuple(data[key]) for key in _LISTS),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} lacks or garbles {error}. Compare again.") from error


def compare(
    trials: Iterable[Trial],
    study: str = "comparison",
    seed: int = 0,
    units: str | None = None,
    curves: str = "permutation",
) -> Comparison:
    """Compare the arms of a study at every speed and slope.

    Several trials of one subject, condition, controller, speed and slope (strides, repetitions)
    are averaged first; the speed is the commanded one (``info.speed``), and only trials of the
    same physics are compared. Statistics run over subjects or, with one subject, over training
    seeds; strides and mesh points are never independent units. Any subset of arms is accepted.

    Parameters
    ----------
    trials : simulated or measured
    study : name that stands in the results
    seed : of sampled permutations
    units : ``subjects`` or ``seeds``; by default subjects where there are several or no seeds
    curves : how gait-cycle curves are tested: ``permutation`` (cluster permutation) or ``spm1d``
        (paired t test with random field theory; needs the extra ``stats``)

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        There is no trial, the trials are of several models, or `units` or `curves` is none of
        those allowed.
    MissingExtraError
        spm1d was asked for and is not installed.
    """
    return compare_cohort(gather(trials, units), study, seed, curves)


def compare_cohort(
    cohort: Cohort, study: str = "comparison", seed: int = 0, curves: str = "permutation"
) -> Comparison:
    """Compare units that are measured already; otherwise as `compare`."""
    rows, statistics = metric_rows(cohort, seed)
    tested = curve_rows(cohort, seed, curves)
    return Comparison(
        study=study,
        model=cohort.model,
        seed=seed,
        units=cohort.units,
        conditions=cohort.conditions,
        rows=tuple(rows),
        statistics=tuple(statistics),
        curves=tuple(tested),
        missing=tuple(cohort.missing),
    )


def _line(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _lines(rows: Sequence[Row]) -> str:
    return ",\n".join("  " + _line(row) for row in rows)


def _walk(row: Row) -> tuple[Any, Any]:
    return row["group"]["speed_mps"], row["group"]["slope_deg"]


def _unique(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


def _table_row(name: str, controller: str | None, rows: Sequence[Row]) -> Row:
    first = rows[0]
    row: Row = {
        "metric": name,
        "unit": first["unit"],
        "speed_mps": _walk(first)[0],
        "slope_deg": _walk(first)[1],
        "controller": controller,
        "physics": first["physics"],
        "n": max(r["n"] for r in rows),
    }
    for condition in ("no_exo", "zero_torque", "assisted"):
        row[condition] = next((r["value"] for r in rows if r["condition"] == condition), None)
    for key, condition, comparator in (
        ("mass_penalty_percent", "zero_torque", "no_exo"),
        ("torque_benefit_percent", "assisted", "zero_torque"),
        ("net_percent", "assisted", "no_exo"),
    ):
        found = next(
            (r for r in rows if (r["condition"], r["comparator"]) == (condition, comparator)), None
        )
        row[key] = found and found["change_percent"]
        row[f"{key}_ci"] = (
            (found["change_ci_low"], found["change_ci_high"])
            if found and found["change_ci_low"] is not None
            else None
        )
    row["flags"] = list(_unique(f for r in rows for f in r["flags"]))
    return row


def _flattened(row: Row) -> Row:
    flat = {k: v for k, v in row.items() if k not in ("group", "flags")}
    position = list(flat).index("physics") + 1
    items = list(flat.items())
    merged = items[:position] + list(row["group"].items()) + items[position:]
    return {**dict(merged), "flags": ";".join(row["flags"])}
