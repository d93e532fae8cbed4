"""``osim-exo evaluate``: closed loops of the shipped walker, compiled and in OpenSim."""

import json
import math

import numpy as np
import pytest

from osim_exo.cli import main
from osim_exo.cli.evaluate import strides
from osim_exo.learn.evaluate import Evaluation, evaluate
from osim_exo.learn.walkers import shipped_walker

WALKER = "gait2d_walk_1.25_mps"


def test_the_shipped_walker_walks_compiled_and_its_trials_are_written(tmp_path, capsys):
    target = tmp_path / "numbers.json"
    words = ["evaluate", WALKER, "--physics", "compiled", "--duration", "6", "--quiet"]
    assert main([*words, "--out", str(tmp_path / "walks"), "--json", str(target)]) == 0
    row = json.loads(target.read_text())["physics"]["compiled"]
    assert row["falls"] == 0 and row["strides"] >= 2
    assert row["mean"]["walking_speed"] == pytest.approx(1.25, abs=0.05)
    assert (tmp_path / "walks" / "compiled" / "run_1" / "coordinates.sto").is_file()
    human = json.loads(target.read_text())["realism"]["compiled"]
    assert 0.0 < human["angles/within_1_sd"] <= human["angles/within_2_sd"] <= 1.0
    gates = {g["name"]: g for g in json.loads(target.read_text())["gates"]["compiled"]}
    assert all(gate["passed"] for gate in gates.values())
    assert gates["grf_humps"]["limit"] == "2"
    assert human["speed"] == pytest.approx(row["mean"]["walking_speed"], abs=0.02)
    out = capsys.readouterr().out
    assert "0 of 2 walks fell" in out and "heel first share" in out


def test_pushes_and_endurance_are_told_on_demand(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("osim_exo.cli.evaluate.GRID_SPEEDS", (1.25,))
    monkeypatch.setattr("osim_exo.cli.evaluate.GRID_SLOPES", (0.0,))
    target = tmp_path / "numbers.json"
    words = ["evaluate", WALKER, "--physics", "compiled", "--duration", "5", "--quiet"]
    assert main([*words, "--pushes", "--endurance", "--json", str(target)]) == 0
    found = json.loads(target.read_text())
    assert list(found["pushes"])[0] == "-0.5"
    assert found["pushes"]["+0.1"] == 1.0
    assert [(r["start"], r["speed"]) for r in found["endurance"]] == [
        ("stride", 1.25),
        ("standing", 1.25),
    ]
    assert found["endurance"][0]["share"] == {"+0": 1.0}
    assert set(found["changing"]) == {"start from standing", "stop", "stop, walk on"}
    assert found["changing"]["start from standing"] > 0.9
    out = capsys.readouterr().out
    assert "stay up for 10 s" in out and "commands that change" in out


def test_trends_are_told_on_demand(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("osim_exo.cli.evaluate.GRID_SPEEDS", (0.9, 1.25, 1.6, 2.0))
    monkeypatch.setattr("osim_exo.cli.evaluate.GRID_SLOPES", (-5.0, 0.0, 5.0, 9.0))
    target = tmp_path / "numbers.json"
    words = ["evaluate", "gait2d_walk_generalist", "--physics", "compiled", "--duration", "6"]
    assert main([*words, "--trends", "--json", str(target), "--quiet"]) == 0
    trends = {(t["over"], t["name"]): t for t in json.loads(target.read_text())["trends"]}
    rate = trends["speed", "metabolic rate"]
    assert rate["at"] == [0.9, 1.25, 1.6]  # it did not learn 2 m/s
    assert rate["holds"] and rate["values"] == sorted(rate["values"])
    steep = trends["slope", "net joint power"]
    assert steep["at"] == [-5.0, 0.0, 5.0]
    assert steep["values"][0] < 0.0 < steep["values"][2]
    # Lifting the body takes its weight times the climb, whatever the joints lose beside.
    climb = 9.81 * 1.25 * math.sin(math.radians(5.0))
    assert steep["values"][2] - steep["values"][1] == pytest.approx(climb, rel=0.25)
    out = capsys.readouterr().out
    assert "change as people's do; 0 walks fell" in out
    assert "against EMG" in out


def test_a_walker_of_one_speed_has_no_trends(capsys):
    words = ["evaluate", WALKER, "--physics", "compiled", "--duration", "4", "--quiet"]
    assert main([*words, "--trends"]) == 2
    assert "a trend takes 3 speeds or slopes" in capsys.readouterr().err


def test_a_fall_is_counted_and_a_walk_without_strides_fails(capsys):
    words = ["evaluate", WALKER, "--physics", "compiled", "--duration", "2", "--standing"]
    assert main([*words, "--speed", "2.2", "--slope", "10", "--quiet"]) == 1
    assert "2 of 2 walks fell" in capsys.readouterr().out


def test_an_unknown_walker_is_told_which_there_are(capsys):
    assert main(["evaluate", "nobody", "--quiet"]) == 2
    assert WALKER in capsys.readouterr().err


@pytest.mark.slow
def test_strides_in_opensim_and_compiled_agree_within_their_own_spread():
    walker = shipped_walker(WALKER)
    found = {}
    for physics, fineness in (("opensim", {"accuracy": 1e-5}), ("compiled", {"substep": 5e-5})):
        settings = Evaluation(physics=physics, runs=2, duration=16.0, settle=3.0, **fineness)
        found[physics] = evaluate(walker.task, None, settings, frozen=walker.policies)
    rows = strides(found)
    assert rows["opensim"]["falls"] == rows["compiled"]["falls"] == 0
    assert min(row["strides"] for row in rows.values()) >= 20
    for name, mean in rows["opensim"]["mean"].items():
        spread = np.hypot(rows["opensim"]["sd"][name], rows["compiled"]["sd"][name])
        assert abs(rows["compiled"]["mean"][name] - mean) <= spread, name
