"""Dose and response: how heavy may a device be, and how strong must it be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from osim_exo.errors import InputError
from osim_exo.learn.chain import WORN, Chain, Stage
from osim_exo.learn.config import LearnConfig
from osim_exo.learn.recipes import device_learning, device_task, real, walking
from osim_exo.learn.tasks.config import Commands, ExoSenses, TaskConfig
from osim_exo.models import HipExo, JointExo
from osim_exo.names import CONDITIONS
from osim_exo.progress import Progress
from osim_exo.provenance import config_hash
from osim_exo.study.closed_loops import Walks, change, mean, row_of, trained, walked, whole
from osim_exo.study.impaired import start_place
from osim_exo.study.loops import Loop
from osim_exo.study.sweep import Row, Sweep

COST = "metabolic_rate_bhargava2004"
METRICS = (
    COST,
    "metabolic_rate_bhargava2004_net",
    "metabolic_rate_umberger2010",
    "mean_activation",
    "positive_joint_power",
    "exo_positive_power",
    "exo_rms_torque",
    "walking_speed",
)
"""Columns of the table."""

FIGURE = "dose_response.png"
TRAIN = "train"
"""Cells that train, with the seed behind; the others walk."""

NO_EXO, ZERO_TORQUE, ASSISTED = CONDITIONS


class DoseSweep(Sweep):
    """A grid of device mass and torque limit, walked by the same people.

    A human per seed learns to carry the unpowered device at masses that are drawn anew for every
    episode, and is frozen then; for every torque limit a device learns to help that human, at these
    masses too. So all cells of a seed share one human and start alike, and what differs is the
    dose: humans who adapted to every mass by themselves differed by more than the masses do. A
    frozen human is slow to take help: savings are lower bounds.

    Without reflected inertia, so that the lightest device has none of it either.
    """

    kind: Literal["dose_response"] = "dose_response"
    walker: str = Field(description="a shipped walker, or the folder of a run, without device")
    device: JointExo = Field(
        default_factory=lambda: real(HipExo(reflected_inertia=0.0)),
        description="its parts are made lighter or heavier, its torque limit is changed",
    )
    masses: tuple[float, ...] = Field(default=(0.0, 1.5, 3.0, 5.0), min_length=1, description="kg")
    torques: tuple[float, ...] = Field(
        default=(0.0, 5.0, 10.0, 15.0, 20.0), min_length=1, description="limits, Nm; 0: unpowered"
    )
    seeds: int = Field(default=3, ge=1, le=100, description="training seeds")
    speed: float = Field(default=1.25, ge=0.1, le=2.2, description="m/s")
    worn_steps: int = Field(default=3_000_000, ge=1, description="of the human, at all masses")
    exo_steps: int = Field(default=4_000_000, ge=1, description="of the device, per limit")
    n_env: int = Field(default=512, ge=128, le=100_000, description="environments at a time")
    walks: Walks = Walks()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, values, most in (("masses", self.masses, 20.0), ("torques", self.torques, 100.0)):
            if len(set(values)) < len(values) or not all(0.0 <= v <= most for v in values):
                raise ValueError(
                    f"{name} = {', '.join(f'{v:g}' for v in values)} were given; allowed is 0 to "
                    f"{most:g}, each once"
                )
        if self.device.reflected_inertia > 0.0 and 0.0 in self.masses:
            raise ValueError("a device of 0 kg has no part that carries a reflected inertia")
        return self

    def quick_look(self) -> Self:
        """The corners of the grid, one seed, a tenth of the training, one short walk."""
        return self.changed(
            masses=tuple(dict.fromkeys((self.masses[0], self.masses[-1]))),
            torques=tuple(dict.fromkeys((self.torques[0], self.torques[-1]))),
            seeds=1,
            worn_steps=max(1, self.worn_steps // 10),
            exo_steps=max(1, self.exo_steps // 10),
            walks=self.walks.changed(walks=1, duration=8.0, settle=2.0),
        )

    def identity(self) -> str:
        """The settings and the walker."""
        from osim_exo.learn.walkers import walker_digest

        held = walker_digest(self.walker)
        return config_hash({"sweep": self.model_dump(mode="json"), "walker": held})

    def built(self, mass: float, torque: float) -> JointExo:
        """The device of a cell."""
        scale = mass / self.device.mass if self.device.mass else 0.0
        parts = tuple(part.changed(mass=part.mass * scale) for part in self.device.parts if mass)
        limits = self.device.limits
        strongest = torque or max(self.torques) or limits.max_torque
        return self.device.changed(parts=parts, limits=limits.changed(max_torque=strongest))

    def waves(self) -> tuple[tuple[str, ...], ...]:
        """Training of a seed's human and its devices; then every mass of every seed."""
        seeds = range(self.seed, self.seed + self.seeds)
        masses = (None, *self.masses)
        return (
            tuple(f"{TRAIN}_{seed}" for seed in seeds),
            tuple(self._cell(mass, seed) for mass in masses for seed in seeds),
        )

    def _cell(self, mass: float | None, seed: int) -> str:
        return f"{NO_EXO if mass is None else f'{mass:g}_kg'}_seed_{seed}"

    def chain(self, seed: int) -> Chain:
        """Stages of a seed: the human learns to carry the device, then a device per torque limit.

        Raises
        ------
        InputError
            The walker wears a device.
        """
        from osim_exo.learn.walkers import find_walker

        healthy = find_walker(self.walker).task
        if healthy.condition != "no_exo":
            raise InputError(
                f"The walker '{self.walker}' learned in the condition {healthy.condition}; a dose "
                "response starts from one without device (no_exo)."
            )
        task = walking(healthy).changed(commands=Commands(speed=(self.speed, self.speed)))
        lightest, heaviest = min(self.masses), max(self.masses)
        if lightest < heaviest:
            drawn = task.randomisation.changed(exo_mass=(lightest, heaviest))
            task = task.changed(randomisation=drawn)
        learn = LearnConfig(
            n_env=self.n_env, steps=self.worn_steps, start_from=(start_place(self.walker),)
        )
        model = task.model.changed(exo=self.built(heaviest, 0.0))
        worn = Stage(
            name=WORN, task=task.changed(condition="zero_torque", model=model), learn=learn
        )
        powered = (self._powered(task, torque, learn) for torque in self.torques if torque)
        return Chain(stages=(worn, *powered), seed=seed)

    def _powered(self, task: TaskConfig, torque: float, learn: LearnConfig) -> Stage:
        """A device with a torque limit learns to help the frozen human."""
        exo = self.built(max(self.masses), torque)
        hip_only = exo.joints == ("hip",)
        driven = task.changed(
            condition="assisted",
            model=task.model.changed(exo=exo),
            learner="exo",
            human_policy=Path(WORN) / "policy" / "human",
            senses=ExoSenses(sensors=("thigh",) if hip_only else ("thigh", "joint")),
        )
        own = device_learning(learn, self.exo_steps)
        return Stage(name=_stage(torque), task=device_task(driven), learn=own)

    def settle(self, cell: str, folder: Path, progress: Progress) -> list[Row]:
        """Train a seed's stages, or walk a mass with every torque limit."""
        name, _, number = cell.rpartition("_")
        seed = int(number)
        chain = self.chain(seed)
        if name == TRAIN:
            trained(chain, folder, f"seed_{seed}", progress)
            return []
        place = whole(chain, folder, f"seed_{seed}")
        mass = next((m for m in self.masses if self._cell(m, seed) == cell), None)
        found = walked(self._loops(mass, chain, place), folder)
        limits = {_stage(torque): torque for torque in self.torques}
        return [
            row_of(
                {
                    "mass_kg": mass,
                    "max_torque_nm": None if mass is None else limits.get(loop.stage, 0.0),
                    "seed": seed,
                    "arm": loop.condition,
                },
                metrics,
                METRICS,
            )
            for loop, metrics in found.items()
        ]

    def _loops(self, mass: float | None, chain: Chain, place: Path) -> list[Loop]:
        """Walks of a mass, or of the same human without device."""
        walks = self.walks.evaluation(self.speed)
        if mass is None:
            return [Loop(NO_EXO, NO_EXO, place, WORN, chain.seed, walks, wears="none")]
        loops = []
        for torque in self.torques:
            stage, condition = (_stage(torque), ASSISTED) if torque else (WORN, ZERO_TORQUE)
            arm = f"{mass:g}_kg_{torque:g}_nm"
            wears = self.built(mass, torque)
            loops.append(Loop(arm, condition, place, stage, chain.seed, walks, wears=wears))
        return loops

    def grid(
        self, rows: Sequence[Row], metric: str = COST
    ) -> list[tuple[float, float, float | None]]:
        """Torque limit, mass, and mean change against no device (%) of every cell."""
        bare = {row["seed"]: row[metric] for row in rows if row["mass_kg"] is None}
        found = []
        for mass in self.masses:
            for torque in self.torques:
                own = [
                    r for r in rows if (r["mass_kg"], r["max_torque_nm"]) == (mass, torque)
                ]  # fmt: skip
                changes = (change(r[metric], bare.get(r["seed"])) for r in own)
                found.append((torque, mass, mean(changes)))
        return found

    def present(self, folder: Path, rows: Sequence[Row]) -> dict[str, Any]:
        """A map of the change of the metabolic rate; per mass, the torque that costs least."""
        from osim_exo.analysis.sweep_figures import map_figure, save

        cells = self.grid(rows)
        words = "change of metabolic rate against no device, %"
        labels = ("torque limit, Nm", "device's mass, kg", words)
        save(map_figure(cells, labels, self.title or self.name), folder / FIGURE)
        best: dict[str, Any] = {}
        for mass in self.masses:
            known = [
                (value, torque) for torque, m, value in cells if m == mass and value is not None
            ]
            best[f"{mass:g} kg"] = min(known)[1] if known else None
        return {"torque_of_least_cost_nm": best, "figure": FIGURE}

    def lines(self, rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """One line per cell, means over seeds."""
        heads = ("mass", "torque limit", "fell", "W/kg", "change", "exo W/kg", "exo RMS Nm")
        changes = {(mass, torque): value for torque, mass, value in self.grid(rows)}
        table: list[tuple[str, ...]] = []
        for key in dict.fromkeys((r["mass_kg"], r["max_torque_nm"]) for r in rows):
            own = [r for r in rows if (r["mass_kg"], r["max_torque_nm"]) == key]
            value = changes.get(key)
            fell = f"{sum(r['falls'] for r in own):g} of {sum(r['walks'] for r in own):g}"
            numbers = [mean(r[name] for r in own) for name in (COST, *METRICS[-3:-1])]
            cost, power, torque = ("–" if v is None else f"{v:.3g}" for v in numbers)
            mass = "no device" if key[0] is None else f"{key[0]:g} kg"
            limit = "–" if key[1] is None else f"{key[1]:g} Nm"
            shown = "–" if value is None else f"{value:+.1f} %"
            table.append((mass, limit, fell, cost, shown, power, torque))
        return heads, table


def _stage(torque: float) -> str:
    """Name of the stage with a torque limit."""
    return f"exo_{torque:g}_nm".replace(".", "_")
