"""Closed loop of a learned policy in OpenSim, or compiled: walks as trials, falls counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from osim_exo.config import Config
from osim_exo.control import Controller
from osim_exo.errors import InputError
from osim_exo.learn.sensing import NoisySenses, SensorNoise, sensed, sensor_errors
from osim_exo.learn.tasks import frozen_policies, strides_of
from osim_exo.learn.tasks.config import CommandPoint, Commands, TaskConfig
from osim_exo.learn.tasks.ends import Falls
from osim_exo.learn.tasks.senses import Reading
from osim_exo.learn.tasks.starts import StartSource
from osim_exo.learn.tasks.strides import Strides
from osim_exo.learn.tasks.walker import Actor, Walker
from osim_exo.learn.tracks import (
    Track,
    Tracked,
    driven_by,
    stride_tracking,
    tracking,
    trials,
)
from osim_exo.physics.base import Physics
from osim_exo.physics.compiled import CompiledPhysics
from osim_exo.physics.compiled.source import model_spec
from osim_exo.physics.pool import PhysicsPool
from osim_exo.progress import SILENT, Progress
from osim_exo.trial import Trial

Array = npt.NDArray[np.float64]


class Evaluation(Config):
    """Which walks to look at, and in which physics."""

    physics: Literal["opensim", "compiled"] = "opensim"
    speed: float = Field(default=1.25, ge=0.0, le=2.2, description="commanded, m/s")
    slope_deg: float = Field(default=0.0, ge=-10.0, le=10.0, description="uphill positive, degrees")
    schedule: tuple[CommandPoint, ...] = Field(
        default=(), description="commands that change, in place of speed and slope_deg"
    )
    runs: int = Field(default=4, ge=1, le=1024, description="walks, from phases spread evenly")
    standing: bool = Field(default=False, description="begin standing, not within a stride")
    duration: float = Field(default=12.0, gt=0.0, le=3600.0, description="of a walk, s")
    settle: float = Field(default=3.0, ge=0.0, description="at the start, left out of trials, s")
    least: float = Field(
        default=1.0, gt=0.0, description="after settling; who falls sooner gives no trial, s"
    )
    record_dt: float = Field(default=0.01, gt=0.0, le=0.1, description="of the trials, s")
    substep: float = Field(default=0.0005, gt=0.0, le=0.01, description="of fixed steps, s")
    mode: Literal["fixed", "manager"] = Field(
        default="manager", description="OpenSim's own integrator with error control, or fixed steps"
    )
    accuracy: float = Field(default=1e-3, gt=0.0, le=0.1, description="of OpenSim's integrator")
    workers: int = Field(default=2, ge=1, le=256, description="processes with OpenSim")
    seed: int = Field(default=0, ge=0, description="of the starts' noise, and of sensors")
    sensor_noise: SensorNoise = Field(
        default="none", description="of the device: none, trained, usual, or SensorErrors"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.settle >= self.duration:
            raise ValueError(
                f"settle = {self.settle:g} s leaves nothing of duration = {self.duration:g} s"
            )
        slopes = {point.slope_deg for point in self.schedule}
        if len(slopes) > 1 and self.physics == "opensim":
            raise ValueError(
                f"the schedule has slopes of {', '.join(f'{s:g}' for s in sorted(slopes))} "
                'degrees; in OpenSim the ground keeps its slope. Use physics = "compiled"'
            )
        return self

    @model_serializer(mode="wrap")
    def _plain(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Walks with true readings are written as before, so that their hash stays."""
        fields: dict[str, Any] = handler(self)
        return {n: value for n, value in fields.items() if (n, value) != ("sensor_noise", "none")}

    def commands(self) -> Commands:
        """The commands of these walks."""
        if self.schedule:
            return Commands(schedule=self.schedule)
        return Commands(
            schedule=(CommandPoint(time=0, speed=self.speed, slope_deg=self.slope_deg),)
        )

    @property
    def first_slope_deg(self) -> float:
        """Slope of the ground at the start, degrees."""
        return self.schedule[0].slope_deg if self.schedule else self.slope_deg


@dataclass(frozen=True)
class Torques:
    """Commanded exo torque at every control step, from the start on.

    Attributes
    ----------
    command : (n_time, n_run, n_exo) array, Nm
    advice : of that shape, or None
        What the frozen exo policy would have commanded in the same states, where a controller
        drove the device in its place.
    drive_power : (n_sample, n_run, n_exo) array, W
        Of the drives, every ``record_dt``. A trial's exo power is that on the body; they are the
        same but where a strap lies between.
    """

    command: Array
    advice: Array | None
    drive_power: Array


