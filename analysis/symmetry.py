"""How alike the two legs move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osim_exo.analysis.clinical import clinical_angles
from osim_exo.analysis.cycles import mean_cycle
from osim_exo.analysis.events import GaitEvents
from osim_exo.trial import Array, Trial


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
