"""Human walking to compare with: bands of mean and standard deviation over the gait cycle."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from osim_exo.errors import DataError, InputError, check_option
from osim_exo.trial import Array
from osim_exo.units import GRAVITY

CITATION = (
    "Schwartz MH, Rozumalski A, Trost JP (2008). The effect of walking speed on the gait of "
    "typically developing children. J Biomech 41:1639-1650."
)
"""Where every band comes from."""

CLASS_SPEEDS = {
    "very_slow": 0.16,
    "slow": 0.295,
    "free": 0.43,
    "fast": 0.57,
    "very_fast": 0.705,
}
"""Speed class centres as dimensionless speed v / sqrt(g L).

The classes' limits are recalled, not read in the paper: slow 0.23-0.36, free 0.36-0.50, fast
0.50-0.64. The centres are the middles of these; the open outer classes are placed one class width
(0.136) further out."""

LEG_LENGTH_PER_HEIGHT = 0.53
"""Height of the hip over the ground per body height (Drillis & Contini 1966; Winter 2009)."""

NARROWEST_BAND = 0.02
"""Standard deviation below which a band is not taken at its word, share of the mean curve's range.

In swing the ground reaction force of humans and its deviation are both zero."""

QUANTITIES = {
    "pelvis_anterior_tilt": "deg",
    "hip_flexion": "deg",
    "knee_flexion": "deg",
    "ankle_dorsiflexion": "deg",
    "grf_vertical": "BW",
    "grf_anterior": "BW",
    "hip_extension_moment": "Nm/kg",
    "knee_extension_moment": "Nm/kg",
    "ankle_plantarflexion_moment": "Nm/kg",
    "hip_power": "W/kg",
    "knee_power": "W/kg",
    "ankle_power": "W/kg",
}
"""What there are bands for, with units; clinical signs, internal moments."""

MUSCLES = {
    "emg_rectus_femoris": ("rect_fem", "recfem"),
    "emg_medial_hamstrings": ("hamstrings", "semimem", "semiten"),
    "emg_lateral_hamstrings": ("hamstrings", "bifemlh", "bflh"),
    "emg_medial_gastrocnemius": ("gastroc", "med_gas", "gasmed"),
    "emg_anterior_tibialis": ("tib_ant", "tibant"),
}
"""Electromyograms that there are bands for, with the muscles of this and of other models that they
are of, without side. Their scale is that of the source, so only their shape over the cycle can be
compared with activation."""


@dataclass(frozen=True)
class BandComparison:
    """How one curve lies in a human band.

    Attributes
    ----------
    quantity : name in `QUANTITIES`
    within_1_sd, within_2_sd : share of the gait cycle inside the band, 0 to 1
    rms : root mean square difference from the mean curve, in the quantity's unit
    correlation : Pearson correlation with the mean curve; NaN for a constant curve
    """

    quantity: str
    within_1_sd: float
    within_2_sd: float
    rms: float
    correlation: float


def dimensionless_speed(speed: float, leg_length: float) -> float:
    """Speed (m/s) over sqrt(g * leg length), the square root of the Froude number."""
    if not (math.isfinite(speed) and speed > 0 and math.isfinite(leg_length) and leg_length > 0):
        raise InputError(
            f"Speed {speed} m/s and leg length {leg_length} m were given; both must be positive."
        )
    return speed / math.sqrt(GRAVITY * leg_length)


def band(quantity: str, speed: float, leg_length: float) -> tuple[Array, Array]:
    """Mean and standard deviation of a quantity over the gait cycle at a walking speed.

    Between two class centres mean and standard deviation are interpolated linearly; beyond the
    outer centres the outer class is used.

    Parameters
    ----------
    quantity : one of `QUANTITIES` or of `MUSCLES`
    speed : m/s
    leg_length : hip to floor, m (about `LEG_LENGTH_PER_HEIGHT` times body height)

    Returns
    -------
    mean, sd : (101,) arrays from 0 to 100 % of the gait cycle, in the quantity's unit
    """
    check_option("quantity", quantity, (*QUANTITIES, *MUSCLES))
    table = _table()[quantity]
    position = np.interp(
        dimensionless_speed(speed, leg_length), list(CLASS_SPEEDS.values()), np.arange(5.0)
    )
    lower = min(int(position), len(CLASS_SPEEDS) - 2)
    share = position - lower
    mean, sd = (1 - share) * table[lower] + share * table[lower + 1]
    return mean, sd


def compare_to_band(curve: Array, quantity: str, speed: float, leg_length: float) -> BandComparison:
    """Share of the cycle within 1 and 2 SD of human walking, RMS difference and correlation.

    Parameters
    ----------
    curve : (101,) array in the unit and sign of `QUANTITIES`
    quantity, speed, leg_length : as in `band`

    Raises
    ------
    DataError
        The curve is not 101 finite numbers.
    """
    curve = np.asarray(curve, dtype=float)
    if curve.shape != (101,) or not np.isfinite(curve).all():
        raise DataError(
            f"A curve of shape {curve.shape} was given for {quantity}; allowed are 101 finite "
            "numbers from 0 to 100 % of the gait cycle."
        )
    mean, sd = band(quantity, speed, leg_length)
    away = np.abs(curve - mean)
    sd = np.maximum(sd, NARROWEST_BAND * np.ptp(mean))
    varies = curve.std() > 0 and mean.std() > 0
    return BandComparison(
        quantity,
        float(np.mean(away <= sd)),
        float(np.mean(away <= 2 * sd)),
        float(np.sqrt(np.mean(away**2))),
        float(np.corrcoef(curve, mean)[0, 1]) if varies else float("nan"),
    )


@lru_cache(maxsize=1)
def _table() -> dict[str, Array]:
    """By quantity: (class, 2, 101) array of mean and standard deviation."""
    return _read("schwartz2008.csv", QUANTITIES) | _read("schwartz2008_emg.csv", MUSCLES)


def _read(name: str, quantities: Iterable[str]) -> dict[str, Array]:
    path = Path(__file__).with_name(name)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    percent = np.arange(101.0)
    table = {}
    for quantity in quantities:
        curves = np.empty((len(CLASS_SPEEDS), 2, 101))
        for i, speed_class in enumerate(CLASS_SPEEDS):
            own = [row for row in rows if row["speed_class"] == speed_class]
            at = [float(row["percent"]) for row in own]
            for j, part in enumerate(("mean", "sd")):
                curves[i, j] = np.interp(percent, at, [float(r[f"{quantity}_{part}"]) for r in own])
        table[quantity] = curves
    return table
