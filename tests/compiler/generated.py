"""Random small OpenSim models with everything that compiles, for comparing with OpenSim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

JOINTS = (
    "pin",
    "slider",
    "universal",
    "planar",
    "gimbal",
    "ball",
    "free",
    "weld",
    "custom1",
    "custom2",
    "custom3",
    "shared",
)
"""Kinds of joint; customN has N coordinates, `shared` several rotations on one coordinate."""

FORCES = (
    "limit",
    "spring",
    "expression",
    "bushing",
    "contact",
    "coordinate_actuator",
    "lagged_actuator",
    "torque_actuator",
    "off",
)
MUSCLES = ("points", "conditional", "moving", "polynomial", "compliant", "control")
IN_JOINTS = ("linear", "polynomial", "spline", "multiplier", "piecewise")
IN_PATHS = (*IN_JOINTS, "multivariate")
"""Kinds of function of one variable, for joints and for path points."""

CONSTRAINTS = ("coupler", "locked", "prescribed")


@dataclass(frozen=True)
class Plan:
    """What a random model holds; its numbers come from the seed.

    Attributes
    ----------
    joints : kind of each body's joint
    parents : what each body hangs on: -1 the ground, else an earlier body
    muscles, forces, constraints : kinds
    seed : of all numbers
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    muscles: tuple[str, ...] = ()
    forces: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    seed: int = 0


