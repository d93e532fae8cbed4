"""Everything that decides what a run does: stored in the black box, so that it can be replayed."""

from __future__ import annotations

from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.control import (
    Controller,
    DelayedOutputFeedback,
    FeedbackSettings,
    Playback,
    Spline,
    SplineProfile,
    TorqueTable,
    ZeroTorque,
)
from osim_exo.deploy.faults import FaultThresholds
from osim_exo.deploy.safety import SafetyLimits
from osim_exo.deploy.states import Ramps
from osim_exo.errors import InputError

ControllerKind = Literal["zero_torque", "delayed_output_feedback", "spline", "playback"]
CONTROLLERS: tuple[ControllerKind, ...] = get_args(ControllerKind)


class ControllerSpec(Config):
    """Which controller runs, with which settings; `build` makes it.

    `settings` holds the fields of `FeedbackSettings`, `SplineProfile` or `TorqueTable`.
    """

    kind: ControllerKind = Field(default="zero_torque", description="name of the controller")
    settings: dict[str, Any] = Field(default_factory=dict, description="its settings")

    @model_validator(mode="after")
    def _buildable(self) -> Self:
        self.build()
        return self

    def build(self) -> Controller:
        """A new controller."""
        match self.kind:
            case "delayed_output_feedback":
                return DelayedOutputFeedback(FeedbackSettings(**self.settings))
            case "spline":
                return Spline(SplineProfile(**self.settings))
            case "playback":
                return Playback(TorqueTable(**self.settings))
            case "zero_torque":
                if self.settings:
                    raise InputError(
                        f"zero_torque has no settings; {', '.join(self.settings)} was given."
                    )
                return ZeroTorque()


class SelfTest(Config):
    """What must hold before a run leaves SELF_TEST."""

    n_sample: int = Field(default=50, ge=1, le=10_000, description="plausible samples in a row")
    torque: float = Field(
        default=1.0, gt=0.0, le=10.0, description="measured torque at rest at most, Nm"
    )
    timeout_s: float = Field(default=10.0, gt=0.0, le=120.0, description="s; later is a fault")


class RunSettings(Config):
    """Settings of one run of the device."""

    mass: float = Field(ge=20.0, le=200.0, description="body mass of the person, kg")
    controller: ControllerSpec = ControllerSpec()
    arm: bool = Field(default=False, description="torque is sent; else it is computed only")
    rate_hz: float = Field(default=100.0, ge=10.0, le=1000.0, description="loop rate, Hz")
    condition: str = Field(default="", max_length=200, description="label of this recording")
    limits: SafetyLimits = SafetyLimits()
    thresholds: FaultThresholds = FaultThresholds()
    ramps: Ramps = Ramps()
    self_test: SelfTest = SelfTest()
    heal_s: float = Field(
        default=1.0, ge=0.1, le=60.0, description="without arm: a fault gone for this long ends, s"
    )

    @property
    def period(self) -> float:
        """Time between two commands, s."""
        return 1.0 / self.rate_hz
