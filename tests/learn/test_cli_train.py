"""``osim-exo train``: options become settings, runs go on, bad input is told in words."""

import json

import numpy as np
import pytest

from osim_exo.cli import main, parse
from osim_exo.cli.command import BAD_INPUT, DONE
from osim_exo.cli.train import attach_negative_spans, span
from osim_exo.errors import InputError

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from osim_exo.learn.config import LearnConfig, NetworkConfig, PpoConfig  # noqa: E402
from osim_exo.learn.recipes import (  # noqa: E402
    STEPS,
    STOP_STEPS,
    WIDE_FINAL_EFFORT,
    human_stages,
    stopping,
)
from osim_exo.learn.synthetic import SyntheticConfig  # noqa: E402
from osim_exo.learn.tasks.config import Commands, WalkReward  # noqa: E402
from osim_exo.learn.train import TrainConfig  # noqa: E402
from osim_exo.learn.walkers import shipped_walker  # noqa: E402
from osim_exo.models import ModelConfig  # noqa: E402


def settings(*words):
    return parse(["train", "--out", "run", *words]).settings()


@pytest.fixture
def small(tmp_path):
    """File with the settings of a task that takes a second."""
    config = TrainConfig(
        task=SyntheticConfig(pairs=2, singles=1, action_pairs=1, steps=20),
        learn=LearnConfig(
            n_env=16,
            steps=16 * 8 * 2,
            ppo=PpoConfig(horizon=8, minibatch=64, epochs=1),
            network=NetworkConfig(hidden=(8, 8), critic_hidden=(8, 8)),
        ),
    )
    path = tmp_path / "small.json"
    path.write_text(config.model_dump_json())
    return path


def test_the_options_of_the_readme_become_settings():
    made = settings(
        *("--model", "gait2d", "--task", "walk", "--speeds", "0.8:1.6", "--slopes", "-7:7"),
        *("--condition", "zero_torque", "--device", "hip", "--seed", "4", "--steps", "1000000"),
    )
    assert made.task.commands.speed == (0.8, 1.6)
    assert made.task.commands.slope_deg == (-7.0, 7.0)
    assert made.task.condition == "zero_torque"
    assert made.task.model.name == "gait2d"
    assert made.task.model.exo.joints == ("hip",)
    assert (made.learn.seed, made.learn.steps) == (4, 1_000_000)


def test_without_options_a_person_without_device_walks():
    made = settings()
    assert (made.task.kind, made.task.condition, made.task.learner) == ("walk", "no_exo", "human")
    assert made.learn == LearnConfig(steps=STEPS)


def test_a_person_who_learns_from_nothing_does_so_by_the_recipe():
    one = settings("--speeds", "1.25", "--slopes", "0")
    (stage,) = human_stages(ModelConfig(), Commands(speed=(1.25, 1.25), slope_deg=(0.0, 0.0)))
    assert (one.task, one.learn) == (stage.task, stage.learn)
    wide = settings("--speeds", "0.8:1.6", "--steps", "1000", "--seed", "3")
    assert wide.task.walk.final_effort == WIDE_FINAL_EFFORT and wide.learn.start_from == ()
    assert (wide.learn.steps, wide.learn.seed) == (1000, 3)
    assert settings("--start-from", "a").task.walk == WalkReward()
    assert settings("--condition", "zero_torque").task.walk == WalkReward()


def test_human_and_exo_learn_together_in_the_assisted_condition():
    assert settings("--condition", "assisted").task.learner == "both"
    assert settings("--condition", "assisted", "--device", "ankle").task.model.exo.joints == (
        "ankle",
    )


def test_an_exo_learns_with_a_frozen_human():
    made = settings(
        *("--condition", "assisted", "--learner", "exo", "--human", "a/policy/human"),
        *("--start-from", "a", "--until-settled"),
    )
    assert (made.task.learner, str(made.task.human_policy)) == ("exo", "a/policy/human")
    assert [str(path) for path in made.learn.start_from] == ["a"]
    assert made.learn.stop is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device", "hip"), "condition is no_exo"),
        (("--speeds", "fast"), "--speeds fast was given"),
        (("--slopes", "-40:40"), "slope"),
        (("--speeds", "1.6:0.8"), "low <= high"),
        (("--learner", "exo"), "needs condition"),
        (("--steps", "0"), "steps"),
        (("--resume", "--seed", "3"), "leave out --seed"),
        (("--config", "there/is/none.json"), "There is no file"),
    ],
)
def test_what_cannot_be_used_is_told_and_nothing_is_written(tmp_path, capsys, words, said):
    assert main(["train", "--out", str(tmp_path / "run"), *words]) == BAD_INPUT
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_span_is_one_number_or_two():
    assert span("slopes", "-7:7") == (-7.0, 7.0)
    assert span("speeds", "1.25") == (1.25, 1.25)
    with pytest.raises(InputError, match="low:high"):
        span("speeds", "1:2:3")


def test_negative_spans_are_no_options():
    words = ["train", "--slopes", "-7:7", "--speeds", "1", "--out", "x"]
    assert attach_negative_spans(words)[:3] == ["train", "--slopes=-7:7", "--speeds"]
    assert attach_negative_spans(["--slopes", "--speeds"]) == ["--slopes", "--speeds"]


