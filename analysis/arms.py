"""How a report sorts trials: into arms (condition and controller) and walks (speed and slope)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from osim_exo.names import CONDITIONS
from osim_exo.trial import Trial, TrialInfo
from osim_exo.units import grade_percent

CONDITION_LABELS: Mapping[str, str] = {
    "no_exo": "no exo",
    "zero_torque": "exo, zero torque",
    "assisted": "exo, assisted",
}
CONTROLLER_LABELS: Mapping[str, str] = {
    "optimal": "optimal control",
    "spline": "spline profile",
    "delayed_output_feedback": "delayed output feedback",
    "playback": "playback",
    "learned": "learned policy",
}

MUSCLE_LABELS: Mapping[str, str] = {
    "bifemsh": "biceps femoris, short head",
    "gastroc": "gastrocnemius",
    "glut_max": "gluteus maximus",
    "rect_fem": "rectus femoris",
    "tib_ant": "tibialis anterior",
}
"""Muscles whose name in the planar model is short."""

_COLOURS = {"no_exo": "#4d5663", "zero_torque": "#d55e00", "assisted": "#0072b2"}
_FURTHER = ("#009e73", "#cc79a7", "#8a6d00", "#56b4e9")
_DASHES = {"zero_torque": (0, (5, 2))}


@dataclass(frozen=True)
class Walk:
    """One speed and slope; `speed` is None where it was not recorded.

    Attributes
    ----------
    speed : m/s, rounded to 1 mm/s
    slope_deg : degrees, uphill positive, rounded to a hundredth
    """

    speed: float | None
    slope_deg: float

    @classmethod
    def of(cls, speed: float | None, slope_deg: float | None) -> Walk:
        """The walk of a speed and slope as they stand in a trial or a table row."""
        known = speed is not None and math.isfinite(speed)
        slope = 0.0 if slope_deg is None or not math.isfinite(slope_deg) else slope_deg
        return cls(round(float(speed or 0.0), 3) if known else None, round(slope, 2) + 0.0)

    @property
    def key(self) -> str:
        """Short text that identifies the walk in a page."""
        speed = "unknown" if self.speed is None else f"{self.speed:g}"
        return f"v{speed}s{self.slope_deg:g}".replace(".", "p").replace("-", "m")

    @property
    def title(self) -> str:
        """Words for headings: speed, slope in degrees and in percent grade."""
        speed = "speed not recorded" if self.speed is None else f"{self.speed:g} m/s"
        return f"{speed}, {self.slope_title}"

    @property
    def slope_title(self) -> str:
        """The slope in words, degrees with percent grade beside them."""
        if self.slope_deg == 0.0:
            return "level"
        way = "uphill" if self.slope_deg > 0 else "downhill"
        grade = grade_percent(abs(self.slope_deg))
        return f"{abs(self.slope_deg):g}° {way} ({grade:.1f} % grade)"


@dataclass(frozen=True)
class Arm:
    """One condition, controller and physics: a line in a figure and a column in a table."""

    condition: str
    controller: str
    physics: str
    label: str
    colour: str
    dashes: object = "solid"

    @property
    def key(self) -> str:
        """Short text that identifies the arm in a page."""
        return f"{self.condition}/{self.controller}/{self.physics}"

    def holds(self, info: TrialInfo) -> bool:
        """Whether a trial belongs to this arm."""
        return (info.condition, info.controller, info.physics) == self._identity

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of a comparison belongs to this arm."""
        return (row["condition"], row["controller"], row["physics"]) == self._identity

    @property
    def _identity(self) -> tuple[str, str, str]:
        return self.condition, self.controller, self.physics


def _rank(condition: str) -> int:
    return CONDITIONS.index(condition) if condition in CONDITIONS else len(CONDITIONS)


def find_arms(identities: Iterable[tuple[str, str, str]]) -> tuple[Arm, ...]:
    """The arms of (condition, controller, physics): no exo, zero torque, assisted, then others.

    Controller and physics stand in a label only where they tell arms apart. Colours are those of
    Wong 2011 (distinguishable with colour-blindness); a dashed line marks zero torque.
    """
    unique = sorted(dict.fromkeys(identities), key=lambda arm: _rank(arm[0]))
    arms: list[Arm] = []
    further = 0
    for condition, controller, physics in unique:
        rivals = [other for other in unique if other[0] == condition]
        marks = []
        if len({other[1] for other in rivals}) > 1:
            marks.append(CONTROLLER_LABELS.get(controller, controller.replace("_", " ")))
        if len({other[2] for other in unique}) > 1:
            marks.append(physics)
        label = CONDITION_LABELS.get(condition, condition.replace("_", " "))
        label += f" ({', '.join(marks)})" if marks else ""
        if condition in _COLOURS and (condition, controller, physics) == rivals[0]:
            colour = _COLOURS[condition]
        else:
            colour = _FURTHER[further % len(_FURTHER)]
            further += 1
        dashes = _DASHES.get(condition, "solid")
        arms.append(Arm(condition, controller, physics, label, colour, dashes))
    return tuple(arms)


def arms_of(trials: Iterable[Trial]) -> tuple[Arm, ...]:
    """The arms that trials have."""
    infos = (trial.info for trial in trials)
    return find_arms((info.condition, info.controller, info.physics) for info in infos)


def walk_of(info: TrialInfo) -> Walk:
    """The walk that a trial belongs to."""
    return Walk.of(info.speed, info.slope_deg)


def sort_walks(walks: Iterable[Walk]) -> tuple[Walk, ...]:
    """Every walk once: level first, then by steepness; by speed within a slope."""
    return tuple(sorted(set(walks), key=lambda w: (abs(w.slope_deg), -w.slope_deg, w.speed or 0.0)))


def pick(trials: Sequence[Trial], walk: Walk | None = None, arm: Arm | None = None) -> list[Trial]:
    """Trials of a walk and an arm; None takes all."""
    return [
        trial
        for trial in trials
        if (walk is None or walk_of(trial.info) == walk) and (arm is None or arm.holds(trial.info))
    ]


def muscle_label(name: str) -> str:
    """Words for a muscle's or coordinate's name; a side at its end becomes a word."""
    base, _, side = name.rpartition("_")
    if side in ("r", "l") and base:
        return f"{muscle_label(base)}, {'right' if side == 'r' else 'left'}"
    return MUSCLE_LABELS.get(name, name.replace("_", " "))
