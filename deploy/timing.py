"""Time for a fixed-rate loop: clocks, absolute deadlines and statistics of fixed size."""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from osim_exo.errors import InputError


class Clock(Protocol):
    """Where the runtime gets its time from."""

    def now(self) -> float:
        """Time that never goes back, s."""

    def sleep_until(self, when: float) -> None:
        """Return at `when` (s) or at once if that has passed."""


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Time since some moment in the past, s."""
        return time.monotonic()

    def sleep_until(self, when: float) -> None:
        """Sleep until `when`, s."""
        left = when - time.monotonic()
        if left > 0.0:
            time.sleep(left)


class SimulatedClock:
    """A clock that jumps to where it is told to sleep: runs take no time and repeat exactly."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        """Simulated time, s."""
        return self._now

    def sleep_until(self, when: float) -> None:
        """Let the time become `when`, s."""
        self._now = max(self._now, when)


class Ticker:
    """Absolute deadlines: no error adds up, and a missed deadline is counted, not made up for.

    Parameters
    ----------
    clock : Clock
    period : s
    """

    def __init__(self, clock: Clock, period: float) -> None:
        if not (math.isfinite(period) and period > 0.0):
            raise InputError(f"A loop's period must be a positive number of s, not {period}.")
        self._clock, self.period = clock, period
        self._start = clock.now()
        self.count = 0
        self.overruns = 0

    @property
    def deadline(self) -> float:
        """The present deadline, s."""
        return self._start + self.count * self.period

    def wait(self) -> int:
        """Sleep until the next deadline; returns how many were missed since the last one."""
        self.count += 1
        late = self._clock.now() - self.deadline
        missed = int(late / self.period) if late > 0.0 else 0
        self.count += missed
        self.overruns += missed
        self._clock.sleep_until(self.deadline)
        return missed


class Histogram:
    """Durations in bins of fixed width: percentiles without keeping the values.

    Parameters
    ----------
    width : of a bin, s
    n_bin : the last bin holds everything longer
    """

    def __init__(self, width: float = 1e-5, n_bin: int = 5000) -> None:
        self.width = width
        self._bins = [0] * n_bin
        self.count = 0
        self.total = 0.0
        self.max = 0.0

    def add(self, seconds: float) -> None:
        """Note a duration."""
        place = int(seconds / self.width)
        self._bins[min(max(place, 0), len(self._bins) - 1)] += 1
        self.count += 1
        self.total += seconds
        self.max = max(self.max, seconds)

    def percentile(self, percent: float) -> float:
        """Upper edge of the bin in which `percent` of the durations are reached, s; NaN if none."""
        if not self.count:
            return math.nan
        wanted, seen = self.count * percent / 100.0, 0
        for place, n in enumerate(self._bins[:-1]):
            seen += n
            if seen >= wanted:
                return (place + 1) * self.width
        return self.max

    def summary(self) -> dict[str, float | None]:
        """Mean, percentiles and maximum in milliseconds; None where nothing was noted."""
        if not self.count:
            return dict.fromkeys(("mean_ms", "p50_ms", "p99_ms", "max_ms"))
        return {
            "mean_ms": 1e3 * self.total / self.count,
            "p50_ms": 1e3 * self.percentile(50.0),
            "p99_ms": 1e3 * self.percentile(99.0),
            "max_ms": 1e3 * self.max,
        }


@contextmanager
def real_time(priority: int = 20) -> Iterator[list[str]]:
    """Ask the system for punctual scheduling while the loop runs; what it granted is listed.

    Garbage collection rests in the meantime, and the loop makes no reference cycles. Where the
    system refuses (no permission, no such call), the run goes on without.
    """
    granted: list[str] = []
    before: tuple[int, Any] | None = None
    if hasattr(os, "sched_setscheduler"):
        try:
            before = os.sched_getscheduler(0), os.sched_getparam(0)
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
            granted.append(f"SCHED_FIFO priority {priority}")
        except OSError:
            before = None
    collecting = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    granted.append("no garbage collection in the loop")
    try:
        yield granted
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()
        if before is not None:
            os.sched_setscheduler(0, before[0], before[1])
