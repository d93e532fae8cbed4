"""Studies that train: impaired gait, dose and response, synergies; their plans and their sums."""

import math
from pathlib import Path

import pytest

from osim_exo import study
from osim_exo.errors import DataError, InputError
from osim_exo.files import read_json, write_json
from osim_exo.learn.recipes import real
from osim_exo.learn.walkers import library, shipped_walker
from osim_exo.models import AnkleExo, HipExo
from osim_exo.progress import SILENT
from osim_exo.study import ActionSweep, DoseSweep, ImpairedSweep, run_sweep
from osim_exo.study.actions import RAW, _verdict, explained
from osim_exo.study.closed_loops import Walks

WALKER = "gait2d_walk_1.25_mps"
IMPAIRED = ImpairedSweep(name="weak", walker=WALKER)
DOSE = DoseSweep(name="dose", walker=WALKER)
DEVICES = ("hip", "ankle")
SHORT = Walks(physics="compiled", walks=1, duration=5.0, settle=1.5)


# Impaired gait


def test_the_impaired_body_is_weak_on_the_named_side_only():
    model = IMPAIRED.model(0.25)
    assert model.weakness == {"soleus_r": 0.25, "gastroc_r": 0.25}
    assert not model.symmetric
    both = IMPAIRED.changed(side="both", impairment="contracture", levels=(0.8,)).model(0.8)
    assert set(both.contracture) == {"soleus_r", "soleus_l", "gastroc_r", "gastroc_l"}
    leg = IMPAIRED.changed(muscles=("all",)).model(0.5)
    assert leg.weakness == {"all_r": 0.5}


def test_every_arm_starts_from_the_healthy_walker_and_trains_equally_long():
    chain = IMPAIRED.chain(0.5, 3)
    assert str(chain.stages[0].learn.start_from[0]) == WALKER
    arms = ("no_exo", *(f"{arm}_{d}" for arm in ("zero_torque", "assisted") for d in DEVICES))
    assert len({chain.budget(arm) for arm in arms}) == 1
    assisted = next(stage for stage in chain.stages if stage.name == "assisted_ankle")
    assert assisted.task.model.exo == real(AnkleExo())
    assert "joint" in assisted.task.senses.sensors
    assert assisted.task.model.weakness["soleus_r"] == 0.5
    assert chain.seed == 3


def test_the_devices_of_a_cell_help_the_same_impaired_person():
    chain = IMPAIRED.chain(0.75, 0)
    assert chain.names == (
        "adapt_75",
        *(f"{stage}_{d}" for d in DEVICES for stage in ("worn", "exo", "assisted", "zero_torque")),
        "no_exo",
    )
    made = {stage.name: stage for stage in chain.stages}
    for device in DEVICES:
        assert made[f"worn_{device}"].learn.start_from == (Path("adapt_75"),)
        assert made[f"exo_{device}"].task.human_policy == Path(f"worn_{device}/policy/human")
        starts = (Path(f"exo_{device}"), Path(f"worn_{device}"))
        assert made[f"assisted_{device}"].learn.start_from == starts
        assert chain.ancestors(f"zero_torque_{device}")[1:] == (
            f"worn_{device}", f"zero_torque_{device}",
        )  # fmt: skip


def test_a_walker_comes_to_a_weakness_by_way_of_the_milder_ones():
    adapting = [s for s in IMPAIRED.chain(0.5, 0).stages if s.name.startswith("adapt")]
    assert [stage.name for stage in adapting] == ["adapt_75", "adapt_50"]
    assert [stage.task.model.weakness["soleus_r"] for stage in adapting] == [0.75, 0.5]
    starts = [str(stage.learn.start_from[0]) for stage in adapting]
    assert starts == [WALKER, "adapt_75"]
    # Effort may go back where walking is lost; the arms pay the last weight from the start.
    assert all(stage.task.walk.final_effort is not None for stage in adapting)
    arms = IMPAIRED.chain(0.5, 0).stages[2:]
    assert {stage.task.walk.effort for stage in arms} == {adapting[-1].task.walk.final_effort}
    assert all(stage.task.walk.final_effort is None for stage in arms)


def test_an_impaired_walker_does_not_start_from_one_that_wears_a_device(tmp_path):
    run = tmp_path / "worn"
    (run / "policy").mkdir(parents=True)
    for path in (library() / WALKER / "policy").rglob("*"):
        if path.is_file():
            goal = run / "policy" / path.relative_to(library() / WALKER / "policy")
            goal.parent.mkdir(parents=True, exist_ok=True)
            goal.write_bytes(path.read_bytes())
    task = shipped_walker(WALKER).task.changed(condition="zero_torque")
    task = task.changed(model=task.model.changed(exo=HipExo()))
    write_json(run / "config.json", {"task": task.model_dump(mode="json")})
    with pytest.raises(InputError, match="starts from one without device"):
        IMPAIRED.changed(walker=str(run)).chain(0.5, 0)
    with pytest.raises(InputError, match="starts from one without device"):
        DOSE.changed(walker=str(run)).chain(0)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"levels": (0.5, 0.5)}, "each once"),
        ({"levels": (0.01,)}, "0.05 to 1"),
        ({"impairment": "contracture", "levels": (0.25,)}, "0.4 to 1"),
        ({"muscles": ()}, "muscles"),
        ({"devices": {}}, "devices"),
    ],
)
def test_levels_that_no_body_has_are_refused(fields, word):
    with pytest.raises(InputError, match=word):
        IMPAIRED.changed(**fields)


