"""What a study asks: who walks where, with which device and controllers, solved how."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from osim_exo.baseline.config import MAX_SPEED, Solver, Weights
from osim_exo.config import Config
from osim_exo.control.feedback import FeedbackSettings
from osim_exo.control.profiles import SplineProfile
from osim_exo.models import HipExo, JointExo, available
from osim_exo.study.learned_arm import LearnedArm

Arms = Literal["solved", "learned", "both"]
"""Which arms of a study to run: solved by optimal control, closed loops of what was learned."""

Controller = Literal["optimal", "spline", "delayed_output_feedback", "playback"]

Speed = Annotated[float, Field(gt=0.0, le=MAX_SPEED)]

Slope = Annotated[float, Field(ge=-15.0, le=15.0)]


class Quick(Config):
    """What a quick look changes; None leaves a setting as it is."""

    subjects: int | None = Field(default=1, ge=1, le=200)
    mesh_intervals: int | None = Field(default=25, ge=10, le=400)
    speeds: tuple[Speed, ...] | None = None
    slopes_deg: tuple[Slope, ...] | None = None


class StudyConfig(Config):
    """One study: every subject walks every speed and slope in every arm."""

    name: str = Field(
        min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="label"
    )
    title: str = Field(default="", description="heading of the report")
    question: str = Field(default="", description="what the study asks, a sentence")
    model: str = Field(default="gait2d", description="shipped model, or path of an .osim file")
    speeds: tuple[Speed, ...] = Field(default=(1.25,), min_length=1, description="m/s")
    slopes_deg: tuple[Slope, ...] = Field(
        default=(0.0,), min_length=1, description="degrees, uphill positive"
    )
    subjects: int = Field(
        default=1, ge=1, le=200, description="virtual subjects; the first is the model's own size"
    )
    weakness: dict[str, float] = Field(
        default_factory=dict, description="factor on isometric force by muscle, for every subject"
    )
    exo: JointExo = Field(default_factory=HipExo, description="the worn device")
    controllers: tuple[Controller, ...] = Field(default=("optimal",), min_length=1)
    spline: SplineProfile | None = Field(default=None, description="None: its default pulses")
    feedback: FeedbackSettings | None = Field(default=None, description="None: its default gains")
    learned: LearnedArm | None = Field(
        default=None, description="closed loops of trained walkers and devices; none: solved only"
    )
    weights: Weights = Field(default_factory=Weights)
    solver: Solver = Field(default_factory=Solver)
    cadence: Literal["shared", "optimised"] = Field(
        default="shared",
        description="shared: all arms of a subject walk at one stride time, the reference no-exo "
        "gait's, scaled to the subject's size; optimised: every arm's stride time is a result, "
        "which takes three to five times longer",
    )
    seed: int = Field(default=0, ge=0, description="of the virtual subjects and permutation tests")
    quick: Quick = Field(default_factory=Quick, description="what --quick changes")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for kind in ("speeds", "slopes_deg", "controllers"):
            given = getattr(self, kind)
            if len(set(given)) < len(given):
                raise ValueError(f"{kind} names something twice: {', '.join(map(str, given))}")
        if "playback" in self.controllers and "optimal" not in self.controllers:
            raise ValueError(
                "controller playback plays the torque of the optimal arm; add optimal to "
                "controllers"
            )
        if self.subjects > 1 and self.model not in available():
            raise ValueError(
                f"{self.subjects} subjects were given for {self.model}; only shipped models "
                f"({', '.join(available())}) are scaled to other people. Set subjects to 1"
            )
        return self

    def quick_look(self) -> StudyConfig:
        """The same question with fewer subjects and a coarser mesh, in all arms alike."""
        quick = self.quick
        solver = self.solver
        if quick.mesh_intervals is not None:
            solver = solver.changed(mesh_intervals=quick.mesh_intervals)
        return self.changed(
            title=f"{self.title or self.name} (quick look)",
            subjects=quick.subjects or self.subjects,
            speeds=quick.speeds or self.speeds,
            slopes_deg=quick.slopes_deg or self.slopes_deg,
            solver=solver,
            learned=self.learned and self.learned.quick_look(),
        )
