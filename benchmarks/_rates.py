"""Evaluations per second of a model's accelerations, and steps per second of another simulator."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from importlib import import_module

import numpy as np
import numpy.typing as npt

from osim_exo.benchmarks._motions import CONTROL_DT, Motion, begin
from osim_exo.compiler.backends import cache
from osim_exo.compiler.equations.model import Equations
from osim_exo.errors import MissingExtraError
from osim_exo.models.recipe import load_opensim
from osim_exo.physics import CompiledPhysics
from osim_exo.physics.compiled.source import model_spec

Array = npt.NDArray[np.float64]

MUJOCO_STEP = 0.002


def opensim_evaluations(motion: Motion, calls: int = 200) -> Callable[[], float]:
    """OpenSim's accelerations at the motion's starts, set and asked for from Python."""
    osim = load_opensim()
    model = motion.recipe.build()
    state = model.initSystem()
    compiled = CompiledPhysics(motion.recipe, n_env=len(motion.starts))
    begin(compiled, motion, 0)
    numbers, paths = compiled.snapshot().states, compiled.state_paths
    vectors = []
    for row in numbers:
        for path, column in paths.items():
            model.setStateVariableValue(state, path, float(row[column]))
        vectors.append(osim.Vector(state.getY()))
    controls = [osim.Vector.createFromMat(_controls(motion, k)) for k in range(len(vectors))]

    def rate() -> float:
        start = time.thread_time()
        for call in range(calls):
            k = call % len(vectors)
            state.setY(vectors[k])
            model.setDefaultControls(controls[k])
            model.markControlsAsInvalid(state)
            model.realizeAcceleration(state)
            state.getYDot()
        return calls / (time.thread_time() - start)

    return rate


def _controls(motion: Motion, start: int) -> Array:
    """Controls in the order of the compiled model; OpenSim's own order costs the same."""
    return np.concatenate([motion.excitations[0, start], motion.others[0, start]])


def compiled_evaluations(
    motion: Motion, dtype: str, n_env: int, calls: int = 40
) -> Callable[[], float]:
    """The compiled model's accelerations at the motion's starts, repeated over a batch."""
    spec = model_spec(motion.recipe)
    equations = Equations(spec)
    kernel = cache.load_or_compile(equations.rates_program(), dtype)
    compiled = CompiledPhysics(motion.recipe, n_env=len(motion.starts))
    begin(compiled, motion, 0)
    rows = np.arange(n_env) % len(motion.starts)
    controls = np.array([_controls(motion, k) for k in rows.tolist()])
    arrays = {
        "state": kernel.pack("state", compiled.snapshot().states[rows]),
        "controls": kernel.pack("controls", controls),
        "drive": kernel.zeros("drive", n_env),
        "parameters": kernel.pack("parameters", np.tile(equations.table.default, (n_env, 1))),
        **{name: kernel.zeros(name, n_env) for name in kernel.signature.outputs},
    }

    def rate() -> float:
        start = time.thread_time()
        for _ in range(calls):
            kernel.run(arrays)
        return calls * n_env / (time.thread_time() - start)

    return rate


def legs_of_mujoco(steps: int = 20) -> Callable[[], float]:
    """Control steps of MuJoCo's 80-muscle legs, of the models of the MyoSuite.

    Another model with other contact and muscles: it stands for what a learner would use instead.

    Raises
    ------
    MissingExtraError
        MuJoCo or myo_sim is not installed.
    """
    found = {}
    for library in ("mujoco", "myo_sim"):
        try:
            found[library] = import_module(library)
        except ImportError as error:
            raise MissingExtraError(library, "bench") from error
    mujoco, myo_sim = found["mujoco"], found["myo_sim"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, data = myo_sim.load("myolegs")
    model.opt.timestep = MUJOCO_STEP
    each = round(CONTROL_DT / MUJOCO_STEP)
    random = np.random.default_rng(0)

    def rate() -> float:
        mujoco.mj_resetData(model, data)
        controls = np.clip(0.15 + 0.15 * random.standard_normal((steps, model.nu)), 0.01, 1.0)
        start = time.thread_time()
        for row in controls:
            data.ctrl[:] = row
            mujoco.mj_step(model, data, each)
        return steps / (time.thread_time() - start)

    return rate
