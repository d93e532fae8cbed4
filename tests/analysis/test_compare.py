"""The three-arm comparison: schema, pairing, units, flags and what is refused."""

import csv
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from osim_exo.analysis.compare import Comparison, compare
from osim_exo.analysis.energy import energy_cost
from osim_exo.analysis.metabolics import muscle_rates
from osim_exo.analysis.metrics import HEADLINE, OF_WALKERS, compute_metrics
from osim_exo.errors import DataError, InputError, MissingExtraError
from osim_exo.io import read_measured
from osim_exo.trial import Channels, TrialInfo
from tests.synthetic import replaced, three_arms, walking_trial

ROW = {
    "name", "unit", "normalisation", "condition", "controller", "physics", "group", "value",
    "ci_low", "ci_high", "n", "comparator", "change_percent", "change_ci_low", "change_ci_high",
    "flags",
}  # fmt: skip
RATE = "metabolic_rate_bhargava2004"


@pytest.fixture(scope="module")
def eight():
    return three_arms(8)


@pytest.fixture(scope="module")
def comparison(eight):
    return compare(eight, study="level_walking")


def _rows(comparison, name, condition, comparator, subject=None):
    return [
        r
        for r in comparison.rows
        if (r["name"], r["condition"], r["comparator"]) == (name, condition, comparator)
        and (subject == "any" or r["group"]["subject"] == subject)
    ]


def _only(comparison, name, condition, comparator, subject=None):
    (row,) = _rows(comparison, name, condition, comparator, subject)
    return row


def test_rows_have_exactly_the_documented_fields(comparison):
    assert all(set(r) == ROW for r in comparison.rows)
    assert all(
        set(r["group"]) == {"speed_mps", "slope_deg", "subject", "seed"} for r in comparison.rows
    )
    assert comparison.conditions == ("no_exo", "zero_torque", "assisted")
    keys = [
        (r["name"], r["condition"], r["controller"], r["comparator"], *r["group"].values())
        for r in comparison.rows
    ]
    assert len(keys) == len(set(keys))


def test_change_and_interval_equal_a_hand_calculation(eight, comparison):
    stats = pytest.importorskip("scipy.stats")

    def values(condition):
        return np.array(
            [compute_metrics(t).metrics[RATE].value for t in eight if t.info.condition == condition]
        )

    none, zero, on = values("no_exo"), values("zero_torque"), values("assisted")
    for row, before, after in (
        (_only(comparison, RATE, "zero_torque", "no_exo"), none, zero),
        (_only(comparison, RATE, "assisted", "zero_torque"), zero, on),
        (_only(comparison, RATE, "assisted", "no_exo"), none, on),
    ):
        change = 100 * (after - before) / before
        assert row["value"] == pytest.approx(after.mean()) and row["n"] == 8
        assert row["change_percent"] == pytest.approx(change.mean())
        low, high = stats.t.interval(0.95, 7, change.mean(), stats.sem(change))
        assert (row["change_ci_low"], row["change_ci_high"]) == pytest.approx((low, high))
        low, high = stats.t.interval(0.95, 7, after.mean(), stats.sem(after))
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high))


def test_every_subject_has_its_own_rows_without_intervals(comparison):
    rows = _rows(comparison, RATE, "assisted", "zero_torque", "any")
    own = [r for r in rows if r["group"]["subject"]]
    assert {r["group"]["subject"] for r in own} == {f"s{i}" for i in range(8)}
    assert all(r["n"] == 1 and r["ci_low"] is None and r["change_ci_low"] is None for r in own)
    together = _only(comparison, RATE, "assisted", "zero_torque")
    assert together["change_percent"] == pytest.approx(np.mean([r["change_percent"] for r in own]))


def test_rates_are_per_body_mass_with_a_basal_term_that_ignores_the_device():
    trial = walking_trial("zero_torque", body_mass=70.0)
    metrics = compute_metrics(trial).metrics
    difference = metrics[RATE].value - metrics[f"{RATE}_net"].value
    assert difference == pytest.approx(1.2)
    rates = muscle_rates(trial, "bhargava2004").total.sum(axis=1)
    mean = np.trapezoid(rates, trial.time) / trial.duration
    assert metrics[f"{RATE}_net"].value == pytest.approx(mean / 70.0)
    assert metrics["cost_of_transport"].value == pytest.approx(metrics[RATE].value / 1.25)
    cost = energy_cost(trial)
    assert cost.gross_watts == pytest.approx(mean + 1.2 * 70.0)
    assert cost.net_watts == pytest.approx(mean)
    assert sum(cost.muscles.values()) == pytest.approx(mean)
    assert cost.cost_of_transport_net == pytest.approx(metrics["cost_of_transport_net"].value)


