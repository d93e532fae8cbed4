"""OpenSim's functions and frames as parts of a `ModelSpec`."""

from __future__ import annotations

from typing import Any

import numpy as np
import opensim as osim

from osim_exo.compiler import spec
from osim_exo.errors import ModelError

CLEAN = 1e-15
"""Entries of a rotation this near to 0 or 1 are 0 or 1: structure that rounding has hidden."""

FIRST = [0]
"""What OpenSim is asked for: the derivative by the first argument. A list, because ezc3d writes no
file any more in a process where an opensim.StdVectorInt was passed to a function."""

CHECKS = (0.13, 0.37, 0.71)
"""Where within an interval a spline is compared with its cubic."""


def refusal(component: Any, why: str, remedy: str) -> ModelError:
    """The error for what does not compile: which component, its class, why, and what to do."""
    name = component.getName() or "(without name)"
    return ModelError(f"'{name}' ({component.getConcreteClassName()}) {why}. {remedy}")


def vec3(vector: Any) -> spec.Vec3:
    """A SimTK::Vec3 as numbers."""
    return float(vector.get(0)), float(vector.get(1)), float(vector.get(2))


def rotation(of: Any) -> spec.Mat3:
    """A SimTK::Rotation as numbers, with the rounding next to 0 and 1 taken out."""
    rows = [[float(of.get(i, j)) for j in range(3)] for i in range(3)]
    cleaned = [[_clean(x) for x in row] for row in rows]
    return tuple((row[0], row[1], row[2]) for row in cleaned)  # type: ignore[return-value]


def _clean(x: float) -> float:
    nearest = round(x)
    return float(nearest) if abs(x - nearest) < CLEAN else x


def frame(of: Any, offset: Any = None) -> spec.Frame:
    """A physical frame, or one offset within it, relative to the body that carries it.

    Parameters
    ----------
    of : opensim.PhysicalFrame
    offset : opensim.Transform, optional
        A transform within that frame.
    """
    transform = of.findTransformInBaseFrame()
    if offset is not None:
        transform = transform.compose(offset)
    return spec.Frame(
        base=of.findBaseFrame().getAbsolutePathString(),
        rotation=rotation(transform.R()),
        translation=vec3(transform.p()),
    )


def station(of: Any, location: Any) -> spec.Frame:
    """The frame at a point of a physical frame."""
    return frame(of, osim.Transform(osim.Vec3(*vec3(location))))


def numbers(component: Any, name: str) -> tuple[float, ...]:
    """All values of a property of numbers, at full precision."""
    found = component.getPropertyByName(name)
    return tuple(float(osim.PropertyHelper.getValueDouble(found, i)) for i in range(found.size()))


def _vector(of: Any) -> tuple[float, ...]:
    return tuple(float(x) for x in of.to_numpy())


def function(of: Any, owner: Any) -> spec.Function:
    """An opensim.Function.

    Parameters
    ----------
    of : opensim.Function
    owner : the component it belongs to, named in the error

    Raises
    ------
    ModelError
        A function of another class, or a spline with too few points.
    """
    kind = of.getConcreteClassName()
    if kind == "Constant":
        return spec.Constant(value=numbers(of, "value")[0])
    if kind == "LinearFunction":
        *slopes, intercept = numbers(of, "coefficients")
        return spec.Linear(slopes=tuple(slopes), intercept=intercept)
    if kind == "PolynomialFunction":
        coefficients = osim.PolynomialFunction.safeDownCast(of).getCoefficients()
        return spec.Polynomial(coefficients=_vector(coefficients))
    if kind == "MultiplierFunction":
        inner = osim.MultiplierFunction.safeDownCast(of).getFunction()
        return spec.Multiplier(scale=numbers(of, "scale")[0], function=function(inner, owner))
    if kind == "PiecewiseLinearFunction":
        return _piecewise_linear(of, owner)
    if kind == "SimmSpline":
        return _spline(of, owner)
    if kind == "MultivariatePolynomialFunction":
        polynomial = osim.MultivariatePolynomialFunction.safeDownCast(of)
        return spec.MultivariatePolynomial(
            dimension=polynomial.getDimension(),
            order=polynomial.getOrder(),
            coefficients=_vector(polynomial.getCoefficients()),
        )
    raise refusal(
        owner,
        f"uses a function of class {kind}, which does not compile",
        "Compiled functions are Constant, LinearFunction, PolynomialFunction, SimmSpline (the "
        "same as NaturalCubicSpline), PiecewiseLinearFunction, MultiplierFunction and "
        "MultivariatePolynomialFunction. Replace it by a SimmSpline through its values.",
    )


def _piecewise_linear(of: Any, owner: Any) -> spec.Function:
    knots, values = numbers(of, "x"), numbers(of, "y")
    if len(knots) < 2:
        raise _too_few(of, owner, len(knots))
    return spec.PiecewiseLinear(knots=knots, values=values)


def _too_few(of: Any, owner: Any, count: int) -> ModelError:
    return refusal(
        owner,
        f"has a {of.getConcreteClassName()} with {count} point(s), where two or more are needed",
        "Give it more points, or use a Constant.",
    )


def _spline(of: Any, owner: Any) -> spec.Function:
    """A natural cubic spline from its values and slopes at the knots, compared in between."""
    knots = numbers(of, "x")
    if len(knots) < 2:
        raise _too_few(of, owner, len(knots))

    def value(x: float) -> float:
        return float(of.calcValue(osim.Vector(1, x)))

    def slope(x: float) -> float:
        return float(of.calcDerivative(FIRST, osim.Vector(1, x)))

    cubics = []
    for left, right in zip(knots, knots[1:]):
        width = right - left
        rise = (value(right) - value(left)) / width
        d0, d1 = slope(left), slope(right)
        cubic = (
            value(left),
            d0,
            (3.0 * rise - 2.0 * d0 - d1) / width,
            (d0 + d1 - 2.0 * rise) / width**2,
        )
        for part in CHECKS:
            _compare(value(left + part * width), cubic, part * width, of, owner)
        cubics.append(cubic)
    beyond = knots[-1] - knots[0]
    return spec.PiecewiseCubic(
        knots=knots,
        coefficients=tuple(cubics),
        slope_left=slope(knots[0] - beyond),
        slope_right=slope(knots[-1] + beyond),
    )


def _compare(
    value: float, cubic: tuple[float, float, float, float], t: float, of: Any, owner: Any
) -> None:
    polynomial = float(np.polyval(cubic[::-1], t))
    scale = sum(abs(c) * t**k for k, c in enumerate(cubic))
    if not abs(polynomial - value) <= 1e-11 * (1e-3 + scale):
        raise refusal(
            owner,
            f"has a {of.getConcreteClassName()} that is not cubic between its points: "
            f"{value} where {polynomial} was expected",
            "Look for points that coincide or are out of order.",
        )
