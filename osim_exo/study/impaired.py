"""Impaired gait: one weakness or contracture at several levels, without and with assistance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from osim_exo.errors import InputError
from osim_exo.learn.chain import EXO, WORN, Chain, Stage, renamed
from osim_exo.learn.config import LearnConfig
from osim_exo.learn.recipes import real
from osim_exo.learn.tasks.config import Commands, ExoSenses, TaskConfig
from osim_exo.models import AnkleExo, HipExo, JointExo, ModelConfig
from osim_exo.names import CONDITIONS, Condition
from osim_exo.progress import Progress
from osim_exo.provenance import config_hash
from osim_exo.study.closed_loops import (
    TRAINED,
    Walks,
    arm_loops,
    change,
    claim,
    compare,
    mean,
    row_of,
    trained,
)
from osim_exo.study.closed_loops import walked as walk_all
from osim_exo.study.learned_arm import ENOUGH_STRIDES
from osim_exo.study.loops import Loop
from osim_exo.study.sweep import Row, Sweep

ENERGETICS = (
    ("metabolic_rate_bhargava2004", "Metabolic rate, Bhargava 2004, W/kg"),
    ("metabolic_rate_umberger2010", "Metabolic rate, Umberger 2010, W/kg"),
    ("mean_activation", "Mean activation"),
    ("positive_joint_power", "Positive joint power, W/kg"),
    ("exo_positive_power", "Exo's positive power, W/kg"),
    ("walking_speed", "Speed, m/s"),
)
SYMMETRY = (
    ("symmetry_index/hip_flexion", "Hip range, index, %"),
    ("symmetry_index/knee_flexion", "Knee range, index, %"),
    ("symmetry_index/ankle_dorsiflexion", "Ankle range, index, %"),
    ("symmetry_index/step_length", "Step length, index, %"),
    ("symmetry_index/stance_time", "Stance time, index, %"),
    ("symmetry_index/positive_work", "Positive work, index, %"),
)
"""Panels of the two figures: metric and words."""

FURTHER = (
    "metabolic_rate_bhargava2004_net",
    "symmetry_correlation/hip_flexion",
    "symmetry_correlation/knee_flexion",
    "symmetry_correlation/ankle_dorsiflexion",
    *(f"{name}/{s}" for name in ("leg_positive_work", "step_length", "stance_time") for s in "rl"),
)

METRICS = (*(name for name, _ in ENERGETICS + SYMMETRY), *FURTHER)
"""Columns of the table."""

LESSENED = {"weakness": "strength", "contracture": "fibre length"}
"""What a level is a share of."""

COST = "metabolic_rate_bhargava2004"

BARE = "no_exo"
"""Arm without a device, which all devices of a cell share."""


class ImpairedSweep(Sweep):
    """Every level with every device and training seed, by the staged protocol.

    A walker that has learned with a healthy body adapts to the impaired one, without a prescribed
    gait, with effort that goes back where it falls; from then on the stages, their budgets and a
    constant weight of effort are those of `osim_exo.learn.staged`. The devices of a level and seed
    help the same person, and are compared with the same person without one.
    """

    kind: Literal["impaired_gait"] = "impaired_gait"
    walker: str = Field(description="healthy walker: a shipped one, or the folder of a run")
    impairment: Literal["weakness", "contracture"] = "weakness"
    muscles: tuple[str, ...] = Field(
        default=("soleus", "gastroc"), min_length=1, description='without side; "all" for a leg'
    )
    side: Literal["r", "l", "both"] = "r"
    levels: tuple[float, ...] = Field(
        default=(0.75, 0.5, 0.25), min_length=1, description="of strength, or of fibre length"
    )
    devices: dict[str, JointExo] = Field(
        default_factory=lambda: {"hip": real(HipExo()), "ankle": real(AnkleExo())}, min_length=1
    )
    seeds: int = Field(default=3, ge=1, le=100, description="training seeds")
    speed: float = Field(default=1.25, ge=0.1, le=2.2, description="m/s")
    adapt_steps: int = Field(default=2_500_000, ge=1, description="to every level")
    worn_steps: int = Field(default=1_000_000, ge=1, description="to the worn device")
    exo_steps: int = Field(default=2_000_000, ge=1, description="device against frozen human")
    both_steps: int = Field(default=1_500_000, ge=1, description="human and device together")
    n_env: int = Field(default=512, ge=128, le=100_000, description="environments at a time")
    walks: Walks = Walks()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low = 0.4 if self.impairment == "contracture" else 0.05
        if len(set(self.levels)) < len(self.levels) or not all(
            low <= level <= 1.0 for level in self.levels
        ):
            raise ValueError(
                f"levels = {', '.join(f'{level:g}' for level in self.levels)} were given for a "
                f"{self.impairment}; allowed is {low:g} to 1, each once"
            )
        return self

    def quick_look(self) -> Self:
        """One level, one device, one seed, a tenth of the training, one short walk."""
        device, *_ = self.devices
        names = ("adapt_steps", "worn_steps", "exo_steps", "both_steps")
        steps = {name: max(1, getattr(self, name) // 10) for name in names}
        walks = self.walks.changed(walks=1, duration=8.0, settle=2.0)
        return self.changed(
            levels=self.levels[len(self.levels) // 2 :][:1],
            devices={device: self.devices[device]},
            seeds=1,
            walks=walks,
            **steps,
        )

    def identity(self) -> str:
        """The settings and the healthy walker."""
        from osim_exo.learn.walkers import walker_digest

        held = walker_digest(self.walker)
        return config_hash({"sweep": self.model_dump(mode="json"), "walker": held})

    def model(self, level: float) -> ModelConfig:
        """The impaired body at a level."""
        sides = ("r", "l") if self.side == "both" else (self.side,)
        factors = {f"{muscle}_{side}": level for muscle in self.muscles for side in sides}
        return ModelConfig.model_validate({self.impairment: factors})

    def chain(self, level: float, seed: int) -> Chain:
        """The stages of a cell: of the impaired human, and with every device.

        Raises
        ------
        InputError
            The healthy walker wears a device.
        """
        from osim_exo.learn.staged import StagedConfig, stages
        from osim_exo.learn.walkers import find_walker

        healthy = find_walker(self.walker).task
        if healthy.condition != "no_exo":
            raise InputError(
                f"The walker '{self.walker}' learned in the condition {healthy.condition}; an "
                "impaired walker starts from one without device (no_exo)."
            )
        human = self._adapting(healthy, level)
        found: list[Stage] = list(human)
        for device, exo in self.devices.items():
            hip_only = exo.joints == ("hip",)
            protocol = StagedConfig(
                human=human,
                device=exo,
                senses=ExoSenses(sensors=("thigh",) if hip_only else ("thigh", "joint")),
                worn_steps=self.worn_steps,
                exo_steps=self.exo_steps,
                both_steps=self.both_steps,
            )
            *worn, bare = stages(protocol)[len(human) :]
            found += [renamed(stage, _names(device)) for stage in worn]
        return Chain(stages=(*found, bare), seed=seed)

    def _adapting(self, healthy: TaskConfig, level: float) -> tuple[Stage, ...]:
        """Stages from the healthy walker to a level, by way of the study's milder ones.

        At once to a quarter of the strength, all walkers still fell after their 2.5 million steps.
        """
        before = start_place(self.walker)
        found: list[Stage] = []
        for step in sorted((x for x in self.levels if x >= level), reverse=True):
            found.append(
                Stage(
                    name=f"adapt_{100 * step:g}".replace(".", "_"),
                    task=self._task(healthy, step),
                    learn=LearnConfig(
                        n_env=self.n_env, steps=self.adapt_steps, start_from=(before,)
                    ),
                )
            )
            before = Path(found[-1].name)
        return tuple(found)

    def _task(self, healthy: TaskConfig, level: float) -> TaskConfig:
        own = self.model(level)
        model = healthy.model.changed(weakness=own.weakness, contracture=own.contracture)
        return healthy.changed(model=model, commands=Commands(speed=(self.speed, self.speed)))

    def cells(self) -> dict[str, tuple[float, int]]:
        """Level and seed by the cell's name."""
        return {
            f"{100 * level:g}_percent_seed_{seed}": (level, seed)
            for level in self.levels
            for seed in range(self.seed, self.seed + self.seeds)
        }

    def waves(self) -> tuple[tuple[str, ...], ...]:
        """All cells at once."""
        return (tuple(self.cells()),)

    def _loops(self, device: str, cell: str, folder: Path) -> list[Loop]:
        """The three arms of a device."""
        names = _names(device)
        stages: dict[str, Condition] = {names.get(arm, arm): arm for arm in CONDITIONS}
        chain = self.chain(*self.cells()[cell])
        walks = self.walks.evaluation(self.speed)
        return arm_loops(folder / TRAINED / cell, chain, stages, walks)

    def settle(self, cell: str, folder: Path, progress: Progress) -> list[Row]:
        """Train a cell's stages and walk the arms of every device."""
        level, seed = self.cells()[cell]
        trained(self.chain(level, seed), folder, cell, progress)
        rows: list[Row] = []
        for device in self.devices:
            group = self._group(folder, device, level)
            claim(group, self._record(device, level))
            found = walk_all(self._loops(device, cell, folder), group)
            facts = {"device": device, "level_percent": 100 * level, "seed": seed}
            rows += [
                row_of({**facts, "arm": loop.condition}, metrics, METRICS)
                for loop, metrics in found.items()
            ]
        return rows

    def _group(self, folder: Path, device: str, level: float) -> Path:
        return folder / f"{device}_{100 * level:g}_percent"

    def present(self, folder: Path, rows: Sequence[Row]) -> dict[str, Any]:
        """Figures over levels; for walks in OpenSim a report per device and level."""
        from osim_exo.analysis.sweep_figures import level_figure, save

        done = {(r["device"], r["level_percent"], r["seed"]) for r in rows}
        words = f"{' and '.join(self.muscles)} ({self.side})"
        findings: dict[str, Any] = {}
        for device in self.devices:
            own = [row for row in rows if row["device"] == device]
            if not own:
                continue
            axis = ("level_percent", f"{LESSENED[self.impairment]} of {words}, % of healthy")
            for name, shown in (("energetics", ENERGETICS), ("symmetry", SYMMETRY)):
                title = f"{self.title or self.name}: {name}, {device} device"
                save(level_figure(own, shown, axis, title), folder / f"{name}_{device}.png")
            for level in self.levels:
                loops = [
                    loop
                    for cell, (x, seed) in self.cells().items()
                    if x == level and (device, 100 * x, seed) in done
                    for loop in self._loops(device, cell, folder)
                ]
                if loops and self.walks.physics == "opensim":
                    group = self._group(folder, device, level)
                    compare(loops, group, self._record(device, level), ENOUGH_STRIDES)
                if loops:
                    findings |= _changes(own, device, level)
        return findings

    def _record(self, device: str, level: float) -> dict[str, Any]:
        return {
            "study": f"{self.name}_{device}_{100 * level:g}",
            "title": f"{self.title or self.name}: {device} device, {100 * level:g} %",
            "question": self.question,
            "configuration": {
                "device": device,
                "level": level,
                "sweep": self.model_dump(mode="json"),
            },
        }

    def lines(self, rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Means over seeds: falls, energetics and two symmetries of every arm."""
        heads = ("device", "level", "arm", "fell", "W/kg", "activation", "joint power W/kg",
                 "ankle SI %", "work SI %")  # fmt: skip
        table: list[tuple[str, ...]] = []
        keys = dict.fromkeys((r["device"], r["level_percent"], r["arm"]) for r in rows)
        for device, level, arm in keys:
            own = [r for r in rows if (r["device"], r["level_percent"], r["arm"])
                   == (device, level, arm)]  # fmt: skip
            fell = f"{sum(r['falls'] for r in own):g} of {sum(r['walks'] for r in own):g}"
            numbers = [
                _number(mean(r[name] for r in own), digits)
                for name, digits in (
                    (COST, 3),
                    ("mean_activation", 4),
                    ("positive_joint_power", 3),
                    ("symmetry_index/ankle_dorsiflexion", 1),
                    ("symmetry_index/positive_work", 1),
                )
            ]
            table.append((device, f"{level:g} %", arm, fell, *numbers))
        return heads, table


def _names(device: str) -> dict[str, str]:
    """What the protocol's stages with a device are called in a chain of several devices."""
    return {name: f"{name}_{device}" for name in (WORN, EXO, *CONDITIONS) if name != BARE}


def start_place(walker: str) -> Path:
    """What a training starts from: a folder from the root on, or a shipped walker's name."""
    return Path(walker).resolve() if Path(walker).is_dir() else Path(walker)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _changes(rows: Sequence[Row], device: str, level: float) -> dict[str, Any]:
    """Mean change of the metabolic rate of the assisted arm against both others, %."""
    own = [row for row in rows if row["level_percent"] == 100 * level]
    cost = {(row["arm"], row["seed"]): row[COST] for row in own}
    seeds = sorted({row["seed"] for row in own})
    return {
        f"{device}_{100 * level:g}_percent_metabolic_change_against_{arm}": mean(
            change(cost.get(("assisted", seed)), cost.get((arm, seed))) for seed in seeds
        )
        for arm in ("no_exo", "zero_torque")
    }
