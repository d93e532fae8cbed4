"""What every command shares: its shape, the ``--json`` option and the way output is printed."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table
from tyro import conf

from osim_exo.files import to_json, write_text
from osim_exo.progress import Progress

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes of every command."""

STDOUT = "-"
"""What ``--json`` means when no file is named."""

JsonTarget = Annotated[
    Path | None,
    conf.arg(metavar="[FILE.json]", help="Result as JSON, into FILE.json or to the output."),
]


@dataclass(frozen=True)
class Command(ABC):
    """One thing the command line does; the fields of a subclass are its arguments."""

    @abstractmethod
    def run(self, progress: Progress) -> int:
        """Do it and return the exit code."""

    @property
    def kept(self) -> str:
        """What an interrupt leaves behind, in one sentence."""
        return "Nothing had been written."


def attach_json_target(arguments: Sequence[str]) -> list[str]:
    """Make a ``--json`` that names no file into ``--json -``.

    The next word is its file if it ends in ``.json``, is ``-`` or lies in ``/dev``; ``bench`` and
    ``verify``, which have no list of inputs that could be taken for it, accept any file name.
    """
    any_name = bool({"bench", "verify"} & set(arguments[:2]))
    attached: list[str] = []
    for position, word in enumerate(arguments):
        attached.append(word)
        if word == "--json":
            following = arguments[position + 1] if position + 1 < len(arguments) else ""
            named = following.endswith(".json") or following.startswith("/dev/")
            if any_name:
                named = bool(following) and not following.startswith("-")
            if not (named or following == STDOUT):
                attached.append(STDOUT)
    return attached


def emit_json(target: Path, content: Any) -> None:
    """Write `content` to the file that ``--json`` named, or print it."""
    text = to_json(content)
    if str(target) == STDOUT:
        sys.stdout.write(text)
    else:
        write_text(target, text)


def output() -> Console:
    """Console for results: standard output, never wrapped where it is not a terminal."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 10_000
    return console


def table(columns: Iterable[str], rows: Iterable[Sequence[object]], title: str = "") -> Table:
    """A plain table whose first column is never cut; cells are text, whatever they hold."""
    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for position, column in enumerate(columns):
        made.add_column(column, no_wrap=position == 0)
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made
