"""The worn device's drives as expressions: what `osim_exo.device.DeviceDynamics` does in a step.

The transport delay is a matter of which command counts when; it stays with the caller, who gives
for every step what enters the lag.
"""

from __future__ import annotations

from dataclasses import dataclass

from osim_exo.compiler.equations.parameters import ParameterTable
from osim_exo.compiler.symbols.expression import Expr, Graph, absolute, maximum, minimum


@dataclass(frozen=True)
class Drive:
    """Limits of a device's drives, per environment.

    Attributes
    ----------
    max_torque : Nm
    rate_limit : Nm/s
    power_limit : W
    keep : share of the lag's output that is left after a step, exp(-step / time constant)
    """

    max_torque: Expr
    rate_limit: Expr
    power_limit: Expr
    keep: Expr

    @classmethod
    def of(cls, table: ParameterTable, graph: Graph) -> Drive:
        """Drives whose limits are parameters of the model."""

        def add(name: str, default: float, low: float, high: float, unit: str) -> Expr:
            return table.add(graph, name, ["all"], default, low, high, unit)[0]

        return cls(
            add("exo_max_torque", 15.0, 1e-3, 300.0, "Nm"),
            add("exo_rate_limit", 250.0, 1e-3, 1e6, "Nm/s"),
            add("exo_power_limit", 60.0, 1e-3, 1e5, "W"),
            add("exo_lag_keep", 0.88, 0.0, 1.0, ""),
        )


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


def _bounded(x: Expr, bound: Expr) -> Expr:
    return minimum(maximum(x, -bound), bound)
