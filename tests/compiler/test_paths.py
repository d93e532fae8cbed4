from collections.abc import Callable
from typing import Any

import numpy as np
import opensim as osim
import pytest

import osim_exo.models.paths as model_paths
from osim_exo.compiler import spec
from osim_exo.compiler.equations import paths
from osim_exo.compiler.symbols.expression import Expr, Graph, derivatives
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import ModelError
from osim_exo.trial import Array
from tests.compiler.bench_model import BenchModel, relative_error

Editor = Callable[[Any, list[Any], Any], None]


def leg_model(*editors: Editor) -> osim.Model:
    """Three hinged links and a foot welded to the last; each editor gives one muscle its path."""
    model = osim.Model()
    parent, bodies, knee = model.getGround(), [], None
    for i, (x, y, z) in enumerate([(0.1, 0.9, 0.05), (0.02, -0.4, 0.0), (0.0, -0.42, 0.01)]):
        body = osim.Body(f"link{i}", 1.0 + i, osim.Vec3(0, -0.2, 0), osim.Inertia(0.1))
        tilt = osim.Vec3(0.1 * i, 0.2, 0.0)
        joint = osim.PinJoint(
            f"hinge{i}", parent, osim.Vec3(x, y, z), tilt, body, osim.Vec3(0), osim.Vec3(0)
        )
        joint.updCoordinate().setName(f"angle{i}")
        joint.updCoordinate().setRangeMin(-1.0)
        joint.updCoordinate().setRangeMax(0.5)
        knee = joint.getCoordinate() if i == 1 else knee
        model.addBody(body)
        model.addJoint(joint)
        bodies.append(body)
        parent = body
    foot = osim.Body("foot", 0.5, osim.Vec3(0.05, 0, 0), osim.Inertia(0.01))
    model.addBody(foot)
    model.addJoint(
        osim.WeldJoint(
            "sole",
            bodies[2],
            osim.Vec3(0, -0.4, 0),
            osim.Vec3(0, 0, 0.3),
            foot,
            osim.Vec3(0),
            osim.Vec3(0),
        )
    )
    bodies.append(foot)
    for i, edit in enumerate(editors):
        muscle = osim.DeGrooteFregly2016Muscle()
        muscle.setName(f"muscle{i}")
        muscle.set_max_isometric_force(1000.0)
        muscle.set_optimal_fiber_length(0.2)
        muscle.set_tendon_slack_length(0.2)
        muscle.set_ignore_tendon_compliance(True)
        model.addForce(muscle)
        edit(muscle, [model.getGround(), *bodies], knee)
    model.finalizeConnections()
    return model


def fixed(*points: tuple[int, tuple[float, float, float]]) -> Editor:
    def edit(muscle: Any, bodies: list[Any], knee: Any) -> None:
        for k, (body, place) in enumerate(points):
            muscle.addNewPathPoint(f"p{k}", bodies[body], osim.Vec3(*place))

    return edit


def append(muscle: Any, point: Any) -> None:
    path = osim.GeometryPath.safeDownCast(muscle.updPath())
    point.this.disown()
    path.updPathPointSet().adoptAndAppend(point)


def conditional(
    body: int, place: tuple[float, float, float], low: float, high: float, last: bool = False
) -> Editor:
    """A path from the ground over one conditional point, at the end of the path or before it."""

    def edit(muscle: Any, bodies: list[Any], knee: Any) -> None:
        muscle.addNewPathPoint("start", bodies[1], osim.Vec3(0.05, -0.1, 0.02))
        if last:
            muscle.addNewPathPoint("end", bodies[3], osim.Vec3(0.04, -0.1, 0.0))
        point = osim.ConditionalPathPoint()
        point.setName("via")
        point.setParentFrame(bodies[body])
        point.setLocation(osim.Vec3(*place))
        point.setRangeMin(low)
        point.setRangeMax(high)
        point.setCoordinate(knee)
        append(muscle, point)
        if not last:
            muscle.addNewPathPoint("end", bodies[3], osim.Vec3(0.04, -0.1, 0.0))

    return edit


def spline(values: list[float]) -> Any:
    curve = osim.SimmSpline()
    for x, y in zip(np.linspace(-1.2, 0.6, len(values)), values):
        curve.addPoint(float(x), y)
    return curve


def moving(body: int, before: list[Any], after: list[Any]) -> Editor:
    """A path through a point that a spline of the knee moves, between fixed points."""

    def edit(muscle: Any, bodies: list[Any], knee: Any) -> None:
        fixed(*before)(muscle, bodies, knee)
        point = osim.MovingPathPoint()
        point.setName("patella")
        point.setParentFrame(bodies[body])
        curves = ([0.05, 0.055, 0.045, 0.04], [-0.02, -0.01, 0.0, 0.02], [0.0, 0.001, 0.0, 0.002])
        for axis, values in zip("xyz", curves):
            getattr(point, f"set_{axis}_location")(spline(values))
            getattr(point, f"set{axis.upper()}Coordinate")(knee)
        append(muscle, point)
        for k, (other, place) in enumerate(after):
            muscle.addNewPathPoint(f"after{k}", bodies[other], osim.Vec3(*place))

    return edit


