"""Wilson's interval against published values and its own definition."""

import math

import pytest

from osim_exo.analysis.proportion import NORMAL_95, wilson
from osim_exo.errors import InputError


def test_published_examples():
    # Newcombe 1998 (Stat Med 17:857), table I, method 3.
    for count, total, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(count, total)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
        assert found.value == count / total


@pytest.mark.parametrize(("count", "total"), [(3, 10), (40, 200), (199, 200)])
def test_its_ends_are_the_shares_that_lie_a_quantile_away(count, total):
    found = wilson(count, total)
    for end in (found.low, found.high):
        error = math.sqrt(end * (1.0 - end) / total)
        assert abs(found.value - end) == pytest.approx(NORMAL_95 * error)


def test_it_mirrors_and_refuses_what_cannot_be_counted():
    assert wilson(3, 10).low == pytest.approx(1.0 - wilson(7, 10).high)
    assert wilson(5, 5).high == 1.0 and wilson(5, 5).low < 1.0
    for count, total in ((1, 0), (-1, 4), (5, 4)):
        with pytest.raises(InputError, match="were counted"):
            wilson(count, total)
