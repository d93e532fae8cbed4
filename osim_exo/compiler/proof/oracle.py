"""OpenSim's own values of everything that a compiled model computes, at given states.

`Oracle` keeps a copy of the model in which all muscles are in the ForceSet, where Umberger's probe
looks for them, and to which the two metabolic models are added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import opensim as osim

from osim_exo import names
from osim_exo.compiler.equations.options import EXO_PREFIX, Imu
from osim_exo.compiler.proof.oracle_model import DrivenModel, Floats, States
from osim_exo.compiler.spec import ModelSpec
from osim_exo.errors import InputError

BHARGAVA, UMBERGER = "verify_bhargava2004", "verify_umberger2010"
"""Names of the components that are added."""

BHARGAVA_CONSTANTS = (40.0, 133.0, 74.0, 111.0)
"""Activation heat of slow and fast fibres, then maintenance heat; W/kg, OpenSim's defaults."""


class Oracle(DrivenModel):
    """Evaluates an OpenSim model at given states.

    Parameters
    ----------
    model : opensim.Model
        Copied; not changed but for connections.
    spec : what the reader made of it; names and order of all columns
    imus : inertial measurement units to evaluate
    """

    def __init__(self, model: osim.Model, spec: ModelSpec, imus: Sequence[Imu] = ()) -> None:
        super().__init__(model, spec)
        columns = {c.name: k for k, c in enumerate(spec.coordinates)}
        contacts = {c.getName(): c for c in self.found(osim.SmoothSphereHalfSpaceForce)}
        forces = {f.getName(): f for f in self.found(osim.Force)}
        self.contacts = [contacts[c.name] for c in spec.contacts]
        self.passive = [
            (columns[f.coordinate], forces[f.name])
            for f in spec.forces
            if f.kind != "bushing" and not f.name.startswith(EXO_PREFIX)
        ]
        self.imus = [
            (i, osim.PhysicalFrame.safeDownCast(self.model.getComponent(i.frame.base)))
            for i in imus
        ]

    def extend(self) -> None:
        """Add the metabolic models."""
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
        return np.array(self.state.getYDot().to_numpy()[self.variables[part]])

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
            # Recorded about the origin of the body that carries the half space.
            plane = osim.ContactHalfSpace.safeDownCast(contact.getConnectee("half_space"))
            origin = plane.getFrame().findBaseFrame().getPositionInGround(self.state)
            on_ground[3:] += np.cross(_array(origin), on_ground[:3])
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

    def moment_arms(self, states: States) -> Floats:
        """Moment arms, (n, n_muscle, n_coordinate), m; zero about locked coordinates.

        Coordinates that are coupled to others are taken as free here.
        """
        couplers = self.found(osim.CoordinateCouplerConstraint)
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


def _matrix(rotation: Any) -> Floats:
    return np.array([[float(rotation.get(i, j)) for j in range(3)] for i in range(3)])


def _array(vector: Any) -> Floats:
    return np.array([float(vector.get(k)) for k in range(3)])
