"""How well one torque follows another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.errors import InputError


@dataclass(frozen=True)
class Agreement:
    """Of two torques, all samples and both legs together.

    Attributes
    ----------
    r : Pearson's correlation; NaN where one of them does not vary
    rmse : root of the mean squared difference, in their unit
    """

    r: float
    rmse: float


def agreement(found: npt.ArrayLike, wanted: npt.ArrayLike) -> Agreement:
    """Correlation and error of two torques.

    Parameters
    ----------
    found, wanted : arrays of the same shape, Nm/kg; samples that are not numbers are left out

    Raises
    ------
    InputError
        The shapes differ.
    """
    a, b = np.asarray(found, dtype=float), np.asarray(wanted, dtype=float)
    if a.shape != b.shape:
        raise InputError(f"Torques of shapes {a.shape} and {b.shape} were given to compare.")
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if not a.size:
        return Agreement(float("nan"), float("nan"))
    moves = min(np.ptp(a), np.ptp(b)) > 0.0
    r = float(np.corrcoef(a, b)[0, 1]) if moves else float("nan")
    return Agreement(r, float(np.sqrt(np.mean((a - b) ** 2))))
