"""Two threads against one, beside what two processes reach that share nothing.

Threads cannot be faster together than processes are: virtual cores may share a real one, and the
processes tell how much of a second core this machine really gives.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np

from osim_exo.benchmarks._motions import CONTROL_DT, Motion, begin
from osim_exo.physics import CompiledPhysics

N_WIDE = 4096
"""Environments of a step: long beside the waking of a thread."""

TIMED = 20
"""Control steps of one measurement: a learner steps at least as often between resets."""

THREADS, PROCESSES = "2 threads", "2 processes"


class Neighbour:
    """Another process that steps the same motion whenever it is told to.

    Parameters
    ----------
    subject : the motion
    """

    def __init__(self, subject: Motion) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._run, self._idle = spawn.Event(), spawn.Event()
        self._count: Synchronized[int] = spawn.Value("q", 0)
        work = (subject, self._run, self._idle, self._count)
        self._process = spawn.Process(target=_step_on, args=work, daemon=True)
        self._process.start()
        self._await_idle()

    @property
    def steps(self) -> int:
        """Control steps so far, of all of its environments."""
        return self._count.value

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it step for as long as the context lasts."""
        before = self.steps
        self._run.set()
        try:
            while self.steps == before:
                self._check_alive()
                time.sleep(0.001)
            yield
        finally:
            self._run.clear()
            # Its last step must not disturb what is measured next.
            self._await_idle()

    def _await_idle(self) -> None:
        while not self._idle.wait(0.5):
            self._check_alive()

    def _check_alive(self) -> None:
        if not self._process.is_alive():
            code = self._process.exitcode
            raise RuntimeError(f"The neighbour process of the benchmark ended with code {code}.")

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


def _step_on(subject: Motion, run: Event, idle: Event, count: Synchronized[int]) -> None:
    wide = subject.tiled(N_WIDE)
    physics = _physics(wide, 1)
    begin(physics, wide, 0)
    while True:
        if not run.is_set():
            idle.set()
            run.wait()
            idle.clear()
        physics.step(wide.excitations[0], None, wide.others[0])
        count.value += N_WIDE


def _physics(wide: Motion, threads: int) -> CompiledPhysics:
    return CompiledPhysics(
        wide.recipe, n_env=N_WIDE, threads=threads, control_dt=CONTROL_DT, on_failure="mark"
    )


def thread_rates(subject: Motion, repeats: int) -> dict[str, Any]:
    """Control steps per second of wall time, (repeats,) arrays by who stepped; they take turns.

    Parameters
    ----------
    subject : the motion
    repeats : turns, after one that is thrown away
    """
    wide = subject.tiled(N_WIDE)
    both = {n: _physics(wide, n) for n in (1, 2)}
    rates: dict[str, list[float]] = {"1 thread": [], THREADS: [], PROCESSES: []}
    neighbour = Neighbour(subject)
    try:
        for _ in range(repeats + 1):
            rates["1 thread"].append(_rate(both[1], wide))
            rates[THREADS].append(_rate(both[2], wide))
            with neighbour.running():
                before, start = neighbour.steps, time.perf_counter()
                own = _rate(both[1], wide)
                other = (neighbour.steps - before) / (time.perf_counter() - start)
            rates[PROCESSES].append(own + other)
    finally:
        neighbour.close()
    return {name: np.array(values[1:]) for name, values in rates.items()}


def _rate(physics: CompiledPhysics, wide: Motion) -> float:
    begin(physics, wide, 0)
    start = time.perf_counter()
    for step in range(TIMED):
        at = step % len(wide.excitations)
        physics.step(wide.excitations[at], None, wide.others[at])
    return N_WIDE * TIMED / (time.perf_counter() - start)
