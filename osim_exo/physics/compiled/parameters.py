"""What may differ between the environments of a compiled physics, under the names a study uses."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.equations.model import Equations
from osim_exo.compiler.equations.options import EXO_PREFIX
from osim_exo.compiler.equations.parameters import ParameterTable
from osim_exo.compiler.symbols.expression import Graph
from osim_exo.device import DeviceLimits, LagWeights
from osim_exo.physics.base import Array
from osim_exo.strap import free_motion
from osim_exo.units import DEG

Rows = npt.NDArray[np.intp]

STEEPEST = 15.0
"""Degrees; as for a model's own slope."""

DEVICE = ("max_torque", "rate_limit", "bandwidth_hz", "delay_s", "power_limit")
"""Fields of `DeviceLimits`; as parameters they are called ``exo_max_torque`` and so on."""

STRAP = {
    "stiffness": (10.0, 5e3, "Nm/rad"),
    "damping": (0.0, 50.0, "Nm s/rad"),
    "inertia": (1e-4, 0.5, "kg m^2"),
}
"""Fields of `Strap`, their bounds and units; as parameters ``exo_strap_stiffness`` and so on."""

MASSES = frozenset({"segment_mass", "segment_inertia", "exo_mass"})
"""Parameters that change inertias."""

SAME = ("tendon_slack_length", "contact_stiffness", "contact_friction")
"""Parameters that a compiled model knows by the same name and unit."""


