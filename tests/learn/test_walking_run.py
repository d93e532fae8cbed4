"""Runs of the walking task itself: the chain of stages, and going on bit for bit."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for library in ("opensim", "llvmlite", "onnx"):
    pytest.importorskip(library)

from osim_exo.learn import train as module  # noqa: E402
from osim_exo.learn.config import LearnConfig, NetworkConfig, PpoConfig  # noqa: E402
from osim_exo.learn.tasks.config import TaskConfig  # noqa: E402
from osim_exo.learn.train import TrainConfig, resume, train  # noqa: E402
from osim_exo.policy import Policy  # noqa: E402


def config(task, iterations=2, **options):
    learn = LearnConfig(
        n_env=16,
        steps=16 * 8 * iterations,
        ppo=PpoConfig(horizon=8, minibatch=64, epochs=1),
        network=NetworkConfig(hidden=(16, 16), exo_hidden=(8, 8), critic_hidden=(16, 16)),
        **options,
    )
    return TrainConfig(task=task, learn=learn)


def arrays(folder):
    with np.load(folder / "checkpoint.npz") as held:
        return {name: held[name].tobytes() for name in held.files if name != "facts"}


def test_a_walking_run_goes_on_to_the_same_result_bit_for_bit(tmp_path, monkeypatch):
    made = config(TaskConfig(), 4, checkpoint_every=2)
    train(made, tmp_path / "whole")
    with monkeypatch.context() as patch:
        whole = module.Training.iterate

        def killed(self):
            if self.iteration == 3:
                raise MemoryError
            return whole(self)

        patch.setattr(module.Training, "iterate", killed)
        with pytest.raises(MemoryError):
            train(made, tmp_path / "parts")
    resume(tmp_path / "parts")
    assert arrays(tmp_path / "whole") == arrays(tmp_path / "parts")


def test_the_stages_of_a_comparison_hand_their_networks_on(tmp_path):
    alone = train(config(TaskConfig()), tmp_path / "alone").folder
    worn = TaskConfig(condition="zero_torque")
    adapted = train(config(worn, start_from=(alone,)), tmp_path / "worn").folder
    human = adapted / "policy" / "human"
    helped = TaskConfig(condition="assisted", learner="exo", human_policy=human)
    exo = train(config(helped), tmp_path / "exo").folder
    both = TaskConfig(condition="assisted", learner="both")
    last = train(config(both, start_from=(adapted, exo)), tmp_path / "both").folder
    assert {path.name for path in (last / "policy").iterdir()} == {"human", "exo"}
    sees = {
        part: {s.name for s in Policy.load(last / "policy" / part).interface.observations}
        for part in ("human", "exo")
    }
    assert sees["exo"].isdisjoint(s for s in sees["human"] if "activation" in s)
    assert Policy.load(exo / "policy" / "exo").interface.actions[0].unit == "Nm/kg"
