"""What a controller of the device measures on a walker, and the torque that it commands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from osim_exo.control import Controller, Signals
from osim_exo.errors import InputError
from osim_exo.names import SIDES
from osim_exo.physics.base import Physics

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

HIPS = tuple(f"hip_flexion_{side}" for side in SIDES)


class Onboard:
    """A controller on the hips of all walkers of a physics.

    Parameters
    ----------
    physics : Physics
        Of a model with a device on the hips.
    controller : Controller

    Raises
    ------
    InputError
        The model wears no device, or one on other joints.
    """

    def __init__(self, physics: Physics, controller: Controller) -> None:
        names = physics.names
        if names.exo_coordinates != HIPS:
            raise InputError(
                f"A controller was given for a device on {', '.join(HIPS)}; the model's device "
                f"drives {', '.join(names.exo_coordinates) or 'nothing'}. Use the condition "
                "zero_torque or assisted with a hip device."
            )
        self._physics, self._controller = physics, controller
        self._hips = [names.coordinates.index(name) for name in HIPS]
        self._tilt = names.coordinates.index("pelvis_tilt")
        # Each episode has a clock of its own: the physics' may go on over a start.
        self._since = np.zeros(physics.n_env)
        controller.reset(physics.n_env)

    def begin(self, rows: Rows) -> None:
        """Begin episodes of some environments."""
        self._since[rows] = self._physics.time[rows]
        self._controller.reset(self._physics.n_env, rows)

    def signals(self) -> Signals:
        """True readings of all environments now."""
        physics = self._physics
        q, u = physics.coordinates, physics.speeds
        hip, speed = q[:, self._hips], u[:, self._hips]
        lean = q[:, self._tilt] + physics.slope
        return Signals(
            time=physics.time - self._since,
            hip_angle=hip,
            hip_speed=speed,
            thigh_angle=lean[:, None] + hip,
            thigh_rate=u[:, self._tilt, None] + speed,
            torque=physics.exo_torque,
        )

    def torque(self) -> Array:
        """Commanded torque now, (n_env, 2) array, Nm; call it once per step of the physics."""
        return self._controller(self.signals())
