"""The compiled model against OpenSim: every quantity at random states.

The error of a number is ``|d| / max(|x|, 1e-3 of the column's largest)``, x being OpenSim's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import opensim as osim

from osim_exo.compiler.backends import kernel
from osim_exo.compiler.equations.activation import activation_constants, activation_rate
from osim_exo.compiler.equations.model import Equations
from osim_exo.compiler.equations.options import Imu, Options
from osim_exo.compiler.equations.outputs import OUTPUTS
from osim_exo.compiler.proof.oracle import Oracle
from osim_exo.compiler.proof.oracle_model import Floats, States
from osim_exo.compiler.proof.sampling import plausible
from osim_exo.compiler.reading.model import model_and_spec, read
from osim_exo.compiler.spec import Frame, ModelSpec
from osim_exo.compiler.symbols.program import Program
from osim_exo.config import Config
from osim_exo.errors import InputError, SimulationError, check_option
from osim_exo.models.recipe import ModelRecipe

Backend = Literal["llvm", "numpy"]

TOLERANCE = 1e-9
"""Largest error that passes, float64."""

TOLERANCE_32, MEDIAN_TOLERANCE_32 = 5e-2, 1e-4
"""Largest error and largest median error that pass in float32."""

FLOOR = 1e-3
"""Numbers below this share of their column's largest are measured against that."""

SMALLEST, SMALLEST_GROUND_FORCE = 1e-5, 1e-2
"""With ``tails``, smaller numbers (SI units) are measured against these: the tails of OpenSim's
smoothed contact, 1 + tanh(-x), have no more digits where nothing but tails is there."""

STRUCTURAL_ZERO = 1e-9
"""A column whose largest is below this share of the quantity's largest is rounding: its errors are
measured against `FLOOR` of the quantity's largest."""

NOTHING = 1e-10
"""A quantity that is nowhere above this (SI units) in OpenSim is zero, and so is one as small."""

MOMENT_ARM_STATES = 20
"""Moment arms are compared at so many of the states: OpenSim takes long for them."""

RATES = {
    "coordinates": "coordinate_rate",
    "speeds": "acceleration",
    "activations": "activation_rate",
    "tendon_forces": "tendon_force_rate",
    "actuator_activations": "actuator_rate",
}
"""Names of the rates of the state's parts."""

NOT_IN_OPENSIM = ("path_excess", "potential_energy", "muscle_moment")
"""Outputs without a counterpart in OpenSim: guards, and sums that hold other parts there. Moments
of muscles are compared by themselves, through OpenSim's moment arms."""

PER_COORDINATE = ("acceleration", "coordinate_rate", "passive_moment", "muscle_moment")
PER_MUSCLE = (
    *("muscle_length", "muscle_speed", "fibre_length", "normalised_fibre_length"),
    *("fibre_velocity", "tendon_force", "active_fibre_force", "passive_fibre_force"),
    *("activation_rate", "force_length", "muscle_power", "bhargava2004", "umberger2010"),
)
"""Quantities with a column per coordinate, and per muscle."""

IMU_BODIES = ("pelvis", "femur_r", "femur_l", "torso")
"""Where inertial measurement units are put; on the first bodies in a model without these."""


class QuantityError(Config):
    """How far one quantity is from OpenSim's."""

    max_rel_error: float
    median_rel_error: float
    n: int
    worst: str = ""


@dataclass(frozen=True)
class Verification:
    """What a comparison found.

    Attributes
    ----------
    model : name
    quantities : errors by quantity
    dtype, backend : of the compiled model
    """

    model: str
    quantities: Mapping[str, QuantityError]
    dtype: str
    backend: Backend

    @property
    def failed(self) -> tuple[str, ...]:
        """Quantities that are too far off."""
        return tuple(name for name, e in self.quantities.items() if not self._close(e))

    def _close(self, error: QuantityError) -> bool:
        if self.dtype == "float64":
            return error.max_rel_error <= TOLERANCE
        close = error.median_rel_error <= MEDIAN_TOLERANCE_32
        return close and error.max_rel_error <= TOLERANCE_32

    @property
    def passed(self) -> bool:
        """Whether every quantity is close enough."""
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "model": self.model,
            "quantities": {
                name: {k: getattr(e, k) for k in ("max_rel_error", "median_rel_error", "n")}
                for name, e in self.quantities.items()
            },
            "passed": self.passed,
            "dtype": self.dtype,
            "backend": self.backend,
        }


