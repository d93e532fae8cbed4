"""What a conversion did: every change, every error in mm, the range of every path."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osim_exo.errors import DataError
from osim_exo.files import read_json
from osim_exo.models.convert.fit import PathFit
from osim_exo.models.convert.muscles import ForceChange
from osim_exo.models.convert.options import ConvertOptions

SCHEMA = 1
"""Version of the ``.convert.json`` file."""

Ranges = dict[str, dict[str, tuple[float, float]]]


def report_path(osim: str | Path) -> Path:
    """Where the report of a converted model lies: ``walker.osim`` has ``walker.convert.json``."""
    return Path(osim).with_suffix(".convert.json")


def read_path_ranges(osim: str | Path) -> Ranges:
    """Range on which each polynomial path of a converted model was fitted.

    Parameters
    ----------
    osim : path of the model that `convert` wrote

    Returns
    -------
    dict
        ``{muscle: {coordinate: (low, high)}}`` in rad or m; empty if the model has no report
        beside it.

    Raises
    ------
    DataError
        The report is not one of `convert`.
    """
    path = report_path(osim)
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA:
        raise DataError(
            f"'{path}' is not a conversion report of version {SCHEMA}. Convert the model again "
            "with osim-exo models convert, or remove that file."
        )
    return {
        muscle: {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
        for muscle, ranges in content["path_ranges"].items()
    }


@dataclass
class Conversion:
    """A converted model and the report on it.

    Attributes
    ----------
    source : name of the file that was converted
    options : what was asked for
    changes : ``{kind of change: components}``
    replaced : old class by muscle
    forces : how the muscles' forces changed
    fits : fitted paths
    path_ranges : ``{muscle: {coordinate: (low, high)}}``, rad or m
    fibre_ranges : smallest and largest fibre length by muscle, optimal lengths, rigid tendon
    acceleration_error : largest relative difference of coordinate accelerations to the source
        without muscles; None where the joints' coordinates are not comparable
    warnings : what the user should look at
    xml : text of the converted model
    """

    source: str
    options: ConvertOptions
    changes: dict[str, list[str]] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    forces: list[ForceChange] = field(default_factory=list)
    fits: list[PathFit] = field(default_factory=list)
    path_ranges: Ranges = field(default_factory=dict)
    fibre_ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    acceleration_error: float | None = None
    warnings: list[str] = field(default_factory=list)
    xml: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The report, ready for JSON; lengths in mm, ranges in rad or m."""
        return {
            "schema_version": SCHEMA,
            "source": self.source,
            "options": self.options.model_dump(mode="json"),
            "changes": self.changes,
            "muscles_replaced": self.replaced,
            "force_change": [
                {
                    "compared": f.how,
                    "unit": "maximum isometric force",
                    "mean_force": f.mean_force,
                    "median_difference": f.median,
                    "p95_difference": f.p95,
                    "worst_muscle": f.worst[0],
                    "worst_median_difference": f.worst[1],
                    "n": f.n,
                }
                for f in self.forces
            ],
            "paths": {f.muscle: _path(f) for f in self.fits},
            "path_ranges": {
                m: {c: list(r) for c, r in ranges.items()} for m, ranges in self.path_ranges.items()
            },
            "fibre_length_range": {m: list(r) for m, r in self.fibre_ranges.items()},
            "acceleration_error": self.acceleration_error,
            "warnings": self.warnings,
        }

    def rows(self) -> list[tuple[str, str]]:
        """The report as short lines for a table: what, and how it came out."""
        made = [(what, _short(names)) for what, names in self.changes.items() if names]
        if self.replaced:
            kinds = sorted(set(self.replaced.values()))
            made.append(
                (
                    "muscles replaced",
                    f"{len(self.replaced)} ({', '.join(kinds)}), {self.options.tendon} tendon",
                )
            )
        for f in self.forces:
            made.append(
                (
                    "muscle force change",
                    f"median {f.median:.3f}, 95 % {f.p95:.3f} of isometric force "
                    f"(mean force {f.mean_force:.2f}; {f.how}); "
                    f"worst {f.worst[0]} {f.worst[1]:.3f}",
                )
            )
        if self.fits:
            made += _fit_rows(self.fits)
        if self.acceleration_error is not None:
            made.append(
                ("acceleration error", f"{self.acceleration_error:.1e} without muscles (relative)")
            )
        return made


def _path(f: PathFit) -> dict[str, Any]:
    return {
        "coordinates": list(f.coordinates),
        "order": f.order,
        "terms": f.n_terms,
        "length_rms_mm": 1e3 * f.length_rms,
        "length_max_mm": 1e3 * f.length_max,
        "leap_share": f.leap_share,
        "leap_size_mm": 1e3 * f.leap_size,
        "moment_arm_peak_mm": 1e3 * f.arm_peak,
        "moment_arms": {
            name: {
                "rms_mm": 1e3 * float(f.arm_rms[k]),
                "max_mm": 1e3 * float(f.arm_max[k]),
                "rms_percent_of_peak": 100.0 * float(f.arm_rms[k]) / f.arm_peak,
                "own_disagreement_mm": 1e3 * float(f.own_disagreement[k]),
            }
            for k, name in enumerate(f.coordinates)
        },
    }


def _fit_rows(fits: list[PathFit]) -> list[tuple[str, str]]:
    lengths = sorted(1e3 * f.length_rms for f in fits)
    arms = sorted(1e3 * float(f.arm_rms.max()) for f in fits)
    percents = sorted(100.0 * float(f.arm_rms.max()) / f.arm_peak for f in fits)
    by_length = max(fits, key=lambda f: f.length_rms)
    by_arm = max(fits, key=lambda f: float(f.arm_rms.max()))
    mid = len(fits) // 2
    terms = sum(f.n_terms for f in fits)
    return [
        ("paths fitted", f"{len(fits)}, {terms} terms, orders up to {max(f.order for f in fits)}"),
        (
            "path length error",
            f"median {lengths[mid]:.2f} mm RMS; worst {by_length.muscle} {lengths[-1]:.2f} mm "
            f"(largest {1e3 * by_length.length_max:.1f} mm)",
        ),
        (
            "moment arm error",
            f"median {arms[mid]:.2f} mm RMS, {percents[mid]:.1f} % of the peak; worst "
            f"{by_arm.muscle} {arms[-1]:.2f} mm (largest {1e3 * by_arm.arm_max.max():.1f} mm, "
            f"peak arm {1e3 * by_arm.arm_peak:.0f} mm)",
        ),
    ]


def _short(names: list[str], limit: int = 8) -> str:
    shown = ", ".join(names[:limit])
    return f"{len(names)}: {shown}" + (", ..." if len(names) > limit else "")
