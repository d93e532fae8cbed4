"""A policy bundle on a device: known by its hash, faded where its input is unlike training."""

import math
import shutil

import numpy as np
import pytest

from osim_exo.cli import main
from osim_exo.control import LearnedController, Signals
from osim_exo.deploy.disturbances import Disturbance
from osim_exo.deploy.faults import FaultCode
from osim_exo.deploy.host_c import HostDevice
from osim_exo.deploy.log import read_log
from osim_exo.deploy.novelty import Familiarity, NoveltyLimits
from osim_exo.deploy.packets import Enable
from osim_exo.deploy.policy_controller import PolicyController
from osim_exo.deploy.replay import logged_policy, replay
from osim_exo.deploy.states import State
from osim_exo.deploy.virtual_exo import VirtualSettings
from osim_exo.deploy.walkers import Pose, SineWalker
from osim_exo.errors import DataError, InputError
from tests.deploy.device import Bench, policy_settings
from tests.deploy.policies import interface, write_policy

pytest.importorskip("cobs", reason="the extra deploy is not installed")


class Strange:
    """A walk of sines that becomes one that nobody trained with: lunges far beyond the usual."""

    def __init__(self, begin: float, end: float, lean: float) -> None:
        self.walk, self.begin, self.end, self.lean = SineWalker(), begin, end, lean

    def __call__(self, time: float) -> Pose:
        pose = self.walk(time)
        # A slow lean, so that nothing jumps: other checks have nothing to object to.
        share = min(max((time - self.begin) / 1.0, 0.0), max((self.end - time) / 1.0, 0.0), 1.0)
        lean = self.lean * share
        return Pose(pose.angle, pose.speed, pose.gyro, (pose.thigh[0] + lean, pose.thigh[1] + lean))


def test_an_armed_policy_walks_through_every_state_and_replays_bit_for_bit(folder, tmp_path):
    run = Bench(tmp_path, policy_settings(folder, arm=True))
    report = run.run(8.0)
    assert report.faults == []
    assert run.states()[-3:] == [State.ACTIVE, State.RAMP_OUT, State.IDLE]
    assert run.peak() > 1.0
    result = replay(read_log(run.path))
    assert result.reproduced and result.n_equal == report.ticks


def test_the_wanted_torque_is_that_of_the_controller_in_simulation(folder, tmp_path):
    run = Bench(tmp_path, policy_settings(folder))
    run.run(5.0)
    controller = LearnedController.load(folder, 70.0, engine="numpy")
    compared = 0
    for tick, out in run.outputs:
        if tick.sample is None or out.state in (State.BOOT, State.FAULT):
            continue
        s = tick.sample.body
        signals = Signals(
            time=[tick.sample.time_us * 1e-6],
            hip_angle=[[s.hip_angle_r_urad * 1e-6, s.hip_angle_l_urad * 1e-6]],
            hip_speed=[[s.hip_speed_r_urad_per_s * 1e-6, s.hip_speed_l_urad_per_s * 1e-6]],
            thigh_angle=[[s.thigh_angle_r_urad * 1e-6, s.thigh_angle_l_urad * 1e-6]],
            thigh_rate=[[s.thigh_gyro_r_urad_per_s * 1e-6, s.thigh_gyro_l_urad_per_s * 1e-6]],
            torque=[[s.torque_r_mnm * 1e-3, s.torque_l_mnm * 1e-3]],
        )
        assert out.wanted == tuple(controller(signals)[0].tolist())
        compared += 1
    assert compared > 400


def test_another_bundle_in_the_same_place_is_refused(folder, tmp_path):
    place = tmp_path / "policy"
    shutil.copytree(folder, place)
    run = Bench(tmp_path, policy_settings(place))
    run.run(2.0)
    moved = tmp_path / "moved"
    shutil.copytree(place, moved)
    write_policy(place, seed=1)
    log = read_log(run.path)
    with pytest.raises(DataError, match="another one"):
        replay(log)
    assert replay(log, logged_policy(log, moved)).reproduced
    with pytest.raises(DataError, match="another one"):
        logged_policy(log, write_policy(tmp_path / "third", seed=2))


def test_a_log_of_a_policy_can_be_read_where_the_policy_is_not(folder, tmp_path):
    place = tmp_path / "policy"
    shutil.copytree(folder, place)
    run = Bench(tmp_path, policy_settings(place))
    run.run(1.0)
    shutil.rmtree(place)
    log = read_log(run.path)
    assert log.settings.controller.policy().folder == place
    with pytest.raises(DataError, match="not a policy"):
        replay(log)


def test_a_loop_at_another_rate_than_the_policys_is_refused(folder, tmp_path):
    for rate in (50.0, 150.0):
        with pytest.raises(InputError, match="multiple"):
            Bench(tmp_path / str(rate), policy_settings(folder, rate_hz=rate))


def test_torque_fades_where_the_input_is_unlike_training(folder, tmp_path):
    # Centre 0.1 rad and 2.5 per rad: with the swing the lean is up to 3.75 deviations.
    settings = policy_settings(folder, arm=True, novelty=NoveltyLimits(begin=2.5, end=5.0))
    run = Bench(tmp_path, settings, walker=Strange(5.0, 12.0, lean=1.2))
    report = run.run(15.0)
    assert report.faults == []
    gains = np.array([out.gain for _, out in run.outputs])
    assert gains[400:480].min() == 1.0
    assert 0.0 <= gains[620:1000].min() < 0.9
    assert gains[-80] == 1.0
    for (_, before), (_, after) in zip(run.outputs, run.outputs[1:]):
        if before.state is after.state is State.ACTIVE:
            # It comes back at 1 per second, whatever the input does.
            assert after.gain <= before.gain + 0.0101
    assert replay(read_log(run.path)).reproduced


