"""Runs a black box again and compares every output bit for bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from osim_exo.control import Controller
from osim_exo.deploy.core import ControlCore
from osim_exo.deploy.log import Log, pack_output
from osim_exo.deploy.policy_controller import PolicyController
from osim_exo.errors import DataError


@dataclass(frozen=True)
class Replay:
    """What came of running a log again.

    Attributes
    ----------
    n_tick : periods in the log
    n_equal : leading periods whose outputs are equal bit for bit
    first_difference : number of the first period that differs, or None
    difference : that period as it was and as it is now, in words
    gap_at : number of the first period after lost records, where a replay has to end, or None
    torn : records that could not be read
    """

    n_tick: int
    n_equal: int
    first_difference: int | None
    difference: str
    gap_at: int | None
    torn: int

    @property
    def reproduced(self) -> bool:
        """Every period up to the end, or to the first lost record, was reproduced."""
        return self.first_difference is None and self.n_equal > 0

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"reproduced": self.reproduced, **asdict(self)}


def logged_policy(log: Log, folder: Path) -> PolicyController:
    """The policy that a log names, from another folder than it was run from.

    Raises
    ------
    DataError
        The log names none, or the folder holds another one.
    """
    spec = log.settings.controller
    if spec.kind != "policy":
        raise DataError(f"'{log.path}' was run with {spec.kind}, not with a policy; name none.")
    return PolicyController(folder, log.settings.mass, spec.policy().sha256)


def replay(log: Log, controller: Controller | None = None) -> Replay:
    """Run a log again.

    Parameters
    ----------
    log : Log
    controller : the controller that ran, where the log's settings do not name it
    """
    core = ControlCore(log.settings, controller)
    for position, record in enumerate(log.ticks):
        if record.number != position:
            return Replay(len(log.ticks), position, None, "", record.number, log.torn)
        now = core.step(record.tick)
        if pack_output(now) != pack_output(record.output):
            words = f"was {record.output}, is {now}"
            return Replay(len(log.ticks), position, record.number, words, None, log.torn)
    return Replay(len(log.ticks), len(log.ticks), None, "", None, log.torn)
