"""Time is counted by part."""

from osim_exo.learn import clock as module
from osim_exo.learn.clock import Clock


def test_parts_add_up_and_go_on_after_a_restore(monkeypatch):
    wall, cpu = iter([10.0, 13.0, 14.0, 20.0]), iter([1.0, 2.0, 2.5, 3.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(wall))
    monkeypatch.setattr(module.time, "process_time", lambda: next(cpu))
    clock = Clock()
    instant = clock.add("physics", clock.now())
    instant = clock.add("update", instant)
    assert (clock.wall["physics"], clock.cpu["physics"]) == (3.0, 1.0)
    assert clock.total() == (4.0, 1.5)
    other = Clock()
    other.restore(clock.state())
    other.add("physics", instant)
    assert (other.wall["physics"], other.cpu["physics"]) == (9.0, 1.5)
    assert clock.wall["physics"] == 3.0
