"""``osim-exo evaluate``: walks of a trained policy in OpenSim, and compiled for contrast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from tyro import conf

from osim_exo.cli.command import (
    DONE,
    FAILED,
    STDOUT,
    Command,
    JsonTarget,
    emit_json,
    output,
    table,
)
from osim_exo.cli.realism_tables import (
    show_gates,
    show_realism,
    show_trends,
    trend_rows,
)
from osim_exo.cli.tracking_table import show_tracking, tracking_rows
from osim_exo.errors import InputError
from osim_exo.files import writable_folder
from osim_exo.progress import Progress

if TYPE_CHECKING:
    from osim_exo.analysis.gates import Gate
    from osim_exo.analysis.trends import Trend
    from osim_exo.learn.evaluate import Evaluation, Walked
    from osim_exo.learn.tasks.config import TaskConfig
    from osim_exo.learn.walkers import TrainedWalker

GRID_SPEEDS = (0.8, 1.0, 1.25, 1.6)
GRID_SLOPES = (-7.0, -3.5, 0.0, 3.5, 7.0)
"""m/s and degrees at which ``--endurance`` and ``--trends`` look."""

CHANGING_S = 15.0
"""Time in which ``--endurance`` changes the command; a third each, or two thirds before a stop."""


@dataclass(frozen=True)
class Evaluate(Command):
    """Walk with a trained policy and tell what its strides were like.

    OpenSim is the physics of record; the compiled model shows what the transfer between the two
    changes. Falls are counted. Angles, forces, moments, powers and muscles' timing are compared
    with the human curves of Schwartz et al. 2008 at the same speed relative to leg length; they
    are of level walking. A walker that imitates is
    compared with its reference too: moment by moment, and by mean strides whatever their phase.
    Exit code 1 if no walk lasted
    long enough for a stride.
    """

    walker: conf.Positional[str]
    """folder of a training run, or the name of a shipped walker as gait2d_walk_1.25_mps, or of a
    shipped chain as hip or hip/seed_1, whose assisted walker walks, or hip/seed_4/no_exo"""

    physics: Literal["opensim", "compiled", "both"] = "both"
    """which physics"""

    speed: float = 1.25
    """commanded speed, m/s"""

    slope: float = 0.0
    """uphill positive, degrees"""

    runs: int = 2
    """walks, begun at phases spread over the stride"""

    duration: float = 12.0
    """of a walk, s; the first 3 s are left out of the strides"""

    standing: bool = False
    """begin standing, not within a stride"""

    substep: float = 0.0005
    """step of the compiled physics, s"""

    accuracy: float = 1e-3
    """of OpenSim's integrator"""

    sensor_noise: Literal["none", "trained", "usual"] = "none"
    """errors of the device's sensors: none, as its policy was trained, or those of students"""

    strap: float | None = None
    """stiffness between device and limb, Nm/rad; by default as it was trained"""

    pushes: bool = False
    """push walkers too, compiled: the share that stays up, by the change of forward speed"""

    endurance: bool = False
    """who stays up for 10 s over speeds and slopes, from within a stride and from standing, and
    where the commanded speed changes, or drops to nothing"""

    trends: bool = False
    """walk over speeds and slopes, and tell whether the gait changes with them as people's does"""

    out: Path | None = None
    """folder for the trials, to compare and to look at; else only printed"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Load, walk, write and print."""
        from osim_exo.analysis.realism import mean_realism
        from osim_exo.learn.evaluate import evaluate

        walker = self._load()
        task = self._strapped(walker.task)
        if self.out is not None:
            writable_folder(self.out)
        changes, fell = self._trends(replace(walker, task=task), progress)
        found: dict[str, Walked] = {}
        powers: dict[str, dict[str, float]] = {}
        for physics in ("opensim", "compiled") if self.physics == "both" else (self.physics,):
            settings = self._settings(physics)
            found[physics] = evaluate(
                task, None, settings, frozen=walker.policies, progress=progress
            )
            if found[physics].torques is not None:
                powers[physics] = device_powers(found[physics], settings)
            self._write(physics, found[physics])
        rows = strides(found)
        human = {physics: mean_realism(walked.trials) for physics, walked in found.items()}
        gates = {p: self._gates(row, task.condition) for p, row in human.items()}
        near = tracking_rows(found)
        pushed = self._push(walker, progress) if self.pushes else None
        lasts = _endurance(walker, progress) if self.endurance else None
        through = _changing(walker) if self.endurance else None
        if self.json is not None:
            content = {"walker": self.walker, "physics": rows, "realism": human}
            more: dict[str, Any] = {
                "gates": {p: [gate.as_dict() for gate in own] for p, own in gates.items()},
                "device": powers,
                "tracking": near,
                "pushes": pushed,
                "endurance": lasts,
                "changing": through,
                "trends": trend_rows(changes),
            }
            emit_json(self.json, content | {name: rows for name, rows in more.items() if rows})
        if str(self.json) != STDOUT:
            _show(rows)
            _show_powers(powers)
            show_realism(output(), human)
            show_gates(output(), gates)
            show_tracking(output(), near)
            if pushed is not None:
                _show_pushes(pushed)
            if lasts is not None:
                _show_endurance(lasts)
            if through is not None:
                _show_changing(through)
            if changes:
                show_trends(output(), changes, fell)
        return DONE if any(row["strides"] for row in rows.values()) else FAILED

    def _settings(self, physics: Literal["opensim", "compiled"]) -> Evaluation:
        from osim_exo.learn.evaluate import Evaluation

        return Evaluation(
            physics=physics,
            speed=self.speed,
            slope_deg=self.slope,
            runs=self.runs,
            duration=self.duration,
            settle=min(3.0, 0.5 * self.duration),
            standing=self.standing,
            substep=self.substep,
            accuracy=self.accuracy,
            sensor_noise=self.sensor_noise,
        )

    def _load(self) -> TrainedWalker:
        from osim_exo.learn.teachers import find_teacher
        from osim_exo.learn.walkers import load_walker, shipped_chains, shipped_walkers

        if Path(self.walker).is_dir():
            return load_walker(self.walker)
        known = (*shipped_walkers(), *shipped_chains())
        if self.walker not in known and self.walker.partition("/")[0] not in shipped_chains():
            raise InputError(
                f"'{self.walker}' is neither the folder of a training run nor a shipped walker. "
                f"Shipped: {', '.join(known)}. osim-exo train makes runs."
            )
        return find_teacher(self.walker)

    def _strapped(self, task: TaskConfig) -> TaskConfig:
        """The task with the strap that was asked for."""
        from osim_exo.strap import Strap

        if self.strap is None:
            return task
        device = task.model.exo
        if device is None:
            raise InputError("The walker wears no device to strap on; leave out --strap.")
        worn = device.limits.strap or Strap(inertia=device.reflected_inertia or Strap().inertia)
        exo = device.strapped(worn.changed(stiffness=self.strap))
        return task.changed(model=task.model.changed(exo=exo))

    def _push(self, walker: TrainedWalker, progress: Progress) -> dict[str, float]:
        """Share of walkers that stays up, by size of the push in m/s."""
        from osim_exo.learn.pushes import PushTest, push_test

        settings = PushTest(speed=self.speed, slope_deg=self.slope)
        survived = push_test(walker.task, walker.policies, settings, progress).survived
        return {f"{size:+g}": share for size, share in survived.items()}

    def _gates(self, human: dict[str, float], condition: str) -> list[Gate]:
        """Demands on how human a walk is; none without a stride."""
        from osim_exo.analysis.realism import realism_gates

        return realism_gates(human, self.slope, condition) if human else []

    def _trends(self, walker: TrainedWalker, progress: Progress) -> tuple[tuple[Trend, ...], int]:
        """Trends, and how many of their walks fell; in OpenSim unless it is left out."""
        from osim_exo.learn.trends import walked_trends

        if not self.trends:
            return (), 0
        settings = self._settings("compiled" if self.physics == "compiled" else "opensim")
        return walked_trends(walker, settings, GRID_SPEEDS, GRID_SLOPES, progress)

    def _write(self, physics: str, walked: Walked) -> None:
        from osim_exo.io import write_trial

        if self.out is not None:
            for k, trial in enumerate(walked.trials):
                write_trial(trial, self.out / physics / f"run_{k + 1}")


