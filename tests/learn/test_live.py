"""A trained walker wears a virtual exo: the device measures it, and it feels the device."""

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="the extra sim is not installed")

from osim_exo.deploy.device_core import FirmwareSettings
from osim_exo.deploy.virtual_exo import VirtualExo, VirtualSettings
from osim_exo.deploy.walkers import LiveWalker as Wearer
from osim_exo.errors import InputError
from osim_exo.learn.live import LiveWalker
from osim_exo.learn.walkers import TrainedWalker, shipped_walker

NAME = "gait2d_walk_1.25_mps"


@pytest.fixture(scope="module")
def trained():
    return shipped_walker(NAME)


def walk(walker, seconds, torque=None, dt=0.01):
    """Poses every `dt`."""
    found = []
    for k in range(1, round(seconds / dt) + 1):
        if torque is not None:
            walker.feel(torque(k * dt))
        pose = walker.walk_to(k * dt)
        found.append([*pose["hip_angle"], *pose["thigh_angle"], *pose["hip_speed"]])
    return np.array(found)


def test_a_shipped_walker_walks_with_an_unpowered_device(trained):
    walker = LiveWalker(trained)
    poses = walk(walker, 5.0)
    assert walker.fell_at is None
    assert np.ptp(poses[200:, 0]) > 0.5
    # The legs alternate.
    assert np.corrcoef(poses[200:, 0], poses[200:, 1])[0, 1] < -0.3
    assert walker.body_mass == pytest.approx(75.2, abs=1.0)


def test_angles_are_the_integral_of_the_speeds(trained):
    poses = walk(LiveWalker(trained), 2.0, dt=0.001)
    slope = np.gradient(poses[500:, 0], 0.001)
    # Between two steps of the simulation the angle follows the last speed.
    assert np.median(np.abs(slope - poses[500:, 4])) < 0.05


def test_the_walk_is_the_same_in_opensim(trained):
    pytest.importorskip("opensim")
    ours, theirs = (walk(LiveWalker(trained, physics=p), 0.5) for p in ("compiled", "opensim"))
    np.testing.assert_allclose(ours[:, :4], theirs[:, :4], atol=0.02)
    with pytest.raises(InputError, match="physics"):
        LiveWalker(trained, physics="mujoco")


def test_torque_moves_the_leg_the_way_it_pushes(trained):
    free = walk(LiveWalker(trained), 0.3)
    pushed = walk(LiveWalker(trained), 0.3, lambda t: (12.0, 0.0))
    assert pushed[9, 0] > free[9, 0] + 0.002
    assert abs(pushed[9, 1] - free[9, 1]) < pushed[9, 0] - free[9, 0]


def test_the_same_seed_gives_the_same_walk(trained):
    a, b = (walk(LiveWalker(trained, seed=3), 1.0) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_a_walker_that_fell_lies_still(trained):
    walker = LiveWalker(trained)
    poses = walk(walker, 12.0, lambda t: (15.0, 15.0) if t % 0.4 < 0.2 else (-15.0, -15.0))
    if walker.fell_at is None:
        pytest.skip("this walker stands even that")
    assert np.all(poses[-1] == poses[-2])
    assert np.all(poses[-1, 4:] == 0.0)


def test_the_virtual_exo_measures_the_walker_and_moves_it(trained):
    wearer = Wearer(LiveWalker(trained))
    settings = VirtualSettings(firmware=FirmwareSettings(tick_us=5000), friction=0.5)
    exo = VirtualExo(settings, wearer)
    exo.advance(2_000_000)
    pose = wearer(2.0)
    assert exo.delivered == (0.0, 0.0)
    assert abs(pose.angle[0]) < 1.5 and pose.gyro != pose.speed


def test_a_run_without_a_human_is_bad_input(trained):
    with pytest.raises(InputError, match="none of a human"):
        LiveWalker(TrainedWalker(trained.task, {}, {}))


def test_a_step_that_does_not_fit_is_bad_input(trained):
    with pytest.raises(InputError, match="does not divide"):
        LiveWalker(trained, dt=0.0031)
