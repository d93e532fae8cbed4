"""An OpenSim model that can be brought into given states, for the comparison with OpenSim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import opensim as osim

from osim_exo.compiler.spec import CoordinateActuator, ModelSpec
from osim_exo.errors import ModelError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class States:
    """States and controls of a model, one row each.

    Attributes
    ----------
    coordinates, speeds : (n, n_coordinate), in the spec's order
    activations, excitations : (n, n_muscle)
    tendon_forces : (n, n_compliant), normalised
    actuator_activations : (n, n_lagged), of ActivationCoordinateActuators
    controls : (n, n_actuator), of all actuators that are no muscles
    """

    coordinates: Floats
    speeds: Floats
    activations: Floats
    tendon_forces: Floats
    actuator_activations: Floats
    excitations: Floats
    controls: Floats

    @property
    def size(self) -> int:
        """How many states."""
        return int(self.coordinates.shape[0])

    def taken(self, rows: Any) -> States:
        """Some of the states."""
        return States(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})

    def joined(self, other: States) -> States:
        """These states and others."""
        return States(
            **{
                name: np.concatenate([getattr(self, name), getattr(other, name)])
                for name in self.__dataclass_fields__
            }
        )


def with_muscles_in_force_set(model: osim.Model) -> osim.Model:
    """A copy of a model whose muscles are all in its ForceSet.

    Those among its components stay there, switched off. The copy is not made through a file:
    OpenSim writes the points of splines with six digits.
    """
    model.finalizeConnections()
    copy = osim.Model(model)
    copy.finalizeFromProperties()
    for component in list(copy.getComponentsList()):
        muscle = osim.Muscle.safeDownCast(component)
        outside = muscle is not None and component.getOwner().getName() != "forceset"
        if muscle is not None and outside and muscle.get_appliesForce():
            twin = muscle.clone()
            muscle.set_appliesForce(False)
            copy.addForce(twin)
    copy.finalizeFromProperties()
    copy.finalizeConnections()
    return copy


class DrivenModel:
    """A copy of an OpenSim model, its controllers off, brought into states of the spec's layout.

    Parameters
    ----------
    model : opensim.Model
        Copied; not changed but for connections.
    spec : what the reader made of it; names and order of all columns
    """

    def __init__(self, model: osim.Model, spec: ModelSpec) -> None:
        self.spec = spec
        self.model = with_muscles_in_force_set(model)
        for controller in self.found(osim.Controller):
            controller.set_enabled(False)
        self.extend()
        self.state = self.model.initSystem()
        coordinates = {c.getName(): c for c in self.found(osim.Coordinate)}
        muscles = {m.getName(): m for m in self.found(osim.Muscle) if m.get_appliesForce()}
        by_path = {a.getAbsolutePathString(): a for a in self.found(osim.Force)}
        self.coordinates = [coordinates[c.name] for c in spec.coordinates]
        self.muscles = [muscles[m.name] for m in spec.muscles]
        self.compliant = [muscles[m.name] for m in spec.muscles if not m.rigid_tendon]
        self.actuators = [osim.ScalarActuator.safeDownCast(by_path[a.path]) for a in spec.actuators]
        self.lagged = [
            by_path[a.path]
            for a in spec.actuators
            if isinstance(a, CoordinateActuator) and a.activation_time is not None
        ]
        self.variables = self._state_columns()
        self._control_columns = self._find_controls()

    def extend(self) -> None:
        """Add components before the system is built."""

    def found(self, kind: Any) -> list[Any]:
        """All components of a class, in the model's order."""
        parts = (kind.safeDownCast(c) for c in self.model.getComponentsList())
        return [part for part in parts if part is not None]

    def _state_columns(self) -> dict[str, list[int]]:
        """Position in OpenSim's state vector of every column of `States`."""
        paths = {
            "coordinates": [f"{c.getAbsolutePathString()}/value" for c in self.coordinates],
            "speeds": [f"{c.getAbsolutePathString()}/speed" for c in self.coordinates],
            "activations": [
                f"{m.getAbsolutePathString()}/activation"
                for m, s in zip(self.muscles, self.spec.muscles)
                if not s.ignore_activation_dynamics
            ],
            "tendon_forces": [
                f"{m.getAbsolutePathString()}/normalized_tendon_force" for m in self.compliant
            ],
            "actuator_activations": [
                f"{a.getAbsolutePathString()}/activation" for a in self.lagged
            ],
        }
        locked = [c for c in self.coordinates if c.getLocked(self.state)]
        for coordinate in locked:  # a locked one cannot be written
            coordinate.setLocked(self.state, False)
        found = {part: [self._position(path) for path in each] for part, each in paths.items()}
        for coordinate in locked:
            coordinate.setLocked(self.state, True)
        return found

    def _position(self, path: str) -> int:
        """Position of a state variable in the state vector, found by writing it."""
        before = self.state.getY().to_numpy().copy()
        old = self.model.getStateVariableValue(self.state, path)
        self.model.setStateVariableValue(self.state, path, old + 1.0)
        changed = np.flatnonzero(self.state.getY().to_numpy() != before)
        self.model.setStateVariableValue(self.state, path, old)
        if changed.size != 1:
            raise ModelError(f"The state variable {path} has no place of its own in the state.")
        return int(changed[0])

    def _find_controls(self) -> tuple[list[int], list[int]]:
        """Positions of the excitations and of the other controls in the control vector."""
        order = [a.getAbsolutePathString() for a in self.found(osim.ScalarActuator)]
        return (
            [order.index(m.getAbsolutePathString()) for m in self.muscles],
            [order.index(a.getAbsolutePathString()) for a in self.actuators],
        )

    def set(self, states: States, row: int) -> None:
        """Bring the model into one of the states, with its controls; not yet realized."""
        y = self.state.getY().to_numpy().copy()
        dynamic = [not m.ignore_activation_dynamics for m in self.spec.muscles]
        for part, columns in self.variables.items():
            values = getattr(states, part)[row]
            y[columns] = values[dynamic] if part == "activations" else values
        self.state.setY(osim.Vector.createFromMat(y))
        controls = np.zeros(self.model.getNumControls())
        excitation, other = self._control_columns
        controls[excitation] = states.excitations[row]
        controls[other] = states.controls[row]
        self.model.realizeVelocity(self.state)
        self.model.setControls(self.state, osim.Vector.createFromMat(controls))

    def equilibrium(self, states: States) -> Floats:
        """Normalised tendon forces that hold the fibres still, (n, n_compliant); NaN: none."""
        found = np.zeros((states.size, len(self.compliant)))
        for row in range(states.size):
            self.set(states, row)
            for k, muscle in enumerate(self.compliant):
                try:
                    muscle.computeEquilibrium(self.state)
                except RuntimeError:  # slack or overstretched beyond what its search allows
                    found[row, k] = np.nan
                    continue
                path = f"{muscle.getAbsolutePathString()}/normalized_tendon_force"
                found[row, k] = self.model.getStateVariableValue(self.state, path)
        return found

    def dependent(self, coordinates: Floats, speeds: Floats) -> tuple[Floats, Floats]:
        """Coordinates and speeds with the coupled ones made to fit, by OpenSim's functions."""
        q, u = coordinates.copy(), speeds.copy()
        column = {c.name: k for k, c in enumerate(self.spec.coordinates)}
        for coupler in self.found(osim.CoordinateCouplerConstraint):
            if not coupler.isEnforced(self.state):
                continue
            function = coupler.getFunction()
            scale = osim.PropertyHelper.getValueDouble(coupler.getPropertyByName("scale_factor"), 0)
            dependent = column[coupler.getDependentCoordinateName()]
            listed = coupler.getIndependentCoordinateNames()
            inputs = [column[listed.get(i)] for i in range(listed.getSize())]
            for row in range(q.shape[0]):
                x = osim.Vector.createFromMat(q[row, inputs])
                q[row, dependent] = scale * function.calcValue(x)
                u[row, dependent] = sum(
                    scale * function.calcDerivative(_order(i), x) * u[row, k]
                    for i, k in enumerate(inputs)
                )
        return q, u

    def integrate(
        self, states: States, row: int, controls: Floats, hold: float, accuracy: float
    ) -> Floats:
        """Coordinates along a motion that OpenSim's own integrator makes, (n_hold, n_coordinate).

        Parameters
        ----------
        states, row : where it starts
        controls : (n_hold, n_control) array; excitations, then other controls
        hold : how long each row of controls holds, s
        accuracy : of the integrator
        """
        self.set(states, row)
        state = osim.State(self.state)
        found = []
        vector = np.zeros(self.model.getNumControls())
        places = [*self._control_columns[0], *self._control_columns[1]]
        for k, given in enumerate(controls):
            vector[places] = given
            self.model.setDefaultControls(osim.Vector.createFromMat(vector))
            self.model.markControlsAsInvalid(state)
            state.setTime(k * hold)
            manager = osim.Manager(self.model)
            manager.setIntegratorAccuracy(accuracy)
            manager.setWriteToStorage(False)
            manager.initialize(state)
            state = osim.State(manager.integrate((k + 1) * hold))
            found.append([c.getValue(state) for c in self.coordinates])
        return np.array(found)


def _order(i: int) -> list[int]:
    """The first derivative by argument i, as OpenSim asks for it; see `functions.FIRST`."""
    return [i]
