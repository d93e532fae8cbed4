"""Tests of gait-cycle curves between the arms of a comparison."""

from __future__ import annotations

from typing import Any

import numpy as np

from osim_exo.analysis.cohort import Cell, Cohort
from osim_exo.analysis.spm import spm_test
from osim_exo.analysis.statistics import cluster_test, holm
from osim_exo.errors import check_option

Row = dict[str, Any]

METHODS = ("permutation", "spm1d")
"""How curves are tested: cluster permutation, or random field theory with spm1d."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "activation": ("activation/",),
    "joint_angle": ("hip_flexion", "knee_flexion", "ankle_dorsiflexion"),
    "joint_moment": (
        "hip_extension_moment",
        "knee_extension_moment",
        "ankle_plantarflexion_moment",
    ),
    "joint_power": ("hip_power", "knee_power", "ankle_power"),
}
"""Curves that are tested, by the family that Holm's correction runs over."""


def curve_rows(cohort: Cohort, seed: int, method: str = "permutation") -> list[Row]:
    """One row per curve, arm and comparator; p-values are None with one unit.

    Curves are the means over a unit's strides and over both sides, each side from its own heel
    strike. ``clusters`` lists stretches of the cycle that differ, with p-values corrected over the
    cycle; ``p_holm`` corrects across the muscles or joints of a family. `method` is one of
    `METHODS`.
    """
    check_option("curves", method, METHODS)
    rows: list[Row] = []
    for cell in cohort.cells:
        for condition, other in cohort.comparators(cell):
            for family, wanted in FAMILIES.items():
                rows += _family(cohort, cell, condition, other, family, wanted, seed, method)
    return rows


def _family(
    cohort: Cohort,
    cell: Cell,
    condition: str,
    other: Cell,
    family: str,
    wanted: tuple[str, ...],
    seed: int,
    method: str,
) -> list[Row]:
    pairs = cohort.pairs(cell, other)
    names = dict.fromkeys(n for *_, unit in pairs for n in unit.curves if n.startswith(wanted))
    rows: list[Row] = []
    for name in names:
        both = [
            (theirs.curves[name], mine.curves[name])
            for _, theirs, mine in pairs
            if name in theirs.curves and name in mine.curves
        ]
        if not both:
            continue
        before, after = np.array(both).transpose(1, 0, 2)
        spm = method == "spm1d"
        result = spm_test(before, after) if spm else cluster_test(before, after, seed)
        rows.append(
            {
                "name": name,
                "family": family,
                "test": method,
                "condition": cell.condition,
                "controller": cell.controller,
                "physics": cell.physics,
                "speed_mps": cell.speed,
                "slope_deg": cell.slope_deg,
                "comparator": condition,
                "units": cohort.units,
                "n": result.n,
                "p_value": result.p_value,
                "p_holm": None,
                "p_smallest": result.p_smallest,
                "clusters": [vars(c).copy() for c in result.clusters],
            }
        )
    for row, p in zip(rows, holm([row["p_value"] for row in rows])):
        row["p_holm"] = p
    return rows
