"""How human a walk is: every clinical curve of a trial against the human bands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from osim_exo.analysis.clinical import clinical_angles, clinical_cycles, clinical_forces
from osim_exo.analysis.cycles import mean_cycle, strides_in
from osim_exo.analysis.events import GaitEvents, find_events
from osim_exo.analysis.gates import Gate, force_gates, gate, usual_walk
from osim_exo.analysis.grf import grf_features
from osim_exo.analysis.normative import (
    LEG_LENGTH_PER_HEIGHT,
    MUSCLES,
    QUANTITIES,
    BandComparison,
    band,
    compare_to_band,
)
from osim_exo.analysis.spatiotemporal import spatiotemporal
from osim_exo.errors import DataError
from osim_exo.names import SIDES
from osim_exo.trial import Array, Trial

JOINTS = ("hip_flexion", "knee_flexion", "ankle_dorsiflexion")
"""Joint angles that `realism` averages."""

COMPARED = tuple(name for name in QUANTITIES if name != "pelvis_anterior_tilt")
"""Quantities of the human bands that `realism` tells; all of a leg."""

REAR = 1.0 / 3.0
"""Share of the foot, from the heel's sphere to the toe's, that counts as landing on the heel."""

LEAST_SHARE = 0.7
"""Of the gait cycle within 1 SD of people that a joint angle must have; published gaits that were
learned without a reference reach 0.50 to 0.73."""

STANCE = (57.0, 66.0)
"""% of the stride; 57.8 to 62.4 were measured at 1.25 m/s and faster (Fukuchi et al. 2018, PeerJ
6:e4640, treadmill data of subject WBDS04; reference data of one more walker). How much more is
allowed on both ends is this project's choice."""

HUMP_DEPTH = 0.05
"""Body weights; smaller ripples of the vertical force are no humps."""


@dataclass(frozen=True)
class Timing:
    """When a muscle is active over the gait cycle, beside people's electromyogram.

    Attributes
    ----------
    correlation : Pearson's, of activation and mean envelope; NaN for a constant activation
    lag_percent : of the gait cycle, -50 to 49, by which the activation is later than the envelope
        where both are most alike; negative where it is earlier
    """

    correlation: float
    lag_percent: float


def leg_length(trial: Trial) -> float:
    """Height of the hip over the ground, m, from the trial's body height.

    Raises
    ------
    DataError
        The trial does not know its body height.
    """
    height = trial.info.height
    if not (np.isfinite(height) and height > 0):
        raise DataError(
            f"Trial '{trial.info.name}' has height {height}; a positive number of metres is needed "
            "to choose the human band. Set info.height."
        )
    return LEG_LENGTH_PER_HEIGHT * height


def compare_to_humans(trial: Trial, events: GaitEvents | None = None) -> dict[str, BandComparison]:
    """Every clinical curve that a trial has, beside the human band at its walking speed.

    The bands are of level walking; on a slope they are a reference, not a goal.

    Returns
    -------
    dict
        By quantity and side (``hip_flexion_r``), and ``pelvis_anterior_tilt``.

    Raises
    ------
    DataError
        Height or walking speed are not known, or there is no whole stride.
    """
    events = events or find_events(trial)
    speed, length = _size(trial, events)
    curves = clinical_cycles(trial, events)
    wanted = [(q, n) for q in QUANTITIES for n in (q, *(f"{q}_{s}" for s in SIDES))]
    return {n: compare_to_band(curves[n], q, speed, length) for q, n in wanted if n in curves}


def muscle_timing(trial: Trial, events: GaitEvents | None = None) -> dict[str, Timing]:
    """Activation over the gait cycle beside people's electromyograms at the same speed.

    Only shapes are compared: nobody knows what activation an envelope of a certain height is. An
    envelope lags its muscle's excitation by its own filter, as activation does.

    Returns
    -------
    dict
        By name in `osim_exo.analysis.normative.MUSCLES` and side; both sides' muscles of that name.

    Raises
    ------
    DataError
        As `compare_to_humans`.
    """
    events = events or find_events(trial)
    speed, length = _size(trial, events)
    cycles = mean_cycle(trial, trial.activations, "own", events)
    found = {}
    for name, muscles in MUSCLES.items():
        people, _ = band(name, speed, length)
        for s in SIDES:
            own = [cycles[n] for m in muscles if (n := f"{m}_{s}") in cycles]
            if own:
                found[f"{name}_{s}"] = _timing(np.mean(own, axis=0), people)
    return found