def verify(
    source: osim.Model | ModelRecipe | str | Path,
    n: int = 200,
    seed: int = 0,
    dtype: str = "float64",
    backend: Backend = "llvm",
    options: Options | None = None,
    tails: bool = False,
) -> Verification:
    """Compare a compiled model with OpenSim at random states.

    Parameters
    ----------
    source : a model, a recipe, a shipped model's name or the path of an ``.osim`` file
    n : how many states
    seed : of the states
    dtype : float64 or float32
    backend : ``llvm``: machine code, as it is used; ``numpy``: the reference interpreter
    options : how the model is compiled; inertial measurement units are added where it has none
    tails : measure what is nearly nothing against `SMALLEST`, for models drawn at random, whose
        contacts may all hover; no model of a walker needs it

    Raises
    ------
    ModelError
        The model does not compile.
    InputError
        An argument is out of range.
    SimulationError
        OpenSim evaluated another model in this process before; see `check_process`.
    """
    check_option("backend", backend, ("llvm", "numpy"))
    if n < 1 or seed < 0:
        raise InputError(f"{n} states with seed {seed} were asked for; allowed is 1 or more, 0 up.")
    if backend == "numpy" and dtype != "float64":
        raise InputError(f"The numpy backend has float64 only, not {dtype}.")
    if isinstance(source, osim.Model):
        model, spec = source, read(source)
    else:
        model, spec = model_and_spec(source)
    options = options or Options()
    if not options.imus:
        options = options.changed(imus=units(spec))
    oracle = Oracle(model, spec, options.imus)
    states = plausible(oracle, n, seed)
    truth = _with_arms(oracle, states, oracle.evaluate(states))
    check_process(spec, states, truth["activation_rate"])
    found = evaluate(Equations(spec, options), states, dtype, backend)
    errors = compare(truth, found, _labels(spec, options), tails)
    return Verification(spec.name, errors, dtype, backend)


def check_process(spec: ModelSpec, states: States, rates: Floats) -> None:
    """Refuse a comparison where OpenSim has activation constants of an earlier model.

    OpenSim 4.6 keeps those of the first DeGrooteFregly muscle that a process evaluates, whatever
    model it belongs to, until the process ends.

    Parameters
    ----------
    rates : (n, n_muscle) array; OpenSim's rates of activation at the states, 1/s
    """
    dynamic = [i for i, m in enumerate(spec.muscles) if not m.ignore_activation_dynamics]
    if not dynamic:
        return
    i = dynamic[0]
    constants = activation_constants(spec.muscles, shared=True)[i]
    expected = [
        activation_rate(float(a), float(e), constants)
        for a, e in zip(states.activations[:, i], states.excitations[:, i])
    ]
    if not np.allclose(rates[:, i], expected, rtol=1e-6, atol=1e-6):
        raise SimulationError(
            "OpenSim has evaluated another model in this process, and keeps the activation time "
            f"constants of that one ('{spec.muscles[i].name}' has {constants.activation:g} and "
            f"{constants.deactivation:g} s). Verify in a new process: osim-exo models verify."
        )


def units(spec: ModelSpec) -> tuple[Imu, ...]:
    """Inertial measurement units to compare, aslant on the pelvis, the thighs and the torso."""
    wanted = [b for b in spec.bodies if b.name in IMU_BODIES] or list(spec.bodies[:3])
    welded = {j.child.base for j in spec.joints if j.kind == "weld"}
    c, s = np.cos(0.3), np.sin(0.3)
    aslant = ((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0))
    return tuple(
        Imu(name=b.name, frame=Frame(base=b.path, rotation=aslant, translation=(0.02, -0.1, 0.05)))
        for b in wanted
        if b.path not in welded
    )


def evaluate(
    equations: Equations, states: States, dtype: str = "float64", backend: Backend = "llvm"
) -> dict[str, Floats]:
    """The compiled model's values by quantity, (n, n_column) each.

    A worn device's actuators count as actuators with controls here.
    """
    layout = equations.layout
    state = np.zeros((states.size, layout.n_state))
    for part in ("coordinates", "speeds", "activations", "tendon_forces", "actuator_activations"):
        state[:, layout[part]] = getattr(states, part)
    inputs = {
        "state": state,
        "controls": np.concatenate([states.excitations, states.controls], axis=1),
        "drive": np.zeros((states.size, equations.inputs["drive"])),
        "parameters": np.tile(equations.table.default, (states.size, 1)),
    }
    rates = _run(equations.rates_program(), inputs, dtype, backend)
    wanted = [name for name in OUTPUTS if name not in NOT_IN_OPENSIM]
    outputs = _run(equations.output_program(wanted), inputs, dtype, backend)
    arms = _run(arm_program(equations), inputs, dtype, backend)
    return {**{name: rates[part] for part, name in RATES.items()}, **outputs, **arms}