def test_input_that_stays_unlike_training_ends_an_armed_run(folder, tmp_path):
    settings = policy_settings(folder, arm=True, novelty=NoveltyLimits(begin=2.0, end=3.0))
    run = Bench(tmp_path, settings, walker=Strange(5.0, 60.0, lean=1.5))
    report = run.run(30.0)
    assert report.faults == ["UNFAMILIAR"]
    assert report.final_state == "FAULT"
    assert run.moments[-1].delivered == (0.0, 0.0)
    last = max(k for k, (_, out) in enumerate(run.outputs) if any(out.sent_mnm))
    assert run.outputs[last][1].faults == FaultCode(0)


@pytest.mark.parametrize("novelty", [math.nan, math.inf, 8.0, 1e9])
def test_no_torque_is_left_at_the_end_of_the_range(novelty):
    assert NoveltyLimits().share(novelty) == 0.0


def test_familiarity_falls_at_once_and_comes_back_slowly():
    familiarity = Familiarity(NoveltyLimits())
    assert familiarity.update(0.0, 1.0) == 1.0
    assert familiarity.update(0.1, 6.5) == pytest.approx(0.5)
    assert familiarity.update(0.2, 1.0) == pytest.approx(0.6)
    assert familiarity.update(0.3, 9.0) == 0.0
    assert not familiarity.is_strange(0.7)
    assert familiarity.is_strange(0.8)
    familiarity.update(0.9, 1.0)
    assert not familiarity.is_strange(1.0)


def test_novelty_limits_without_order_are_bad_input():
    with pytest.raises(InputError, match="begin"):
        NoveltyLimits(begin=5.0, end=5.0)


def test_novelty_is_the_largest_deviation_of_the_newest_sample(tmp_path):
    face = interface(kinds=("thigh_angle",), lags=(0,), own=False, history=3)
    controller = PolicyController(write_policy(tmp_path / "p", face), 70.0)
    zero = [[0.0, 0.0]]
    for time, angle in ((0.0, 2.1), (0.01, 0.1), (0.02, -0.7)):
        signals = Signals(
            time=[time],
            hip_angle=zero,
            hip_speed=zero,
            thigh_angle=[[angle, 0.1]],
            thigh_rate=zero,
            torque=zero,
        )
        controller(signals)
        assert controller.novelty == pytest.approx(abs(angle - 0.1) * 2.5, abs=1e-5)


def onboard(tmp_path, folder, library, **more):
    settings = policy_settings(folder, arm=True, onboard=True)
    core = HostDevice(library, VirtualSettings().firmware, mass=70.0)
    return Bench(tmp_path, settings, core=core, **more)


def test_the_devices_own_policy_gives_the_torque_that_the_host_expects(folder, library, tmp_path):
    alone = Bench(tmp_path / "host", policy_settings(folder, arm=True))
    alone.run(8.0)
    run = onboard(tmp_path / "device", folder, library)
    report = run.run(8.0)
    assert report.faults == []
    assert run.states()[-3:] == [State.ACTIVE, State.RAMP_OUT, State.IDLE]
    acting = [out for _, out in run.outputs if out.state is State.ACTIVE]
    assert all(out.enable is Enable.BY_ITSELF for out in acting)
    assert all(out.sent_mnm == (14_000, 14_000) for out in acting)

    def delivered(bench):
        return np.array([m.delivered for m in bench.moments if 4e6 < m.time_us < 7e6])

    a, b = delivered(alone), delivered(run)
    # The device acts at once, the host a period and a line later.
    late = max(range(30), key=lambda k: np.corrcoef(a[k : 2900 + k, 0], b[:2900, 0])[0, 1])
    assert np.corrcoef(a[late : 2900 + late, 0], b[:2900, 0])[0, 1] > 0.95
    assert 5 <= late <= 25
    assert replay(read_log(run.path)).reproduced


def test_a_device_with_another_policy_is_refused(folder, tmp_path, library):
    other = write_policy(tmp_path / "other", seed=5)
    settings = policy_settings(other, arm=True, onboard=True)
    core = HostDevice(library, VirtualSettings().firmware, mass=70.0)
    run = Bench(tmp_path, settings, core=core)
    report = run.run(3.0)
    assert State.ARMED not in run.states()
    assert any("its own policy" in problem for problem in report.problems)
    assert run.peak() == 0.0


def test_a_device_without_a_policy_is_refused(folder, tmp_path):
    run = Bench(tmp_path, policy_settings(folder, arm=True, onboard=True))
    report = run.run(3.0)
    assert any("its own policy is none" in problem for problem in report.problems)
    assert run.peak() == 0.0


def test_a_silent_host_stops_the_devices_own_policy(folder, library, tmp_path):
    run = onboard(tmp_path, folder, library, script=[Disturbance(what="deaf", at_s=4.0)])
    run.run(6.0)
    before = [m for m in run.moments if 3.5e6 < m.time_us < 4.0e6]
    late = [m for m in run.moments if m.time_us > 4.03e6]
    assert max(abs(m.delivered[0]) for m in before) > 0.5
    assert all(m.delivered == (0.0, 0.0) for m in late)


def test_onboard_without_a_policy_is_bad_input():
    from osim_exo.deploy.settings import RunSettings

    with pytest.raises(InputError, match="onboard"):
        RunSettings(mass=70.0, onboard=True)


def test_the_command_line_refuses_two_controllers(folder, capsys):
    words = f"deploy run {folder} --port socket://127.0.0.1:1 --mass 70 --controller spline"
    assert main(words.split()) == 2
    assert "another controller" in capsys.readouterr().err
