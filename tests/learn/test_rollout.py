"""Advantages, against sums done by hand."""

import pytest

torch = pytest.importorskip("torch")

from osim_exo.learn.rollout import advantages  # noqa: E402


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def estimate(ended, truncated, final=(), gamma=0.5, lam=0.5):
    return advantages(
        column(1.0, 2.0, 3.0),
        column(10.0, 20.0, 30.0),
        torch.tensor([40.0], dtype=torch.float64),
        torch.tensor(ended)[:, None],
        torch.tensor(truncated)[:, None],
        torch.tensor(final, dtype=torch.float64),
        gamma,
        lam,
    )


def test_three_steps_of_one_episode():
    advantage, returns = estimate([False] * 3, [False] * 3)
    # delta_2 = 3 + .5 * 40 - 30 = -7; delta_1 = 2 + .5 * 30 - 20 = -3; delta_0 = 1 + 10 - 10 = 1
    a2 = -7.0
    a1 = -3.0 + 0.25 * a2
    a0 = 1.0 + 0.25 * a1
    assert advantage[:, 0].tolist() == [a0, a1, a2]
    assert returns[:, 0].tolist() == [10.0 + a0, 20.0 + a1, 30.0 + a2]


def test_a_fall_ends_the_sum():
    advantage, _ = estimate([False, True, False], [False] * 3)
    a1 = 2.0 - 20.0
    assert advantage[:, 0].tolist() == [1.0 + 0.25 * a1, a1, -7.0]


def test_the_clock_ends_the_sum_with_the_value_of_the_last_observation():
    advantage, _ = estimate([False, True, False], [False, True, False], final=[100.0])
    a1 = 2.0 + 0.5 * 100.0 - 20.0
    assert advantage[:, 0].tolist() == [1.0 + 0.25 * a1, a1, -7.0]


def test_final_values_belong_to_environments_in_order_of_time_then_environment():
    zero = torch.zeros(2, 2)
    truncated = torch.tensor([[False, True], [True, False]])
    advantage, _ = advantages(
        zero, zero, torch.zeros(2), truncated, truncated, torch.tensor([3.0, 5.0]), 1.0, 1.0
    )
    assert advantage.tolist() == [[5.0, 3.0], [5.0, 0.0]]


def test_with_lam_one_the_return_is_the_discounted_sum():
    _, returns = estimate([False] * 3, [False] * 3, lam=1.0)
    assert returns[0, 0].item() == pytest.approx(1.0 + 0.5 * 2.0 + 0.25 * 3.0 + 0.125 * 40.0)
