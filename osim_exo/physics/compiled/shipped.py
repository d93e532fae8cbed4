"""Shipped models as they were read: they start without reading, and without OpenSim.

After a change of a model `write` makes them anew.
"""

from __future__ import annotations

from pathlib import Path

from osim_exo import models
from osim_exo.compiler.spec import ModelSpec
from osim_exo.models import HipExo, ModelConfig
from osim_exo.models.recipe import ModelRecipe

SHIPPED = {
    "gait2d/no_exo": ModelConfig(name="gait2d"),
    "gait2d/hip_exo": ModelConfig(name="gait2d", exo=HipExo()),
}
"""What ships as data, by its file in the folder of models."""


def shipped_path(name: str) -> Path:
    """File of one of `SHIPPED`."""
    return Path(models.__file__).parent / f"{name}.spec.json"


def shipped_spec(recipe: ModelRecipe) -> ModelSpec | None:
    """The spec that ships for a recipe; None if none does."""
    for name, config in SHIPPED.items():
        if recipe == config and shipped_path(name).is_file():
            return ModelSpec.load(shipped_path(name))
    return None


def write() -> None:
    """Read all of them with OpenSim, and write them."""
    from osim_exo.physics.compiled.source import read_here

    for name, config in SHIPPED.items():
        read_here(config).save(shipped_path(name))
