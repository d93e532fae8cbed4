"""Half strides, whole strides, guesses and files of solutions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osim_exo.baseline.guess import from_solution
from osim_exo.baseline.reference import human_reference
from osim_exo.baseline.solution import Solution, stride_from, without_exo
from osim_exo.baseline.storage import load_solution, save_solution
from osim_exo.errors import DataError

RIGHT = "/jointset/hip_r/hip_flexion_r/value"
LEFT = "/jointset/hip_l/hip_flexion_l/value"
FORWARD = "/jointset/ground_pelvis/pelvis_tx/value"
TURN = "/jointset/hip_r/hip_flexion_r/speed"


@pytest.fixture
def solution() -> Solution:
    """Half a stride of 1.2 s of a hip that swings as a cosine, walking 1 m/s with some sway."""
    time = np.linspace(0.0, 0.6, 61)
    phase = 2 * np.pi * time / 1.2
    return Solution(
        time=time,
        states={
            RIGHT: np.cos(phase),
            LEFT: -np.cos(phase),
            TURN: -np.sin(phase) * 2 * np.pi / 1.2,
            "/jointset/hip_l/hip_flexion_l/speed": np.sin(phase) * 2 * np.pi / 1.2,
            FORWARD: time + 0.01 * np.sin(2 * phase),
            FORWARD.replace("value", "speed"): 1.0 + 0.02 * np.cos(2 * phase) * 2 * np.pi / 1.2,
        },
        controls={"/forceset/soleus_r": time, "/forceset/soleus_l": 0.6 + time},
        half_stride=True,
        success=True,
        status="Solve_Succeeded",
        iterations=7,
        cpu_seconds=1.5,
        objective=0.25,
        terms={"effort": 0.25},
        bounds={RIGHT: (-2.0, 2.0)},
    )


def test_the_other_half_of_the_stride_is_the_mirror_image(solution: Solution) -> None:
    stride = solution.stride()
    phase = 2 * np.pi * stride.time / 1.2
    assert stride.time[-1] == pytest.approx(1.2)
    np.testing.assert_allclose(stride.states[RIGHT], np.cos(phase), atol=1e-12)
    np.testing.assert_allclose(stride.states[FORWARD], stride.time + 0.01 * np.sin(2 * phase))
    assert stride.controls["soleus_r"][-1] == pytest.approx(1.2)


def test_a_stride_can_begin_at_another_time_and_have_other_samples(solution: Solution) -> None:
    turned = stride_from(solution.stride(), 0.31, 101)
    phase = 2 * np.pi * (turned.time + 0.31) / 1.2
    # A cubic through 121 points of a cosine with its slopes: the fourth power of a small step.
    np.testing.assert_allclose(turned.states[RIGHT], np.cos(phase), atol=1e-7)
    assert turned.time.size == 101
    assert turned.states[FORWARD][0] == 0.0
    assert turned.states[FORWARD][-1] == pytest.approx(1.2)
    with pytest.raises(ValueError, match="within the stride"):
        stride_from(solution.stride(), 1.2, 101)


def test_an_optimal_exos_states_are_no_guess_for_another_exo(solution: Solution) -> None:
    exo = "/forceset/exo_hip_r/activation"
    powered = replace(solution, states={**solution.states, exo: solution.time})
    assert set(without_exo(powered).states) == set(solution.states)


def test_a_guess_for_another_speed_and_stride_time_keeps_the_shape(solution: Solution) -> None:
    time = np.linspace(0.0, 0.5, 21)
    states, controls = from_solution(solution, time, 1.4, half_stride=True)
    np.testing.assert_allclose(states[RIGHT], np.cos(np.pi * time / 0.5), atol=2e-3)
    # The same swing in less time is faster in proportion.
    np.testing.assert_allclose(
        states[TURN], -np.sin(np.pi * time / 0.5) * 2 * np.pi / 1.2 * 0.6 / 0.5, atol=2e-2
    )
    assert states[FORWARD][-1] == pytest.approx(0.7)
    assert controls["/forceset/soleus_r"].shape == (21,)


def test_half_a_stride_serves_as_guess_of_a_whole_one(solution: Solution) -> None:
    time = np.linspace(0.0, 1.2, 41)
    states, _ = from_solution(solution, time, 1.0, half_stride=False)
    np.testing.assert_allclose(states[RIGHT], np.cos(2 * np.pi * time / 1.2), atol=5e-3)


def test_files_give_back_what_was_saved(solution: Solution, tmp_path: Path) -> None:
    stored = replace(solution, extra={"rounds": 2})
    save_solution(stored, tmp_path / "solution")
    again = load_solution(tmp_path / "solution")
    for name in solution.states:
        np.testing.assert_array_equal(again.states[name], solution.states[name])
    for name in solution.controls:
        np.testing.assert_array_equal(again.controls[name], solution.controls[name])
    assert (again.status, again.objective, again.bounds) == ("Solve_Succeeded", 0.25, stored.bounds)
    assert again.extra == {"rounds": 2}


@pytest.mark.parametrize("broken", ["solution.npz", "solution.json"])
def test_a_damaged_file_is_a_data_error_that_names_it(
    solution: Solution, tmp_path: Path, broken: str
) -> None:
    save_solution(solution, tmp_path / "solution")
    (tmp_path / broken).write_bytes(b"not what it was")
    with pytest.raises(DataError, match="cannot be read"):
        load_solution(tmp_path / "solution")


def test_the_human_reference_is_periodic_and_the_same_on_both_sides() -> None:
    reference = human_reference(1.25, 1.8)
    for curve in reference.values():
        assert curve.shape == (101,)
        assert curve[-1] == pytest.approx(curve[0], abs=1e-12)
    np.testing.assert_allclose(reference["knee_angle_l"][:50], reference["knee_angle_r"][50:100])
    np.testing.assert_allclose(reference["lumbar_extension"], -reference["pelvis_tilt"])
    # Schwartz et al. 2008, free speed: the swing knee bends about 60 degrees (negative here).
    assert np.rad2deg(reference["knee_angle_r"].min()) == pytest.approx(-60.0, abs=5.0)
