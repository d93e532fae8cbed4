"""Learned arms of studies: rows by hand, falls that stay, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osim_exo.analysis.cohort import Unit
from osim_exo.analysis.compare import compare_cohort
from osim_exo.analysis.cycles import strides_in
from osim_exo.analysis.metrics import Metric, compute_metrics
from osim_exo.analysis.transfer import transfer_rows, write_transfer
from osim_exo.control import FeedbackSettings, Signals, SplineProfile
from osim_exo.errors import DataError, InputError
from osim_exo.learn.chain import Chain, Stage, seed_folder, steps_of
from osim_exo.learn.config import LearnConfig
from osim_exo.learn.evaluate import Evaluation, evaluate
from osim_exo.learn.tasks.config import Commands, TaskConfig
from osim_exo.learn.walkers import CHAINS, library, load_stage
from osim_exo.models import HipExo
from osim_exo.strap import Strap
from osim_exo.study import StudyConfig, run_sweep
from osim_exo.study.device_realism import LEVELS, DeviceRealismSweep, real_up_to
from osim_exo.study.learned import chosen_arms, cohort_of, learned_loops, loops_of, merged
from osim_exo.study.learned_arm import LearnedArm
from osim_exo.study.loops import Drive, Loop, Measured, excerpt, read_unit
from osim_exo.study.tuning import HIGH, LOW, SideBySide, Tuning, costs, spline_of
from tests.synthetic import walking_trial


def loop(condition, seed, physics="opensim", speed=1.25, **fields):
    settings = Evaluation(physics=physics, speed=speed)
    return Loop(condition, condition, None, condition, seed, settings, **fields)


def measured(seed, falls=0, **values):
    metrics = {name: Metric(name, value, "1") for name, value in values.items()}
    metrics["fall_share"] = Metric("fall_share", falls / 2, "1")
    trial = walking_trial() if values else None
    unit = Unit("reference", seed, metrics, {})
    return Measured(unit, "gait2d" if values else "", 2, falls, 24, 18.0, {}, trial)


def rows_of(walked, name):
    comparison = compare_cohort(cohort_of(walked))
    return comparison, [row for row in comparison.rows if row["name"] == name]


def pick(rows, condition, comparator, seed=None):
    (row,) = [
        row
        for row in rows
        if (row["condition"], row["comparator"], row["group"]["seed"])
        == (condition, comparator, seed)
    ]
    return row


def test_rows_are_those_computed_by_hand():
    """Two seeds: -10 % and -5 % against zero torque; the mean of the seeds' own changes, n = 2."""
    walked = {
        loop("no_exo", 0): measured(0, mean_activation=0.050),
        loop("no_exo", 1): measured(1, mean_activation=0.060),
        loop("zero_torque", 0): measured(0, mean_activation=0.060),
        loop("zero_torque", 1): measured(1, mean_activation=0.080),
        loop("assisted", 0): measured(0, mean_activation=0.054),
        loop("assisted", 1): measured(1, mean_activation=0.076),
    }
    comparison, rows = rows_of(walked, "mean_activation")
    assert comparison.units == "seeds"
    row = pick(rows, "assisted", "zero_torque")
    assert (row["controller"], row["physics"], row["n"]) == ("learned", "opensim", 2)
    assert row["value"] == pytest.approx(0.065)
    assert row["change_percent"] == pytest.approx(-7.5)
    # Student's t with one degree of freedom: 12.706 x 2.5 (the standard error of -10 and -5).
    assert row["change_ci_low"] == pytest.approx(-7.5 - 12.7062 * 2.5, rel=1e-4)
    own = pick(rows, "assisted", "no_exo", seed=1)
    assert own["change_percent"] == pytest.approx(100 * (0.076 / 0.060 - 1))
    assert "walks_fell" not in row["flags"]


def test_a_fall_marks_rows_and_is_counted():
    walked = {
        loop("zero_torque", 0): measured(0, mean_activation=0.06),
        loop("zero_torque", 1): measured(1, mean_activation=0.06),
        loop("assisted", 0): measured(0, mean_activation=0.05),
        loop("assisted", 1): measured(1, falls=1, mean_activation=0.05),
    }
    comparison, rows = rows_of(walked, "mean_activation")
    assert "walks_fell" in pick(rows, "assisted", "zero_torque")["flags"]
    assert "walks_fell" in pick(rows, "assisted", "zero_torque", seed=1)["flags"]
    assert "walks_fell" not in pick(rows, "assisted", "zero_torque", seed=0)["flags"]
    shares = [row for row in comparison.rows if row["name"] == "fall_share"]
    assert pick(shares, "assisted", "zero_torque")["value"] == pytest.approx(0.25)


