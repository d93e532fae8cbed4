"""The engine benchmark compares what is the same, and writes what it measured."""

import json
import math
import os

import numpy as np
import pytest

pytest.importorskip("opensim")

from osim_exo.benchmarks import _motions, _rates, engine
from osim_exo.cli import main
from osim_exo.errors import MissingExtraError
from osim_exo.physics import CompiledPhysics, OpenSimPhysics


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Compiled programs of these tests are not kept with the user's."""
    monkeypatch.setenv("OSIM_EXO_CACHE", str(tmp_path_factory.getbasetemp() / "programs"))


def test_every_engine_runs_the_same_motion():
    motion = _motions.motion("gait2d")
    short = _motions.Motion(
        motion.name,
        motion.recipe,
        motion.kind,
        motion.starts[:3],
        motion.excitations[:3],
        motion.others[:3],
    )
    reference = OpenSimPhysics(motion.recipe, mode="manager", accuracy=1e-6)
    compiled = CompiledPhysics(motion.recipe, n_env=3, substep=0.0005)
    one = _motions.trajectory(reference, short)
    many = _motions.trajectory(compiled, short)
    assert one.shape == many.shape == (3, 3, 10)
    np.testing.assert_allclose(many, one, atol=2e-3)
    assert len(short.tiled(7).starts) == 7
    np.testing.assert_array_equal(short.tiled(7).excitations[:, 5], short.excitations[:, 2])


def test_a_model_without_a_shipped_walk_moves_inside_its_paths_ranges(tmp_path):
    from osim_exo.models import ModelConfig

    path = tmp_path / "walker.osim"
    ModelConfig(paths="geometry").build().printToXML(str(path))
    motion = _motions.motion(path)
    physics = CompiledPhysics(motion.recipe, n_env=len(motion.starts))
    _motions.begin(physics, motion, 0)
    assert physics.path_excess.max() == 0.0
    weight = physics.grf[:, :, 1].sum(axis=1)
    np.testing.assert_allclose(weight, physics.body_weight, rtol=1e-6)


def test_mujoco_is_left_out_with_a_reason_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "myo_sim", None)
    with pytest.raises(MissingExtraError, match="bench"):
        _rates.legs_of_mujoco()


def test_the_cache_is_as_before_after_a_build_was_measured():
    before = os.environ["OSIM_EXO_CACHE"]
    with engine._empty_cache():
        assert os.environ["OSIM_EXO_CACHE"] != before
    assert os.environ["OSIM_EXO_CACHE"] == before


def test_a_benchmark_with_its_own_model_refuses_another(capsys):
    assert main(["bench", "stepping", "--model", "gait2d"]) == 2
    assert "leave out --model" in capsys.readouterr().err


@pytest.mark.slow
def test_a_quick_run_has_every_row_and_ratio(tmp_path):
    path = tmp_path / "bench.json"
    result = engine.run(path, quick=True)
    assert json.loads(path.read_text(encoding="utf-8")) == result
    values = {row["what"]: row["value"] for row in result["rows"]}
    assert all(math.isfinite(value) and value >= 0.0 for value in values.values())
    errors = {h: values[f"gait2d: compiled float64, {h} ms: error after 0.1 s"] for h in (1, 2, 5)}
    assert errors[1] < errors[2] < errors[5]
    assert values["gait2d: warm start"] < values["gait2d: cold build"]
    assert len(result["ratios"]) >= 8 and min(result["ratios"].values()) > 0
