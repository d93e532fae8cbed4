"""Curves of a report's figures: mean gait cycles of trials, gathered by arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from osim_exo.analysis.arms import Arm
from osim_exo.analysis.clinical import clinical_cycles
from osim_exo.analysis.cycles import mean_cycle
from osim_exo.analysis.events import GaitEvents, find_events
from osim_exo.analysis.normative import LEG_LENGTH_PER_HEIGHT, QUANTITIES, band
from osim_exo.analysis.spatiotemporal import spatiotemporal
from osim_exo.errors import DataError
from osim_exo.trial import Array, Channels, Trial

SIDE = "r"
"""The side that figures over the gait cycle show."""


@dataclass(frozen=True)
class ArmCurves:
    """Mean gait cycles of the right side in one arm.

    Attributes
    ----------
    arm : which arm
    curves : by quantity, (n_unit, 101) arrays; clinical quantities as in
        `osim_exo.analysis.normative`, ``activation/<muscle>``, ``exo_torque/<joint>`` (Nm),
        ``exo_torque_per_kg/<joint>`` and ``exo_power/<joint>`` (W/kg)
    units : label of every unit (subject, with its seed where there is one)
    stance : mean stance of the right foot, % of the gait cycle; NaN where it is not known
    """

    arm: Arm
    curves: Mapping[str, Array]
    units: tuple[str, ...]
    stance: float = float("nan")


def _unit(trial: Trial) -> str:
    info = trial.info
    return info.subject if info.seed is None else f"{info.subject}, seed {info.seed}"


def _exo_channels(trial: Trial) -> Channels:
    """Torque in Nm and Nm/kg and power in W/kg of the right side's joints."""
    mass = trial.info.body_mass
    columns: dict[str, Array] = {}
    for name in trial.exo_torque.names:
        if not name.endswith(f"_{SIDE}"):
            continue
        joint = name.split("_")[0]
        columns[f"exo_torque/{joint}"] = trial.exo_torque[name]
        if np.isfinite(mass):
            columns[f"exo_torque_per_kg/{joint}"] = trial.exo_torque[name] / mass
            if name in trial.exo_power:
                columns[f"exo_power/{joint}"] = trial.exo_power[name] / mass
    if not columns:
        return Channels.empty(trial.time.size)
    return Channels(tuple(columns), np.column_stack(list(columns.values())))


def trial_curves(trial: Trial, events: GaitEvents | None = None) -> dict[str, Array]:
    """Mean gait cycles of one trial's right side, (101,) arrays by quantity.

    Raises
    ------
    DataError
        The trial holds no whole right stride.
    """
    events = events or find_events(trial)
    clinical = clinical_cycles(trial, events)
    curves = {}
    for name in clinical.names:
        if not name.endswith("_l"):
            curves[name.removesuffix(f"_{SIDE}")] = clinical[name]
    right = [n for n in trial.activations.names if n.endswith(f"_{SIDE}")]
    active = mean_cycle(trial, trial.activations.select(right), "right", events)
    curves |= {f"activation/{n.removesuffix(f'_{SIDE}')}": active[n] for n in right}
    exo = mean_cycle(trial, _exo_channels(trial), "right", events)
    return curves | {n: exo[n] for n in exo.names}


def gather(trials: Sequence[Trial], arms: Sequence[Arm]) -> tuple[list[ArmCurves], list[str]]:
    """Curves by arm of trials that share a walk, and what could not be shown.

    Trials of the same unit are averaged. A quantity that some trials lack is that of the others.

    Returns
    -------
    curves : one entry per arm with at least one trial
    problems : one sentence per trial that holds no whole stride
    """
    gathered, problems = [], []
    for arm in arms:
        by_unit: dict[str, list[dict[str, Array]]] = {}
        stances = []
        for trial in (t for t in trials if arm.holds(t.info)):
            try:
                events = find_events(trial)
                curves = trial_curves(trial, events)
            except DataError as error:
                problems.append(str(error))
                continue
            by_unit.setdefault(_unit(trial), []).append(curves)
            stance = spatiotemporal(trial, events).stance_percent.get(SIDE, float("nan"))
            stances.append(float(stance))
        if by_unit:
            names = dict.fromkeys(n for entry in by_unit.values() for c in entry for n in c)
            stacked = {name: _stack(name, by_unit) for name in names}
            gathered.append(ArmCurves(arm, stacked, tuple(by_unit), float(np.mean(stances))))
    return gathered, problems


def _stack(name: str, by_unit: Mapping[str, Sequence[Mapping[str, Array]]]) -> Array:
    means = []
    for entries in by_unit.values():
        own = [entry[name] for entry in entries if name in entry]
        if own:
            means.append(np.mean(own, axis=0))
    return np.array(means)


def human_bands(trials: Sequence[Trial]) -> dict[str, tuple[Array, Array]]:
    """Human mean and SD of every quantity at the trials' mean speed; empty where it is unknown."""
    speeds = [t.info.speed for t in trials if np.isfinite(t.info.speed) and t.info.speed > 0]
    heights = [t.info.height for t in trials if np.isfinite(t.info.height) and t.info.height > 0]
    if not speeds or not heights:
        return {}
    speed = float(np.mean(speeds))
    leg = LEG_LENGTH_PER_HEIGHT * float(np.mean(heights))
    return {quantity: band(quantity, speed, leg) for quantity in QUANTITIES}
