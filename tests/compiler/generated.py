"""Random small OpenSim models with everything that compiles, for comparing with OpenSim."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.compiler.generated_bodies import (
    CONSTRAINTS,
    FORCES,
    IN_PATHS,
    JOINTS,
    MUSCLES,
    BodyBuilder,
    Plan,
)


class Builder(BodyBuilder):
    """Builds the OpenSim model of a plan."""

    def build(self) -> Any:
        """The model, connected."""
        self.model.setGravity(self.vec(9.0))
        for i, (kind, parent) in enumerate(zip(self.plan.joints, self.plan.parents)):
            self.add_body(i, kind, parent)
        self.model.finalizeFromProperties()
        for k, kind in enumerate(self.plan.constraints):
            self.add_constraint(k, kind)
        for k, kind in enumerate(self.plan.forces):
            self._add_force(f"{kind}_{k}", kind)
        for k, kind in enumerate(self.plan.muscles):
            self._add_muscle(f"muscle_{k}", kind)
        self.model.finalizeConnections()
        return self.model

    # ---- forces

    def _add_force(self, name: str, kind: str) -> None:
        osim = self.osim
        makers = {
            "limit": self._limit,
            "spring": self._spring,
            "off": self._spring,
            "expression": self._expression,
            "bushing": self._bushing,
            "contact": self._contact,
            "coordinate_actuator": lambda: self._on_coordinate(osim.CoordinateActuator()),
            "lagged_actuator": lambda: self._on_coordinate(osim.ActivationCoordinateActuator()),
            "torque_actuator": self._torque,
        }
        on_coordinate = kind not in ("bushing", "contact", "torque_actuator")
        if (on_coordinate and not self.every) or (kind == "contact" and not self.moving):
            return
        force = makers[kind]()
        force.setName(name)
        if kind == "off":
            force.set_appliesForce(False)
        self.model.addForce(force)

    def _limit(self) -> Any:
        force = self.osim.CoordinateLimitForce()
        force.set_coordinate(self.pick(self.every))
        force.setUpperLimit(self.number(0.0, 20.0))
        force.setLowerLimit(self.number(-20.0, 0.0))
        force.setUpperStiffness(self.number(0.1, 2.0))
        force.setLowerStiffness(self.number(0.1, 2.0))
        force.setDamping(self.number(0.0, 0.1))
        force.setTransition(self.number(2.0, 20.0))
        return force

    def _spring(self) -> Any:
        force = self.osim.SpringGeneralizedForce(self.pick(self.every))
        force.setStiffness(self.number(0.0, 50.0))
        force.setRestLength(self.number(-0.3, 0.3))
        force.setViscosity(self.number(0.0, 2.0))
        return force

    def _expression(self) -> Any:
        force = self.osim.ExpressionBasedCoordinateForce()
        force.set_coordinate(self.pick(self.every))
        a, b = self.number(0.5, 5.0), self.number(0.1, 1.0)
        formula = self.pick(
            (
                f"-{a}*q-{b}*qdot",
                f"{a} * exp(-{b}*(q + 1)^2) - {b}*qdot*abs(qdot)",
                f"{a}*sin(q)/(2+cos(qdot)) + sqrt({b}+q^2) - log(2+q)",
                f"-{b}*q^3*{a} + 2.5e-1*(q-qdot)",
            )
        )
        force.setExpression(formula)
        return force

    def _bushing(self) -> Any:
        osim = self.osim
        frames = [
            osim.PhysicalOffsetFrame(
                f"bushing_{k}_{self.model.getForceSet().getSize()}",
                base,
                osim.Transform(
                    osim.Rotation(self.number(-0.4, 0.4), osim.CoordinateAxis(0)), self.vec(0.2)
                ),
            )
            for k, base in enumerate((self.model.getGround(), self.pick(self.bodies)))
        ]
        for frame in frames:
            self.model.addComponent(frame)
        force = osim.BushingForce(
            "bushing",
            frames[0],
            frames[1],
            osim.Vec3(*(float(x) for x in self.rng.uniform(0.0, 50.0, 3))),
            osim.Vec3(*(float(x) for x in self.rng.uniform(0.0, 10.0, 3))),
            osim.Vec3(*(float(x) for x in self.rng.uniform(0.0, 2.0, 3))),
            osim.Vec3(*(float(x) for x in self.rng.uniform(0.0, 1.0, 3))),
        )
        return force

    def _contact(self) -> Any:
        osim = self.osim
        index = self.model.getContactGeometrySet().getSize()
        body, place, radius = self.pick(self.moving), self.vec(0.2), self.number(0.02, 0.1)
        turn = self.vec(3.0)
        plane = osim.ContactHalfSpace(osim.Vec3(0), turn, self.model.getGround(), f"plane{index}")
        # The sphere touches at the default pose, more or less.
        self.model.finalizeConnections()
        pose = plane.getTransform()
        axes = pose.R()  # points into the pose
        inward = np.array([axes.get(k, 0) for k in range(3)])
        centre = body.findStationLocationInGround(self.model.initSystem(), place)
        at = centre.to_numpy() + inward * (radius + self.number(-0.02, 0.02))
        plane.set_location(osim.Vec3(*(float(x) for x in at)))
        sphere = osim.ContactSphere(radius, place, body, f"sphere{index}")
        self.model.addContactGeometry(plane)
        self.model.addContactGeometry(sphere)
        force = osim.SmoothSphereHalfSpaceForce("contact", sphere, plane)
        force.set_stiffness(self.number(1e4, 1e6))
        force.set_dissipation(self.number(0.5, 3.0))
        static = self.number(0.5, 0.9)
        force.set_static_friction(static)
        force.set_dynamic_friction(self.pick((static, 0.5 * static)))
        force.set_viscous_friction(self.number(0.0, 0.6))
        force.set_transition_velocity(self.number(0.1, 0.3))
        return force

    def _on_coordinate(self, actuator: Any) -> Any:
        actuator.set_coordinate(self.pick(self.every))
        actuator.setOptimalForce(self.number(1.0, 30.0))
        if actuator.getConcreteClassName() == "ActivationCoordinateActuator":
            actuator.set_activation_time_constant(self.number(0.01, 0.1))
        return actuator

    def _torque(self) -> Any:
        osim = self.osim
        first = self.pick(self.bodies)
        second = self.pick([b for b in [self.model.getGround(), *self.bodies] if b is not first])
        actuator = osim.TorqueActuator()
        actuator.setBodyA(first)
        actuator.setBodyB(second)
        actuator.setAxis(self.vec(2.0))
        actuator.setTorqueIsGlobal(bool(self.rng.random() < 0.5))
        actuator.setOptimalForce(self.number(1.0, 30.0))
        return actuator

    # ---- muscles

    def _add_muscle(self, name: str, kind: str) -> None:
        osim = self.osim
        muscle = osim.DeGrooteFregly2016Muscle()
        muscle.setName(name)
        muscle.set_ignore_tendon_compliance(kind != "compliant")
        muscle.set_ignore_activation_dynamics(kind == "control")
        muscle.set_max_isometric_force(self.number(50.0, 500.0))
        muscle.set_pennation_angle_at_optimal(self.pick((0.0, self.number(0.05, 0.5))))
        muscle.set_max_contraction_velocity(self.number(6.0, 14.0))
        muscle.set_fiber_damping(self.pick((0.0, self.number(0.01, 0.1))))
        muscle.set_active_force_width_scale(self.number(1.0, 1.6))
        muscle.set_passive_fiber_strain_at_one_norm_force(self.number(0.4, 0.8))
        muscle.set_tendon_strain_at_one_norm_force(self.number(0.033, 0.1))
        muscle.set_ignore_passive_fiber_force(bool(self.rng.random() < 0.2))
        if kind == "polynomial" and self.plain:
            rest = self._polynomial_path(muscle)
        else:
            rest = self._point_path(muscle, kind)
        self.model.addForce(muscle)
        if rest is None:  # only the finished model knows how long the path is
            self.model.finalizeConnections()
            rest = muscle.getLength(self.model.initSystem())
        share = self.number(0.4, 0.6)
        muscle.set_tendon_slack_length(share * rest)
        muscle.set_optimal_fiber_length(
            (1.0 - share) * rest / np.cos(muscle.get_pennation_angle_at_optimal())
        )

    def _polynomial_path(self, muscle: Any) -> float:
        osim = self.osim
        count = min(len(self.plain), int(self.rng.integers(1, 4)))
        chosen = [self.plain[k] for k in self.rng.permutation(len(self.plain))[:count]]
        path = osim.FunctionBasedPath()
        path.setName("path")
        for coordinate in chosen:
            found = self.model.getCoordinateSet().get(coordinate)
            path.appendCoordinatePath(found.getAbsolutePathString())
        order = int(self.rng.integers(1, 4))
        size = _terms(count, order)
        coefficients = self.rng.uniform(-0.02, 0.02, size)
        coefficients[0] = self.number(0.3, 0.6)
        path.setLengthFunction(
            osim.MultivariatePolynomialFunction(
                osim.Vector.createFromMat(coefficients), count, order
            )
        )
        muscle.set_path(path)
        return float(coefficients[0])

    def _point_path(self, muscle: Any, kind: str) -> None:
        first = self.carrier()
        others = [b for b in [self.model.getGround(), *self.bodies] if b is not first]
        last = self.pick(others)
        muscle.addNewPathPoint("start", first, self.vec(0.3))
        if self.rng.random() < 0.5:
            muscle.addNewPathPoint("via", self.carrier(), self.vec(0.3))
        path = self.osim.GeometryPath.safeDownCast(muscle.updPath())
        if kind == "conditional" and self.every:
            self._conditional(path)
        if kind == "moving" and self.every:
            self._moving(path)
        muscle.addNewPathPoint("end", last, self.vec(0.3))

    def _conditional(self, path: Any) -> None:
        point = self.osim.ConditionalPathPoint()
        point.setName("conditional")
        point.setParentFrame(self.carrier())
        point.setLocation(self.vec(0.3))
        point.setCoordinate(self.model.getCoordinateSet().get(self.pick(self.every)))
        point.setRangeMin(self.number(-0.5, 0.0))
        point.setRangeMax(self.number(0.0, 0.5))
        point.this.disown()
        path.updPathPointSet().adoptAndAppend(point)

    def _moving(self, path: Any) -> None:
        point = self.osim.MovingPathPoint()
        point.setName("moving")
        point.setParentFrame(self.carrier())
        coordinate = self.model.getCoordinateSet().get(self.pick(self.every))
        for axis in "XYZ":
            getattr(point, f"set{axis}Coordinate")(coordinate)
        for axis in "xyz":
            getattr(point, f"set_{axis}_location")(self.function(0.1, IN_PATHS))
        point.this.disown()
        path.updPathPointSet().adoptAndAppend(point)


def _terms(count: int, order: int) -> int:
    grid = np.indices((order + 1,) * count).reshape(count, -1)
    return int((grid.sum(axis=0) <= order).sum())


def random_plan(seed: int) -> Plan:
    """A plan drawn at random."""
    rng = np.random.default_rng(seed)

    def some(options: tuple[str, ...], most: int) -> tuple[str, ...]:
        count = int(rng.integers(0, most + 1))
        return tuple(options[int(k)] for k in rng.integers(len(options), size=count))

    n = int(rng.integers(1, 6))
    return Plan(
        joints=tuple(JOINTS[int(k)] for k in rng.integers(len(JOINTS), size=n)),
        parents=tuple(int(rng.integers(-1, i)) if i else -1 for i in range(n)),
        muscles=some(MUSCLES, 3),
        forces=some(FORCES, 4),
        constraints=some(CONSTRAINTS, 2),
        seed=seed,
    )
