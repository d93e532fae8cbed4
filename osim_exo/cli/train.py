"""``osim-exo train``: learn a task, or go on with an interrupted run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from osim_exo.cli import train_staged
from osim_exo.cli.command import DONE, STDOUT, Command, JsonTarget, emit_json, output, table
from osim_exo.errors import InputError, MissingExtraError
from osim_exo.files import read_json
from osim_exo.names import Condition
from osim_exo.progress import Progress, seconds_in_words

if TYPE_CHECKING:
    from osim_exo.learn.train import RunResult, TrainConfig

NEGATIVE = re.compile(r"-([\d.]+(:-?[\d.]+)?|[xyz])")
"""Spans of numbers, and axes, that begin with a minus."""

MAY_BE_NEGATIVE = ("--slopes", "--speeds", "--forward", "--up")


def attach_negative_spans(words: Sequence[str]) -> list[str]:
    """Make ``--slopes -7:7`` into ``--slopes=-7:7``, which no parser takes for an option.

    So too ``--forward -x``.
    """
    attached: list[str] = []
    for word in words:
        before = attached[-1] if attached else ""
        if before in MAY_BE_NEGATIVE and NEGATIVE.fullmatch(word):
            attached[-1] = f"{before}={word}"
        else:
            attached.append(word)
    return attached


@dataclass(frozen=True)
class Train(Command):
    """Learn a walker or an exo policy in simulation, or go on with an interrupted run.

    A person without device who learns to walk from nothing does so by the recipe that taught the
    shipped walkers (osim_exo.learn.recipes); everything else begins from the settings' defaults.

    The output folder gets config.json, provenance.json, metrics.jsonl, checkpoint.npz,
    summary.json and policy/, which simulation, evaluation and export read.
    """

    out: Path
    """folder of the run: new, or with --resume that of the run to go on with"""

    model: str | None = None
    """shipped model, or an .osim file; by default gait2d"""

    task: Literal["walk", "imitate"] | None = None
    """walk: commanded speed, no reference (default); imitate: track a reference gait"""

    reference: Path | None = None
    """.mot or .sto file to imitate, as osim-exo ik writes; by default the solved gaits"""

    belt_speed: float | None = None
    """with --reference: of the treadmill it was recorded on, m/s"""

    speeds: str | None = None
    """commanded speeds in m/s, as 1.25 or 0.8:1.6"""

    slopes: str | None = None
    """slopes in degrees, uphill positive, as 0 or -7:7"""

    condition: Condition | None = None
    """no_exo (default), zero_torque or assisted; with --staged no_exo, the human's stages alone"""

    device: Literal["hip", "ankle"] | None = None
    """joint of the worn device; by default hip where the condition needs one"""

    learner: Literal["human", "exo", "both"] | None = None
    """who learns; by default the human, in the assisted condition both"""

    human: Path | None = None
    """policy folder of the frozen human, for --learner exo"""

    start_from: tuple[Path, ...] = ()
    """runs, or shipped walkers, whose networks to go on with, as fine-tuning"""

    stops: bool = False
    """with --start-from: that walker learns to stop, stand and walk on, on its own task"""

    seed: int | None = None
    """every random number of the run follows from it; by default 0"""

    steps: int | None = None
    """control steps of all environments; by default the recipe's, else 3,000,000"""

    until_settled: bool = False
    """stop early when learning no longer helps; leave it off where arms are compared"""

    gpu: bool = False
    """networks on the GPU"""

    tensorboard: bool = False
    """write event files too"""

    staged: bool = False
    """the whole chain: human, worn device, exo, both, and controls with as much training"""

    seeds: int | None = None
    """with --staged: chains with seeds 0, 1, ...; by default 1"""

    jobs: int | None = None
    """with --staged: processes at a time; by default one per core"""

    config: Path | None = None
    """settings (.json) to begin with, as a run's config.json; other options change them"""

    resume: bool = False
    """go on with the run in --out; it keeps its own settings"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Train and print."""
        try:
            from osim_exo.learn import train as learning
        except ModuleNotFoundError as error:
            raise MissingExtraError(str(error.name), "learn") from error
        if self.resume:
            self._refuse_settings()
        stages = self.staged or (self.resume and train_staged.holds_chains(self.out))
        if stages:
            return train_staged.run(self, progress)
        if self.seeds is not None or self.jobs is not None:
            raise InputError("--seeds and --jobs go with --staged; a single run has --seed.")
        if self.resume:
            result = learning.resume(self.out, progress=progress)
        else:
            settings = self.settings()
            _tell_reference(settings, quiet=str(self.json) == STDOUT)
            result = learning.train(settings, self.out, progress=progress)
        if self.json is not None:
            emit_json(self.json, _as_dict(result))
        if str(self.json) != STDOUT:
            _print(result)
        return DONE

    @property
    def kept(self) -> str:
        """What an interrupt leaves behind."""
        return (
            f"Everything learned so far is in '{self.out}'; go on with: osim-exo train --resume "
            f"--out {self.out}"
        )

    def _refuse_settings(self) -> None:
        free = {"out", "resume", "json", "staged", "jobs"}
        given = [
            f"--{field.name.replace('_', '-')}"
            for field in fields(self)
            if field.name not in free and getattr(self, field.name) != field.default
        ]
        if given:
            raise InputError(
                f"A run goes on with its own settings; leave out {', '.join(given)}, or start "
                "another run in another folder."
            )

    def settings(self) -> TrainConfig:
        """The settings that the options describe.

        Raises
        ------
        InputError
            Options contradict each other, or a value is out of range.
        """
        from osim_exo.learn.train import TrainConfig

        base: dict[str, Any] = {"task": {"kind": "walk"}, "learn": {}}
        if self.stops and self.config is not None:
            raise InputError("--stops takes the walker's own task; leave out --config.")
        if self.config is not None:
            held = TrainConfig.model_validate(read_json(self.config))
            base = held.model_dump(mode="json")
        elif self.stops:
            base = self._stopping()
        elif self._from_nothing():
            base = self._recipe()
        self._change_task(base["task"])
        learn = {"seed": self.seed, "steps": self.steps}
        base["learn"] |= {name: value for name, value in learn.items() if value is not None}
        if self.start_from:
            base["learn"]["start_from"] = self.start_from
        if self.until_settled:
            base["learn"]["stop"] = {}
        if self.gpu:
            base["learn"]["device"] = "cuda"
        if self.tensorboard:
            base["learn"]["tensorboard"] = True
        return TrainConfig.model_validate(base)

    def _from_nothing(self) -> bool:
        """Whether a person without device learns to walk, and has learned nothing yet."""
        walks = self.task != "imitate" and self.reference is None
        return walks and self.condition in (None, "no_exo") and not self.start_from

    def _stopping(self) -> dict[str, Any]:
        """Settings of a walker's own task, with commands to stop and to walk on."""
        from osim_exo.learn.config import LearnConfig
        from osim_exo.learn.recipes import STOP_STEPS, stopping
        from osim_exo.learn.teachers import find_teacher

        if len(self.start_from) != 1:
            raise InputError(
                "--stops goes with one --start-from: the folder or name of the walker that shall "
                "learn to stop, as gait2d_walk_generalist."
            )
        task = stopping(find_teacher(str(self.start_from[0])).task)
        learn = LearnConfig(steps=STOP_STEPS)
        return {"task": task.model_dump(mode="json"), "learn": learn.model_dump(mode="json")}

    def _recipe(self) -> dict[str, Any]:
        """Settings of the recipe's last stage, begun from nothing.

        Ranges of speed or slope have a stage before, at one speed, with ``--staged --condition
        no_exo``.
        """
        from osim_exo.learn.recipes import human_stages
        from osim_exo.learn.tasks.config import Commands
        from osim_exo.models import ModelConfig

        asked = {"speed": self.speeds, "slope_deg": self.slopes}
        names = {"speed": "speeds", "slope_deg": "slopes"}
        spans = {name: span(names[name], text) for name, text in asked.items() if text is not None}
        stage = human_stages(ModelConfig(), Commands.model_validate(spans))[-1]
        learn = stage.learn.changed(start_from=())
        return {"task": stage.task.model_dump(mode="json"), "learn": learn.model_dump(mode="json")}

    def _change_task(self, task: dict[str, Any]) -> None:
        """Put what was given into a task's settings."""
        if self.task is not None:
            task["kind"] = self.task
        if self.reference is not None:
            task["kind"] = self.task or "imitate"
            task["reference"] = {"path": str(self.reference.resolve())}
        if self.belt_speed is not None:
            if task.get("reference") is None:
                raise InputError("--belt-speed goes with --reference, the motion on that belt.")
            task["reference"]["belt_speed"] = self.belt_speed
        if self.condition is not None:
            task["condition"] = self.condition
        worn = task.get("condition", "no_exo") != "no_exo"
        if self.model is not None:
            task.setdefault("model", {})["name"] = self.model
        if self.device is not None:
            if not worn:
                raise InputError(
                    f"--device {self.device} was given, but the condition is no_exo. Add "
                    "--condition zero_torque or assisted, or leave out --device."
                )
            from osim_exo.models import AnkleExo, HipExo

            device = HipExo() if self.device == "hip" else AnkleExo()
            task.setdefault("model", {})["exo"] = device.model_dump(mode="json")
        spans = (("speeds", "speed", self.speeds), ("slopes", "slope_deg", self.slopes))
        for option, name, text in spans:
            if text is not None:
                task.setdefault("commands", {})[name] = span(option, text)
        if self.human is not None:
            task["human_policy"] = str(self.human)
        if self.learner is not None:
            task["learner"] = self.learner
        elif self.condition == "assisted" and "learner" not in task and self.human is None:
            task["learner"] = "both"


