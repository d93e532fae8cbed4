"""Quality gates: a number, the range that it is allowed, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

LEVEL_DEG, USUAL_SPEEDS = 0.5, (1.1, 1.4)
"""Slope and m/s: where the ranges of ground forces were read from people's walks."""


@dataclass(frozen=True)
class Gate:
    """One quality gate.

    Attributes
    ----------
    name : stable name
    value : what was measured
    unit : of value and limits
    low, high : allowed range; None where open
    passed : within the range, or only reported
    explanation : what it means, in a sentence
    informative : reported, not required: the range does not apply to this walk
    """

    name: str
    value: float
    unit: str
    low: float | None
    high: float | None
    passed: bool
    explanation: str
    informative: bool = False

    @property
    def limit(self) -> str:
        """The allowed range in words."""
        if self.informative or (self.low is None and self.high is None):
            return "reported"
        if self.low is None:
            return f"at most {self.high:g} {self.unit}".strip()
        if self.high is None:
            return f"at least {self.low:g} {self.unit}".strip()
        if self.low == self.high:
            return f"{self.low:g} {self.unit}".strip()
        return f"{self.low:g} to {self.high:g} {self.unit}".strip()

    def as_dict(self) -> dict[str, Any]:
        """For JSON and reports."""
        return {**asdict(self), "limit": self.limit}


def gate(
    name: str,
    value: float,
    unit: str,
    low: float | None,
    high: float | None,
    explanation: str,
    informative: bool = False,
) -> Gate:
    """A gate, and whether its value passes; what is not finite never does."""
    inside = (low is None or value >= low) and (high is None or value <= high)
    passed = bool(np.isfinite(value) and (inside or informative))
    return Gate(name, float(value), unit, low, high, passed, explanation, informative)


def failed(gates: Sequence[Gate]) -> list[Gate]:
    """The gates that did not pass."""
    return [g for g in gates if not g.passed]


FORCES = {
    "grf_peak1": ("first_peak", None, 1.40, "First vertical peak."),
    "grf_peak1_after_landing": (
        "first_peak_after_landing",
        None,
        1.25,
        "First vertical peak without the first 5 % of stance.",
    ),
    "grf_trough": ("trough", 0.60, 0.90, "Mid-stance trough."),
    "grf_peak2": ("second_peak", 1.00, 1.25, "Second vertical peak."),
    "grf_braking": ("braking", -0.30, -0.10, "Largest braking force."),
    "grf_propulsion": ("propulsion", 0.10, 0.30, "Largest propulsive force."),
}
"""Ground forces in body weights: field of `osim_exo.analysis.grf.GrfFeatures`, range, sentence."""


def usual_walk(speed: float, slope_deg: float, condition: str) -> bool:
    """Whether ranges of ground forces apply: level walking without device near 1.25 m/s."""
    slow, fast = USUAL_SPEEDS
    return abs(slope_deg) < LEVEL_DEG and condition == "no_exo" and slow <= speed <= fast


def force_gates(values: Mapping[str, float], informative: bool) -> list[Gate]:
    """Gates of the ground forces.

    Parameters
    ----------
    values : by field of `osim_exo.analysis.grf.GrfFeatures`, body weights
    informative : where their ranges do not apply; see `usual_walk`
    """
    return [
        gate(name, values[field], "BW", low, high, text, informative)
        for name, (field, low, high, text) in FORCES.items()
    ]
