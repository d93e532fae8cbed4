"""Unit conversions, used only at the edges: figures, tables, files and command lines."""

from __future__ import annotations

import math

GRAVITY = 9.80665
"""Standard gravity, m/s^2 (ISO 80000-3); the models use it too."""

DEG = math.pi / 180.0
"""Radians in one degree."""


def grade_percent(slope_deg: float) -> float:
    """Percent grade (rise over run) of a slope given in degrees."""
    return 100.0 * math.tan(slope_deg * DEG)
