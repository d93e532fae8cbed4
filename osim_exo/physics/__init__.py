"""Stepped physics: one interface, OpenSim behind it, in this process or in several."""

from osim_exo.models.recipe import ModelFile, ModelRecipe
from osim_exo.physics.base import (
    FallLimits,
    Physics,
    PhysicsNames,
    PhysicsState,
    StartState,
    centre_of_pressure,
    fallen,
)
from osim_exo.physics.opensim import OpenSimPhysics
from osim_exo.physics.pool import PhysicsPool

__all__ = [
    "FallLimits",
    "ModelFile",
    "ModelRecipe",
    "OpenSimPhysics",
    "Physics",
    "PhysicsNames",
    "PhysicsPool",
    "PhysicsState",
    "StartState",
    "centre_of_pressure",
    "fallen",
]
