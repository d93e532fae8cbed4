"""Muscle activation over the stride: per muscle, per functional group and in all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osim_exo.analysis.cycles import stride_mean, stride_times
from osim_exo.analysis.events import GaitEvents, find_events
from osim_exo.errors import DataError
from osim_exo.names import MUSCLE_GROUPS, SIDES, side
from osim_exo.trial import Trial


@dataclass(frozen=True)
class ActivationSummary:
    """Activation over the whole strides of a trial, 0 to 1.

    Attributes
    ----------
    mean, peak : by muscle (with side)
    group_mean : by functional group, unweighted mean over its muscles and both legs
    overall : unweighted mean over muscles and time, both legs
    overall_volume_weighted : mean weighted by muscle volume; NaN without muscle parameters
    """

    mean: dict[str, float]
    peak: dict[str, float]
    group_mean: dict[str, float]
    overall: float
    overall_volume_weighted: float


def summarise_activation(trial: Trial, events: GaitEvents | None = None) -> ActivationSummary:
    """Mean and peak activation per muscle, group and in all.

    Raises
    ------
    DataError
        The trial has no activations or no whole stride.
    """
    names = trial.activations.names
    if not names:
        raise DataError(f"Trial '{trial.info.name}' has no activations.")
    events = events or find_events(trial)
    means = stride_mean(trial, trial.activations.values, events)
    strides = stride_times(trial, "r", events)
    inside = (trial.time >= strides[0, 0]) & (trial.time <= strides[-1, 1])
    peaks = trial.activations.values[inside].max(axis=0)
    mean = {n: float(v) for n, v in zip(names, means)}
    volumes = [trial.info.muscles[n].volume for n in names if n in trial.info.muscles]
    weighted = np.average(means, weights=volumes) if len(volumes) == len(names) else np.nan
    return ActivationSummary(
        mean,
        {n: float(v) for n, v in zip(names, peaks)},
        _groups(mean),
        float(np.mean(means)),
        float(weighted),
    )


def without_side(values: dict[str, float]) -> dict[str, float]:
    """Mean over both sides by name without side; names without a side stay as they are."""
    collected: dict[str, list[float]] = {}
    for name, value in values.items():
        collected.setdefault(name[:-2] if side(name) else name, []).append(value)
    return {name: float(np.mean(v)) for name, v in collected.items()}


def _groups(mean: dict[str, float]) -> dict[str, float]:
    groups = {}
    for group, muscles in MUSCLE_GROUPS.items():
        found = [mean[n] for s in SIDES for m in muscles if (n := f"{m}_{s}") in mean]
        if found:
            groups[group] = float(np.mean(found))
    return groups
