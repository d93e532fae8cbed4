"""Start states: named values to state vectors, standing with the feet carrying the weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.errors import InputError
from osim_exo.physics.base import Array, StartState
from osim_exo.physics.layout import HEIGHT, ModelLayout

DEFAULT_ACTIVATION = 0.05
"""Activation of every muscle at a start that names none."""

EVERY = "*"


class Placement:
    """Makes state vectors of one model."""

    def __init__(self, osim: Any, model: Any, layout: ModelLayout) -> None:
        self._osim, self._model, self._layout = osim, model, layout
        self._state = osim.State(layout.state)
        self.default = np.asarray(layout.state.getY().to_numpy(), dtype=float)
        self.default[layout.speeds] = 0.0
        self.default[layout.activations] = DEFAULT_ACTIVATION
        self._settle(self.default, find_height=True)

    def place(self, start: StartState, n_env: int) -> Array:
        """State vectors of a start, (n_env, n_state) array.

        Raises
        ------
        InputError
            A name is unknown, a value not finite or of the wrong length.
        """
        layout, found = self._layout, self._layout.names
        y = np.tile(self.default, (n_env, 1))
        fill(y, "coordinate", start.coordinates, found.coordinates, layout.coordinates)
        fill(y, "coordinate", start.speeds, found.coordinates, layout.speeds)
        activations = dict(start.activations)
        if EVERY in activations:
            everywhere = activations.pop(EVERY)
            activations = {**dict.fromkeys(found.muscles, everywhere), **activations}
        fill(y, "muscle", activations, found.muscles, layout.activations)
        held = y[:, layout.activations]
        if np.any((held < 0.0) | (held > 1.0)):
            raise InputError("An activation outside 0 to 1 was given; activations are shares.")
        if start.coordinates or start.speeds or start.activations:
            for row in y:
                self._settle(row, bool(start.coordinates) and HEIGHT not in start.coordinates)
        return y

    def _settle(self, row: Array, find_height: bool) -> None:
        """Put the feet on the ground and the tendons into equilibrium, in place."""
        layout = self._layout
        if find_height and layout.height is not None and layout.has_contact:
            row[layout.height] = self._height(row)
        if layout.has_tendon_states:
            row[:] = self._equilibrated(row)

    def _height(self, row: Array) -> float:
        """Pelvis height at which the ground carries the weight in this posture at rest, m."""
        still = row.copy()
        still[self._layout.speeds] = 0.0
        high = float(still[self._layout.height]) + 0.1
        while self._load(still, high) > 0.5 * self._layout.weight and high < 5.0:
            high += 0.1
        low = high - 0.1
        while self._load(still, low) < self._layout.weight and low > -1.0:
            high, low = low, low - 0.1
        for _ in range(40):
            middle = 0.5 * (low + high)
            if self._load(still, middle) < self._layout.weight:
                high = middle
            else:
                low = middle
        return 0.5 * (low + high)

    def _load(self, row: Array, height: float) -> float:
        row[self._layout.height] = height
        self._state.setY(self._osim.Vector.createFromMat(row))
        self._model.realizeVelocity(self._state)
        return float(self._layout.ground_forces(self._state)[:, 1].sum())

    def _equilibrated(self, row: Array) -> Array:
        """The state with tendons in equilibrium with their muscles."""
        self._state.setY(self._osim.Vector.createFromMat(row))
        try:
            self._model.equilibrateMuscles(self._state)
        except RuntimeError as error:
            raise InputError(
                "The muscles find no equilibrium at this start: "
                f"{str(error).strip().splitlines()[0]} Choose a posture within the joints' range."
            ) from None
        return np.asarray(self._state.getY().to_numpy(), dtype=float)


def fill(
    y: Array,
    kind: str,
    values: dict[str, npt.ArrayLike],
    names: tuple[str, ...],
    columns: npt.NDArray[np.intp],
) -> None:
    """Put named values into the columns of state vectors, in place.

    Parameters
    ----------
    y : (n_env, n_state) array
    kind : what is named, for messages
    values : by name: one number, or an (n_env,) array
    names, columns : all names and where they lie

    Raises
    ------
    InputError
        A name is unknown, a value not finite or of the wrong length.
    """
    for name, value in values.items():
        if name not in names:
            raise InputError(
                f"The start names the {kind} '{name}', which the model does not have. It has: "
                f"{', '.join(names)}."
            )
        array = np.asarray(value, dtype=float)
        if array.shape not in ((), (len(y),)) or not np.isfinite(array).all():
            raise InputError(
                f"The start of '{name}' must be one finite number, or one per environment "
                f"({len(y)}); {value!r} was given."
            )
        y[:, columns[names.index(name)]] = array
