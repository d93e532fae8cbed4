"""The shipped gaits: there, current, and what people's walking looks like."""

import json
from pathlib import Path

import numpy as np
import pytest

from osim_exo.analysis import clinical, grf, normative
from osim_exo.baseline import library
from osim_exo.errors import DataError

WALKS = [(v, s) for v in library.SPEEDS for s in library.SLOPES_DEG]


def gates(speed: float, slope: float) -> dict[str, dict[str, float]]:
    place = library.gait_folder("gait2d", speed, slope)
    return {g["name"]: g for g in json.loads((place / "gait.json").read_text())["gates"]}


def test_every_speed_and_slope_is_there_and_belongs_to_todays_model() -> None:
    found = {(e["speed_mps"], e["slope_deg"]): e for e in library.entries()}
    assert set(found) == set(WALKS)
    assert all(e["current"] for e in found.values())
    assert all(e["status"] == "Solve_Succeeded" for e in found.values())


@pytest.mark.parametrize(("speed", "slope"), WALKS)
def test_every_gait_is_small_closed_and_carries_its_weight(speed: float, slope: float) -> None:
    place = library.gait_folder("gait2d", speed, slope)
    assert sum(f.stat().st_size for f in place.iterdir()) < 2_000_000
    found = gates(speed, slope)
    for name in ("converged", "active_bounds", "periodicity", "grf_weight", "speed"):
        assert found[name]["passed"], (name, found[name])
    assert found["replay_50ms"]["value"] < 2.0


def test_the_middle_walk_meets_the_targets_for_human_ground_forces() -> None:
    # First peak at most 1.40 BW with and 1.25 without the first 5 % of stance, trough 0.6 to 0.9,
    # second peak 1.00 to 1.25, fore-aft peaks 0.1 to 0.3, spheres at most 15 mm in the ground.
    gait = library.load("gait2d", 1.25, 0.0)
    for side in ("r", "l"):
        f = grf.grf_features(gait.trial, side)
        assert f.first_peak <= 1.40
        assert f.first_peak_after_landing <= 1.25
        assert 0.60 <= f.trough <= 0.90
        assert 1.00 <= f.second_peak <= 1.25
        assert 0.10 <= -f.braking <= 0.30
        assert 0.10 <= f.propulsion <= 0.30
    assert gates(1.25, 0.0)["penetration"]["value"] <= 15.0
    assert gait.passed
    assert "grf" not in " ".join(gait.solution.terms)


def test_what_was_not_tracked_looks_human_at_the_middle_speed() -> None:
    gait = library.load("gait2d", 1.25, 0.0)
    cycles = clinical.clinical_cycles(gait.trial)
    leg = normative.LEG_LENGTH_PER_HEIGHT * gait.trial.info.height
    for quantity, least in (
        ("grf_vertical", 0.9),
        ("ankle_plantarflexion_moment", 0.9),
        ("hip_extension_moment", 0.8),
        ("ankle_power", 0.9),
    ):
        found = normative.compare_to_band(cycles[f"{quantity}_r"], quantity, 1.25, leg)
        assert found.correlation > least, (quantity, found)


def test_people_step_faster_when_they_walk_faster() -> None:
    times = [library.load("gait2d", v, 0.0).solution.stride_time for v in library.SPEEDS]
    assert times == sorted(times, reverse=True)
    # The searched stride time lies in a bowl: its neighbours cost more.
    search = np.array(library.load("gait2d", 1.25, 0.0).search)
    best = search[:, 1].argmin()
    assert 0 < best < len(search) - 1


def test_uphill_costs_more_than_level() -> None:
    cost = {(e["speed_mps"], e["slope_deg"]): e["cost_of_transport"] for e in library.entries()}
    for speed in library.SPEEDS:
        assert cost[speed, 5.0] > 1.2 * cost[speed, 0.0]


def test_a_gait_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(DataError, match="1.25 m/s at 0 deg.*baseline solve"):
        library.load("gait2d", 1.1, 0.0)


def test_a_gait_of_another_model_version_is_refused(tmp_path: Path) -> None:
    source = library.gait_folder("gait2d", 1.25, 0.0)
    place = library.gait_folder("gait2d", 1.25, 0.0, tmp_path)
    place.mkdir(parents=True)
    for file in source.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    data = json.loads((place / "gait.json").read_text())
    data["config_hash"] = "0" * 16
    (place / "gait.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match="another version"):
        library.load("gait2d", 1.25, 0.0, tmp_path)
    assert not library.entries(tmp_path)[0]["current"]
