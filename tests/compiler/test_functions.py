"""OpenSim's functions as expressions: values by numpy and scipy, slopes by differences."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from osim_exo.compiler import spec
from osim_exo.compiler.equations import functions
from osim_exo.compiler.symbols.expression import Graph
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import InputError, ModelError

RNG = np.random.default_rng(5)


def evaluated(function, x):
    """Value (n,) and partials (n, dimension) at the samples x (n, dimension)."""
    graph = Graph()
    arguments = graph.inputs("x", x.shape[1])
    value, partials = functions.evaluate(function, list(arguments))
    program = Program.build(graph, {"x": x.shape[1]}, {"value": [value], "slopes": partials})
    found = program(x=x)
    return found["value"][:, 0], found["slopes"]


def slopes_by_difference(function, x, step=1e-6):
    columns = []
    for k in range(x.shape[1]):
        shift = step * np.eye(x.shape[1])[k]
        columns.append(
            (evaluated(function, x + shift)[0] - evaluated(function, x - shift)[0]) / (2 * step)
        )
    return np.stack(columns, axis=1)


def spline(knots, values):
    """Natural cubic spline of scipy as a spec, and the scipy object."""
    reference = CubicSpline(knots, values, bc_type="natural")
    cubics = tuple(tuple(c[::-1]) for c in reference.c.T.tolist())
    ends = reference(np.array(knots)[[0, -1]], 1)
    function = spec.PiecewiseCubic(
        knots=tuple(knots), coefficients=cubics, slope_left=ends[0], slope_right=ends[1]
    )
    return function, reference


CASES = {
    "constant": spec.Constant(value=1.5),
    "linear": spec.Linear(slopes=(2.0, -3.0), intercept=0.5),
    "polynomial": spec.Polynomial(coefficients=(1.0, -2.0, 0.5, 3.0)),
    "multiplier": spec.Multiplier(scale=-2.0, function=spec.Polynomial(coefficients=(1.0, 4.0))),
    "multivariate": spec.MultivariatePolynomial(
        dimension=2, order=3, coefficients=tuple(RNG.normal(size=10))
    ),
    "spline": spline([-2.0, -0.5, 0.1, 1.0, 2.5], [0.0, 1.0, -1.0, 0.5, 2.0])[0],
}


@pytest.mark.parametrize("name", CASES)
def test_partial_derivatives_are_those_of_the_value(name):
    function = CASES[name]
    dimension = 2 if name in ("linear", "multivariate") else 1
    x = RNG.uniform(-3.0, 3.0, (50, dimension))
    _, slopes = evaluated(function, x)
    np.testing.assert_allclose(slopes, slopes_by_difference(function, x), rtol=1e-6, atol=1e-7)


def test_multivariate_terms_run_with_the_last_variable_fastest():
    coefficients = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)  # 1, y, y^2, x, xy, x^2
    function = spec.MultivariatePolynomial(dimension=2, order=2, coefficients=coefficients)
    x, y = 0.7, -1.3
    value, slopes = evaluated(function, np.array([[x, y]]))
    assert value[0] == pytest.approx(1 + 2 * y + 3 * y**2 + 4 * x + 5 * x * y + 6 * x**2, rel=1e-14)
    assert slopes[0] == pytest.approx([4 + 5 * y + 12 * x, 2 + 6 * y + 5 * x], rel=1e-14)


def test_spline_is_scipys_inside_and_straight_outside():
    knots, values = [-1.0, 0.0, 0.4, 1.2, 2.0, 3.0], [0.1, 0.5, 0.2, -0.4, 0.0, 1.0]
    function, reference = spline(knots, values)
    inside = np.linspace(-1.0, 3.0, 301)[:, None]
    value, slopes = evaluated(function, inside)
    np.testing.assert_allclose(value, reference(inside[:, 0]), rtol=0, atol=1e-13)
    np.testing.assert_allclose(slopes[:, 0], reference(inside[:, 0], 1), rtol=0, atol=1e-12)
    beyond, slope = evaluated(function, np.array([[5.0], [-4.0]]))
    ends = reference([3.0, -1.0]), reference([3.0, -1.0], 1)
    np.testing.assert_allclose(beyond, ends[0] + ends[1] * [2.0, -3.0], rtol=1e-13)
    np.testing.assert_allclose(slope[:, 0], ends[1], rtol=1e-13)


def test_spline_with_a_kink_in_its_curvature_is_still_exact():
    function = spec.PiecewiseCubic(
        knots=(0.0, 1.0, 2.0),
        coefficients=((0.0, 0.0, 1.0, 0.0), (1.0, 2.0, -3.0, 0.0)),
        slope_left=0.0,
        slope_right=-4.0,
    )
    value, slopes = evaluated(function, np.array([[0.5], [1.5], [3.0]]))
    np.testing.assert_allclose(value, [0.25, 1.0 + 1.0 - 0.75, 0.0 - 4.0], rtol=1e-14)
    np.testing.assert_allclose(slopes[:, 0], [1.0, 2.0 - 3.0, -4.0], rtol=1e-14)


def test_piecewise_linear_goes_on_straight_outside():
    function = spec.PiecewiseLinear(knots=(0.0, 1.0, 3.0), values=(0.0, 2.0, 1.0))
    x = np.array([[-1.0], [0.25], [2.0], [5.0]])
    value, slopes = evaluated(function, x)
    np.testing.assert_allclose(value, [-2.0, 0.5, 1.5, 0.0], rtol=1e-14)
    np.testing.assert_allclose(slopes[:, 0], [2.0, 2.0, -0.5, -0.5], rtol=1e-14)


def test_wrong_number_of_arguments_or_coefficients_is_told():
    with pytest.raises(ModelError, match="polynomial function of 1 arguments was given 2"):
        functions.evaluate(spec.Polynomial(coefficients=(1.0, 2.0)), [0.0, 1.0])
    short = spec.MultivariatePolynomial(dimension=2, order=2, coefficients=(1.0, 2.0))
    with pytest.raises(ModelError, match="needs 6 coefficients, not 2"):
        functions.evaluate(short, [0.0, 1.0])


def test_a_spline_whose_knots_do_not_increase_is_refused():
    with pytest.raises(InputError, match="knots of a spline must increase"):
        spec.PiecewiseCubic(
            knots=(0.0, 0.0), coefficients=((0.0,) * 4,), slope_left=0.0, slope_right=0.0
        )
