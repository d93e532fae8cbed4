"""Walkers whose device a student drives while the teacher says what it would have done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.control import LearnedController
from osim_exo.errors import InputError
from osim_exo.learn.tasks import strides_of, with_reference
from osim_exo.learn.tasks.batch import SLOPE_EVERY
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.tasks.ends import Falls
from osim_exo.learn.tasks.randomise import Randomiser
from osim_exo.learn.tasks.senses import Reading
from osim_exo.learn.tasks.starts import StartSource
from osim_exo.learn.tasks.walker import Actor, Walker
from osim_exo.networks import Evaluate
from osim_exo.physics.compiled import CompiledPhysics
from osim_exo.policy import Interface, Policy
from osim_exo.sensors import Sensed, SensorErrors, SensorModel, sensor_signals
from osim_exo.units import DEG, GRAVITY

Array = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Lesson:
    """What a time of walking taught.

    Attributes
    ----------
    windows : (n, history * n_signal) array of float32, that the student saw
    answers : (n, 2) array of float32, the teacher's torque over the largest
    walker : (n,) array, which walker a window is of
    command, advice : (n_step, n_walker, 2) arrays, Nm/kg; student's and teacher's, same states
    settled : (n_step, n_walker) array of bool; longer than `SETTLE` since the walker's start
    falls : number of falls
    seconds : walked by all walkers together
    """

    windows: Float32
    answers: Float32
    walker: Rows
    command: Array
    advice: Array
    settled: npt.NDArray[np.bool_]
    falls: int
    seconds: float


SETTLE = 1.0
"""s; a walk's begin, in which a window is not full yet, is left out of agreement."""


@dataclass
class _Notes:
    """Rows of a lesson as they come."""

    windows: list[Float32]
    answers: list[Float32]
    walker: list[Rows]
    command: list[Array]
    advice: list[Array]
    settled: list[npt.NDArray[np.bool_]]

    def lesson(self, falls: int, seconds: float) -> Lesson:
        """All rows together."""
        return Lesson(
            np.concatenate(self.windows),
            np.concatenate(self.answers).astype(np.float32),
            np.concatenate(self.walker),
            np.array(self.command),
            np.array(self.advice),
            np.array(self.settled),
            falls,
            seconds,
        )


