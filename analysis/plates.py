"""The figures of a report with their titles and captions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from osim_exo.analysis.arm_curves import ArmCurves
from osim_exo.analysis.arms import Arm, Walk
from osim_exo.analysis.bars import Bar, change_figure, metabolic_figure, walk_figure
from osim_exo.analysis.figures import (
    FORCE_PANELS,
    JOINT_PANELS,
    cycle_figure,
    exo_figure,
    muscle_figure,
)
from osim_exo.analysis.findings import Findings, metric_label, value_bar
from osim_exo.analysis.inference import cluster_words, marks
from osim_exo.analysis.metabolics import BASAL_COEFFICIENT
from osim_exo.trial import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from osim_exo.analysis.compare import Comparison

_RATES = {
    "Bhargava 2004": "metabolic_rate_bhargava2004",
    "Umberger 2010": "metabolic_rate_umberger2010",
}


@dataclass(frozen=True)
class Drawing:
    """A figure with its title and caption.

    Attributes
    ----------
    key : unique within the report; letters, digits and ``-``
    """

    key: str
    title: str
    caption: str
    figure: Figure


def metabolic_plates(findings: Findings, key: str) -> Iterator[Drawing]:
    """Gross metabolic rate by model and arm, where it is known."""
    rates = {}
    for model, metric in _RATES.items():
        found = [(arm, findings.value(metric, arm)) for arm in findings.arms]
        rates[model] = [(arm, value_bar(row)) for arm, row in found if row]
    figure = metabolic_figure(rates, BASAL_COEFFICIENT)
    if figure:
        spread = " Whiskers: 95 % interval of the mean." if findings.units > 1 else ""
        yield Drawing(
            f"{key}-metabolic",
            "Gross metabolic rate",
            "Per kilogram of body mass without the device, by two metabolic models on the same "
            f"muscle states; the hatched basal part is the same in every arm.{spread}",
            figure,
        )


def change_plates(findings: Findings, key: str) -> Iterator[Drawing]:
    """Mass penalty, torque benefit and net change, one figure per assisted arm."""
    arms: Sequence[Arm | None] = findings.assisted() or [None]
    for i, arm in enumerate(arms):
        figure = change_figure(findings.changes(arm))
        if figure:
            spread = "Whiskers: 95 % interval." if findings.units > 1 else "One unit: no interval."
            name = f", {arm.label}" if arm and len(arms) > 1 else ""
            yield Drawing(
                f"{key}-change-{i}",
                f"Mass penalty, torque benefit and net change{name}",
                f"Percent of the comparator, mean of the units' own changes. {spread}",
                figure,
            )


def _side_words(slope_deg: float, bands: Mapping[str, Any]) -> str:
    text = "Right leg; mean over subjects or seeds. Dotted: toe off."
    if not bands:
        return f"{text} Speed or height is not known, so no human band is drawn."
    ground = "" if slope_deg == 0.0 else " on level ground, here on a slope for orientation only"
    return (
        f"{text} Grey: human mean ± 1 and 2 SD at the same dimensionless speed{ground} "
        "(Schwartz 2008)."
    )


def cycle_plates(
    comparison: Comparison,
    curves: Sequence[ArmCurves],
    bands: Mapping[str, tuple[Array, Array]],
    walk: Walk,
    each: bool,
    tracked: bool,
) -> Iterator[Drawing]:
    """Everything over the gait cycle at one walk: joints, forces, muscles, exo."""
    words, key = _side_words(walk.slope_deg, bands), walk.key
    found, tests = marks(comparison, walk), cluster_words(comparison, walk)
    target = "Joint angles were tracked: only the rest can agree by itself. " if tracked else ""
    zero = "Zero percent is right heel strike."
    for name, title, caption, figure in (
        (
            "joints",
            "Joint angles, moments and powers",
            "Internal moments and powers of the body, the exo's not included. "
            f"{target}{words} {tests}",
            cycle_figure(JOINT_PANELS, curves, bands, marks=found, each=each),
        ),
        (
            "forces",
            "Ground reaction force and pelvis",
            f"In weights of the body without the device. {words}",
            cycle_figure(FORCE_PANELS, curves, bands, row_height=2.2, each=each),
        ),
        (
            "muscles",
            "Muscle activations",
            f"Right leg, 0 to 1; every muscle has its own scale. {zero} {tests}",
            muscle_figure(curves, marks=found, each=each),
        ),
        (
            "exo",
            "Exo torque and power",
            f"Right side. {zero} Torque is positive in the direction that is named; power is "
            "positive where the exo drives the body.",
            exo_figure(curves, each=each),
        ),
    ):
        if figure:
            yield Drawing(f"{key}-{name}", title, caption, figure)


def overview_plates(all_findings: Sequence[Findings]) -> Iterator[Drawing]:
    """Metrics over speed and slope, where there are several walks."""
    for metric, unit in (("metabolic_rate_bhargava2004", "W/kg"), ("cost_of_transport", "J/kg/m")):
        values: dict[Walk, list[tuple[Arm, Bar]]] = {}
        for findings in all_findings:
            rows = [(arm, findings.value(metric, arm)) for arm in findings.arms]
            values[findings.walk] = [(arm, value_bar(row)) for arm, row in rows if row]
        figure = walk_figure(f"{metric_label(metric).split(' (')[0]}, {unit}", values)
        if figure:
            title = f"{metric_label(metric)} over speed and slope"
            key = metric.replace("_", "-")
            yield Drawing(f"overview-{key}", title, "Slopes in degrees and percent grade.", figure)