class Builder:
    """Builds the OpenSim model of a plan."""

    def __init__(self, osim: Any, plan: Plan) -> None:
        self.osim, self.plan = osim, plan
        self.rng = np.random.default_rng(plan.seed)
        self.model = osim.Model()
        self.model.setName(f"random{plan.seed}")
        self.bodies: list[Any] = []
        self.moving: list[Any] = []  # bodies that are not welded to the ground
        self.every: list[str] = []  # coordinates
        self.plain: list[str] = []  # those whose speed is their rate
        self.scalar: list[str] = []  # those of them that are free
        self.leading: list[str] = []  # those that another one follows

    def build(self) -> Any:
        """The model, connected."""
        self.model.setGravity(self.vec(9.0))
        for i, (kind, parent) in enumerate(zip(self.plan.joints, self.plan.parents)):
            self._add_body(i, kind, parent)
        self.model.finalizeFromProperties()
        for k, kind in enumerate(self.plan.constraints):
            self._add_constraint(k, kind)
        for k, kind in enumerate(self.plan.forces):
            self._add_force(f"{kind}_{k}", kind)
        for k, kind in enumerate(self.plan.muscles):
            self._add_muscle(f"muscle_{k}", kind)
        self.model.finalizeConnections()
        return self.model

    # ---- numbers

    def number(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def vec(self, size: float) -> Any:
        return self.osim.Vec3(*(float(x) for x in self.rng.uniform(-size, size, 3)))

    def pick(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def carrier(self) -> Any:
        return self.pick([self.model.getGround(), *self.bodies])

    # ---- bodies and joints

    def _add_body(self, i: int, kind: str, parent: int) -> None:
        osim = self.osim
        body = osim.Body(f"body{i}", self.number(0.5, 5.0), self.vec(0.1), self._inertia())
        self.model.addBody(body)
        base = self.model.getGround() if parent < 0 else self.bodies[parent]
        level = self.rng.random() < 0.3
        turns = [osim.Vec3(0) if level else self.vec(1.5) for _ in range(2)]
        frames = (base, self.vec(0.3), turns[0], body, self.vec(0.3), turns[1])
        name = f"joint{i}"
        plain = {
            "pin": osim.PinJoint,
            "slider": osim.SliderJoint,
            "universal": osim.UniversalJoint,
            "planar": osim.PlanarJoint,
            "gimbal": osim.GimbalJoint,
            "ball": osim.BallJoint,
            "free": osim.FreeJoint,
            "weld": osim.WeldJoint,
        }
        if kind in plain:
            joint = plain[kind](name, *frames)
        else:
            joint = osim.CustomJoint(name, *frames, self._transform(i, kind))
        self.model.addJoint(joint)
        self.model.finalizeFromProperties()
        for k in range(joint.numCoordinates()):
            coordinate = joint.get_coordinates(k)
            coordinate.setName(f"q{i}_{k}")
            coordinate.setRangeMin(-0.7)
            coordinate.setRangeMax(0.7)
            self.every.append(f"q{i}_{k}")
            if kind not in ("ball", "free") or k > 2:
                self.scalar.append(f"q{i}_{k}")
                self.plain.append(f"q{i}_{k}")
        self.bodies.append(body)
        if kind != "weld" or base in self.moving:
            self.moving.append(body)

    def _inertia(self) -> Any:
        points = self.rng.uniform(-0.2, 0.2, (4, 3))
        full = sum(np.dot(p, p) * np.eye(3) - np.outer(p, p) for p in points)
        xx, yy, zz = (float(full[k, k]) for k in range(3))
        return self.osim.Inertia(
            xx, yy, zz, float(full[0, 1]), float(full[0, 2]), float(full[1, 2])
        )

    def _transform(self, i: int, kind: str) -> Any:
        """Three rotations and three translations of which each coordinate drives at least one."""
        osim = self.osim
        n = 1 if kind == "shared" else int(kind[-1])
        names = [f"q{i}_{k}" for k in range(n)]
        transform = osim.SpatialTransform()
        axes = [
            getattr(transform, f"upd_{what}{k}")()
            for what in ("rotation", "translation")
            for k in (1, 2, 3)
        ]
        places = self.rng.permutation(6)
        driven = [0, 1, 2, 3] if kind == "shared" else list(places[:n])
        extra = [] if kind == "shared" else [p for p in places[n:] if self.rng.random() < 0.4]
        for position, axis in enumerate(axes):
            unit = np.eye(3)[position % 3] + self.rng.uniform(-0.25, 0.25, 3)
            axis.set_axis(osim.Vec3(*(float(x) for x in unit)))
            if position in driven:
                main = names[driven.index(position) % n]
                self._drive(axis, [main], strong=True)
            elif position in extra:
                self._drive(axis, self._some(names), strong=False)
            else:
                axis.set_function(osim.Constant(self.number(-0.2, 0.2)))
        return transform

    def _some(self, names: list[str]) -> list[str]:
        count = min(len(names), int(self.rng.integers(1, 3)))
        return [names[k] for k in self.rng.permutation(len(names))[:count]]

    def _drive(self, axis: Any, names: list[str], strong: bool) -> None:
        listed = self.osim.ArrayStr()
        for name in names:
            listed.append(name)
        axis.setCoordinateNames(listed)
        axis.set_function(
            self._two_variables() if len(names) == 2 else self.function(float(strong), IN_JOINTS)
        )

    def _two_variables(self) -> Any:
        values = [self.number(-0.5, 0.5) for _ in range(3)]
        return self.osim.LinearFunction(_array_double(self.osim, values))

    def function(self, slope: float, kinds: tuple[str, ...]) -> Any:
        """A random function of one variable with about this slope."""
        osim = self.osim
        kind = self.pick(kinds)
        if kind == "linear":
            values = [slope + self.number(-0.3, 0.3), self.number(-0.2, 0.2)]
            return osim.LinearFunction(_array_double(osim, values))
        if kind in ("polynomial", "multivariate"):
            rising = np.array(
                [self.number(-0.2, 0.2), slope, self.number(-0.2, 0.2), self.number(-0.1, 0.1)]
            )
            if kind == "polynomial":
                return osim.PolynomialFunction(osim.Vector.createFromMat(rising[::-1].copy()))
            return osim.MultivariatePolynomialFunction(osim.Vector.createFromMat(rising), 1, 3)
        if kind == "multiplier":
            scale = self.number(0.5, 1.5)
            inner = self._points(osim.SimmSpline(), slope / scale)
            inner.this.disown()  # the multiplier takes it over
            return osim.MultiplierFunction(inner, scale)
        shape = osim.SimmSpline() if kind == "spline" else osim.PiecewiseLinearFunction()
        return self._points(shape, slope)

    def _points(self, shape: Any, slope: float) -> Any:
        # Fewer knots than the range has, so that both ends are left on some states.
        knots = np.sort(self.rng.uniform(-0.6, 0.6, int(self.rng.integers(2, 7))))
        knots += 0.05 * np.arange(knots.size)
        for x in knots:
            shape.addPoint(float(x), float(slope * x + self.number(-0.03, 0.03)))
        return shape

    # ---- constraints

    def _add_constraint(self, k: int, kind: str) -> None:
        osim = self.osim
        free = [name for name in self.scalar if name not in self.leading]
        if len(self.scalar) < 2 or not free:
            return
        name = self.pick(free)
        self.scalar.remove(name)
        if kind == "coupler":
            self.leading.append(self.pick(self.scalar))
            coupler = osim.CoordinateCouplerConstraint()
            coupler.setName(f"coupler_{k}")
            coupler.setDependentCoordinateName(name)
            coupler.setIndependentCoordinateNames(_array_str(osim, self.leading[-1:]))
            coupler.setFunction(self.function(0.5, IN_JOINTS))
            scale = coupler.updPropertyByName("scale_factor")
            osim.PropertyHelper.setValueDouble(self.pick((1.0, self.number(0.5, 1.5))), scale, 0)
            self.model.addConstraint(coupler)
            return
        coordinate = self.model.getCoordinateSet().get(name)
        value = self.number(-0.3, 0.3)
        if kind == "locked":
            coordinate.setDefaultValue(value)
            coordinate.set_locked(True)
        else:
            coordinate.setPrescribedFunction(osim.Constant(value))
            coordinate.setDefaultIsPrescribed(True)

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


def _array_double(osim: Any, values: list[float]) -> Any:
    found = osim.ArrayDouble()
    for value in values:
        found.append(value)
    return found


def _array_str(osim: Any, values: list[str]) -> Any:
    found = osim.ArrayStr()
    for value in values:
        found.append(value)
    return found


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
