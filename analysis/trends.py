"""How a gait changes with speed and slope, beside how people's changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from osim_exo.analysis.clinical import clinical_cycles
from osim_exo.analysis.cycles import strides_in
from osim_exo.analysis.energy import energy_cost
from osim_exo.analysis.events import GaitEvents, find_events
from osim_exo.analysis.normative import QUANTITIES, band
from osim_exo.analysis.power import JOINTS, joint_work, positive_joint_power
from osim_exo.analysis.realism import leg_length
from osim_exo.analysis.spatiotemporal import spatiotemporal
from osim_exo.errors import DataError, InputError
from osim_exo.names import SIDES
from osim_exo.trial import Array, Trial

FEWEST = 3
"""Speeds or slopes that make a trend."""

SCHWARTZ = "Schwartz et al. 2008, J Biomech 41:1639"
FUKUCHI_DATA = "Fukuchi et al. 2018, PeerJ 6:e4640"
FUKUCHI = "Fukuchi et al. 2019, Syst Rev 8:153"
LUDLOW = "Ludlow & Weyand 2017, J Appl Physiol 123:1288"
DEVITA = "DeVita et al. 2007, J Exp Biol 210:3361"
MONTGOMERY = "Montgomery & Grabowski 2018, R Soc Open Sci 5:180550"


@dataclass(frozen=True)
class Feature:
    """A number of a clinical curve: its largest or smallest value in a part of the gait cycle."""

    quantity: str
    first: int
    last: int
    pick: Literal["largest", "smallest"]

    def of(self, curve: Array) -> float:
        """Its value for a curve of 101 samples."""
        part = curve[self.first : self.last + 1]
        return float(part.max() if self.pick == "largest" else part.min())


FEATURES = {
    "hip extension, late stance": Feature("hip_flexion", 40, 65, "smallest"),
    "knee flexion, loading": Feature("knee_flexion", 5, 30, "largest"),
    "knee flexion, swing": Feature("knee_flexion", 55, 95, "largest"),
    "ankle plantarflexion, push-off": Feature("ankle_dorsiflexion", 50, 80, "smallest"),
    "vertical force, first peak": Feature("grf_vertical", 3, 28, "largest"),
    "vertical force, trough": Feature("grf_vertical", 18, 45, "smallest"),
    "braking force": Feature("grf_anterior", 0, 30, "smallest"),
    "propulsive force": Feature("grf_anterior", 35, 65, "largest"),
    "hip extension moment": Feature("hip_extension_moment", 0, 30, "largest"),
    "hip flexion moment": Feature("hip_extension_moment", 35, 65, "smallest"),
    "knee extension moment, loading": Feature("knee_extension_moment", 5, 35, "largest"),
    "ankle plantarflexion moment": Feature("ankle_plantarflexion_moment", 30, 65, "largest"),
    "hip power, pull-off": Feature("hip_power", 45, 80, "largest"),
    "ankle power, push-off": Feature("ankle_power", 35, 70, "largest"),
}
"""Of the curves that there are human bands for; windows in % of the gait cycle."""


@dataclass(frozen=True)
class Fact:
    """What people do as they walk faster or steeper.

    Attributes
    ----------
    unit : str
    rises : whether it grows; else it falls
    source : author, year, journal
    """

    unit: str
    rises: bool
    source: str


SPEED_FACTS = {
    "cadence": Fact("steps/min", True, FUKUCHI),
    "stride length": Fact("m", True, FUKUCHI),
    "stance": Fact("% of stride", False, FUKUCHI_DATA),
    "metabolic rate": Fact("W/kg", True, LUDLOW),
    "positive joint power": Fact("W/kg", True, FUKUCHI),
}
"""With speed, beside what the human bands say."""

SLOPE_FACTS = {
    "metabolic rate": Fact("W/kg", True, LUDLOW),
    "net joint power": Fact("W/kg", True, DEVITA),
    "hip's share of positive work": Fact("%", True, MONTGOMERY),
}
"""From downhill to uphill, -6 to 9 degrees in the first source, a ramp in the second, and -9 to 9
degrees in the third: there the shares are 34, 33 and 37 % for the hip."""


@dataclass(frozen=True)
class Trend:
    """How one number of a gait changes.

    Attributes
    ----------
    name : str
    unit : str
    over : ``speed`` (m/s) or ``slope`` (degrees, uphill positive)
    at : speeds or slopes, ascending
    values : there; NaN where nothing lasted long enough
    people : there, of the human bands; empty where only the direction is known
    rises : whether people's grows
    source : str
    """

    name: str
    unit: str
    over: Literal["speed", "slope"]
    at: tuple[float, ...]
    values: tuple[float, ...]
    people: tuple[float, ...]
    rises: bool
    source: str

    @property
    def slope(self) -> float:
        """Of the line of least squares, per m/s or degree; NaN with fewer than three values."""
        return _slope(self.at, self.values)

    @property
    def holds(self) -> bool:
        """Whether it changes as people's does."""
        return self.slope > 0.0 if self.rises else self.slope < 0.0