def test_energy_ratio_is_watts_saved_per_watt_given(comparison):
    zero = _rows(comparison, RATE, "zero_torque", "no_exo", "s3")[0]["value"]
    on = _rows(comparison, RATE, "assisted", "zero_torque", "s3")[0]["value"]
    given = _rows(comparison, "exo_positive_power", "assisted", "zero_torque", "s3")[0]["value"]
    ratio = _only(comparison, "energy_ratio", "assisted", "zero_torque", "s3")
    assert ratio["value"] == pytest.approx((zero - on) / given)
    assert ratio["flags"] == [] and ratio["change_percent"] is None


def test_energy_ratio_above_four_and_savings_above_ten_percent_are_flagged():
    zero = walking_trial("zero_torque")
    rest = zero.activations.values * 0.3
    names = zero.activations.names
    helped = replace(
        replaced(walking_trial("assisted", peak_torque=2.5)),
        activations=Channels(names, rest),
        excitations=Channels(names, rest),
        active_fibre_forces=Channels(names, 0.3 * zero.active_fibre_forces.values),
    )
    found = compare([zero, helped])
    ratio = _only(found, "energy_ratio", "assisted", "zero_torque")
    assert ratio["value"] > 4 and ratio["flags"] == ["energy_ratio_above_4"]
    saving = _only(found, RATE, "assisted", "zero_torque")
    assert saving["change_percent"] < -10 and saving["flags"] == ["saving_above_10_percent"]
    row = next(r for r in found.table() if r["metric"] == RATE)
    assert row["flags"] == ["saving_above_10_percent"]


def test_energy_ratio_is_null_below_one_watt():
    found = compare([walking_trial("zero_torque"), walking_trial("assisted", peak_torque=0.5)])
    row = _only(found, "energy_ratio", "assisted", "zero_torque")
    assert row["value"] is None and row["n"] == 0


def test_one_subject_gives_values_but_no_intervals_and_no_p_values():
    found = compare(three_arms(1))
    assert all(r["ci_low"] is None and r["change_ci_low"] is None for r in found.rows)
    assert found.statistics == ()
    assert found.curves and all(c["p_value"] is None and c["clusters"] == [] for c in found.curves)
    assert _only(found, RATE, "assisted", "no_exo")["change_percent"] < 0


def test_repetitions_of_one_subject_are_averaged_and_not_counted():
    trials = three_arms(2)
    again = [replaced(walking_trial(t.info.condition, t.info.subject, 1.2,
                                    body_mass=t.info.body_mass), name="again")
             for t in trials]  # fmt: skip
    once, twice = compare(trials), compare([*trials, *again])
    row = _only(twice, "mean_activation", "no_exo", None)
    assert row["n"] == 2
    first = _only(once, "mean_activation", "no_exo", None)["value"]
    other = _only(compare(again), "mean_activation", "no_exo", None)["value"]
    assert row["value"] == pytest.approx((first + other) / 2)


@pytest.mark.parametrize("units", ["strides", "samples", "trials"])
def test_strides_are_refused_as_units(units):
    with pytest.raises(InputError, match="allowed are subjects and seeds. Strides"):
        compare(three_arms(2), units=units)


def test_seeds_of_one_subject_are_labelled_and_share_an_unseeded_baseline():
    trials = [walking_trial("no_exo"), walking_trial("zero_torque")]
    trials += [walking_trial("assisted", seed=s, controller="learned") for s in range(4)]
    found = compare(trials)
    assert found.units == "seeds"
    row = _only(found, RATE, "assisted", "zero_torque")
    each = _rows(found, RATE, "assisted", "zero_torque", "s0")
    assert {r["group"]["seed"] for r in each} == {0, 1, 2, 3}
    together = next(r for r in found.rows if r["name"] == RATE and r["n"] == 4)
    assert "interval_over_seeds" in together["flags"]
    assert together["group"] == {
        "speed_mps": 1.25, "slope_deg": 0.0, "subject": None, "seed": None
    }  # fmt: skip
    assert row["change_percent"] == pytest.approx(np.mean([r["change_percent"] for r in each]))
    assert all(s["units"] == "seeds" for s in found.statistics)


