"""Features of the ground reaction force: peaks, trough, braking, propulsion, body weight check."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osim_exo.analysis.clinical import body_mass, clinical_forces
from osim_exo.analysis.cycles import cut, stride_mean
from osim_exo.analysis.events import GaitEvents, find_events
from osim_exo.errors import DataError
from osim_exo.names import SIDES
from osim_exo.trial import Array, Trial
from osim_exo.units import DEG, GRAVITY

LANDING_PERCENT = 5
"""Share of stance after heel strike that `first_peak_after_landing` leaves out, %."""

FIRST_PEAK_UNTIL = 40
TROUGH = (30, 70)
SECOND_PEAK_FROM = 60
"""Windows of the two peaks and the trough, % of stance; people have them near 25, 50 and 77 %."""


@dataclass(frozen=True)
class GrfFeatures:
    """Of one foot, mean over its stances, in body weights (body alone, without device).

    Attributes
    ----------
    first_peak : largest vertical force in the first 40 % of stance
    first_peak_after_landing : the same without the first 5 % of stance
    trough : smallest vertical force between 30 and 70 % of stance
    second_peak : largest vertical force from 60 % of stance on
    braking : most negative fore-aft force (negative)
    propulsion : most positive fore-aft force
    """

    first_peak: float
    first_peak_after_landing: float
    trough: float
    second_peak: float
    braking: float
    propulsion: float


def grf_features(trial: Trial, side: str, events: GaitEvents | None = None) -> GrfFeatures:
    """Features of the ground reaction force of one foot.

    Raises
    ------
    DataError
        The trial has no vertical force, no body mass, or no whole stance of that side.
    """
    events = events or find_events(trial)
    forces = clinical_forces(trial)
    names = [f"grf_vertical_{side}", f"grf_anterior_{side}"]
    if not all(n in forces for n in names):
        raise DataError(
            f"Trial '{trial.info.name}' has no ground_force_{side}_vx and ground_force_{side}_vy."
        )
    stances = cut(trial, forces.select(names), _stances(trial, side, events)).values
    return GrfFeatures(*(float(v) for v in np.mean([_features(s) for s in stances], axis=0)))


def weight_ratio(trial: Trial, events: GaitEvents | None = None) -> float:
    """Mean vertical force of both feet over the weight of body and device; 1 in steady walking.

    On a slope the component normal to the ground carries the cosine of the weight.
    """
    load = sum(trial.grf[f"ground_force_{s}_vy"] for s in SIDES)
    weight = (body_mass(trial) + trial.info.exo_mass) * GRAVITY
    normal = weight * np.cos(trial.info.slope_deg * DEG)
    return float(stride_mean(trial, np.asarray(load), events) / normal)


def _stances(trial: Trial, side: str, events: GaitEvents) -> Array:
    """Start and end of the whole stances, (n_stance, 2) s; they may wrap in a periodic stride."""
    strikes, offs = events.heel_strikes[side], events.toe_offs[side]
    if trial.info.stride:
        strike = strikes[0]
        length = (offs[0] - strike) % trial.duration
        return np.array([[strike, strike + length]])
    pairs = [(a, offs[offs > a].min()) for a in strikes if np.any(offs > a)]
    gaps = np.append(np.diff(strikes), np.inf)
    pairs = [p for p, gap in zip(pairs, gaps) if p[1] - p[0] < gap]
    if not pairs:
        raise DataError(f"Trial '{trial.info.name}' has no whole stance of side '{side}'.")
    return np.array(pairs)


def _features(stance: Array) -> tuple[float, ...]:
    """Features of one stance, (101, 2) array of vertical and fore-aft force."""
    vertical, anterior = stance.T
    return (
        vertical[: FIRST_PEAK_UNTIL + 1].max(),
        vertical[LANDING_PERCENT : FIRST_PEAK_UNTIL + 1].max(),
        vertical[TROUGH[0] : TROUGH[1] + 1].min(),
        vertical[SECOND_PEAK_FROM:].max(),
        anterior.min(),
        anterior.max(),
    )
