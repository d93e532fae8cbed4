"""The error family: every message says what was given, what is allowed and what to do."""

from __future__ import annotations

from collections.abc import Iterable


class OsimExoError(Exception):
    """Base of every error that osim_exo raises on purpose; the command line exits with 1."""


class InputError(OsimExoError, ValueError):
    """The user's input cannot be used; the command line exits with 2."""


class ModelError(InputError):
    """A model is unknown, malformed or lacks a component that is needed."""


class DataError(InputError):
    """A data file is missing, malformed or holds values that cannot be used."""


class SimulationError(OsimExoError):
    """A simulation left the finite numbers or OpenSim refused to go on."""


class BaselineError(OsimExoError):
    """An optimal-control solve failed; the message explains which limit held it and what to try."""


class MissingExtraError(OsimExoError, ImportError):
    """A library of an optional extra is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            f"{library} is not installed, and this needs it. "
            f'Install it with: pip install "osim_exo[{extra}]"'
        )


def check_option(name: str, value: str, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of `allowed`, else raise an `InputError` that lists them."""
    options = sorted(allowed)
    if value not in options:
        raise InputError(f"Unknown {name} '{value}'. Allowed: {', '.join(options)}.")
    return value
