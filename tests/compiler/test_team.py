"""Threads that share a kernel: same bits, one job at a time, nothing lost under pressure."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from osim_exo.compiler.backends.kernel import compile_program
from osim_exo.compiler.backends.team import Team, team
from tests.compiler import programs


def made(n, seed=0):
    program = programs.random_program(seed, 300, feedback={"y": "x"})
    kernel = compile_program(program)
    values = programs.values(program, n, seed)
    return kernel, {name: kernel.pack(name, v) for name, v in values.items()}


def fresh(arrays):
    copies = {}
    for name, array in arrays.items():
        copies[name] = np.frombuffer(bytearray(array.nbytes + 64), dtype=np.uint8)
        start = -copies[name].ctypes.data % 64
        view = copies[name][start : start + array.nbytes].view(array.dtype)
        copies[name] = view.reshape(array.shape)
        copies[name][:] = array
    return copies


def test_a_thousand_short_jobs_lose_no_block():
    kernel, arrays = made(5 * 8)
    alone, together = fresh(arrays), fresh(arrays)
    for step in range(1000):
        kernel.run(alone)
        kernel.run(together, threads=3)
        if step % 100 == 50:
            # Long enough for every helper to fall asleep.
            time.sleep(0.01)
        np.testing.assert_array_equal(alone["x"], together["x"])


def test_two_leaders_at_once_get_what_each_gets_alone():
    kernel, arrays = made(64)
    truth = fresh(arrays)
    for _ in range(200):
        kernel.run(truth)
    found = [fresh(arrays) for _ in range(3)]

    def lead(own):
        for _ in range(200):
            kernel.run(own, threads=2)

    leaders = [threading.Thread(target=lead, args=(own,)) for own in found]
    for leader in leaders:
        leader.start()
    for leader in leaders:
        leader.join()
    for own in found:
        np.testing.assert_array_equal(own["x"], truth["x"])


def test_a_team_that_is_busy_says_so():
    busy = Team(1)
    busy._busy.acquire()
    assert not busy.run((0, 0, 0, 0, 0, 0), 0)


def test_a_process_has_one_team_of_each_size():
    assert team(os.getpid(), 3) is team(os.getpid(), 3)
    assert team(os.getpid(), 3) is not team(os.getpid(), 2)


def test_helpers_sleep_when_nothing_comes():
    kernel, arrays = made(64)
    kernel.run(arrays, threads=4)
    time.sleep(0.1)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
def test_an_interrupt_waits_for_the_job_and_leaves_the_team_free():
    kernel, arrays = made(64)
    alone, together = fresh(arrays), fresh(arrays)
    repeats = 50_000
    kernel.run(alone, repeats=repeats)
    # The team exists before the clock runs.
    kernel.run(fresh(arrays), threads=2)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            kernel.run(together, repeats=repeats, threads=2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    np.testing.assert_array_equal(together["x"], alone["x"])
    assert not team(os.getpid(), 2)._busy.locked()


def test_a_process_ends_in_peace_while_helpers_are_awake():
    text = (
        "from tests.compiler.test_team import made\n"
        "kernel, arrays = made(64)\n"
        "for _ in range(50):\n"
        "    kernel.run(arrays, threads=4)\n"
    )
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run([sys.executable, "-c", text], cwd=root, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_gets_helpers_of_its_own():
    kernel, arrays = made(64)
    alone = fresh(arrays)
    kernel.run(alone)
    kernel.run(fresh(arrays), threads=2)
    child = os.fork()
    if child == 0:
        kernel.run(arrays, threads=2)
        os._exit(0 if np.array_equal(arrays["x"], alone["x"]) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
