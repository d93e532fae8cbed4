"""The ground: slope as rotated gravity, and the contact spheres of a model."""

from __future__ import annotations

import math

import opensim as osim

from osim_exo.errors import InputError
from osim_exo.units import DEG, GRAVITY

MAX_SLOPE_DEG = 15.0
"""Steepest slope that is accepted; the models and recordings say nothing beyond it."""


def check_slope(slope_deg: float) -> float:
    """Return the slope if it can be walked here, else raise an `InputError`."""
    if not math.isfinite(slope_deg) or abs(slope_deg) > MAX_SLOPE_DEG:
        raise InputError(
            f"Slope {slope_deg} degrees was given; allowed is -{MAX_SLOPE_DEG:g} to "
            f"{MAX_SLOPE_DEG:g} degrees (uphill positive)."
        )
    return slope_deg


def set_slope(model: osim.Model, slope_deg: float) -> None:
    """Tilt gravity so that the ground's x axis runs along a slope, uphill positive.

    A tilted floor would make steady walking aperiodic in the world frame (the pelvis climbs);
    rotated gravity is the same physics in the slope's own frame.
    """
    angle = check_slope(slope_deg) * DEG
    model.set_gravity(osim.Vec3(-GRAVITY * math.sin(angle), -GRAVITY * math.cos(angle), 0.0))


def contact_forces(model: osim.Model) -> list[osim.SmoothSphereHalfSpaceForce]:
    """Every smooth sphere contact of a model, wherever it sits, in component order."""
    found = []
    for component in model.getComponentsList():
        force = osim.SmoothSphereHalfSpaceForce.safeDownCast(component)
        if force is not None:
            found.append(force)
    return found