@dataclass(frozen=True)
class Walked:
    """What the walks of an evaluation gave.

    Attributes
    ----------
    trials : one per run that lasted; settling time left out
    fell_at : per run, s since its start; None where it did not fall
    duration : that was asked for, s
    torques : what the device was commanded; None without a device
    tracking : by coordinate, how near to the reference at its phase; only for tasks that imitate
    stride_tracking : the same of mean strides, whatever their phase
    notes : what was done to a recorded reference
    """

    trials: tuple[Trial, ...]
    fell_at: tuple[float | None, ...]
    duration: float
    torques: Torques | None = None
    tracking: Mapping[str, Tracked] = field(default_factory=dict)
    stride_tracking: Mapping[str, Tracked] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def falls(self) -> int:
        """Number of runs that fell."""
        return sum(time is not None for time in self.fell_at)

    @property
    def seconds(self) -> float:
        """Mean time walked, s."""
        return float(np.mean([self.duration if t is None else t for t in self.fell_at]))


def evaluate(
    config: TaskConfig,
    policy: Actor | None,
    settings: Evaluation,
    frozen: Mapping[str, Actor] | None = None,
    progress: Progress = SILENT,
    name: str = "",
    controller: Controller | None = None,
    **facts: Any,
) -> Walked:
    """Walk with a policy, and record.

    Parameters
    ----------
    config : the task that the policy was trained on; its commands, randomisation and numerics give
        way to `settings`, whose speed gives way to that of a recorded reference
    policy : of the learned parts; None if every part is in `frozen`
    settings : Evaluation
    frozen : policies of the other parts, as for `osim_exo.learn.tasks.make`
    progress : Progress
    name : of the trials; made of condition and speed if not given
    controller : drives the device every ``record_dt`` in place of the exo's policy; where that one
        is frozen, it is asked what it would command in the same states, see `Walked.torques`
    facts : further fields of the trials' `TrialInfo`, as ``seed`` and ``subject``

    Returns
    -------
    Walked

    Raises
    ------
    InputError
        Policies do not fit the task, or the model's tendons stretch: such states are not recorded.
    """
    _check_task(config, settings)
    spec = model_spec(config.model)
    trunk = [a.optimal_force for a in spec.actuators if not a.name.startswith("exo_")]
    if config.reference is not None:
        settings = settings.changed(slope_deg=0.0, schedule=())
    others = frozen_policies(config) if frozen is None else frozen
    physics = _physics(config, settings)
    try:
        strides = None if settings.standing else strides_of(config, physics)
        if config.reference is not None and strides is not None:
            settings = settings.changed(speed=float(strides.speeds[0]))
        task = config.changed(commands=settings.commands())
        followed = strides if config.kind == "imitate" else None
        force = trunk[0] if trunk else 1.0
        errors = sensor_errors(settings.sensor_noise, config.randomisation)
        driver = controller and sensed(controller, errors, settings.record_dt, settings.seed)
        walker = Walker(task, physics, force, followed, others, driver)
        _check_policy(walker, policy)
        senses = None
        if errors and walker.exo and controller is None:
            n, seed = settings.runs, settings.seed
            senses = NoisySenses(walker.exo, task, physics.names, errors, n, seed)
        track, fell_at = _walk(task, settings, physics, walker, policy, strides, senses, progress)
    finally:
        physics.close()
    label = name or f"{config.condition} {settings.speed:g} m/s"
    slope = config.model.changed(slope_deg=settings.first_slope_deg)
    spans = [_span(settings, time, len(track.speeds)) for time in fell_at]
    if controller is not None:
        facts = {**driven_by(controller), **facts}
    told = [_facts(task, settings, k, t, label, facts) for k, t in enumerate(fell_at)]
    found = trials(slope, track, spans, settings.record_dt, told)
    near, alike = {}, {}
    if followed is not None:
        near = tracking(track, config.control_dt, settings.settle, fell_at)
        stride = followed.stride(settings.speed, settings.slope_deg)
        alike = stride_tracking(found, track.names.coordinates, stride)
    torques = None
    if task.condition != "no_exo":
        advice = np.array(track.advised) if track.advised else None
        torques = Torques(np.array(track.commanded), advice, np.array(track.drive_power))
    notes = () if followed is None else followed.notes
    return Walked(tuple(found), tuple(fell_at), settings.duration, torques, near, alike, notes)


def _check_task(config: TaskConfig, settings: Evaluation) -> None:
    """Refuse tasks whose walks cannot be recorded or begun."""
    if config.model.tendon != "rigid":
        raise InputError(
            'Walks are recorded with rigid tendons only; the task has tendon = "compliant".'
        )
    if settings.standing and config.kind == "imitate":
        raise InputError(
            "A walker that imitates begins within a stride; leave out standing, or evaluate a task "
            'with kind = "walk".'
        )


def _span(settings: Evaluation, fell: float | None, n_sample: int) -> tuple[int, int]:
    """First and last sample of a run's trial; equal where there is none."""
    first = round(settings.settle / settings.record_dt)
    last = n_sample if fell is None else round(fell / settings.record_dt)
    enough = (last - first) * settings.record_dt >= settings.least
    return (first, last) if enough else (first, first)


