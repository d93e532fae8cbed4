"""The batched tasks: mirrored walkers, starts, ends, commands, and going on from a snapshot."""

import numpy as np
import pytest

from osim_exo import names
from osim_exo.baseline.library import gait_folder
from osim_exo.baseline.storage import load_solution
from osim_exo.errors import InputError
from osim_exo.learn.tasks import (
    CommandPoint,
    Commands,
    Ends,
    ExoSenses,
    Randomisation,
    Starts,
    Synergies,
    TaskConfig,
    WalkReward,
    make,
)
from osim_exo.physics.base import StartState

EXACT = {"dtype": "float64", "ends": Ends(stagger=False)}
STILL = Starts(angle_noise=0.0, speed_noise=0.0, standing_split=0.0)


class Constant:
    """A frozen policy that always gives the same."""

    def __init__(self, interface, value=0.0):
        self.interface, self.value = interface, value

    def __call__(self, observation):
        shape = (len(observation), len(self.interface.actions))
        return np.full(shape, self.value, dtype=np.float32)


def actions(env, seed=0, size=0.3):
    random = np.random.default_rng(seed)
    return (size * random.standard_normal((env.n_env, len(env.action_names)))).astype(np.float32)


TASKS = {
    "walk": TaskConfig(**EXACT),
    "imitate": TaskConfig(kind="imitate", **EXACT),
    "synergies": TaskConfig(synergies=Synergies(), **EXACT),
    "both": TaskConfig(condition="assisted", learner="both", **EXACT),
    "teacher": TaskConfig(
        condition="assisted",
        learner="both",
        senses=ExoSenses(privileged=True, sensors=("thigh", "joint")),
        **EXACT,
    ),
}


@pytest.fixture(scope="module", params=list(TASKS))
def task(request):
    env = make(TASKS[request.param], 8, seed=1)
    yield env
    env.close()


def test_mirroring_twice_gives_back_the_vector(task):
    random = np.random.default_rng(0)
    for mirroring in (task.mirror.observation, task.mirror.privileged, task.mirror.action):
        values = random.standard_normal((3, mirroring.index.size)).astype(np.float32)
        np.testing.assert_array_equal(mirroring(mirroring(values)), values)


def test_mirrored_walkers_take_mirrored_steps_with_equal_rewards(task):
    task.reset()
    held = task.snapshot()
    paths = task.physics.state_paths
    across = np.arange(held["physics/states"].shape[1])
    for path, column in paths.items():
        across[column] = paths[names.mirror(path)]
    for name, values in held.items():
        if name.startswith("walker/") and values.shape[0] == 8:
            values[4:] = values[:4]
    held["walker/phase"][4:] = np.mod(held["walker/phase"][:4] + 0.5, 1.0)
    held["physics/states"][4:] = held["physics/states"][:4][:, across]
    held["load"][4:] = held["load"][:4, ::-1]
    if task.walker.exo is not None:
        past = held["walker/exo_past"]
        pairs = np.arange(past.shape[2]).reshape(-1, 2)[:, ::-1].ravel()
        past[:, 4:] = past[:, :4][:, :, pairs]
    task.restore(held)
    for k in range(3):
        action = actions(task, seed=k)
        action[4:] = task.mirror.action(action[:4])
        done = task.step(action)
        assert not done.terminated.any()
        seen = done.observation
        np.testing.assert_allclose(
            task.mirror.observation(seen.policy[:4]), seen.policy[4:], atol=1e-5
        )
        np.testing.assert_allclose(
            task.mirror.privileged(seen.privileged[:4]), seen.privileged[4:], atol=1e-5
        )
        np.testing.assert_allclose(done.reward[:4], done.reward[4:], rtol=1e-7, atol=1e-7)


def test_reward_is_the_sum_of_its_named_terms(task):
    task.reset()
    done = task.step(actions(task))
    parts = [values for name, values in done.terms.items() if name.startswith("reward/")]
    np.testing.assert_allclose(np.sum(parts, axis=0), done.reward)
    assert all(values.shape == (8,) for values in done.terms.values())


def test_interface_names_the_columns_of_observation_and_action(task):
    seen = task.reset()
    assert seen.policy.shape == (8, len(task.observation_names))
    assert seen.privileged.shape == (8, len(task.privileged_names))
    assert [s.name for s in task.interface.observations] == list(task.observation_names)
    assert [a.name for a in task.interface.actions] == list(task.action_names)
    low = [s.low for s in task.interface.observations]
    high = [s.high for s in task.interface.observations]
    assert ((seen.policy >= np.float32(low)) & (seen.policy <= np.float32(high))).all()


