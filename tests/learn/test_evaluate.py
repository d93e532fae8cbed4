"""Closed loops in OpenSim and compiled, as trials."""

import numpy as np
import pytest

from osim_exo.analysis.cycles import mean_cycle
from osim_exo.errors import InputError
from osim_exo.io import write_table
from osim_exo.learn.evaluate import Evaluation, evaluate
from osim_exo.learn.tasks import (
    CommandPoint,
    Ends,
    ImitateReward,
    MotionFile,
    Starts,
    TaskConfig,
    make,
)
from osim_exo.learn.tasks.strides import shipped_strides
from osim_exo.models import ModelConfig
from osim_exo.trial import Channels

STILL = Starts(angle_noise=0.0, speed_noise=0.0)
SHORT = {"duration": 0.4, "settle": 0.0, "runs": 2, "workers": 2, "least": 0.1}


class Replay:
    """Excitations that equal the activations of the solved gait, by the observed phase."""

    def __init__(self, env):
        self.interface, self._names = env.interface, env.observation_names
        self._strides = shipped_strides("gait2d", env.physics.names)

    def __call__(self, observation):
        at = [self._names.index(n) for n in ("phase_sin", "phase_cos")]
        phase = np.arctan2(*observation[:, at].T.astype(float)) / (2 * np.pi)
        level = np.zeros(len(phase))
        wanted = self._strides.at(phase + 0.02, level + 1.25, level).activations
        share = np.clip(wanted, 1e-3, 0.999)
        action = np.zeros((len(phase), len(self.interface.actions)), dtype=np.float32)
        action[:, : share.shape[1]] = (np.log(share / (1 - share)) + 2.5) / 2
        action[:, share.shape[1] + 1 :] = 0.4
        return action


@pytest.fixture(scope="module")
def config():
    return TaskConfig(
        kind="imitate",
        condition="assisted",
        learner="both",
        starts=STILL,
        dtype="float64",
        imitate=ImitateReward(lost=50.0),
        ends=Ends(lowest_pelvis=0.3, largest_lean=2.0, largest_tilt=2.0),
    )


@pytest.fixture(scope="module")
def policy(config):
    env = make(config, 1, 0)
    yield Replay(env)
    env.close()


@pytest.fixture(scope="module")
def walks(config, policy):
    return {
        physics: evaluate(
            config,
            policy,
            Evaluation(physics=physics, accuracy=1e-4, **SHORT),
            seed=7,
            subject="s1",
        )
        for physics in ("compiled", "opensim")
    }


def test_the_same_policy_walks_the_same_in_both_physics(walks):
    compiled, opensim = walks["compiled"], walks["opensim"]
    assert compiled.fell_at == opensim.fell_at == (None, None)
    for one, two in zip(compiled.trials, opensim.trials):
        np.testing.assert_allclose(one.time, two.time)
        error = np.abs(one.coordinates.values - two.coordinates.values)
        assert error.max() < 0.04
        np.testing.assert_allclose(one.activations.values, two.activations.values, atol=0.01)
        np.testing.assert_allclose(one.exo_torque.values, two.exo_torque.values, atol=0.1)
    assert compiled.falls == 0
    assert compiled.seconds == 0.4


def test_a_trial_says_what_it_is(walks):
    for physics, walked in walks.items():
        info = walked.trials[0].info
        assert (info.physics, info.condition, info.controller) == (physics, "assisted", "learned")
        assert (info.seed, info.subject, info.speed) == (7, "s1", 1.25)
        assert info.provenance["fell_at"] is None
        assert info.exo_mass > 3.0


def test_a_trial_holds_what_analysis_needs(walks):
    trial = walks["opensim"].trials[0]
    assert len(trial.time) == 40
    assert trial.exo_torque["hip_flexion_r"].max() > 5.0
    assert trial.grf["ground_force_r_vy"].max() > 300.0
    assert 0.01 < trial.activations.values.mean() < 0.2
    assert (np.abs(trial.moments["knee_angle_r"]) > 1.0).any()
    assert "bhargava2004/soleus_r" in trial.metabolic_rates


def test_tracking_is_told_by_coordinate(walks):
    tracking = walks["compiled"].tracking
    assert "pelvis_tx" not in tracking
    assert 0.0 < tracking["knee_angle_r"].rms < 0.5
    assert tracking["hip_flexion_r"].correlation > 0.5


