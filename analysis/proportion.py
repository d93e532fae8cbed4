"""Shares, as of walkers that fell, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from osim_exo.errors import InputError

NORMAL_95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval, all within 0 and 1."""

    value: float
    low: float
    high: float


def wilson(count: int, total: int) -> Share:
    """Share with the score interval of Wilson 1927 (J Am Stat Assoc 22:209-212), 95 %.

    It stays within 0 and 1 and has a width where nobody, or everybody, counts.

    Parameters
    ----------
    count : that has the property
    total : of all, at least 1

    Raises
    ------
    InputError
        There is nobody, or more than all have the property.
    """
    if total < 1 or not 0 <= count <= total:
        raise InputError(f"{count} of {total} were counted; 0 to all of at least 1 are allowed.")
    share, square = count / total, NORMAL_95**2
    scale = 1.0 + square / total
    middle = (share + square / (2.0 * total)) / scale
    spread = math.sqrt(share * (1.0 - share) / total + square / (4.0 * total**2))
    half = NORMAL_95 / scale * spread
    low = 0.0 if count == 0 else max(0.0, middle - half)
    high = 1.0 if count == total else min(1.0, middle + half)
    return Share(share, low, high)