def test_a_restored_task_repeats_the_same_bits(task):
    task.reset()
    task.step(actions(task, 0))
    held = {name: np.copy(values) for name, values in task.snapshot().items()}
    first = [task.step(actions(task, k)) for k in range(1, 40)]
    task.restore(held)
    again = [task.step(actions(task, k)) for k in range(1, 40)]
    assert any(done.terminated.any() for done in first)
    for one, two in zip(first, again):
        np.testing.assert_array_equal(one.observation.policy, two.observation.policy)
        np.testing.assert_array_equal(one.final_observation.policy, two.final_observation.policy)
        np.testing.assert_array_equal(one.reward, two.reward)


def test_the_same_seed_gives_the_same_walk_and_another_one_does_not():
    config = TaskConfig(
        commands=Commands(speed=(0.8, 1.6), slope_deg=(-5, 5), change_every=(0.2, 0.4)),
        starts=Starts(standing_share=0.5),
        randomisation=Randomisation(body_mass=(0.9, 1.1), strength=(0.8, 1.2), push_every=(0.2, 1)),
    )
    runs = []
    for seed in (3, 3, 4):
        env = make(config, 6, seed)
        env.reset()
        runs.append([env.step(actions(env, k)).observation.policy for k in range(30)])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize(("speed", "slope"), [(1.25, 0.0), (0.8, 5.0), (1.5, -5.0)])
def test_starts_reproduce_the_states_of_the_solved_gait(speed, slope):
    commands = Commands(speed=(speed, speed), slope_deg=(slope, slope))
    env = make(TaskConfig(starts=STILL, commands=commands, dtype="float64"), 64, 0)
    env.reset()
    states = env.physics.snapshot().states
    stride = load_solution(gait_folder("gait2d", speed, slope) / "solution").stride()
    paths = [
        p
        for p in stride.states
        if not p.endswith("pelvis_tx/value") and p in env.physics.state_paths
    ]
    dense = np.linspace(0.0, stride.time[-1], 2000)
    solved = np.stack([np.interp(dense, stride.time, stride.states[p]) for p in paths], axis=1)
    started = states[:, [env.physics.state_paths[p] for p in paths]]
    size = np.ptp(solved, axis=0)
    nearest = np.abs((started[:, None] - solved[None]) / size).max(axis=2).min(axis=1)
    # Resampling cuts the corners of activations and speeds at heel strike.
    assert nearest.max() < 0.1
    assert np.median(nearest) < 0.01
    assert np.allclose(env.physics.slope, np.radians(slope))


@pytest.mark.parametrize("slope", [-10.0, -5.0, 5.0, 10.0])
def test_who_starts_standing_on_a_slope_is_upright_and_the_feet_bear_the_weight(slope):
    settings = TaskConfig(
        commands=Commands(slope_deg=(slope, slope)),
        starts=STILL.changed(standing_share=1.0),
        dtype="float64",
    )
    env = make(settings, 2, 0)
    env.reset()
    physics = env.physics
    columns = {n: i for i, n in enumerate(physics.names.coordinates)}
    posture = physics.coordinates[0]
    assert posture[columns["pelvis_tilt"]] + np.radians(slope) == pytest.approx(0.0)
    # Straight legs: the foot lies along the slope where the ankle undoes the tilt.
    assert posture[columns["ankle_angle_r"]] == pytest.approx(np.radians(slope))
    load = physics.grf[0, :, 1].sum() / physics.body_weight
    assert load == pytest.approx(1.0, abs=0.02)
    env.close()


def test_standing_feet_lie_flat_one_in_front_of_the_other_as_often_right_as_left():
    starts = STILL.changed(standing_share=1.0, standing_split=0.2)
    env = make(TaskConfig(starts=starts, dtype="float64"), 64, 0)
    env.reset()
    columns = {n: i for i, n in enumerate(env.physics.names.coordinates)}
    posture = env.physics.coordinates
    split = posture[:, columns["hip_flexion_r"]] - posture[:, columns["hip_flexion_l"]]
    assert np.abs(split) == pytest.approx(0.2)
    assert 0.3 < (split > 0.0).mean() < 0.7
    for side in "rl":
        pitch = posture[:, columns[f"hip_flexion_{side}"]]
        assert pitch + posture[:, columns[f"ankle_angle_{side}"]] == pytest.approx(0.0, abs=1e-12)
    load = env.physics.grf[:, :, 1].sum(axis=1) / env.physics.body_weight
    assert load == pytest.approx(1.0, abs=0.02)
    env.close()


