"""From a teacher that may see all to a student that sees what a device measures.

On-policy aggregation (Ross, Gordon and Bagnell 2011, "A reduction of imitation learning and
structured prediction to no-regret online learning", DAgger): first the teacher drives, then the
student of that time does; in each state the teacher is asked, and all answers are kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from osim_exo import bundle
from osim_exo.config import Config
from osim_exo.errors import DataError
from osim_exo.learn.agreement import Agreement, agreement
from osim_exo.learn.base import Mirroring
from osim_exo.learn.classroom import Classroom, Lesson
from osim_exo.learn.export_students import export_student
from osim_exo.learn.students import Student, StudentConfig, n_weight
from osim_exo.learn.symmetry import Reflection
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.walkers import TrainedWalker
from osim_exo.networks import Evaluate, network
from osim_exo.policy import Interface
from osim_exo.progress import SILENT, Progress
from osim_exo.sensors import USUAL, SensorErrors, SensorName

Float32 = npt.NDArray[np.float32]

HELD_OUT = 0.1
"""Share of the walkers whose windows are not learned from."""


class DistilConfig(Config):
    """How a student learns."""

    sensors: tuple[SensorName, ...] = Field(
        default=("thigh_gyro",), min_length=1, description="that the device has"
    )
    student: StudentConfig = StudentConfig()
    rate_hz: float = Field(default=100.0, gt=0.0, le=1000.0, description="of the device, Hz")
    errors: SensorErrors = Field(default=USUAL, description="of the sensors, drawn per walk")
    rounds: int = Field(default=8, ge=1, le=1000, description="of walking and learning")
    n_env: int = Field(default=128, ge=4, le=65536, description="walkers at a time")
    seconds: float = Field(default=8.0, gt=0.0, le=600.0, description="walked per round, s")
    keep: float = Field(default=0.5, gt=0.0, le=1.0, description="share of windows that is kept")
    batches: int = Field(default=400, ge=1, description="of a round; twice as many in the last")
    batch: int = Field(default=512, ge=1, description="windows in a batch")
    rate: float = Field(default=2e-3, gt=0.0, le=0.1, description="of learning, at the start")
    change_every: tuple[float, float] = Field(
        default=(3.0, 8.0), description="time between commands where the run has one per walk, s"
    )
    seed: int = Field(default=0, ge=0, description="of all that is drawn")


@dataclass(frozen=True)
class Distilled:
    """A student.

    Attributes
    ----------
    folder : of its bundle
    rounds : per round: loss, agreement of held-out windows, and of the student's own walks
    seconds : that it took
    """

    folder: Path
    rounds: tuple[dict[str, float], ...]
    seconds: float


@dataclass
class Memory:
    """All windows and answers so far; some walkers are held out."""

    n_env: int
    windows: list[Float32] = field(default_factory=list)
    answers: list[Float32] = field(default_factory=list)
    held_windows: list[Float32] = field(default_factory=list)
    held_answers: list[Float32] = field(default_factory=list)

    def add(self, lesson: Lesson) -> None:
        """Take in a lesson."""
        held = lesson.walker >= math.ceil((1.0 - HELD_OUT) * self.n_env)
        self.windows.append(lesson.windows[~held])
        self.answers.append(lesson.answers[~held])
        self.held_windows.append(lesson.windows[held])
        self.held_answers.append(lesson.answers[held])

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All windows and answers to learn from.

        Raises
        ------
        DataError
            There is none: the teacher or its walkers gave nothing that is a number.
        """
        windows, answers = np.concatenate(self.windows), np.concatenate(self.answers)
        if not len(windows):
            raise DataError(
                "No window with an answer came from the teacher: its torques, or the readings, are "
                "not numbers. Look at the run with osim-exo evaluate."
            )
        return torch.from_numpy(windows), torch.from_numpy(answers)


