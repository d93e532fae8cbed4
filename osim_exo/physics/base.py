"""What every physics offers: batched states, one step, ground forces, snapshots."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from osim_exo.config import Config
from osim_exo.device import DeviceState
from osim_exo.errors import InputError, ModelError

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PhysicsNames:
    """The names that belong to a physics' arrays, in their order.

    Attributes
    ----------
    coordinates : columns of coordinates and speeds
    muscles : columns of excitations and activations
    exo : actuators of the worn device, columns of the exo torque; empty without a device
    exo_coordinates : the coordinate of each of them
    others : actuators that are neither, as ``lumbar_torque``
    """

    coordinates: tuple[str, ...]
    muscles: tuple[str, ...]
    exo: tuple[str, ...] = ()
    exo_coordinates: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class PhysicsState:
    """Everything that a physics needs to go on from an instant; arrays of one kind of physics.

    Attributes
    ----------
    time : (n_env,) array, s
    states : (n_env, n_state) array; the physics' own order
    controls : (n_env, n_control) array; excitations and other controls of the last step
    failed : (n_env,) array of bool
    device : DeviceState or None
    """

    time: Array
    states: Array
    controls: Array
    failed: Mask
    device: DeviceState | None = None


@dataclass(frozen=True)
class StartState:
    """Where a reset puts the environments; what is not named keeps its default.

    Attributes
    ----------
    coordinates, speeds : by coordinate name: one number, or an (n_reset,) array; rad or m
    activations : by muscle name, likewise; or one number for all muscles under ``"*"``
    time : s
    """

    coordinates: dict[str, npt.ArrayLike] = field(default_factory=dict)
    speeds: dict[str, npt.ArrayLike] = field(default_factory=dict)
    activations: dict[str, npt.ArrayLike] = field(default_factory=dict)
    time: float = 0.0


class Physics(Protocol):
    """Batched walking physics; every array has the environments first.

    Positive exo torque has the sign of its coordinate (flexion). Ground frame: x forward, y up,
    z right. Sides are ordered right, left.
    """

    @property
    def names(self) -> PhysicsNames:
        """Names and order of every array's columns."""

    @property
    def n_env(self) -> int:
        """Number of environments."""

    @property
    def control_dt(self) -> float:
        """Time of one `step`, s."""

    @property
    def body_weight(self) -> float:
        """Weight of the person without the device, N."""

    @property
    def max_torque(self) -> float:
        """Largest exo torque, Nm; 0 without a device."""

    @property
    def standing_height(self) -> float:
        """Height of the pelvis in quiet standing, m."""

    @property
    def slope(self) -> Array:
        """Slope of the ground, uphill positive, (n_env,) array, rad."""

    def reset(
        self, start: StartState | None = None, environments: npt.ArrayLike | None = None
    ) -> None:
        """Put all environments, or the indexed or masked ones, to a start; default: standing."""

    def step(
        self,
        excitations: npt.ArrayLike,
        exo_torque: npt.ArrayLike | None = None,
        others: npt.ArrayLike | None = None,
    ) -> None:
        """Advance all environments by `control_dt`.

        Parameters
        ----------
        excitations : (n_env, n_muscle) array, 0 to 1; clipped to each muscle's control range
        exo_torque : (n_env, n_exo) array, Nm; commanded, the device's limits apply; none: 0
        others : (n_env, n_other) array, share of each actuator's optimal force; none: 0
        """

    @property
    def time(self) -> Array:
        """Simulated time, (n_env,) array, s."""

    @property
    def coordinates(self) -> Array:
        """Generalised positions, (n_env, n_coordinate) array, rad or m."""

    @property
    def speeds(self) -> Array:
        """Generalised speeds, (n_env, n_coordinate) array, rad/s or m/s."""

    @property
    def activations(self) -> Array:
        """Muscle activations, (n_env, n_muscle) array."""

    @property
    def exo_torque(self) -> Array:
        """Torque of the device on the limb now, (n_env, n_exo) array, Nm.

        Its power on the body is this times the joint's speed; that is the exo power of all tables.
        """

    @property
    def drive_power(self) -> Array:
        """Mechanical power that the drives themselves give now, (n_env, n_exo) array, W.

        Without a strap that is what the body gets; else the strap stores, returns and loses some.
        """

    @property
    def grf(self) -> Array:
        """Ground reaction on each foot, (n_env, 2, 6) array.

        Force x, y, z in N, then moment about the ground's origin x, y, z in Nm.
        """

    @property
    def failed(self) -> Mask:
        """Environments that left the finite numbers since their reset, (n_env,) array of bool."""

    def snapshot(self) -> PhysicsState:
        """A copy of everything that `restore` needs."""

    def restore(self, state: PhysicsState) -> None:
        """Go back to a snapshot."""

    def close(self) -> None:
        """Give back what the physics holds, as processes."""


