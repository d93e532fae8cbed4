"""The stepping benchmark measures loops that do the same thing, and writes what it measured."""

import json
import math

import numpy as np
import pytest

pytest.importorskip("opensim")

from osim_exo.benchmarks import stepping


def test_the_plain_loop_and_the_manager_mode_give_the_same_motion():
    plain, ours = stepping.PlainLoop(), stepping.OurLoop(mode="manager")
    plain.reset()
    ours.reset()
    for row in np.random.default_rng(0).uniform(0.01, 0.4, (10, 18)):
        plain.step(row)
        ours.step(row)
    np.testing.assert_allclose(plain.coordinates, ours.coordinates, atol=1e-4)
    described = plain.describe()
    assert len(described["muscles"]) == 18
    knee = described["coordinates"]["knee_angle_r"][0]
    assert knee == pytest.approx(ours.coordinates[6], abs=1e-4)


@pytest.mark.slow
def test_a_quick_run_has_every_row_and_ratio_and_no_growth_of_memory(tmp_path):
    path = tmp_path / "bench.json"
    result = stepping.run(path, quick=True)
    assert json.loads(path.read_text(encoding="utf-8")) == result
    assert result["name"] == "stepping" and result["machine"]["cores"] >= 1
    values = {row["what"]: row["value"] for row in result["rows"]}
    assert all(math.isfinite(value) for value in values.values())
    assert all(ratio > 0 for ratio in result["ratios"].values())
    rates = [v for what, v in values.items() if what.endswith("control steps")]
    assert len(rates) == 1 + len(stepping.MODES) and min(rates) > 0
    growth = [v for what, v in values.items() if what.startswith("growth")]
    assert growth[0] < 5.0
