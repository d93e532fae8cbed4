"""Sentences of a report's summary: each names its comparator, its interval and what n counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from osim_exo.analysis.arms import CONTROLLER_LABELS, Arm
from osim_exo.analysis.findings import (
    LARGE_RATIO,
    LARGE_SAVING,
    Findings,
    Row,
    change_bar,
    interval,
    signed,
)
from osim_exo.units import grade_percent

_MODELS = {
    "metabolic_rate_bhargava2004": "Bhargava 2004",
    "metabolic_rate_umberger2010": "Umberger 2010",
}
PRIMARY = "metabolic_rate_bhargava2004"
"""The metric that a report speaks of first."""

_COMPARATORS = {"no_exo": "walking without the exo", "zero_torque": "wearing it with zero torque"}


@dataclass(frozen=True)
class Tile:
    """A number at the top of a report: what, how much, against what."""

    about: str
    number: str
    detail: str


@dataclass(frozen=True)
class Summary:
    """What is said first about one walk.

    Attributes
    ----------
    heading : the walk in words
    sentences : what was found
    flags : reasons to doubt it
    tiles : the main numbers
    """

    heading: str
    sentences: tuple[str, ...]
    flags: tuple[str, ...]
    tiles: tuple[Tile, ...]


def where(findings: Findings) -> str:
    """The walk as part of a sentence: ``At 1.25 m/s on 5° uphill (8.7 % grade)``."""
    walk = findings.walk
    speed = "At an unrecorded speed" if walk.speed is None else f"At {walk.speed:g} m/s"
    if walk.slope_deg == 0.0:
        return f"{speed} on level ground"
    way = "uphill" if walk.slope_deg > 0 else "downhill"
    steep = abs(walk.slope_deg)
    return f"{speed}, {steep:g}° {way} ({grade_percent(steep):.1f} % grade)"


def _uncertainty(row: Row, unit: str) -> str:
    """Interval and n, as they stand in brackets behind a change."""
    text = interval(change_bar(row))
    if not text:
        return f"n = {row['n']}, no interval"
    return f"95 % interval {text} %, n = {row['n']} {unit}"


def _amount(row: Row) -> str:
    change = row["change_percent"]
    if f"{abs(change):.1f}" == "0.0":
        return "the same (change below 0.05 %)"
    return f"{abs(change):.1f} % {'less' if change < 0 else 'more'}"


def _clear(row: Row) -> str:
    bar = change_bar(row)
    if bar.low is not None and bar.high is not None and bar.low <= 0.0 <= bar.high:
        return " The interval includes zero: this is no clear change."
    return ""


def _metabolic(findings: Findings, arm: Arm, unit: str) -> list[str]:
    net = findings.change(PRIMARY, "net", arm)
    benefit = findings.change(PRIMARY, "torque benefit", arm)
    penalty = findings.change(PRIMARY, "mass penalty", arm)
    sentences = []
    name = _assisted_name(findings, arm)
    for row, comparator in ((net, "no_exo"), (benefit, "zero_torque")):
        if row:
            sentences.append(
                f"{where(findings)}, walking with {name} costs {_amount(row)} gross metabolic "
                f"power than {_COMPARATORS[comparator]} (Bhargava 2004; {_uncertainty(row, unit)})."
                f"{_clear(row)}"
            )
            break
    if penalty and benefit and net:
        sentences.append(
            f"This splits into a mass penalty of {signed(penalty['change_percent'])} % "
            f"(zero torque against no exo; {_uncertainty(penalty, unit)}) and a torque benefit of "
            f"{signed(benefit['change_percent'])} % (assisted against zero torque; "
            f"{_uncertainty(benefit, unit)}). The two percentages have different comparators and "
            "do not add up exactly."
        )
    elif penalty and not net:
        sentences.append(_worn(findings, penalty, unit))
    sentences += _second_opinion(findings, arm)
    return sentences


def _worn(findings: Findings, penalty: Row, unit: str) -> str:
    return (
        f"{where(findings)}, wearing the exo with zero torque costs {_amount(penalty)} gross "
        "metabolic power than walking without it (Bhargava 2004; "
        f"{_uncertainty(penalty, unit)})."
    )


def _assisted_name(findings: Findings, arm: Arm) -> str:
    label = CONTROLLER_LABELS.get(arm.controller, arm.controller.replace("_", " "))
    return "the assisting exo" if arm.controller == "none" else f"the assisting exo ({label})"


def _second_opinion(findings: Findings, arm: Arm) -> list[str]:
    for part, comparator in (("net", "no exo"), ("torque benefit", "zero torque")):
        rows = {name: findings.change(metric, part, arm) for metric, name in _MODELS.items()}
        first, second = rows.values()
        if first and second:
            a, b = first["change_percent"], second["change_percent"]
            agree = "agree on the direction" if a * b >= 0 else "disagree on the direction"
            return [
                f"The two metabolic models {agree}: {signed(a)} % (Bhargava 2004) and "
                f"{signed(b)} % (Umberger 2010), both assisted against {comparator}."
            ]
    return []


def _muscles(findings: Findings, arm: Arm, unit: str) -> list[str]:
    texts = []
    for metric, words in (
        ("mean_activation", "mean muscle activation"),
        ("positive_joint_power", "biological positive joint power"),
    ):
        row = findings.change(metric, "net", arm)
        if row:
            change = f"{signed(row['change_percent'])} %"
            texts.append(f"{words} changes by {change} ({_uncertainty(row, unit)})")
    if not texts:
        return []
    return [f"Against no exo, {' and '.join(texts)}."]


def _exo(findings: Findings, arm: Arm) -> list[str]:
    power, ratio = findings.value("exo_positive_power", arm), findings.value("energy_ratio", arm)
    if not power:
        return []
    text = f"The exo gives {power['value']:.3f} {power['unit']} of positive power"
    if ratio:
        return [
            f"{text}; every watt of it goes with {ratio['value']:.2f} W of metabolic power saved "
            "against zero torque (energy ratio)."
        ]
    return [f"{text}; that is too little for an energy ratio."]


def doubts(findings: Findings, arm: Arm) -> list[str]:
    """Reasons to doubt what was found in an arm: too large a saving or energy ratio."""
    flags = []
    ratio = findings.value("energy_ratio", arm)
    if ratio and ratio["value"] > LARGE_RATIO:
        flags.append(
            f"The energy ratio is {ratio['value']:.1f}, above {LARGE_RATIO:g}. Muscles cannot "
            "plausibly save that much per watt given: look for a fault before believing the saving."
        )
    large = [
        f"{-row['change_percent']:.1f} % against {comparator} ({model})"
        for metric, model in _MODELS.items()
        for part, comparator in (("net", "no exo"), ("torque benefit", "zero torque"))
        if (row := findings.change(metric, part, arm)) and row["change_percent"] < -LARGE_SAVING
    ]
    if large:
        flags.append(
            f"Savings above {LARGE_SAVING:g} %: {', '.join(large)}. Simulations promise more than "
            "people gain; treat this as an optimistic estimate, not as a prediction."
        )
    several = len(findings.assisted()) > 1
    return [f"{arm.label[0].upper()}{arm.label[1:]}: {text}" if several else text for text in flags]


def alone(findings: Findings, unit_one: str) -> str:
    """Why one unit gives neither interval nor p-value."""
    if unit_one == "person":
        return (
            "There is one person, so no interval and no p-value is given: strides of one walker "
            "are not independent. The numbers say how this one person walked."
        )
    return (
        f"There is one {unit_one}, so no interval and no p-value is given: a simulation that is "
        "run again gives the same number, and strides of one walker are not independent. The "
        "numbers say what this one model does, not what people do."
    )


def _tiles(findings: Findings, arm: Arm | None) -> list[Tile]:
    tiles = []
    whose = f"; {arm.label}" if arm and len(findings.assisted()) > 1 else ""
    for part, detail in (
        ("net", "assisted against no exo"),
        ("torque benefit", "assisted against zero torque"),
        ("mass penalty", "zero torque against no exo"),
    ):
        row = findings.change(PRIMARY, part, arm)
        if row:
            span = interval(change_bar(row))
            spread = (
                f"95 % interval {span} %, n = {row['n']}"
                if span
                else f"n = {row['n']}, no interval"
            )
            about = {"net": "Metabolic rate"}.get(part, part.capitalize())
            number = f"{signed(row['change_percent'])} %"
            tiles.append(Tile(about, number, tied(f"{detail}; {spread}; Bhargava 2004{whose}")))
    ratio = findings.value("energy_ratio", arm) if arm else None
    if ratio:
        detail = f"metabolic W saved per exo positive W; above 4 is implausible{whose}"
        tiles.append(Tile("Energy ratio", f"{ratio['value']:.2f}", detail))
    return tiles


def summarise(findings: Findings, units: Sequence[str]) -> Summary:
    """The summary of one walk.

    Parameters
    ----------
    findings : rows of the walk
    units : what n counts, one and several: ``("virtual subject", "virtual subjects")``
    """
    one, many = units
    sentences: list[str] = []
    flags: list[str] = []
    arms = findings.assisted()
    for arm in arms:
        sentences += _metabolic(findings, arm, many)
        sentences += _muscles(findings, arm, many)
        sentences += _exo(findings, arm)
        flags += doubts(findings, arm)
    if not arms:
        penalty = findings.change(PRIMARY, "mass penalty")
        if penalty:
            sentences.append(_worn(findings, penalty, many))
        else:
            names = ", ".join(arm.label for arm in findings.arms) or "nothing"
            sentences.append(f"{where(findings)} there is nothing to compare: {names} was walked.")
    if findings.units == 1:
        sentences.append(alone(findings, one))
    tiles = _tiles(findings, arms[0] if arms else None)
    return Summary(
        findings.walk.title, tuple(map(tied, sentences)), tuple(map(tied, flags)), tuple(tiles)
    )


def tied(text: str) -> str:
    """The text with numbers tied to what follows them, so that no line ends between."""
    return text.replace(" %", "\u00a0%").replace("n = ", "n\u00a0=\u00a0")
