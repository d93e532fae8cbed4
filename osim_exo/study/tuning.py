"""Baseline controllers made as good as they get for a frozen human, in the compiled physics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from osim_exo.analysis.metabolics import BASAL_COEFFICIENT
from osim_exo.config import Config
from osim_exo.control import Controller, FeedbackSettings, Lobe, Signals, SplineProfile
from osim_exo.errors import InputError
from osim_exo.learn.evaluate import Evaluation
from osim_exo.learn.tasks import strides_of
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.tasks.ends import Falls
from osim_exo.learn.tasks.senses import Reading
from osim_exo.learn.tasks.starts import StartSource
from osim_exo.learn.tasks.strides import FORWARD
from osim_exo.learn.tasks.walker import Walker
from osim_exo.learn.walkers import TrainedWalker
from osim_exo.physics.compiled import CompiledPhysics
from osim_exo.physics.compiled.source import model_spec
from osim_exo.study.loops import Drive
from osim_exo.units import GRAVITY

Array = npt.NDArray[np.float64]

FALL_COST = 1e3
"""J/kg/m; what a candidate costs whose walker fell. No walk costs as much."""

LEAST_SPEED = 0.05
"""m/s; who is slower has covered no distance to speak of."""


class Tuning(Config):
    """How candidates are tried."""

    gains: tuple[float, ...] = Field(
        default=(2.5, 5.0, 7.5, 10.0, 15.0, 20.0), min_length=1, description="of the feedback, Nm"
    )
    delays_s: tuple[float, ...] = Field(
        default=(0.0, 0.05, 0.1, 0.15, 0.2, 0.25), min_length=1, description="of the feedback, s"
    )
    generations: int = Field(default=6, ge=1, le=100, description="of spline candidates")
    candidates: int = Field(default=32, ge=4, le=1024, description="per generation")
    elite: float = Field(default=0.25, gt=0.0, le=1.0, description="share that the next follows")
    starts: int = Field(default=2, ge=1, le=16, description="walks per candidate")
    duration: float = Field(default=10.0, gt=0.0, le=120.0, description="of a walk, s")
    settle: float = Field(default=3.0, ge=0.0, description="at the start, not counted, s")
    seed: int = Field(default=0, ge=0, description="of the candidates and starts")


@dataclass(frozen=True)
class Tried:
    """A candidate and what it cost.

    Attributes
    ----------
    drive : Drive
    cost : J/kg/m; gross cost of transport (muscles by Bhargava 2004, and the basal rate), so that
        who slows a walker down, or drives it on, gains nothing by that; `FALL_COST` where one fell
    """

    drive: Drive
    cost: float


class SideBySide:
    """Several controllers, each for its own environments.

    Parameters
    ----------
    controllers : one per group of environments
    each : environments of a group
    """

    def __init__(self, controllers: Sequence[Controller], each: int) -> None:
        self._controllers, self._each = tuple(controllers), each
        self.n_env = len(self._controllers) * each

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Forget the past, of all environments or of some."""
        if n_env != self.n_env:
            raise InputError(f"{self.n_env} environments are driven here; {n_env} were given.")
        chosen = np.zeros(n_env, dtype=bool)
        chosen[slice(None) if environments is None else np.asarray(environments)] = True
        for k, controller in enumerate(self._controllers):
            own = chosen[k * self._each : (k + 1) * self._each]
            controller.reset(self._each, None if environments is None else np.flatnonzero(own))

    def __call__(self, signals: Signals) -> Array:
        """Torque, (n_env, 2) array, Nm."""
        given = {name: getattr(signals, name) for name in signals.__dataclass_fields__}
        return np.vstack(
            [controller(self._part(k, given)) for k, controller in enumerate(self._controllers)]
        )

    def _part(self, k: int, given: dict[str, Any]) -> Signals:
        own = slice(k * self._each, (k + 1) * self._each)
        part: dict[str, Any] = {n: None if v is None else v[own] for n, v in given.items()}
        return Signals(**part)


def costs(
    walker: TrainedWalker, drives: Sequence[Drive], speed: float, slope_deg: float, tuning: Tuning
) -> Array:
    """What each controller makes a frozen human spend, (n_drive,) array, J/kg/m; see `Tried`.

    Parameters
    ----------
    walker : of a task that wears the device; its human walks
    drives : controllers
    speed, slope_deg : m/s and degrees
    tuning : Tuning
    """
    settings = Evaluation(physics="compiled", speed=speed, slope_deg=slope_deg, record_dt=0.01)
    task = walker.task.changed(commands=settings.commands())
    n = len(drives) * tuning.starts
    physics = CompiledPhysics(
        task.model, n, settings.record_dt, task.substep, task.dtype, on_failure="mark"
    )
    try:
        physics.set_parameters(slope_deg=slope_deg)
        together = SideBySide([drive.controller() for drive in drives], tuning.starts)
        spent = _spent(task, physics, walker, together, tuning)
        return np.asarray(spent.reshape(-1, tuning.starts).mean(axis=1))
    finally:
        physics.close()