def strides(found: dict[str, Walked]) -> dict[str, dict[str, Any]]:
    """Falls and the strides' means and standard deviations, by physics."""
    from osim_exo.analysis.strides import stride_table
    from osim_exo.errors import DataError

    rows: dict[str, dict[str, Any]] = {}
    for physics, walked in found.items():
        tables = []
        for trial in walked.trials:
            try:
                tables.append(stride_table(trial))
            except DataError:  # fell before its first whole stride; counted among the falls
                continue
        values = np.concatenate([t.values for t in tables]) if tables else np.zeros((0, 0))
        names = tables[0].names if tables else ()
        spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(len(names), np.nan)
        rows[physics] = {
            "walks": len(walked.fell_at),
            "falls": walked.falls,
            "seconds": walked.seconds,
            "strides": len(values),
            "mean": dict(zip(names, values.mean(axis=0).tolist())) if tables else {},
            "sd": {n: None if np.isnan(s) else float(s) for n, s in zip(names, spread)},
        }
    return rows


def device_powers(walked: Walked, settings: Evaluation) -> dict[str, float]:
    """Mean positive power of all joints together, W: of the drives, and of the device on the body.

    The latter is what tables call exo power. The drag of unpowered motors counts there.
    """
    first, dt = round(settings.settle / settings.record_dt), settings.record_dt
    given = walked.torques.drive_power if walked.torques is not None else np.zeros((0, 0, 0))
    ends = [len(given) if time is None else round(time / dt) for time in walked.fell_at]
    drives = [given[first:end, k] for k, end in enumerate(ends) if end > first]
    body = [trial.exo_power.values for trial in walked.trials]

    def mean(parts: list[Any]) -> float:
        every = [np.maximum(part, 0.0).sum(axis=1) for part in parts]
        return float(np.concatenate(every).mean()) if every else float("nan")

    return {"drives": mean(drives), "body": mean(body)}


