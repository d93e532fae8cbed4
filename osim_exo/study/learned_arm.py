"""What a study asks of trained walkers and devices beside its solved gaits."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from osim_exo.config import Config
from osim_exo.learn.evaluate import Evaluation

ENOUGH_STRIDES = 20
"""Strides per seed, speed and slope that a full evaluation has at least."""


class WalkSettings(Config):
    """How long and how often trained walkers walk, and with which readings."""

    walks: int = Field(default=2, ge=1, le=64, description="per arm, seed, speed and slope")
    duration: float = Field(default=20.0, gt=0.0, le=600.0, description="of a walk, s")
    settle: float = Field(default=3.0, ge=0.0, description="at the start, left out, s")
    accuracy: float = Field(default=1e-3, gt=0.0, le=0.1, description="of OpenSim's integrator")
    sensor_noise: Literal["none", "trained", "usual"] = Field(
        default="none", description="of the device in the walks, not only in training"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.settle >= self.duration:
            raise ValueError(
                f"settle = {self.settle:g} s leaves nothing of duration = {self.duration:g} s"
            )
        return self

    @model_serializer(mode="wrap")
    def _plain(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Walks with true readings are written as before, so that their hash stays."""
        fields: dict[str, Any] = handler(self)
        return {n: value for n, value in fields.items() if (n, value) != ("sensor_noise", "none")}

    def walked_in(
        self, physics: Literal["opensim", "compiled"], speed: float, slope_deg: float
    ) -> Evaluation:
        """The walks at a speed (m/s) and slope (degrees)."""
        return Evaluation(
            physics=physics,
            speed=speed,
            slope_deg=slope_deg,
            runs=self.walks,
            duration=self.duration,
            settle=self.settle,
            accuracy=self.accuracy,
            workers=1,
            sensor_noise=self.sensor_noise,
        )


class LearnedArm(WalkSettings):
    """The learned arms of a study: closed loops in OpenSim, of several training seeds.

    The arms are the last stages of the staged protocol, which have equal training: ``no_exo``,
    ``zero_torque`` and ``assisted``.
    """

    trained: str = Field(
        default="hip", description="shipped chains, or folder of osim-exo train --staged"
    )
    by_default: bool = Field(
        default=True, description="run with the solved arms; else only where they are asked for"
    )
    seeds: int | None = Field(default=None, ge=1, description="at most so many; none: all")
    least_strides: int = Field(
        default=ENOUGH_STRIDES, ge=1, description="per seed, speed and slope; fewer are told"
    )
    transfer: bool = Field(
        default=True, description="one of the walks compiled too, to see what the transfer changes"
    )

    def evaluation(
        self, speed: float, slope_deg: float, physics: Literal["opensim", "compiled"] = "opensim"
    ) -> Evaluation:
        """The walks at a speed (m/s) and slope (degrees)."""
        return self.walked_in(physics, speed, slope_deg)

    def quick_look(self) -> Self:
        """One walk per seed, in OpenSim only."""
        return self.changed(walks=1, transfer=False, least_strides=ENOUGH_STRIDES // 2)