def _spent(
    task: TaskConfig,
    physics: CompiledPhysics,
    walker: TrainedWalker,
    together: SideBySide,
    tuning: Tuning,
) -> Array:
    """Cost of transport of every environment, J/kg/m."""
    human = {"human": walker.policies["human"]}
    others = [a for a in model_spec(task.model).actuators if not a.name.startswith("exo_")]
    force = others[0].optimal_force if others else 1.0
    loop = Walker(task, physics, force, None, human, together)
    random = np.random.default_rng(tuning.seed)
    rows = np.arange(physics.n_env)
    speed, slope = loop.commands.draw(random, rows.size)
    standing = np.zeros(rows.size, dtype=bool)
    loop.commands.begin(rows, speed, slope, standing, random)
    source = StartSource(task.starts, physics, strides_of(task, physics))
    phase = (rows % tuning.starts) / tuning.starts
    begun = source.place(rows, standing, speed, slope, random, phase)
    reading = Reading.of(physics)
    loop.begin(rows, reading, begun.forward, begun.phase)
    falls, fell = Falls(task, physics), np.zeros(rows.size, dtype=bool)
    hold = round(task.control_dt / physics.control_dt)
    total, distance, counted = np.zeros(rows.size), np.zeros(rows.size), 0
    along = physics.names.coordinates.index(FORWARD)
    action = np.zeros((rows.size, 0), dtype=np.float32)
    for number in range(round(tuning.duration / task.control_dt)):
        loop.observe(reading)
        excitations, torque, rest = loop.controls(action, reading)
        for part in range(hold):
            torque = loop.device_torque(torque) if part else torque
            physics.step(excitations, torque, rest)
        reading = Reading.of(physics)
        loop.advance(reading, random)
        fell |= falls(reading)
        if number * task.control_dt >= tuning.settle:
            total += np.nan_to_num(physics.quantities("bhargava2004")["bhargava2004"].sum(axis=1))
            distance += np.nan_to_num(reading.speeds[:, along])
            counted += 1
    rate = total / max(counted, 1) / (physics.body_weight / GRAVITY) + BASAL_COEFFICIENT
    speeds = distance / max(counted, 1)
    return np.where(
        fell | (speeds < LEAST_SPEED), FALL_COST, rate / np.maximum(speeds, LEAST_SPEED)
    )


def sweep_feedback(
    walker: TrainedWalker, speed: float, slope_deg: float, tuning: Tuning
) -> list[Tried]:
    """Every gain with every delay of the delayed output feedback; the best first."""
    drives = [
        Drive(feedback=FeedbackSettings(gain=gain, delay_s=delay))
        for gain in tuning.gains
        for delay in tuning.delays_s
    ]
    found = costs(walker, drives, speed, slope_deg, tuning)
    return _sorted(drives, found)


LOW = np.array([1.0, 1.0, 0.0, 40.0])
HIGH = np.array([15.0, 15.0, 30.0, 75.0])
"""Bounds of a spline's four parameters: peak extension and flexion torque (Nm), and their times (%
of the gait cycle). Rise and fall keep the default's."""


def spline_of(parameters: Array) -> SplineProfile:
    """Profile of the four parameters."""
    extension, flexion, early, late = (float(x) for x in np.clip(parameters, LOW, HIGH))
    usual = SplineProfile()
    return SplineProfile(
        extension=_moved(usual.extension, extension, early),
        flexion=_moved(usual.flexion, flexion, late),
    )


def _moved(lobe: Lobe, torque: float, peak: float) -> Lobe:
    return lobe.changed(peak_torque=torque, peak_percent=peak)


def optimise_spline(
    walker: TrainedWalker,
    speed: float,
    slope_deg: float,
    tuning: Tuning,
    told: Callable[[int], None] = lambda generation: None,
) -> list[Tried]:
    """Four parameters by the cross-entropy method (Rubinstein 1999); the best of all first.

    Parameters
    ----------
    walker, speed, slope_deg, tuning : as for `costs`
    told : called after each generation with its number
    """
    random = np.random.default_rng(tuning.seed)
    mean, spread = 0.5 * (LOW + HIGH), 0.3 * (HIGH - LOW)
    best: list[Tried] = []
    n_elite = max(2, round(tuning.elite * tuning.candidates))
    for generation in range(tuning.generations):
        drawn = mean + spread * random.standard_normal((tuning.candidates, mean.size))
        drawn = np.clip(drawn, LOW, HIGH)
        drives = [Drive(spline=spline_of(row)) for row in drawn]
        found = costs(walker, drives, speed, slope_deg, tuning)
        elite = drawn[np.argsort(found)[:n_elite]]
        mean, spread = elite.mean(axis=0), np.maximum(elite.std(axis=0), 0.02 * (HIGH - LOW))
        best = sorted([*best, *_sorted(drives, found)], key=lambda tried: tried.cost)[:n_elite]
        told(generation)
    return best


def _sorted(drives: Sequence[Drive], found: Array) -> list[Tried]:
    tried = [Tried(drive, float(cost)) for drive, cost in zip(drives, found)]
    return sorted(tried, key=lambda one: one.cost)