ALL = {
    "two points": fixed((0, (0, 1, 0)), (2, (0.03, -0.2, 0.01))),
    "many points": fixed(
        (0, (0, 1.2, 0)),
        (1, (0.05, -0.05, 0)),
        (1, (0.06, -0.3, 0.01)),
        (3, (0.05, -0.2, 0)),
        (4, (0.1, 0.02, 0)),
    ),
    "over the weld": fixed((3, (0.05, -0.2, 0)), (4, (0.1, 0.02, 0)), (2, (0.0, -0.1, 0))),
    "conditional": conditional(2, (0.06, -0.02, 0.0), -0.6, 0.0),
    "conditional end": conditional(2, (0.06, -0.02, 0.0), -0.3, 0.2, last=True),
    "moving end": moving(3, [(1, (0.05, -0.2, 0.01))], []),
    "moving between": moving(2, [(1, (0.05, -0.2, 0.01))], [(3, (0.03, -0.1, 0))]),
    "moving beside a point of its body": moving(
        3, [(1, (0.05, -0.2, 0.01))], [(3, (0.03, -0.1, 0))]
    ),
    "moving beside a welded body": moving(3, [(2, (0.05, -0.2, 0.01))], [(4, (0.03, 0.1, 0))]),
    "moving start": moving(2, [], [(3, (0.05, -0.1, 0.01))]),
}


def random_states(n: int, seed: int, low: float = -1.3, high: float = 0.8) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {"q": rng.uniform(low, high, (n, 3)), "u": rng.normal(0, 3, (n, 3))}


@pytest.mark.parametrize("kind", ALL)
def test_length_speed_and_pull_of_point_paths_equal_opensim(kind: str) -> None:
    bench = BenchModel(leg_model(ALL[kind]))
    path = paths.length_and_gradient(bench.spec.muscles[0].path, bench.mechanics)
    outputs: dict[str, list[Expr]] = {
        "length": [path.length],
        "speed": [path.speed(bench.mechanics.u)],
        "pull": [path.pull.get(k, 0.0) for k in range(3)],
    }
    inputs = random_states(40, 1)
    found = bench.run(outputs, **inputs)
    own = osim.Muscle.safeDownCast(bench.model.getComponent(bench.spec.muscles[0].path_name))
    expected: dict[str, list[Any]] = {"length": [], "speed": [], "pull": []}
    for q, u in zip(inputs["q"], inputs["u"]):
        forces = bench.forces_in_opensim(q, 0.0 * u)
        expected["pull"].append(-forces / own.getActuation(bench.state))
        state = bench.set(q, u)
        expected["length"].append([own.getLength(state)])
        expected["speed"].append([own.getLengtheningSpeed(state)])
    assert relative_error(found["length"], expected["length"]) < 1e-13
    assert relative_error(found["speed"], expected["speed"]) < 1e-11
    assert np.abs(found["pull"] - expected["pull"]).max() < 1e-13


@pytest.mark.parametrize("kind", ALL)
def test_the_gradient_is_the_derivative_of_the_length(kind: str) -> None:
    bench = BenchModel(leg_model(ALL[kind]))
    path = paths.length_and_gradient(bench.spec.muscles[0].path, bench.mechanics)
    outputs = {
        "gradient": [path.gradient.get(k, 0.0) for k in range(3)],
        "slope": [derivatives([path.length], q)[0] for q in bench.mechanics.q],
    }
    found = bench.run(outputs, **random_states(40, 2, -0.9, 0.4))
    assert np.abs(found["gradient"] - found["slope"]).max() < 1e-14


def test_pull_differs_from_the_gradient_only_beside_a_moving_point_of_the_same_body() -> None:
    for kind, editor in ALL.items():
        bench = BenchModel(leg_model(editor))
        path = paths.length_and_gradient(bench.spec.muscles[0].path, bench.mechanics)
        same = all(path.pull.get(k, 0.0) is g for k, g in path.gradient.items())
        assert same == (kind != "moving beside a point of its body")


def test_a_conditional_point_switches_where_opensim_switches() -> None:
    bench = BenchModel(leg_model(ALL["conditional"]))
    path = paths.length_and_gradient(bench.spec.muscles[0].path, bench.mechanics)
    own = osim.Muscle.safeDownCast(bench.model.getComponent(bench.spec.muscles[0].path_name))
    for edge, sign in ((-0.6, -1), (0.0, 1)):
        for beyond in (0.99e-5, 1.01e-5):
            q = np.array([0.1, edge + sign * beyond, 0.2])
            found = bench.run({"length": [path.length]}, q=q)["length"][0, 0]
            assert found == pytest.approx(own.getLength(bench.set(q, 0 * q)), rel=1e-14)


