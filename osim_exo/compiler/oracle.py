"""OpenSim's own values of everything that a compiled model computes, at given states.

`Oracle` keeps a copy of the model in which all muscles are in the ForceSet, where Umberger's probe
looks for them, and to which the two metabolic models are added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import opensim as osim

from osim_exo import names
from osim_exo.compiler.equations import EXO_PREFIX, Imu
from osim_exo.compiler.spec import CoordinateActuator, ModelSpec
from osim_exo.errors import InputError, ModelError

Floats = npt.NDArray[np.float64]

BHARGAVA, UMBERGER = "verify_bhargava2004", "verify_umberger2010"
"""Names of the components that are added."""

BHARGAVA_CONSTANTS = (40.0, 133.0, 74.0, 111.0)
"""Activation heat of slow and fast fibres, then maintenance heat; W/kg, OpenSim's defaults."""


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


class Oracle:
    """Evaluates an OpenSim model at given states.

    Parameters
    ----------
    model : opensim.Model
        Copied; not changed but for connections.
    spec : what the reader made of it; names and order of all columns
    imus : inertial measurement units to evaluate
    """

    def __init__(self, model: osim.Model, spec: ModelSpec, imus: Sequence[Imu] = ()) -> None:
        self.spec = spec
        self.model = with_muscles_in_force_set(model)
        self._add_metabolics()
        self.state = self.model.initSystem()
        for controller in self._found(osim.Controller):
            controller.setEnabled(False)
        self.state = self.model.initSystem()
        columns = {c.name: c for c in spec.coordinates}
        coordinates = {c.getName(): c for c in self._found(osim.Coordinate)}
        muscles = {m.getName(): m for m in self._found(osim.Muscle) if m.get_appliesForce()}
        by_path = {a.getAbsolutePathString(): a for a in self._found(osim.Force)}
        contacts = {c.getName(): c for c in self._found(osim.SmoothSphereHalfSpaceForce)}
        forces = {f.getName(): f for f in self._found(osim.Force)}
        self.coordinates = [coordinates[c.name] for c in spec.coordinates]
        self.muscles = [muscles[m.name] for m in spec.muscles]
        self.compliant = [muscles[m.name] for m in spec.muscles if not m.rigid_tendon]
        self.actuators = [osim.ScalarActuator.safeDownCast(by_path[a.path]) for a in spec.actuators]
        self.lagged = [
            by_path[a.path]
            for a in spec.actuators
            if isinstance(a, CoordinateActuator) and a.activation_time is not None
        ]
        self.contacts = [contacts[c.name] for c in spec.contacts]
        self.passive = [
            (spec.coordinates.index(columns[f.coordinate]), forces[f.name])
            for f in spec.forces
            if f.kind != "bushing" and not f.name.startswith(EXO_PREFIX)
        ]
        self.imus = [
            (i, osim.PhysicalFrame.safeDownCast(self.model.getComponent(i.frame.base)))
            for i in imus
        ]
        self._variables = self._state_columns()
        self._control_columns = self._find_controls()

    def _found(self, kind: Any) -> list[Any]:
        parts = (kind.safeDownCast(c) for c in self.model.getComponentsList())
        return [part for part in parts if part is not None]

    def _add_metabolics(self) -> None:
        self.bhargava = osim.Bhargava2004SmoothedMuscleMetabolics()
        self.bhargava.setName(BHARGAVA)
        self.bhargava.set_use_smoothing(False)
        self.umberger = osim.Umberger2010MuscleMetabolicsProbe()
        self.umberger.setName(UMBERGER)
        self.umberger.set_report_total_metabolics_only(False)
        forces = self.model.getForceSet()
        for muscle in self.spec.muscles:
            own = osim.Muscle.safeDownCast(forces.get(muscle.name))
            self.bhargava.addMuscle(
                muscle.name, own, muscle.slow_fraction, muscle.specific_tension, *BHARGAVA_CONSTANTS
            )
        self.model.addComponent(self.bhargava)
        self.model.addProbe(self.umberger)
        for muscle in self.spec.muscles:
            self.umberger.addMuscle(muscle.name, muscle.slow_fraction)

    # ---- states -------------------------------------------------------------------------------

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
        order = [a.getAbsolutePathString() for a in self._found(osim.ScalarActuator)]
        return (
            [order.index(m.getAbsolutePathString()) for m in self.muscles],
            [order.index(a.getAbsolutePathString()) for a in self.actuators],
        )

    def set(self, states: States, row: int) -> None:
        """Bring the model into one of the states, with its controls; not yet realized."""
        y = self.state.getY().to_numpy().copy()
        dynamic = [not m.ignore_activation_dynamics for m in self.spec.muscles]
        for part, columns in self._variables.items():
            values = getattr(states, part)[row]
            y[columns] = values[dynamic] if part == "activations" else values
        self.state.setY(osim.Vector.createFromMat(y))
        controls = np.zeros(self.model.getNumControls())
        excitation, other = self._control_columns
        controls[excitation] = states.excitations[row]
        controls[other] = states.controls[row]
        self.model.realizeVelocity(self.state)
        self.model.setControls(self.state, osim.Vector.createFromMat(controls))

    # ---- values -------------------------------------------------------------------------------

    def evaluate(self, states: States) -> dict[str, Floats]:
        """OpenSim's values by quantity, (n, n_column) each.

        Raises
        ------
        InputError
            There are no states.
        """
        if states.size == 0:
            raise InputError("No states were given to compare.")
        rows: dict[str, list[Floats]] = {}
        for row in range(states.size):
            self.set(states, row)
            self.model.realizeReport(self.state)
            for name, value in self._values().items():
                rows.setdefault(name, []).append(value)
        return {name: np.stack(values) for name, values in rows.items()}

    def _values(self) -> dict[str, Floats]:
        s = self.state
        mass = self.model.getTotalMass(s)
        velocity = _array(self.model.calcMassCenterVelocity(s))
        return {
            "acceleration": np.array([c.getAccelerationValue(s) for c in self.coordinates]),
            "coordinate_rate": self._rates("coordinates"),
            "activation_rate": self._activation_rates(),
            "tendon_force_rate": self._rates("tendon_forces"),
            "actuator_rate": self._rates("actuator_activations"),
            **self._muscle_values(),
            "passive_moment": self._passive_moments(),
            **self._ground_values(),
            "mass_centre": _array(self.model.calcMassCenterPosition(s)),
            "mass_centre_velocity": velocity,
            "momentum": mass * velocity,
            "kinetic_energy": np.array([self.model.calcKineticEnergy(s)]),
            "imu": self._imu_values(),
        }

    def _activation_rates(self) -> Floats:
        """Rates of activation; zero for muscles without activation dynamics."""
        found = np.zeros(len(self.muscles))
        found[[not m.ignore_activation_dynamics for m in self.spec.muscles]] = self._rates(
            "activations"
        )
        return found

    def _passive_moments(self) -> Floats:
        """Moments of limits, springs and formulas on coordinates, without the device's drag."""
        found = np.zeros(len(self.coordinates))
        for column, force in self.passive:
            limit = osim.CoordinateLimitForce.safeDownCast(force)
            if limit is not None:
                found[column] += limit.calcLimitForce(self.state)
            else:
                found[column] += force.getRecordValues(self.state).get(0)
        return found

    def _rates(self, part: str) -> Floats:
        return np.array(self.state.getYDot().to_numpy()[self._variables[part]])

    def _muscle_values(self) -> dict[str, Floats]:
        read: Mapping[str, Callable[[Any, Any], float]] = {
            "muscle_length": lambda m, s: m.getLength(s),
            "muscle_speed": lambda m, s: m.getLengtheningSpeed(s),
            "fibre_length": lambda m, s: m.getFiberLength(s),
            "normalised_fibre_length": lambda m, s: m.getNormalizedFiberLength(s),
            "fibre_velocity": lambda m, s: m.getFiberVelocity(s),
            "tendon_force": lambda m, s: m.getTendonForce(s),
            "active_fibre_force": lambda m, s: m.getActiveFiberForce(s),
            "passive_fibre_force": lambda m, s: m.getPassiveFiberForce(s),
            "muscle_power": lambda m, s: -m.getTendonForce(s) * m.getLengtheningSpeed(s),
            "force_length": lambda m, s: m.getActiveForceLengthMultiplier(s),
            "bhargava2004": lambda m, s: self.bhargava.getMuscleMetabolicRate(
                s, m.getAbsolutePathString()
            ),
        }
        found = {
            name: np.array([value(m, self.state) for m in self.muscles])
            for name, value in read.items()
        }
        if self.muscles:
            inputs = self.umberger.computeProbeInputs(self.state)
            found["umberger2010"] = np.array([inputs.get(2 + i) for i in range(len(self.muscles))])
        return found

    def _ground_values(self) -> dict[str, Floats]:
        """Forces of the ground on each sphere, and on each foot with their moment.

        A foot's are the forces and the moments about the ground's origin of the contacts whose
        names have its side, right then left.
        """
        forces, feet = [], {side: np.zeros(6) for side in names.SIDES}
        for contact in self.contacts:
            values = contact.getRecordValues(self.state)
            forces.append([values.get(k) for k in range(3)])
            on_ground = np.array([values.get(6 + k) for k in range(6)])
            side = names.side(contact.getName())
            if side is not None:
                feet[side] -= on_ground
        return {
            "contact_force": np.array(forces).ravel(),
            "grf": np.concatenate([feet[side] for side in names.SIDES]),
        }

    def _imu_values(self) -> Floats:
        """Specific force and angular rate of each unit, in its own axes."""
        found = [np.zeros(0)]
        gravity = _array(self.model.getGravity())
        for imu, body in self.imus:
            location = osim.Vec3(*imu.frame.translation)
            acceleration = _array(body.findStationAccelerationInGround(self.state, location))
            pose = body.getTransformInGround(self.state)  # R() below points into it
            axes = _matrix(pose.R()) @ imu.frame.rotation
            found.append(axes.T @ (acceleration - gravity))
            found.append(axes.T @ _array(body.getAngularVelocityInGround(self.state)))
        return np.concatenate(found)

    def depths(self, states: States) -> Floats:
        """How deep each contact's sphere is in its half space, (n, n_contact), m."""
        found = np.zeros((states.size, len(self.contacts)))
        for row in range(states.size):
            self.set(states, row)
            for k, (contact, spec) in enumerate(zip(self.contacts, self.spec.contacts)):
                sphere = osim.ContactSphere.safeDownCast(contact.getConnectee("sphere"))
                centre = _array(
                    sphere.getFrame().findStationLocationInGround(self.state, sphere.get_location())
                )
                inward = np.array(spec.half_space.rotation)[:, 0]
                offset = centre - np.array(spec.half_space.translation)
                found[row, k] = inward @ offset + spec.radius
        return found

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

    def fibres(self, states: States) -> tuple[Floats, Floats]:
        """Fibre lengths in optimal ones, and velocities in these per second, (n, n_muscle) each."""
        lengths = np.zeros((states.size, len(self.muscles)))
        velocities = np.zeros(lengths.shape)
        optimal = np.array([m.optimal_fibre_length for m in self.spec.muscles])
        for row in range(states.size):
            self.set(states, row)
            self.model.realizeDynamics(self.state)
            lengths[row] = [m.getNormalizedFiberLength(self.state) for m in self.muscles]
            velocities[row] = [m.getFiberVelocity(self.state) for m in self.muscles] / optimal
        return lengths, velocities

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

    def moment_arms(self, states: States) -> Floats:
        """Moment arms, (n, n_muscle, n_coordinate), m; zero about locked coordinates.

        Coordinates that are coupled to others are taken as free here.
        """
        couplers = self._found(osim.CoordinateCouplerConstraint)
        enforced = [c.isEnforced(self.state) for c in couplers]
        found = np.zeros((states.size, len(self.muscles), len(self.coordinates)))
        for row in range(states.size):
            self.set(states, row)
            for coupler in couplers:
                coupler.setIsEnforced(self.state, False)
            self.model.realizePosition(self.state)
            for i, muscle in enumerate(self.muscles):
                for k, (coordinate, spec) in enumerate(
                    zip(self.coordinates, self.spec.coordinates)
                ):
                    if not spec.locked:
                        found[row, i, k] = muscle.computeMomentArm(self.state, coordinate)
        for coupler, was in zip(couplers, enforced):
            coupler.setIsEnforced(self.state, was)
        return found

    def dependent(self, coordinates: Floats, speeds: Floats) -> tuple[Floats, Floats]:
        """Coordinates and speeds with the coupled ones made to fit, by OpenSim's functions."""
        q, u = coordinates.copy(), speeds.copy()
        column = {c.name: k for k, c in enumerate(self.spec.coordinates)}
        for coupler in self._found(osim.CoordinateCouplerConstraint):
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


def _order(i: int) -> Any:
    """The first derivative by argument i, as OpenSim asks for it."""
    found = osim.StdVectorInt()
    found.append(i)
    return found


def _matrix(rotation: Any) -> Floats:
    return np.array([[float(rotation.get(i, j)) for j in range(3)] for i in range(3)])


def _array(vector: Any) -> Floats:
    return np.array([float(vector.get(k)) for k in range(3)])
