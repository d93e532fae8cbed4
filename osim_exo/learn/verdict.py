"""What walks beside the teacher and its rivals say of a student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from osim_exo.learn.judge import ARMS, METRICS, by_arm

Row = Mapping[str, Any]

MEAN_R, WORST_R, MEAN_RMSE, SHARE = 0.90, 0.82, 0.03, 0.90
"""What is asked of a student: correlation on average and at worst, error in Nm/kg, and the share
of the teacher's benefit. The seed paper reports 0.82 and 0.03 between device and simulation (Park,
Song and Kang 2026, arXiv:2603.04166)."""

LEAST_BENEFIT = 0.005
"""Share of the zero-torque value; where the teacher saves less, there is nothing to keep."""


def summarise(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """By arm: agreement with the teacher, benefit and falls.

    Parameters
    ----------
    rows : of `osim_exo.learn.judge.judge`
    """
    return {arm: _arm(rows, arm) for arm in ARMS}


def _arm(rows: Sequence[Row], arm: str) -> dict[str, Any]:
    own = by_arm(rows, "trained", arm)
    r = [row["r"] for row in own if row["r"] is not None]
    error = [row["rmse_nm_per_kg"] for row in own if row["rmse_nm_per_kg"] is not None]
    return {
        "r_mean": float(np.mean(r)) if r else None,
        "r_worst": min(r, default=None),
        "rmse_mean_nm_per_kg": float(np.mean(error)) if error else None,
        "rmse_worst_nm_per_kg": max(error, default=None),
        "share_of_benefit": {name: benefit(rows, arm, name) for name in METRICS},
        "saved_percent": {name: saved(rows, arm, name) for name in METRICS},
        "falls": {
            kind: sum(row["falls"] for row in by_arm(rows, kind, arm))
            for kind in ("trained", "unseen", "changing")
        },
        "walks": {
            kind: sum(row["walks"] for row in by_arm(rows, kind, arm))
            for kind in ("trained", "unseen", "changing")
        },
    }


def _sums(rows: Sequence[Row], arms: Sequence[str], name: str) -> list[float] | None:
    """Sums of a metric for each arm, over the trained cases in which all of them walk; or None."""
    found = [{row["case"]: row[name] for row in by_arm(rows, "trained", arm)} for arm in arms]
    common = [case for case in found[0] if all(values.get(case) is not None for values in found)]
    return [float(sum(values[case] for case in common)) for values in found] if common else None


def benefit(rows: Sequence[Row], arm: str, name: str) -> float | None:
    """Share of the teacher's benefit that an arm has in a metric, all trained cases together.

    None where nobody walked, or the teacher itself saves less than `LEAST_BENEFIT`.
    """
    sums = _sums(rows, ("zero_torque", "teacher", arm), name)
    if sums is None:
        return None
    zero, teacher, own = sums
    if zero - teacher < LEAST_BENEFIT * abs(zero):
        return None
    return (zero - own) / (zero - teacher)


def saved(rows: Sequence[Row], arm: str, name: str) -> float | None:
    """Percent that an arm saves in a metric against zero torque, all trained cases together."""
    sums = _sums(rows, ("zero_torque", arm), name)
    return None if sums is None else 100.0 * (sums[0] - sums[1]) / sums[0]


def beats(rows: Sequence[Row], rival: str) -> bool | None:
    """Whether the student saves more than a rival, in all metrics in which the teacher does.

    None where the teacher saves no more than the rival in any of them.
    """
    found = []
    for name in METRICS:
        sums = _sums(rows, ("teacher", "student", rival), name)
        if sums is not None and sums[0] < sums[2]:
            found.append(sums[1] < sums[2])
    return all(found) if found else None


def accepted(rows: Sequence[Row]) -> dict[str, bool | None]:
    """Each thing that is asked of a student, and whether it holds; None where it is undefined."""
    summary = summarise(rows)
    own = summary["student"]
    shares = own["share_of_benefit"]
    found: dict[str, bool | None] = {
        f"r >= {MEAN_R:g} on average": _at_least(own["r_mean"], MEAN_R),
        f"r >= {WORST_R:g} at worst": _at_least(own["r_worst"], WORST_R),
        f"RMSE <= {MEAN_RMSE:g} Nm/kg on average": _at_least(
            None if own["rmse_mean_nm_per_kg"] is None else -own["rmse_mean_nm_per_kg"], -MEAN_RMSE
        ),
    }
    for name, share in shares.items():
        found[f"{SHARE:.0%} of the teacher's benefit in {name}"] = _at_least(share, SHARE)
    for rival in ("playback", "delayed_output_feedback", "zero_torque"):
        found[f"nearer to the teacher than {rival}"] = _nearer(own, summary[rival])
        found[f"more benefit than {rival}"] = beats(rows, rival)
    found["no more falls than the teacher"] = (
        own["falls"]["trained"] <= summary["teacher"]["falls"]["trained"]
    )
    return found


def _at_least(value: float | None, least: float) -> bool | None:
    return None if value is None else value >= least


def _nearer(own: Mapping[str, Any], rival: Mapping[str, Any]) -> bool | None:
    """Whether a student's error is smaller, and its correlation larger where a rival has one."""
    mine, other = own["rmse_mean_nm_per_kg"], rival["rmse_mean_nm_per_kg"]
    if mine is None or other is None:
        return None
    correlated = rival["r_mean"] is None or (own["r_mean"] or 0.0) > rival["r_mean"]
    return bool(mine < other and correlated)
