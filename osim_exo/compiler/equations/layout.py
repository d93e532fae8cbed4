"""Where everything lies in the state and the controls of a compiled model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.spec import CoordinateActuator, ModelSpec
from osim_exo.errors import ModelError


@dataclass(frozen=True)
class Layout:
    """Names and columns of a compiled model's state and controls.

    The state is, in this order: coordinates, speeds, activations, normalised tendon forces of the
    muscles with compliant tendons, activations of ActivationCoordinateActuators, and of the worn
    device the output of its lag and its torque on the limb; where a strap lies between, also the
    drive's own torque and its output's angle and speed. Controls are excitations, then what drives
    the other actuators.

    Attributes
    ----------
    coordinates, muscles : names
    compliant : muscles whose tendon force is a state
    lagged : actuators with an activation state
    others : actuators that are not the device's
    exo : the device's actuators, driven by its torque state
    exo_columns : the coordinate of each of them
    strap : whether a strap lies between drive and limb
    """

    coordinates: tuple[str, ...]
    muscles: tuple[str, ...]
    compliant: tuple[str, ...]
    lagged: tuple[str, ...]
    others: tuple[str, ...]
    exo: tuple[str, ...]
    exo_columns: tuple[int, ...]
    strap: bool = False

    @classmethod
    def of(cls, spec: ModelSpec, exo: tuple[str, ...] = (), strap: bool = False) -> Layout:
        """The layout of a model.

        Parameters
        ----------
        spec : the model
        exo : names of the coordinate actuators that a worn device drives
        strap : whether a strap lies between drive and limb
        """
        names = tuple(c.name for c in spec.coordinates)
        actuators = {a.name: a for a in spec.actuators}
        columns = []
        for name in exo:
            actuator = actuators.get(name)
            if not isinstance(actuator, CoordinateActuator) or actuator.activation_time:
                raise ModelError(
                    f"The device's actuator '{name}' is no CoordinateActuator of the model. It "
                    f"has: {', '.join(actuators) or 'none'}."
                )
            columns.append(names.index(actuator.coordinate))
        others = tuple(a.name for a in spec.actuators if a.name not in exo)
        lagged = tuple(
            a.name
            for a in spec.actuators
            if isinstance(a, CoordinateActuator) and a.activation_time and a.name in others
        )
        return cls(
            names,
            tuple(m.name for m in spec.muscles),
            tuple(m.name for m in spec.muscles if not m.rigid_tendon),
            lagged,
            others,
            exo,
            tuple(columns),
            strap,
        )

    def _slices(self) -> dict[str, slice]:
        sizes = {
            "coordinates": len(self.coordinates),
            "speeds": len(self.coordinates),
            "activations": len(self.muscles),
            "tendon_forces": len(self.compliant),
            "actuator_activations": len(self.lagged),
            "exo_lagged": len(self.exo),
            "exo_torque": len(self.exo),
        }
        if self.strap:
            sizes |= dict.fromkeys(("exo_drive", "exo_angle", "exo_speed"), len(self.exo))
        ends = np.cumsum(list(sizes.values())).tolist()
        return {name: slice(end - n, end) for (name, n), end in zip(sizes.items(), ends)}

    def __getitem__(self, part: str) -> slice:
        """Columns of a part of the state, as ``speeds``."""
        return self._slices()[part]

    @property
    def n_state(self) -> int:
        """Numbers in the state."""
        return int(self[self.parts[-1]].stop)

    @property
    def n_control(self) -> int:
        """Numbers in the controls."""
        return len(self.muscles) + len(self.others)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the state's parts, in order."""
        return tuple(self._slices())

    def default_state(self, spec: ModelSpec) -> npt.NDArray[np.float64]:
        """The model's default state, (n_state,) array; tendons and device without force."""
        state = np.zeros(self.n_state)
        state[self["coordinates"]] = [c.default for c in spec.coordinates]
        state[self["speeds"]] = [c.default_speed for c in spec.coordinates]
        state[self["activations"]] = [m.default_activation for m in spec.muscles]
        return state
