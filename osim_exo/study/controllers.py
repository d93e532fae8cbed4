"""Which controller helps a person most who is used to the device's mass, but not to its torque."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from osim_exo.control import TorqueTable
from osim_exo.errors import DataError, InputError
from osim_exo.files import read_json, write_json
from osim_exo.learn.chain import EXO, WORN
from osim_exo.learn.walkers import load_stage
from osim_exo.progress import Progress
from osim_exo.study import conditions
from osim_exo.study.config import StudyConfig
from osim_exo.study.loops import Drive, Loop
from osim_exo.study.plan import Task as Condition
from osim_exo.study.plan import assisted_arms, cases
from osim_exo.study.sweep import Row
from osim_exo.study.trained_sweep import TrainedSweep
from osim_exo.study.tuning import Tuning, optimise_spline, sweep_feedback

Baseline = Literal["delayed_output_feedback", "spline", "playback"]

TUNED: tuple[Baseline, ...] = ("delayed_output_feedback", "spline")
"""Controllers that are tuned for a seed's human."""

SOLVE, TUNE = "playback", "tune"
"""Cells before the walks: the torque to play back, and the tuning of a seed's controllers."""


class ControllerSweep(TrainedSweep):
    """Controllers against the same frozen human, who has adapted to the worn, unpowered device.

    Feedback and spline are tuned for each seed's human in the compiled physics; the torque that is
    played back is solved by optimal control; the learned policy is that of the stage in which the
    device learned while the human did not. All walk in OpenSim.
    """

    kind: Literal["controllers"] = "controllers"
    controllers: tuple[Baseline, ...] = ("delayed_output_feedback", "spline", "playback")
    tuning: Tuning = Tuning()
    mesh_intervals: int = Field(default=50, ge=10, le=400, description="of the optimal control")

    def quick_look(self) -> Self:
        """Two seeds, one walk, a small search and a coarse mesh."""
        few = self.tuning.changed(
            gains=self.tuning.gains[::2], delays_s=self.tuning.delays_s[::2], generations=3,
            candidates=16,
        )  # fmt: skip
        arm = self.arm.quick_look().changed(seeds=2)
        return self.changed(arm=arm, tuning=few, mesh_intervals=25)

    def waves(self) -> tuple[tuple[str, ...], ...]:
        """The torque to play back and the tuning; then every arm of every seed."""
        seeds = [chain.seed for chain in self.chains().values()]
        first = [SOLVE] if "playback" in self.controllers else []
        first += [f"{TUNE}_{seed}" for seed in seeds if set(TUNED) & set(self.controllers)]
        walks = [f"{arm}-{seed}" for arm in self._arms() for seed in seeds]
        return (tuple(first), tuple(walks)) if first else (tuple(walks),)

    def _arms(self) -> tuple[str, ...]:
        return ("zero_torque", "learned", *self.controllers)

    def settle(self, cell: str, folder: Path, progress: Progress) -> list[Row]:
        """Solve, tune or walk."""
        if cell == SOLVE:
            write_json(_played(folder), self._solve(folder, progress).model_dump(mode="json"))
            return []
        arm, dash, seed = cell.partition("-")
        if not dash:
            return self._tune(int(cell.removeprefix(f"{TUNE}_")), folder)
        return self.walk(self._loop(arm, int(seed), folder), folder)

    def loops(self, folder: Path) -> list[Loop]:
        """Every arm of every seed that could be prepared."""
        found = []
        for arm in self._arms():
            for chain in self.chains().values():
                try:
                    found.append(self._loop(arm, chain.seed, folder))
                except DataError:  # its torque was not solved or tuned; told among the failures
                    continue
        return found

    def _loop(self, arm: str, seed: int, folder: Path) -> Loop:
        chain = next(place for place, chain in self.chains().items() if chain.seed == seed)
        settings = self.arm.evaluation(self.speed, self.slope_deg)
        if arm == "zero_torque":
            return Loop(arm, "zero_torque", chain, WORN, seed, settings)
        if arm == "learned":
            return Loop(arm, "assisted", chain, EXO, seed, settings)
        if arm == "playback":
            drive = Drive(playback=TorqueTable.model_validate(read_json(_played(folder))))
        else:
            drive = Drive.model_validate(read_json(_tuned(folder, seed))[arm])
        return Loop(arm, "assisted", chain, WORN, seed, settings, drive)

    def _tune(self, seed: int, folder: Path) -> list[Row]:
        """Find the best feedback and spline for a seed's human; tells of every candidate."""
        chain = next(place for place, chain in self.chains().items() if chain.seed == seed)
        walker = load_stage(chain, WORN)
        best: dict[str, Any] = {}
        rows: list[Row] = []
        for name, search in zip(TUNED, (sweep_feedback, optimise_spline)):
            if name in self.controllers:
                tried = search(walker, self.speed, self.slope_deg, self.tuning)
                best[name] = tried[0].drive.model_dump(mode="json")
                rows += [
                    {"tried": name, "seed": seed, "cost": one.cost, **_parameters(one.drive)}
                    for one in tried
                ]
        write_json(_tuned(folder, seed), best)
        return rows

    def _solve(self, folder: Path, progress: Progress) -> TorqueTable:
        """Torque of the best gait with this device, by optimal control."""
        from osim_exo.study.run import run

        place, chain = next(iter(self.chains().items()))
        model = chain.task(place, WORN).model
        if model.exo is None:
            raise InputError(f"The worn human of the chain in '{place}' wears no device.")
        config = StudyConfig(
            name="playback", model=model.name, speeds=(self.speed,), slopes_deg=(self.slope_deg,),
            exo=model.exo,
        )  # fmt: skip
        config = config.changed(solver=config.solver.changed(mesh_intervals=self.mesh_intervals))
        run(config, folder / SOLVE, jobs=1, progress=progress)
        (arm,), (case,) = assisted_arms(config), cases(config)
        return conditions.torque_profile(conditions.place(folder / SOLVE, Condition(arm, case)))


def _played(folder: Path) -> Path:
    return folder / "playback.json"


def _tuned(folder: Path, seed: int) -> Path:
    return folder / "tuning" / f"seed_{seed}.json"


def _parameters(drive: Drive) -> Row:
    if drive.feedback is not None:
        return {"gain_Nm": drive.feedback.gain, "delay_s": drive.feedback.delay_s}
    if drive.spline is None:
        return {}
    return {
        "extension_Nm": drive.spline.extension.peak_torque,
        "extension_peak_percent": drive.spline.extension.peak_percent,
        "flexion_Nm": drive.spline.flexion.peak_torque,
        "flexion_peak_percent": drive.spline.flexion.peak_percent,
    }