def test_a_fall_of_the_comparator_marks_rows_too():
    walked = {
        loop("zero_torque", 0): measured(0, falls=2, mean_activation=0.06),
        loop("assisted", 0): measured(0, mean_activation=0.05),
    }
    _, rows = rows_of(walked, "mean_activation")
    assert "walks_fell" in pick(rows, "assisted", "zero_torque", seed=0)["flags"]


def test_a_seed_whose_walks_all_fell_stays_in_the_table():
    walked = {
        loop("zero_torque", 0): measured(0, mean_activation=0.06),
        loop("zero_torque", 1): measured(1, mean_activation=0.06),
        loop("assisted", 0): measured(0, mean_activation=0.05),
        loop("assisted", 1): measured(1, falls=2),
    }
    comparison, rows = rows_of(walked, "fall_share")
    row = pick(rows, "assisted", "zero_torque")
    assert (row["value"], row["n"]) == (0.5, 2)
    activation = [r for r in comparison.rows if r["name"] == "mean_activation"]
    assert pick(activation, "assisted", "zero_torque")["n"] == 1
    (missing,) = comparison.missing
    assert "all 2 walks fell" in missing["reason"]
    assert missing["trials"] == ["assisted_1.25_mps_+0_deg_seed_1"]


def test_the_transfer_table_is_computed_over_seeds(tmp_path):
    """OpenSim 2 % and 4 % above compiled: 3 %, and seconds as they are."""
    walked = {
        loop("no_exo", 0): measured(0, mean_activation=0.0510, seconds_walked=18.0),
        loop("no_exo", 1): measured(1, mean_activation=0.0624, seconds_walked=12.0),
        loop("no_exo", 0, "compiled"): measured(0, mean_activation=0.05, seconds_walked=18.0),
        loop("no_exo", 1, "compiled"): measured(1, mean_activation=0.06, seconds_walked=18.0),
    }
    curve = np.sin(np.linspace(0, 2 * np.pi, 101))
    for key, found in walked.items():
        size = 5.0 if key.settings.physics == "opensim" else 4.0
        unit = replace(found.unit, curves={"exo_torque/hip_flexion": size * curve})
        walked[key] = replace(found, unit=unit)
    rows = {row["quantity"]: row for row in transfer_rows(cohort_of(walked))}
    assert rows["mean_activation"]["difference"] == pytest.approx(3.0)
    assert rows["mean_activation"]["difference_unit"] == "%"
    assert rows["mean_activation"]["ci_high"] == pytest.approx(3.0 + 12.7062, rel=1e-4)
    assert rows["seconds_walked"]["difference"] == pytest.approx(-3.0)
    apart = float(np.sqrt(np.mean(curve**2)))
    assert rows["torque_profile_rms"]["difference"] == pytest.approx(apart)
    write_transfer(tmp_path, list(rows.values()))
    assert json.loads((tmp_path / "transfer.json").read_text())["rows"][0]["n"] == 2
    assert (tmp_path / "transfer.csv").read_text().count("\n") == 1 + len(rows)


