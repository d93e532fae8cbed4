"""Actuators that are no muscles, as OpenSim has them, as expressions.

Controls are used as they are: their bounds are the caller's.
"""

from __future__ import annotations

import math

from osim_exo.compiler.equations.loads import Loads
from osim_exo.compiler.equations.mechanics import Mechanics
from osim_exo.compiler.equations.passive import coordinate_column
from osim_exo.compiler.spec import Actuator, CoordinateActuator, Frame, TorqueActuator
from osim_exo.compiler.symbols.expression import Expr, constants
from osim_exo.errors import ModelError


def has_activation(actuator: Actuator) -> bool:
    """Whether an actuator follows its control through a lag, with an activation as its state."""
    return isinstance(actuator, CoordinateActuator) and actuator.activation_time is not None


def apply_actuator(actuator: Actuator, signal: Expr, mechanics: Mechanics, loads: Loads) -> Expr:
    """Add an actuator's force to the loads.

    Parameters
    ----------
    actuator : of the model's spec
    signal : its control, or its activation where it has one
    mechanics, loads

    Returns
    -------
    Expr
        The actuation, N or N m.

    Raises
    ------
    ModelError
        The coordinate is unknown or the axis has no direction; the message names the actuator.
    """
    actuation = signal * actuator.optimal_force
    if isinstance(actuator, TorqueActuator):
        _turn(actuator, actuation, mechanics, loads)
    else:
        column = coordinate_column(actuator.name, actuator.coordinate, mechanics)
        loads.generalised(column, actuation)
    return actuation


def activation_rate(actuator: CoordinateActuator, activation: Expr, control: Expr) -> Expr:
    """Rate of an ActivationCoordinateActuator's activation, 1/s."""
    return (control - activation) * (1.0 / _time(actuator))


def next_activation(
    actuator: CoordinateActuator, activation: Expr, control: Expr, step: float
) -> Expr:
    """Activation one step later, exactly, while the control is held."""
    return control + (activation - control) * math.exp(-step / _time(actuator))


def _time(actuator: CoordinateActuator) -> float:
    if actuator.activation_time is None:
        raise ModelError(
            f"The actuator '{actuator.name}' has no activation time; its force follows its control "
            "at once."
        )
    return actuator.activation_time


def _turn(actuator: TorqueActuator, actuation: Expr, mechanics: Mechanics, loads: Loads) -> None:
    """A torque about the axis on body 1, and the opposite one on body 2."""
    length = math.hypot(*actuator.axis)
    if length == 0.0:
        raise ModelError(
            f"The torque actuator '{actuator.name}' has the axis 0, 0, 0; give it a direction."
        )
    unit = constants([a / length for a in actuator.axis])
    first, second = Frame(base=actuator.body1), Frame(base=actuator.body2)
    axis = unit if actuator.axis_in_ground else mechanics.rotation(first) @ unit
    torque = axis * actuation
    loads.moment(mechanics.station(first).body, torque)
    loads.moment(mechanics.station(second).body, -torque)
