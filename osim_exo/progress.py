"""Progress of long work: one seam that shows bars on a terminal, plain lines elsewhere.

Library functions take ``progress: Progress = SILENT`` and never print; the command line passes
`for_stream`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

Fact = float | int | str


class Step(Protocol):
    """One piece of long work under way."""

    def update(self, done: float, **facts: Fact) -> None:
        """Say how much is done so far, with facts worth showing (``objective=0.71``)."""


class Progress(Protocol):
    """Where long work reports."""

    def step(
        self, title: str, total: float | None = None, unit: str = ""
    ) -> AbstractContextManager[Step]:
        """Begin a piece of work of `total` units (None: not known); use it in ``with``."""

    def note(self, text: str) -> None:
        """One line worth reading now: a result, a file, a warning."""


def seconds_in_words(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s`` or ``2 h 07 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _facts(facts: dict[str, Fact]) -> str:
    shown = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in facts.values())
    return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in zip(facts, shown))


def _ending(title: str, how: str, elapsed: float, facts: str) -> str:
    return f"{title}: {how} after {seconds_in_words(elapsed)}" + (f", {facts}" if facts else "")


class _SilentStep:
    def update(self, done: float, **facts: Fact) -> None:
        """Take no notice."""


class SilentProgress:
    """Shows nothing: the default of every library function."""

    @contextmanager
    def step(self, title: str, total: float | None = None, unit: str = "") -> Iterator[Step]:
        """Begin a piece of work."""
        yield _SilentStep()

    def note(self, text: str) -> None:
        """Take no notice."""


SILENT = SilentProgress()


class _LineStep:
    def __init__(self, owner: LineProgress, title: str, total: float | None, unit: str) -> None:
        self._owner, self._title, self._total, self._unit = owner, title, total, unit
        self._begun = self._shown = owner.clock()
        self._latest = ""

    def update(self, done: float, **facts: Fact) -> None:
        """Say how much is done; a line is printed when the interval has passed."""
        self._latest = _facts(facts)
        now = self._owner.clock()
        if now - self._shown < self._owner.interval:
            return
        self._shown = now
        self._owner.note(f"{self._title}: {self._describe(done, now - self._begun)}")

    def _describe(self, done: float, elapsed: float) -> str:
        parts = [f"{done:g}" + (f" of {self._total:g}" if self._total else "")]
        if self._unit:
            parts[0] += f" {self._unit}"
        rate = done / elapsed if elapsed > 0 else 0.0
        if rate > 0:
            parts.append(f"{rate:.3g} per s")
        if self._latest:
            parts.append(self._latest)
        parts.append(f"{seconds_in_words(elapsed)} so far")
        if self._total and rate > 0 and done < self._total:
            parts.append(f"about {seconds_in_words((self._total - done) / rate)} left")
        return ", ".join(parts)

    def finish(self, how: str) -> None:
        """Print the last line of this piece of work."""
        elapsed = self._owner.clock() - self._begun
        self._owner.note(_ending(self._title, how, elapsed, self._latest))


class LineProgress:
    """Plain lines for logs and pipes: one per interval and one at the end of each piece.

    Parameters
    ----------
    stream : where the lines go
    interval : s between two lines of one piece of work
    clock : gives the time in s; only differences count
    """

    def __init__(
        self,
        stream: TextIO,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream, self.interval, self.clock = stream, interval, clock

    @contextmanager
    def step(self, title: str, total: float | None = None, unit: str = "") -> Iterator[Step]:
        """Begin a piece of work."""
        line = _LineStep(self, title, total, unit)
        self.note(f"{title}: begun")
        try:
            yield line
        except BaseException:
            line.finish("stopped")
            raise
        line.finish("done")

    def note(self, text: str) -> None:
        """Print one line now."""
        self.stream.write(text + "\n")
        self.stream.flush()


class _BarStep:
    def __init__(self, bars: Bars, task: TaskID, total: float | None, unit: str) -> None:
        self._bars, self._task, self._total = bars, task, total
        self._unit = unit or "steps"
        self._begun = time.monotonic()
        self.latest = ""

    @property
    def elapsed(self) -> float:
        """Time since the piece of work began, s."""
        return time.monotonic() - self._begun

    def update(self, done: float, **facts: Fact) -> None:
        """Move the bar and renew the facts beside it."""
        self.latest = _facts(facts)
        parts = [self.latest] if facts else []
        rate = done / self.elapsed if self.elapsed > 0 else 0.0
        if rate > 0:
            parts.append(f"{rate:.3g} {self._unit}/s")
            if self._total and done < self._total:
                parts.append(f"about {seconds_in_words((self._total - done) / rate)} left")
        self._bars.update(self._task, completed=done, facts=", ".join(parts))


class BarProgress:
    """Live bars on a terminal; pieces of work may be nested and notes appear above the bars."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None

    @contextmanager
    def step(self, title: str, total: float | None = None, unit: str = "") -> Iterator[Step]:
        """Begin a piece of work."""
        outermost = self._bars is None
        bars = self._bars = self._bars or self._new_bars()
        bars.start()
        task = bars.add_task(title, total=total, facts="")
        step, how = _BarStep(bars, task, total, unit), "stopped"
        try:
            yield step
            how = "done"
        finally:
            bars.remove_task(task)
            if outermost:
                bars.stop()
                self._bars = None
            self.note(_ending(title, how, step.elapsed, step.latest))

    def _new_bars(self) -> Bars:
        return Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )

    def note(self, text: str) -> None:
        """Print one line above the bars."""
        self._console.print(text, markup=False, highlight=False)


def for_stream(stream: TextIO | None = None, *, quiet: bool = False) -> Progress:
    """The progress that suits `stream` (standard error by default): bars on a terminal, lines else.

    Parameters
    ----------
    stream : where to report
    quiet : show nothing at all
    """
    if quiet:
        return SILENT
    target = sys.stderr if stream is None else stream
    if target.isatty():
        return BarProgress(Console(file=target))
    return LineProgress(target)
