"""What is asked of an optimal-control gait: model, speed, condition, weights, solver."""

from __future__ import annotations

import hashlib
import json
from typing import Literal, Self

from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.control.feedback import FeedbackSettings
from osim_exo.control.profiles import SplineProfile, TorqueTable
from osim_exo.models import ModelConfig
from osim_exo.names import Condition

ControllerName = Literal["none", "optimal", "spline", "delayed_output_feedback", "playback"]

MAX_SPEED = 2.2
"""m/s; faster than this people run (Minetti et al. 1999 and the models here only walk)."""


class Weights(Config):
    """Weights of the objective's terms; each term is a mean over time.

    Tracking is weak on purpose and has no ground-reaction term: forces, moments and muscle
    activity are results.
    """

    effort: float = Field(default=1.0, ge=0.0, description="sum of squared muscle excitations")
    tracking: float = Field(
        default=8.0, ge=0.0, description="squared deviation from human joint angles, rad^2"
    )
    tracking_speed: float = Field(
        default=0.02,
        ge=0.0,
        description="joint speeds, relative to angles, at a stride time of 1.1 s; scaled by its "
        "square",
    )
    foot_height: float = Field(
        default=1200.0,
        ge=0.0,
        description="squared deviation of the feet's height from the reference's, mean over the "
        "contact spheres, m^2: keeps the swing foot clear of the ground",
    )
    metabolic: float = Field(
        default=0.0, ge=0.0, description="Bhargava 2004 metabolic rate, per W/kg"
    )
    lumbar: float = Field(default=0.01, ge=0.0, description="lumbar control, relative to effort")
    exo: float = Field(
        default=0.01,
        ge=0.0,
        description="optimal exo torque over its maximum, squared, relative to effort",
    )
    exo_rate: float = Field(
        default=0.01,
        ge=0.0,
        description="rate of the optimal exo's torque over its limit, squared, relative to effort; "
        "keeps the torque smooth",
    )


class Solver(Config):
    """How the problem is transcribed and solved."""

    mesh_intervals: int = Field(
        default=50, ge=10, le=400, description="trapezoidal intervals over the solved time"
    )
    convergence_tolerance: float = Field(default=1e-3, gt=0.0, le=1e-1)
    constraint_tolerance: float = Field(default=1e-3, gt=0.0, le=1e-1)
    max_iterations: int = Field(default=400, ge=1, le=10000)


class StrideTime(Config):
    """Stride time is a result: the objective is minimised over it within a range.

    With `fixed` it is imposed, as in arms that are compared at one cadence.
    """

    fixed: float | None = Field(default=None, ge=0.5, le=2.0, description="s")
    low: float = Field(default=0.9, ge=0.5, description="s")
    high: float = Field(default=1.4, le=2.0, description="s")
    step: float = Field(default=0.06, gt=0.0, description="first steps of the search, s")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        return self


class BaselineConfig(Config):
    """One gait to solve."""

    model: ModelConfig = Field(default_factory=ModelConfig)
    speed: float = Field(default=1.25, gt=0.0, le=MAX_SPEED, description="average speed, m/s")
    condition: Condition = "no_exo"
    controller: ControllerName = Field(
        default="none", description="what drives the exo in the assisted condition"
    )
    spline: SplineProfile | None = None
    feedback: FeedbackSettings | None = None
    playback: TorqueTable | None = None
    weights: Weights = Field(default_factory=Weights)
    solver: Solver = Field(default_factory=Solver)
    stride_time: StrideTime = Field(default_factory=StrideTime)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.condition == "no_exo" and self.model.exo is not None:
            raise ValueError("condition no_exo takes a model without an exo")
        if self.condition != "no_exo" and self.model.exo is None:
            raise ValueError(f"condition {self.condition} needs an exo in the model")
        if (self.condition == "assisted") != (self.controller != "none"):
            raise ValueError(
                f"controller {self.controller} was given for condition {self.condition}; the "
                "assisted condition needs a controller (optimal, spline, delayed_output_feedback "
                "or playback), the others take none"
            )
        if self.model.tendon == "compliant":
            raise ValueError(
                "gaits are solved with rigid tendons; with compliant ones, explicit or implicit, "
                "no solve converged. Use tendon rigid here; stepped physics take both"
            )
        if self.controller == "playback" and self.playback is None:
            raise ValueError("controller playback needs a torque table in the field playback")
        return self

    @property
    def half_stride(self) -> bool:
        """Solve half a stride and mirror it: only where left and right are the same."""
        return self.model.symmetric

    @property
    def solved_model(self) -> ModelConfig:
        """The model to solve with: an optimal exo's torque is a state whose rate is controlled."""
        kind: Literal["torque", "activation"] = (
            "activation" if self.controller == "optimal" else "torque"
        )
        return self.model.changed(exo_actuator=kind)

    @property
    def hash(self) -> str:
        """SHA-256 of the request and of the model as built, first 16 digits."""
        # Fields at their defaults are left out, so that a new field does not make old gaits stale;
        # weights and solver count in full, because their defaults are part of the recipe. What acts
        # on an optimal exo only counts there only: other gaits do not grow stale by it.
        optimal = self.controller == "optimal"
        request = self.model_dump(mode="json", exclude_defaults=True)
        weights = self.weights.model_dump(exclude=set() if optimal else {"exo_rate"})
        recipe = {"weights": weights, "solver": self.solver.model_dump()}
        model = self.solved_model.hash if optimal else self.model.hash
        text = json.dumps([request, recipe, model], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
