"""The compiled step against OpenSim's own integrator: the same controls from the same state.

Contact and falling make motion depend on the last digit, so errors grow with time for every
scheme; what counts is how they start and that they shrink with the step. Fitted paths are not
saturated outside their range here, as they are not in OpenSim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import opensim as osim

from osim_exo.compiler.backends import kernel
from osim_exo.compiler.backends.kernel import Kernel
from osim_exo.compiler.equations.model import Equations
from osim_exo.compiler.equations.options import Options
from osim_exo.compiler.equations.step import Scheme
from osim_exo.compiler.proof.oracle import Oracle
from osim_exo.compiler.proof.oracle_model import Floats, States
from osim_exo.compiler.proof.sampling import plausible
from osim_exo.compiler.reading.model import model_and_spec, read
from osim_exo.errors import InputError
from osim_exo.models.recipe import ModelRecipe

STEPS = (0.0005, 0.001, 0.002)
"""Steps that are compared, s."""

TIMES = (0.05, 0.1, 0.25)
"""When errors are told, s."""

HOLD = 0.01
"""Controls are held for so long, s."""

ACCURACY = 1e-6
"""Of OpenSim's integrator."""

CALM = 0.03
"""How far start states are from the model's default ones; see `sampling.plausible`."""

MOST_EXCITED = 0.4
"""Excitations are random up to this."""

UNBOUNDED = 1e300
"""The error of what is not finite."""


@dataclass(frozen=True)
class Growth:
    """Errors of one step length.

    Attributes
    ----------
    step : s
    times : s
    median, largest : over the start states, of the largest error of any coordinate, rad or m; at
        each time
    """

    step: float
    times: tuple[float, ...]
    median: tuple[float, ...]
    largest: tuple[float, ...]


def error_growth(
    source: osim.Model | ModelRecipe | str | Path,
    n: int = 4,
    seed: int = 0,
    steps: Sequence[float] = STEPS,
    scheme: Scheme = "midpoint",
) -> list[Growth]:
    """Errors of coordinates of the compiled step while controls drive both models alike.

    Parameters
    ----------
    source : a model, a recipe, a shipped model's name or the path of an ``.osim`` file
    n : start states
    seed : of states and controls
    steps : s; a whole number of them must fill 10 ms
    scheme : how the compiled model steps

    Raises
    ------
    InputError
        A step does not divide 10 ms.
    ModelError
        The model does not compile.
    """
    for step in steps:
        if not step > 0.0 or abs(HOLD / step - round(HOLD / step)) > 1e-9:
            raise InputError(f"A step of {step:g} s was given; 10 ms must be a multiple of it.")
    model, spec = (
        (source, read(source)) if isinstance(source, osim.Model) else model_and_spec(source)
    )
    oracle = Oracle(model, spec)
    start = plausible(oracle, n, seed, calm=CALM)
    controls = _controls(start, seed)
    truth = np.stack(
        [oracle.integrate(start, row, controls[row], HOLD, ACCURACY) for row in range(n)]
    )
    equations = Equations(spec, Options(clamp_paths=False))
    stepper = kernel.compile_program(equations.step_program(scheme))
    return [
        _growth(step, np.abs(_compiled(equations, stepper, start, controls, step) - truth))
        for step in steps
    ]


def _controls(start: States, seed: int) -> Floats:
    """Random excitations of every start state, other controls zero; (n, n_hold, n_control)."""
    rng = np.random.default_rng([seed, 1])
    holds = round(max(TIMES) / HOLD)
    excitations = rng.uniform(0.01, MOST_EXCITED, (start.size, holds, start.excitations.shape[1]))
    others = np.zeros((start.size, holds, start.controls.shape[1]))
    return np.concatenate([excitations, others], axis=2)


def _compiled(
    equations: Equations, stepper: Kernel, start: States, controls: Floats, step: float
) -> Floats:
    """Coordinates after every hold, (n, n_hold, n_coordinate)."""
    layout, n = equations.layout, start.size
    state = np.zeros((n, layout.n_state))
    for part in ("coordinates", "speeds", "activations", "tendon_forces", "actuator_activations"):
        state[:, layout[part]] = getattr(start, part)
    parameters = np.tile(equations.table.default, (n, 1))
    parameters[:, equations.table["time_step"].slice] = step
    repeats = round(HOLD / step)
    drive = np.zeros((n, repeats, equations.inputs["drive"]))
    arrays = {
        "state": stepper.pack("state", state),
        "parameters": stepper.pack("parameters", parameters),
        "drive": stepper.pack("drive", drive),
    }
    found = []
    for hold in range(controls.shape[1]):
        arrays["controls"] = stepper.pack("controls", controls[:, hold])
        stepper.run(arrays, repeats)
        found.append(stepper.unpack(arrays["state"], n)[:, layout["coordinates"]])
    return np.stack(found, axis=1)


def _growth(step: float, errors: Floats) -> Growth:
    at = [round(t / HOLD) - 1 for t in TIMES]
    worst = np.nan_to_num(errors, nan=UNBOUNDED, posinf=UNBOUNDED).max(axis=2)[:, at]
    return Growth(
        step,
        TIMES,
        tuple(np.median(worst, axis=0).tolist()),
        tuple(worst.max(axis=0).tolist()),
    )
