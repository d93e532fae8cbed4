"""How near a walk is to its reference, as the table that the terminal shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from osim_exo.cli.command import table
from osim_exo.units import DEG

if TYPE_CHECKING:
    from osim_exo.learn.evaluate import Walked
    from osim_exo.learn.tracks import Tracked

JOINTS = ("hip_flexion", "knee_angle", "ankle_angle")
"""Coordinates of the legs, whose mean is told too."""

LEGS = "legs, mean"


def tracking_rows(found: Mapping[str, Walked]) -> dict[str, dict[str, Any]]:
    """Errors and correlations by physics, kind and coordinate, for JSON; empty without reference.

    RMS is in degrees, or mm where a name ends so.
    """
    rows = {}
    for physics, walked in found.items():
        if walked.tracking:
            rows[physics] = {
                "by_phase": _kind(walked.tracking),
                "by_stride": _kind(walked.stride_tracking),
                "reference": list(walked.notes),
            }
    return rows


def _kind(tracked: Mapping[str, Tracked]) -> dict[str, dict[str, float | None]]:
    found = {}
    for name, near in tracked.items():
        metres = name.endswith(("_tx", "_ty", "_tz"))
        found[f"{name}, mm" if metres else name] = _cells(
            near.rms * (1e3 if metres else 1.0 / DEG), near.correlation
        )
    legs = [near for name, near in tracked.items() if name.startswith(JOINTS)]
    if legs:
        rms, correlation = (
            float(np.mean([getattr(near, part) for near in legs]))
            for part in ("rms", "correlation")
        )
        found[LEGS] = _cells(rms / DEG, correlation)
    return found


def _cells(rms: float, correlation: float) -> dict[str, float | None]:
    return {"rms": rms, "correlation": None if np.isnan(correlation) else correlation}


def show_tracking(console: Console, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the notes and one table per physics."""
    for note in dict.fromkeys(note for row in rows.values() for note in row["reference"]):
        console.print(f"Reference: {note}")
    for physics, row in rows.items():
        phase, stride = row["by_phase"], row["by_stride"]
        lines = [(name, *_text(phase[name]), *_text(stride.get(name))) for name in phase]
        columns = (f"{physics}, to the reference", "RMS, deg", "r", "mean stride: RMS, deg", "r")
        console.print(table(columns, lines))


def _text(cells: Mapping[str, float | None] | None) -> tuple[str, str]:
    if cells is None:
        return "–", "–"
    r = cells["correlation"]
    return f"{cells['rms']:.2f}", "–" if r is None else f"{r:.3f}"