def test_the_cost_of_slip_is_that_of_the_contacts_own_force_and_sliding():
    """Feet of a walker that is dragged along at 1 m/s in its standing posture slide at 1 m/s."""
    settings = TaskConfig(
        walk=WalkReward(slip=-0.1), starts=STILL.changed(standing_share=1.0), dtype="float64"
    )
    env = make(settings, 1, 0)
    env.reset()
    dragged = {"pelvis_tx": 1.0}
    env.physics.reset(StartState({}, dragged, {}))
    found = env.physics.quantities("contact_force", "contact_sliding")
    assert found["contact_sliding"][0, ::3] == pytest.approx(1.0)
    assert np.abs(found["contact_sliding"][0, 1::3]).max() < 1e-12
    assert "reward/slip" in env.step(actions(env)).terms
    env.close()


@pytest.mark.parametrize("hard_share", [0.0, 1.0])
def test_standing_starts_stand_and_are_told_to_begin_slowly(hard_share):
    starts = STILL.changed(standing_share=1.0, hard_share=hard_share)
    env = make(TaskConfig(starts=starts, dtype="float64"), 4, 0)
    seen = env.reset()
    heights = seen.policy[:, env.observation_names.index("pelvis_height")]
    assert heights == pytest.approx(1.0, abs=1e-6)
    named = dict(zip(env.observation_names, seen.policy[0]))
    assert named["commanded_speed"] == 0.0
    assert named["ground_upward_r"] + named["ground_upward_l"] == pytest.approx(1.0, abs=0.02)
    for _ in range(10):
        seen = env.step(actions(env, size=0.0)).observation
    named = dict(zip(env.observation_names, seen.policy[0]))
    assert named["commanded_speed"] == pytest.approx(10 * 0.02 * 1.0)


def test_a_walker_that_does_nothing_falls_and_starts_again():
    env = make(TaskConfig(ends=Ends(stagger=False)), 16, 0)
    env.reset()
    fallen = np.zeros(16, dtype=int)
    for _ in range(60):
        done = env.step(np.full((16, 19), -3.0, dtype=np.float32))
        fallen += done.terminated
        assert (done.terms["reward/fall"] == np.where(done.terminated, -2.0, 0.0)).all()
        assert np.isfinite(done.observation.policy).all()
        if done.terminated.any():
            row = np.flatnonzero(done.terminated)[0]
            height = env.observation_names.index("pelvis_height")
            assert done.observation.policy[row, height] > 0.9
            assert done.final_observation.policy[row, height] < 0.9
    assert (fallen >= 1).all()


def test_the_clock_truncates_and_does_not_terminate():
    env = make(TaskConfig(ends=Ends(duration=0.1, stagger=False)), 4, 0)
    env.reset()
    ends = [env.step(actions(env, size=0.0)) for _ in range(5)]
    assert [bool(done.truncated.all()) for done in ends] == [False] * 4 + [True]
    assert not any(done.terminated.any() for done in ends)


def test_a_walker_whose_physics_fails_ends_alone():
    env = make(TaskConfig(dtype="float64", ends=Ends(stagger=False)), 6, 0)
    env.reset()
    held = env.snapshot()
    held["physics/states"][2, env.physics.state_paths["/jointset/hip_r/hip_flexion_r/speed"]] = (
        1e200
    )
    env.restore(held)
    done = env.step(actions(env, size=0.0))
    assert done.terminated.tolist() == [False, False, True, False, False, False]
    assert np.isfinite(done.reward).all()
    assert np.isfinite(done.observation.policy).all()
    assert np.isfinite(done.final_observation.policy).all()


def test_fixed_commands_come_when_they_are_due():
    schedule = (
        CommandPoint(time=0.0, speed=1.0),
        CommandPoint(time=0.2, speed=1.2, slope_deg=0.4),
        CommandPoint(time=0.6, speed=0.0),
    )
    env = make(TaskConfig(commands=Commands(schedule=schedule), ends=Ends(stagger=False)), 2, 0)
    env.reset()
    seen, slopes = [], []
    for _ in range(20):
        env.step(actions(env, size=0.0))
        seen.append(env.walker.commands.speed[0])
        slopes.append(np.degrees(env.physics.slope[0]))
    # At 0.2 s the target changes, and the command rises by 1 m/s^2.
    np.testing.assert_allclose(seen[8:13], [1.0, 1.02, 1.04, 1.06, 1.08])
    np.testing.assert_allclose(seen[18:20], [1.2, 1.2], atol=1e-9)
    assert slopes[8] == 0.0
    assert slopes[14] == pytest.approx(6 * 0.02 * 2.0)