def speed_trends(walks: Mapping[float, Sequence[Trial]]) -> tuple[Trend, ...]:
    """Trends over walking speed on the level.

    Features of clinical curves are judged where the human bands change one way over all these
    speeds; where people's do not, there is nothing to hold a gait to.

    Parameters
    ----------
    walks : trials by commanded speed, m/s

    Raises
    ------
    InputError
        Fewer than three speeds.
    DataError
        A trial lacks body mass, height, ground forces or activations.
    """
    at = _axis(walks, "speeds")
    rows = {x: [_speed_numbers(trial) for trial in _whole(walks[x])] for x in at}
    lengths = {leg_length(trial) for x in at for trial in walks[x]}
    found = [
        Trend(name, fact.unit, "speed", at, _means(rows, at, name), (), fact.rises, fact.source)
        for name, fact in SPEED_FACTS.items()
    ]
    if not lengths:
        return tuple(found)
    length = max(lengths)
    for name, feature in FEATURES.items():
        people = tuple(feature.of(band(feature.quantity, x, length)[0]) for x in at)
        steps = np.diff(people)
        if (steps > 0.0).all() or (steps < 0.0).all():
            unit, rises = QUANTITIES[feature.quantity], bool(steps[0] > 0.0)
            values = _means(rows, at, name)
            found.append(Trend(name, unit, "speed", at, values, people, rises, SCHWARTZ))
    return tuple(found)


def slope_trends(walks: Mapping[float, Sequence[Trial]]) -> tuple[Trend, ...]:
    """Trends over slope at one speed.

    Parameters
    ----------
    walks : trials by slope, degrees, uphill positive

    Raises
    ------
    InputError
        Fewer than three slopes.
    DataError
        A trial lacks moments, body mass or activations.
    """
    at = _axis(walks, "slopes")
    rows = {x: [_energy(trial, find_events(trial)) for trial in _whole(walks[x])] for x in at}
    return tuple(
        Trend(name, fact.unit, "slope", at, _means(rows, at, name), (), fact.rises, fact.source)
        for name, fact in SLOPE_FACTS.items()
    )


def _axis(walks: Mapping[float, Sequence[Trial]], what: str) -> tuple[float, ...]:
    if len(walks) < FEWEST:
        raise InputError(f"Walks at {len(walks)} {what} were given; a trend takes {FEWEST}.")
    return tuple(sorted(walks))


def _whole(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that hold a stride of each side; who fell before that has no gait to judge."""
    return [trial for trial in trials if strides_in(trial)]


def _means(
    rows: Mapping[float, Sequence[Mapping[str, float]]], at: Sequence[float], name: str
) -> tuple[float, ...]:
    return tuple(
        float(np.mean([row[name] for row in rows[x]])) if rows[x] else float("nan") for x in at
    )


def _slope(at: Sequence[float], values: Sequence[float]) -> float:
    known = np.isfinite(values)
    if known.sum() < FEWEST:
        return float("nan")
    return float(np.polyfit(np.array(at)[known], np.array(values)[known], 1)[0])


def _speed_numbers(trial: Trial) -> dict[str, float]:
    events = find_events(trial)
    curves = clinical_cycles(trial, events)
    walk = spatiotemporal(trial, events)
    found = {
        "cadence": walk.cadence,
        "stride length": walk.stride_length,
        "stance": float(np.mean([walk.stance_percent[s] for s in SIDES])),
        **_energy(trial, events),
    }
    for name, feature in FEATURES.items():
        sides = [f"{feature.quantity}_{s}" for s in SIDES]
        if missing := [side for side in sides if side not in curves]:
            raise DataError(f"Trial '{trial.info.name}' has no {', '.join(missing)}.")
        found[name] = float(np.mean([feature.of(curves[side]) for side in sides]))
    return found


def _energy(trial: Trial, events: GaitEvents) -> dict[str, float]:
    """Metabolic rate, joint powers and the hip's share of positive work."""
    rate = energy_cost(trial, "bhargava2004", events=events).gross
    positive = positive_joint_power(trial, events)
    total = sum(positive.values())
    done = joint_work(trial, events)
    legs = [done[f"{coordinate}_{s}"] for coordinate in JOINTS.values() for s in SIDES]
    net = sum(work.mean_positive + work.mean_negative for work in legs)
    return {
        "metabolic rate": rate,
        "positive joint power": total / trial.info.body_mass,
        "net joint power": net / trial.info.body_mass,
        "hip's share of positive work": 100.0 * positive["hip"] / total,
    }
