"""The walking environment keeps Gymnasium's contract, and says what it observes and rewards."""

import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from osim_exo.control import Spline, ZeroTorque
from osim_exo.env import GaitEnv, GaitVectorEnv
from osim_exo.errors import InputError
from osim_exo.models import HipExo, ModelConfig
from osim_exo.physics import CompiledPhysics, OpenSimPhysics, PhysicsPool, StartState
from osim_exo.task import GaitTask, RewardWeights

pytest.importorskip("opensim")

WORN = ModelConfig(exo=HipExo())
FAST = dict(control_dt=0.01, substep=0.001, on_failure="mark")


def vector_env(n_env=2, task=None, **options):
    return GaitVectorEnv(OpenSimPhysics(WORN, n_env=n_env, **FAST), task, **options)


def calm(env):
    """An action that changes little: low excitation, no torque."""
    space = getattr(env, "single_action_space", env.action_space)
    action = np.where(space.low < 0, 0.0, 0.05).astype(np.float32)
    return action if isinstance(env, GaitEnv) else np.tile(action, (env.num_envs, 1))


def test_gymnasium_s_checker_finds_nothing_and_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("osim_exo/Gait-v0", substep=0.001).unwrapped
        check_env(env)


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    """Compiled programs of these tests are not kept with the user's."""
    monkeypatch.setenv("OSIM_EXO_CACHE", str(tmp_path_factory.getbasetemp() / "programs"))


def test_gymnasium_s_checker_finds_nothing_in_the_compiled_form_either(own_cache):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("osim_exo/Gait-v0", physics="compiled").unwrapped
        check_env(env)
    assert isinstance(env.batch.physics, CompiledPhysics)
    with pytest.raises(InputError, match="compiled, opensim"):
        gymnasium.make("osim_exo/Gait-v0", physics="other")


def test_the_compiled_vector_form_is_many_single_ones(own_cache):
    task = GaitTask(duration=0.05, lowest_speed=0.8, highest_speed=1.5)
    env = GaitVectorEnv(CompiledPhysics(WORN, n_env=5, on_failure="mark"), task)
    single = GaitEnv(CompiledPhysics(WORN, on_failure="mark"), task)
    first, _ = env.reset(seed=11)
    single.batch.reset(np.array([0]), env_generators(11, 5)[3:])
    np.testing.assert_array_equal(single.batch.observe()[0], first[3])
    for _ in range(5):
        observation, _, _, truncated, info = env.step(calm(env))
        last, *_ = single.step(calm(single))
    np.testing.assert_array_equal(info["final_obs"][3], last)
    assert truncated.all() and env.observation_space.contains(observation)
    assert np.ptp(observation, axis=0).max() > 0.1  # every environment drew its own start


def test_the_documented_observations_are_the_ones_observed():
    page = Path(__file__).resolve().parents[1] / "docs" / "observations.md"
    if not page.is_file():
        pytest.skip("the documentation is not beside the tests")
    env = GaitEnv(OpenSimPhysics(WORN, **FAST))
    assert page.read_text(encoding="utf-8") == env.batch.layout.markdown()
    assert env.observation_space.shape == (len(env.batch.layout.rows),)
    assert np.isfinite(env.observation_space.low).all()
    names = [row.name for row in env.batch.layout.rows]
    assert len(set(names)) == len(names)


def test_each_observation_is_the_physics_value_of_its_name():
    task = GaitTask(lowest_speed=0.9, highest_speed=1.4)
    env = GaitEnv(OpenSimPhysics(WORN.model_copy(update={"slope_deg": 5.0}), **FAST), task)
    observation, _ = env.reset(seed=3)
    for _ in range(4):
        action = calm(env)
        action[-2:] = 0.5
        observation, *_ = env.step(action)
    seen = dict(zip([row.name for row in env.batch.layout.rows], observation))
    physics = env.batch.physics
    coordinates = dict(zip(physics.names.coordinates, physics.coordinates[0]))
    speeds = dict(zip(physics.names.coordinates, physics.speeds[0]))
    slope = np.deg2rad(5.0)
    assert seen["slope"] == pytest.approx(slope)
    assert seen["pelvis_tilt"] == pytest.approx(coordinates["pelvis_tilt"] + slope, abs=1e-6)
    assert seen["knee_angle_l"] == pytest.approx(coordinates["knee_angle_l"], abs=1e-6)
    assert seen["pelvis_tx/speed"] == pytest.approx(speeds["pelvis_tx"], abs=1e-6)
    assert seen["pelvis_height"] == pytest.approx(
        coordinates["pelvis_ty"] / physics.standing_height, abs=1e-6
    )
    assert seen["grf_r_y"] == pytest.approx(
        physics.grf[0, 0, 1] / physics.body_weight, rel=1e-5, abs=1e-6
    )
    assert seen["exo_hip_l/torque"] == pytest.approx(physics.exo_torque[0, 1] / 15.0, rel=1e-5)
    assert 0.9 <= seen["commanded_speed"] <= 1.4
    assert "pelvis_tx" not in seen