def test_a_frozen_human_acts_while_the_exo_learns():
    human = make(TaskConfig(condition="zero_torque"), 1, 0)
    frozen = Constant(human.interface)
    config = TaskConfig(condition="assisted", learner="exo", human_policy="somewhere")
    env = make(config, 4, 0, {"human": frozen})
    seen = env.reset()
    assert env.action_names == ("exo_hip_r", "exo_hip_l")
    assert not any("activation" in name for name in env.observation_names)
    assert any(name == "human/soleus_r/activation" for name in env.privileged_names)
    assert seen.policy.shape == (4, len(env.observation_names))
    for _ in range(5):
        env.step(np.ones((4, 2), dtype=np.float32))
    torque = env.physics.exo_torque
    assert (torque > 5.0).all() and (torque <= 15.0).all()
    other = Constant(make(TaskConfig(synergies=Synergies()), 1, 0).interface)
    with pytest.raises(InputError, match="frozen human policy"):
        make(config, 4, 0, {"human": other})


def test_an_unpowered_device_never_gives_torque():
    env = make(TaskConfig(condition="zero_torque"), 2, 0)
    env.reset()
    for k in range(5):
        env.step(actions(env, k))
    assert not env.physics.exo_torque.any()
    assert not any("exo" in name for name in (*env.action_names, *env.observation_names))


def test_randomised_bodies_stay_in_their_ranges_and_are_told_to_the_critic():
    randomisation = Randomisation(
        body_mass=(0.9, 1.1),
        strength=(0.8, 1.2),
        exo_delay_s=(0.02, 0.04),
        exo_torque_gain=(0.9, 1),
    )
    config = TaskConfig(condition="assisted", learner="both", randomisation=randomisation)
    env = make(config, 32, 0)
    seen = env.reset()
    given = env.physics.parameters()
    labels = env.physics.parameter_labels("segment_mass")
    device = [i for i, name in enumerate(labels) if name.startswith("exo_")]
    body = [i for i in range(len(labels)) if i not in device]
    assert (given["segment_mass"][:, device] == 1.0).all()
    assert np.ptp(given["segment_mass"][:, body], axis=1).max() == 0.0
    assert 0.9 <= given["segment_mass"][:, body].min() < given["segment_mass"][:, body].max() <= 1.1
    assert ((given["exo_delay_s"] >= 0.02) & (given["exo_delay_s"] <= 0.04)).all()
    told = seen.privileged[:, env.privileged_names.index("strength/soleus_r")]
    column = env.physics.names.muscles.index("soleus_r")
    np.testing.assert_allclose(told, given["muscle_strength"][:, column], rtol=1e-6)


def test_pushes_change_the_speed_of_the_whole_body():
    randomisation = Randomisation(push_every=(0.2, 0.2), push_speed=0.5)
    still = {"starts": STILL, "ends": Ends(stagger=False)}
    pushed, free = (
        make(TaskConfig(randomisation=r, **still), 64, 0) for r in (randomisation, Randomisation())
    )
    free.reset()
    states = free.snapshot()["physics/states"]
    for env in (pushed, free):
        env.reset()
        env.restore({**env.snapshot(), "physics/states": states})
        for _ in range(10):
            env.step(actions(env, size=0.0))
    column = pushed.physics.state_paths["/jointset/ground_pelvis/pelvis_tx/speed"]
    change = pushed.physics.snapshot().states - free.physics.snapshot().states
    assert 0.3 < np.abs(change[:, column]).max() <= 0.5 + 1e-5
    assert np.delete(np.abs(change), column, axis=1).max() < 1e-5


def test_an_action_of_another_size_is_refused():
    env = make(TaskConfig(), 2, 0)
    env.reset()
    with pytest.raises(InputError, match=r"needs \(2, 19\)"):
        env.step(np.zeros((2, 18), dtype=np.float32))


def test_a_snapshot_of_another_task_is_refused():
    env, other = make(TaskConfig(), 2, 0), make(TaskConfig(), 3, 0)
    with pytest.raises(InputError, match="number of environments"):
        env.restore(other.snapshot())
    worn = make(TaskConfig(condition="assisted", learner="both"), 2, 0)
    with pytest.raises(InputError, match="another task"):
        worn.restore(env.snapshot())


def test_device_parameters_need_a_device():
    config = TaskConfig(randomisation=Randomisation(exo_delay_s=(0.0, 0.02)))
    with pytest.raises(InputError, match="exo_delay_s"):
        make(config, 2, 0)
