"""What is to be learned: task, person, device, commands, rewards, starts and their variation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.learn.tasks.motion import FASTEST as FASTEST
from osim_exo.learn.tasks.motion import MotionFile
from osim_exo.models import HipExo, ModelConfig
from osim_exo.names import Condition

Learner = Literal["human", "exo", "both"]
Span = tuple[float, float]

STEEPEST = 10.0
"""Degrees; steeper ground is no walking task here."""


def _ordered(name: str, span: Span, low: float, high: float) -> None:
    if not low <= span[0] <= span[1] <= high:
        raise ValueError(
            f"{name} = {span[0]:g} to {span[1]:g} was given; allowed is low <= high within "
            f"{low:g} to {high:g}"
        )


class CommandPoint(Config):
    """From a time on, walk so."""

    time: float = Field(ge=0.0, description="since the episode's start, s")
    speed: float = Field(ge=0.0, le=FASTEST, description="m/s; 0 stands")
    slope_deg: float = Field(default=0.0, ge=-STEEPEST, le=STEEPEST, description="uphill positive")


class Commands(Config):
    """Speeds and slopes that are asked for, and how they change within an episode."""

    speed: Span = Field(default=(1.25, 1.25), description="range of commanded speed, m/s")
    slope_deg: Span = Field(default=(0.0, 0.0), description="range of slope, degrees")
    change_every: Span | None = Field(
        default=None, description="time between two commands, s; none: one per episode"
    )
    stop_share: float = Field(
        default=0.0, ge=0.0, le=1.0, description="share of changes that command to stand"
    )
    acceleration: float = Field(
        default=1.0, gt=0.0, le=10.0, description="the command's own rate of change, m/s^2"
    )
    slope_rate: float = Field(default=2.0, gt=0.0, le=30.0, description="of the slope, degrees/s")
    schedule: tuple[CommandPoint, ...] = Field(
        default=(), description="fixed commands in place of drawn ones; the first at time 0"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _ordered("speed", self.speed, 0.1, FASTEST)
        _ordered("slope_deg", self.slope_deg, -STEEPEST, STEEPEST)
        if self.change_every is not None:
            _ordered("change_every", self.change_every, 0.2, 1e3)
        times = [point.time for point in self.schedule]
        if times and (times[0] != 0.0 or any(b <= a for a, b in zip(times, times[1:]))):
            raise ValueError(
                f"the schedule has the times {', '.join(f'{t:g}' for t in times)} s; they must "
                "begin with 0 and increase"
            )
        return self


class WalkReward(Config):
    """Weights of the walking task without reference, per control step; costs are negative.

    Shapes and sizes are this project's own, chosen by what walkers did, not fitted to a motion;
    docs/learning.md tells what each gave.
    """

    speed: float = Field(default=1.0, description="times the speed score, 0 to 1, times upright")
    mean_speed_share: float = Field(
        default=0.6, ge=0.0, le=1.0, description="of the speed score that the mean speed earns"
    )
    mean_speed_width: float = Field(default=0.2, gt=0.0, description="error that earns 1/e, m/s")
    speed_width: float = Field(default=0.5, gt=0.0, description="of the mass centre's speed, m/s")
    upright_angle: float = Field(default=4.0, ge=0.0, description="per rad^2 of trunk lean error")
    upright_rate: float = Field(default=0.02, ge=0.0, description="per (rad/s)^2 of the trunk")
    upright_bounce: float = Field(default=1.0, ge=0.0, description="per (m/s)^2, vertically")
    trunk_lean: float = Field(default=-0.05, description="wanted, rad; forward is negative")
    alive: float = Field(default=0.2, description="times 1")
    effort: float = Field(
        default=-5.0, le=0.0, description="times mean of activations to the effort's power"
    )
    effort_power: float = Field(default=2.0, ge=1.0, le=4.0, description="of the activations")
    final_effort: float | None = Field(
        default=-15.0, le=0.0, description="the same once walking is learned; none: no change"
    )
    final_effort_steps: float = Field(
        default=1e6, gt=0.0, description="steps of all environments that the change takes"
    )
    climb_power: float | None = Field(
        default=None,
        gt=0.0,
        description="of lifting the body, W/kg, at which effort counts half; none: always in full",
    )
    learned_share: float = Field(
        default=0.9, gt=0.0, le=1.0, description="of the longest episode; then it is learned"
    )
    smoothness: float = Field(
        default=-0.3, le=0.0, description="times mean squared change of the excitations"
    )
    joint_limits: float = Field(
        default=-0.5, le=0.0, description="times passive joint moments over 10 Nm, at most 5"
    )
    impact: float = Field(
        default=-0.25, le=0.0, description="times vertical force over the threshold, body weights"
    )
    impact_threshold: float = Field(default=1.3, gt=0.0, description="per foot, body weights")
    loading: float = Field(
        default=-0.5, le=0.0, description="times squared rise of each foot's force, body weights^2"
    )
    slip: float = Field(
        default=-0.2,
        le=0.0,
        description="times squared sliding speed, summed over the feet's spheres that bear more "
        "than 20 N, m^2/s^2, at most 5",
    )
    straight_knee: float = Field(
        default=-3.0, le=0.0, description="times angle of the knees beyond the straightest, rad"
    )
    straightest_knee: float = Field(
        default=0.05, ge=-0.2, le=0.5, description="flexion below which knees cost, rad"
    )
    swing_ankle: float = Field(
        default=0.0,
        le=0.0,
        description="times dorsiflexion of ankles beyond the highest while their foot bears no "
        "load, rad",
    )
    highest_ankle: float = Field(
        default=0.0, ge=-0.5, le=0.5, description="dorsiflexion beyond which swing costs, rad"
    )
    fore_aft: float = Field(
        default=0.0, le=0.0, description="times squared forward acceleration, g^2"
    )
    vertical: float = Field(default=0.0, le=0.0, description="times squared vertical one, g^2")
    active_muscles: float = Field(
        default=0.0, le=0.0, description="times share of muscles above the threshold"
    )
    active_threshold: float = Field(default=0.15, gt=0.0, lt=1.0, description="activation")
    trunk_effort: float = Field(
        default=0.0, le=0.0, description="times squared torque of the trunk over its largest"
    )
    pelvis_rate: float = Field(
        default=-0.05, le=0.0, description="times squared rate of the pelvis' tilt, (rad/s)^2"
    )
    pelvis_tilt: float = Field(
        default=-5.0, le=0.0, description="times squared tilt from quiet standing's, rad^2"
    )
    metabolic: float = Field(
        default=0.0, le=0.0, description="times Bhargava 2004 rate, W per kg of body"
    )
    fall: float = Field(default=-2.0, le=0.0, description="times 1 in the step of a fall")
    exo_torque: float = Field(default=-0.01, le=0.0, description="times mean (torque / max)^2")
    exo_change: float = Field(
        default=-0.02, le=0.0, description="times mean (change of torque / max)^2 since last step"
    )
    exo_power: float = Field(
        default=0.0, le=0.0, description="times positive device power, W per kg of body"
    )


class ImitateReward(Config):
    """Weights of tracking a reference, with effort as a straight cost (measured prototype)."""

    posture: float = Field(default=0.4, ge=0.0, description="times exp(-5 sum of squared rad)")
    rates: float = Field(default=0.1, ge=0.0, description="times exp(-0.05 sum of (rad/s)^2)")
    root: float = Field(
        default=0.2, ge=0.0, description="times exp(-20 height^2 - 10 dv^2 - 10 mean dv^2)"
    )
    alive: float = Field(default=0.3, description="times 1")
    effort: float = Field(default=-5.0, le=0.0, description="times mean squared activation")
    fall: float = Field(default=-2.0, le=0.0, description="times 1 in the step of a fall")
    exo_torque: float = Field(default=-0.01, le=0.0, description="times mean (torque / max)^2")
    exo_change: float = Field(default=-0.02, le=0.0, description="times mean (change / max)^2")
    lost: float = Field(
        default=1.2, gt=0.0, description="sum of squared angle errors that ends an episode, rad^2"
    )


class Starts(Config):
    """Where episodes begin."""

    standing_share: float = Field(
        default=0.0, ge=0.0, le=1.0, description="of episodes; the others begin within a stride"
    )
    standing_split: float = Field(
        default=0.15,
        ge=0.0,
        le=0.6,
        description="between the thighs in standing, either foot in front, rad",
    )
    hard_share: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="of episodes that begin at speeds, slopes and starts where walkers lately fell",
    )
    angle_noise: float = Field(default=0.01, ge=0.0, le=0.5, description="standard deviation, rad")
    speed_noise: float = Field(
        default=0.05, ge=0.0, le=2.0, description="standard deviation, rad/s or m/s"
    )
    gaits: str = Field(default="gait2d", description="shipped model whose solved gaits to use")


class Ends(Config):
    """What counts as a fall, and when the clock ends an episode."""

    duration: float = Field(default=10.0, gt=0.0, le=3600.0, description="of an episode, s")
    stagger: bool = Field(
        default=True, description="the first episodes begin with clocks that differ"
    )
    lowest_pelvis: float = Field(default=0.7, gt=0.0, lt=1.0, description="over standing height")
    highest_pelvis: float = Field(default=1.22, gt=1.0, le=2.0, description="over standing height")
    largest_tilt: float = Field(default=1.0, gt=0.0, le=3.0, description="pelvis to gravity, rad")
    largest_lean: float = Field(
        default=0.6, gt=0.0, le=3.0, description="trunk to gravity from the wanted lean, rad"
    )


class Trunk(Config):
    """The trunk's actuator: a spring and damper to a lean, and what the policy adds.

    The planar model has no trunk muscles. The policy's part is held over a control step, as is the
    spring's.
    """

    gain: float = Field(default=30.0, gt=0.0, description="Nm per unit of the policy's output")
    largest: float = Field(default=60.0, gt=0.0, description="of all together, Nm")
    stiffness: float = Field(default=200.0, ge=0.0, le=1000.0, description="Nm/rad")
    damping: float = Field(default=15.0, ge=0.0, le=100.0, description="Nm s/rad")
    rest: float = Field(default=-0.05, description="lumbar angle without torque, rad")


class Synergies(Config):
    """Muscles driven in groups of the solved gaits' activations, with a bounded rest for each."""

    number: int = Field(default=5, ge=1, le=9, description="groups per leg")
    residual: float = Field(default=0.1, ge=0.0, le=1.0, description="largest, per muscle")


