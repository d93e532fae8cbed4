"""A device on straps is learned with, drawn and evaluated like any other, in both physics."""

import numpy as np
import pytest

from osim_exo.errors import InputError
from osim_exo.learn.chain import seed_folder
from osim_exo.learn.evaluate import Evaluation, evaluate
from osim_exo.learn.tasks import Randomisation, TaskConfig, make
from osim_exo.learn.walkers import CHAINS, library, load_stage
from osim_exo.models import HipExo
from osim_exo.physics import PhysicsPool
from osim_exo.strap import Strap

pytest.importorskip("opensim")

STRAPPED = HipExo().strapped(Strap(stiffness=100.0))


def task(**fields):
    return TaskConfig(condition="assisted", learner="both", model={"exo": STRAPPED}, **fields)


def test_the_stiffness_is_drawn_for_every_episode():
    drawn = Randomisation(exo_strap_stiffness=(50.0, 800.0))
    env = make(task(randomisation=drawn), 6, 0)
    env.reset()
    found = env.physics.parameters()["exo_strap_stiffness"]
    assert found.min() >= 50.0 and found.max() <= 800.0 and np.ptp(found) > 50.0
    action = np.random.default_rng(0).standard_normal((6, len(env.action_names)))
    for _ in range(5):
        step = env.step(action.astype(np.float32))
    assert np.isfinite(step.reward).all()
    env.close()


def test_drawing_a_strap_that_is_not_there_is_refused():
    rigid = TaskConfig(
        condition="assisted",
        learner="both",
        randomisation=Randomisation(exo_strap_stiffness=(50.0, 100.0)),
    )
    with pytest.raises(InputError, match="exo_strap_stiffness"):
        make(rigid, 2, 0)


def test_a_strapped_walker_walks_alike_in_both_physics_and_tells_the_drives_power():
    walker = load_stage(seed_folder(library() / CHAINS / "hip", 0), "assisted")
    device = walker.task.model.exo.strapped(Strap(stiffness=60.0))
    soft = walker.task.changed(model=walker.task.model.changed(exo=device))
    short = Evaluation(runs=1, duration=0.6, settle=0.0, least=0.1, workers=1)
    found = {
        physics: evaluate(soft, None, short.changed(physics=physics), walker.policies)
        for physics in ("compiled", "opensim")
    }
    one, two = (found[physics].trials[0] for physics in ("compiled", "opensim"))
    assert np.abs(one.coordinates.values - two.coordinates.values).max() < 0.05
    assert np.abs(one.exo_torque.values - two.exo_torque.values).max() < 1.0
    for walked in found.values():
        drives = walked.torques.drive_power[:, 0]
        body = walked.trials[0].exo_power.values
        assert drives.shape == body.shape
        # Stored and returned at other times, so that the two differ by far more than the drag.
        assert np.abs(drives - body).max() > 1.0


def test_a_pool_keeps_the_straps_of_its_walkers():
    from osim_exo.models import ModelConfig

    random = np.random.default_rng(1)
    inputs = [(random.uniform(0, 0.3, (2, 18)), random.uniform(-15, 15, (2, 2))) for _ in range(6)]
    with PhysicsPool(ModelConfig(exo=STRAPPED), 2, 2, mode="fixed") as pool:
        for row in inputs[:3]:
            pool.step(*row)
        state = pool.snapshot()
        assert state.device.strap.shape == (3, 2, 2)
        for row in inputs[3:]:
            pool.step(*row)
        torque, power = pool.exo_torque, pool.drive_power
        pool.restore(state)
        for row in inputs[3:]:
            pool.step(*row)
        np.testing.assert_array_equal(pool.exo_torque, torque)
        np.testing.assert_array_equal(pool.drive_power, power)