def span(name: str, text: str) -> tuple[float, float]:
    """Low and high of ``0.8:1.6``, or of one number.

    Raises
    ------
    InputError
        It is neither.
    """
    low, colon, high = text.partition(":")
    try:
        return float(low), float(high if colon else low)
    except ValueError:
        raise InputError(
            f"--{name} {text} was given; allowed is one number, or low:high as 0.8:1.6."
        ) from None


def _tell_reference(settings: TrainConfig, quiet: bool) -> None:
    """Print what is made of a recorded reference, before minutes are spent on it."""
    from osim_exo.learn.tasks import TaskConfig, make

    task = settings.task
    if quiet or not isinstance(task, TaskConfig) or task.reference is None:
        return
    env = make(task, 1, 0)
    try:
        for note in env.notes:
            output().print(f"Reference: {note}")
    finally:
        env.close()


def _as_dict(result: RunResult) -> dict[str, Any]:
    return {
        "folder": str(result.folder),
        "status": result.status,
        "steps": result.steps,
        "iterations": result.iterations,
        "seconds": result.seconds,
        "cpu_seconds": result.cpu_seconds,
        "split_s": result.split,
        "cpu_split_s": result.cpu_split,
        "metrics": result.metrics,
    }


def _print(result: RunResult) -> None:
    total = max(result.cpu_seconds, 1e-9)
    parts = result.cpu_split.items()
    shares = ", ".join(f"{name} {100 * part / total:.0f} %" for name, part in parts)
    rate = result.steps / max(result.seconds, 1e-9)
    rows = [
        ("status", result.status),
        ("control steps", f"{result.steps:,}"),
        ("time", seconds_in_words(result.seconds)),
        ("steps per second", f"{rate:,.0f}"),
        ("processor time", seconds_in_words(result.cpu_seconds)),
        ("of that", shares),
    ]
    for name in ("reward/mean", "episode/return", "episode/length", "episode/fall_share"):
        if name in result.metrics:
            rows.append((name.replace("/", " ").replace("_", " "), f"{result.metrics[name]:.4g}"))
    console = output()
    console.print(table(("", ""), rows))
    console.print(f"Policies: {result.folder / 'policy'}")
