"""Sweeps: one question over many cells, each kept as it is done, on one machine or on many."""

from __future__ import annotations

import csv
import io
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from osim_exo.config import Config
from osim_exo.errors import InputError, OsimExoError, SimulationError
from osim_exo.files import MARKER, claim_output, read_json, write_json, write_text
from osim_exo.parallel import Backend, each, placed
from osim_exo.progress import SILENT, Progress
from osim_exo.provenance import config_hash, cores, provenance

Row = dict[str, Any]
"""One line of a sweep's table: texts and finite numbers by name, None where there is no value."""

RESULTS_JSON, RESULTS_CSV = "results.json", "results.csv"


class Sweep(Config):
    """A question that is answered cell by cell; kinds of sweeps say what a cell is."""

    kind: str = Field(description="which kind of sweep")
    name: str = Field(
        min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="label"
    )
    title: str = Field(default="", description="heading of tables and figures")
    question: str = Field(default="", description="what the study asks, a sentence")
    seed: int = Field(default=0, ge=0, description="every random number follows from it")

    @abstractmethod
    def quick_look(self) -> Self:
        """The same question in little time."""

    @abstractmethod
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """Names of cells in groups; all that a cell needs lies in earlier groups."""

    @abstractmethod
    def settle(self, cell: str, folder: Path, progress: Progress) -> list[Row]:
        """Do a cell; runs in any process, and keeps what it makes below `folder`.

        Parameters
        ----------
        cell : one of the names of `waves`
        folder : the sweep's
        progress : Progress
        """

    @abstractmethod
    def present(self, folder: Path, rows: Sequence[Row]) -> dict[str, Any]:
        """Draw figures and tables into `folder`; returns findings that follow from all rows."""

    @abstractmethod
    def lines(self, rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Headings and lines of the table that is printed."""

    def identity(self) -> str:
        """Hash of all that results depend on; cells of another identity are done anew."""
        return config_hash(self)


@dataclass(frozen=True)
class SweepResult:
    """What a sweep gave.

    Attributes
    ----------
    config : as run
    folder : with study.json, results.json, results.csv, figures and a folder per cell
    rows : of all cells
    findings : what follows from all rows
    failures : explanation by cell that could not be done
    """

    config: Sweep
    folder: Path
    rows: tuple[Row, ...]
    findings: Mapping[str, Any]
    failures: Mapping[str, str]


def run_sweep(
    sweep: Sweep,
    out: str | Path,
    *,
    quick: bool = False,
    jobs: int | None = None,
    backend: Backend | None = None,
    address: str | None = None,
    progress: Progress = SILENT,
) -> SweepResult:
    """Run a sweep, or go on with it where it stopped; finished cells are kept.

    Parameters
    ----------
    sweep : Sweep
    out : output folder, new or of the same sweep
    quick : take a quick look
    jobs : cells at a time; all cores by default
    backend, address : where cells run; see `osim_exo.parallel.placed`
    progress : Progress

    Raises
    ------
    InputError
        A setting cannot be used, or the folder holds something else.
    SimulationError
        No cell could be done; the message says why the first one failed.
    """
    sweep = sweep.quick_look() if quick else sweep
    if jobs is not None and jobs < 1:
        raise InputError(f"{jobs} jobs were given; at least 1 is needed.")
    folder, identity = Path(out).resolve(), sweep.identity()
    marker = {"study": sweep.name, "kind": sweep.kind, "config_hash": identity}
    claim_output(folder, marker)
    record = {
        **marker,
        "title": sweep.title or sweep.name,
        "question": sweep.question,
        "seed": sweep.seed,
        "configuration": sweep.model_dump(mode="json"),
        "provenance": provenance(seed=sweep.seed),
    }
    write_json(folder / MARKER, record)
    groups = sweep.waves()
    failures: dict[str, str] = {}
    at_once, done = jobs or cores(), 0
    total = sum(len(group) for group in groups)
    with (
        placed(backend, at_once, address),
        progress.step(f"Study {sweep.name}", total=total, unit="cells") as step,
    ):
        for group in groups:
            calls = [(sweep, folder, cell, identity) for cell in group]
            here = len(calls) < 2 or (at_once == 1 and backend in (None, "loky"))
            outcomes = (
                (_settle(*call, progress) for call in calls)
                if here
                else each(_settle, calls, at_once)
            )
            for cell, failure in outcomes:
                done += 1
                step.update(done, last=cell)
                if failure is not None:
                    failures[cell] = failure
                    progress.note(f"{cell} failed: {failure}")
    return _finish(sweep, folder, failures, record)


def cell_file(folder: Path, cell: str) -> Path:
    """Where a cell's rows are kept."""
    return folder / "cells" / f"{cell}.json"


def read_rows(folder: Path, cell: str, identity: str) -> list[Row] | None:
    """Rows of a cell that is done; None where it is not, or was done for something else."""
    path = cell_file(folder, cell)
    if not path.is_file():
        return None
    content = read_json(path)
    if not isinstance(content, dict) or content.get("config_hash") != identity:
        return None
    return list(content["rows"])


def _settle(
    sweep: Sweep, folder: Path, cell: str, identity: str, progress: Progress = SILENT
) -> tuple[str, str | None]:
    """Bring a cell to its end; a failure is an outcome, not an exception."""
    if read_rows(folder, cell, identity) is not None:
        return cell, None
    try:
        rows = sweep.settle(cell, folder, progress)
    except (OsimExoError, ArithmeticError) as error:
        return cell, str(error)
    write_json(cell_file(folder, cell), {"config_hash": identity, "rows": rows})
    return cell, None


def _finish(
    sweep: Sweep, folder: Path, failures: Mapping[str, str], record: Mapping[str, Any]
) -> SweepResult:
    identity = str(record["config_hash"])
    rows: list[Row] = []
    for group in sweep.waves():
        for cell in group:
            rows += read_rows(folder, cell, identity) or []
    if not rows:
        first = next(iter(failures.values()), "There was nothing to do.")
        raise SimulationError(f"Study {sweep.name} has no result. {first}")
    findings = sweep.present(folder, rows)
    content = {"schema_version": 1, **record, "failures": dict(failures), "findings": findings}
    write_json(folder / RESULTS_JSON, {**content, "rows": rows})
    write_text(folder / RESULTS_CSV, as_csv(rows))
    return SweepResult(sweep, folder, tuple(rows), findings, dict(failures))


def as_csv(rows: Sequence[Row]) -> str:
    """Rows as a table; a column for every name that occurs, empty where a row lacks it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
