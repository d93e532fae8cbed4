"""How a joint moves its child body: pose, velocity columns and acceleration bias.

A joint is a sequence of rotations about fixed axes and a sum of translations along fixed axes,
each by a function of the joint's coordinates (Simbody's FunctionBased mobilizer, of which pins,
sliders, planar and universal joints are cases). Ball and free joints differ in their speeds, which
are the components of the angular velocity in the parent's frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.equations import functions
from osim_exo.compiler.spec import Joint
from osim_exo.compiler.symbols.expression import (
    Expr,
    Exprs,
    Graph,
    Node,
    constants,
    cos,
    cross,
    derivatives,
    dot,
    is_zero,
    sin,
    substitute,
    vector,
    zeros,
)
from osim_exo.errors import ModelError

Floats = npt.NDArray[np.float64]

X, Y, Z = (constants(row) for row in np.eye(3))


@dataclass(frozen=True)
class Offset:
    """A frame's pose in a body's frame: numbers.

    Attributes
    ----------
    rotation : (3, 3) array
    translation : (3,) array, m
    """

    rotation: Floats
    translation: Floats


@dataclass(frozen=True)
class JointMotion:
    """The child body's motion relative to the parent body, in the parent's axes.

    Attributes
    ----------
    rotation : (3, 3) array; takes the child's vectors into the parent's axes
    translation : (3,) array; origin of the child, m
    angular, linear : (3, n) array; angular velocity, and velocity of the child's origin, per unit
        speed of each coordinate
    angular_bias, linear_bias : (3,) array; accelerations where all speeds' rates are zero
    planar_angle : angle about z, if all that the joint does is turn about z; else None
    """

    rotation: Exprs
    translation: Exprs
    angular: Exprs
    linear: Exprs
    angular_bias: Exprs
    linear_bias: Exprs
    planar_angle: Expr | None


def turn(axis: Floats, angle: Expr) -> Exprs:
    """Rotation by an angle about a unit axis, (3, 3) array (Rodrigues)."""
    if is_zero(angle):
        return constants(np.eye(3))
    x, y, z = (float(a) for a in axis)
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    aligned = np.flatnonzero(np.abs(axis) == 1.0)
    s, c = sin(angle), cos(angle)
    if aligned.size:
        # Written out, so that one minus cosine does not appear: fewer operations.
        found: Exprs = constants(k) * s
        for i in range(3):
            found[i, i] = 1.0 if i == aligned[0] else c
        return found
    general: Exprs = constants(np.eye(3)) + constants(k) * s + constants(k @ k) * (1.0 - c)
    return general


@dataclass(frozen=True)
class _Axis:
    """A rotation or translation along one axis, with its derivatives by the coordinates."""

    axis: Floats
    value: Expr
    slope: list[Expr]
    curvature: list[list[Expr]]
    driven: bool = True

    def rate(self, speeds: Exprs) -> Expr:
        return dot(vector(*self.slope), vector(*speeds))

    def bias(self, speeds: Exprs) -> Expr:
        """Second time derivative where the speeds' rates are zero."""
        total: Expr = 0.0
        for row, u in zip(self.curvature, speeds):
            total = total + u * dot(vector(*row), vector(*speeds))
        return total


def motion(
    graph: Graph,
    joint: Joint,
    parent: Offset,
    child: Offset,
    q: Exprs,
    u: Exprs,
    simbody_bias: bool,
) -> JointMotion:
    """The motion of a joint.

    Parameters
    ----------
    graph : where the expressions live
    joint : what kind of joint, its coordinates and functions
    parent, child : the joint's frames in the parent and the child body
    q, u : its coordinates and speeds
    simbody_bias : reproduce the acceleration bias of Simbody's FunctionBased mobilizer, which is
        not the derivative of its velocity where several rotations depend on one coordinate
    """
    rotations, translations = _axes(graph, joint, q)
    angular_f, angular_bias_f = _angular(joint, rotations, u, simbody_bias)
    pose = constants(np.eye(3))
    for r in rotations:
        pose = pose @ turn(r.axis, r.value)
    if joint.kind in ("ball", "free"):
        angular_f = constants(np.eye(3, len(q)))
        angular_bias_f = zeros(3)
    turned = constants(parent.rotation)
    rotation = turned @ pose @ constants(child.rotation.T)
    lever = rotation @ constants(child.translation)
    offset, columns, bias = zeros(3), zeros(3, len(q)), zeros(3)
    for t in translations:
        axis = constants(t.axis)
        offset = offset + axis * t.value
        columns = columns + np.outer(axis, vector(*t.slope))
        bias = bias + axis * t.bias(u)
    angular, angular_bias = turned @ angular_f, turned @ angular_bias_f
    omega = angular @ vector(*u) if len(u) else zeros(3)
    linear = turned @ columns
    for k in range(len(q)):
        linear[:, k] = linear[:, k] - cross(angular[:, k], lever)
    return JointMotion(
        rotation,
        constants(parent.translation) + turned @ offset - lever,
        angular,
        linear,
        angular_bias,
        turned @ bias - cross(angular_bias, lever) - cross(omega, cross(omega, lever)),
        _planar_angle(rotations, parent, child),
    )