def test_falls_are_counted_and_what_lasted_is_kept(config):
    task = TaskConfig(starts=STILL)
    env = make(task, 1, 0)

    class Limp:
        interface = env.interface

        def __call__(self, observation):
            return np.full((len(observation), 19), -3.0, dtype=np.float32)

    settings = Evaluation(physics="compiled", duration=3.0, settle=0.1, runs=3, least=0.3)
    walked = evaluate(task, Limp(), settings)
    assert walked.falls == 3
    assert 0.2 < walked.seconds < 1.5
    assert len(walked.trials) == sum(t is not None and t >= 0.4 for t in walked.fell_at)
    for trial in walked.trials:
        assert trial.info.provenance["fell_at"] - 0.1 == pytest.approx(0.01 * len(trial.time))


def test_slopes_and_standing_starts(config):
    task = TaskConfig(starts=STILL)
    env = make(task, 1, 0)

    class Rest:
        interface = env.interface

        def __call__(self, observation):
            return np.zeros((len(observation), 19), dtype=np.float32)

    uphill = Evaluation(
        physics="compiled", slope_deg=5.0, duration=0.3, settle=0.0, runs=1, least=0.1
    )
    stand = uphill.changed(slope_deg=0.0, standing=True)
    (climbed,) = evaluate(task, Rest(), uphill).trials
    (stood,) = evaluate(task, Rest(), stand).trials
    assert climbed.info.slope_deg == 5.0
    assert abs(stood.speeds["pelvis_tx"][0]) < 1e-9
    assert climbed.speeds["pelvis_tx"][0] > 0.8


def test_a_recorded_reference_is_walked_at_its_own_speed(tmp_path):
    names = make(TaskConfig(), 1, 0).physics.names
    at = shipped_strides("gait2d", names).at(np.linspace(0, 1, 101), np.ones(101), np.zeros(101))
    time = np.linspace(0.0, 1.2, 101)
    at.coordinates[:, names.coordinates.index("pelvis_tx")] = 0.9 * time
    write_table(tmp_path / "walk.sto", time, Channels(names.coordinates, at.coordinates))
    task = TaskConfig(
        kind="imitate",
        reference=MotionFile(path=tmp_path / "walk.sto"),
        starts=STILL,
        imitate=ImitateReward(lost=50.0),
    )
    env = make(task, 1, 0)

    class Rest:
        interface = env.interface

        def __call__(self, observation):
            return np.zeros((len(observation), 19), dtype=np.float32)

    walked = evaluate(task, Rest(), Evaluation(physics="compiled", **{**SHORT, "duration": 0.2}))
    assert walked.trials[0].info.speed == pytest.approx(0.9, abs=1e-3)
    assert walked.tracking["knee_angle_r"].rms < 0.3


def test_wrong_policies_and_settings_are_refused(config, policy):
    walk = TaskConfig()
    with pytest.raises(InputError, match="phase_cos"):
        evaluate(walk, policy, Evaluation(physics="compiled", **SHORT))
    with pytest.raises(InputError, match="No policy was given for: human, exo"):
        evaluate(config, None, Evaluation(physics="compiled", **SHORT))
    with pytest.raises(InputError, match="does not divide"):
        evaluate(config, policy, Evaluation(physics="compiled", record_dt=0.015, **SHORT))
    with pytest.raises(InputError, match="rigid tendons"):
        compliant = config.changed(model=ModelConfig(tendon="compliant", exo=config.model.exo))
        evaluate(compliant, policy, Evaluation(physics="compiled", **SHORT))
    with pytest.raises(InputError, match="begins within a stride"):
        evaluate(config, policy, Evaluation(physics="compiled", standing=True, **SHORT))
    points = (CommandPoint(time=0, speed=1), CommandPoint(time=1, speed=1, slope_deg=5))
    with pytest.raises(InputError, match="keeps its slope"):
        Evaluation(schedule=points)
    with pytest.raises(InputError, match="leaves nothing"):
        Evaluation(duration=2.0, settle=3.0)


def test_mean_strides_are_compared_whatever_their_phase_and_duration():
    from osim_exo.learn.tracks import stride_tracking
    from tests.synthetic import walking_trial

    walk = walking_trial()
    names = ("pelvis_tx", *(f"{j}_{s}" for s in "rl" for j in ("hip_flexion", "knee_angle")))
    mean = mean_cycle(walk, walk.coordinates.select(list(names))).values
    turned = np.roll(mean[:-1], 37, axis=0)
    reference = np.vstack([turned, turned[:1]])
    near = stride_tracking([walk], names, reference)
    assert set(near) == set(names[1:])
    assert all(found.rms < 1e-9 for found in near.values())
    assert near["knee_angle_r"].correlation == pytest.approx(1.0)
    reference[:, 1] += 0.1
    assert stride_tracking([walk], names, reference)["hip_flexion_r"].rms == pytest.approx(0.1)
    assert stride_tracking([], names, reference) == {}