def test_seeds_of_several_subjects_are_averaged_within_them():
    trials = [walking_trial("zero_torque", f"s{i}") for i in range(3)]
    trials += [walking_trial("assisted", f"s{i}", seed=k) for i in range(3) for k in range(2)]
    found = compare(trials)
    assert found.units == "subjects"
    assert _only(found, RATE, "assisted", "zero_torque")["n"] == 3


def test_walks_and_controllers_are_kept_apart():
    trials = [
        walking_trial(c, "s0", speed=v, slope_deg=s, controller=k)
        for v in (1.0, 1.25)
        for s in (0.0, 5.0)
        for c, k in (
            ("no_exo", "none"),
            ("assisted", "optimal"),
            ("assisted", "spline"),
        )
    ]
    found = compare(trials)
    rows = [r for r in _rows(found, RATE, "assisted", "no_exo") if r["group"]["subject"] is None]
    assert len(rows) == 8
    assert {(r["group"]["speed_mps"], r["group"]["slope_deg"]) for r in rows} == {
        (1.0, 0.0), (1.25, 0.0), (1.0, 5.0), (1.25, 5.0)
    }  # fmt: skip
    assert len([r for r in found.table() if r["metric"] == RATE]) == 8


def test_physics_are_not_mixed():
    moco = walking_trial("no_exo", physics="moco")
    found = compare([moco, walking_trial("zero_torque")])
    assert all(r["comparator"] is None for r in found.rows)


@pytest.mark.parametrize("arms", [("no_exo",), ("assisted",), ("zero_torque", "no_exo")])
def test_any_subset_of_arms_is_accepted(arms):
    found = compare([walking_trial(a) for a in arms])
    assert set(found.conditions) == set(arms)
    assert {r["condition"] for r in found.rows} == set(arms)


def test_subjects_without_a_partner_are_left_out_of_the_change_and_flagged():
    trials = [walking_trial("zero_torque", f"s{i}") for i in range(3)]
    trials += [walking_trial("assisted", f"s{i}") for i in range(4)]
    found = compare(trials)
    row = _only(found, RATE, "assisted", "zero_torque")
    assert row["n"] == 4 and row["flags"] == ["unpaired_units_left_out_of_change"]
    own = _only(found, RATE, "assisted", "zero_torque", "s3")
    assert own["change_percent"] is None and own["value"] is not None


def test_statistics_are_holm_corrected_within_their_family(comparison):
    muscles = [
        s
        for s in comparison.statistics
        if s["family"] == "mean_activation/*"
        and (s["condition"], s["comparator"]) == ("assisted", "zero_torque")
    ]
    changed = [s for s in muscles if s["p_value"] < 0.05]
    assert {s["name"].split("/")[1] for s in changed} >= {"glut_max", "iliopsoas"}
    assert all(s["p_holm"] == pytest.approx(len(muscles) * 2 / 256) for s in changed)
    alone = next(s for s in comparison.statistics if s["name"] == "mean_activation")
    assert alone["p_holm"] == alone["p_value"]
    assert all(s["p_value"] >= s["p_smallest"] for s in comparison.statistics)


def test_curves_show_which_muscles_the_device_relieves(comparison):
    rows = {
        c["name"]: c
        for c in comparison.curves
        if (c["condition"], c["comparator"]) == ("assisted", "zero_torque")
    }
    assert rows["activation/glut_max"]["p_value"] == pytest.approx(2 / 256)
    assert rows["activation/glut_max"]["clusters"][0]["sign"] == -1
    assert rows["activation/soleus"]["p_value"] == 1.0
    assert {"hip_flexion", "knee_extension_moment", "ankle_power"} <= set(rows)


def test_curves_are_tested_by_spm1d_only_where_it_was_asked_for(eight, comparison, monkeypatch):
    assert {row["test"] for row in comparison.curves} == {"permutation"}
    with pytest.raises(InputError, match="curves 'anova'"):
        compare(eight, curves="anova")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "spm1d", None)
        compare(eight)
        with pytest.raises(MissingExtraError, match=r"osim_exo\[stats\]"):
            compare(eight, curves="spm1d")