def test_a_run_is_trained_and_printed(tmp_path, capsys, small):
    out = tmp_path / "run"
    assert main(["--quiet", "train", "--config", str(small), "--out", str(out)]) == DONE
    said = capsys.readouterr().out
    assert "control steps" in said and "256" in said
    assert "physics" in said and "update" in said
    assert (out / "policy" / "synthetic" / "bundle.json").is_file()


def test_a_run_goes_on_and_prints_json(tmp_path, capsys, small):
    out = str(tmp_path / "run")
    assert main(["--quiet", "train", "--config", str(small), "--out", out]) == DONE
    capsys.readouterr()
    assert main(["--quiet", "train", "--resume", "--out", out, "--json"]) == DONE
    result = json.loads(capsys.readouterr().out)
    assert (result["status"], result["steps"]) == ("finished", 256)
    assert set(result["split_s"]) == {"physics", "inference", "update"}


def test_a_second_run_in_the_same_folder_is_refused(tmp_path, capsys, small):
    words = ["--quiet", "train", "--config", str(small), "--out", str(tmp_path / "run")]
    assert main(words) == DONE
    assert main(words) == BAD_INPUT
    assert "--resume" in capsys.readouterr().err


def test_an_interrupt_says_how_to_go_on():
    assert "osim-exo train --resume --out run" in parse(["train", "--out", "run"]).kept


def test_a_reference_is_imitated_whose_belt_may_be_said(tmp_path, capsys):
    motion = tmp_path / "walk.mot"
    made = settings("--reference", str(motion), "--belt-speed", "1.2")
    assert (made.task.kind, made.task.reference.path) == ("imitate", motion.resolve())
    assert made.task.reference.belt_speed == 1.2
    with pytest.raises(InputError, match="--belt-speed goes with --reference"):
        settings("--belt-speed", "1.2")
    words = ["train", "--out", str(tmp_path / "run"), "--quiet", "--reference"]
    assert main([*words, str(motion)]) == BAD_INPUT
    assert main([*words, str(tmp_path / "walk.trc")]) == BAD_INPUT
    err = capsys.readouterr().err
    assert "walk.mot does not exist" in err and "osim-exo ik" in err


def test_how_near_an_imitation_is_is_told_by_coordinate(tmp_path, capsys):
    """Half a second of a walker that has learned nothing: the table is what is tested."""
    from osim_exo.io import write_table
    from osim_exo.learn.tasks import TaskConfig, make
    from osim_exo.trial import Channels

    solved = make(TaskConfig(kind="imitate"), 1, 0).walker
    names = solved._physics.names.coordinates
    stride = solved._strides.stride(1.25, 0.0)
    time = np.linspace(0.0, 1.1, 101)
    stride[:, names.index("pelvis_tx")] = 1.25 * time
    write_table(tmp_path / "walk.sto", time, Channels(names, stride))
    learn = LearnConfig(
        n_env=16,
        steps=16 * 8 * 2,
        ppo=PpoConfig(horizon=8, minibatch=64, epochs=1),
        network=NetworkConfig(hidden=(8, 8), critic_hidden=(8, 8)),
    )
    task = TaskConfig(
        kind="imitate",
        reference={"path": tmp_path / "walk.sto"},
        imitate={"lost": 50.0},
        ends={"lowest_pelvis": 0.3, "largest_lean": 2.0, "largest_tilt": 2.0},
    )
    path, run = tmp_path / "small.json", tmp_path / "run"
    path.write_text(TrainConfig(task=task, learn=learn).model_dump_json())
    assert main(["train", "--config", str(path), "--out", str(run), "--quiet"]) == DONE
    assert "Reference: Pelvis height" in capsys.readouterr().out
    (tmp_path / "walk.sto").unlink()  # the run has a copy
    numbers = tmp_path / "numbers.json"
    words = ["evaluate", str(run), "--physics", "compiled", "--duration", "0.5", "--quiet"]
    main([*words, "--json", str(numbers)])
    near = json.loads(numbers.read_text())["tracking"]["compiled"]
    assert {*near["by_phase"]} == {
        *(n for n in names if n not in ("pelvis_tx", "pelvis_ty")),
        "pelvis_ty, mm",
        "legs, mean",
    }
    assert 0.0 < near["by_phase"]["knee_angle_r"]["rms"] < 60.0
    assert near["by_stride"] == {}  # nobody walked a whole stride
    assert "to the reference" in capsys.readouterr().out


def test_a_walker_learns_to_stop_on_its_own_task():
    own = shipped_walker("gait2d_walk_generalist").task
    made = settings("--stops", "--start-from", "gait2d_walk_generalist")
    assert made.task == stopping(own)
    assert (made.task.commands.speed, made.task.model) == (own.commands.speed, own.model)
    assert made.task.commands.stop_share == 0.5 and made.task.walk.final_effort is None
    assert made.learn.steps == STOP_STEPS
    with pytest.raises(InputError, match="one --start-from"):
        settings("--stops")
    with pytest.raises(InputError, match="leave out --config"):
        settings("--stops", "--start-from", "gait2d_walk_generalist", "--config", "x.json")
    with pytest.raises(InputError, match="frozen"):
        settings("--stops", "--start-from", "hip/seed_0/exo")
