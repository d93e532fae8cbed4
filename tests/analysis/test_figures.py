"""Figures show the numbers of trials and comparison, and share a page without clashes."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from osim_exo.analysis import bars, figures
from osim_exo.analysis.arm_curves import gather, human_bands
from osim_exo.analysis.arms import Walk, arms_of
from osim_exo.analysis.bars import Bar, Change
from osim_exo.analysis.drawing import legend_columns, svg
from osim_exo.analysis.figures import Mark
from osim_exo.analysis.normative import LEG_LENGTH_PER_HEIGHT, band
from osim_exo.trial import Channels, Trial
from osim_exo.units import DEG, GRAVITY
from tests.synthetic import TILT, replaced, three_arms, walking_trial

ROOT = Path(__file__).resolve().parents[2]


def curves_of(trials):
    gathered, problems = gather(trials, arms_of(trials))
    assert problems == []
    return gathered


def panel(figure, title):
    return next(ax for ax in figure.axes if ax.get_title(loc="left") == title)


def strong_lines(axes):
    return [ln for ln in axes.get_lines() if ln.get_zorder() == 3 and len(ln.get_xdata()) == 101]


def test_hip_flexion_is_the_coordinate_in_degrees_and_clinical_sign():
    trial = walking_trial()
    figure = figures.cycle_figure(figures.JOINT_PANELS, curves_of([trial]))
    (line,) = strong_lines(panel(figure, "Hip flexion"))
    expected = trial.coordinates["hip_flexion_r"] / DEG + TILT
    assert np.allclose(line.get_ydata(), expected, atol=0.05)


def test_ground_force_is_in_weights_of_the_body_without_the_device():
    trial = walking_trial("zero_torque", body_mass=60.0)
    figure = figures.cycle_figure(figures.FORCE_PANELS, curves_of([trial]))
    (line,) = strong_lines(panel(figure, "Vertical ground force"))
    assert max(line.get_ydata()) == pytest.approx(
        trial.grf["ground_force_r_vy"].max() / (60.0 * GRAVITY), abs=0.01
    )


def test_exo_torque_stands_in_newton_metres_and_per_kilogram():
    trial = walking_trial("assisted", body_mass=64.0, peak_torque=10.0)
    figure = figures.exo_figure(curves_of([trial]))
    by_unit = {ax.get_ylabel(): strong_lines(ax)[0].get_ydata() for ax in figure.axes}
    assert max(by_unit["Nm"]) == pytest.approx(trial.exo_torque["hip_flexion_r"].max(), rel=1e-3)
    assert np.allclose(by_unit["Nm/kg"], by_unit["Nm"] / 64.0)
    assert all("right heel strike" in ax.get_xlabel() for ax in figure.axes)


def test_strong_line_is_the_mean_over_subjects_and_faint_ones_are_the_subjects():
    trials = [walking_trial("no_exo", f"s{i}", body_mass=60.0 + 5 * i) for i in range(4)]
    axes = panel(figures.muscle_figure(curves_of(trials)), "Soleus")
    (line,) = strong_lines(axes)
    expected = np.mean([t.activations["soleus_r"] for t in trials], axis=0)
    assert np.allclose(line.get_ydata(), expected, atol=0.01)
    assert sum(ln.get_alpha() == 0.35 for ln in axes.get_lines()) == 4


def test_band_is_mean_and_two_standard_deviations_of_human_walking():
    trials = [walking_trial(speed=1.0, height=1.8)]
    figure = figures.cycle_figure(figures.JOINT_PANELS, curves_of(trials), human_bands(trials))
    mean, sd = band("knee_flexion", 1.0, LEG_LENGTH_PER_HEIGHT * 1.8)
    wide = panel(figure, "Knee flexion").collections[0].get_paths()[0].vertices[:, 1]
    assert wide.max() == pytest.approx((mean + 2 * sd)[::2].max())
    assert wide.min() == pytest.approx((mean - 2 * sd)[::2].min())


def test_quantities_that_no_trial_has_are_left_out():
    trial = walking_trial()
    bare = Trial.build(trial.time, trial.info, coordinates=trial.coordinates, grf=trial.grf)
    gathered = curves_of([bare])
    titles = [
        a.get_title(loc="left") for a in figures.cycle_figure(figures.JOINT_PANELS, gathered).axes
    ]
    assert titles == ["Hip flexion", "Knee flexion", "Ankle dorsiflexion"]
    assert figures.muscle_figure(gathered) is None
    assert figures.exo_figure(gathered) is None


def test_trial_without_a_stride_is_named_and_the_others_are_shown():
    trial = walking_trial()
    short = Trial.build(
        trial.time[:20],
        replaced(trial, stride=False, name="cut", subject="s9").info,
        grf=Channels(trial.grf.names, trial.grf.values[:20]),
    )
    gathered, problems = gather([trial, short], arms_of([trial]))
    assert len(gathered[0].units) == 1
    assert "cut" in problems[0]


def test_bars_have_the_rates_height_and_the_basal_part():
    arms = arms_of(three_arms(1))
    rates = {
        "Bhargava 2004": [(arm, Bar(3.0 + i, 2.5 + i, 3.75 + i)) for i, arm in enumerate(arms)]
    }
    axes = bars.metabolic_figure(rates, 1.2).axes[0]
    assert sorted(p.get_height() for p in axes.patches) == [1.2, 1.2, 1.2, 3.0, 4.0, 5.0]
    whiskers = [c.get_segments()[0][:, 1].tolist() for c in axes.collections]
    assert [2.5, 3.75] in whiskers
    assert bars.metabolic_figure({"Bhargava 2004": []}, 1.2) is None


def test_change_figure_draws_whiskers_only_with_an_interval():
    both = {"net": Bar(-5.0, -8.0, -1.0), "mass penalty": Bar(3.0)}
    axes = bars.change_figure([Change("rate", both)]).axes[0]
    ends = [c.get_segments()[0][:, 0].tolist() for c in axes.collections]
    assert ends == [[-8.0, -1.0]]
    assert bars.change_figure([]) is None


def test_walks_are_drawn_by_slope_with_percent_grade():
    arms = arms_of(three_arms(1))
    values = {
        Walk.of(v, s): [(arm, Bar(3.0 + v)) for arm in arms]
        for v in (1.0, 1.25)
        for s in (0.0, 5.0)
    }
    figure = bars.walk_figure("rate, W/kg", values)
    assert [a.get_title(loc="left") for a in figure.axes] == ["level", "5° uphill (8.7 % grade)"]
    assert bars.walk_figure("rate", dict(list(values.items())[:1])) is None


def test_mark_over_heel_strike_has_two_pieces():
    trials = [walking_trial("assisted")]
    marks = {"hip_flexion": [Mark(90.0, 10.0, "#4d5663", 0)]}
    axes = panel(
        figures.cycle_figure(figures.JOINT_PANELS, curves_of(trials), marks=marks), "Hip flexion"
    )
    spans = [list(ln.get_xdata()) for ln in axes.get_lines() if ln.get_color() == "#4d5663"]
    assert [90.0, 100.0] in spans and [0.0, 10.0] in spans


def test_several_figures_share_no_identifier_and_find_their_own():
    trials = three_arms(2)
    texts = [
        svg(figures.muscle_figure(curves_of(trials)), "one", "a"),
        svg(figures.exo_figure(curves_of(trials)), "two", "b"),
    ]
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in texts]
    assert not ids[0] & ids[1]
    for text, own in zip(texts, ids):
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
        assert used and {a or b for a, b in used} <= own


def test_figure_is_well_formed_and_the_same_every_time():
    trials = three_arms(1)
    texts = [
        svg(figures.muscle_figure(curves_of(trials)), "one", 'a "quoted" <b>') for _ in range(2)
    ]
    assert texts[0] == texts[1]
    root = ElementTree.fromstring(texts[0])
    assert root.get("aria-label") == 'a "quoted" <b>'
    assert "width" not in root.attrib


def test_names_are_text_in_a_figure_never_markup_or_mathematics():
    trial = walking_trial()
    names = ("<script>alert(1)</script>_r", "$x_2$_r")
    odd = Trial.build(
        trial.time,
        trial.info,
        coordinates=trial.coordinates,
        grf=trial.grf,
        activations=Channels(names, trial.activations.values[:, :2]),
    )
    text = svg(figures.muscle_figure(curves_of([odd])), "one", "a")
    assert "<script" not in text
    assert "$x 2$" in text


def test_figures_need_no_pyplot():
    code = (
        "import sys; from tests.synthetic import walking_trial;"
        "from osim_exo.analysis import figures, drawing;"
        "from osim_exo.analysis.arm_curves import gather;"
        "from osim_exo.analysis.arms import arms_of;"
        "t = [walking_trial()]; c, _ = gather(t, arms_of(t));"
        "drawing.svg(figures.muscle_figure(c), 'a', 'b'); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_legend_of_many_long_names_breaks_into_rows():
    assert legend_columns(["no exo", "assisted"]) == 2
    assert legend_columns(["exo, assisted (delayed output feedback)"] * 6) == 3
