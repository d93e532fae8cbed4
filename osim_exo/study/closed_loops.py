"""What sweeps over trained walkers share: chains trained per cell, walked in OpenSim, compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from osim_exo.errors import DataError, SimulationError
from osim_exo.files import claim_output
from osim_exo.learn.chain import Chain
from osim_exo.learn.evaluate import Evaluation
from osim_exo.names import Condition
from osim_exo.progress import SILENT, Progress
from osim_exo.provenance import config_hash
from osim_exo.study.learned import run_loops
from osim_exo.study.learned_arm import WalkSettings
from osim_exo.study.loops import Loop, read_unit, settle
from osim_exo.study.sweep import Row

TRAINED = "trained"
"""Folder of a sweep with a chain per cell."""


class Walks(WalkSettings):
    """How what was learned is walked."""

    physics: Literal["opensim", "compiled"] = "opensim"

    def evaluation(self, speed: float, slope_deg: float = 0.0) -> Evaluation:
        """The walks at a speed (m/s) and slope (degrees)."""
        return self.walked_in(self.physics, speed, slope_deg)


def trained(chain: Chain, folder: Path, cell: str, progress: Progress) -> Path:
    """Train a cell's chain, or find it trained; returns its folder."""
    from osim_exo.learn.stages import run_chain

    place = folder / TRAINED / cell
    run_chain(chain, place, progress=progress)
    return place


def whole(chain: Chain, folder: Path, cell: str) -> Path:
    """Folder of a chain that an earlier cell has trained.

    Raises
    ------
    DataError
        It did not come to its end; two cells must not train it at once.
    """
    from osim_exo.learn.stages import steps_done

    place = folder / TRAINED / cell
    _, where = steps_done(chain, place)
    if where != "done":
        raise DataError(
            f"The training in '{place}' ended in stage {where}; there is nothing to walk yet. Run "
            "the study again: it goes on there."
        )
    return place


def walked(loops: Iterable[Loop], folder: Path) -> dict[Loop, dict[str, float]]:
    """Walk loops, or find them walked; their metrics by name.

    Parameters
    ----------
    loops : Loop
    folder : that keeps their units, as of `run_loops`

    Raises
    ------
    SimulationError
        A loop could not be walked; the message says why.
    """
    found = {}
    for loop in loops:
        outcome = settle(loop, folder)
        if outcome.state == "failed":
            raise SimulationError(f"{loop.name} could not be walked: {outcome.explanation}")
        unit = read_unit(folder, loop)
        metrics = {name: metric.value for name, metric in unit.unit.metrics.items()}
        counts = {"walks": unit.walks, "falls": unit.falls, "strides": unit.strides}
        found[loop] = {**metrics, **counts, "seconds": unit.seconds}
    return found


def row_of(facts: Row, metrics: Mapping[str, float], names: Sequence[str]) -> Row:
    """One line: facts, falls, and metrics; None where a walk has no such metric."""
    counts = {name: metrics[name] for name in ("walks", "falls", "strides", "seconds")}
    return {**facts, **counts, **{name: metrics.get(name) for name in names}}


def change(value: float | None, reference: float | None) -> float | None:
    """Relative change, %; None where one of both is missing."""
    if value is None or reference is None or reference == 0.0:
        return None
    return 100.0 * (value / reference - 1.0)


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of those that are there; None without any."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def claim(folder: Path, record: Mapping[str, Any]) -> None:
    """Take a folder for the walks that `compare` will compare; see there."""
    marker = {"study": record["study"], "config_hash": config_hash(record["configuration"])}
    claim_output(folder, marker)


def compare(
    loops: Sequence[Loop], folder: Path, record: Mapping[str, Any], least_strides: int
) -> None:
    """Comparison and report of walks that are stored in `folder`.

    Parameters
    ----------
    loops : all arms of all seeds
    folder : that keeps their units
    record : ``study``, ``title``, ``question`` and ``configuration``
    least_strides : of a unit, below which the report says so
    """
    run_loops(loops, folder, record, least_strides=least_strides, jobs=1, progress=SILENT)


def arm_loops(
    place: Path, chain: Chain, stages: Mapping[str, Condition], settings: Evaluation
) -> list[Loop]:
    """Loops of a chain's stages, each an arm of its own.

    Parameters
    ----------
    place : folder of the chain
    chain : Chain
    stages : condition by name of a stage
    settings : Evaluation
    """
    return [
        Loop(stage, condition, place, stage, chain.seed, settings)
        for stage, condition in stages.items()
    ]