class Pupil:
    """A student with its optimiser.

    Parameters
    ----------
    config : DistilConfig
    interface : of the student
    symmetric : the walker's two sides are alike, so that each window is learned in both forms
    """

    def __init__(self, config: DistilConfig, interface: Interface, symmetric: bool) -> None:
        torch.set_num_threads(1)
        self._config = config
        self._random = torch.Generator().manual_seed(config.seed)
        names = [row.name for row in interface.observations]
        self.student = Student(config.student, len(names), len(interface.actions), self._random)
        self._mirrors: tuple[Reflection, Reflection] | None = None
        if symmetric:
            window = [f"{k}/{name}" for k in range(config.student.history) for name in names]
            target = Mirroring.of_names([row.name for row in interface.actions])
            self._mirrors = Reflection.of(Mirroring.of_names(window)), Reflection.of(target)
        self._optimiser = torch.optim.Adam(self.student.parameters(), lr=config.rate)
        self._done, self._all = 0, config.batches * (config.rounds + 1)

    def learn(self, memory: Memory, batches: int) -> float:
        """Gradient steps on what is remembered; the mean loss.

        Raises
        ------
        DataError
            The loss is not a number.
        """
        windows, answers = memory.tensors()
        if self._done == 0:
            self.student.normalise_like(windows)
        total = 0.0
        for _ in range(batches):
            at = torch.randint(len(windows), (self._config.batch,), generator=self._random)
            seen, wanted = windows[at], answers[at]
            if self._mirrors is not None:
                half = len(seen) // 2
                source, target = self._mirrors
                seen = torch.cat([source(seen[:half]), seen[half:]])
                wanted = torch.cat([target(wanted[:half]), wanted[half:]])
            loss = torch.nn.functional.mse_loss(self.student(seen), wanted)
            share = 0.5 * (1.0 + math.cos(math.pi * min(self._done / self._all, 1.0)))
            for group in self._optimiser.param_groups:
                group["lr"] = self._config.rate * max(share, 0.01)
            self._optimiser.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
            self._optimiser.step()
            total += float(loss.detach())
            self._done += 1
        if not math.isfinite(total):
            raise DataError(
                "The student's loss is not a number. Lower rate, or look for readings in the run "
                "that are not numbers."
            )
        return total / batches

    def network(self) -> Evaluate:
        """The student as it is now, in numpy."""
        arrays = self.student.arrays()
        return network(bundle.pack(arrays), {"network": self.student.described()})


def distil(
    walker: TrainedWalker,
    out: str | Path,
    config: DistilConfig | None = None,
    record: Mapping[str, Any] | None = None,
    progress: Progress = SILENT,
    told: Callable[[dict[str, float]], None] | None = None,
) -> Distilled:
    """Teach a student and write its bundle.

    Parameters
    ----------
    walker : a run's task with the policies of ``human`` and ``exo``; the latter is the teacher
    out : folder of the bundle
    config : DistilConfig
    record : goes into the bundle, beside the settings
    progress : Progress
    told : called with the measurements of every round

    Raises
    ------
    InputError
        The run has no exo policy, walks by a reference, or the settings do not fit it.
    DataError
        The loss is not a number.
    """
    config = config or DistilConfig()
    began = time.monotonic()
    room = Classroom(
        lesson_task(walker.task, config),
        walker.policies,
        config.sensors,
        config.student.history,
        config.rate_hz,
        config.errors,
        config.n_env,
        config.seed,
    )
    try:
        pupil = Pupil(config, room.interface, walker.task.model.symmetric)
        memory, rounds = Memory(config.n_env), []
        with progress.step("Distilling"):
            for number in range(config.rounds):
                lesson = room.walk(config.seconds, pupil.network() if number else None, config.keep)
                memory.add(lesson)
                last = number == config.rounds - 1
                loss = pupil.learn(memory, config.batches * (2 if last else 1))
                rounds.append(_measures(number, loss, lesson, pupil, memory, room))
                if told is not None:
                    told(rounds[-1])
        facts = {
            **(record or {}),
            "settings": config.model_dump(mode="json"),
            "rounds": rounds,
            "n_weight": n_weight(pupil.student.arrays()),
            "windows": int(sum(len(part) for part in memory.windows)),
            "seconds": time.monotonic() - began,
        }
        recorded = memory.held_windows[-1] if len(memory.held_windows[-1]) else memory.windows[-1]
        folder = export_student(out, pupil.student, room.interface, facts, recorded)
    finally:
        room.close()
    return Distilled(folder, tuple(rounds), time.monotonic() - began)


def lesson_task(task: TaskConfig, config: DistilConfig) -> TaskConfig:
    """The run's task with commands that change."""
    commands = task.commands
    if commands.schedule or commands.change_every is not None:
        return task
    return task.changed(commands=commands.changed(change_every=config.change_every))


def _measures(
    number: int, loss: float, lesson: Lesson, pupil: Pupil, memory: Memory, room: Classroom
) -> dict[str, float]:
    most = room.physics.max_torque / room.mass
    windows = torch.from_numpy(np.concatenate(memory.held_windows))
    wanted = np.concatenate(memory.held_answers) * most
    with torch.no_grad():
        found = pupil.student(windows).clamp(-1.0, 1.0).numpy() * most
    held = agreement(found, wanted)
    measured = {"round": float(number), "loss": loss, "held_out_r": held.r}
    measured |= {"held_out_rmse": held.rmse, "falls": float(lesson.falls)}
    measured["seconds_walked"] = lesson.seconds
    if number:
        own: Agreement = agreement(lesson.command[lesson.settled], lesson.advice[lesson.settled])
        measured |= {"walking_r": own.r, "walking_rmse": own.rmse}
    return measured