def _timing(activation: Array, people: Array) -> Timing:
    ours, theirs = (curve[:-1] - curve[:-1].mean() for curve in (activation, people))
    size = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
    if np.allclose(ours, 0.0) or not np.isfinite(size):
        return Timing(float("nan"), float("nan"))
    alike = np.array([np.dot(np.roll(ours, -k), theirs) for k in range(-50, 50)]) / size
    return Timing(float(alike[50]), float(np.argmax(alike) - 50))


def _size(trial: Trial, events: GaitEvents) -> tuple[float, float]:
    """Walking speed, m/s, and leg length, m, which choose the band."""
    length = leg_length(trial)
    speed = spatiotemporal(trial, events).speed
    if not (np.isfinite(speed) and speed > 0):
        raise DataError(
            f"Trial '{trial.info.name}' has walking speed {speed}; it must be positive to choose "
            "the human band. Set info.speed for a treadmill walk."
        )
    return speed, length


def realism(trial: Trial) -> dict[str, float]:
    """How human a walk is, in numbers; curves as means of both sides.

    Returns
    -------
    dict
        By quantity of `COMPARED`: ``<quantity>/within_1_sd`` and ``/within_2_sd`` (share of the
        gait cycle), ``/rms`` (in its unit) and ``/correlation``; ``angles/within_1_sd`` and
        ``/within_2_sd``, the means of the three joints; by muscle of
        `osim_exo.analysis.normative.MUSCLES`: ``emg_<muscle>/correlation`` and ``/lag_percent``
        (see `Timing`); of the ground forces ``first_peak_bw`` and so on for every field of
        `osim_exo.analysis.grf.GrfFeatures`, ``largest_force_bw`` (of any stance) and ``humps`` of
        the vertical force; ``heel_first_share`` of the heel strikes; ``least_knee_flexion_deg``,
        negative where a knee bends backwards; ``cadence`` (steps/min), ``stride_length_m``,
        ``stance_percent`` and ``speed`` (m/s).

    Raises
    ------
    DataError
        As `compare_to_humans`.
    """
    events = find_events(trial)
    found: dict[str, float] = {}
    bands = compare_to_humans(trial, events)
    for quantity in COMPARED:
        sides = [bands[name] for s in SIDES if (name := f"{quantity}_{s}") in bands]
        for part in ("within_1_sd", "within_2_sd", "rms", "correlation") if sides else ():
            found[f"{quantity}/{part}"] = float(np.mean([getattr(b, part) for b in sides]))
    for part in ("within_1_sd", "within_2_sd"):
        shares = [found[f"{joint}/{part}"] for joint in JOINTS if f"{joint}/{part}" in found]
        found[f"angles/{part}"] = float(np.mean(shares))
    timing = muscle_timing(trial, events)
    for muscle in MUSCLES:
        both = [timing[name] for s in SIDES if (name := f"{muscle}_{s}") in timing]
        for part in ("correlation", "lag_percent") if both else ():
            found[f"{muscle}/{part}"] = float(np.mean([getattr(t, part) for t in both]))
    knees = [clinical_angles(trial)[f"knee_flexion_{s}"] for s in SIDES]
    found["least_knee_flexion_deg"] = float(np.min(knees))
    walk = spatiotemporal(trial, events)
    found |= {
        "cadence": walk.cadence,
        "stride_length_m": walk.stride_length,
        "stance_percent": float(np.mean([walk.stance_percent[s] for s in SIDES])),
        "speed": walk.speed,
    }
    if "ground_force_r_vy" in trial.grf:
        found |= _ground(trial, events)
    return found


