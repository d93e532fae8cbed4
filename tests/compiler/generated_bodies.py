"""Bodies, joints, functions and constraints of random OpenSim models."""

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


class BodyBuilder:
    """Builds the bodies of a plan's OpenSim model, and what ties them."""

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

    def add_body(self, i: int, kind: str, parent: int) -> None:
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
        return self.osim.LinearFunction(array_double(self.osim, values))

    def function(self, slope: float, kinds: tuple[str, ...]) -> Any:
        """A random function of one variable with about this slope."""
        osim = self.osim
        kind = self.pick(kinds)
        if kind == "linear":
            values = [slope + self.number(-0.3, 0.3), self.number(-0.2, 0.2)]
            return osim.LinearFunction(array_double(osim, values))
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

    def add_constraint(self, k: int, kind: str) -> None:
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
            coupler.setIndependentCoordinateNames(array_str(osim, self.leading[-1:]))
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


def array_double(osim: Any, values: list[float]) -> Any:
    found = osim.ArrayDouble()
    for value in values:
        found.append(value)
    return found


def array_str(osim: Any, values: list[str]) -> Any:
    found = osim.ArrayStr()
    for value in values:
        found.append(value)
    return found
