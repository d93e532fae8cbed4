"""What a walking policy observes: one table gives the numbers, their bounds and the documentation.

Simulation, training and the documentation all use this table; nothing lists observations again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from osim_exo.physics.base import Physics, PhysicsNames

Array = npt.NDArray[np.float64]
Read = Callable[["Physics", Array], Array]

TRANSLATIONS = ("_tx", "_ty", "_tz")
"""Ends of the names of coordinates that are lengths."""


@dataclass(frozen=True)
class Observation:
    """One observed number.

    Attributes
    ----------
    name, unit, meaning : str
    low, high : bounds; values beyond are clipped
    """

    name: str
    unit: str
    low: float
    high: float
    meaning: str


@dataclass(frozen=True)
class _Block:
    """Observations that one reading gives, (n_env, n_row)."""

    rows: tuple[Observation, ...]
    read: Read


class ObservationLayout:
    """The observations of a physics, in their order.

    Parameters
    ----------
    names : PhysicsNames
    """

    def __init__(self, names: PhysicsNames) -> None:
        self._blocks = [block for block in _blocks(names) if block.rows]
        self.rows = tuple(row for block in self._blocks for row in block.rows)
        self.low = np.array([row.low for row in self.rows], dtype=np.float32)
        self.high = np.array([row.high for row in self.rows], dtype=np.float32)

    def observe(self, physics: Physics, commanded_speed: Array) -> npt.NDArray[np.float32]:
        """Observations of every environment, clipped to their bounds.

        Parameters
        ----------
        physics : Physics
        commanded_speed : (n_env,) array, m/s

        Returns
        -------
        (n_env, n_observation) array of float32
        """
        parts = [block.read(physics, commanded_speed) for block in self._blocks]
        values = np.concatenate(parts, axis=1).astype(np.float32)
        return np.asarray(np.clip(values, self.low, self.high), dtype=np.float32)

    def markdown(self) -> str:
        """The page of the documentation that lists the observations."""
        lines = [*PAGE, "| # | name | unit | low | high | meaning |", "|---|---|---|---|---|---|"]
        for number, row in enumerate(self.rows):
            lines.append(
                f"| {number} | `{row.name}` | {row.unit} | {row.low:.4g} | {row.high:.4g} "
                f"| {row.meaning} |"
            )
        return "\n".join(lines) + "\n"


def _blocks(names: PhysicsNames) -> Sequence[_Block]:
    columns = {name: i for i, name in enumerate(names.coordinates)}
    angles = [n for n in names.coordinates if not n.endswith(TRANSLATIONS)]
    at = [columns[name] for name in angles]
    tilt = np.array([name == "pelvis_tilt" for name in angles], dtype=float)
    height = [columns["pelvis_ty"]] if "pelvis_ty" in columns else []

    def posture(physics: Physics, _: Array) -> Array:
        # Coordinates are relative to the slope; tilt is observed as an IMU has it, to gravity.
        return np.asarray(physics.coordinates[:, at] + physics.slope[:, None] * tilt)

    def heights(physics: Physics, _: Array) -> Array:
        return physics.coordinates[:, height] / physics.standing_height

    def ground(physics: Physics, _: Array) -> Array:
        share = physics.grf[:, :, :2] / physics.body_weight
        return share.reshape(physics.n_env, 4)

    def torque(physics: Physics, _: Array) -> Array:
        return np.asarray(physics.exo_torque / max(physics.max_torque, 1e-9))

    return (
        _Block(tuple(Observation("pelvis_height", "1", 0.0, 2.0, HEIGHT) for _ in height), heights),
        _Block(tuple(_angle(name) for name in angles), posture),
        _Block(tuple(_rate(name) for name in names.coordinates), lambda p, _: p.speeds),
        _Block(
            tuple(
                Observation(f"{name}/activation", "1", 0.0, 1.0, "muscle activation")
                for name in names.muscles
            ),
            lambda p, _: p.activations,
        ),
        _Block(
            tuple(
                Observation(f"grf_{side}_{axis}", "body weight", low, 10.0, meaning)
                for side in "rl"
                for axis, low, meaning in (
                    ("x", -10.0, "ground force forward on the foot"),
                    ("y", 0.0, "ground force upward on the foot"),
                )
            ),
            ground,
        ),
        _Block(
            tuple(
                Observation(f"{name}/torque", "maximum torque", -1.0, 1.0, TORQUE)
                for name in names.exo
            ),
            torque,
        ),
        _Block(
            (Observation("commanded_speed", "m/s", 0.0, 2.2, "speed to walk at"),),
            lambda _, speed: speed[:, None],
        ),
        _Block(
            (Observation("slope", "rad", -math.pi / 12, math.pi / 12, "slope, uphill positive"),),
            lambda p, _: p.slope[:, None],
        ),
    )


PAGE = (
    "# Observations of the walking environment",
    "",
    "Written by `python -m osim_exo.env docs/observations.md` for the planar model with a hip",
    "exoskeleton; a test holds it to the code. Values beyond a bound are clipped to it. Sides are",
    "ordered right, left. The action holds one excitation per muscle (0 to 1), one control per",
    "other actuator (-1 to 1) and one exo torque per drive over its maximum (-1 to 1).",
    "",
)

HEIGHT = "height of the pelvis over its height in standing"
TORQUE = "exo torque that is delivered now, coordinate's sign"


def _angle(name: str) -> Observation:
    meaning = "relative to gravity" if name == "pelvis_tilt" else "coordinate, model's sign"
    return Observation(name, "rad", -math.pi, math.pi, meaning)


def _rate(name: str) -> Observation:
    if name.endswith(TRANSLATIONS):
        return Observation(f"{name}/speed", "m/s", -10.0, 10.0, "generalised speed")
    return Observation(f"{name}/speed", "rad/s", -50.0, 50.0, "generalised speed")
