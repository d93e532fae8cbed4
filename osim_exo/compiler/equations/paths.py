"""Length of a muscle's path and its gradient by the speeds, as expressions.

The lengthening speed is the gradient times the speeds, and a tension pulls with minus the gradient
on each coordinate. Both kinds of path agree with OpenSim's, also where OpenSim is not consistent:
see `PathLength`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from osim_exo.compiler.equations import functions
from osim_exo.compiler.equations.mechanics import Mechanics, Station
from osim_exo.compiler.spec import Frame, Function, FunctionPath, PathPoint, PointsPath
from osim_exo.compiler.symbols.expression import (
    Expr,
    Exprs,
    absolute,
    both,
    clip,
    dot,
    is_zero,
    less_equal,
    maximum,
    negated,
    select,
    sqrt,
    tanh,
    vector,
)
from osim_exo.errors import ModelError

RANGE_TOLERANCE = 1e-5
"""How far outside its range OpenSim still counts a conditional point, rad or m."""

SATURATION = 0.1
"""Share of a coordinate's fitted range within which it saturates beyond that range."""

Gradient = dict[int, Expr]


@dataclass(frozen=True)
class PathLength:
    """A path's length and how it changes.

    Attributes
    ----------
    length : m
    gradient : by column, what one unit of speed adds to the lengthening speed; m/rad or m/m
    pull : by column, minus the generalised force of one newton of tension. The same numbers but
        for a moving point next to a point of the same body: OpenSim counts its motion in the
        lengthening speed, and gives no force for that segment
    excess : how far the coordinates are outside the range the path was fitted on, rad or m; the
        largest one; the number zero where no range is known
    """

    length: Expr
    gradient: Gradient
    pull: Gradient
    excess: Expr = 0.0

    def speed(self, u: Exprs) -> Expr:
        """Lengthening speed, m/s, from all speeds."""
        total: Expr = 0.0
        for column, slope in self.gradient.items():
            total = total + slope * u[column]
        return total


@dataclass(frozen=True)
class _Point:
    """A path point in the model.

    Attributes
    ----------
    body : path of the body as the spec has it, before welding
    station, position
    active : whether it counts, a condition
    column, slope : of a moving point: its coordinate, and its velocity in the body per unit speed
    """

    body: str
    station: Station
    position: Exprs
    active: Any
    column: int | None
    slope: Exprs | None


def length_and_gradient(
    path: PointsPath | FunctionPath, mechanics: Mechanics, clamp: bool = False
) -> PathLength:
    """Length and gradient of a path.

    Parameters
    ----------
    path : of the model's spec
    mechanics : kinematics
    clamp : saturate the coordinates of a fitted path outside the range it was fitted on, smoothly
        and conservatively; inside, nothing changes

    Raises
    ------
    ModelError
        The path uses a coordinate that the model does not have.
    """
    if isinstance(path, FunctionPath):
        return _function_path(path, mechanics, clamp)
    return _points_path(path, mechanics)


def _column(mechanics: Mechanics, name: str) -> int:
    if name not in mechanics.column:
        raise ModelError(
            f"A muscle's path uses the coordinate '{name}', which the model does not have. Fit or "
            "edit the path for the joints that the model has."
        )
    return mechanics.column[name]


def _function_path(path: FunctionPath, mechanics: Mechanics, clamp: bool) -> PathLength:
    columns = [_column(mechanics, name) for name in path.coordinates]
    if path.valid and len(path.valid) != len(columns):
        raise ModelError(
            f"A path of {len(columns)} coordinates has {len(path.valid)} ranges of validity; give "
            "one range per coordinate, or none."
        )
    arguments = [mechanics.q[k] for k in columns]
    slopes: list[Expr] = [1.0] * len(columns)
    excess: Expr = 0.0
    for i, (low, high) in enumerate(path.valid):
        beyond = arguments[i] - clip(arguments[i], low, high)
        excess = absolute(beyond) if is_zero(excess) else maximum(excess, absolute(beyond))
        if clamp:
            arguments[i], slopes[i] = saturated(arguments[i], low, high)
    length, partials = functions.evaluate(path.length, arguments)
    gradient: Gradient = {}
    for column, partial, slope in zip(columns, partials, slopes):
        _accumulate(gradient, column, partial * slope)
    return PathLength(length, gradient, gradient, excess)


