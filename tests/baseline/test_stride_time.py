"""Stride time search against objectives whose minimum is known."""

import numpy as np
import pytest

from osim_exo.baseline.config import StrideTime
from osim_exo.baseline.solution import Solution
from osim_exo.baseline.stride_time import optimise
from osim_exo.errors import BaselineError


def solved(stride_time: float, objective: float, success: bool = True) -> Solution:
    return Solution(
        time=np.array([0.0, 0.5 * stride_time]),
        states={},
        controls={},
        half_stride=True,
        success=success,
        status="Solve_Succeeded" if success else "Maximum_Iterations_Exceeded",
        iterations=1,
        cpu_seconds=0.0,
        objective=objective,
        terms={},
    )


@pytest.mark.parametrize("start", [0.92, 1.1, 1.13, 1.38])
def test_the_minimum_of_a_smooth_bowl_is_found_from_any_start(start: float) -> None:
    best, curve = optimise(
        lambda t, _: solved(t, 1.0 + (t - 1.137) ** 2 + (t - 1.137) ** 3), StrideTime(), start
    )
    assert best.stride_time == pytest.approx(1.137, abs=0.012)
    assert [t for t, _ in curve] == sorted(t for t, _ in curve)


def test_a_falling_objective_ends_at_the_end_of_the_range() -> None:
    best, _ = optimise(lambda t, _: solved(t, -t), StrideTime(), 1.2)
    assert best.stride_time == pytest.approx(1.4)


def test_every_solve_starts_from_the_nearest_solved_stride_time() -> None:
    guesses: list[tuple[float, float | None]] = []

    def solve(t: float, guess: Solution | None) -> Solution:
        guesses.append((t, guess.stride_time if guess else None))
        return solved(t, (t - 1.1) ** 2)

    optimise(solve, StrideTime(), 1.1)
    done = [t for t, _ in guesses]
    for i, (t, guess) in enumerate(guesses[1:], start=1):
        assert guess == pytest.approx(min(done[:i], key=lambda d: abs(d - t)))


def test_a_stride_time_that_cannot_be_solved_is_left_out() -> None:
    best, curve = optimise(
        lambda t, _: solved(t, (t - 1.2) ** 2, success=t < 1.17), StrideTime(), 1.1
    )
    assert best.success
    assert best.stride_time <= 1.17
    assert all(t < 1.17 for t, _ in curve)


def test_nothing_solved_is_an_error_that_says_so() -> None:
    with pytest.raises(BaselineError, match="No gait could be solved at a stride time of 1.1"):
        optimise(lambda t, _: solved(t, 0.0, success=False), StrideTime(), 1.1)
