"""Muscle by muscle, or in synergies: which is learned sooner, and which walks more like people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.learn.tasks.config import Commands, Synergies, TaskConfig
from osim_exo.progress import Progress
from osim_exo.study.closed_loops import TRAINED, Walks, mean
from osim_exo.study.sweep import Row, Sweep

RAW = "muscles"

REALISM = (
    "angles/within_1_sd",
    "angles/within_2_sd",
    "grf_vertical/within_1_sd",
    "hip_flexion/rms",
    "knee_flexion/rms",
    "ankle_dorsiflexion/rms",
    "first_peak_bw",
    "least_knee_flexion_deg",
    "cadence",
)
"""Of `osim_exo.analysis.realism.realism`."""

FIGURE = "actions.png"


class Learned(Config):
    """From when on walking counts as learned."""

    episode_s: float = Field(default=9.5, gt=0.0, description="mean length of ended episodes, s")


class ActionSweep(Sweep):
    """Raw muscle actions against synergies with a bounded rest, from nothing, with equal budgets.

    Synergies are those of the solved gaits; see `osim_exo.learn.synergies`.
    """

    kind: Literal["actions"] = "actions"
    synergies: tuple[int, ...] = Field(default=(5,), min_length=1, description="groups per leg")
    residual: float = Field(default=0.1, ge=0.0, le=1.0, description="largest, per muscle")
    seeds: int = Field(default=3, ge=1, le=100, description="training seeds")
    steps: int = Field(default=2_000_000, ge=1, description="of every training")
    speed: float = Field(default=1.25, ge=0.1, le=2.2, description="m/s")
    n_env: int = Field(default=512, ge=128, le=100_000, description="environments at a time")
    learned: Learned = Learned()
    walks: Walks = Walks(physics="compiled", walks=4, duration=10.0)

    @model_validator(mode="after")
    def _groups(self) -> Self:
        if len(set(self.synergies)) < len(self.synergies) or not all(
            1 <= number <= 9 for number in self.synergies
        ):
            raise ValueError("synergies must be 1 to 9 groups per leg, each number once")
        return self

    def quick_look(self) -> Self:
        """One seed, a tenth of the training."""
        return self.changed(seeds=1, steps=max(1, self.steps // 10))

    def cells(self) -> dict[str, tuple[int | None, int]]:
        """Number of groups, None for raw muscle actions, and seed by the cell's name."""
        return {
            f"{_label(number)}_seed_{seed}": (number, seed)
            for seed in range(self.seed, self.seed + self.seeds)
            for number in (None, *self.synergies)
        }

    def waves(self) -> tuple[tuple[str, ...], ...]:
        """All cells at once."""
        return (tuple(self.cells()),)

    def task(self, number: int | None) -> TaskConfig:
        """The walking task with one kind of action; the walking reward is the same."""
        groups = None if number is None else Synergies(number=number, residual=self.residual)
        return TaskConfig(commands=Commands(speed=(self.speed, self.speed)), synergies=groups)

    def settle(self, cell: str, folder: Path, progress: Progress) -> list[Row]:
        """Train from nothing, then walk in OpenSim or compiled."""
        from osim_exo.learn.config import LearnConfig
        from osim_exo.learn.evaluate import evaluate
        from osim_exo.learn.records import RunFolder
        from osim_exo.learn.stages import DONE
        from osim_exo.learn.train import TrainConfig, resume, train
        from osim_exo.learn.walkers import load_walker

        number, seed = self.cells()[cell]
        place = folder / TRAINED / cell
        run = RunFolder(place)
        if run.summary().get("status") not in DONE:
            if run.checkpoint.is_file():
                resume(place, progress=progress)
            else:
                learn = LearnConfig(n_env=self.n_env, steps=self.steps, seed=seed)
                train(TrainConfig(task=self.task(number), learn=learn), place, progress=progress)
        walker = load_walker(place)
        found = evaluate(
            walker.task, None, self.walks.evaluation(self.speed), walker.policies, seed=seed
        )
        facts = {"action": _label(number), "groups": number, "seed": seed}
        counts = {
            "falls": found.falls,
            "walks": len(found.fell_at),
            "seconds": found.seconds,
        }
        return [{**facts, **self._pace(run.metrics()), **counts, **_realism(found.trials)}]

    def _pace(self, metrics: Sequence[dict[str, float]]) -> Row:
        """When walking was learned, and how far training came."""
        goal = self.learned.episode_s / self.task(None).control_dt
        there = [m for m in metrics if m.get("episode/length", 0.0) >= goal]
        first = there[0] if there else {}
        last = [m["episode/length"] for m in metrics if "episode/length" in m][-10:]
        return {
            "steps_to_walk": first.get("steps"),
            "seconds_to_walk": first.get("time/cpu_seconds"),
            "last_episode_s": float(np.mean(last)) * self.task(None).control_dt if last else None,
            "seconds_of_training": metrics[-1]["time/cpu_seconds"],
        }

    def present(self, folder: Path, rows: Sequence[Row]) -> dict[str, Any]:
        """Learning curves; who wins by how much; the variance that groups account for."""
        from osim_exo.analysis.sweep_figures import curve_figure, save
        from osim_exo.learn.records import RunFolder

        step = self.task(None).control_dt
        curves = []
        for row in rows:
            held = RunFolder(folder / TRAINED / f"{row['action']}_seed_{row['seed']}").metrics()
            known = [m for m in held if "episode/length" in m]
            curves.append(
                (
                    str(row["action"]),
                    [m["steps"] / 1e6 for m in known],
                    [m["episode/length"] * step for m in known],
                )
            )
        words = ("million steps", "mean episode, s")
        save(curve_figure(curves, words, self.title or self.name), folder / FIGURE)
        return {**_verdict(rows), "explained_variance": explained(), "figure": FIGURE}

    def lines(self, rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """One line per training."""
        heads = ("action", "seed", "steps to walk", "last episodes", "fell", "angles in 1 SD",
                 "in 2 SD", "first peak BW")  # fmt: skip
        table: list[tuple[str, ...]] = [
            (
                row["action"],
                str(row["seed"]),
                "not learned" if row["steps_to_walk"] is None else f"{row['steps_to_walk']:,.0f}",
                "–" if row["last_episode_s"] is None else f"{row['last_episode_s']:.1f} s",
                f"{row['falls']} of {row['walks']}",
                *(_percent(row.get(name)) for name in REALISM[:2]),
                "–" if row.get("first_peak_bw") is None else f"{row['first_peak_bw']:.2f}",
            )
            for row in rows
        ]
        return heads, table


def explained(numbers: Sequence[int] = range(3, 9)) -> dict[str, float]:
    """Variance of the solved gaits' activations that groups account for, by their number."""
    from osim_exo.learn.synergies import basis

    return {str(number): basis(number).explained for number in numbers}


def _label(number: int | None) -> str:
    return RAW if number is None else f"synergies_{number}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _realism(trials: Sequence[Any]) -> Row:
    """Mean realism of walks that have a whole stride of each side."""
    from osim_exo.analysis.realism import mean_realism

    found = mean_realism(trials)
    return {name: found.get(name) for name in REALISM}


def _verdict(rows: Sequence[Row]) -> dict[str, Any]:
    """Median steps and mean share of the cycle within people's bands, by kind of action.

    A training that did not learn to walk counts as having taken more steps than any.
    """
    found: dict[str, Any] = {"median_steps_to_walk": {}, "angles_within_1_sd": {}, "learned": {}}
    for action in dict.fromkeys(row["action"] for row in rows):
        own = [row for row in rows if row["action"] == action]
        steps = [row["steps_to_walk"] for row in own]
        middle = median([float("inf") if s is None else s for s in steps])
        found["median_steps_to_walk"][action] = middle if middle < float("inf") else None
        found["angles_within_1_sd"][action] = mean(row.get(REALISM[0]) for row in own)
        found["learned"][action] = sum(s is not None for s in steps)
    paces = {a: s for a, s in found["median_steps_to_walk"].items() if s is not None}
    human = {a: s for a, s in found["angles_within_1_sd"].items() if s is not None}
    found["soonest"] = min(paces, key=lambda a: paces[a]) if paces else None
    found["most_human"] = max(human, key=lambda a: human[a]) if human else None
    return found
