"""Sensors err in evaluation as in training, by seed, and alike in both physics."""

import json
import math

import numpy as np
import pytest

from osim_exo.cli import main
from osim_exo.cli.command import BAD_INPUT
from osim_exo.control import Signals
from osim_exo.errors import InputError
from osim_exo.learn.chain import seed_folder
from osim_exo.learn.evaluate import Evaluation, evaluate
from osim_exo.learn.sensing import NoisySenses, sensed, sensor_errors
from osim_exo.learn.tasks import Randomisation, TaskConfig
from osim_exo.learn.tasks.senses import ExoSensors, Reading
from osim_exo.learn.walkers import CHAINS, library, load_stage
from osim_exo.models import HipExo, JointExo
from osim_exo.physics import CompiledPhysics
from osim_exo.sensors import USUAL, SensorErrors

TRAINED = Randomisation(
    sensor_angle_noise=0.01, sensor_rate_noise=0.1, sensor_angle_offset=math.radians(2.0)
)


def test_the_trained_errors_are_those_of_the_task():
    found = sensor_errors("trained", TRAINED)
    assert found == SensorErrors(
        angle_noise=0.01,
        rate_noise=0.1,
        mounting=math.sqrt(3.0) * math.radians(2.0),
        encoder_offset=math.sqrt(3.0) * math.radians(2.0),
    )
    assert sensor_errors("usual", TRAINED) == USUAL
    assert sensor_errors("none", TRAINED) is sensor_errors("trained", Randomisation()) is None
    own = SensorErrors(gyro_bias=0.05)
    assert sensor_errors(own, TRAINED) is own


@pytest.mark.parametrize("sensors", [("thigh",), ("joint",), ("joint", "thigh")])
def test_readings_have_the_asked_errors_around_the_truth(sensors):
    task = TaskConfig(
        model={"exo": HipExo()}, condition="assisted", learner="both", senses={"sensors": sensors}
    )
    physics = CompiledPhysics(task.model, n_env=2)
    exo = ExoSensors(task.senses, physics.names, physics.max_torque, 2, 0.02)
    errors = SensorErrors(angle_noise=0.02, rate_noise=0.3, mounting=0.05, encoder_offset=0.1)
    senses = NoisySenses(exo, task, physics.names, errors, 2, seed=3)
    reading = Reading.of(physics)
    off = np.array([senses(reading) for _ in range(2000)]) - exo.measure(reading)
    spread, mean = off.std(axis=0), off.mean(axis=0)
    np.testing.assert_allclose(spread[:, exo.is_angle], 0.02, rtol=0.1)
    np.testing.assert_allclose(spread[:, ~exo.is_angle], 0.3, rtol=0.1)
    constant = np.abs(mean[:, exo.is_angle])
    assert constant.max() < 0.105 and constant.max() > 0.01
    np.testing.assert_allclose(mean[:, ~exo.is_angle], 0.0, atol=0.03)


def test_a_controller_reads_the_same_errors_for_the_same_seed():
    class Echo:
        def reset(self, n_env, environments=None):
            pass

        def __call__(self, signals):
            return signals.hip_angle

    signals = Signals(time=[0.0], hip_angle=[[0.1, 0.2]], hip_speed=[[0.0, 0.0]])
    errors = SensorErrors(angle_noise=0.01)
    first, again, other = (sensed(Echo(), errors, 0.01, seed)(signals) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).min() > 0.0
    plain = Echo()
    assert sensed(plain, None, 0.01, 1) is plain


def test_devices_with_several_joints_per_leg_are_refused():
    exo = JointExo(joints=("hip", "ankle"))
    task = TaskConfig(
        model={"exo": exo}, condition="assisted", learner="both", senses={"sensors": ("joint",)}
    )
    pytest.importorskip("opensim")
    physics = CompiledPhysics(task.model)
    sensors = ExoSensors(task.senses, physics.names, physics.max_torque, 1, 0.02)
    with pytest.raises(InputError, match="one joint per leg"):
        NoisySenses(sensors, task, physics.names, USUAL, 1, 0)


def test_noise_reaches_the_policy_alike_in_both_physics_and_by_seed():
    pytest.importorskip("opensim")
    walker = load_stage(seed_folder(library() / CHAINS / "hip", 0), "assisted")
    short = Evaluation(runs=1, duration=0.5, settle=0.0, least=0.1, workers=1, mode="fixed")

    def torque(**changes):
        settings = short.changed(**changes)
        return evaluate(walker.task, None, settings, walker.policies).torques.command

    loud = SensorErrors(angle_noise=0.05, rate_noise=0.5)
    true = torque(physics="compiled")
    noisy = torque(physics="compiled", sensor_noise=loud)
    np.testing.assert_array_equal(noisy, torque(physics="compiled", sensor_noise=loud))
    assert np.abs(noisy - torque(physics="compiled", sensor_noise=loud, seed=5)).max() > 0.1
    trained = torque(physics="compiled", sensor_noise="trained")
    assert 0.02 < np.abs(trained - true).max() < np.abs(noisy - true).max()
    # What the noise changes is the same in OpenSim.
    change = torque(physics="opensim", sensor_noise=loud) - torque(physics="opensim")
    assert np.corrcoef(change.ravel(), (noisy - true).ravel())[0, 1] > 0.95


def test_walks_with_true_readings_are_written_as_before():
    assert "sensor_noise" not in Evaluation().model_dump(mode="json")
    noisy = Evaluation(sensor_noise=SensorErrors(dropout=0.1))
    assert Evaluation.model_validate_json(noisy.model_dump_json()) == noisy
    with pytest.raises(InputError, match="sensor_noise"):
        Evaluation(sensor_noise="loud")


def test_the_command_takes_shipped_chains_noise_and_a_strap(capsys):
    pytest.importorskip("opensim")
    words = ["--quiet", "evaluate", "hip", "--physics", "compiled", "--duration", "5"]
    told = {}
    for name, more in (
        ("plain", []),
        ("noisy", ["--sensor-noise", "usual"]),
        ("soft", ["--strap", "60"]),
    ):
        assert main([*words, *more, "--json", "-"]) == 0
        told[name] = json.loads(capsys.readouterr().out)
    powers = {name: one["device"]["compiled"] for name, one in told.items()}
    assert powers["plain"] != powers["noisy"] != powers["soft"]
    # A rigid device's drives give what the body gets, and what the drag takes.
    assert 0.0 < powers["plain"]["drives"] - powers["plain"]["body"] < 0.6
    assert main(["evaluate", "gait2d_walk_1.25_mps", "--strap", "60"]) == BAD_INPUT
    assert "no device" in capsys.readouterr().err
    assert main(["evaluate", "hips"]) == BAD_INPUT
    assert "hip" in capsys.readouterr().err