class ExoSenses(Config):
    """What the device measures and how well."""

    sensors: tuple[Literal["thigh", "joint"], ...] = Field(
        default=("thigh",), min_length=1, description="IMU on the thigh; encoder of driven joints"
    )
    lags_s: tuple[float, ...] = Field(
        default=(0.0, 0.06, 0.12), min_length=1, description="ages of the readings, s"
    )
    own_torque: bool = Field(default=True, description="the delivered torque is measured too")
    privileged: bool = Field(
        default=False, description="a teacher: the policy sees all that the human's does"
    )


class Randomisation(Config):
    """What differs from episode to episode; nothing by default.

    Published ranges for comparison: Luo et al. 2023 (J. NeuroEng. Rehabil. 20:34, table of domain
    randomisation) took mass 0.8-1.2, inertia 0.5-1.5, friction 0.9-1.6, observation latency and
    control delay 0-40 ms.
    """

    body_mass: Span | None = Field(default=None, description="factor on all segments together")
    segment_mass: Span | None = Field(default=None, description="factor on each segment")
    segment_inertia: Span | None = Field(default=None, description="factor on each segment")
    strength: Span | None = Field(default=None, description="factor on all muscles together")
    muscle_strength: Span | None = Field(default=None, description="factor on each muscle")
    contact_stiffness: Span | None = Field(default=None, description="factor")
    contact_friction: Span | None = Field(default=None, description="factor")
    exo_mass: Span | None = Field(default=None, description="kg")
    exo_torque_gain: Span | None = Field(default=None, description="delivered over commanded")
    exo_bandwidth_hz: Span | None = Field(default=None, description="Hz")
    exo_delay_s: Span | None = Field(default=None, description="s")
    exo_strap_stiffness: Span | None = Field(
        default=None, description="Nm/rad; of a device whose limits have a strap"
    )
    sensor_angle_noise: float = Field(default=0.0, ge=0.0, le=0.5, description="of the device, rad")
    sensor_rate_noise: float = Field(default=0.0, ge=0.0, le=5.0, description="rad/s")
    sensor_angle_offset: float = Field(
        default=0.0, ge=0.0, le=0.5, description="standard deviation of a mounting error, rad"
    )
    push_every: Span | None = Field(default=None, description="time between pushes, s")
    push_speed: float = Field(
        default=0.3, ge=0.0, le=2.0, description="largest change of forward speed by a push, m/s"
    )

    @model_validator(mode="after")
    def _spans(self) -> Self:
        for name, (low, high) in RANGES.items():
            span = getattr(self, name)
            if span is not None:
                _ordered(name, span, low, high)
        return self


