"""What every stride of a walk was like: numbers whose spread is the walk's own."""

from __future__ import annotations

import numpy as np

from osim_exo.analysis.cycles import stride_times
from osim_exo.analysis.events import find_events
from osim_exo.trial import Array, Channels, Trial
from osim_exo.units import DEG, GRAVITY

RANGES = ("hip_flexion", "knee_angle", "ankle_angle")
"""Coordinates whose range of motion is told, right side, where the trial has them."""


def stride_table(trial: Trial) -> Channels:
    """One row per whole right stride.

    Columns, where the trial has what they need: ``stride_time`` (s), ``walking_speed`` (m/s),
    ``mean_activation``, ``grf_peak_bw`` (largest vertical force of the right foot, body weights),
    and the right hip's, knee's and ankle's range of motion, as ``hip_flexion_range_deg``.

    Raises
    ------
    DataError
        The trial has no whole right stride.
    """
    strides = stride_times(trial, "r", find_events(trial))
    rows = [_stride(trial, start, end) for start, end in strides]
    return Channels(tuple(rows[0]), np.array([list(row.values()) for row in rows]))


def _stride(trial: Trial, start: float, end: float) -> dict[str, float]:
    inside = (trial.time >= start) & (trial.time < end)
    found = {"stride_time": float(end - start)}
    if "pelvis_tx" in trial.coordinates:
        place = np.interp([start, end], trial.time, trial.coordinates["pelvis_tx"])
        found["walking_speed"] = float((place[1] - place[0]) / (end - start))
    if len(trial.activations):
        found["mean_activation"] = float(trial.activations.values[inside].mean())
    if "ground_force_r_vy" in trial.grf:
        weight = trial.info.body_mass * GRAVITY
        found["grf_peak_bw"] = float(trial.grf["ground_force_r_vy"][inside].max() / weight)
    for coordinate in RANGES:
        if f"{coordinate}_r" in trial.coordinates:
            angle: Array = trial.coordinates[f"{coordinate}_r"][inside]
            found[f"{coordinate}_range_deg"] = float(np.ptp(angle) / DEG)
    return found
