"""Stepped physics: one interface; OpenSim behind it, in one process or several, or compiled."""

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
from osim_exo.physics.compiled import CompiledPhysics
from osim_exo.physics.compiled.guard import EndReason, end_reasons
from osim_exo.physics.opensim import OpenSimPhysics
from osim_exo.physics.pool import PhysicsPool

__all__ = [
    "CompiledPhysics",
    "EndReason",
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
    "end_reasons",
    "fallen",
]