class Classroom:
    """Environments of a task in which a student drives the device at its own rate.

    The human acts every control step, as in training; the student acts at `rate_hz` in between
    too; the teacher is asked once per control step, for the states as they are, without errors.

    Parameters
    ----------
    task : of the run that the teacher is from; its commands are walked
    policies : ``human`` and ``exo``; the latter is the teacher
    sensors : of the student, see `osim_exo.sensors`
    history : samples in its window
    rate_hz : of the device
    errors : of the sensors
    n_env : walkers
    seed : of all that is drawn
    fixed : errors are taken as they stand; see `SensorModel`

    Raises
    ------
    InputError
        The task has no exo, its walkers imitate, a policy is missing, or the rate does not fit.
    """

    def __init__(
        self,
        task: TaskConfig,
        policies: Mapping[str, Actor],
        sensors: tuple[str, ...],
        history: int,
        rate_hz: float,
        errors: SensorErrors,
        n_env: int,
        seed: int,
        fixed: bool = False,
    ) -> None:
        _check(task, policies, rate_hz)
        self._task = task
        self._hold = round(task.control_dt * rate_hz)
        self._random = np.random.default_rng(seed)
        self.physics = physics = CompiledPhysics(
            task.model,
            n_env,
            task.control_dt / self._hold,
            task.substep,
            task.dtype,
            task.threads,
            on_failure="mark",
        )
        self.mass = physics.body_weight / GRAVITY
        self.interface = Interface(
            observations=sensor_signals(sensors),
            actions=policies["exo"].interface.actions,
            rate_hz=rate_hz,
            history=history,
            model=task.model.name,
            model_hash=physics.spec.digest,
        )
        self._network: Evaluate | None = None
        self._seen = np.zeros((n_env, history * len(self.interface.observations)), np.float32)
        period = task.control_dt / self._hold
        sensed = Sensed(
            LearnedController(Policy(self.interface, self._answer), self.mass),
            SensorModel(errors, period, self._random, fixed),
        )
        others = [a.optimal_force for a in physics.spec.actuators if a.name in physics.names.others]
        force = others[0] if others else 1.0
        strides = strides_of(task, physics)
        task = with_reference(task, strides)
        self._walker = Walker(task, physics, force, None, policies, sensed)
        self._starts = StartSource(task.starts, physics, strides)
        exo = self._walker.exo
        self._randomiser = Randomiser(
            task.randomisation, physics, 0 if exo is None else int(exo.is_angle.sum())
        )
        self._falls = Falls(task, physics)
        self._clock = np.zeros(n_env)
        self._steps = 0
        self._begin(np.arange(n_env))

    def _answer(self, values: npt.NDArray[np.floating]) -> Float32:
        """The student's network; keeps what it saw."""
        if len(values) == len(self._seen):
            self._seen = np.asarray(values, dtype=np.float32)
        if self._network is None:
            return np.zeros((len(values), 2), dtype=np.float32)
        return self._network(values)

    def _begin(self, rows: Rows) -> None:
        """Begin walks."""
        random, commands = self._random, self._walker.commands
        self._randomiser.draw(rows, random)
        speed, slope = commands.draw(random, rows.size)
        standing = self._starts.draw_standing(random, rows.size)
        commands.begin(rows, speed, slope, standing, random)
        self._set_slopes(rows)
        begun = self._starts.place(rows, standing, speed, slope, random)
        self._clock[rows] = 0.0
        self._reading = Reading.of(self.physics)
        self._walker.begin(rows, self._reading.of_rows(rows), begun.forward, begun.phase)

    def _set_slopes(self, rows: Rows) -> None:
        wanted = self._walker.commands.slope_deg[rows]
        other = np.abs(wanted - self.physics.slope[rows] / DEG) > 1e-9
        if other.any():
            self.physics.set_parameters(rows[other], slope_deg=wanted[other])

    def walk(self, seconds: float, network: Evaluate | None, keep: float = 0.25) -> Lesson:
        """Walk on from where the last lesson ended.

        Parameters
        ----------
        seconds : of every walker
        network : the student's, which drives; None: the teacher drives
        keep : share of the windows that go into the lesson
        """
        self._network = network
        notes = _Notes([], [], [], [], [], [])
        n_step, falls = max(round(seconds / self._task.control_dt), 1), 0
        n_env = self.physics.n_env
        none = np.zeros((n_env, 0), dtype=np.float32)
        for _ in range(n_step):
            self._walker.observe(self._reading)
            excitations, command, others = self._walker.controls(none, self._reading)
            advice = self._walker.advice
            if advice is None:
                raise InputError("The teacher was not asked; the task has no exo policy.")
            self._note(notes, command, advice, keep)
            self._move(excitations, command if network else advice, others, network is None)
            falls += self._end()
        return notes.lesson(falls, n_step * n_env * self._task.control_dt)

    def _note(self, notes: _Notes, command: Array, advice: Array, keep: float) -> None:
        """Keep some of the walkers' windows with the teacher's answers."""
        chosen = np.flatnonzero(self._random.random(len(command)) < keep)
        finite = np.isfinite(self._seen[chosen]).all(axis=1) & np.isfinite(advice[chosen]).all(1)
        chosen = chosen[finite]
        notes.windows.append(self._seen[chosen].copy())
        notes.answers.append((advice[chosen] / self.physics.max_torque).astype(np.float32))
        notes.walker.append(chosen)
        notes.command.append(command / self.mass)
        notes.advice.append(advice / self.mass)
        notes.settled.append(self._clock > SETTLE)

    def _move(self, excitations: Array, torque: Array, others: Array, taught: bool) -> None:
        """One control step; the student acts within it too."""
        gain = self._randomiser.drawn.torque_gain[:, None]
        for part in range(self._hold):
            if part:
                own = self._walker.device_torque(torque)
                torque = torque if taught else own
            self.physics.step(excitations, torque * gain, others)
        self._clock += self._task.control_dt
        self._steps += 1
        self._reading = Reading.of(self.physics)
        self._walker.advance(self._reading, self._random)
        if self._steps % SLOPE_EVERY == 0:
            self._set_slopes(np.arange(self.physics.n_env))

    def _end(self) -> int:
        """Begin anew where walkers fell or their time is over; the number of falls."""
        fallen = self._falls(self._reading, None)
        over = fallen | (self._clock >= self._task.ends.duration)
        if over.any():
            self._begin(np.flatnonzero(over))
        return int(fallen.sum())

    def close(self) -> None:
        """Give back what the physics holds."""
        self.physics.close()


def _check(task: TaskConfig, policies: Mapping[str, Actor], rate_hz: float) -> None:
    """Refuse what cannot be taught."""
    missing = [part for part in ("human", "exo") if part not in policies]
    if task.condition != "assisted" or missing:
        raise InputError(
            f"A student needs a run of an assisted walker; this one is {task.condition} and has no "
            f"policy of: {', '.join(missing) or 'none'}. Give a run of osim-exo train with "
            "--condition assisted."
        )
    if task.kind != "walk":
        raise InputError(
            f'A student is distilled from walkers that follow commands; this run has kind = "'
            f'{task.kind}". Train one with --task walk.'
        )
    ratio = task.control_dt * rate_hz
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-6:
        raise InputError(
            f"A device rate of {rate_hz:g} Hz was given; it must be a multiple of the walker's "
            f"{1.0 / task.control_dt:g} Hz."
        )
