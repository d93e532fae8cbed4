"""Episodes that begin where walkers lately fell."""

import numpy as np
import pytest

from osim_exo.learn.tasks.config import CommandPoint, Commands
from osim_exo.learn.tasks.hardest import SHARE, Hardest

COMMANDS = Commands(speed=(0.8, 1.6), slope_deg=(-7.0, 7.0))
EVERY = np.arange(1000)


def even(random, n=1000):
    return random.uniform(0.8, 1.6, n), random.uniform(-7.0, 7.0, n), random.random(n) < 0.5


def taught(hardest, falls, rounds=200):
    """Episodes drawn evenly that end by a fall where `falls(speed, slope, standing)` is true."""
    random = np.random.default_rng(1)
    for _ in range(rounds):
        start = even(random)
        hardest.begin(EVERY, *start)
        hardest.learn(EVERY, falls(*start))
    return hardest


def steep_and_standing(speed, slope, standing):
    return (speed > 1.44) & (slope > 4.2) & standing


def test_the_share_that_is_drawn_by_falls_begins_where_walkers_fell():
    hardest = taught(Hardest(COMMANDS, 1000, 0.4, 0.5), steep_and_standing)
    random = np.random.default_rng(2)
    before = even(random, 20_000)
    after = hardest.redraw(random, *before)
    unchanged = np.all([a == b for a, b in zip(before, after)], axis=0)
    assert 1.0 - unchanged.mean() == pytest.approx(0.4, abs=0.02)
    speed, slope, standing = (values[~unchanged] for values in after)
    assert steep_and_standing(speed, slope, standing).all()
    assert speed.max() <= 1.6 and slope.max() <= 7.0
    assert np.ptp(speed) > 0.15 and np.ptp(slope) > 2.5


def test_a_share_of_falls_is_that_of_its_cell():
    hardest = Hardest(COMMANDS, 1000, 0.5, 0.5)
    assert (hardest.fall_shares == 1.0).all()
    random = np.random.default_rng(3)
    taught(hardest, lambda speed, slope, standing: standing & (random.random(1000) < 0.25), 2000)
    shares = hardest.fall_shares
    np.testing.assert_allclose(shares[..., 0], 0.0, atol=1e-9)
    assert shares[..., 1].mean() == pytest.approx(0.25, abs=0.02)


def test_several_ends_at_once_count_as_one_after_the_other():
    together, alone = (Hardest(COMMANDS, 4, 0.5, 0.5) for _ in range(2))
    start = np.full(4, 1.2), np.zeros(4), np.zeros(4, dtype=bool)
    fell = np.zeros(4, dtype=bool)
    for hardest in (together, alone):
        hardest.begin(np.arange(4), *start)
    together.learn(np.arange(4), fell)
    for row in range(4):
        alone.learn(np.array([row]), fell[[row]])
    np.testing.assert_allclose(together.fall_shares, alone.fall_shares, rtol=1e-12)
    assert together.fall_shares.min() == pytest.approx((1.0 - SHARE) ** 4)


def test_nothing_changes_without_a_share_or_once_nobody_falls():
    random = np.random.default_rng(4)
    start = even(random)
    drawn = random.bit_generator.state
    assert Hardest(COMMANDS, 1000, 0.0, 0.5).redraw(random, *start) == start
    safe = Hardest(COMMANDS, 1000, 0.5, 0.5)
    safe.restore({"fell": np.zeros_like(safe.fall_shares), "cell": np.zeros(1000, dtype=int)})
    assert safe.redraw(random, *start) == start
    assert random.bit_generator.state == drawn


def test_one_speed_and_slope_are_one_cell():
    hardest = Hardest(Commands(), 1000, 1.0, 0.5)
    random = np.random.default_rng(5)
    speed, slope = np.full(1000, 1.25), np.zeros(1000)
    for _ in range(30):
        standing = random.random(1000) < 0.1
        hardest.begin(EVERY, speed, slope, standing)
        hardest.learn(EVERY, standing)
    assert hardest.fall_shares.shape == (1, 1, 2)
    speed, slope, standing = hardest.redraw(random, speed, slope, standing)
    assert (speed == 1.25).all() and (slope == 0.0).all() and standing.all()


def test_a_restored_one_draws_the_same():
    hardest = taught(Hardest(COMMANDS, 1000, 0.5, 0.5), steep_and_standing, rounds=5)
    again = Hardest(COMMANDS, 1000, 0.5, 0.5)
    again.restore(hardest.snapshot())
    start = even(np.random.default_rng(6))
    drawn = [h.redraw(np.random.default_rng(7), *start) for h in (hardest, again)]
    for one, other in zip(*drawn):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("standing_share", [0.0, 1.0])
def test_a_kind_of_start_that_does_not_occur_is_never_drawn(standing_share):
    hardest = Hardest(COMMANDS, 1000, 1.0, standing_share)
    random = np.random.default_rng(8)
    stands = np.full(1000, bool(standing_share))
    for _ in range(5):
        speed, slope, standing = hardest.redraw(random, *even(random)[:2], stands)
        np.testing.assert_array_equal(standing, stands)
        hardest.begin(EVERY, speed, slope, standing)
        hardest.learn(EVERY, random.random(1000) < 0.1)


def test_a_schedule_keeps_its_first_command():
    point = CommandPoint(time=0.0, speed=0.9, slope_deg=3.0)
    hardest = Hardest(Commands(schedule=(point,)), 1000, 1.0, 0.5)
    start = np.full(1000, 0.9), np.full(1000, 3.0), np.zeros(1000, dtype=bool)
    speed, slope, standing = hardest.redraw(np.random.default_rng(9), *start)
    assert (speed == 0.9).all() and (slope == 3.0).all()
    assert 0.4 < standing.mean() < 0.6