def test_spm1d_finds_the_muscles_that_the_permutation_test_finds(eight, comparison):
    pytest.importorskip("spm1d")
    found = compare(eight, curves="spm1d")
    assert {row["test"] for row in found.curves} == {"spm1d"}
    assert found.rows == comparison.rows
    assert [r["name"] for r in found.curves] == [r["name"] for r in comparison.curves]
    sure = [
        (ours, theirs)
        for ours, theirs in zip(comparison.curves, found.curves)
        if theirs["p_holm"] is not None and theirs["p_holm"] < 0.01
    ]
    assert sure
    assert all(ours["p_value"] < 0.05 for ours, _ in sure)


def test_table_shows_mass_penalty_benefit_and_net(comparison):
    table = {r["metric"]: r for r in comparison.table()}
    assert list(table) == [m for m in HEADLINE if m in table]
    assert set(table) == set(HEADLINE) - set(OF_WALKERS)
    row = table[RATE]
    assert row["zero_torque"] > row["no_exo"] and row["mass_penalty_percent"] > 0
    assert row["torque_benefit_percent"] < row["net_percent"] < 0
    low, high = row["net_percent_ci"]
    assert low < row["net_percent"] < high
    assert row["n"] == 8 and row["controller"] == "optimal"


def test_json_round_trips_and_csv_has_one_line_per_row(comparison, tmp_path):
    path = comparison.to_json(tmp_path / "comparison.json")
    data = json.loads(path.read_text())
    assert list(data)[:2] == ["schema_version", "study"] and data["study"] == "level_walking"
    assert data["model"] == "synthetic" and data["seed"] == 0
    assert Comparison.from_json(path) == comparison
    table = comparison.to_csv(tmp_path / "comparison.csv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(comparison.rows)
    assert rows[0]["speed_mps"] == "1.25" and "group" not in rows[0]
    assert float(rows[5]["value"]) == comparison.rows[5]["value"]


def test_comparison_is_reproducible(eight, comparison):
    assert compare(eight, study="level_walking").to_dict() == comparison.to_dict()
    backwards = compare(eight[::-1], study="level_walking")
    assert sorted(map(repr, backwards.rows)) == sorted(map(repr, comparison.rows))


def test_broken_comparison_files_are_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"schema_version": 7}')
    with pytest.raises(DataError, match="schema version 1"):
        Comparison.from_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"schema_version": 1, "study": "x"}')
    with pytest.raises(DataError, match="Compare again"):
        Comparison.from_json(tmp_path / "a.json")


def test_measured_walk_without_muscles_is_compared_and_names_what_is_missing(shared_data):
    folder = shared_data / "gait10dof18musc"
    info = TrialInfo("measured", body_mass=72.6, height=1.8, speed=1.135)
    trial = read_measured(
        folder / "subject01_walk_IK.mot",
        info,
        grf=folder / "subject01_walk_grf.mot",
        moments=folder / "subject01_walk_ID.sto",
    )
    found = compare([trial])
    names = {r["name"] for r in found.rows}
    assert {"cadence", "grf_peak1_bw", "positive_joint_power"} <= names
    assert RATE not in names and "mean_activation" not in names
    missing = {m["what"]: m for m in found.missing}
    assert "no activations" in missing["activation"]["reason"]
    assert missing["metabolic_rate_umberger2010"]["trials"] == ["measured"]


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="No trials"):
        compare([])
    with pytest.raises(InputError, match="several models \\(other, synthetic\\)"):
        compare([walking_trial(), replaced(walking_trial("assisted"), model="other")])
    with pytest.raises(InputError, match="Unknown condition 'placebo'"):
        compare([replaced(walking_trial(), condition="placebo")])


def test_headline_metrics_exist_with_units():
    found = compute_metrics(walking_trial("assisted"))
    lacking = set(HEADLINE) - set(found.metrics) - {"energy_ratio", *OF_WALKERS}
    assert lacking == set() and found.missing == {}
    assert found.metrics["exo_positive_power"].unit == "W/kg"
    watts = found.metrics["exo_positive_power_watts"].value
    assert found.metrics["exo_positive_power"].value == pytest.approx(watts / 75)