def mean_realism(trials: Iterable[Trial]) -> dict[str, float]:
    """Means of `realism` over walks; those without a whole stride of each side are left out.

    Raises
    ------
    DataError
        As `compare_to_humans`.
    """
    rows = [realism(trial) for trial in trials if strides_in(trial)]
    known = [set(row) for row in rows]
    names = [name for name in rows[0] if all(name in row for row in known)] if rows else []
    return {name: float(np.mean([row[name] for row in rows])) for name in names}


def _ground(trial: Trial, events: GaitEvents) -> dict[str, float]:
    """What `realism` tells of the ground reaction."""
    features = [grf_features(trial, s, events) for s in SIDES]
    loads = clinical_cycles(trial, events)
    forces = clinical_forces(trial)
    landings = [share for s in SIDES for share in landing_place(trial, s, events)]
    found = {
        f"{part}_bw": float(np.mean([getattr(f, part) for f in features]))
        for part in vars(features[0])
    }
    found["largest_force_bw"] = float(max(forces[f"grf_vertical_{s}"].max() for s in SIDES))
    found["humps"] = float(np.mean([humps(loads[f"grf_vertical_{s}"]) for s in SIDES]))
    if landings:
        found["heel_first_share"] = float(np.mean(np.array(landings) < REAR))
    return found


def realism_gates(
    found: Mapping[str, float], slope_deg: float = 0.0, condition: str = "no_exo"
) -> list[Gate]:
    """Which demands a walk meets that people's walks meet.

    Parameters
    ----------
    found : of `realism`, or means of several
    slope_deg, condition : of the walk; the ranges are required of level walking without device near
        1.25 m/s, elsewhere they inform
    """
    inform = not usual_walk(found["speed"], slope_deg, condition)
    gates = [
        gate(
            f"human_{joint}",
            100.0 * found[f"{joint}/within_1_sd"],
            "% of cycle",
            100.0 * LEAST_SHARE,
            None,
            "Share of the gait cycle within 1 SD of people at this speed.",
            inform,
        )
        for joint in JOINTS
        if f"{joint}/within_1_sd" in found
    ]
    singles = (
        ("knee_straight", "least_knee_flexion_deg", "deg", 0.0, None, "No knee bends backwards."),
        ("stance", "stance_percent", "%", *STANCE, "Share of the stride with a foot down."),
        ("heel_first", "heel_first_share", "", 0.95, None, "Share of strikes on the heel."),
        ("grf_humps", "humps", "", 2.0, 2.0, "Humps of the vertical force."),
        ("grf_largest", "largest_force_bw", "BW", None, 1.40, "Largest force: no spike."),
    )
    gates += [
        gate(name, found[key], unit, low, high, text, inform)
        for name, key, unit, low, high, text in singles
        if key in found
    ]
    if "first_peak_bw" in found:
        gates += force_gates({k.removesuffix("_bw"): v for k, v in found.items()}, inform)
    return gates


def humps(load: Array, depth: float = HUMP_DEPTH) -> int:
    """Number of maxima of a curve that stand out from the minima beside them by `depth`.

    Parameters
    ----------
    load : (n,) array; begins and ends low, as a foot's vertical force over the gait cycle
    depth : in the curve's unit
    """
    count, rising = 0, True
    extreme = float(load[0])
    for value in (*map(float, load), float(np.min(load)) - 2.0 * depth):
        if rising:
            extreme = max(extreme, value)
            if value < extreme - depth:
                count, rising, extreme = count + 1, False, value
        else:
            extreme = min(extreme, value)
            if value > extreme + depth:
                rising, extreme = True, value
    return count


def landing_place(trial: Trial, side: str, events: GaitEvents) -> list[float]:
    """Where the centre of pressure lies at each heel strike, 0 at the heel and 1 at the toe.

    Empty where the trial has no landmarks of heel and toe, or no centre of pressure.
    """
    names = (f"heel_{side}.x", f"toe_{side}.x")
    centre = f"ground_force_{side}_px"
    if not (all(n in trial.points for n in names) and centre in trial.grf):
        return []
    heel, toe = (trial.points[n] for n in names)
    first = np.searchsorted(trial.time, events.heel_strikes[side])
    at = first[first < trial.time.size]
    return [float(p) for p in (trial.grf[centre][at] - heel[at]) / (toe[at] - heel[at])]
