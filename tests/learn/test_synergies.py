"""Non-negative factors, and the groups of the solved gaits."""

import numpy as np
import pytest

from osim_exo.errors import DataError, InputError
from osim_exo.learn.synergies import (
    activations,
    basis,
    factorise,
    table,
    variance_accounted_for,
)


def test_factors_of_a_known_product_are_found():
    random = np.random.default_rng(1)
    weights = np.array([[1.0, 0.4, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.7, 0.0], [0, 0, 0, 0.3, 1.0]])
    scores = random.random((300, 3)) * (random.random((300, 3)) > 0.5)
    found_scores, found = factorise(scores @ weights, 3)
    assert variance_accounted_for(scores @ weights, found_scores @ found) > 0.99999
    order = np.argmax(found @ weights.T / np.linalg.norm(weights, axis=1), axis=1)
    np.testing.assert_allclose(found, weights[order], atol=0.02)


def test_variance_accounted_for_by_hand():
    data = np.array([[1.0, 2.0], [2.0, 0.0]])
    assert variance_accounted_for(data, data) == 1.0
    assert variance_accounted_for(data, np.zeros((2, 2))) == 0.0
    assert variance_accounted_for(data, data - [[1.0, 0.0], [0.0, 0.0]]) == pytest.approx(8 / 9)


def test_factors_cannot_beat_the_best_factors_of_any_sign():
    _, data = activations()
    values = np.linalg.svd(data, compute_uv=False)
    for number in (3, 5):
        best = float(np.sum(values[:number] ** 2) / np.sum(values**2))
        assert basis(number).explained < best
        assert basis(number).explained > best - 0.03


def test_more_groups_explain_more_of_the_solved_gaits():
    explained = [basis(number).explained for number in range(3, 9)]
    assert np.all(np.diff(explained) > 0)
    assert 0.9 < explained[0] < explained[-1] <= 1.0


def test_groups_drive_both_legs_alike():
    one = basis(5)
    muscles = [f"{name}_{side}" for side in "rl" for name in one.muscles]
    weights = one.both_legs(muscles)
    assert weights.shape == (10, 18)
    np.testing.assert_array_equal(weights[:5, :9], weights[5:, 9:])
    assert not weights[:5, 9:].any()
    np.testing.assert_allclose(weights.max(axis=1), 1.0)


def test_unknown_muscles_models_and_numbers_are_refused():
    with pytest.raises(InputError, match="psoas_r"):
        basis(3).both_legs(["psoas_r"])
    with pytest.raises(DataError, match="library lacks"):
        basis(3, "nobody")
    with pytest.raises(InputError, match="10 factors"):
        basis(10)
    with pytest.raises(InputError, match="not negative"):
        factorise(-np.ones((4, 3)), 2)


def test_the_table_has_a_row_per_number_of_groups():
    lines = table(range(3, 5)).splitlines()
    assert lines[0].startswith("| groups per leg | all | hamstrings")
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["3", "4"]
