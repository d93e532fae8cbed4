"""The command line: arguments in, one command run, every failure in plain words.

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, cast

import tyro
from pydantic import ValidationError
from tyro import conf

import osim_exo
from osim_exo.cli.baseline import Baseline
from osim_exo.cli.bench import Bench
from osim_exo.cli.command import BAD_INPUT, DONE, FAILED, INTERRUPTED, Command, attach_json_target
from osim_exo.cli.compare import Compare, Report
from osim_exo.cli.degrade import Degrade
from osim_exo.cli.deploy import Deploy
from osim_exo.cli.distil import Distil
from osim_exo.cli.doctor import Doctor
from osim_exo.cli.evaluate import Evaluate
from osim_exo.cli.export import Export
from osim_exo.cli.ik import Ik
from osim_exo.cli.models import Models
from osim_exo.cli.study import Study
from osim_exo.cli.train import Train, attach_negative_spans
from osim_exo.config import in_words
from osim_exo.errors import InputError, OsimExoError
from osim_exo.progress import for_stream

Commands = (
    Annotated[Doctor, conf.subcommand("doctor")]
    | Annotated[Models, conf.subcommand("models")]
    | Annotated[Ik, conf.subcommand("ik")]
    | Annotated[Baseline, conf.subcommand("baseline")]
    | Annotated[Train, conf.subcommand("train")]
    | Annotated[Evaluate, conf.subcommand("evaluate")]
    | Annotated[Distil, conf.subcommand("distil")]
    | Annotated[Degrade, conf.subcommand("degrade")]
    | Annotated[Study, conf.subcommand("study")]
    | Annotated[Compare, conf.subcommand("compare")]
    | Annotated[Report, conf.subcommand("report")]
    | Annotated[Export, conf.subcommand("export")]
    | Annotated[Deploy, conf.subcommand("deploy")]
    | Annotated[Bench, conf.subcommand("bench")]
)

DESCRIPTION = """Compare walking without, with an unpowered and with an assisting exoskeleton.

Everywhere: --debug (show the traceback of a failure), --quiet (show no progress), --version.

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : words after the program's name; those of this process by default

    Returns
    -------
    int
        The exit code. `SystemExit` is never raised.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug, quiet = "--debug" in words, "--quiet" in words
    words = [word for word in words if word not in ("--debug", "--quiet")]
    if "--version" in words:
        print(f"osim-exo {osim_exo.__version__}")
        return DONE
    command: Command | None = None
    try:
        command = parse(words or ["--help"])
        code = command.run(for_stream(quiet=quiet))
        sys.stdout.flush()
        return code
    except SystemExit as stop:
        return _exit_code(stop)
    except BrokenPipeError:
        _close_output()
        return FAILED
    except KeyboardInterrupt:
        _say(f"Interrupted. {command.kept if command else 'Nothing was done.'}")
        return INTERRUPTED
    except Exception as error:
        # The last line of defence: whatever went wrong below, the user reads a sentence.
        if debug:
            traceback.print_exc()
        code, message = explain(error)
        _say(message)
        return code


def parse(words: Sequence[str]) -> Command:
    """The command that `words` ask for; help and wrong arguments raise `SystemExit`."""
    parsed: Any = tyro.cli(
        cast(Any, Commands),
        args=attach_json_target(attach_negative_spans(words)),
        prog="osim-exo",
        description=DESCRIPTION,
        config=(conf.OmitSubcommandPrefixes, conf.OmitArgPrefixes, conf.FlagCreatePairsOff),
    )
    while not isinstance(parsed, Command):
        parsed = parsed.command
    return parsed


def explain(error: Exception) -> tuple[int, str]:
    """Exit code and message of a failure: what went wrong and what to do, in plain words."""
    if isinstance(error, ValidationError):
        return BAD_INPUT, in_words(error)
    if isinstance(error, OsimExoError):
        return BAD_INPUT if isinstance(error, InputError) else FAILED, str(error)
    if isinstance(error, OSError):
        where = f" ('{error.filename}')" if error.filename else ""
        reason = error.strerror or str(error) or type(error).__name__
        return FAILED, (
            f"The system refused: {reason}{where}. Check that the file or folder exists, that you "
            "may use it and that its disk has space; what was finished before is kept."
        )
    if isinstance(error, MemoryError):
        return FAILED, "The machine's memory is used up. Run fewer things at a time (--jobs 1)."
    if isinstance(error, ModuleNotFoundError):
        from osim_exo.doctor import OTHER_EXTRAS

        library = str(error.name).partition(".")[0]
        asked = (extra for extra, (modules, _) in OTHER_EXTRAS.items() if library in modules)
        return FAILED, (
            f"The library {library} is not installed, and this needs it. Install it with: "
            f'pip install "osim_exo[{next(asked, "sim")}]"; osim-exo doctor lists what is missing.'
        )
    reason = str(error).strip().partition("\n")[0]
    return FAILED, (
        f"Something went wrong that should not have: {type(error).__name__}: {reason}. Run the "
        "same command with --debug to see where, and report it with that text; osim-exo doctor "
        "shows whether the installation is sound."
    )


def _exit_code(stop: SystemExit) -> int:
    if isinstance(stop.code, str):
        _say(stop.code)
        return FAILED
    return int(stop.code or DONE)


def _say(message: str) -> None:
    print(f"osim-exo: {message}", file=sys.stderr)


def _close_output() -> None:
    """Send what is left to nowhere, so that Python does not complain again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
