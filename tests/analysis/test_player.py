"""The player shows what the trial holds, in any browser, whatever the names are."""

import json

import numpy as np
import pytest

from osim_exo.analysis import player
from osim_exo.analysis.arms import arms_of
from osim_exo.errors import InputError
from osim_exo.trial import Channels, Trial
from osim_exo.units import GRAVITY
from tests.browser import visit
from tests.synthetic import replaced, three_arms, walking_trial


def entry(trial: Trial, frames: int = 61) -> dict:
    return player.player_data([trial], frames=frames)["trials"][0]


def without(trial: Trial, **series: Channels) -> Trial:
    kept = {
        name: getattr(trial, name)
        for name in ("coordinates", "speeds", "grf", "points", "activations", "exo_torque")
    }
    return Trial.build(trial.time, trial.info, **{**kept, **series})


def page(folder, trials):
    text = (
        "<!doctype html><html><head><meta charset=utf-8><title>player</title>"
        "<link rel=icon href='data:,'>"
        f"<style>{player.page_text('player.css')}</style></head><body>"
        f"{player.player_markup(trials)}<script>{player.player_script()}</script>"
        "</body></html>"
    )
    path = folder / "player.html"
    path.write_text(text, encoding="utf-8")
    return path


def test_positions_are_those_of_the_trial_to_a_tenth_of_a_millimetre():
    trial = walking_trial()
    shown = entry(trial, frames=101)
    for name in ("pelvis", "knee_r", "toe_l"):
        for axis, values in zip("xy", shown["landmarks"][name]):
            away = np.abs(np.array(values) / 1e4 - trial.points[f"{name}.{axis}"])
            assert away.max() <= 0.5001e-4
    path = next(m["path"] for m in shown["muscles"] if m["name"] == "soleus_r")
    assert np.allclose(np.array(path[1][1]) / 1e4, trial.points["muscle/soleus_r/1.y"], atol=1e-4)


def test_muscle_points_stand_in_their_order_also_beyond_nine():
    trial = walking_trial()
    x = np.zeros(trial.time.size)
    names = [f"muscle/long_r/{k}.{a}" for k in (10, 2, 0, 1) for a in "xyz"]
    columns = [x + int(n.split("/")[2].split(".")[0]) for n in names]
    points = Channels(
        trial.points.names + tuple(names), np.column_stack([trial.points.values, *columns])
    )
    path = next(m for m in entry(without(trial, points=points))["muscles"] if m["name"] == "long_r")
    assert [p[0][0] for p in path["path"]] == [0, 10_000, 20_000, 100_000]


def test_ground_force_is_in_body_weights_and_acts_under_the_foot_only():
    trial = walking_trial(body_mass=60.0)
    force = entry(trial, frames=101)["grf"]["r"]
    weight = 60.0 * GRAVITY
    assert np.allclose(force[1], 1000 * trial.grf["ground_force_r_vy"] / weight, atol=0.51)
    place = np.array(force[2]) / 1e4
    held = trial.grf["ground_force_r_vy"] > 0.03 * weight
    reach = [trial.points[f"{p}_r.x"][held] for p in ("heel", "toe")]
    assert place.min() >= np.min(reach) - 1e-4
    assert place.max() <= np.max(reach) + 1e-4


def test_torque_turns_the_limb_the_way_its_coordinate_does():
    trial = walking_trial("assisted", peak_torque=8.0)
    exo = {e["joint"]: e for e in entry(trial, frames=101)["exo"]}
    assert np.allclose(exo["hip_r"]["torque"], 100 * trial.exo_torque["hip_flexion_r"], atol=0.51)
    assert exo["hip_r"]["signs"] == [1, "flexion", "extension"]
    knee = Channels(("knee_angle_r",), 5.0 * np.ones((trial.time.size, 1)))
    extending = entry(without(trial, exo_torque=knee))["exo"][0]
    assert extending["torque"][0] > 0
    assert extending["signs"] == [1, "extension", "flexion"]
    bent = replaced(without(trial, exo_torque=knee), provenance={"knee_flexion_sign": 1})
    assert entry(bent)["exo"][0]["torque"][0] < 0


def test_unknown_model_is_drawn_as_its_landmarks():
    trial = walking_trial()
    names = ("tail.x", "tail.y", "tail.z", "ear.x", "ear.y", "ear.z")
    points = Channels(names, np.ones((trial.time.size, 6)))
    shown = entry(without(trial, points=points))
    assert set(shown["landmarks"]) == {"tail", "ear"}
    assert shown["start"] == 1.0


