"""Which walks a student is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from osim_exo.config import Config
from osim_exo.learn.tasks.config import FASTEST, STEEPEST, CommandPoint, TaskConfig


class JudgeConfig(Config):
    """Which walks a student is judged by."""

    physics: Literal["opensim", "compiled"] = "opensim"
    speeds: tuple[float, ...] = Field(default=(), description="m/s; none: three of the run's range")
    slopes: tuple[float, ...] = Field(default=(), description="degrees; none: three of the range")
    unseen: bool = Field(default=True, description="speeds and slopes beyond the range too")
    changing: bool = Field(default=True, description="start, stop and changes of speed too")
    runs: int = Field(default=1, ge=1, le=64, description="walks of each")
    duration: float = Field(default=7.0, gt=2.0, le=600.0, description="of a walk, s")
    settle: float = Field(default=2.5, ge=1.0, description="at its start, left out, s")
    accuracy: float = Field(default=1e-3, gt=0.0, le=0.1, description="of OpenSim's integrator")
    seed: int = Field(default=0, ge=0, description="of the starts' noise")


@dataclass(frozen=True)
class Case:
    """One walk.

    Attributes
    ----------
    label : in words
    kind : trained, unseen or changing
    speed, slope_deg : commanded at first, m/s and degrees
    schedule : of commands that change
    standing : begins so
    """

    label: str
    kind: Literal["trained", "unseen", "changing"]
    speed: float
    slope_deg: float
    schedule: tuple[CommandPoint, ...] = ()
    standing: bool = False


def cases(task: TaskConfig, config: JudgeConfig) -> tuple[Case, ...]:
    """The walks for a run's range of commands."""
    commands = task.commands
    speeds = config.speeds or spread(commands.speed)
    slopes = config.slopes or spread(commands.slope_deg)
    found = [_steady("trained", speed, slope) for slope in slopes for speed in speeds]
    middle, flat = speeds[len(speeds) // 2], slopes[len(slopes) // 2]
    if config.unseen:
        beyond = [(speeds[0] - 0.1, flat), (speeds[-1] + 0.1, flat)]
        beyond += [(middle, slopes[0] - 2.0), (middle, slopes[-1] + 2.0)]
        found += [
            _steady("unseen", speed, slope)
            for speed, slope in beyond
            if 0.3 <= speed <= FASTEST and abs(slope) <= STEEPEST
        ]
    if config.changing:
        found += _changing(speeds, middle, flat, config.duration)
    return tuple(found)


def spread(span: tuple[float, float]) -> tuple[float, ...]:
    """Ends and middle of a range, or its one value."""
    low, high = span
    return (low,) if low == high else (low, 0.5 * (low + high), high)


def _steady(kind: Literal["trained", "unseen"], speed: float, slope: float) -> Case:
    speed, slope = round(speed, 3), round(slope, 3)
    return Case(f"{speed:g} m/s, {slope:+g} deg", kind, speed, slope)


def _changing(
    speeds: Sequence[float], middle: float, slope: float, duration: float
) -> tuple[Case, ...]:
    def point(time: float, speed: float) -> CommandPoint:
        return CommandPoint(time=time, speed=speed, slope_deg=slope)

    third = duration / 3.0
    slow, fast = speeds[0], speeds[-1]
    steps = point(0.0, slow), point(third, fast), point(2.0 * third, slow)
    stop = point(0.0, middle), point(2.0 * third, 0.0)
    found = [Case("stop", "changing", middle, slope, stop)]
    if slow < fast:
        found.insert(0, Case("slow, fast, slow", "changing", slow, slope, steps))
    return (Case("start from standing", "changing", middle, slope, standing=True), *found)
