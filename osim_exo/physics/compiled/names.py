"""What a spec tells about the arrays of a compiled physics: names, limits, worn parts, sensors."""

from __future__ import annotations

import numpy as np

from osim_exo import names
from osim_exo.compiler.equations.layout import Layout
from osim_exo.compiler.equations.options import EXO_PREFIX, Imu
from osim_exo.compiler.spec import CoordinateActuator, Frame, ModelSpec
from osim_exo.errors import ModelError
from osim_exo.physics.base import Array, PhysicsNames

IMU_PLACES: dict[str, tuple[float, float, float]] = {
    "pelvis": (-0.07, 0.05, 0.0),
    "femur_r": (0.0, -0.25, 0.0),
    "femur_l": (0.0, -0.25, 0.0),
}
"""Where sensors sit by default, in these bodies' frames, m: on the belt and on the thigh cuffs."""


def default_imus(spec: ModelSpec) -> tuple[Imu, ...]:
    """Sensors on the pelvis and the thighs, as far as the model has such bodies."""
    paths = {body.name: body.path for body in spec.bodies}
    return tuple(
        Imu(name=name, frame=Frame(base=paths[name], translation=place))
        for name, place in IMU_PLACES.items()
        if name in paths
    )


def worn_actuators(spec: ModelSpec) -> tuple[str, ...]:
    """Names of the actuators that belong to the worn device.

    Raises
    ------
    ModelError
        One of them has dynamics of its own.
    """
    found = [a for a in spec.actuators if a.name.startswith(EXO_PREFIX)]
    for actuator in found:
        if not isinstance(actuator, CoordinateActuator) or actuator.activation_time:
            raise ModelError(
                f"The device's actuator '{actuator.name}' is no plain CoordinateActuator; stepped "
                "physics applies the device's dynamics itself. Attach the device with "
                'actuator="torque".'
            )
    return tuple(a.name for a in found)


def optimal_torques(spec: ModelSpec, actuators: tuple[str, ...]) -> Array:
    """What these actuators give at full control, Nm."""
    by_name = {a.name: a.optimal_force for a in spec.actuators}
    return np.array([by_name[name] for name in actuators])


def worn_weight(spec: ModelSpec) -> float:
    """Weight of the worn device, N."""
    mass = sum(body.mass for body in spec.bodies if body.name.startswith(EXO_PREFIX))
    return mass * float(np.linalg.norm(spec.gravity))


def names_of(spec: ModelSpec, layout: Layout) -> PhysicsNames:
    """Names of a compiled physics.

    Raises
    ------
    ModelError
        A contact does not say whose foot it belongs to.
    """
    nameless = [c.name for c in spec.contacts if names.side(c.name) is None]
    if nameless:
        raise ModelError(
            f"The contact forces {', '.join(nameless)} do not say whose foot they belong to. End "
            "their names with _r or _l."
        )
    return PhysicsNames(
        coordinates=layout.coordinates,
        muscles=layout.muscles,
        exo=layout.exo,
        exo_coordinates=tuple(layout.coordinates[k] for k in layout.exo_columns),
        others=layout.others,
    )


def control_bounds(spec: ModelSpec, layout: Layout) -> tuple[Array, Array]:
    """Lowest and highest of each control, excitations first; infinite where there is no limit."""
    drivers = {a.name: a for a in spec.actuators}
    others = [drivers[name] for name in layout.others]
    low = [m.min_control for m in spec.muscles] + [a.min_control for a in others]
    high = [m.max_control for m in spec.muscles] + [a.max_control for a in others]
    return (
        np.array([-np.inf if x is None else x for x in low]),
        np.array([np.inf if x is None else x for x in high]),
    )


def state_paths(spec: ModelSpec, layout: Layout) -> dict[str, int]:
    """Columns of the compiled state by OpenSim's state paths; the device's own are left out."""
    found: dict[str, int] = {}
    for k, coordinate in enumerate(spec.coordinates):
        found[f"{coordinate.path}/value"] = layout["coordinates"].start + k
        found[f"{coordinate.path}/speed"] = layout["speeds"].start + k
    for k, muscle in enumerate(spec.muscles):
        if not muscle.ignore_activation_dynamics:
            found[f"{muscle.path_name}/activation"] = layout["activations"].start + k
    muscles = {m.name: m.path_name for m in spec.muscles}
    for k, name in enumerate(layout.compliant):
        found[f"{muscles[name]}/normalized_tendon_force"] = layout["tendon_forces"].start + k
    actuators = {a.name: a.path for a in spec.actuators}
    for k, name in enumerate(layout.lagged):
        found[f"{actuators[name]}/activation"] = layout["actuator_activations"].start + k
    return found