def test_the_reward_is_the_sum_of_its_terms_and_its_weights_scale_them():
    def first_terms(weights):
        env = GaitEnv(OpenSimPhysics(WORN, **FAST), GaitTask(reward=weights))
        env.reset(seed=0)
        action = calm(env)
        action[-2:] = 1.0
        for _ in range(5):
            _, reward, _, _, info = env.step(action)
        assert reward == pytest.approx(sum(info["reward_terms"].values()))
        return info["reward_terms"], env.batch.physics

    plain, physics = first_terms(RewardWeights(exo_power=1.0))
    assert set(plain) == set(RewardWeights.model_fields)
    double, _ = first_terms(RewardWeights(exo_power=2.0, effort=-1.0))
    assert double["exo_power"] == pytest.approx(2 * plain["exo_power"])
    assert double["effort"] == pytest.approx(2 * plain["effort"])
    hips = [physics.names.coordinates.index(f"hip_flexion_{s}") for s in "rl"]
    power = (physics.exo_torque * physics.speeds[:, hips]).sum()
    assert plain["exo_power"] == pytest.approx(power / WORN.body_mass, rel=1e-6)
    assert plain["effort"] == pytest.approx(-0.5 * np.mean(physics.activations**2))
    assert 0 <= plain["forward_speed"] <= 1 and plain["fall"] == 0


def test_a_fall_terminates_and_the_end_of_time_truncates():
    env = GaitEnv(OpenSimPhysics(WORN, **FAST), GaitTask(duration=10.0))
    env.reset(seed=0)
    for _ in range(400):
        _, _, terminated, truncated, info = env.step(calm(env))
        if terminated:
            break
    assert terminated and not truncated
    assert info["reward_terms"]["fall"] == -10.0 and info["reward_terms"]["alive"] == 0.0
    short = GaitEnv(OpenSimPhysics(WORN, **FAST), GaitTask(duration=0.05))
    short.reset(seed=0)
    ends = [short.step(calm(short))[2:4] for _ in range(5)]
    assert ends == [(False, False)] * 4 + [(False, True)]


def test_a_nan_action_terminates_with_finite_numbers_and_says_so():
    env = GaitEnv(OpenSimPhysics(WORN, **FAST))
    env.reset(seed=0)
    action = calm(env)
    action[3] = np.nan
    observation, reward, terminated, _, info = env.step(action)
    assert terminated and info["failed"]
    assert np.isfinite(observation).all() and np.isfinite(reward)


def test_the_same_seed_gives_the_same_episode_and_another_seed_another():
    def play(seed):
        env = GaitEnv(OpenSimPhysics(WORN, **FAST))
        seen = [env.reset(seed=seed)[0]]
        env.action_space.seed(0)
        seen += [env.step(env.action_space.sample())[0] for _ in range(4)]
        return np.array(seen)

    np.testing.assert_array_equal(play(1), play(1))
    assert np.abs(play(1)[0] - play(2)[0]).max() > 1e-3


def test_observations_do_not_share_memory():
    env = GaitEnv(OpenSimPhysics(WORN, **FAST))
    first, _ = env.reset(seed=0)
    held = first.copy()
    second, *_ = env.step(calm(env))
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, held)


@pytest.mark.parametrize("kind", ["single", "vector"])
def test_restoring_a_snapshot_repeats_the_same_episode_also_across_resets(kind):
    task = GaitTask(duration=0.06, lowest_speed=0.8, highest_speed=1.6)
    env = GaitEnv(OpenSimPhysics(WORN, **FAST), task) if kind == "single" else vector_env(2, task)
    env.reset(seed=5)
    env.step(calm(env))
    state = env.snapshot()

    def rest():
        found = []
        for _ in range(8):
            observation, _, _, truncated, _ = env.step(calm(env))
            found.append(observation)
            if kind == "single" and truncated:
                found.append(env.reset()[0])
        return np.array(found)

    first = rest()
    env.restore(state)
    np.testing.assert_array_equal(rest(), first)


