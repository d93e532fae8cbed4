"""Where the time of training goes, by the clock on the wall and by that of the processor."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

PARTS = ("physics", "inference", "update")
"""Stepping the task; the policy's actions and the keeping of records; learning."""

Instant = tuple[float, float]


def _nothing() -> dict[str, float]:
    return dict.fromkeys(PARTS, 0.0)


@dataclass
class Clock:
    """Seconds spent in each of `PARTS`.

    Processor time counts all threads of this process. On one thread it is what a quiet machine
    would need; on a busy machine the wall's clock shows the others' work too.

    Attributes
    ----------
    wall, cpu : s by part
    """

    wall: dict[str, float] = field(default_factory=_nothing)
    cpu: dict[str, float] = field(default_factory=_nothing)

    @staticmethod
    def now() -> Instant:
        """An instant, to be given to `add`."""
        return time.perf_counter(), time.process_time()

    def add(self, part: str, since: Instant) -> Instant:
        """Count the time since an instant; returns the present one."""
        now = self.now()
        self.wall[part] += now[0] - since[0]
        self.cpu[part] += now[1] - since[1]
        return now

    def total(self) -> Instant:
        """Seconds of all parts, by the wall and by the processor."""
        return sum(self.wall.values()), sum(self.cpu.values())

    def state(self) -> dict[str, dict[str, float]]:
        """What `restore` needs."""
        return {"wall": dict(self.wall), "cpu": dict(self.cpu)}

    def restore(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Go on from an earlier state."""
        self.wall, self.cpu = dict(state["wall"]), dict(state["cpu"])
