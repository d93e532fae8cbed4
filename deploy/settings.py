"""Everything that decides what a run does: stored in the black box, so that it can be replayed."""

from __future__ import annotations

from pathlib import Path
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
from osim_exo.deploy.novelty import NoveltyLimits
from osim_exo.deploy.policy_controller import PolicyController
from osim_exo.deploy.safety import SafetyLimits
from osim_exo.deploy.states import Ramps
from osim_exo.errors import InputError

ControllerKind = Literal["zero_torque", "delayed_output_feedback", "spline", "playback", "policy"]
CONTROLLERS: tuple[ControllerKind, ...] = get_args(ControllerKind)


class PolicySpec(Config):
    """A policy bundle, known by its hash: another one in the same place is refused."""

    folder: Path = Field(description="of the bundle")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="hash of the bundle")
    crc32: int = Field(default=0, ge=0, lt=2**32, description="of its constants as exported C")


class ControllerSpec(Config):
    """Which controller runs, with which settings; `build` makes it.

    `settings` holds the fields of `FeedbackSettings`, `SplineProfile`, `TorqueTable` or
    `PolicySpec`.
    """

    kind: ControllerKind = Field(default="zero_torque", description="name of the controller")
    settings: dict[str, Any] = Field(default_factory=dict, description="its settings")

    @model_validator(mode="after")
    def _buildable(self) -> Self:
        if self.kind == "policy":
            # Its folder may be on another machine: a black box can be read without it.
            self.policy()
        else:
            self.build(mass=75.0)
        return self

    def policy(self) -> PolicySpec:
        """What names the bundle of a ``policy``."""
        return PolicySpec(**self.settings)

    def build(self, mass: float) -> Controller:
        """A new controller for a person of `mass` kg."""
        match self.kind:
            case "policy":
                spec = self.policy()
                return PolicyController(spec.folder, mass, spec.sha256)
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
    novelty: NoveltyLimits = NoveltyLimits()
    onboard: bool = Field(
        default=False, description="the device's own copy of the policy acts; the host watches it"
    )
    self_test: SelfTest = SelfTest()
    heal_s: float = Field(
        default=1.0, ge=0.1, le=60.0, description="without arm: a fault gone for this long ends, s"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = self.controller.kind == "policy" and self.controller.policy().crc32 != 0
        if self.onboard and not known:
            raise ValueError(
                "onboard needs a controller of the kind policy with the crc32 of its exported "
                "constants; osim-exo deploy run BUNDLE --onboard fills both in"
            )
        return self

    @property
    def period(self) -> float:
        """Time between two commands, s."""
        return 1.0 / self.rate_hz