def test_without_compiled_walks_there_is_no_transfer(tmp_path):
    assert transfer_rows(cohort_of({loop("no_exo", 0): measured(0, mean_activation=0.05)})) == []
    write_transfer(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


def test_merged_comparisons_hold_the_rows_of_both():
    one, _ = rows_of({loop("no_exo", 0): measured(0, mean_activation=0.05)}, "x")
    two, _ = rows_of({loop("assisted", 0): measured(0, mean_activation=0.05)}, "x")
    both = merged(one, two)
    assert both.conditions == ("no_exo", "assisted")
    assert len(both.rows) == len(one.rows) + len(two.rows)


def test_arms_are_told_apart_by_what_drives_the_device():
    drives = {
        "learned": None,
        "delayed_output_feedback": Drive(feedback=FeedbackSettings()),
        "spline": Drive(spline=SplineProfile()),
        "none": Drive(),
    }
    for name, drive in drives.items():
        assert loop("assisted", 0, drive=drive).controller == name
    assert loop("zero_torque", 0).controller == "none"
    assert loop("assisted", 0, label="ideal").controller == "ideal"
    with pytest.raises(InputError, match="one controller"):
        Drive(feedback=FeedbackSettings(), spline=SplineProfile())


def test_arms_stand_in_the_order_in_which_they_were_asked():
    """Levels of realism, for instance, which their names do not sort."""
    asked = ("ideal", "bandwidth", "delay", "another")
    settings = Evaluation(runs=1)
    walked = {
        Loop(name, "assisted", Path("."), "exo", seed, settings, label=name): measured(seed)
        for name in asked
        for seed in (0, 1)
    }
    assert tuple(cell.controller for cell in cohort_of(walked).cells) == asked


def test_an_excerpt_holds_whole_strides_of_the_walk():
    trial = walking_trial(n_strides=5)
    count = strides_in(trial)
    cut = excerpt(trial, 2)
    assert count == 4
    assert strides_in(cut) == 2
    assert len(cut.time) < len(trial.time)
    assert strides_in(excerpt(trial, 100)) == count


def chain_in(folder, seed=0, speed=(0.8, 1.6), unequal=False, stages=None):
    """Settings of a chain without any training."""
    worn = {"model": {"exo": HipExo()}}
    learn = LearnConfig(steps=8192)
    arms = {
        "no_exo": TaskConfig(commands=Commands(speed=speed)),
        "zero_torque": TaskConfig(condition="zero_torque", commands=Commands(speed=speed), **worn),
        "assisted": TaskConfig(
            condition="assisted", learner="both", commands=Commands(speed=speed), **worn
        ),
    }
    made = [
        Stage(
            name=name,
            task=task,
            learn=learn.changed(steps=16384) if unequal and name == "no_exo" else learn,
        )
        for name, task in arms.items()
        if stages is None or name in stages
    ]
    chain = Chain(stages=tuple(made), seed=seed)
    folder.mkdir(parents=True)
    content = {"chain": chain.model_dump(mode="json")}
    (folder / "chain.json").write_text(json.dumps(content))
    return chain


def test_units_are_every_arm_speed_slope_and_seed(tmp_path):
    for seed in range(3):
        chain_in(tmp_path / f"seed_{seed}", seed)
    arm = LearnedArm(trained=str(tmp_path), transfer=True, seeds=2)
    loops = learned_loops(arm, (0.8, 1.25), (0.0,))
    assert len({unit.name for unit in loops}) == len(loops) == 2 * 2 * 3 + 2 * 3
    compiled = [unit for unit in loops if unit.settings.physics == "compiled"]
    assert {unit.settings.speed for unit in compiled} == {1.25}
    assert all(unit.settings.runs == 2 and unit.settings.duration >= 18 for unit in loops)


def test_chains_that_cannot_be_compared_are_refused(tmp_path):
    chain_in(tmp_path / "a" / "seed_0")
    arm = LearnedArm(trained=str(tmp_path / "a"))
    with pytest.raises(InputError, match=r"0\.8 to 1\.6 m/s; the study asks for 1\.8"):
        learned_loops(arm, (1.8,), (0.0,))
    with pytest.raises(InputError, match="slope of 0 to 0"):
        learned_loops(arm, (1.2,), (5.0,))
    with pytest.raises(InputError, match="trained on the model gait2d"):
        learned_loops(arm, (1.2,), (0.0,), "other.osim")
    chain_in(tmp_path / "b" / "seed_0", unequal=True)
    with pytest.raises(DataError, match="equal training"):
        learned_loops(LearnedArm(trained=str(tmp_path / "b")), (1.2,), (0.0,))
    chain_in(tmp_path / "c" / "seed_0", stages=("no_exo",))
    with pytest.raises(DataError, match="no stage zero_torque"):
        learned_loops(LearnedArm(trained=str(tmp_path / "c")), (1.2,), (0.0,))
    with pytest.raises(DataError, match="no trained chains"):
        learned_loops(LearnedArm(trained="nowhere"), (1.2,), (0.0,))


def test_which_arms_a_study_runs():
    plain = StudyConfig(name="plain")
    both = StudyConfig(name="both", learned=LearnedArm())
    assert chosen_arms(plain, None, None, quick=False)[1] == "solved"
    assert chosen_arms(both, None, None, quick=False)[1] == "both"
    assert chosen_arms(both, None, None, quick=True)[1] == "solved"
    asked = both.changed(learned=LearnedArm(by_default=False))
    assert chosen_arms(asked, None, None, quick=False)[1] == "solved"
    assert chosen_arms(asked, "both", None, quick=False)[1] == "both"
    config, arms = chosen_arms(plain, "learned", "my/chains", quick=True)
    assert (config.learned.trained, config.learned.walks, arms) == ("my/chains", 1, "learned")
    with pytest.raises(InputError, match="no learned arms"):
        chosen_arms(plain, "learned", None, quick=False)
    with pytest.raises(InputError, match="only solved arms"):
        chosen_arms(both, "solved", "my/chains", quick=False)
    with pytest.raises(InputError, match="weakens muscles"):
        loops_of(both.changed(weakness={"soleus_r": 0.5}))
    with pytest.raises(InputError, match="leaves nothing"):
        LearnedArm(duration=2.0, settle=3.0)


def test_a_garbled_unit_is_told(tmp_path):
    unit = loop("no_exo", 0)
    (tmp_path / unit.place).mkdir(parents=True)
    (tmp_path / unit.place / "unit.json").write_text("{}")
    with pytest.raises(DataError, match="lacks or garbles"):
        read_unit(tmp_path, unit)


def test_controllers_side_by_side_give_what_each_gives_alone():
    drives = [Drive(feedback=FeedbackSettings(gain=g)) for g in (5.0, 10.0)]
    together = SideBySide([drive.controller() for drive in drives], each=2)
    alone = [drive.controller() for drive in drives]
    together.reset(4)
    for controller in alone:
        controller.reset(2)
    random = np.random.default_rng(0)
    for step in range(60):
        time = np.full(4, 0.01 * step)
        hip = random.normal(size=(4, 2))
        signals = Signals(time=time, hip_angle=hip, hip_speed=hip)
        apart = [
            controller(Signals(time=time[:2], hip_angle=part, hip_speed=part))
            for controller, part in zip(alone, (hip[:2], hip[2:]))
        ]
        np.testing.assert_array_equal(together(signals), np.vstack(apart))
    assert np.abs(together(signals)).max() > 0
    with pytest.raises(InputError, match="4 environments"):
        together.reset(3)


def test_what_a_controller_costs_is_the_walks_cost_of_transport():
    """The tuning's sum over control steps against the metric of recorded strides."""
    walker = load_stage(seed_folder(library() / CHAINS / "hip", 4), "worn")
    tuning = Tuning(starts=1, duration=8.0)
    weak, strong = Drive(), Drive(feedback=FeedbackSettings(gain=8.0, delay_s=0.0))
    found = costs(walker, [weak, strong], 1.25, 0.0, tuning)
    settings = Evaluation(physics="compiled", runs=1, duration=8.0, substep=walker.task.substep)
    for drive, cost in zip((weak, strong), found):
        walked = evaluate(
            walker.task, None, settings, walker.policies, controller=drive.controller()
        )
        metric = compute_metrics(walked.trials[0]).metrics["cost_of_transport"]
        assert metric.unit == "J/kg/m"
        assert cost == pytest.approx(metric.value, rel=0.015)
    assert found[1] < found[0]


def test_a_splines_parameters_stay_within_their_bounds():
    profile = spline_of(HIGH + 10)
    assert profile.extension.peak_torque == HIGH[0]
    assert profile.flexion.peak_percent == HIGH[3]
    assert spline_of(LOW - 10).flexion.peak_torque == LOW[1]


def test_each_level_of_realism_adds_to_the_one_before():
    task = TaskConfig(
        condition="assisted",
        learner="both",
        model={"exo": HipExo()},
        randomisation={"sensor_angle_noise": 0.01},
    )
    made = {level: real_up_to(task, level) for level in LEVELS}
    limits = {level: one.model.exo.limits for level, one in made.items()}
    own = task.model.exo.limits
    assert made["privileged"].senses == task.senses.changed(privileged=True)
    assert made["privileged"].changed(senses=task.senses) == made["ideal"]
    assert limits["ideal"].delay_s == 0.0
    assert limits["ideal"].max_torque == own.max_torque
    assert limits["limits"].rate_limit == own.rate_limit
    assert limits["limits"].bandwidth_hz > own.bandwidth_hz
    assert limits["bandwidth"].bandwidth_hz == own.bandwidth_hz
    assert limits["bandwidth"].delay_s == 0.0
    assert limits["delay"] == own
    assert made["delay"].randomisation.sensor_angle_noise == 0.0
    assert made["noise"] == task
    assert limits["strap"] == own.changed(strap=Strap())
    assert made["strap"].model.exo.reflected_inertia == limits["strap"].strap.inertia
    stiff = own.changed(strap=Strap(stiffness=400.0))
    tight = task.changed(model=task.model.changed(exo=HipExo(limits=stiff)))
    assert real_up_to(tight, "strap") == tight
    assert real_up_to(tight, "noise").model.exo.limits.strap is None
    with pytest.raises(InputError, match="Unknown level"):
        real_up_to(task, "perfect")
    with pytest.raises(InputError, match="no device"):
        real_up_to(TaskConfig(), "ideal")


def test_an_adapting_wearer_has_the_training_of_those_it_is_compared_with():
    sweep = DeviceRealismSweep(name="r", wearer="adapting", arm=LearnedArm(seeds=1))
    ((place, chain),) = sweep.chains().items()
    device, both = sweep.chain("delay", chain.seed).stages
    assert steps_of(device) + steps_of(both) == sum(
        steps_of(chain.stages[chain.names.index(name)]) for name in ("exo", "assisted")
    )
    assert both.learn.start_from == (Path("exo"), chain.place(place, "worn").resolve())
    assert both.task.learner == "both"
    assert both.task.model == device.task.model == real_up_to(device.task, "delay").model
    assert device.task.human_policy == chain.task(place, "exo").human_policy
    assert both.task.walk == chain.task(place, "assisted").walk
    arms = ("no_exo", "zero_torque")
    assert {cell.partition("-")[0] for cell in sweep.waves()[0]} == {*arms, *LEVELS}
    assert [(x.condition, x.stage) for x in sweep.loops(Path("none"))] == list(zip(arms, arms))


def test_a_frozen_wearer_is_compared_with_itself():
    sweep = DeviceRealismSweep(name="r", arm=LearnedArm(seeds=1))
    (device,) = sweep.chain("ideal", 0).stages
    assert device.task.learner == "exo"
    (unpowered,) = sweep.loops(Path("none"))
    assert (unpowered.condition, unpowered.stage) == ("zero_torque", "worn")


def test_a_wearer_without_its_critic_cannot_adapt(tmp_path):
    shutil.copytree(library() / CHAINS / "hip" / "seed_0", tmp_path / "seed_0")
    sweep = DeviceRealismSweep(name="r", wearer="adapting").of(str(tmp_path))
    assert len(sweep.chain("ideal", 0).stages) == 2
    (checkpoint,) = tmp_path.glob("seed_0/*_worn/checkpoint.npz")
    checkpoint.unlink()
    with pytest.raises(DataError, match="without its critic"):
        sweep.chain("ideal", 0)
    assert len(sweep.changed(wearer="frozen").chain("ideal", 0).stages) == 1


@pytest.mark.slow
def test_device_and_wearer_learn_at_a_level_and_walk(tmp_path):
    arm = LearnedArm(seeds=1, walks=1, duration=4.0, settle=1.0, transfer=False)
    sweep = DeviceRealismSweep(
        name="r", question="?", wearer="adapting", levels=("privileged",), steps=4096, arm=arm
    )
    result = run_sweep(sweep, tmp_path, jobs=1)
    assert not result.failures
    assert [row["arm"] for row in result.rows] == ["no_exo", "zero_torque", "privileged"]
    assert [row["falls"] for row in result.rows] == [0, 0, 0]
    assert result.rows[2]["exo_rms_torque"] > result.rows[1]["exo_rms_torque"]
    assert set(result.findings["cost_of_transport_change_percent"]) == {"privileged"}
    learned = tmp_path / "trained" / "privileged" / "seed_0" / "02_assisted" / "policy"
    assert {place.name for place in learned.iterdir()} == {"human", "exo"}


def test_references_are_drawn_where_they_were_found():
    pytest.importorskip("matplotlib")
    from osim_exo.analysis.speed_changes import REFERENCE, speed_change_plates

    rows = []
    for slope in (-5.0, 5.0):
        for speed in (0.8, 1.25):
            for name in REFERENCE:
                rows.append(
                    {
                        "name": name, "condition": "assisted", "controller": "learned",
                        "physics": "opensim", "comparator": "no_exo", "change_percent": -2.0,
                        "change_ci_low": -3.0, "change_ci_high": -1.0,
                        "group": {
                            "speed_mps": speed, "slope_deg": slope, "subject": None, "seed": None
                        },
                    }
                )  # fmt: skip
    (plate,) = speed_change_plates(rows)
    assert "reference, not a goal" in plate.caption
    dotted = [
        {line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"}
        for axes in plate.figure.axes
    ]
    assert dotted == [set(), {-3.4}, set(), {-7.0}]
    assert list(speed_change_plates([])) == []
