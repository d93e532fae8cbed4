"""A compiled physics' snapshot as plain arrays by name, as checkpoints store them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from osim_exo.device import DeviceState
from osim_exo.learn.base import Snapshot
from osim_exo.physics.compiled.guard import CompiledState

Array = npt.NDArray[np.float64]


def flat(state: CompiledState) -> Snapshot:
    """A physics' snapshot as arrays by name."""
    held: Snapshot = {
        "time": state.time,
        "states": state.states,
        "controls": state.controls,
        "failed": state.failed,
        "reasons": state.reasons,
    }
    if state.device is not None:
        held["device_commands"] = state.device.commands
        held["device_lagged"] = state.device.lagged
        held["device_torque"] = state.device.torque
    return held | {f"parameter/{name}": values for name, values in state.parameters.items()}


def unflat(held: Snapshot) -> CompiledState:
    """The snapshot that `flat` took apart."""

    def numbers(name: str) -> Array:
        return np.array(held[name], dtype=float)

    device = None
    if "device_commands" in held:
        device = DeviceState(
            numbers("device_commands"), numbers("device_lagged"), numbers("device_torque")
        )
    parameters = {n[10:]: numbers(n) for n in held if n.startswith("parameter/")}
    return CompiledState(
        numbers("time"),
        numbers("states"),
        numbers("controls"),
        np.array(held["failed"], dtype=bool),
        device,
        parameters,
        np.array(held["reasons"], dtype=np.int8),
    )
