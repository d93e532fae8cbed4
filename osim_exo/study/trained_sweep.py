"""Sweeps whose cells are closed loops of trained chains, compared over seeds in OpenSim."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from osim_exo.errors import SimulationError
from osim_exo.learn.chain import Chain, read_chain
from osim_exo.learn.walkers import trained_chains
from osim_exo.provenance import config_hash
from osim_exo.results import write_results
from osim_exo.study.learned import cohort_of
from osim_exo.study.learned_arm import LearnedArm
from osim_exo.study.loops import UNIT, Loop, read_unit, settle
from osim_exo.study.sweep import Row, Sweep

TOLD = (
    "mean_activation",
    "positive_joint_power",
    "metabolic_rate_bhargava2004",
    "metabolic_rate_umberger2010",
    "cost_of_transport",
    "exo_positive_power",
    "exo_rms_torque",
    "walking_speed",
)
"""Metrics that stand in a sweep's rows; comparison.json has all."""

HEADLINE = "cost_of_transport"
"""Of what changes are told: controllers on the same human change its speed a little, too."""


class TrainedSweep(Sweep):
    """Questions to trained chains; all walk at one speed on one slope."""

    arm: LearnedArm = Field(default=LearnedArm(transfer=False), description="chains and walks")
    speed: float = Field(default=1.25, gt=0.0, le=2.2, description="m/s")
    slope_deg: float = Field(default=0.0, ge=-10.0, le=10.0, description="degrees, uphill positive")

    def of(self, trained: str | None) -> Self:
        """The same for other chains: a shipped set, or a folder, which is found from anywhere."""
        name = trained or self.arm.trained
        found = str(Path(name).resolve()) if Path(name).is_dir() else name
        return self.changed(arm=self.arm.changed(trained=found))

    def chains(self) -> dict[Path, Chain]:
        """The trained chains by their folders."""
        return dict(list(trained_chains(self.arm.trained).items())[: self.arm.seeds])

    def identity(self) -> str:
        """The settings, and the policies of all chains."""
        sums = [
            path.read_text(encoding="utf-8")
            for folder in self.chains()
            for path in sorted(folder.glob("*/policy/*/SHA256SUMS"))
        ]
        return config_hash({"sweep": self.model_dump(mode="json"), "policies": sums})

    @abstractmethod
    def loops(self, folder: Path) -> list[Loop]:
        """Closed loops of all cells that walk, in the order of arms and seeds.

        Parameters
        ----------
        folder : of the sweep; what earlier cells made lies below it
        """

    def walk(self, loop: Loop, folder: Path) -> list[Row]:
        """Walk a loop and tell of it.

        Raises
        ------
        SimulationError
            It could not be walked.
        """
        outcome = settle(loop, folder)
        if outcome.state == "failed":
            raise SimulationError(outcome.explanation)
        found = read_unit(folder, loop)
        row: Row = {
            "arm": loop.arm,
            "condition": loop.condition,
            "controller": loop.controller,
            "seed": loop.seed,
            "walks": found.walks,
            "falls": found.falls,
            "strides": found.strides,
            "seconds_walked": found.seconds,
        }
        metrics = found.unit.metrics
        return [row | {name: metrics[name].value if name in metrics else None for name in TOLD}]

    def present(self, folder: Path, rows: Sequence[Row]) -> dict[str, Any]:
        """Comparison and report; the findings are the changes against the unpowered device."""
        there = [loop for loop in self.loops(folder) if (folder / loop.place / UNIT).is_file()]
        walked = {loop: read_unit(folder, loop) for loop in there}
        trials = [found.trial for found in walked.values() if found.trial is not None]
        record = {
            "study": self.name,
            "title": self.title or self.name,
            "question": self.question,
            "configuration": self.model_dump(mode="json"),
        }
        comparison = write_results(folder, trials, record, seed=self.seed, cohort=cohort_of(walked))
        changes: dict[str, float] = {}
        for row in comparison.rows:
            together = row["group"]["seed"] is None and row["comparator"] == "zero_torque"
            if together and row["name"] == HEADLINE and row["change_percent"] is not None:
                changes[row["controller"]] = row["change_percent"]
        return {
            f"{HEADLINE}_change_percent": changes,
            "walks": sum(row["walks"] for row in rows if "walks" in row),
            "falls": sum(row["falls"] for row in rows if "falls" in row),
        }

    def lines(self, rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """One line per arm: means over seeds, falls, and changes against zero torque."""
        walked = [row for row in rows if "walks" in row]
        before = {row["seed"]: row for row in walked if row["condition"] == "zero_torque"}
        heads = ("arm", "seeds", "fell", "strides", *(name for name in TOLD), "change of cost")
        table: list[tuple[str, ...]] = []
        for arm in dict.fromkeys(row["arm"] for row in walked):
            mine = [row for row in walked if row["arm"] == arm]
            falls, walks = (sum(row[key] for row in mine) for key in ("falls", "walks"))
            counts = (str(len(mine)), f"{falls} of {walks}", str(sum(r["strides"] for r in mine)))
            means = [_mean([row[name] for row in mine]) for name in TOLD]
            changes = [
                100.0 * (row[HEADLINE] / before[row["seed"]][HEADLINE] - 1.0)
                for row in mine
                if row[HEADLINE] and before.get(row["seed"], {}).get(HEADLINE)
            ]
            shown = "–" if mine[0]["condition"] == "zero_torque" else f"{_mean(changes)} %"
            table.append((arm, *counts, *means, shown))
        return heads, table


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.4g}" if known else "–"


def seed_of(folder: Path) -> int:
    """Seed of a chain's folder."""
    return read_chain(folder).seed
