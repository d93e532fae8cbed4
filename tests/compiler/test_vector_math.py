"""The vector functions against extended precision, and at the edges of their range."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llvmlite")

from osim_exo.compiler.backends import vector_math
from tests.compiler import accuracy

LIMIT_ULP = 4.0


@pytest.fixture(scope="module", params=["float64", "float32"])
def compiled(request):
    return accuracy.kernel(request.param)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="needs extended precision")
def test_errors_are_below_four_units_in_the_last_place(compiled):
    ranges = accuracy.RANGES[compiled.dtype.name]
    found = {r: accuracy.worst(compiled, *r) for r in ranges}
    assert max(found.values()) < LIMIT_ULP, found


def test_special_values_are_those_of_ieee_arithmetic(compiled):
    inf, nan = math.inf, math.nan
    x = np.array([0.0, -0.0, inf, -inf, nan, -1.0, 1.0], dtype=compiled.dtype)
    found = accuracy.evaluate(compiled, x)
    expected = {
        "exp": [1, 1, inf, 0, nan, math.exp(-1), math.e],
        "log": [-inf, -inf, inf, nan, nan, nan, 0],
        "sin": [0, 0, nan, nan, nan, -math.sin(1), math.sin(1)],
        "cos": [1, 1, nan, nan, nan, math.cos(1), math.cos(1)],
        "tanh": [0, 0, 1, -1, nan, -math.tanh(1), math.tanh(1)],
        "sqrt": [0, 0, inf, nan, nan, nan, 1],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=4e-7, err_msg=name)


def test_exp_saturates_at_both_ends_of_the_range(compiled):
    largest = float(np.log(np.finfo(compiled.dtype).max))
    x = np.array([largest * 0.9999, largest * 1.0001, 1e4, -largest * 1.1, -1e4])
    found = accuracy.evaluate(compiled, x.astype(compiled.dtype))["exp"]
    assert np.isfinite(found[0]) and found[0] > 1e37
    assert np.isposinf(found[1:3]).all()
    assert (found[3:] == 0.0).all()


def test_tanh_is_odd_monotonic_and_one_far_out(compiled):
    x = np.linspace(0.0, 25.0, 100_001).astype(compiled.dtype)
    right = accuracy.evaluate(compiled, x)["tanh"]
    left = accuracy.evaluate(compiled, -x)["tanh"]
    np.testing.assert_array_equal(left, -right)
    assert right.max() == 1.0
    # Two neighbours may swap by rounding, not more.
    assert np.diff(right).min() >= -2 * np.finfo(compiled.dtype).eps


def test_angles_beyond_the_range_are_refused_as_nan(compiled):
    limit = vector_math.LARGEST_ANGLE[compiled.dtype.itemsize * 8]
    x = np.array([limit, -limit, 1.001 * limit, -1.001 * limit, 1e30], dtype=compiled.dtype)
    found = accuracy.evaluate(compiled, x)
    for name in ("sin", "cos"):
        assert np.isfinite(found[name][:2]).all() and np.isnan(found[name][2:]).all()


def test_numbers_below_the_smallest_normal_one_count_as_zero_for_log(compiled):
    tiny = np.finfo(compiled.dtype).tiny
    found = accuracy.evaluate(compiled, np.array([tiny, tiny / 4], dtype=compiled.dtype))["log"]
    assert found[0] == pytest.approx(math.log(tiny), rel=1e-6)
    assert np.isneginf(found[1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=20))
def test_any_numbers_give_what_numpy_gives(numbers):
    compiled = accuracy.kernel_cached("float64")
    x = np.array(numbers)
    x[np.abs(x) < 1e-290] = 0.0
    found = accuracy.evaluate(compiled, x)
    with np.errstate(all="ignore"):
        for name in ("exp", "log", "tanh", "sqrt"):
            expected = getattr(np, name)(x)
            expected[np.abs(expected) < 1e-290] = 0.0
            actual = np.where(np.abs(found[name]) < 1e-290, 0.0, found[name])
            np.testing.assert_allclose(actual, expected, rtol=1e-15, err_msg=name)


def test_sine_and_cosine_lie_on_the_unit_circle(compiled):
    x = np.random.default_rng(1).uniform(-5e3, 5e3, 50_000).astype(compiled.dtype)
    found = accuracy.evaluate(compiled, x)
    radius = found["sin"].astype(float) ** 2 + found["cos"].astype(float) ** 2
    np.testing.assert_allclose(radius, 1.0, atol=4 * np.finfo(compiled.dtype).eps)


@pytest.mark.parametrize("width", [1, 2, 4, 8, 16])
def test_every_width_gives_the_same_numbers(width):
    x = np.random.default_rng(2).uniform(-20.0, 20.0, 1000)
    one = accuracy.evaluate(accuracy.kernel_cached("float64"), x)
    other = accuracy.evaluate(accuracy.kernel("float64", width), x)
    for name in accuracy.FUNCTIONS:
        np.testing.assert_array_equal(one[name], other[name])