def saturated(x: Expr, low: float, high: float) -> tuple[Expr, Expr]:
    """A coordinate held near its range, and its derivative.

    Inside the range exactly itself. Outside it runs into a bound a tenth of the range's width
    further, without a jump in the derivative.
    """
    inside = clip(x, low, high)
    width = SATURATION * (high - low)
    if width == 0.0:
        return inside, 0.0
    share = tanh((x - inside) / width)
    return inside + width * share, 1.0 - share * share


def _points_path(path: PointsPath, mechanics: Mechanics) -> PathLength:
    points = [_point(p, mechanics) for p in path.points]
    length: Expr = 0.0
    gradient: Gradient = {}
    pull: Gradient = {}
    for i, first in enumerate(points):
        reached = first.active
        for second in points[i + 1 :]:
            if reached is False:
                break
            condition = both(reached, second.active)
            if condition is not False:
                distance, slopes = _segment(first, second, mechanics)
                length = length + _where(condition, distance)
                for column, slope in slopes.items():
                    _accumulate(gradient, column, _where(condition, slope))
                    if first.body != second.body:
                        _accumulate(pull, column, _where(condition, slope))
            reached = both(reached, negated(second.active))
    return PathLength(length, gradient, pull)


def _point(point: PathPoint, mechanics: Mechanics) -> _Point:
    if point.functions is not None and point.coordinate is not None:
        return _moving_point(point.frame, point.coordinate, point.functions, mechanics)
    if point.location is None:
        raise ModelError(
            f"A path point on '{point.frame.base}' has neither a location nor functions of a "
            "coordinate; give it one of them."
        )
    station = mechanics.station(point.frame, point.location)
    active: Any = True
    if point.active_range is not None and point.coordinate is not None:
        x = mechanics.q[_column(mechanics, point.coordinate)]
        low, high = point.active_range
        active = both(less_equal(low - RANGE_TOLERANCE, x), less_equal(x, high + RANGE_TOLERANCE))
    return _Point(
        point.frame.base, station, mechanics.position(station), active, column=None, slope=None
    )


def _moving_point(
    frame: Frame, coordinate: str, place: tuple[Function, Function, Function], mechanics: Mechanics
) -> _Point:
    """A point whose place is a function of a coordinate.

    OpenSim clamps the coordinate to its range for the place and not for the derivative.
    """
    column = _column(mechanics, coordinate)
    x = mechanics.q[column]
    low, high = mechanics.topology.spec.coordinates[column].range
    location = [functions.evaluate(f, [clip(x, low, high)])[0] for f in place]
    slope = vector(*(functions.evaluate(f, [x])[1][0] for f in place))
    station = mechanics.station(frame, location)
    turned = mechanics.rotation(frame) @ slope
    return _Point(frame.base, station, mechanics.position(station), True, column, turned)


def _segment(first: _Point, second: _Point, mechanics: Mechanics) -> tuple[Expr, Gradient]:
    """Distance of two points and its gradient."""
    a, b = first.station, second.station
    if a.body == b.body:
        inner = b.location - a.location
        distance = sqrt(dot(inner, inner))
        if first.slope is None and second.slope is None:
            return distance, {}
        direction = mechanics.direction(a.body, inner / distance)
        columns: list[int] = []
    else:
        apart = second.position - first.position
        distance = sqrt(dot(apart, apart))
        direction = apart / distance
        columns = mechanics.between(a.body, b.body)
    gradient: Gradient = {}
    for column in columns:
        velocity = mechanics.column_velocity(column, b) - mechanics.column_velocity(column, a)
        _accumulate(gradient, column, dot(direction, velocity))
    for point, sign in ((first, -1.0), (second, 1.0)):
        if point.column is not None and point.slope is not None:
            _accumulate(gradient, point.column, sign * dot(direction, point.slope))
    return distance, gradient


def _accumulate(gradient: Gradient, column: int, value: Expr) -> None:
    if not is_zero(value):
        gradient[column] = gradient.get(column, 0.0) + value


def _where(condition: Any, value: Expr) -> Expr:
    return select(condition, value, 0.0)
