"""From the policies' outputs to what the physics takes: excitations, trunk, exo torque."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from osim_exo.errors import ModelError
from osim_exo.learn.synergies import Basis
from osim_exo.learn.tasks.config import Synergies, Trunk
from osim_exo.physics.base import PhysicsNames
from osim_exo.policy import Action, Squash
from osim_exo.units import GRAVITY

Array = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

MUSCLE_GAIN, MUSCLE_OFFSET = 2.0, -2.5
"""Excitation sigmoid(2 a - 2.5): 0.076 for a zero output, as in this project's prototype."""

TRUNK_COORDINATE = "lumbar_extension"
TRUNK_ACTUATOR = "lumbar_torque"


class HumanDrive:
    """Excitations and trunk torque of the human's policy.

    Parameters
    ----------
    names : of the physics
    trunk : Trunk
    optimal_torque : of the trunk's actuator at full control, Nm
    synergies, basis : drive muscles in groups; None for each by itself

    Attributes
    ----------
    actions : what the policy gives

    Raises
    ------
    ModelError
        The model has actuators that are neither muscles, trunk nor device.
    """

    def __init__(
        self,
        names: PhysicsNames,
        trunk: Trunk,
        optimal_torque: float,
        synergies: Synergies | None = None,
        basis: Basis | None = None,
    ) -> None:
        unknown = [n for n in names.others if n != TRUNK_ACTUATOR]
        if unknown:
            raise ModelError(
                f"The model has actuators that no policy drives: {', '.join(unknown)}. Allowed "
                f"beside muscles and a device is {TRUNK_ACTUATOR}."
            )
        self._trunk, self._has_trunk = trunk, bool(names.others)
        self._optimal = optimal_torque
        self._residual = synergies.residual if synergies else 0.0
        self._weights: Array | None = None
        rows = []
        if synergies is not None and basis is not None:
            self._weights = basis.both_legs(names.muscles)
            for side in "rl":
                rows += [_share(f"synergy{k + 1}_{side}") for k in range(basis.number)]
            rows += [
                Action(name=f"{n}/rest", unit="1", low=-1.0, high=1.0, squashing="tanh", gain=1.0)
                for n in names.muscles
            ]
        else:
            rows += [_share(n) for n in names.muscles]
        self._n_muscle_action = len(rows)
        if self._has_trunk:
            self._lumbar = names.coordinates.index(TRUNK_COORDINATE)
            most = trunk.largest
            rows.append(
                Action(
                    name=TRUNK_ACTUATOR,
                    unit="Nm",
                    low=-most,
                    high=most,
                    squashing="clip",
                    gain=trunk.gain,
                    positive="extension of the trunk, beside its spring and damper",
                )
            )
        self.actions = tuple(rows)
        self._squash = Squash(self.actions)

    def excitations(self, output: Float32) -> Array:
        """Excitations for the policy's output, (n_env, n_muscle) array."""
        return self._excite(self._commands(output)[:, : self._n_muscle_action])

    def _commands(self, output: Float32) -> Array:
        return np.asarray(self._squash(output), dtype=float)

    def __call__(self, output: Float32, coordinates: Array, speeds: Array) -> tuple[Array, Array]:
        """Excitations, and shares of the other actuators' optimal forces.

        Parameters
        ----------
        output : (n_env, n_action) array
        coordinates, speeds : (n_env, n_coordinate) arrays; the trunk's spring needs them
        """
        command = self._commands(output)
        excitations = self._excite(command[:, : self._n_muscle_action])
        if not self._has_trunk:
            return excitations, np.zeros((len(output), 0))
        trunk, lumbar = self._trunk, self._lumbar
        torque = command[:, -1] - trunk.stiffness * (coordinates[:, lumbar] - trunk.rest)
        torque -= trunk.damping * speeds[:, lumbar]
        bounded = np.clip(torque, -trunk.largest, trunk.largest)
        return excitations, (bounded / self._optimal)[:, None]

    def _excite(self, command: Array) -> Array:
        if self._weights is None:
            return command
        n_group = self._weights.shape[0]
        grouped = command[:, :n_group] @ self._weights
        return np.clip(grouped + self._residual * command[:, n_group:], 0.0, 1.0)


def _share(name: str) -> Action:
    return Action(
        name=name,
        unit="1",
        low=0.0,
        high=1.0,
        squashing="sigmoid",
        gain=MUSCLE_GAIN,
        offset=MUSCLE_OFFSET,
    )


class ExoDrive:
    """Commanded torque of the exo's policy, which gives Nm per kg of body.

    Parameters
    ----------
    names : of the physics
    max_torque : of the device, Nm
    body_weight : N

    Attributes
    ----------
    actions : what the policy gives
    """

    def __init__(self, names: PhysicsNames, max_torque: float, body_weight: float) -> None:
        self._mass = body_weight / GRAVITY
        most = max_torque / self._mass
        self.actions = tuple(
            Action(
                name=name,
                unit="Nm/kg",
                low=-most,
                high=most,
                squashing="clip",
                gain=most,
                positive=f"{coordinate} positive",
            )
            for name, coordinate in zip(names.exo, names.exo_coordinates)
        )
        self._squash = Squash(self.actions)

    def __call__(self, output: Float32) -> Array:
        """Commanded torque, (n_env, n_exo) array, Nm."""
        return np.asarray(self._squash(output.astype(float)) * self._mass)