def test_the_vector_form_resets_in_the_same_step_and_keeps_the_last_observation():
    env, single = vector_env(2, GaitTask(duration=0.03)), None
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    first, _ = env.reset(seed=11)
    single = GaitEnv(OpenSimPhysics(WORN, **FAST), GaitTask(duration=0.03))
    single.batch.reset(np.array([0]), env_generators(11, 2)[1:])
    np.testing.assert_array_equal(single.batch.observe()[0], first[1])
    for _ in range(3):
        observation, _, terminated, truncated, info = env.step(calm(env))
        last, _, _, alone, _ = single.step(calm(single))
    assert truncated.all() and alone and not terminated.any()
    np.testing.assert_array_equal(info["final_obs"][1], last)
    assert info["_final_obs"].all()
    assert set(info["final_info"]["reward_terms"]) >= set(RewardWeights.model_fields)
    assert np.abs(observation[1] - last).max() > 1e-3
    assert (env.batch.steps == 0).all()
    observation, _, _, _, info = env.step(calm(env))
    assert "final_obs" not in info and env.observation_space.contains(observation)


def env_generators(seed, n_env):
    return [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(n_env)]


def test_only_the_environment_that_fell_starts_again():
    fallen = StartState(coordinates={"pelvis_tilt": -1.5})
    env = vector_env(3, GaitTask(duration=1.0))
    env.reset(seed=0)
    env.batch.physics.reset(fallen, [1])
    _, reward, terminated, _, info = env.step(calm(env))
    assert terminated.tolist() == [False, True, False]
    assert reward[1] < reward[0] - 5
    assert env.batch.steps.tolist() == [1, 0, 1]
    assert info["_final_obs"].tolist() == [False, True, False]
    assert info["final_obs"][0] is None


def test_a_controller_drives_the_exo_in_place_of_the_action():
    env = vector_env(2, controller=Spline())
    assert env.single_action_space.shape == (19,)
    env.reset(seed=0)
    for _ in range(3):
        env.step(calm(env))
    quiet = vector_env(2, controller=ZeroTorque())
    quiet.reset(seed=0)
    for _ in range(3):
        quiet.step(calm(quiet))
    assert not quiet.batch.physics.exo_torque.any()
    with pytest.raises(InputError, match="0 exo actuators"):
        GaitEnv(OpenSimPhysics(ModelConfig(), **FAST), controller=Spline())


def test_starts_and_commanded_speed_can_be_given():
    start = StartState(coordinates={"hip_flexion_r": 0.4}, speeds={"pelvis_tx": 1.1})
    quiet = GaitTask(angle_noise=0.0, speed_noise=0.0)
    env = GaitEnv(OpenSimPhysics(WORN, **FAST), quiet, starts=[start])
    _, info = env.reset(seed=0, options={"commanded_speed": 0.8})
    physics = env.batch.physics
    assert info["commanded_speed"] == 0.8
    hip = physics.names.coordinates.index("hip_flexion_r")
    assert physics.coordinates[0, hip] == pytest.approx(0.4)
    with pytest.raises(InputError, match="2.2 m/s"):
        env.reset(options={"commanded_speed": 5.0})
    with pytest.raises(InputError, match="commanded_speed"):
        env.reset(options={"sped": 1.0})


def test_the_vector_form_runs_on_a_pool_of_processes():
    task = GaitTask(duration=0.03)
    with PhysicsPool(WORN, n_env=2, n_worker=2, **FAST) as pool:
        env, same = GaitVectorEnv(pool, task), vector_env(2, task)
        np.testing.assert_array_equal(env.reset(seed=4)[0], same.reset(seed=4)[0])
        for _ in range(4):
            a, b = env.step(calm(env)), same.step(calm(same))
            np.testing.assert_array_equal(a[0], b[0])
            np.testing.assert_array_equal(a[1], b[1])


def test_wrong_sizes_and_tasks_are_refused_in_words():
    with pytest.raises(InputError, match="GaitVectorEnv"):
        GaitEnv(OpenSimPhysics(WORN, n_env=2, **FAST))
    with pytest.raises(InputError, match="action has shape"):
        vector_env(2).step(np.zeros((2, 5)))
    with pytest.raises(InputError, match="swap them"):
        GaitTask(lowest_speed=1.5, highest_speed=1.0)
    with pytest.raises(InputError, match="seeds"):
        vector_env(2).reset(seed=[1, 2, 3])
