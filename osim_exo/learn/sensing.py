"""Sensor errors while a policy or a controller is evaluated, as `osim_exo.sensors` has them."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from osim_exo.control import Controller, Signals
from osim_exo.errors import InputError
from osim_exo.learn.tasks.config import Randomisation, TaskConfig
from osim_exo.learn.tasks.senses import ExoSensors, Reading
from osim_exo.physics.base import PhysicsNames
from osim_exo.sensors import USUAL, Sensed, SensorErrors, SensorModel

Array = npt.NDArray[np.float64]

SensorNoise = Literal["none", "trained", "usual"] | SensorErrors
"""True readings, the errors of the policy's training, `osim_exo.sensors.USUAL`, or others."""

STREAM = 1
"""Of the evaluation's seed; starts draw from the seed itself."""


def sensor_errors(noise: SensorNoise, trained: Randomisation) -> SensorErrors | None:
    """The errors that an evaluation asks for; None for true readings.

    Parameters
    ----------
    noise : as `osim_exo.learn.evaluate.Evaluation` has it
    trained : of the task; its normally distributed mounting error becomes an even one of the same
        standard deviation
    """
    if noise == "none":
        return None
    if noise == "usual":
        return USUAL
    if noise == "trained":
        offset = min(math.sqrt(3.0) * trained.sensor_angle_offset, 0.5)
        noise = SensorErrors(
            angle_noise=trained.sensor_angle_noise,
            rate_noise=trained.sensor_rate_noise,
            mounting=offset,
            encoder_offset=offset,
        )
    return None if noise == SensorErrors() else noise


def sensed(controller: Controller, errors: SensorErrors | None, dt: float, seed: int) -> Controller:
    """A controller behind sensors with errors; itself where there are none.

    Parameters
    ----------
    dt : between two readings, s
    seed : of what is drawn
    """
    if errors is None:
        return controller
    return Sensed(controller, SensorModel(errors, dt, np.random.default_rng((seed, STREAM))))


class NoisySenses:
    """What the sensors of a device's policy read of walkers, with errors.

    Parameters
    ----------
    exo : its sensors
    task : TaskConfig
    names : of the physics
    errors : SensorErrors
    n_env : walkers
    seed : of what is drawn

    Raises
    ------
    InputError
        The policy measures more joints than one per leg.
    """

    def __init__(
        self,
        exo: ExoSensors,
        task: TaskConfig,
        names: PhysicsNames,
        errors: SensorErrors,
        n_env: int,
        seed: int,
    ) -> None:
        self._exo, self._kinds = exo, task.senses.sensors
        if "joint" in self._kinds and len(names.exo_coordinates) != 2:
            raise InputError(
                f"The device measures {', '.join(names.exo_coordinates)}; errors of sensors are "
                "there for one joint per leg. Evaluate it with true readings."
            )
        random = np.random.default_rng((seed, STREAM))
        self._model = SensorModel(errors, task.control_dt, random)
        self._model.reset(n_env)

    def __call__(self, reading: Reading) -> Array:
        """Angles and rates as they are read, (n_env, n_now) array; once per control step."""
        true = self._exo.measure(reading)
        parts = dict(zip(self._kinds, np.split(true, len(self._kinds), axis=1)))
        still = np.zeros((len(true), 4))
        thigh, joint = parts.get("thigh"), parts.get("joint", still)
        read = self._model(
            Signals(
                time=np.zeros(len(true)),
                hip_angle=joint[:, :2],
                hip_speed=joint[:, 2:],
                thigh_angle=None if thigh is None else thigh[:, :2],
                thigh_rate=None if thigh is None else thigh[:, 2:],
            )
        )
        found = {
            "joint": (read.hip_angle, read.hip_speed),
            "thigh": (read.thigh_angle, read.thigh_rate),
        }
        columns = [part for kind in self._kinds for part in found[kind] if part is not None]
        return np.concatenate(columns, axis=1)