def test_trials_without_landmarks_give_no_player():
    trial = walking_trial()
    bare = without(trial, points=Channels.empty(trial.time.size))
    assert player.player_markup([bare]) == ""
    assert len(player.player_data([bare, trial])["trials"]) == 1


def test_measured_walk_without_muscles_or_mass_is_shown():
    trial = walking_trial(n_strides=4)
    bare = replaced(
        without(trial, activations=Channels.empty(trial.time.size)),
        body_mass=float("nan"),
        height=float("nan"),
        speed=float("nan"),
        physics="measured",
    )
    shown = entry(bare)
    assert shown["duration"] == pytest.approx(3.0)
    assert shown["walk_title"] == "speed not recorded, level"
    assert max(shown["grf"]["r"][1]) == pytest.approx(1100, abs=150)


def test_every_choice_shows_the_trial_of_that_arm():
    trials = three_arms(2) + three_arms(2, slope_deg=-5.0)
    data = player.player_data(trials)
    keys = {(t["subject"], t["walk"], t["arm"]) for t in data["trials"]}
    assert len(keys) == len(trials)
    assert {t["slope_deg"] for t in data["trials"]} == {0.0, -5.0}
    assert {t["arm"] for t in data["trials"]} == {arm.key for arm in arms_of(trials)}


def test_whole_subjects_are_left_out_of_too_large_a_study():
    trials = [t for slope in (-5.0, 0.0, 5.0) for t in three_arms(10, slope_deg=slope)]
    shown = player.playable(trials)
    assert 27 < len(shown) < len(trials)
    assert len(player.safe_json(player.player_data(trials))) < 3e6
    per_subject = {
        s: sum(t.info.subject == s for t in shown) for s in {t.info.subject for t in shown}
    }
    assert set(per_subject.values()) == {9}


def test_data_of_fifteen_trials_stay_under_one_megabyte():
    assert len(player.safe_json(player.player_data(three_arms(5)))) < 1e6


def test_json_cannot_end_its_script_element_and_reads_back():
    nasty = {"a": "</script><script>alert(1)</script><!-- & \u2028"}
    text = player.safe_json(nasty)
    assert "<" not in text and ">" not in text and "&" not in text
    assert json.loads(text) == nasty


def test_activation_colours_rise_in_lightness():
    lightness = []
    for colour in player.colour_scale():
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        lightness.append(116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16)
    assert np.all(np.diff(lightness) > 0)


def test_one_frame_is_refused():
    with pytest.raises(InputError, match="at least 2"):
        player.player_data([walking_trial()], frames=1)


@pytest.mark.slow
def test_player_moves_and_logs_nothing(tmp_path):
    trials = three_arms(2) + three_arms(2, slope_deg=5.0)
    probe = """
      const p = document.querySelector('.player').osimPlayer;
      const frame = () => new Promise(r => requestAnimationFrame(r));
      const before = p.scrubber.value, first = p.stage.toDataURL();
      p.field('play').click();
      for (let i = 0; i < 600 && Number(p.scrubber.value) < 2; i += 1) { await frame(); }
      p.field('play').click();
      const after = p.scrubber.value, later = p.stage.toDataURL();
      p.scrubber.value = 40; p.scrubber.dispatchEvent(new Event('input'));
      const dragged = p.phase;
      p.stage.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}));
      const stepped = p.phase;
      p.field('condition').querySelector('input').click();
      const arm = p.trial.arm;
      p.field('walk').selectedIndex = 1; p.field('walk').dispatchEvent(new Event('change'));
      return {before, after, dragged, stepped, arm, slope: p.trial.slope_deg,
              moved: first !== later, label: p.scrubber.getAttribute('aria-valuetext')};
    """
    seen = visit(page(tmp_path, trials), probe, tmp_path)
    assert seen.console == []
    assert seen.requests == []
    assert float(seen.seen["before"]) == 0.0
    assert float(seen.seen["after"]) > 0.0
    assert seen.seen["moved"]
    assert seen.seen["dragged"] == pytest.approx(0.4)
    assert seen.seen["stepped"] == pytest.approx(0.41)
    assert seen.seen["arm"].startswith("no_exo")
    assert seen.seen["slope"] == 5.0
    assert "of the gait cycle" in seen.seen["label"]


@pytest.mark.slow
def test_player_of_an_unknown_model_logs_nothing(tmp_path):
    trial = walking_trial()
    names = ("tail.x", "tail.y", "tail.z")
    points = Channels(names, np.ones((trial.time.size, 3)))
    seen = visit(page(tmp_path, [without(trial, points=points)]), "return 1;", tmp_path)
    assert seen.console == []
