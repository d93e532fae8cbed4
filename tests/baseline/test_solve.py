"""Real Moco solves on coarse meshes: what is asked is what comes out."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from osim_exo.baseline import (
    BaselineConfig,
    Gait,
    Solver,
    StrideTime,
    load_gait,
    save_gait,
    solve,
)
from osim_exo.baseline.arms import delivered_torque
from osim_exo.baseline.gait import heel_strike_time
from osim_exo.baseline.solve import heel_strike
from osim_exo.errors import BaselineError
from osim_exo.models import HipExo, ModelConfig

pytestmark = pytest.mark.slow

COARSE = Solver(mesh_intervals=14)
STRIDE = StrideTime(fixed=1.1)
WORN = ModelConfig(exo=HipExo())


@pytest.fixture(scope="module")
def walk() -> Gait:
    return solve(BaselineConfig(solver=COARSE, stride_time=STRIDE))


def gate(gait: Gait, name: str) -> float:
    return next(g.value for g in gait.gates if g.name == name)


def test_a_coarse_walk_meets_what_was_asked(walk: Gait) -> None:
    assert walk.solution.success
    assert walk.solution.stride_time == pytest.approx(1.1)
    assert gate(walk, "speed") == pytest.approx(0.0, abs=1e-3)
    assert gate(walk, "periodicity") < 1e-2
    # 40 ms between mesh points is too coarse for contact forces in between; shipped gaits: 1 %.
    assert gate(walk, "grf_weight") == pytest.approx(1.0, abs=0.1)
    terms = dict(walk.solution.terms)
    assert sum(terms.values()) == pytest.approx(walk.solution.objective, rel=1e-6)
    # The recorded stride begins at right heel strike.
    strike = heel_strike_time(walk.trial)
    assert min(strike, walk.trial.duration - strike) < 0.03


def test_a_gait_survives_its_folder(walk: Gait, tmp_path: Path) -> None:
    save_gait(walk, tmp_path / "with", trial=True)
    save_gait(walk, tmp_path / "without", trial=False)
    for name in ("with", "without"):
        again = load_gait(tmp_path / name)
        assert again.config == walk.config
        assert again.gates == walk.gates
        np.testing.assert_allclose(
            again.trial.coordinates.values, walk.trial.coordinates.values, atol=1e-9
        )


def test_an_unpowered_exo_costs_effort_and_an_optimal_one_saves_it(walk: Gait) -> None:
    worn = BaselineConfig(model=WORN, condition="zero_torque", solver=COARSE, stride_time=STRIDE)
    zero = solve(worn, guess=walk.solution)
    assisted = solve(worn.changed(condition="assisted", controller="optimal"), guess=zero.solution)
    assert zero.solution.terms["effort"] > walk.solution.terms["effort"]
    assert assisted.solution.terms["effort"] < 0.95 * zero.solution.terms["effort"]
    # Unpowered, only the drive's drag is left, and it never gives power.
    assert zero.trial.exo_power.values.max() <= 1e-9
    assert np.abs(assisted.trial.exo_torque.values).max() > 5.0
    for name in ("exo_torque", "exo_rate", "exo_power", "exo_delivery"):
        assert next(g for g in assisted.gates if g.name == name).passed
    assert "exo_torque" in assisted.solution.terms


def test_a_controllers_torque_acts_in_the_solve_and_agrees_with_its_motion(walk: Gait) -> None:
    config = BaselineConfig(
        model=WORN,
        condition="assisted",
        controller="delayed_output_feedback",
        solver=COARSE,
        stride_time=STRIDE,
    )
    gait = solve(config, guess=walk.solution)
    expected = delivered_torque(config, gait.solution, heel_strike(config, gait.solution))
    for side in ("r", "l"):
        control = gait.solution.controls[f"/forceset/exo_hip_{side}"]
        np.testing.assert_allclose(15.0 * control, expected[f"hip_flexion_{side}"], atol=0.31)
    assert gait.solution.extra["torque_change"] <= 0.3
    assert np.abs(gait.trial.exo_torque.values).max() > 2.0


def test_a_weak_leg_is_solved_over_a_whole_stride_and_limps(walk: Gait) -> None:
    weak = ModelConfig(weakness={"soleus_r": 0.4, "gastroc_r": 0.4})
    config = BaselineConfig(
        model=weak, solver=COARSE.changed(mesh_intervals=28), stride_time=STRIDE
    )
    gait = solve(config, guess=walk.solution)
    assert not gait.solution.half_stride
    assert gait.solution.time[-1] == pytest.approx(1.1)
    push_off = {side: -gait.trial.moments[f"ankle_angle_{side}"].min() for side in ("r", "l")}
    assert push_off["r"] < 0.9 * push_off["l"]


def test_a_solve_that_ends_early_is_explained_and_kept(walk: Gait, tmp_path: Path) -> None:
    config = BaselineConfig(solver=COARSE.changed(max_iterations=3), stride_time=STRIDE, speed=1.3)
    with pytest.raises(BaselineError, match="ran out of iterations") as caught:
        solve(config, out=tmp_path)
    assert "The dynamics are violated most in" in str(caught.value)
    assert (tmp_path / "partial.npz").is_file()


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process group")
def test_an_interrupted_solve_leaves_its_partial_trajectory(tmp_path: Path) -> None:
    code = (
        "import signal\n"
        "from pathlib import Path\n"
        "from osim_exo.baseline import *\n"
        # A test run in the background of a shell hands down an ignored SIGINT.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "config = BaselineConfig(solver=Solver(mesh_intervals=40, convergence_tolerance=1e-9),"
        "stride_time=StrideTime(fixed=1.3), speed=1.1)\n"
        "print('begun', flush=True)\n"
        f"solve(config, out=Path({str(tmp_path / 'out')!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "begun"
    time.sleep(15.0)  # past the tenth iteration, when the first trajectory is written
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    assert process.returncode != 0
    assert (tmp_path / "out" / "partial.sto").is_file()


def test_a_worker_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps({"config": {"speed": "fast"}}))
    done = subprocess.run(
        [sys.executable, "-m", "osim_exo.baseline.worker", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "speed" in done.stderr
