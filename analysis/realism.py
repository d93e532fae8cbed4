"""How human a walk is: every clinical curve of a trial against the human bands."""

from __future__ import annotations

import numpy as np

from osim_exo.analysis.clinical import clinical_cycles
from osim_exo.analysis.events import GaitEvents, find_events
from osim_exo.analysis.normative import (
    LEG_LENGTH_PER_HEIGHT,
    QUANTITIES,
    BandComparison,
    compare_to_band,
)
from osim_exo.analysis.spatiotemporal import spatiotemporal
from osim_exo.errors import DataError
from osim_exo.names import SIDES
from osim_exo.trial import Trial


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
    length = leg_length(trial)
    speed = spatiotemporal(trial, events).speed
    if not (np.isfinite(speed) and speed > 0):
        raise DataError(
            f"Trial '{trial.info.name}' has walking speed {speed}; it must be positive to choose "
            "the human band. Set info.speed for a treadmill walk."
        )
    curves = clinical_cycles(trial, events)
    wanted = [(q, n) for q in QUANTITIES for n in (q, *(f"{q}_{s}" for s in SIDES))]
    return {n: compare_to_band(curves[n], q, speed, length) for q, n in wanted if n in curves}
