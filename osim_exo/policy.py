"""What a learned policy reads and gives: signals and actions with unit, range, delay and sign."""

from __future__ import annotations

import math
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from osim_exo.config import Config

Array = npt.NDArray[np.floating]

Squashing = Literal["sigmoid", "clip", "tanh"]


class Signal(Config):
    """One observed number."""

    name: str = Field(min_length=1, description="as the model or the sensor is called")
    unit: str = Field(min_length=1, description="SI unit; 1 for a share")
    low: float = Field(description="least value that is expected")
    high: float = Field(description="largest value that is expected")
    delay_s: float = Field(default=0.0, ge=0.0, le=1.0, description="age of the reading, s")
    meaning: str = Field(default="", description="what it is, in words")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"{self.name}: low = {self.low:g} must be below high = {self.high:g}")
        return self


class Action(Config):
    """One number that the policy gives, and how it becomes a command.

    With x = gain a + offset, the command is for

    - ``sigmoid``: low + (high - low) / (1 + exp(-x)),
    - ``tanh``: the middle of low and high + tanh(x) half their distance,
    - ``clip``: x, not below low and not above high.
    """

    name: str = Field(min_length=1, description="actuator")
    unit: str = Field(min_length=1, description="unit of the command; 1 for an excitation")
    low: float = Field(description="least command")
    high: float = Field(description="largest command")
    squashing: Squashing = Field(description="how the network's output becomes a command")
    gain: float = Field(default=1.0, gt=0.0, description="of the network's output")
    offset: float = Field(default=0.0, description="added to the network's output times gain")
    positive: str = Field(default="", description="what a positive command does, as 'hip flexion'")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"{self.name}: low = {self.low:g} must be below high = {self.high:g}")
        return self


class Interface(Config):
    """Everything between a policy and the world it acts in."""

    observations: tuple[Signal, ...] = Field(min_length=1, description="in the network's order")
    actions: tuple[Action, ...] = Field(min_length=1, description="in the network's order")
    rate_hz: float = Field(gt=0.0, le=1e4, description="how often the policy acts, Hz")
    history: int = Field(default=1, ge=1, le=1000, description="observations that go in at a time")
    model: str = Field(default="", description="name of the model that it was trained on")
    model_hash: str = Field(default="", description="hash of that model's compiled form")

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for what, rows in (("observations", self.observations), ("actions", self.actions)):
            names = [row.name for row in rows]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} with the same name: {', '.join(twice)}")
        return self

    @property
    def period_s(self) -> float:
        """Time between two actions, s."""
        return 1.0 / self.rate_hz

    def commands(self, output: Array) -> Array:
        """Commands for the network's output, (..., n_action) arrays; see `Action`."""
        return Squash(self.actions)(output)


class Squash:
    """Turns a network's output into commands; made once, used every step.

    Parameters
    ----------
    actions : in the network's order
    """

    def __init__(self, actions: tuple[Action, ...]) -> None:
        self._gain = np.array([a.gain for a in actions])
        self._offset = np.array([a.offset for a in actions])
        self._low = np.array([a.low for a in actions])
        self._high = np.array([a.high for a in actions])
        kinds = [a.squashing for a in actions]
        self._smooth = np.array([kind != "clip" for kind in kinds])
        # tanh(x) = 2 / (1 + exp(-2 x)) - 1: one formula for both smooth kinds.
        self._slope = np.array([2.0 if kind == "tanh" else 1.0 for kind in kinds])

    def __call__(self, output: Array) -> Array:
        """Commands, of the shape (..., n_action) of `output`; same precision."""
        x = output * self._gain + self._offset
        # Beyond 700 the exponential leaves the numbers; the share is 0 or 1 long before.
        share = 1.0 / (1.0 + np.exp(np.clip(-self._slope * x, -700.0, 700.0)))
        smooth = self._low + (self._high - self._low) * share
        command = np.where(self._smooth, smooth, np.clip(x, self._low, self._high))
        return np.asarray(command, dtype=output.dtype)


def sigmoid_for(start: float, gain: float = 2.0) -> dict[str, float]:
    """Gain and offset with which a sigmoid of a zero output gives the share `start`."""
    return {"gain": gain, "offset": math.log(start / (1.0 - start))}