class Parameters:
    """Parameters of `n_env` environments, as a study names them and as the compiled model has them.

    Parameters
    ----------
    equations : of the model
    n_env : int
    substep : step of the compiled model, s
    limits : of the worn device, if there is one

    Attributes
    ----------
    group : (n_env, size) array; the compiled model's group of parameters
    weight : (n_env,) array; weight of all bodies, the device's too, N
    """

    def __init__(
        self, equations: Equations, n_env: int, substep: float, limits: DeviceLimits | None
    ) -> None:
        self._spec, self._topology = equations.spec, equations.topology
        self._used, self._compiled = equations.inertia_used, equations.table
        self._substep, self._n_env = substep, n_env
        self._masses = np.array([body.mass for body in self._spec.bodies])
        self._worn = np.array([body.name.startswith(EXO_PREFIX) for body in self._spec.bodies])
        self._strength = np.array([m.max_isometric_force for m in self._spec.muscles])
        self._table = ParameterTable()
        self._list(limits)
        self._values = {
            name: np.tile(row.default, (n_env, 1)) for name, row in self._table.rows.items()
        }
        self.group = np.tile(self._compiled.default, (n_env, 1))
        self.weight = np.zeros(n_env)
        self._write(np.arange(n_env))

    def _list(self, limits: DeviceLimits | None) -> None:
        graph, spec = Graph(), self._spec

        def add(
            name: str, labels: list[str], default: object, low: float, high: float, unit: str = ""
        ) -> None:
            self._table.add(graph, name, labels, np.asarray(default, float), low, high, unit)

        gravity = spec.gravity
        self._pull = math.hypot(gravity[0], gravity[1])
        slope = math.atan2(-gravity[0], -gravity[1]) / DEG if self._pull else 0.0
        add("slope_deg", ["all"], slope, -STEEPEST, STEEPEST, "degrees")
        bodies = [body.name for body in spec.bodies]
        add("segment_mass", bodies, 1.0, 0.1, 10.0, "times the model's")
        add("segment_inertia", bodies, 1.0, 0.1, 10.0, "times the model's")
        self._worn_mass = float(self._masses @ self._worn)
        if self._worn_mass > 0.0:
            add("exo_mass", ["all"], self._worn_mass, 0.0, 20.0, "kg")
        if spec.muscles:
            muscles = [m.name for m in spec.muscles]
            add("muscle_strength", muscles, 1.0, 0.01, 10.0, "times the model's")
        for name in SAME:
            row = self._compiled[name]
            if row.labels:
                add(name, list(row.labels), row.default, row.low, row.high, row.unit)
        if limits is not None:
            bounds = {
                "max_torque": (1e-3, 300.0, "Nm"),
                "rate_limit": (1e-3, 1e6, "Nm/s"),
                "bandwidth_hz": (0.5, 1e4, "Hz"),
                "delay_s": (0.0, 0.5, "s"),
                "power_limit": (1e-3, 1e5, "W"),
            }
            for field in DEVICE:
                add(f"exo_{field}", ["all"], getattr(limits, field), *bounds[field])
        if limits is not None and limits.strap is not None:
            for field, (low, high, unit) in STRAP.items():
                add(f"exo_strap_{field}", ["all"], getattr(limits.strap, field), low, high, unit)

    def change(self, environments: Rows, values: Mapping[str, npt.ArrayLike]) -> None:
        """Set parameters of some environments; nothing changes if one of them cannot be.

        Raises
        ------
        InputError
            An unknown name, a wrong shape, or a value out of range.
        """
        n = environments.size
        checked = {name: self._table.checked(name, v, n) for name, v in values.items()}
        self._check_device(environments, checked)
        for name, array in checked.items():
            self._values[name][environments] = array
        self._write(environments, MASSES & set(checked) != set())

    def _check_device(self, environments: Rows, changed: Mapping[str, Array]) -> None:
        """Refuse drives whose limits do not fit together."""
        names = [f"exo_{field}" for field in DEVICE]
        if not any(name in changed for name in names):
            return
        columns = [changed.get(name, self._values[name][environments]) for name in names]
        for row in np.unique(np.concatenate(columns, axis=1), axis=0):
            DeviceLimits(**dict(zip(DEVICE, row.tolist())))

    def values(self) -> dict[str, Array]:
        """All parameters, (n_env, n_label) arrays, or (n_env,) where there is one per environment.

        Each is a copy; `labels` tells what the columns belong to.
        """
        return {
            name: (array[:, 0] if self._table[name].labels == ("all",) else array).copy()
            for name, array in self._values.items()
        }

    def labels(self, name: str) -> tuple[str, ...]:
        """What the columns of a parameter belong to, as names of muscles or bodies."""
        return self._table[name].labels

    def snapshot(self) -> dict[str, Array]:
        """A copy of everything that `restore` needs."""
        return {name: array.copy() for name, array in self._values.items()}

    def restore(self, values: Mapping[str, Array]) -> None:
        """Go back to a snapshot."""
        self._values = {name: array.copy() for name, array in values.items()}
        self._write(np.arange(self._n_env))

    @property
    def slope(self) -> Array:
        """Slope of the ground, uphill positive, (n_env,) array, rad."""
        return self._values["slope_deg"][:, 0] * DEG

    def lag(self) -> LagWeights:
        """Delay and lag of every environment's drives over a step of the compiled model."""
        delay, corner = self._values["exo_delay_s"][:, 0], self._values["exo_bandwidth_hz"][:, 0]
        return LagWeights.of(delay, corner, self._substep)

    @property
    def max_torque(self) -> Array:
        """Largest torque of every environment's drives, (n_env,) array, Nm."""
        return self._values["exo_max_torque"][:, 0]

    def _write(self, rows: Rows, masses_too: bool = True) -> None:
        """Renew the compiled model's numbers of some environments."""
        found = {name: array[rows] for name, array in self._values.items()}

        def put(name: str, values: Array | float) -> None:
            self.group[rows, self._compiled[name].slice] = values

        put("time_step", self._substep)
        angle = found["slope_deg"][:, 0] * DEG
        gravity = np.zeros((rows.size, 3))
        gravity[:, 0] = -self._pull * np.sin(angle)
        gravity[:, 1] = -self._pull * np.cos(angle)
        gravity[:, 2] = self._spec.gravity[2]
        put("gravity", gravity)
        if masses_too:
            self._write_masses(rows, found)
        if self._spec.muscles:
            put("max_isometric_force", found["muscle_strength"] * self._strength)
        for name in SAME:
            if name in found:
                put(name, found[name])
        if "exo_max_torque" in found:
            for field in ("max_torque", "rate_limit", "power_limit"):
                put(f"exo_{field}", found[f"exo_{field}"])
            put("exo_lag_keep", self.lag().keep[rows, None])
        if "exo_strap_stiffness" in found:
            k, c, j = (found[f"exo_strap_{field}"][:, 0] for field in STRAP)
            put("exo_strap_motion", free_motion(k, c, j, self._substep).T)
            for field in ("stiffness", "inertia"):
                put(f"exo_strap_{field}", found[f"exo_strap_{field}"])

    def _write_masses(self, rows: Rows, found: Mapping[str, Array]) -> None:
        masses = found["segment_mass"].copy()
        if "exo_mass" in found:
            masses[:, self._worn] *= found["exo_mass"] / self._worn_mass
        inertia = self._topology.inertia(masses, found["segment_inertia"])
        columns = self._compiled["inertia"].slice
        self.group[rows, columns] = inertia[:, self._used[0], self._used[1]]
        self.weight[rows] = masses @ self._masses * np.linalg.norm(self._spec.gravity)
