"""How unlike training a policy's input is, and how much of its torque that leaves."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from osim_exo.config import Config


class NoveltyLimits(Config):
    """From where on readings are too unlike those of training.

    The measure is the largest ``|z|`` of the newest sample: each observation's distance from its
    mean in training, over its standard deviation there, before anything is clipped. In 1e5
    readings from a normal distribution the largest is near 4.4.
    """

    begin: float = Field(default=5.0, gt=0.0, le=100.0, description="torque fades from here on")
    end: float = Field(default=8.0, gt=0.0, le=1000.0, description="from here on there is none")
    recover_per_s: float = Field(
        default=1.0, gt=0.0, le=100.0, description="share of the torque that comes back, 1/s"
    )
    fault_s: float = Field(
        default=0.5, gt=0.0, le=60.0, description="without any torque for this long is a fault, s"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.begin < self.end:
            raise ValueError(f"begin = {self.begin:g} must be below end = {self.end:g}")
        return self

    def share(self, novelty: float) -> float:
        """Share of the torque that is left at a novelty, 0 to 1; 0 for NaN."""
        if not novelty < self.end:
            return 0.0
        return min(1.0, (self.end - novelty) / (self.end - self.begin))


class Familiarity:
    """The share of a policy's torque over time: falls at once, comes back slowly.

    Parameters
    ----------
    limits : NoveltyLimits
    """

    def __init__(self, limits: NoveltyLimits) -> None:
        self.limits = limits
        self.share = 1.0
        self._before: float | None = None
        self._none_since: float | None = None

    def update(self, now: float, novelty: float) -> float:
        """Note the novelty at `now` (s) and return the share."""
        allowed = self.limits.share(novelty)
        elapsed = 0.0 if self._before is None else max(now - self._before, 0.0)
        self._before = now
        self.share = min(allowed, self.share + self.limits.recover_per_s * elapsed)
        if allowed > 0.0:
            self._none_since = None
        elif self._none_since is None:
            self._none_since = now
        return self.share

    def is_strange(self, now: float) -> bool:
        """There has been no torque for as long as makes a fault."""
        since = self._none_since
        return since is not None and now - since >= self.limits.fault_s
