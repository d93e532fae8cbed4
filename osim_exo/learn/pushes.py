"""Who stays up: walkers over speeds and slopes, from standing, and after a push."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from osim_exo.config import Config
from osim_exo.learn.tasks import TaskEnv, make
from osim_exo.learn.tasks.config import CommandPoint, Commands, Ends, Randomisation, TaskConfig
from osim_exo.learn.tasks.randomise import forward_column, push
from osim_exo.learn.tasks.walker import Actor
from osim_exo.progress import SILENT, Progress

Mask = npt.NDArray[np.bool_]

LONG = 600.0
"""s; the clock ends no episode of a test."""


class PushTest(Config):
    """Which pushes, how many walkers, how long; the walkers stand within random phases."""

    sizes: tuple[float, ...] = Field(
        default=(-0.5, -0.4, -0.3, -0.2, -0.1, 0.1, 0.2, 0.3, 0.4, 0.5),
        min_length=1,
        description="changes of forward speed, m/s; forward positive",
    )
    walkers: int = Field(default=48, ge=1, le=10_000, description="per size")
    speed: float = Field(default=1.25, ge=0.1, le=2.2, description="commanded, m/s")
    slope_deg: float = Field(default=0.0, ge=-10.0, le=10.0, description="uphill positive, degrees")
    settle: float = Field(default=3.0, ge=0.0, le=60.0, description="before the push, s")
    watch: float = Field(default=5.0, gt=0.0, le=60.0, description="after the push, s")
    seed: int = Field(default=0, ge=0, description="of phases and noise")


@dataclass(frozen=True)
class Pushed:
    """What a push test gave.

    Attributes
    ----------
    survived : by size in m/s, share of its walkers that stayed up to the end
    fell_before : share of all walkers that fell before the push
    """

    survived: Mapping[float, float]
    fell_before: float


def push_test(
    config: TaskConfig,
    policies: Mapping[str, Actor],
    settings: PushTest | None = None,
    progress: Progress = SILENT,
) -> Pushed:
    """Push walkers in compiled physics, each once, and count who stays up.

    Parameters
    ----------
    config : the task that was learned; its commands and randomisation give way to `settings`
    policies : of every part that acts
    settings : PushTest
    progress : Progress

    Notes
    -----
    A push adds its size to the forward speed of the whole body at once, at whatever phase a walker
    is. Who fell before the push counts as not having survived.
    """
    settings = settings or PushTest()
    task = steady(config, settings.speed, settings.slope_deg, standing=False)
    sizes = np.repeat(np.array(settings.sizes), settings.walkers)
    env = make(task, sizes.size, settings.seed, policies)
    try:
        env.reset()
        with progress.step("Pushing walkers"):
            before = fell_within(env, settings.settle)
            push(env.physics, forward_column(env.physics), np.arange(sizes.size), sizes)
            stayed = ~(before | fell_within(env, settings.watch))
    finally:
        env.close()
    return Pushed(
        {size: float(stayed[sizes == size].mean()) for size in settings.sizes},
        float(before.mean()),
    )


def steady(
    config: TaskConfig,
    speed: float,
    slope_deg: float,
    standing: bool,
    schedule: Sequence[CommandPoint] = (),
) -> TaskConfig:
    """The task with one command, no variation, and no clock that ends episodes.

    Parameters
    ----------
    config : the task that was learned
    speed, slope_deg : commanded, m/s and degrees
    standing : episodes begin standing, not within a stride
    schedule : of commands that change, in place of the one
    """
    point = CommandPoint(time=0.0, speed=speed, slope_deg=slope_deg)
    ends = config.ends.model_dump(exclude={"duration", "stagger"})
    return config.changed(
        commands=Commands(schedule=tuple(schedule) or (point,)),
        randomisation=Randomisation(),
        starts=config.starts.changed(standing_share=1.0 if standing else 0.0, hard_share=0.0),
        ends=Ends(**ends, duration=LONG, stagger=False),
    )


def endurance(
    config: TaskConfig,
    policies: Mapping[str, Actor],
    speed: float,
    slope_deg: float,
    *,
    standing: bool = False,
    schedule: Sequence[CommandPoint] = (),
    walkers: int = 48,
    seconds: float = 10.0,
    seed: int = 0,
) -> float:
    """Share of walkers that stay up for a time in compiled physics.

    Parameters
    ----------
    config, policies : as for `push_test`
    speed, slope_deg : commanded, m/s and degrees
    standing : begin standing, not within a stride; the command then rises from zero
    schedule : of commands that change, in place of `speed` and `slope_deg`
    walkers : that begin at random phases, with the task's noise
    seconds : to stay up
    seed : of phases and noise
    """
    task = steady(config, speed, slope_deg, standing, schedule)
    env = make(task, walkers, seed, policies)
    try:
        env.reset()
        return float(1.0 - fell_within(env, seconds).mean())
    finally:
        env.close()


def fell_within(env: TaskEnv, seconds: float) -> Mask:
    """Who fell within a time, (n_env,) array of bool; every part's policy is frozen."""
    fell = np.zeros(env.n_env, dtype=bool)
    none = np.zeros((env.n_env, 0), dtype=np.float32)
    for _ in range(round(seconds / env.config.control_dt)):
        fell |= env.step(none).terminated
    return fell
