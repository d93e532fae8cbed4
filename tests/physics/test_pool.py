"""A pool of processes gives what one process gives, and its workers' failures come back."""

import numpy as np
import pytest

from osim_exo.errors import InputError, ModelError, SimulationError
from osim_exo.models import HipExo, ModelConfig
from osim_exo.physics import OpenSimPhysics, PhysicsPool, StartState

pytest.importorskip("opensim")

RECIPE = ModelConfig(exo=HipExo())
N_MUSCLE = 18


@pytest.fixture(scope="module")
def pool():
    with PhysicsPool(RECIPE, n_env=3, n_worker=2) as made:
        yield made


def inputs(n_step, seed=0):
    random = np.random.default_rng(seed)
    return [
        (random.uniform(0, 0.3, (3, N_MUSCLE)), random.uniform(-9, 9, (3, 2)), np.zeros((3, 1)))
        for _ in range(n_step)
    ]


def test_the_pool_gives_the_numbers_of_one_process(pool):
    start = StartState(coordinates={"hip_flexion_l": [0.1, 0.2, 0.3]}, speeds={"pelvis_tx": 0.5})
    alone = OpenSimPhysics(RECIPE, n_env=3)
    for physics in (pool, alone):
        physics.reset(start)
        for row in inputs(5):
            physics.step(*row)
        physics.reset(StartState(coordinates={"knee_angle_r": [-0.2, -0.4]}), [0, 2])
        physics.step(*inputs(1)[0])
    assert pool.names == alone.names
    for name in ("time", "coordinates", "speeds", "activations", "exo_torque", "grf", "failed"):
        np.testing.assert_array_equal(getattr(pool, name), getattr(alone, name), err_msg=name)
    for name in ("control_dt", "body_weight", "max_torque", "standing_height"):
        assert getattr(pool, name) == getattr(alone, name)


def test_a_snapshot_of_the_pool_repeats_the_same_steps_also_in_one_process(pool):
    pool.reset()
    for row in inputs(4):
        pool.step(*row)
    state = pool.snapshot()
    alone = OpenSimPhysics(RECIPE, n_env=3)
    alone.restore(state)
    for row in inputs(3, seed=1):
        pool.step(*row)
        alone.step(*row)
    first = pool.coordinates
    pool.restore(state)
    for row in inputs(3, seed=1):
        pool.step(*row)
    np.testing.assert_array_equal(pool.coordinates, first)
    np.testing.assert_array_equal(alone.coordinates, first)


def test_a_failure_names_the_environment_of_the_pool_and_the_pool_goes_on(pool):
    pool.reset()
    bad = inputs(1)[0]
    bad[0][2, 5] = np.nan
    with pytest.raises(SimulationError, match="Environment 2 .*vasti_r nan"):
        pool.step(*bad)
    assert pool.failed.tolist() == [False, False, True]
    pool.reset(environments=[2])
    pool.step(*inputs(1)[0])
    assert not pool.failed.any()


def test_bad_input_of_a_request_comes_back_as_what_it_is(pool):
    with pytest.raises(InputError, match="elbow"):
        pool.reset(StartState(coordinates={"elbow": 1.0}))
    with pytest.raises(InputError, match="excitations"):
        pool.step(np.zeros((2, N_MUSCLE)))
    pool.reset()
    pool.step(*inputs(1)[0])


def test_a_model_that_cannot_be_built_is_the_worker_s_own_error():
    with pytest.raises(ModelError, match="nowhere"):
        PhysicsPool("nowhere.osim", n_env=1)


def test_a_worker_that_died_is_reported_with_its_environments():
    pool = PhysicsPool(RECIPE, n_env=2, n_worker=2)
    try:
        pool._workers[1].kill()
        pool._workers[1].join()
        with pytest.raises(SimulationError, match=r"worker 1 \(environments 1 to 1\) died"):
            pool.step(np.zeros((2, N_MUSCLE)))
    finally:
        pool.close()
    with pytest.raises(SimulationError, match="closed"):
        pool.step(np.zeros((2, N_MUSCLE)))


def test_marked_failures_do_not_raise():
    with PhysicsPool(RECIPE, n_env=2, n_worker=1, on_failure="mark") as pool:
        bad = np.full((2, N_MUSCLE), 0.1)
        bad[0] = np.nan
        pool.step(bad)
        assert pool.failed.tolist() == [True, False]


def test_sizes_are_checked():
    with pytest.raises(InputError, match="n_worker"):
        PhysicsPool(RECIPE, n_env=1, n_worker=0)