def _axes(graph: Graph, joint: Joint, q: Exprs) -> tuple[list[_Axis], list[_Axis]]:
    x, y, z = np.eye(3)

    def plain(axes: list[tuple[Floats, int]]) -> list[_Axis]:
        n = len(q)
        flat = [[0.0] * n for _ in range(n)]
        return [_Axis(a, q[k], [float(i == k) for i in range(n)], flat) for a, k in axes]

    if joint.kind == "weld":
        return [], []
    if joint.kind == "pin":
        return plain([(z, 0)]), []
    if joint.kind == "slider":
        return [], plain([(x, 0)])
    if joint.kind == "universal":
        return plain([(x, 0), (y, 1)]), []
    if joint.kind == "planar":
        return plain([(z, 0)]), plain([(x, 1), (y, 2)])
    if joint.kind == "ball":
        return plain([(x, 0), (y, 1), (z, 2)]), []
    if joint.kind == "free":
        return plain([(x, 0), (y, 1), (z, 2)]), plain([(x, 3), (y, 4), (z, 5)])
    return _custom(graph, joint, q)


def _custom(graph: Graph, joint: Joint, q: Exprs) -> tuple[list[_Axis], list[_Axis]]:
    if len(joint.axes) != 6:
        raise ModelError(
            f"The custom joint '{joint.name}' has {len(joint.axes)} axes; it needs three rotations "
            "and three translations."
        )
    names = [c.name for c in joint.coordinates]
    symbols = [graph.symbol(f"{joint.name}/{name}") for name in names]
    found = []
    for spec in joint.axes:
        # OpenSim takes the direction only, of translations too.
        axis = np.array(spec.axis) / np.linalg.norm(spec.axis)
        slope: list[Expr] = [0.0] * len(q)
        value: Expr = 0.0
        if spec.function is not None:
            columns = [names.index(name) for name in spec.coordinates]
            value, partials = functions.evaluate(spec.function, [symbols[k] for k in columns])
            for k, partial in zip(columns, partials):
                slope[k] = slope[k] + partial
        free = _Axis(axis, value, slope, _curvature(slope, symbols), bool(spec.coordinates))
        found.append(_substituted(free, dict(zip(symbols, q))))
    return found[:3], found[3:]


def _curvature(slope: list[Expr], symbols: Sequence[Node]) -> list[list[Expr]]:
    by_variable = [derivatives(slope, s) for s in symbols]
    return [[by_variable[j][k] for j in range(len(symbols))] for k in range(len(slope))]


def _substituted(axis: _Axis, values: dict[Node, Expr]) -> _Axis:
    n = len(axis.slope)
    flat = [axis.value, *axis.slope, *(x for row in axis.curvature for x in row)]
    new = substitute(flat, values)
    rows = [new[1 + n + i * n : 1 + n + (i + 1) * n] for i in range(n)]
    return _Axis(axis.axis, new[0], new[1 : 1 + n], rows, axis.driven)


def _angular(
    joint: Joint, rotations: list[_Axis], u: Exprs, simbody_bias: bool
) -> tuple[Exprs, Exprs]:
    """Angular velocity columns (3, n) and bias (3,) in the joint's parent frame."""
    n = len(u)
    quirk = simbody_bias and joint.kind == "custom"
    pose, seen = constants(np.eye(3)), constants(np.eye(3))
    axes, columns = [], zeros(3, n)
    for r in rotations:
        axes.append(pose @ constants(r.axis))
        pose = pose @ turn(r.axis, r.value)
        columns = columns + np.outer(seen @ constants(r.axis), vector(*r.slope))
        if r.driven or not quirk:
            # OpenSim's velocities leave out a constant rotation that no coordinate is listed for.
            seen = seen @ turn(r.axis, r.value)
    bias, omega = zeros(3), zeros(3)
    for i, (r, axis) in enumerate(zip(rotations, axes)):
        rate = r.rate(u)
        if quirk:
            omega = _simbody_omega(columns, u, i)
        bias = bias + axis * r.bias(u) + cross(omega, axis) * rate
        omega = omega + axis * rate
    return columns, bias


def _simbody_omega(columns: Exprs, u: Exprs, i: int) -> Exprs:
    """What Simbody takes for the angular velocity of the i-th rotation's axis.

    It zeroes the speeds of later coordinates in the joint's whole angular velocity; right only
    where rotation i depends on coordinate i. Compared with OpenSim 4.6 on Rajagopal's knee.
    """
    used = ((), (0,), tuple(k for k in range(len(u)) if k != 2))[i]
    total = zeros(3)
    for k in used:
        total = total + columns[:, k] * u[k]
    return total


def joint_rates(joint: Joint, q: Exprs, u: Exprs) -> tuple[Expr, ...]:
    """Rates of a joint's coordinates: its speeds, except in ball and free joints."""
    if joint.kind not in ("ball", "free"):
        return tuple(u)
    # Body-fixed x-y-z angles from the angular velocity in the parent's frame.
    sa, ca, sb, cb = sin(q[0]), cos(q[0]), sin(q[1]), cos(q[1])
    third = (ca * u[2] - sa * u[1]) / cb
    return (u[0] - sb * third, ca * u[1] + sa * u[2], third, *u[3:])


def _planar_angle(rotations: list[_Axis], parent: Offset, child: Offset) -> Expr | None:
    level = np.array_equal(parent.rotation, np.eye(3)) and np.array_equal(child.rotation, np.eye(3))
    turning = [r for r in rotations if not is_zero(r.value)]
    if not level or any(abs(float(r.axis[2])) != 1.0 for r in turning):
        return None
    angle: Expr = 0.0
    for r in turning:
        angle = angle + float(r.axis[2]) * r.value
    return angle