def centre_of_pressure(grf: Array) -> Array:
    """Centre of pressure on the ground plane y = 0; NaN where a foot carries less than 1 N.

    Parameters
    ----------
    grf : (..., 6) array, force in N and moment about the ground's origin in Nm

    Returns
    -------
    (..., 3) array, m; y is 0
    """
    force = grf[..., 1]
    loaded = force > 1.0
    safe = np.where(loaded, force, 1.0)
    x = np.where(loaded, grf[..., 5] / safe, np.nan)
    z = np.where(loaded, -grf[..., 3] / safe, np.nan)
    return np.stack([x, np.where(loaded, 0.0, np.nan), z], axis=-1)


class FallLimits(Config):
    """When a walker counts as fallen."""

    lowest_pelvis: float = Field(
        default=0.75, gt=0.0, lt=1.0, description="pelvis height over its height in standing"
    )
    largest_tilt: float = Field(default=1.0, gt=0.0, le=3.0, description="pelvis tilt, rad")


def fallen(physics: Physics, limits: FallLimits | None = None) -> Mask:
    """Environments whose walker has fallen or whose simulation failed, (n_env,) array of bool."""
    limits = limits or FallLimits()
    columns = {name: i for i, name in enumerate(physics.names.coordinates)}
    missing = [name for name in ("pelvis_ty", "pelvis_tilt") if name not in columns]
    if missing:
        raise ModelError(
            f"Whether the walker has fallen cannot be told: the model lacks {', '.join(missing)}. "
            f"It has: {', '.join(columns)}."
        )
    values = physics.coordinates
    low = values[:, columns["pelvis_ty"]] < limits.lowest_pelvis * physics.standing_height
    tilted = np.abs(values[:, columns["pelvis_tilt"]]) > limits.largest_tilt
    return np.asarray(low | tilted | physics.failed)


def checked_input(name: str, values: npt.ArrayLike | None, shape: tuple[int, int]) -> Array:
    """Array of one input of `Physics.step`; zeros where none is given; else an `InputError`."""
    if values is None:
        return np.zeros(shape)
    array = np.asarray(values, dtype=float)
    if array.shape != shape:
        raise InputError(
            f"The step's {name} has shape {array.shape}; this physics needs {shape}: one row per "
            "environment, one column per name in `names`."
        )
    return array


def sub_steps(control_dt: float, substep: float) -> int:
    """Sub-steps of a control step; an `InputError` where the times do not fit together."""
    if not (0.0 < substep <= control_dt <= 0.1):
        raise InputError(
            f"control_dt = {control_dt} s and substep = {substep} s were given; allowed is "
            "0 < substep <= control_dt <= 0.1 s."
        )
    number = round(control_dt / substep)
    if abs(number * substep - control_dt) > 1e-9 * control_dt:
        raise InputError(
            f"control_dt = {control_dt} s is no multiple of substep = {substep} s. Choose for "
            f"instance substep = {control_dt / number:.6g} s."
        )
    return number
