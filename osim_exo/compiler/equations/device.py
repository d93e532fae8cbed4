"""The worn device's drives as expressions: what `osim_exo.device.DeviceDynamics` does in a step.

The transport delay is a matter of which command counts when; it stays with the caller, who gives
for every step what enters the lag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from osim_exo.compiler.equations.parameters import ParameterTable
from osim_exo.compiler.symbols.expression import (
    Expr,
    Exprs,
    Graph,
    absolute,
    maximum,
    minimum,
    vector,
)
from osim_exo.strap import Strap, free_motion


@dataclass(frozen=True)
class StrapParts:
    """A strap and the rotor behind it, per environment.

    Attributes
    ----------
    stiffness : Nm/rad
    inertia : kg m^2
    motion : what `osim_exo.strap.free_motion` gives
    """

    stiffness: Expr
    inertia: Expr
    motion: Exprs

    @classmethod
    def of(cls, table: ParameterTable, graph: Graph) -> StrapParts:
        """A strap whose numbers are parameters of the model."""
        own, add = Strap(), table.add
        motion = free_motion(own.stiffness, own.damping, own.inertia, 0.002)
        return cls(
            add(graph, "exo_strap_stiffness", ["all"], own.stiffness, 1.0, 1e5, "Nm/rad")[0],
            add(graph, "exo_strap_inertia", ["all"], own.inertia, 1e-5, 1.0, "kg m^2")[0],
            add(graph, "exo_strap_motion", list("abcd"), motion, -1e9, 1e9),
        )


@dataclass(frozen=True)
class Drive:
    """Limits of a device's drives, per environment.

    Attributes
    ----------
    max_torque : Nm
    rate_limit : Nm/s
    power_limit : W
    keep : share of the lag's output that is left after a step, exp(-step / time constant)
    strap : between drive and limb; None: rigid
    """

    max_torque: Expr
    rate_limit: Expr
    power_limit: Expr
    keep: Expr
    strap: StrapParts | None = None

    @classmethod
    def of(cls, table: ParameterTable, graph: Graph, strap: bool = False) -> Drive:
        """Drives whose limits are parameters of the model."""

        def add(name: str, default: float, low: float, high: float, unit: str) -> Expr:
            return table.add(graph, name, ["all"], default, low, high, unit)[0]

        return cls(
            add("exo_max_torque", 15.0, 1e-3, 300.0, "Nm"),
            add("exo_rate_limit", 250.0, 1e-3, 1e6, "Nm/s"),
            add("exo_power_limit", 60.0, 1e-3, 1e5, "W"),
            add("exo_lag_keep", 0.88, 0.0, 1.0, ""),
            StrapParts.of(table, graph) if strap else None,
        )


def next_device(
    drive: Drive,
    now: Mapping[str, Exprs],
    entering: Exprs,
    columns: Sequence[int],
    step: Expr,
) -> dict[str, Exprs]:
    """The device's parts of the state at the end of a step.

    Parameters
    ----------
    drive : Drive
    now : parts of the state at its start, as `osim_exo.compiler.equations.layout.Layout` has them
    entering : what the delayed commands add to each lag's output, Nm
    columns : coordinate of each actuator
    step : s
    """
    rows: list[tuple[Expr, ...]] = []
    for i, k in enumerate(columns):
        lagged, speed = now["exo_lagged"][i], now["speeds"][k]
        if drive.strap is None:
            torque = now["exo_torque"][i]
            rows.append(next_drive(drive, lagged, torque, entering[i], speed, step))
            continue
        rotor, joint = (now["exo_angle"][i], now["exo_speed"][i]), (now["coordinates"][k], speed)
        new, own = next_drive(drive, lagged, now["exo_drive"][i], entering[i], rotor[1], step)
        pulled, angle, after = next_strap(drive.strap, own, rotor, joint, step)
        rows.append((new, pulled, own, angle, after))
    parts = ("exo_lagged", "exo_torque", "exo_drive", "exo_angle", "exo_speed")
    return {part: vector(*values) for part, values in zip(parts, zip(*rows))}


def next_drive(
    drive: Drive, lagged: Expr, torque: Expr, entering: Expr, speed: Expr, step: Expr
) -> tuple[Expr, Expr]:
    """Output of the lag and delivered torque at the end of a step.

    Parameters
    ----------
    lagged, torque : at its start, Nm
    entering : what the delayed commands add to the lag's output, Nm
    speed : of the joint, rad/s
    step : s
    """
    new = drive.keep * lagged + entering
    change = _bounded(new - torque, drive.rate_limit * step)
    cap = drive.power_limit / maximum(absolute(speed), drive.power_limit / drive.max_torque)
    return new, _bounded(torque + change, cap)


def next_strap(
    strap: StrapParts, drive: Expr, rotor: tuple[Expr, Expr], joint: tuple[Expr, Expr], step: Expr
) -> tuple[Expr, Expr, Expr]:
    """Mean torque on the limb over a step, and the rotor's angle and speed at its end.

    Parameters
    ----------
    drive : the drive's own torque, Nm
    rotor, joint : angle (rad) and speed (rad/s) at the step's start
    step : s
    """
    rest = drive / strap.stiffness
    far, fast = rotor[0] - joint[0] - rest, rotor[1] - joint[1]
    a, b, c, d = strap.motion
    stretch = rest + a * far + b * fast
    after = joint[1] + c * far + d * fast
    pulled = drive - strap.inertia / step * (after - rotor[1])
    return pulled, joint[0] + step * joint[1] + stretch, after


def _bounded(x: Expr, bound: Expr) -> Expr:
    return minimum(maximum(x, -bound), bound)