def test_an_inactive_point_without_finite_place_leaks_nothing() -> None:
    graph_model = leg_model(ALL["conditional"])
    bench = BenchModel(graph_model)
    start = bench.spec.muscles[0].path
    assert isinstance(start, spec.PointsPath)
    first, via, last = start.points
    same_place = spec.PathPoint(
        frame=first.frame,
        location=first.location,
        coordinate=via.coordinate,
        active_range=(-5.0, -4.0),
    )
    doubled = spec.PointsPath(points=(first, same_place, last))
    path = paths.length_and_gradient(doubled, bench.mechanics)
    plain = paths.length_and_gradient(spec.PointsPath(points=(first, last)), bench.mechanics)
    outputs = {"a": [path.length, *path.gradient.values()]}
    outputs["b"] = [plain.length, *plain.gradient.values()]
    found = bench.run(outputs, **random_states(5, 3))
    assert np.array_equal(found["a"], found["b"])


def polynomial_path(valid: tuple[tuple[float, float], ...] = ()) -> spec.FunctionPath:
    rng = np.random.default_rng(4)
    return spec.FunctionPath(
        coordinates=("angle1", "angle2"),
        length=spec.MultivariatePolynomial(
            dimension=2, order=3, coefficients=tuple(0.3 + 0.05 * rng.normal(size=10))
        ),
        valid=valid,
    )


def test_a_fitted_path_equals_opensim() -> None:
    model = leg_model(ALL["two points"])
    coefficients = 0.3 + 0.05 * np.random.default_rng(4).normal(size=10)
    names = ["angle1", "angle2"]
    model.getMuscles().get(0).set_path(model_paths.polynomial_path(model, names, coefficients, 3))
    model.finalizeFromProperties()
    model.finalizeConnections()
    bench = BenchModel(model)
    assert bench.spec.muscles[0].path == polynomial_path()
    path = paths.length_and_gradient(bench.spec.muscles[0].path, bench.mechanics, clamp=True)
    inputs = random_states(30, 5)
    outputs = {"length": [path.length], "speed": [path.speed(bench.mechanics.u)]}
    found = bench.run(outputs, **inputs)
    own = osim.Muscle.safeDownCast(bench.model.getComponent(bench.spec.muscles[0].path_name))
    for i, (q, u) in enumerate(zip(inputs["q"], inputs["u"])):
        state = bench.set(q, u)
        assert found["length"][i, 0] == pytest.approx(own.getLength(state), rel=1e-13)
        assert found["speed"][i, 0] == pytest.approx(own.getLengtheningSpeed(state), rel=1e-11)


def test_inside_its_range_a_clamped_path_is_exactly_the_fitted_one_and_outside_conservative() -> (
    None
):
    bench = BenchModel(leg_model(ALL["two points"]))
    fit = polynomial_path(valid=((-0.5, 0.3), (-0.4, 0.2)))
    free = paths.length_and_gradient(fit, bench.mechanics)
    held = paths.length_and_gradient(fit, bench.mechanics, clamp=True)
    outputs = {
        "free": [free.length, *free.gradient.values()],
        "held": [held.length, *held.gradient.values()],
        "slope": derivatives([held.length], bench.mechanics.q[1])
        + derivatives([held.length], bench.mechanics.q[2]),
        "excess": [held.excess, free.excess],
    }
    inside = bench.run(outputs, **random_states(30, 6, -0.39, 0.19))
    assert np.array_equal(inside["free"], inside["held"])
    assert (inside["excess"] == 0).all()
    wide = random_states(60, 7, -2.0, 2.0)
    outside = bench.run(outputs, **wide)
    assert np.abs(outside["held"][:, 1:] - outside["slope"]).max() < 1e-14
    beyond = [
        np.maximum(np.maximum(low - wide["q"][:, k], wide["q"][:, k] - high), 0.0)
        for k, (low, high) in ((1, fit.valid[0]), (2, fit.valid[1]))
    ]
    assert outside["excess"][:, 0] == pytest.approx(np.maximum(*beyond))


def test_a_saturated_coordinate_is_smooth_and_bounded() -> None:
    graph = Graph()
    x = graph.inputs("x", 1)[0]
    value, slope = paths.saturated(x, -1.0, 1.0)
    program = Program.build(graph, {"x": 1}, {"y": [value, slope]})
    at = np.linspace(-4.0, 4.0, 8001)
    y, dy = program(x=at[:, None])["y"].T
    assert np.abs(y).max() <= 1.2 and (dy >= 0).all()
    assert np.abs(np.gradient(y, at)[1:-1] - dy[1:-1]).max() < 1e-3
    assert np.abs(np.diff(dy)).max() < 0.01


def test_a_path_over_an_unknown_coordinate_and_one_with_missing_ranges_are_refused() -> None:
    bench = BenchModel(leg_model(ALL["two points"]))
    unknown = polynomial_path().model_copy(update={"coordinates": ("angle1", "toe")})
    with pytest.raises(ModelError, match="'toe'"):
        paths.length_and_gradient(unknown, bench.mechanics)
    with pytest.raises(ModelError, match="ranges of validity"):
        paths.length_and_gradient(polynomial_path(((0.0, 1.0),)), bench.mechanics)
