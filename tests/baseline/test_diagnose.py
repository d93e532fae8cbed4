"""What a failed solve is told to the user."""

from dataclasses import replace

import numpy as np
import pytest

from osim_exo.baseline.diagnose import active_bounds, explain, periodicity_gaps
from osim_exo.baseline.solution import Solution

KNEE = "/jointset/knee_r/knee_angle_r/value"
KNEE_L = "/jointset/knee_l/knee_angle_l/value"
SOLEUS = "/forceset/soleus_r/activation"
SOLEUS_L = "/forceset/soleus_l/activation"
REST = np.full(51, 0.01)


@pytest.fixture
def fine() -> Solution:
    time = np.linspace(0.0, 0.55, 51)
    wave = -0.3 + 0.1 * np.cos(np.pi * time / 0.55)
    return Solution(
        time=time,
        states={KNEE: wave, KNEE_L: wave[::-1], SOLEUS: REST, SOLEUS_L: REST},
        controls={},
        half_stride=True,
        success=True,
        status="Solve_Succeeded",
        iterations=40,
        cpu_seconds=10.0,
        objective=0.4,
        terms={},
        bounds={KNEE: (-1.7, 0.03), KNEE_L: (-1.7, 0.03), SOLEUS: (0.01, 1.0)},
    )


def test_a_good_solution_has_nothing_to_complain_of(fine: Solution) -> None:
    assert active_bounds(fine) == {}
    assert max(abs(g) for g in periodicity_gaps(fine).values()) < 1e-12
    assert explain(fine).endswith("No bound is active.")


def test_a_muscle_at_full_strength_is_named(fine: Solution) -> None:
    weak = replace(fine, states={**fine.states, SOLEUS: np.full(51, 1.0)})
    assert active_bounds(weak) == {SOLEUS: 1.0}
    assert "soleus_r works at its full strength" in explain(weak)


def test_a_joint_at_its_bound_is_named_with_its_share_of_time(fine: Solution) -> None:
    stretched = np.where(np.arange(51) < 10, 0.03, -0.3)
    words = explain(replace(fine, states={**fine.states, KNEE: stretched, KNEE_L: stretched[::-1]}))
    assert "knee_angle_r" in words and "20 % of the time" in words


def test_an_unclosed_stride_is_told_with_its_gap(fine: Solution) -> None:
    words = explain(replace(fine, states={**fine.states, KNEE_L: fine.states[KNEE_L] + 0.2}))
    assert "The stride does not close" in words


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("Maximum_Iterations_Exceeded", "ran out of iterations"),
        ("Infeasible_Problem_Detected", "no motion that meets every constraint"),
        ("Something_New", "ended with 'Something_New'"),
    ],
)
def test_the_solvers_status_is_put_into_words(fine: Solution, status: str, words: str) -> None:
    told = explain(replace(fine, success=False, status=status))
    assert words in told
    assert "Try:" in told
