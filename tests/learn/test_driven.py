"""Controllers on the device of a walker: the same torques as the policy's, in both physics."""

import numpy as np
import pytest

from osim_exo.control import (
    DelayedOutputFeedback,
    LearnedController,
    Playback,
    TorqueTable,
    ZeroTorque,
)
from osim_exo.errors import InputError
from osim_exo.learn.evaluate import Evaluation, evaluate
from osim_exo.learn.tasks import ExoSenses, TaskConfig, make
from osim_exo.learn.walkers import library, shipped_walker
from osim_exo.policy import Policy

WALKER = "gait2d_walk_1.25_mps"


@pytest.fixture(scope="module")
def task():
    human = library() / WALKER / "policy" / "human"
    return TaskConfig(
        condition="assisted",
        learner="exo",
        human_policy=human,
        senses=ExoSenses(sensors=("thigh", "joint")),
    )


@pytest.fixture(scope="module")
def exo(task):
    """A policy with memory that moves with everything that it sees."""
    env = make(task, 1, 0)
    interface, mass = env.interface, env.physics.body_weight / 9.80665
    env.close()
    n = len(interface.observations)
    scale = np.array([1.0 / min(abs(row.high), 5.0) for row in interface.observations])
    weights = np.random.default_rng(1).normal(size=(n, 2)) * scale[:, None] / np.sqrt(n)
    weights = weights.astype(np.float32)
    return Policy(interface, lambda seen: np.tanh(seen @ weights)), mass


def settings(physics, **changes):
    return Evaluation(
        physics=physics, **{"duration": 0.6, "settle": 0.0, "runs": 2, "least": 0.1, **changes}
    )


@pytest.mark.parametrize("physics", ["compiled", "opensim"])
def test_a_learned_controller_gives_the_torques_of_its_policy_in_the_loop(task, exo, physics):
    policy, mass = exo
    human = shipped_walker(WALKER).policies["human"]
    own = evaluate(task, None, settings(physics), {"human": human, "exo": policy})
    controller = LearnedController(policy, mass)
    frozen = {"human": human, "exo": policy}
    driven = evaluate(task, None, settings(physics), frozen, controller=controller)
    command, advice = driven.torques.command, driven.torques.advice
    assert np.abs(command).max() > 1.0
    np.testing.assert_allclose(command, advice, atol=2e-5)
    for one, two in zip(own.trials, driven.trials, strict=True):
        np.testing.assert_allclose(one.exo_torque.values, two.exo_torque.values, atol=0.05)
        np.testing.assert_allclose(one.coordinates.values, two.coordinates.values, atol=1e-3)
    assert driven.trials[0].info.controller == "learned"


@pytest.mark.parametrize(
    ("controller", "name", "condition"),
    [
        (ZeroTorque(), "none", "zero_torque"),
        (DelayedOutputFeedback(), "delayed_output_feedback", "assisted"),
        (
            Playback(TorqueTable(phase=(0.0, 0.5), right=(3.0, -3.0), left=(3.0, -3.0))),
            "playback",
            "assisted",
        ),
    ],
)
def test_any_controller_drives_the_device_at_the_physics_step(task, controller, name, condition):
    times = []

    class Watch(type(controller)):
        def __call__(self, signals):
            times.append(signals.time[0])
            return super().__call__(signals)

    watch = controller.__class__.__new__(Watch)
    watch.__dict__.update(controller.__dict__)
    human = shipped_walker(WALKER).policies
    walked = evaluate(task, None, settings("compiled"), human, controller=watch)
    np.testing.assert_allclose(times, 0.01 * np.arange(60), atol=1e-9)
    assert walked.torques.advice is None
    walked = evaluate(task, None, settings("compiled"), human, controller=controller)
    info = walked.trials[0].info
    assert (info.controller, info.condition) == (name, condition)


def test_a_worn_device_takes_a_controller_and_bare_hips_do_not():
    human = shipped_walker(WALKER).policies
    worn = TaskConfig(condition="zero_torque")
    walked = evaluate(worn, None, settings("compiled"), human, controller=DelayedOutputFeedback())
    assert np.abs(walked.torques.command).max() > 0.1
    with pytest.raises(InputError, match="drives nothing"):
        evaluate(TaskConfig(), None, settings("compiled"), human, controller=ZeroTorque())
