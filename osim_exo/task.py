"""The walking task: how fast, for how long, and what each thing is worth."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from osim_exo.config import Config
from osim_exo.physics.base import FallLimits, Physics
from osim_exo.units import GRAVITY

Array = npt.NDArray[np.float64]


class RewardWeights(Config):
    """Weight of each reward term; a cost has a negative weight. Every term is per control step."""

    forward_speed: float = Field(
        default=1.0, description="times exp(-((v - commanded) / speed_width)^2), 0 to 1"
    )
    alive: float = Field(default=0.2, description="times 1 while the walker has not fallen")
    effort: float = Field(default=-0.5, description="times mean squared activation, 0 to 1")
    smoothness: float = Field(
        default=-0.1, description="times mean squared change of the action since the last step"
    )
    exo_effort: float = Field(
        default=-0.02, description="times mean squared exo torque over maximum torque, 0 to 1"
    )
    exo_power: float = Field(
        default=0.0, description="times the device's mean power given to the body, W/kg of body"
    )
    fall: float = Field(default=-10.0, description="times 1 in the step of a fall")


class GaitTask(Config):
    """Walk at the commanded speed without falling."""

    lowest_speed: float = Field(default=1.25, gt=0.0, le=2.2, description="commanded, m/s")
    highest_speed: float = Field(default=1.25, gt=0.0, le=2.2, description="commanded, m/s")
    duration: float = Field(default=10.0, gt=0.0, le=3600.0, description="of an episode, s")
    speed_width: float = Field(
        default=0.3, gt=0.0, description="error of speed that earns 1/e of its reward, m/s"
    )
    angle_noise: float = Field(
        default=0.02, ge=0.0, le=0.5, description="standard deviation at the start, rad"
    )
    speed_noise: float = Field(
        default=0.05, ge=0.0, le=2.0, description="standard deviation at the start, rad/s or m/s"
    )
    reward: RewardWeights = RewardWeights()
    fall_limits: FallLimits = FallLimits()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.highest_speed < self.lowest_speed:
            raise ValueError(
                f"the highest commanded speed ({self.highest_speed} m/s) is below the lowest "
                f"({self.lowest_speed} m/s); swap them"
            )
        return self


def reward_terms(
    physics: Physics,
    task: GaitTask,
    commanded_speed: Array,
    action_change: Array,
    has_fallen: npt.NDArray[np.bool_],
) -> dict[str, Array]:
    """Weighted reward terms after a step; the reward is their sum.

    Parameters
    ----------
    physics : Physics
    task : GaitTask
    commanded_speed : (n_env,) array, m/s
    action_change : (n_env, n_action) array, since the step before
    has_fallen : (n_env,) array of bool

    Returns
    -------
    dict of (n_env,) arrays, by the field names of `RewardWeights`
    """
    names = physics.names
    forward = physics.speeds[:, names.coordinates.index("pelvis_tx")]
    miss = (forward - commanded_speed) / task.speed_width
    values = {
        "forward_speed": np.exp(-(miss**2)),
        "alive": np.where(has_fallen, 0.0, 1.0),
        "effort": np.mean(physics.activations**2, axis=1),
        "smoothness": np.mean(action_change**2, axis=1),
        "exo_effort": np.zeros(physics.n_env),
        "exo_power": np.zeros(physics.n_env),
        "fall": np.where(has_fallen, 1.0, 0.0),
    }
    if names.exo:
        joints = [names.coordinates.index(name) for name in names.exo_coordinates]
        torque = physics.exo_torque
        power = np.sum(torque * physics.speeds[:, joints], axis=1)
        values["exo_effort"] = np.mean((torque / physics.max_torque) ** 2, axis=1)
        values["exo_power"] = power / (physics.body_weight / GRAVITY)
    return {name: getattr(task.reward, name) * value for name, value in values.items()}
