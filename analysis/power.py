"""Joint powers and work, split between body and device, and the balance of all powers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osim_exo.analysis.cycles import stride_mean, stride_times
from osim_exo.analysis.events import GaitEvents, find_events
from osim_exo.errors import DataError
from osim_exo.names import SIDES
from osim_exo.trial import Array, Channels, Trial

JOINTS = {"hip": "hip_flexion", "knee": "knee_angle", "ankle": "ankle_angle"}
"""Coordinates that `positive_joint_power` sums over, by joint, without side."""


@dataclass(frozen=True)
class Work:
    """What one power does over the strides of a trial.

    Attributes
    ----------
    positive, negative : J per stride; negative is not above zero
    mean_positive, mean_negative : W, time averages over the stride
    """

    positive: float
    negative: float
    mean_positive: float
    mean_negative: float


@dataclass(frozen=True)
class PowerBalance:
    """Mechanical powers of a trial over time, W, (n_time,) arrays.

    Attributes
    ----------
    muscles : given to the skeleton by the muscles
    passive : given by the passive joint structures
    exo : given by the device
    joints : biological moments times speeds, summed over the coordinates
    residual : joints - muscles - passive; zero where the trial is consistent
    """

    muscles: Array
    passive: Array
    exo: Array
    joints: Array
    residual: Array

    @property
    def total(self) -> Array:
        """Power of body and device together, W."""
        return self.joints + self.exo


def joint_powers(trial: Trial) -> Channels:
    """Biological power by coordinate, W: moment times speed, generation positive.

    Raises
    ------
    DataError
        The trial has no moments, or a coordinate with a moment has no speed.
    """
    names = trial.moments.names
    if not names:
        raise DataError(f"Trial '{trial.info.name}' has no joint moments.")
    return Channels(names, trial.moments.values * trial.speeds.select(names).values)


def work(trial: Trial, power: Array, events: GaitEvents | None = None) -> Work:
    """Positive and negative work of a power over the whole right strides of a trial.

    Parameters
    ----------
    power : (n_time,) array, W
    """
    events = events or find_events(trial)
    strides = stride_times(trial, "r", events)
    stride_time = float(np.mean(strides[:, 1] - strides[:, 0]))
    up = float(stride_mean(trial, np.maximum(power, 0.0), events))
    down = float(stride_mean(trial, np.minimum(power, 0.0), events))
    return Work(up * stride_time, down * stride_time, up, down)


def joint_work(trial: Trial, events: GaitEvents | None = None) -> dict[str, Work]:
    """Biological work by coordinate of `joint_powers`."""
    powers = joint_powers(trial)
    events = events or find_events(trial)
    return {name: work(trial, powers[name], events) for name in powers.names}


def exo_work(trial: Trial, events: GaitEvents | None = None) -> dict[str, Work]:
    """Work of the device by coordinate; empty without a device."""
    events = events or find_events(trial)
    return {name: work(trial, trial.exo_power[name], events) for name in trial.exo_power.names}


def positive_joint_power(trial: Trial, events: GaitEvents | None = None) -> dict[str, float]:
    """Mean biological positive power by joint, both legs together, W.

    Raises
    ------
    DataError
        Moments or speeds of a hip, knee or ankle are missing.
    """
    lacking = [
        f"{c}_{s}" for c in JOINTS.values() for s in SIDES if f"{c}_{s}" not in trial.moments
    ]
    if lacking:
        raise DataError(f"Trial '{trial.info.name}' has no moments of {', '.join(lacking)}.")
    done = joint_work(trial, events)
    return {
        joint: sum(done[f"{coordinate}_{s}"].mean_positive for s in SIDES)
        for joint, coordinate in JOINTS.items()
    }


def power_balance(trial: Trial) -> PowerBalance:
    """Powers of muscles, passive structures and device beside the joints' power.

    Raises
    ------
    DataError
        The trial has no muscle powers or no joint moments.
    """
    if not len(trial.muscle_powers):
        raise DataError(f"Trial '{trial.info.name}' has no muscle powers.")
    joints = joint_powers(trial).values.sum(axis=1)
    muscles = trial.muscle_powers.values.sum(axis=1)
    names = trial.passive_moments.names
    speeds = trial.speeds.select(names).values
    passive = (trial.passive_moments.values * speeds).sum(axis=1)
    exo = trial.exo_power.values.sum(axis=1)
    return PowerBalance(muscles, passive, exo, joints, joints - muscles - passive)