def _show_powers(powers: dict[str, dict[str, float]]) -> None:
    for physics, found in powers.items():
        output().print(
            f"{physics}: the drives give {found['drives']:.2f} W, the body gets "
            f"{found['body']:.2f} W (mean positive power, all joints)"
        )


def _endurance(walker: TrainedWalker, progress: Progress) -> list[dict[str, Any]]:
    """One row per start and speed: shares that stay up, by slope in degrees."""
    from osim_exo.learn.pushes import endurance

    rows = []
    with progress.step("Walking over speeds and slopes", 2 * len(GRID_SPEEDS), "speeds") as step:
        for start in ("stride", "standing"):
            for speed in GRID_SPEEDS:
                shares = {
                    f"{slope:+g}": endurance(
                        walker.task, walker.policies, speed, slope, standing=start == "standing"
                    )
                    for slope in GRID_SLOPES
                }
                rows.append({"start": start, "speed": speed, "share": shares})
                step.update(len(rows))
    return rows


def _changing(walker: TrainedWalker) -> dict[str, float]:
    """Share of walkers that stay up through commands that change, by what they do."""
    from osim_exo.learn.cases import Case, JudgeConfig, cases
    from osim_exo.learn.pushes import endurance
    from osim_exo.learn.tasks.config import CommandPoint

    settings = JudgeConfig(unseen=False, duration=CHANGING_S)
    known = [case for case in cases(walker.task, settings) if case.kind == "changing"]
    speed, slope, third = known[0].speed, known[0].slope_deg, CHANGING_S / 3.0
    points = tuple(
        CommandPoint(time=k * third, speed=x, slope_deg=slope)
        for k, x in enumerate((speed, 0.0, speed))
    )
    known.append(Case("stop, walk on", "changing", speed, slope, points))
    return {
        case.label: endurance(
            walker.task,
            walker.policies,
            case.speed,
            case.slope_deg,
            standing=case.standing,
            schedule=case.schedule,
            seconds=CHANGING_S,
        )
        for case in known
    }


def _show_changing(through: dict[str, float]) -> None:
    lines = [(label, f"{100 * share:.0f}") for label, share in through.items()]
    head = f"% of 48 that stay up for {CHANGING_S:g} s"
    output().print(table(("commands that change, compiled", head), lines))


def _show_endurance(rows: list[dict[str, Any]]) -> None:
    lines = [
        (row["start"], f"{row['speed']:g}", *(f"{100 * x:.0f}" for x in row["share"].values()))
        for row in rows
    ]
    columns = ("start", "m/s", *(f"{slope:+g}°" for slope in GRID_SLOPES))
    console = output()
    console.print("% of 48 walkers that stay up for 10 s, compiled, by start, speed and slope")
    console.print(table(columns, lines))


def _show_pushes(pushed: dict[str, float]) -> None:
    lines = [(f"{size} m/s", f"{100 * share:.0f} %") for size, share in pushed.items()]
    output().print(table(("push, compiled", "stay up for 5 s"), lines))


def _show(rows: dict[str, dict[str, Any]]) -> None:
    console = output()
    for physics, row in rows.items():
        console.print(
            f"{physics}: {row['falls']} of {row['walks']} walks fell; they lasted "
            f"{row['seconds']:.1f} s on average; {row['strides']} strides"
        )
    names = next((tuple(row["mean"]) for row in rows.values() if row["mean"]), ())
    lines = []
    for name in names:
        cells = [
            f"{row['mean'][name]:.4g} ± {row['sd'][name]:.2g}"
            if row["mean"] and row["sd"][name] is not None
            else "–"
            for row in rows.values()
        ]
        lines.append((name, *cells))
    if lines:
        console.print(table(("per stride, mean ± SD", *rows), lines))
