"""How alike the two legs move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osim_exo.analysis.clinical import clinical_angles
from osim_exo.analysis.cycles import cut, mean_cycle, stride_times
from osim_exo.analysis.events import GaitEvents, find_events
from osim_exo.analysis.power import JOINTS, joint_powers
from osim_exo.analysis.spatiotemporal import spatiotemporal
from osim_exo.errors import DataError
from osim_exo.names import SIDES
from osim_exo.trial import Array, Channels, Trial


@dataclass(frozen=True)
class Symmetry:
    """Right against left, each from its own heel strike.

    Attributes
    ----------
    index : symmetry index of the ranges of motion, %; positive where the right side is larger
    correlation : Pearson correlation of the two mean curves; NaN for a constant curve
    rms : root mean square difference of the two mean curves, in the curves' unit
    """

    index: float
    correlation: float
    rms: float


@dataclass(frozen=True)
class Leg:
    """What one leg did per stride, means over its own strides; NaN where it was not recorded.

    Attributes
    ----------
    step_length : m, from the other heel's strike to this one's
    stance_time : s
    positive_work, negative_work : J per stride, biological, of hip, knee and ankle; negative work
        is not above zero
    """

    step_length: float
    stance_time: float
    positive_work: float
    negative_work: float


def symmetry_index(right: float, left: float) -> float:
    """Symmetry index of Robinson et al. 1987 with sign, %: 100 (R - L) / (0.5 (R + L)).

    Zero is perfect symmetry, positive means that the right side is larger; NaN where the mean of
    both is zero. (Robinson, Herzog & Nigg 1987, J Manipulative Physiol Ther 10:172-176.)
    """
    middle = 0.5 * (right + left)
    return 100.0 * (right - left) / middle if middle != 0 else float("nan")


def compare_sides(right: Array, left: Array) -> Symmetry:
    """Symmetry of two curves over the gait cycle, (101,) arrays."""
    varies = right.std() > 0 and left.std() > 0
    return Symmetry(
        symmetry_index(float(np.ptp(right)), float(np.ptp(left))),
        float(np.corrcoef(right, left)[0, 1]) if varies else float("nan"),
        float(np.sqrt(np.mean((right - left) ** 2))),
    )


def joint_symmetry(trial: Trial, events: GaitEvents | None = None) -> dict[str, Symmetry]:
    """Symmetry of hip flexion, knee flexion and ankle dorsiflexion (degrees), by angle."""
    curves = mean_cycle(trial, clinical_angles(trial), "own", events)
    return {
        name[:-2]: compare_sides(curves[name], curves[f"{name[:-2]}_l"])
        for name in curves.names
        if name.endswith("_r") and f"{name[:-2]}_l" in curves
    }


def legs(trial: Trial, events: GaitEvents | None = None) -> dict[str, Leg]:
    """Step length, stance time and joint work of the right and the left leg, by ``r`` and ``l``.

    Raises
    ------
    DataError
        A side has no whole stride.
    """
    events = events or find_events(trial)
    steps = spatiotemporal(trial, events)
    found = {}
    for side in SIDES:
        strides = stride_times(trial, side, events)
        stride_time = float(np.mean(strides[:, 1] - strides[:, 0]))
        stance = steps.stance_percent[side] / 100.0 * stride_time
        found[side] = Leg(steps.step_length[side], stance, *_work(trial, side, strides))
    return found


def leg_symmetry(trial: Trial, events: GaitEvents | None = None) -> dict[str, float]:
    """Symmetry index of `Leg`'s step length, stance time and positive work, %, by name."""
    both = legs(trial, events)
    return {
        name: symmetry_index(getattr(both["r"], name), getattr(both["l"], name))
        for name in ("step_length", "stance_time", "positive_work")
    }


def _work(trial: Trial, side: str, strides: Array) -> tuple[float, float]:
    """Positive and negative work of a leg's joints per stride, J."""
    names = [f"{coordinate}_{side}" for coordinate in JOINTS.values()]
    try:
        powers = joint_powers(trial).select(names).values
    except (DataError, KeyError):
        return float("nan"), float("nan")
    signed = [np.maximum(powers, 0.0).sum(axis=1), np.minimum(powers, 0.0).sum(axis=1)]
    channels = Channels(("positive", "negative"), np.stack(signed, axis=1))
    cycles = cut(trial, channels, strides)
    means = np.trapezoid(cycles.values, dx=0.01, axis=1)
    up, down = np.mean(means * (strides[:, 1] - strides[:, 0])[:, None], axis=0)
    return float(up), float(down)
