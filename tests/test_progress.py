"""Long work reports through one seam: nothing, plain lines, or bars."""

import io

import pytest
from rich.console import Console

from osim_exo.progress import (
    SILENT,
    BarProgress,
    LineProgress,
    for_stream,
    seconds_in_words,
)


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3600, "1 h 00 min"),
        (7650, "2 h 07 min"),
    ],
)
def test_durations_read_as_people_say_them(seconds, words):
    assert seconds_in_words(seconds) == words


def test_lines_come_once_per_interval_with_rate_facts_and_time_left():
    stream, clock = io.StringIO(), Clock()
    with LineProgress(stream, interval=10.0, clock=clock).step("solve", 100, "steps") as step:
        for second in range(1, 22):
            clock.now = float(second)
            step.update(2 * second, objective=0.71234567, worst="soleus_r")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "solve: begun"
    assert lines[1] == (
        "solve: 20 of 100 steps, 2 per s, objective 0.7123, worst soleus_r, "
        "10 s so far, about 40 s left"
    )
    assert lines[2].startswith("solve: 40 of 100 steps")
    assert lines[3] == "solve: done after 21 s, objective 0.7123, worst soleus_r"
    assert len(lines) == 4


def test_a_step_of_unknown_length_promises_no_end():
    stream, clock = io.StringIO(), Clock()
    with LineProgress(stream, interval=1.0, clock=clock).step("solve", unit="iterations") as step:
        clock.now = 2.0
        step.update(6)
    assert "6 iterations, 3 per s, 2.0 s so far" in stream.getvalue()
    assert "left" not in stream.getvalue()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("bars", [False, True])
def test_stopped_work_is_said_to_be_stopped_and_the_error_goes_on(error, bars):
    stream = Terminal() if bars else io.StringIO()
    with pytest.raises(error), for_stream(stream).step("solve"):
        raise error
    assert "solve: stopped after" in stream.getvalue()
    assert "done" not in stream.getvalue()


def test_bars_can_be_nested_and_close_behind_themselves():
    stream = Terminal()
    progress = BarProgress(Console(file=stream, width=120))
    for _ in range(2):
        with progress.step("study", 3) as outer:
            outer.update(1)
            with progress.step("solve", unit="iterations") as inner:
                inner.update(5, objective=0.5)
            progress.note("trials in [results]")
    text = stream.getvalue()
    assert text.count("solve: done after") == 2
    assert text.count("study: done after") == 2
    assert "trials in [results]" in text


def test_silence_takes_everything_and_shows_nothing(capsys):
    with SILENT.step("solve", 3) as step:
        step.update(1, objective=2.0)
    SILENT.note("x")
    assert capsys.readouterr() == ("", "")


def test_the_stream_decides_between_bars_and_lines():
    assert isinstance(for_stream(Terminal()), BarProgress)
    assert isinstance(for_stream(io.StringIO()), LineProgress)
    assert for_stream(Terminal(), quiet=True) is SILENT
