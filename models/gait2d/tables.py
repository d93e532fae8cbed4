"""Read the planar model's parameter tables; every row of them names its source."""

from __future__ import annotations

import csv
from importlib.resources import files

Row = dict[str, str]


def rows(table: str) -> list[Row]:
    """All rows of ``<table>.csv`` in file order."""
    text = (files("osim_exo.models.gait2d") / f"{table}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def vector(row: Row, *columns: str) -> tuple[float, ...]:
    """The named columns of a row as numbers; an empty cell is 0."""
    return tuple(float(row[c] or 0.0) for c in columns)
