"""Threads that share a kernel's blocks, and are awake when the next step comes.

A step of many environments takes a few milliseconds, and waking a sleeping thread up to a tenth of
one, on a virtual machine more. So helpers that have finished look for more work for a moment
before they sleep, without Python's lock, as the threads of OpenMP do. What they and the leading
thread say to each other goes through a few numbers in memory, and the code that does so is
compiled like the kernels.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.backends import blocks, llvm

PATIENCE = 20_000
"""Looks before a helper sleeps, and before a leader lets others run."""

CLOSED = 1 << 32
"""Added to the number of helpers at work while there is nothing to enter."""

AT_WORK, JOB, GIVE_WAY, SIZE = 8, 16, 24, 32
"""Places of numbers in the box, a cache line apart, and their count.

At 0 the number of jobs so far; then helpers at work; the job: function, counter, end, repeats,
table, working memory, bytes of it per thread; the system's function that lets other threads run.
"""

_JOB = {"f": "ptr", "c": "ptr", "end": "i64", "n": "i64", "t": "ptr", "s": "ptr", "b": "i64"}
"""Numbers of the job, in their order in the box, and their types."""

_WORK = "\n".join(
    [
        "define internal void @work(ptr %box, i64 %who) nounwind {{",
        "  %job = getelementptr i64, ptr %box, i64 {job}",
        *(
            f"  %{name}.at = getelementptr i64, ptr %job, i64 {place}\n"
            f"  %{name} = load {kind}, ptr %{name}.at"
            for place, (name, kind) in enumerate(_JOB.items())
        ),
        "  %own = mul i64 %b, %who",
        "  %scratch = getelementptr i8, ptr %s, i64 %own",
        "  call void %f(ptr %c, i64 %end, i64 %n, ptr %t, ptr %scratch)",
        "  ret void",
        "}}",
        "",
    ]
)
_SERVE = """\
define i64 @serve(ptr %box, i64 %who, i64 %seen, i64 %patience) nounwind {{
entry:
  %at = getelementptr i64, ptr %box, i64 {at_work}
  br label %again
again:
  %known = phi i64 [ %seen, %entry ], [ %now, %left ]
  br label %look
look:
  %tries = phi i64 [ 0, %again ], [ %more, %wait ]
  %now = load atomic i64, ptr %box acquire, align 8
  %new = icmp ne i64 %now, %known
  br i1 %new, label %enter, label %wait
wait:
  {pause}
  %more = add i64 %tries, 1
  %over = icmp sge i64 %more, %patience
  br i1 %over, label %exit, label %look
enter:
  %before = atomicrmw add ptr %at, i64 1 acq_rel
  %open = icmp slt i64 %before, {closed}
  br i1 %open, label %do, label %left
do:
  call void @work(ptr %box, i64 %who)
  br label %left
left:
  %after = atomicrmw sub ptr %at, i64 1 acq_rel
  br label %again
exit:
  ret i64 %known
}}
"""
_LEAD = """\
define void @lead(ptr %box, i64 %patience) nounwind {{
entry:
  %at = getelementptr i64, ptr %box, i64 {at_work}
  %give.at = getelementptr i64, ptr %box, i64 {give_way}
  %give = load ptr, ptr %give.at
  %opened = atomicrmw sub ptr %at, i64 {closed} acq_rel
  %told = atomicrmw add ptr %box, i64 1 acq_rel
  call void @work(ptr %box, i64 0)
  %shut = atomicrmw add ptr %at, i64 {closed} acq_rel
  br label %look
look:
  %tries = phi i64 [ 0, %entry ], [ %more, %wait ], [ %more, %late ]
  %now = load atomic i64, ptr %at acquire, align 8
  %alone = icmp eq i64 %now, {closed}
  br i1 %alone, label %done, label %wait
wait:
  {pause}
  %more = add i64 %tries, 1
  %over = icmp sge i64 %more, %patience
  br i1 %over, label %late, label %look
late:
  %given = call i32 %give()
  br label %look
done:
  ret void
}}
"""


class Team:
    """Helpers of one process, and the box through which they get their work.

    Parameters
    ----------
    helpers : beside the thread that leads
    """

    def __init__(self, helpers: int) -> None:
        self._box: npt.NDArray[np.int64] = blocks.aligned((SIZE,), np.int64)
        self._box[AT_WORK], self._box[GIVE_WAY] = CLOSED, _give_way()
        self._address = self._box.ctypes.data
        # Here and once: helpers that start together would each compile it.
        self._code = _code()
        self._busy = threading.Lock()
        self._calls = [threading.Event() for _ in range(helpers)]
        for k, call in enumerate(self._calls):
            name = f"osim-exo-{os.getpid()}-{k}"
            threading.Thread(target=self._help, args=(k + 1, call), name=name, daemon=True).start()

    def _help(self, who: int, call: threading.Event) -> None:
        """What a helper does all its life."""
        serve, seen = self._code["serve"], 0
        while True:
            call.wait()
            call.clear()
            seen = serve(self._address, who, seen, PATIENCE)

    def run(self, job: tuple[int, int, int, int, int, int], size: int) -> bool:
        """Do a job together; whether that was possible: the team does one at a time.

        Parameters
        ----------
        job : addresses and numbers as in the box: function, counter, end, repeats, table, working
            memory of all
        size : bytes of working memory for each
        """
        if not self._busy.acquire(blocking=False):
            return False
        try:
            self._box[JOB : JOB + 7] = (*job, size)
            for call in self._calls:
                call.set()
            # Nothing may come between: the job's memory is the caller's, also after an interrupt.
            self._code["lead"](self._address, PATIENCE)
        finally:
            self._busy.release()
        return True


@cache
def team(process: int, threads: int) -> Team:
    """The team of so many threads; a forked process gets its own."""
    return Team(threads - 1)


def _give_way() -> int:
    """Address of the system's function that lets other threads run."""
    if sys.platform == "win32":
        function = ctypes.WinDLL("kernel32").SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@cache
def _code() -> dict[str, Callable[..., int]]:
    """The compiled functions by name."""
    pause, declared = llvm.pause()
    numbers = {"closed": CLOSED, "at_work": AT_WORK, "job": JOB, "give_way": GIVE_WAY}
    text = "\n".join(
        [declared, *(part.format(pause=pause, **numbers) for part in (_WORK, _SERVE, _LEAD))]
    )
    whole, place = ctypes.c_int64, ctypes.c_void_p
    kinds = {
        "serve": ctypes.CFUNCTYPE(whole, place, whole, whole, whole),
        "lead": ctypes.CFUNCTYPE(None, place, whole),
    }
    engine, addresses = llvm.load(llvm.object_code(text, level=2), *kinds)
    _engines.append(engine)
    return {name: kind(at) for (name, kind), at in zip(kinds.items(), addresses)}


_engines: list[object] = []
"""What keeps the compiled functions alive."""
