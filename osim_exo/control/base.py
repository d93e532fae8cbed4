"""What every exo controller reads and gives: sensor signals in, torque out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from osim_exo.errors import InputError

Array = npt.NDArray[np.float64]

OPTIONAL = ("phase", "thigh_angle", "thigh_rate", "torque")
"""Signals that not every device measures."""


@dataclass(frozen=True)
class Signals:
    """Sensor readings of all environments at one instant; right side, then left.

    Attributes
    ----------
    time : (n_env,) array, s
    hip_angle : (n_env, 2) array, rad, flexion positive
    hip_speed : (n_env, 2) array, rad/s
    phase : (n_env, 2) array or None
        Gait phase of each side, 0 at its own heel strike to 1 at the next; NaN where it is
        unknown. None if nothing measures it: controllers that need it then estimate it.
    thigh_angle : (n_env, 2) array, rad to gravity, forward (flexion) positive; None: not measured
    thigh_rate : (n_env, 2) array, rad/s, what a gyroscope on the thigh reads; None: not measured
    torque : (n_env, 2) array, Nm, that the device delivers now; None: not measured
    """

    time: Array
    hip_angle: Array
    hip_speed: Array
    phase: Array | None = None
    thigh_angle: Array | None = None
    thigh_rate: Array | None = None
    torque: Array | None = None

    def __post_init__(self) -> None:
        time = np.atleast_1d(np.asarray(self.time, dtype=float))
        object.__setattr__(self, "time", time)
        for name in ("hip_angle", "hip_speed", *OPTIONAL):
            values = getattr(self, name)
            if name in OPTIONAL and values is None:
                continue
            array = np.asarray(values, dtype=float)
            if array.shape != (time.size, 2):
                raise InputError(
                    f"The signal {name} has shape {array.shape}; with {time.size} environments it "
                    f"must be ({time.size}, 2): right side, then left."
                )
            object.__setattr__(self, name, array)

    @property
    def n_env(self) -> int:
        """Number of environments."""
        return int(self.time.size)


class Controller(Protocol):
    """An exo controller: the same object in simulation and on the device."""

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Forget the past: of all `n_env` environments, or of the indexed or masked ones only."""

    def __call__(self, signals: Signals) -> Array:
        """Commanded torque, (n_env, 2) array, Nm, right then left, flexion positive.

        Call it once per control step. The device's limits come after it; see `osim_exo.device`.
        """


class ZeroTorque:
    """The device is worn and switched on, but commands no torque."""

    def reset(self, n_env: int, environments: npt.ArrayLike | None = None) -> None:
        """Nothing to forget."""

    def __call__(self, signals: Signals) -> Array:
        """Zero torque, (n_env, 2) array, Nm."""
        return np.zeros((signals.n_env, 2))


def check_reset(n_env: int, present: int | None, environments: npt.ArrayLike | None) -> None:
    """Refuse a reset of some environments where the number of them is another than before."""
    if n_env < 1:
        raise InputError(f"A controller was reset for {n_env} environments; at least 1 is needed.")
    if environments is not None and present != n_env:
        raise InputError(
            f"Some of {n_env} environments were to be reset, but the controller runs "
            f"{present or 'none'}. Reset all of them first, without naming environments."
        )