@pytest.mark.slow
def test_an_impaired_walker_is_trained_walked_and_compared(tmp_path):
    sweep = IMPAIRED.changed(
        levels=(0.95,), seeds=1, n_env=128,
        walks=SHORT.changed(physics="opensim"),
        adapt_steps=4096, worn_steps=2048, exo_steps=2048, both_steps=2048,
    )  # fmt: skip
    result = run_sweep(sweep, tmp_path, jobs=1)
    assert not result.failures
    assert [row["arm"] for row in result.rows] == ["no_exo", "zero_torque", "assisted"] * 2
    assert [row["device"] for row in result.rows] == ["hip"] * 3 + ["ankle"] * 3
    # The same person without device stands beside both.
    same = [{**row, "device": ""} for row in (result.rows[0], result.rows[3])]
    assert same[0] == same[1]
    bare, worn, _ = result.rows[3:]
    assert worn["metabolic_rate_bhargava2004"] > 0.8 * bare["metabolic_rate_bhargava2004"] > 2.0
    assert bare["symmetry_index/positive_work"] != 0.0
    report = tmp_path / "ankle_95_percent"
    assert (report / "report.html").is_file()
    names = {m["name"] for m in read_json(report / "comparison.json")["metrics"]}
    assert {"symmetry_index/stance_time", "metabolic_rate_umberger2010"} <= names
    assert (tmp_path / "symmetry_ankle.png").is_file()
    again = run_sweep(sweep, tmp_path, jobs=1)
    assert again.rows == result.rows


# Dose and response


@pytest.mark.parametrize("mass", [0.0, 1.5, 5.0])
def test_a_device_of_a_cell_has_its_mass_and_its_torque(mass):
    exo = DOSE.built(mass, 10.0)
    assert exo.mass == pytest.approx(mass)
    assert exo.limits.max_torque == 10.0
    if mass:
        shares = [part.mass / mass for part in exo.parts]
        assert shares == pytest.approx([p.mass / DOSE.device.mass for p in DOSE.device.parts])


def test_devices_of_every_limit_learn_on_the_same_frozen_human_at_all_masses():
    chain = DOSE.chain(1)
    assert chain.names == ("worn", "exo_5_nm", "exo_10_nm", "exo_15_nm", "exo_20_nm")
    for stage, torque in zip(chain.stages[1:], DOSE.torques[1:]):
        assert stage.task.learner == "exo"
        assert stage.task.human_policy.parts[0] == "worn"
        assert stage.task.model.exo.mass == pytest.approx(5.0)
        assert stage.task.model.exo.limits.max_torque == torque
        assert stage.task.walk.metabolic < 0.0
    assert {stage.task.randomisation.exo_mass for stage in chain.stages} == {(0.0, 5.0)}
    assert DOSE.changed(masses=(3.0,)).chain(1).stages[0].task.randomisation.exo_mass is None


def test_every_mass_is_walked_by_the_same_human(tmp_path):
    chain = DOSE.chain(2)
    loops = DOSE._loops(1.5, chain, tmp_path)
    assert [loop.stage for loop in loops] == ["worn", "exo_5_nm", "exo_10_nm", "exo_15_nm",
                                              "exo_20_nm"]  # fmt: skip
    assert [loop.condition for loop in loops] == ["zero_torque", *["assisted"] * 4]
    assert [loop.wears.mass for loop in loops] == pytest.approx([1.5] * 5)
    (bare,) = DOSE._loops(None, chain, tmp_path)
    assert (bare.stage, bare.condition, bare.wears) == ("worn", "no_exo", "none")
    names = [loop.name for mass in (None, *DOSE.masses) for loop in
             DOSE._loops(mass, chain, tmp_path)]  # fmt: skip
    assert len(set(names)) == 21


def test_nothing_is_walked_before_its_training_has_ended(tmp_path):
    sweep = DOSE.changed(seeds=1)
    with pytest.raises(DataError, match="ended in stage worn"):
        sweep.settle("3_kg_seed_0", tmp_path, SILENT)


