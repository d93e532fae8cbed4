"""Several walks together: sentences about all of them, and a table with one row per walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from osim_exo.analysis.arms import Arm
from osim_exo.analysis.findings import Findings, Row, change_bar, interval, signed
from osim_exo.analysis.summary import PRIMARY, alone, doubts, tied


@dataclass(frozen=True)
class WalkRow:
    """One walk in the overview of several: changes of the gross metabolic rate as texts."""

    key: str
    title: str
    arm: str
    net: str
    benefit: str
    penalty: str
    ratio: str
    doubtful: bool


def across(all_findings: Sequence[Findings], units: Sequence[str]) -> tuple[str, ...]:
    """Sentences about several walks together; empty for one walk or where nothing was compared."""
    if len(all_findings) < 2:
        return ()
    sentences = []
    for part, comparator in (("net", "no exo"), ("torque benefit", "zero torque")):
        rows = [
            (findings, row)
            for findings in all_findings
            for arm in findings.assisted()
            if (row := findings.change(PRIMARY, part, arm))
        ]
        if rows:
            sentences.append(_range(rows, comparator, units[1]))
    n = max(findings.units for findings in all_findings)
    if n == 1:
        sentences.append(alone(all_findings[0], units[0]))
    return tuple(map(tied, sentences))


def _range(rows: Sequence[tuple[Findings, Row]], comparator: str, unit: str) -> str:
    ordered = sorted(rows, key=lambda pair: pair[1]["change_percent"])
    (best, low), (worst, high) = ordered[0], ordered[-1]
    text = (
        f"Against {comparator}, assistance changes gross metabolic power (Bhargava 2004) by "
        f"{signed(low['change_percent'])} % ({best.walk.title}) to "
        f"{signed(high['change_percent'])} % ({worst.walk.title})"
    )
    known = [change_bar(row) for _, row in rows if row["change_ci_high"] is not None]
    if len(known) < len(rows):
        return f"{text}; n = {max(row['n'] for _, row in rows)}, no interval."
    less = sum(bar.high is not None and bar.high < 0 for bar in known)
    n = min(row["n"] for _, row in rows)
    cases = f"in {less} of {len(rows)} cases the 95 % interval lies below zero"
    return f"{text}; {cases} (n = {n} {unit})."


def walk_rows(findings: Findings) -> list[WalkRow]:
    """Rows of one walk in the overview of several, one per assisted arm."""

    def text(part: str, arm: Arm | None) -> str:
        row = findings.change(PRIMARY, part, arm)
        if not row:
            return "–"
        span = interval(change_bar(row))
        return tied(f"{signed(row['change_percent'])} %{f' ({span})' if span else ''}")

    rows = []
    arms: Sequence[Arm | None] = findings.assisted() or [None]
    for arm in arms:
        ratio = findings.value("energy_ratio", arm) if arm else None
        rows.append(
            WalkRow(
                findings.walk.key,
                findings.walk.title,
                arm.label if arm else "–",
                text("net", arm),
                text("torque benefit", arm),
                text("mass penalty", arm),
                f"{ratio['value']:.2f}" if ratio else "–",
                bool(arm and doubts(findings, arm)),
            )
        )
    return rows
