"""From policy to device: the whole chain on one machine, scored against the simulation.

Policy bundle, C, microcontroller (or this machine), serial protocol, virtual exo, walking
simulation, black box, replay and score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from osim_exo.control import LearnedController
from osim_exo.deploy.c_source import constants_crc
from osim_exo.deploy.device_core import FirmwareSettings
from osim_exo.deploy.emulator import EmulatedDevice, build_program, missing_tools
from osim_exo.deploy.export import export, read_bundle
from osim_exo.deploy.host_c import HostDevice, build_library, host_compiler
from osim_exo.deploy.link import Link
from osim_exo.deploy.log import Log, LogWriter, read_log
from osim_exo.deploy.policy_controller import bundle_hash
from osim_exo.deploy.replay import replay
from osim_exo.deploy.runtime import RunReport, Runtime
from osim_exo.deploy.score import Score
from osim_exo.deploy.score_page import compare, page
from osim_exo.deploy.settings import ControllerSpec, RunSettings
from osim_exo.deploy.shipped import find_policy
from osim_exo.deploy.states import Ramps
from osim_exo.deploy.timing import SimulatedClock
from osim_exo.deploy.virtual_exo import VirtualExo, VirtualSettings
from osim_exo.deploy.virtual_port import InProcessLine
from osim_exo.deploy.walkers import LiveWalker as Wearer
from osim_exo.errors import InputError, SimulationError
from osim_exo.files import write_json, write_text
from osim_exo.io import read_trial, write_trial
from osim_exo.learn.config import LearnConfig
from osim_exo.learn.evaluate import Evaluation, evaluate
from osim_exo.learn.live import LiveWalker, worn_task
from osim_exo.learn.tasks.config import Commands, TaskConfig
from osim_exo.learn.walkers import POLICIES, TrainedWalker, find_walker, library
from osim_exo.models import HipExo
from osim_exo.progress import Progress
from osim_exo.study.sweep import Row, Sweep
from osim_exo.trial import Trial

Board = Literal["host", "cortex-m4", "cortex-m7"]

POLICY, REPORT, LOG, TRIAL = "policy", "report.html", "run.exolog", "simulation"
RAMPS = Ramps(armed_s=0.5, ramp_in_s=1.0, ramp_out_s=0.5)


class DeviceSweep(Sweep):
    """An exo policy on the device's firmware, at several speeds and on several boards.

    The simulation that it is compared with walks with the policy itself, with the model's own
    drives; the device has its own drives, sensors with errors, a line and the compiled policy.
    """

    kind: Literal["sim_to_device"] = "sim_to_device"
    walker: str = Field(description="a shipped walker, or the folder of a run: the human")
    exo: str = Field(
        default="",
        description="policy of the exo: a student's bundle, or a shipped one; else trained here",
    )
    exo_steps: int = Field(default=600_000, ge=1, description="of training where none is given")
    boards: tuple[Board, ...] = Field(default=("host", "cortex-m4"), min_length=1)
    speeds: tuple[float, ...] = Field(default=(1.25,), min_length=1, description="m/s")
    seconds: float = Field(default=12.0, ge=4.0, le=600.0, description="of a walk, s")
    tick_us: int = Field(
        default=5000, ge=1000, le=10_000, description="step of the firmware's torque loop, us"
    )

    def quick_look(self) -> Self:
        """One speed, a short walk."""
        return self.changed(speeds=self.speeds[:1], seconds=6.0, exo_steps=200_000)

    def waves(self) -> tuple[tuple[str, ...], ...]:
        """The policy, then every board at every speed."""
        walks = tuple(f"{board}_{speed:g}" for speed in self.speeds for board in self.boards)
        return ((POLICY,), walks)

    def settle(self, cell: str, folder: Path, progress: Progress) -> list[Row]:
        """Prepare the policy, or walk with it on one board at one speed."""
        if cell == POLICY:
            return [self._policy(folder, progress)]
        board, _, speed = cell.partition("_")
        return [self._walk(board, float(speed), folder, progress)]

    def present(self, folder: Path, rows: Sequence[Row]) -> dict[str, Any]:
        """The report of all walks."""
        shown, findings = [], {}
        for row in rows:
            if "cell" in row:
                place = folder / str(row["cell"])
                shown.append(compare(read_log(place / LOG), read_trial(place / TRIAL)))
                kept = ("r", "rmse_nm_per_kg", "lag_ms")
                findings[str(row["cell"])] = {name: row[name] for name in kept}
        remarks = (
            "Exo policy, exported C, firmware, serial protocol, virtual exo and walking "
            "simulation, all on one machine, against the same policy in the simulation alone.",
            *[_sentence(row) for row in rows if "cell" in row],
        )
        write_text(folder / REPORT, page(shown, self.title or self.name, remarks))
        return {"walks": findings, "report": REPORT}

    def lines(self, rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """One line per walk."""
        heads = ("board", "speed", "strides", "r", "RMSE Nm/kg", "lag ms", "fell", "faults")
        return heads, [
            (
                str(row["board"]),
                f"{row['speed']:g}",
                str(row["strides"]),
                _number(row["r"]),
                _number(row["rmse_nm_per_kg"]),
                _number(row["lag_ms"]),
                _number(row["fell_s"]),
                str(row["faults"] or "none"),
            )
            for row in rows
            if "cell" in row
        ]

    def _bundle(self, folder: Path) -> Path:
        return find_policy(self.exo) if self.exo else folder / POLICY / "run" / "policy" / "exo"

    def _policy(self, folder: Path, progress: Progress) -> Row:
        """Train an exo for the walker where none is given; write its C and the others."""
        place = folder / POLICY
        if not self.exo:
            # Only training needs torch.
            from osim_exo.learn.train import TrainConfig, train

            learn = LearnConfig(steps=self.exo_steps, seed=self.seed)
            train(TrainConfig(task=self.exo_task(), learn=learn), place / "run", progress=progress)
        row: Row = {"bundle": bundle_hash(self._bundle(folder))[:16]}
        for target in ("c99", "onnx", "openexo"):
            done = export(self._bundle(folder), target, place / target)
            row[f"{target}_error"] = done.largest_error
        return row

    def exo_task(self) -> TaskConfig:
        """An exo that learns to help the walker."""
        human = find_walker(self.walker)
        return TaskConfig.model_validate(
            {
                **human.task.model_dump(mode="json"),
                "condition": "assisted",
                "learner": "exo",
                "human_policy": str(_human_folder(self.walker, human.task)),
                "commands": Commands(
                    speed=(min(self.speeds), max(self.speeds)), slope_deg=(0.0, 0.0)
                ).model_dump(mode="json"),
                "model": human.task.model.changed(exo=HipExo()).model_dump(mode="json"),
            }
        )

    def _walk(self, board: str, speed: float, folder: Path, progress: Progress) -> Row:
        place = folder / f"{board}_{speed:g}"
        place.mkdir(parents=True, exist_ok=True)
        walker, bundle = find_walker(self.walker), self._bundle(folder)
        live = LiveWalker(walker, speed, seed=self.seed)
        trial = self._simulated(walker, bundle, speed, live.body_mass, progress)
        write_trial(trial, place / TRIAL)
        report = self._on_device(board, bundle, folder, live, place)
        log = read_log(place / LOG)
        result = replay(log)
        if not result.reproduced:
            raise SimulationError(f"The replay of '{log.path}' differs: {result.difference}")
        both = compare(log, trial).scores[-1]
        write_json(place / "run.json", report.to_dict())
        return _row(board, speed, both, report, log, live)

    def _simulated(
        self, walker: TrainedWalker, bundle: Path, speed: float, mass: float, progress: Progress
    ) -> Trial:
        """The policy in the simulation alone."""
        controller = LearnedController.load(bundle, mass, engine="numpy")
        settings = Evaluation(
            physics="compiled",
            speed=speed,
            runs=1,
            duration=self.seconds,
            settle=2.0,
            seed=self.seed,
            record_dt=0.01,
        )
        human = {"human": walker.policies["human"]}
        task = worn_task(walker.task, speed, 0.0)
        name = f"simulation {speed:g} m/s"
        done = evaluate(task, None, settings, human, progress, name, controller)
        if not done.trials:
            raise SimulationError(
                f"The walker falls after {done.fell_at[0]:g} s with this policy at {speed:g} m/s; "
                "there is nothing to compare with."
            )
        return done.trials[0]

    def _on_device(
        self, board: str, bundle: Path, folder: Path, live: LiveWalker, place: Path
    ) -> RunReport:
        """The policy on the device, worn by the simulated walker; simulated time."""
        _, network, _ = read_bundle(bundle)
        spec = {
            "folder": str(bundle.resolve()),
            "sha256": bundle_hash(bundle),
            "crc32": constants_crc(network),
        }
        settings = RunSettings(
            mass=live.body_mass,
            controller=ControllerSpec(kind="policy", settings=spec),
            arm=True,
            onboard=True,
            ramps=RAMPS,
            condition=place.name,
        )
        firmware = FirmwareSettings(tick_us=self.tick_us)
        exo = VirtualExo(VirtualSettings(firmware=firmware, seed=self.seed), Wearer(live))
        clock = SimulatedClock()
        (place / LOG).unlink(missing_ok=True)
        with _firmware(board, folder / POLICY / "c99", place, firmware, live.body_mass) as core:
            exo.core = core
            line = InProcessLine(exo, clock)
            log = LogWriter(place / LOG, settings, {})
            return Runtime(settings, Link(lambda: line), log, clock).run(self.seconds)


@contextmanager
def _firmware(
    board: str, sources: Path, work: Path, settings: FirmwareSettings, mass: float
) -> Iterator[Any]:
    """The firmware with the policy, compiled for this machine or on an emulated board."""
    if board == "host":
        if host_compiler() is None:
            raise SimulationError("There is no C compiler on this machine; leave out host.")
        yield HostDevice(build_library(sources, work), settings, mass)
        return
    missing = missing_tools()
    if missing:
        raise SimulationError(f"{board} needs {' and '.join(missing)}, not installed here.")
    core: Literal["cortex-m4", "cortex-m7"] = "cortex-m4" if board == "cortex-m4" else "cortex-m7"
    device = EmulatedDevice(build_program(sources, core, work), settings, mass)
    try:
        yield device
    finally:
        device.close()


def _row(
    board: str, speed: float, both: Score, report: RunReport, log: Log, live: LiveWalker
) -> Row:
    lag = None if both.phase_lag_s is None else 1e3 * both.phase_lag_s
    return {
        "cell": f"{board}_{speed:g}",
        "board": board,
        "speed": speed,
        "strides": both.n_stride,
        "r": both.r,
        "r_sd": both.r_sd,
        "rmse_nm_per_kg": both.rmse_nm_per_kg,
        "rmse_sd_nm_per_kg": both.rmse_sd_nm_per_kg,
        "lag_ms": lag,
        "fell_s": live.fell_at,
        "faults": " ".join(report.faults) or None,
        "final_state": report.final_state,
        "periods": report.ticks,
        "replayed": len(log.ticks),
    }


def _sentence(row: Row) -> str:
    fell = "did not fall" if row["fell_s"] is None else f"fell after {row['fell_s']:g} s"
    return (
        f"{row['board']} at {row['speed']:g} m/s: {row['periods']} periods, all replayed bit for "
        f"bit; the walker {fell}; faults: {row['faults'] or 'none'}."
    )


def _human_folder(walker: str, task: TaskConfig) -> Path:
    """Where the human's policy lies: of a run, of what ships, or of what a run started from."""
    for place in (Path(walker), library() / walker):
        if (place / POLICIES / "human").is_dir():
            return place / POLICIES / "human"
    if task.human_policy is None:
        raise InputError(f"The walker '{walker}' has no policy of a human. Name another run.")
    return task.human_policy


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else "-"
