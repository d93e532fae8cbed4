"""Training keeps its memory."""

import numpy as np
import pytest

from osim_exo.benchmarks.memory import growth, memory_of_training, on_the_way

MOST = 5.0
"""MB per million control steps; ten million would then add less than the walker's own arrays."""


def test_growth_is_the_slope_after_the_start():
    steps = np.arange(1, 101) * 1e4
    resident = np.where(steps < 4e5, 50.0, 100.0) + 3.0 * steps / 1e6
    assert growth(steps, resident) == pytest.approx(3.0)


def test_rows_tell_the_memory_at_the_nearest_look():
    steps = np.linspace(0.1e6, 10e6, 100)
    rows = on_the_way(steps, 100.0 + steps / 1e6)
    assert [row["value"] for row in rows] == pytest.approx([101, 102, 104, 106, 108, 110])
    assert rows[0]["what"] == "resident, after 1.0 million steps"


@pytest.mark.slow
def test_training_does_not_grow():
    steps, resident = memory_of_training(800_000, n_env=256)
    assert steps[-1] > 700_000
    assert growth(steps, resident) < MOST
