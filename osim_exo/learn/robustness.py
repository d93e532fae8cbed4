"""Robustness of a walker: the share that falls against a push, or against what it was not told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from osim_exo.analysis.proportion import Share, wilson
from osim_exo.config import Config
from osim_exo.errors import InputError
from osim_exo.learn.tasks import make
from osim_exo.learn.tasks.config import (
    CommandPoint,
    Commands,
    Ends,
    Randomisation,
    TaskConfig,
)
from osim_exo.learn.tasks.randomise import forward_column, push
from osim_exo.learn.tasks.walker import Actor

PUSH = "push"


@dataclass(frozen=True)
class Parameter:
    """Something that differs from what a walker learned with.

    Attributes
    ----------
    label : for people
    unit : ``1`` for factors
    values : that are looked at by default
    device : whether it needs a device
    commanded : whether it needs a device that acts
    """

    label: str
    unit: str
    values: tuple[float, ...]
    device: bool = False
    commanded: bool = False


PARAMETERS: dict[str, Parameter] = {
    PUSH: Parameter(
        "push, change of forward speed",
        "m/s",
        (-1.2, -1.0, -0.8, -0.5, -0.3, 0.0, 0.3, 0.5, 0.8, 1.0, 1.2),
    ),
    "body_mass": Parameter("body mass", "1", (0.6, 0.8, 1.0, 1.1, 1.2, 1.4, 1.6)),
    "strength": Parameter("muscle strength", "1", (0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2)),
    "contact_stiffness": Parameter("contact stiffness", "1", (0.2, 0.33, 0.5, 1.0, 2.0, 3.0, 5.0)),
    "contact_friction": Parameter("contact friction", "1", (0.2, 0.33, 0.5, 0.75, 1.0, 1.5)),
    "exo_mass": Parameter("device's mass", "kg", (0.0, 1.5, 3.0, 4.5, 6.0, 8.0), True),
    "exo_torque_gain": Parameter(
        "delivered over commanded torque", "1", (0.0, 0.5, 0.75, 1.0, 1.25, 1.5), True, True
    ),
    "exo_bandwidth_hz": Parameter(
        "device's bandwidth", "Hz", (0.5, 1.0, 2.0, 5.0, 10.0, 20.0), True, True
    ),
    "exo_delay_s": Parameter("device's delay", "s", (0.0, 0.02, 0.04, 0.08, 0.12, 0.2), True, True),
    "sensor_angle_noise": Parameter(
        "noise of angle sensors", "rad", (0.0, 0.02, 0.05, 0.1, 0.2), True, True
    ),
    "sensor_rate_noise": Parameter(
        "noise of rate sensors", "rad/s", (0.0, 0.2, 0.5, 1.0, 2.0), True, True
    ),
}
"""What is looked at, by the name that `Randomisation` has for it."""

NOISES = ("sensor_angle_noise", "sensor_rate_noise")


class RobustnessTest(Config):
    """How many walk, how long and how."""

    walkers: int = Field(default=200, ge=1, le=10_000, description="per value")
    duration: float = Field(default=10.0, gt=0.0, le=600.0, description="of a walk, s")
    push_at: float = Field(default=3.0, ge=0.0, description="time of a push, s")
    speed: float = Field(default=1.25, ge=0.1, le=2.2, description="commanded, m/s")
    slope_deg: float = Field(default=0.0, ge=-10.0, le=10.0, description="uphill positive, degrees")
    seed: int = Field(default=0, ge=0, description="of phases and noise")


@dataclass(frozen=True)
class Fallen:
    """Who fell at one value of one parameter.

    Attributes
    ----------
    parameter, value : what differed; see `PARAMETERS`
    walkers, falls : how many walked, and how many of them fell
    share : of falls, with its interval
    """

    parameter: str
    value: float
    walkers: int
    falls: int
    share: Share


def applicable(task: TaskConfig) -> tuple[str, ...]:
    """Parameters that a task has: those of a device need one, those of its torque need it to act.

    Parameters
    ----------
    task : TaskConfig
    """
    worn, acts = task.model.exo is not None, task.condition == "assisted"
    return tuple(
        name
        for name, p in PARAMETERS.items()
        if (worn or not p.device) and (acts or not p.commanded)
    )


def falls(
    task: TaskConfig,
    policies: Mapping[str, Actor],
    parameter: str,
    value: float,
    test: RobustnessTest | None = None,
) -> Fallen:
    """Let many walk at once in compiled physics, and count who falls.

    All begin within strides of the solved gaits, at phases drawn from one seed, and walk with the
    changed parameter from the start. A push changes the forward speed of the whole body at once, at
    whatever phase a walker is. Nothing else varies.

    Parameters
    ----------
    task : that was learned; its commands and randomisation give way to `test`
    policies : of every part that acts
    parameter : one of `applicable`
    value : in the parameter's unit
    test : RobustnessTest

    Raises
    ------
    InputError
        The task has no such parameter, or the value is out of its range.
    """
    test = test or RobustnessTest()
    if parameter not in applicable(task):
        raise InputError(
            f"Robustness to {parameter} was asked for; a walker with condition {task.condition} "
            f"has: {', '.join(applicable(task))}."
        )
    env = make(_prepared(task, parameter, value, test), test.walkers, test.seed, policies)
    fell = np.zeros(env.n_env, dtype=bool)
    none = np.zeros((env.n_env, 0), dtype=np.float32)
    push_step = round(test.push_at / task.control_dt) if parameter == PUSH else -1
    try:
        env.reset()
        for step in range(round(test.duration / task.control_dt)):
            if step == push_step:
                every = np.arange(env.n_env)
                push(env.physics, forward_column(env.physics), every, np.full(env.n_env, value))
            fell |= env.step(none).terminated
    finally:
        env.close()
    count = int(fell.sum())
    return Fallen(parameter, value, fell.size, count, wilson(count, fell.size))


def _prepared(task: TaskConfig, parameter: str, value: float, test: RobustnessTest) -> TaskConfig:
    """The task of these walks, everybody with the same value."""
    varied = Randomisation()
    if parameter in NOISES:
        varied = Randomisation.model_validate({parameter: value})
    elif parameter != PUSH:
        varied = Randomisation.model_validate({parameter: (value, value)})
    point = CommandPoint(time=0.0, speed=test.speed, slope_deg=test.slope_deg)
    ends = task.ends.model_dump(exclude={"duration", "stagger"})
    return task.changed(
        commands=Commands(schedule=(point,)),
        randomisation=varied,
        starts=task.starts.changed(standing_share=0.0, hard_share=0.0),
        ends=Ends(**ends, duration=test.duration + 1.0, stagger=False),
    )
