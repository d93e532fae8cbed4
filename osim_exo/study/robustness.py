"""Robustness of trained walkers: falls against pushes and against everything that may differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from osim_exo.learn.robustness import PARAMETERS, RobustnessTest
from osim_exo.progress import Progress
from osim_exo.provenance import config_hash
from osim_exo.study.sweep import Row, Sweep

FIGURE = "robustness.png"


class RobustnessSweep(Sweep):
    """Every walker at every value of every parameter that it has."""

    kind: Literal["robustness"] = "robustness"
    walkers: tuple[str, ...] = Field(
        min_length=1, description="shipped walkers, or folders of training runs"
    )
    parameters: dict[str, tuple[float, ...]] = Field(
        default_factory=lambda: {name: p.values for name, p in PARAMETERS.items()},
        min_length=1,
        description="values by parameter; those that a walker lacks are left out",
    )
    test: RobustnessTest = RobustnessTest()

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = sorted(set(self.parameters) - set(PARAMETERS))
        if unknown:
            raise ValueError(
                f"there is no parameter {', '.join(unknown)}; there are: {', '.join(PARAMETERS)}"
            )
        if any(not values for values in self.parameters.values()):
            raise ValueError("a parameter has no values; leave it out, or give some")
        if len(set(self.walkers)) < len(self.walkers):
            raise ValueError("a walker is named twice")
        return self

    def for_walkers(self, walkers: Sequence[str]) -> Self:
        """The same for other walkers, whose folders are found from anywhere."""
        found = [str(Path(w).resolve()) if Path(w).is_dir() else w for w in walkers]
        return self.changed(walkers=tuple(found))

    def quick_look(self) -> Self:
        """Fewer walkers, shorter walks, three values of each parameter."""
        few = {name: _thinned(values) for name, values in self.parameters.items()}
        test = self.test.changed(
            walkers=min(self.test.walkers, 40), duration=min(self.test.duration, 6.0)
        )
        return self.changed(parameters=few, test=test)

    def identity(self) -> str:
        """The settings and the walkers' policies."""
        from osim_exo.learn.walkers import walker_digest

        held = [walker_digest(walker) for walker in self.walkers]
        return config_hash({"sweep": self.model_dump(mode="json"), "walkers": held})

    def waves(self) -> tuple[tuple[str, ...], ...]:
        """One cell per walker and parameter."""
        from osim_exo.learn.robustness import applicable
        from osim_exo.learn.walkers import find_walker

        cells = []
        for number, walker in enumerate(self.walkers):
            has = applicable(find_walker(walker).task)
            cells += [f"{number}_{name}" for name in self.parameters if name in has]
        return (tuple(cells),)

    def settle(self, cell: str, folder: Path, progress: Progress) -> list[Row]:
        """All values of one parameter for one walker."""
        from osim_exo.learn.robustness import falls
        from osim_exo.learn.walkers import find_walker

        number, _, parameter = cell.partition("_")
        name = self.walkers[int(number)]
        walker, rows = find_walker(name), []
        for value in self.parameters[parameter]:
            found = falls(walker.task, walker.policies, parameter, value, self.test)
            rows.append(
                {
                    "walker": label(name),
                    "condition": walker.task.condition,
                    "parameter": parameter,
                    "value": value,
                    "unit": PARAMETERS[parameter].unit,
                    "walkers": found.walkers,
                    "falls": found.falls,
                    "share": found.share.value,
                    "ci_low": found.share.low,
                    "ci_high": found.share.high,
                }
            )
        return rows

    def present(self, folder: Path, rows: Sequence[Row]) -> dict[str, Any]:
        """A panel per parameter; the findings are the shares that survive pushes of 0.5 m/s."""
        from osim_exo.analysis.sweep_figures import save, share_figure

        labels = {name: (p.label, p.unit) for name, p in PARAMETERS.items()}
        save(share_figure(rows, labels, self.title or self.name), folder / FIGURE)
        survived: dict[str, float] = {}
        for walker in dict.fromkeys(row["walker"] for row in rows):
            pushed = [
                row
                for row in rows
                if row["walker"] == walker
                and row["parameter"] == "push"
                and abs(abs(row["value"]) - 0.5) < 1e-9
            ]
            if pushed:
                fallen = sum(row["falls"] for row in pushed)
                survived[walker] = 1.0 - fallen / sum(row["walkers"] for row in pushed)
        return {"survive_push_0.5_mps": survived, "figure": FIGURE}

    def lines(self, rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """One line per value."""
        heads = ("walker", "parameter", "value", "fell", "share", "95 % interval")
        table: list[tuple[str, ...]] = [
            (
                row["walker"],
                row["parameter"],
                f"{row['value']:g} {row['unit'] if row['unit'] != '1' else ''}".strip(),
                f"{row['falls']} of {row['walkers']}",
                f"{100 * row['share']:.1f} %",
                f"{100 * row['ci_low']:.1f} to {100 * row['ci_high']:.1f} %",
            )
            for row in rows
        ]
        return heads, table


def label(walker: str) -> str:
    """A walker's short name: the last part of its folder, and the one before in a chain."""
    path = Path(walker)
    return "/".join(path.parts[-2:]) if path.is_dir() else walker


def _thinned(values: tuple[float, ...]) -> tuple[float, ...]:
    """First, middle and last."""
    return tuple(dict.fromkeys((values[0], values[len(values) // 2], values[-1])))