def test_the_grid_holds_changes_against_no_device_of_the_same_seed():
    sweep = DOSE.changed(masses=(0.0, 3.0), torques=(0.0, 10.0), seeds=2)
    costs = {
        (None, None): (4.0, 5.0),
        (0.0, 0.0): (4.0, 5.0),
        (0.0, 10.0): (3.8, 4.5),
        (3.0, 0.0): (4.4, None),
        (3.0, 10.0): (None, None),
    }
    rows = [
        {"mass_kg": mass, "max_torque_nm": torque, "seed": seed,
         "metabolic_rate_bhargava2004": cost}
        for (mass, torque), pair in costs.items()
        for seed, cost in enumerate(pair)
    ]  # fmt: skip
    found = {(mass, torque): value for torque, mass, value in sweep.grid(rows)}
    assert found[0.0, 0.0] == 0.0
    assert found[0.0, 10.0] == pytest.approx((-5.0 - 10.0) / 2)
    assert found[3.0, 0.0] == pytest.approx(10.0)
    assert found[3.0, 10.0] is None


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"masses": (1.0, 1.0)}, "each once"),
        ({"torques": (-5.0,)}, "0 to 100"),
        ({"device": HipExo()}, "no part that carries a reflected inertia"),
    ],
)
def test_a_grid_that_cannot_be_built_is_refused(fields, word):
    with pytest.raises(InputError, match=word):
        DOSE.changed(**fields)


@pytest.mark.slow
def test_a_dose_response_is_trained_walked_and_drawn(tmp_path):
    sweep = DOSE.changed(
        masses=(3.0,), torques=(0.0, 10.0), seeds=1, n_env=128, walks=SHORT,
        worn_steps=4096, exo_steps=4096,
    )  # fmt: skip
    result = run_sweep(sweep, tmp_path, jobs=1)
    assert not result.failures
    assert [(r["mass_kg"], r["max_torque_nm"]) for r in result.rows] == [
        (None, None), (3.0, 0.0), (3.0, 10.0)
    ]  # fmt: skip
    assert all(math.isfinite(row["metabolic_rate_bhargava2004"]) for row in result.rows)
    assert result.rows[1]["exo_rms_torque"] < result.rows[2]["exo_rms_torque"]
    assert [row["arm"] for row in result.rows] == ["no_exo", "zero_torque", "assisted"]
    # 3 kg on the pelvis and thighs of the same person cost something.
    bare, worn, _ = (row["metabolic_rate_bhargava2004"] for row in result.rows)
    assert bare < worn < 1.2 * bare
    assert (tmp_path / "dose_response.png").is_file()


# Synergies


def test_the_kinds_of_action_share_everything_else():
    sweep = ActionSweep(name="a", synergies=(4,))
    raw, grouped = sweep.task(None), sweep.task(4)
    assert grouped.synergies.number == 4
    assert grouped.changed(synergies=None) == raw


def test_more_groups_explain_more_of_the_activations():
    found = explained()
    assert list(found) == ["3", "4", "5", "6", "7", "8"]
    values = list(found.values())
    assert values == sorted(values)
    assert 0.8 < values[0] < values[-1] <= 1.0


def test_a_training_that_learned_nothing_counts_as_the_slowest():
    def row(action, seed, steps, share):
        return {"action": action, "seed": seed, "steps_to_walk": steps, "angles/within_1_sd": share}

    rows = [
        row(RAW, 0, 1.0e6, 0.5), row(RAW, 1, None, 0.6), row(RAW, 2, 1.4e6, 0.7),
        row("synergies_4", 0, 1.1e6, 0.9), row("synergies_4", 1, None, None),
        row("synergies_4", 2, None, 0.7),
    ]  # fmt: skip
    found = _verdict(rows)
    assert found["median_steps_to_walk"] == {RAW: 1.4e6, "synergies_4": None}
    assert found["angles_within_1_sd"]["synergies_4"] == pytest.approx(0.8)
    assert found["learned"] == {RAW: 2, "synergies_4": 1}
    assert (found["soonest"], found["most_human"]) == (RAW, "synergies_4")


@pytest.mark.slow
def test_both_kinds_of_action_are_trained_and_compared(tmp_path):
    sweep = ActionSweep(
        name="a", question="?", synergies=(4,), seeds=1, steps=6144, n_env=128,
        walks=SHORT.changed(duration=2.0, settle=0.1),
    )  # fmt: skip
    result = run_sweep(sweep, tmp_path, jobs=1)
    assert [row["action"] for row in result.rows] == [RAW, "synergies_4"]
    assert all(row["steps_to_walk"] is None for row in result.rows)
    assert all(row["falls"] == 4 or row["falls"] <= row["walks"] for row in result.rows)
    assert result.findings["soonest"] is None
    assert (tmp_path / "actions.png").is_file()


@pytest.mark.parametrize("groups", [(), (4, 4), (12,)])
def test_impossible_groups_are_refused(groups):
    with pytest.raises(InputError, match="synergies"):
        ActionSweep(name="a", synergies=groups)


def test_the_shipped_sweeps_have_quick_looks_of_the_same_kind():
    names = {"robustness", "impaired_gait", "torque_dose_response", "synergies"}
    assert names <= set(study.available())
    for name in names:
        config = study.load(name)
        quick = config.quick_look()
        assert type(quick) is type(config)
        assert config.question.endswith("?")
        assert sum(map(len, quick.waves())) <= sum(map(len, config.waves()))
