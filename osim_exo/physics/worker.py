"""What runs in each process of a physics pool, and what it tells its parent."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from osim_exo import errors
from osim_exo.errors import OsimExoError, SimulationError
from osim_exo.models.recipe import ModelRecipe
from osim_exo.physics.base import Array, Mask, PhysicsNames
from osim_exo.physics.opensim import OpenSimPhysics


@dataclass(frozen=True)
class Facts:
    """What a worker tells about its physics once."""

    names: PhysicsNames
    control_dt: float
    body_weight: float
    max_torque: float
    standing_height: float
    slope: float


@dataclass(frozen=True)
class Readings:
    """What a worker tells after every reset and step; environments first."""

    time: Array
    coordinates: Array
    speeds: Array
    activations: Array
    exo_torque: Array
    drive_power: Array
    grf: Array
    failed: Mask


def take_readings(physics: OpenSimPhysics) -> Readings:
    """Read everything once."""
    return Readings(
        physics.time,
        physics.coordinates,
        physics.speeds,
        physics.activations,
        physics.exo_torque,
        physics.drive_power,
        physics.grf,
        physics.failed,
    )


def work(pipe: Connection, recipe: ModelRecipe, first: int, options: dict[str, Any]) -> None:
    """Worker: build the model here, then answer requests until the pipe closes."""
    try:
        physics = OpenSimPhysics(recipe, on_failure="mark", **options)
        facts = Facts(
            physics.names,
            physics.control_dt,
            physics.body_weight,
            physics.max_torque,
            physics.standing_height,
            float(physics.slope[0]),
        )
        pipe.send(("done", (facts, take_readings(physics))))
        while True:
            request, arguments = pipe.recv()
            if request == "close":
                break
            try:
                pipe.send(("done", _answer(physics, first, request, arguments)))
            except OsimExoError as error:
                pipe.send(("error", (type(error).__name__, str(error))))
    except (EOFError, KeyboardInterrupt):
        return
    except Exception as error:
        # Whatever went wrong belongs to the parent, which raises it there.
        pipe.send(("error", (type(error).__name__, str(error))))


def _answer(physics: OpenSimPhysics, first: int, request: str, arguments: Any) -> Any:
    if request == "step":
        before = physics.failed
        physics.step(*arguments)
        new = np.flatnonzero(physics.failed & ~before)
        text = physics.failure_text(int(new[0]), first + int(new[0])) if new.size else None
        return take_readings(physics), text
    if request == "reset":
        physics.reset(*arguments)
        return take_readings(physics), None
    if request == "restore":
        physics.restore(arguments)
        return take_readings(physics), None
    return physics.snapshot()


def rebuilt(kind: str, text: str) -> OsimExoError:
    """The worker's error again; one that osim_exo does not know becomes a SimulationError."""
    found = getattr(errors, kind, None)
    if not (isinstance(found, type) and issubclass(found, OsimExoError)):
        return SimulationError(f"A physics worker stopped with {kind}: {text}")
    error = found.__new__(found)
    error.args = (text,)
    return error