def arm_program(equations: Equations) -> Program:
    """Moment arms, muscle by muscle, and the moments of all muscles; none about a locked joint."""
    instant = equations.instant(equations.given)
    n, held = len(equations.layout.coordinates), equations.topology.fixed
    arms: list[Any] = []
    for path in instant.paths:
        free = {k: arm for k, arm in path.pull.items() if k not in held}
        arms += [-free[k] if k in free else 0.0 for k in range(n)]
    moments: list[Any] = [0.0] * n
    for k, arm in enumerate(arms):
        moments[k % n] = moments[k % n] + arm * instant.muscles[k // n].tendon_force
    outputs = {"moment_arm": arms, "muscle_moment": moments}
    return Program.build(equations.graph, equations.inputs, outputs)


def _run(
    program: Program, inputs: Mapping[str, Floats], dtype: str, backend: Backend
) -> dict[str, Floats]:
    if backend == "numpy":
        return program(**inputs)
    compiled = kernel.compile_program(program, dtype)
    n = inputs["state"].shape[0]
    arrays = {name: compiled.pack(name, values) for name, values in inputs.items()}
    arrays.update({name: compiled.zeros(name, n) for name in program.outputs})
    compiled.run(arrays)
    return {
        name: np.asarray(compiled.unpack(arrays[name], n), dtype=float) for name in program.outputs
    }


def _with_arms(oracle: Oracle, states: States, truth: dict[str, Floats]) -> dict[str, Floats]:
    """OpenSim's values with moment arms and moments of muscles, at the first states only."""
    some = slice(min(MOMENT_ARM_STATES, states.size))
    arms = oracle.moment_arms(states.taken(some))
    moments = np.einsum("ijk,ij->ik", arms, truth["tendon_force"][some])
    return {**truth, "moment_arm": arms.reshape(len(arms), -1), "muscle_moment": moments}


def compare(
    truth: Mapping[str, Floats],
    found: Mapping[str, Floats],
    labels: Mapping[str, Sequence[str]] | None = None,
    tails: bool = False,
) -> dict[str, QuantityError]:
    """Errors of every quantity that the model has: not of sums over parts that it lacks.

    Parameters
    ----------
    truth : OpenSim's values, (n, n_column) by quantity; rows with what is not finite are left out
    found : the compiled model's, with at least as many rows
    labels : names of a quantity's columns, to tell where it is worst
    tails : see `verify`
    """
    errors = {}
    for name, x in truth.items():
        y = found[name][: x.shape[0]]
        rows = np.isfinite(x).all(axis=1)
        x, y = x[rows], y[rows]
        if not x.any() and not y.any():
            continue
        ground = name in ("contact_force", "grf")
        smallest = SMALLEST_GROUND_FORCE if ground else SMALLEST
        error = relative(x, y, smallest if tails else 0.0)
        row, column = divmod(int(error.argmax()), error.shape[1])
        named = (labels or {}).get(name, ())
        where = named[column] if column < len(named) else f"column {column}"
        errors[name] = QuantityError(
            max_rel_error=float(min(error[row, column], 1e300)),
            median_rel_error=float(min(np.median(error), 1e300)),
            n=int(error.size),
            worst=f"{where}, state {row}: {y[row, column]:.9g} where OpenSim has "
            f"{x[row, column]:.9g}",
        )
    return errors


def relative(x: Floats, y: Floats, smallest: float = 0.0) -> Floats:
    """Error of y where x is right, (n, n_column); infinite where y is not a number."""
    largest = np.abs(x).max(axis=0)
    overall = largest.max()
    if overall < NOTHING:
        return np.where(np.abs(y) < NOTHING, 0.0, np.inf)
    rounding = largest < STRUCTURAL_ZERO * overall
    floor = FLOOR * np.where(rounding, overall, largest)
    size = np.maximum(np.abs(x), np.maximum(floor, smallest))
    with np.errstate(invalid="ignore", over="ignore"):
        error: Floats = np.nan_to_num(np.abs(y - x) / size, nan=np.inf)
    return error


def _labels(spec: ModelSpec, options: Options) -> dict[str, list[str]]:
    coordinates = [c.name for c in spec.coordinates]
    muscles = [m.name for m in spec.muscles]
    imu = ("fx", "fy", "fz", "wx", "wy", "wz")
    return {
        **{name: coordinates for name in PER_COORDINATE},
        **{name: muscles for name in PER_MUSCLE},
        "tendon_force_rate": [m.name for m in spec.muscles if not m.rigid_tendon],
        "contact_force": [f"{c.name} {axis}" for c in spec.contacts for axis in "xyz"],
        "moment_arm": [f"{m} about {c}" for m in muscles for c in coordinates],
        "imu": [f"{i.name} {k}" for i in options.imus for k in imu],
    }
