"""The safety limiter: the last thing between any controller and the device.

It knows nothing of the controller and shares no code with it or with the simulated drive of
`osim_exo.device`. Whatever comes in, what goes out obeys the limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from osim_exo.config import Config

Pair = tuple[float, float]
"""A number per side: right, then left."""


class SafetyLimits(Config):
    """What may be applied to a person, per hip joint; flexion is positive.

    The values are choices of this project for a light hip exoskeleton in level walking: the torque
    of published hip devices is 8 to 15 Nm, the range that of normal gait with a margin.
    """

    max_torque: float = Field(default=15.0, gt=0.0, le=100.0, description="Nm")
    max_torque_per_mass: float = Field(
        default=0.2, gt=0.0, le=1.0, description="Nm per kg of body mass; the lower cap counts"
    )
    rate_limit: float = Field(default=200.0, gt=0.0, le=5000.0, description="Nm/s")
    power_limit: float = Field(
        default=50.0, gt=0.0, le=1000.0, description="mechanical power, given or taken, W"
    )
    angle_low: float = Field(default=-0.6, ge=-1.5, le=0.0, description="end of extension, rad")
    angle_high: float = Field(default=1.6, ge=0.0, le=2.5, description="end of flexion, rad")
    angle_taper: float = Field(
        default=0.2, gt=0.0, le=1.0, description="torque towards an end fades over this, rad"
    )
    speed_limit: float = Field(
        default=8.0, gt=0.0, le=30.0, description="no torque from this joint speed on, rad/s"
    )
    speed_taper: float = Field(
        default=2.0, gt=0.0, le=10.0, description="torque fades over this below it, rad/s"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.angle_high - self.angle_low < 2.0 * self.angle_taper:
            raise ValueError(
                f"the range from {self.angle_low:g} to {self.angle_high:g} rad is shorter than two "
                f"tapers of {self.angle_taper:g} rad; widen the range or shorten angle_taper"
            )
        if self.speed_taper > self.speed_limit:
            raise ValueError(
                f"speed_taper = {self.speed_taper:g} rad/s must not exceed speed_limit = "
                f"{self.speed_limit:g} rad/s"
            )
        return self

    def cap(self, mass: float) -> float:
        """Largest torque for a person of `mass` kg, Nm."""
        return min(self.max_torque, self.max_torque_per_mass * mass)


@dataclass(frozen=True, slots=True)
class Limited:
    """What the limiter lets through.

    Attributes
    ----------
    torque : (right, left), Nm
    trusted : False if an input was NaN or infinite, which gives zero torque on that side
    """

    torque: Pair
    trusted: bool


class Limiter:
    """Bounds any commanded torque by what `SafetyLimits` allows now.

    Per side, in this order:

    1. a command, angle or speed that is NaN or infinite allows no torque at all;
    2. the rate limit: the torque moves towards the command by at most rate x period;
    3. the bounds of this instant, which win over the rate limit: personal cap, power over joint
       speed, fading with joint speed and, for torque towards an end of the joint's range, fading
       with the distance to that end.

    So the magnitude never rises faster than the rate limit, and falls as fast as it must.

    Parameters
    ----------
    limits : SafetyLimits
    mass : body mass of the person, kg
    period : s, of the loop; a call stands for at most one period, however late it comes
    """

    def __init__(self, limits: SafetyLimits, mass: float, period: float) -> None:
        self.limits = limits
        self.cap = limits.cap(mass)
        self.step = limits.rate_limit * period
        self.reset()

    def reset(self) -> None:
        """Begin again at zero torque."""
        self.torque: Pair = (0.0, 0.0)

    def apply(self, command: Pair, angle: Pair, speed: Pair) -> Limited:
        """Torque that may be applied in this period.

        Parameters
        ----------
        command : Nm, right then left, flexion positive
        angle : rad
        speed : rad/s
        """
        right = self._side(command[0], angle[0], speed[0], self.torque[0])
        left = self._side(command[1], angle[1], speed[1], self.torque[1])
        self.torque = (right or 0.0, left or 0.0)
        return Limited(self.torque, right is not None and left is not None)

    def bounds(self, angle: float, speed: float) -> Pair:
        """Lowest and highest torque at a joint angle (rad) and speed (rad/s), Nm."""
        limits = self.limits
        fast = abs(speed)
        cap = min(self.cap, limits.power_limit / fast) if fast > 0.0 else self.cap
        cap *= _share((limits.speed_limit - fast) / limits.speed_taper)
        low = -cap * _share((angle - limits.angle_low) / limits.angle_taper)
        high = cap * _share((limits.angle_high - angle) / limits.angle_taper)
        return low, high

    def _side(self, command: float, angle: float, speed: float, before: float) -> float | None:
        """Torque of one side; None where an input cannot be trusted."""
        if not (math.isfinite(command) and math.isfinite(angle) and math.isfinite(speed)):
            return None
        low, high = self.bounds(angle, speed)
        wanted = min(max(command, before - self.step), before + self.step)
        return min(max(wanted, low), high)


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