def _facts(
    config: TaskConfig,
    settings: Evaluation,
    run: int,
    fell: float | None,
    name: str,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """What identifies a run's trial."""
    own = {
        "name": f"{name} run {run + 1}",
        "condition": config.condition,
        "controller": "learned" if config.condition == "assisted" else "none",
        "physics": settings.physics,
        "speed": settings.speed,
        **facts,
    }
    own["provenance"] = {
        "fell_at": fell,
        "seconds_asked": settings.duration,
        "run": run,
        "settings": settings.model_dump(mode="json"),
        **facts.get("provenance", {}),
    }
    return own


def _physics(config: TaskConfig, settings: Evaluation) -> Physics:
    """The physics of an evaluation, with the slope of its start."""
    if settings.physics == "compiled":
        compiled = CompiledPhysics(
            config.model, settings.runs, settings.record_dt, settings.substep, on_failure="mark"
        )
        compiled.set_parameters(slope_deg=settings.first_slope_deg)
        return compiled
    return PhysicsPool(
        config.model.changed(slope_deg=settings.first_slope_deg),
        settings.runs,
        settings.workers,
        on_failure="mark",
        control_dt=settings.record_dt,
        mode=settings.mode,
        substep=min(settings.substep, settings.record_dt),
        accuracy=settings.accuracy,
    )


def _check_policy(walker: Walker, policy: Actor | None) -> None:
    """Refuse a policy of another task."""
    if policy is None:
        if walker.learned:
            raise InputError(
                f"No policy was given for: {', '.join(walker.learned)}. Give the one that was "
                "trained on this task."
            )
        return
    for what, rows, given in (
        ("observations", walker.signals(), policy.interface.observations),
        ("actions", walker.actions(), policy.interface.actions),
    ):
        here, there = [row.name for row in rows], [row.name for row in given]
        if here != there:
            other = sorted(set(here) ^ set(there)) or ["their order"]
            raise InputError(
                f"The policy's {what} are not those of the task; different: {', '.join(other)}. "
                "Evaluate it with the configuration of its own run."
            )


def _walk(
    config: TaskConfig,
    settings: Evaluation,
    physics: Physics,
    walker: Walker,
    policy: Actor | None,
    strides: Strides | None,
    senses: NoisySenses | None,
    progress: Progress,
) -> tuple[Track, list[float | None]]:
    """Run all walks; recording begins at the start."""
    hold = round(config.control_dt / settings.record_dt)
    if hold < 1 or abs(hold * settings.record_dt - config.control_dt) > 1e-9:
        raise InputError(
            f"record_dt = {settings.record_dt:g} s does not divide the policy's step of "
            f"{config.control_dt:g} s. Choose for instance {config.control_dt / 2:g} s."
        )
    random = np.random.default_rng(settings.seed)
    reading = _begin(config, settings, physics, walker, strides, random)
    falls, fell_at = Falls(config, physics), np.full(settings.runs, np.nan)
    track = Track(physics.names)
    n_step = round(settings.duration / config.control_dt)
    none = np.zeros((settings.runs, 0), dtype=np.float32)
    with progress.step(f"Walking in {settings.physics}"):
        for number in range(1, n_step + 1):
            seen = walker.observe(reading)
            action = none if policy is None else policy(seen)
            excitations, torque, others = walker.controls(action, reading)
            track.order(torque, walker.advice)
            for part in range(hold):
                if part:
                    torque = walker.device_torque(torque)
                track.add(physics, excitations, others)
                physics.step(excitations, torque, others)
            reading = Reading.of(physics)
            measured = None if senses is None else senses(reading)
            walker.advance(reading, random, measured)
            if isinstance(physics, CompiledPhysics) and settings.schedule:
                physics.set_parameters(slope_deg=walker.commands.slope_deg)
            target = walker.target()
            if target is not None:
                track.followed.append((reading.coordinates, target.coordinates))
            over = falls(reading, target) & np.isnan(fell_at)
            fell_at[over] = number * config.control_dt
            if not np.isnan(fell_at).any():
                break
    return track, [None if np.isnan(time) else float(time) for time in fell_at]


def _begin(
    config: TaskConfig,
    settings: Evaluation,
    physics: Physics,
    walker: Walker,
    strides: Strides | None,
    random: np.random.Generator,
) -> Reading:
    """Put every walk to its start."""
    n = settings.runs
    rows, speed, slope = np.arange(n), *walker.commands.draw(random, n)
    standing = np.full(n, settings.standing)
    walker.commands.begin(rows, speed, slope, standing, random)
    begun = StartSource(config.starts, physics, strides).place(
        rows, standing, speed, slope, random, rows / n
    )
    reading = Reading.of(physics)
    walker.begin(rows, reading, begun.forward, begun.phase)
    return reading
