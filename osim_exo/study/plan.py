"""A study taken apart: arms, cases, and the order in which conditions can be solved."""

from __future__ import annotations

from dataclasses import dataclass

from osim_exo.baseline.config import BaselineConfig, StrideTime
from osim_exo.control.profiles import TorqueTable
from osim_exo.models import ModelConfig
from osim_exo.names import Condition
from osim_exo.study.config import Controller, StudyConfig
from osim_exo.study.subjects import VirtualSubject, draw_subjects


@dataclass(frozen=True)
class Arm:
    """One condition, with its controller where the exo assists.

    Attributes
    ----------
    name : folder below ``trials/``: the condition, with the controller where there are several
    condition, controller : as in a `BaselineConfig`
    starts_from : name of the arm whose solution is the guess; empty for the first
    plays : name of the arm whose torque is played back, if this one plays any
    """

    name: str
    condition: Condition
    controller: Controller | None = None
    starts_from: str = ""
    plays: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the arms that must be solved before."""
        return tuple(name for name in (self.starts_from, self.plays) if name)


@dataclass(frozen=True)
class Case:
    """One walk of one subject."""

    speed: float
    slope_deg: float
    subject: VirtualSubject

    @property
    def name(self) -> str:
        """Folder below the arm's."""
        return f"{self.speed:g}_mps_{self.slope_deg:+g}_deg_{self.subject.label}"

    @property
    def is_reference(self) -> bool:
        """Whether the reference person walks."""
        return self.subject.body is None

    @property
    def reference(self) -> Case:
        """The same walk by the reference person."""
        return Case(self.speed, self.slope_deg, draw_subjects(1, 0)[0])


@dataclass(frozen=True)
class Task:
    """One condition of one case: the unit that is solved, stored and resumed."""

    arm: Arm
    case: Case

    @property
    def name(self) -> str:
        """Label of the trial; unique in the study."""
        return f"{self.arm.name}_{self.case.name}"


NO_EXO = Arm("no_exo", "no_exo")

ZERO_TORQUE = Arm("zero_torque", "zero_torque", starts_from="no_exo")


def assisted_arms(config: StudyConfig) -> tuple[Arm, ...]:
    """One arm per controller."""
    several = len(config.controllers) > 1
    names = {c: f"assisted_{c}" if several else "assisted" for c in config.controllers}
    return tuple(
        Arm(names[c], "assisted", c, "zero_torque", names["optimal"] if c == "playback" else "")
        for c in config.controllers
    )


def arms(config: StudyConfig) -> tuple[Arm, ...]:
    """No exo, zero torque, then one per controller."""
    return (NO_EXO, ZERO_TORQUE, *assisted_arms(config))


def cases(config: StudyConfig) -> tuple[Case, ...]:
    """Every walk of every subject."""
    return tuple(
        Case(speed, slope, subject)
        for slope in config.slopes_deg
        for speed in config.speeds
        for subject in draw_subjects(config.subjects, config.seed)
    )


def waves(config: StudyConfig) -> list[list[Task]]:
    """Tasks in groups; all that a task needs lies in earlier groups.

    The reference person walks first, because the others start from that gait and its stride time.
    """
    everyone = cases(config)
    assisted = assisted_arms(config)
    steps: list[tuple[tuple[Arm, ...], list[Case]]] = [
        ((NO_EXO,), [case for case in everyone if case.is_reference]),
        ((NO_EXO,), [case for case in everyone if not case.is_reference]),
        ((ZERO_TORQUE,), list(everyone)),
        (tuple(a for a in assisted if a.controller != "playback"), list(everyone)),
        (tuple(a for a in assisted if a.controller == "playback"), list(everyone)),
    ]
    groups = [[Task(arm, case) for arm in some for case in walks] for some, walks in steps]
    return [group for group in groups if group]


def request(
    config: StudyConfig, task: Task, stride_time: StrideTime, playback: TorqueTable | None = None
) -> BaselineConfig:
    """The gait to solve for a task."""
    arm, case = task.arm, task.case
    model = ModelConfig(
        name=config.model,
        subject=case.subject.body,
        exo=None if arm.condition == "no_exo" else config.exo,
        slope_deg=case.slope_deg,
        weakness=config.weakness,
    )
    return BaselineConfig(
        model=model,
        speed=case.speed,
        condition=arm.condition,
        controller=arm.controller or "none",
        spline=config.spline if arm.controller == "spline" else None,
        feedback=config.feedback if arm.controller == "delayed_output_feedback" else None,
        playback=playback,
        weights=config.weights,
        solver=config.solver,
        stride_time=stride_time,
    )