RANGES: dict[str, Span] = {
    "body_mass": (0.5, 2.0),
    "segment_mass": (0.2, 5.0),
    "segment_inertia": (0.2, 5.0),
    "strength": (0.05, 3.0),
    "muscle_strength": (0.05, 3.0),
    "contact_stiffness": (0.1, 10.0),
    "contact_friction": (0.1, 10.0),
    "exo_mass": (0.0, 20.0),
    "exo_torque_gain": (0.0, 2.0),
    "exo_bandwidth_hz": (0.5, 1e3),
    "exo_delay_s": (0.0, 0.5),
    "exo_strap_stiffness": (10.0, 5e3),
    "push_every": (0.2, 1e3),
}
"""Allowed bounds of the ranges in `Randomisation`."""


class TaskConfig(Config):
    """A task to learn.

    The staged protocol is four of these: ``no_exo``; ``zero_torque``; ``assisted`` with
    ``learner="exo"`` and the human of before as `human_policy`; ``assisted`` with
    ``learner="both"``. The control arm is the second one again.
    """

    kind: Literal["walk", "imitate"] = "walk"
    model: ModelConfig = Field(default_factory=ModelConfig, description="its exo follows condition")
    condition: Condition = Field(default="no_exo", description="no_exo, zero_torque or assisted")
    learner: Learner = Field(default="human", description="whose policy is learned")
    human_policy: Path | None = Field(default=None, description="frozen human, a policy's folder")
    exo_policy: Path | None = Field(default=None, description="frozen exo, a policy's folder")
    commands: Commands = Commands()
    walk: WalkReward = WalkReward()
    imitate: ImitateReward = ImitateReward()
    reference: MotionFile | None = Field(
        default=None, description="to imitate; none: the solved gaits of the shipped model"
    )
    starts: Starts = Starts()
    ends: Ends = Ends()
    trunk: Trunk = Trunk()
    synergies: Synergies | None = Field(default=None, description="none: every muscle by itself")
    senses: ExoSenses = ExoSenses()
    randomisation: Randomisation = Randomisation()
    control_dt: float = Field(default=0.02, gt=0.0, le=0.1, description="of the policy, s")
    substep: float = Field(default=0.002, gt=0.0, le=0.01, description="of the physics, s")
    dtype: Literal["float32", "float64"] = Field(default="float32", description="of the physics")
    threads: int = Field(default=1, ge=1, le=256, description="that the physics uses")

    @model_validator(mode="before")
    @classmethod
    def _default_device(cls, data: object) -> object:
        """Put the hip device on the model where the condition needs one and none is named."""
        if not isinstance(data, dict) or data.get("condition", "no_exo") == "no_exo":
            return data
        model = data.get("model")
        model = ModelConfig() if model is None else ModelConfig.model_validate(model)
        return {**data, "model": model if model.exo is not None else model.changed(exo=HipExo())}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.condition == "no_exo" and self.model.exo is not None:
            raise ValueError("the condition is no_exo, but the model wears a device; drop one")
        if self.model.slope_deg != 0.0:
            raise ValueError(
                f"the model has a slope of {self.model.slope_deg:g} degrees; in a task slopes "
                "belong into commands.slope_deg"
            )
        if self.model.exo_actuator != "torque":
            raise ValueError('the device must be attached with exo_actuator="torque"')
        self._check_learner()
        if self.kind == "imitate" and self.starts.standing_share > 0.0:
            raise ValueError('kind = "imitate" starts within a stride; set standing_share to 0')
        if self.reference is not None and self.kind != "imitate":
            raise ValueError('a reference was given, but kind is "walk"; choose kind = "imitate"')
        return self

    def _check_learner(self) -> None:
        assisted = self.condition == "assisted"
        if self.learner != "human" and not assisted:
            raise ValueError(
                f'learner = "{self.learner}" needs condition = "assisted", not "{self.condition}"'
            )
        if self.learner == "exo" and self.human_policy is None:
            raise ValueError('learner = "exo" needs human_policy, the frozen human')
        if self.learner == "human" and assisted and self.exo_policy is None:
            raise ValueError(
                'an assisted human alone needs exo_policy, the frozen exo; or learner = "both"'
            )
        if self.exo_policy is not None and (self.learner != "human" or not assisted):
            raise ValueError("exo_policy is used by an assisted human only; leave it out")
        if self.human_policy is not None and self.learner != "exo":
            raise ValueError('human_policy is used by learner = "exo" only; leave it out')
