"""Control steps per second and core of stepped OpenSim, beside a plain Manager loop; memory.

All loops run the same model, the same random excitations from quiet standing and the same 10 ms
control step, in turn within one run, and are timed by the CPU time of their thread, resets left
out. The errors rank the loops on that motion; they are not the accuracy of a gait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo import provenance
from osim_exo.env import GaitEnv
from osim_exo.errors import MissingExtraError
from osim_exo.files import write_json
from osim_exo.models import HipExo, ModelConfig
from osim_exo.models.recipe import load_opensim
from osim_exo.physics import OpenSimPhysics

Array = npt.NDArray[np.float64]

CONTROL_DT = 0.01
EPISODE = 50
"""Control steps between resets: half a second, after which the random walker has fallen."""

PLAIN = "plain Manager loop, osim-rl style"
MODES: dict[str, dict[str, Any]] = {
    "fixed step 0.5 ms": {"substep": 0.0005},
    "fixed step 1 ms": {"substep": 0.001},
    "Manager mode, accuracy 5e-5": {"mode": "manager", "accuracy": 5e-5},
    "Manager mode, accuracy 1e-2": {"mode": "manager", "accuracy": 1e-2},
}
RECIPE = ModelConfig(exo=HipExo())


class PlainLoop:
    """How OpenSim is usually stepped for learning (the way of osim-rl, Kidziński et al. 2018).

    One Manager per episode at accuracy 5e-5 with its storage on, and after each step a dictionary
    of everything: coordinates, bodies, muscles, forces, centre of mass.
    """

    def __init__(self) -> None:
        self._osim = load_opensim()
        self._model = RECIPE.build()
        self._start = self._model.initSystem()
        standing = OpenSimPhysics(RECIPE).snapshot().states[0]
        self._start.setY(self._osim.Vector.createFromMat(standing))
        self.reset()

    def reset(self) -> None:
        """Begin an episode."""
        self._manager = self._osim.Manager(self._model)
        self._manager.setIntegratorAccuracy(5e-5)
        self._state = self._osim.State(self._start)
        self._manager.initialize(self._state)
        self._steps = 0

    def step(self, excitations: Array) -> None:
        """One control step and the reading of everything."""
        controls = np.zeros(self._model.getNumControls())
        controls[: excitations.size] = excitations
        self._model.setDefaultControls(self._osim.Vector.createFromMat(controls))
        self._model.markControlsAsInvalid(self._manager.getState())
        self._steps += 1
        self._state = self._manager.integrate(self._steps * CONTROL_DT)
        self.describe()

    def describe(self) -> dict[str, Any]:
        """Everything about the present state, as a dictionary."""
        model, state = self._model, self._state
        model.realizeAcceleration(state)
        found: dict[str, Any] = {"coordinates": {}, "bodies": {}, "muscles": {}, "forces": {}}
        for coordinate in _members(model.getCoordinateSet()):
            found["coordinates"][coordinate.getName()] = (
                coordinate.getValue(state),
                coordinate.getSpeedValue(state),
                coordinate.getAccelerationValue(state),
            )
        for body in _members(model.getBodySet()):
            vectors = (
                body.getTransformInGround(state).p(),
                body.getVelocityInGround(state).get(1),
                body.getAccelerationInGround(state).get(1),
                body.getTransformInGround(state).R().convertRotationToBodyFixedXYZ(),
            )
            found["bodies"][body.getName()] = [[v.get(i) for i in range(3)] for v in vectors]
        for muscle in _members(model.getMuscles()):
            found["muscles"][muscle.getName()] = (
                muscle.getActivation(state),
                muscle.getFiberLength(state),
                muscle.getFiberVelocity(state),
                muscle.getFiberForce(state),
            )
        for force in _members(model.getForceSet()):
            values = force.getRecordValues(state)
            found["forces"][force.getName()] = [values.get(i) for i in range(values.size())]
        centre = model.calcMassCenterPosition(state)
        found["centre_of_mass"] = [centre.get(i) for i in range(3)]
        return found

    @property
    def coordinates(self) -> Array:
        """Generalised positions, (n_coordinate,) array."""
        found = _members(self._model.getCoordinateSet())
        return np.array([coordinate.getValue(self._state) for coordinate in found])


class OurLoop:
    """`OpenSimPhysics` with what a learner reads: coordinates, speeds, activations, forces."""

    def __init__(self, **options: Any) -> None:
        self._physics = OpenSimPhysics(RECIPE, control_dt=CONTROL_DT, on_failure="mark", **options)

    def reset(self) -> None:
        """Begin an episode."""
        self._physics.reset()

    def step(self, excitations: Array) -> None:
        """One control step and the reading of the observed state."""
        physics = self._physics
        physics.step(excitations[None])
        _ = physics.coordinates, physics.speeds, physics.activations, physics.grf

    @property
    def coordinates(self) -> Array:
        """Generalised positions, (n_coordinate,) array."""
        return np.asarray(self._physics.coordinates[0])


def run(json_path: str | Path | None = None, quick: bool = False) -> dict[str, Any]:
    """Measure, and write the result if a path is given.

    Parameters
    ----------
    json_path : path, optional
    quick : shorter and noisier: fewer repeats, 5,000 in place of 100,000 steps for the memory

    Returns
    -------
    dict
        ``{"name", "machine", "rows": [{"what", "value", "unit"}], "ratios": {name: number}}``
    """
    loops: dict[str, Any] = {PLAIN: PlainLoop()}
    loops |= {name: OurLoop(**options) for name, options in MODES.items()}
    rates = _rates(loops, repeats=2 if quick else 5, episodes=1 if quick else 3)
    rows = [_row(f"{name}: control steps", rate, "1/s per core") for name, rate in rates.items()]
    rows += _error_rows(loops)
    rows += _memory_rows(5_000 if quick else 100_000)
    ratios = {f"{name} / {PLAIN}": rates[name] / rates[PLAIN] for name in MODES}
    fixed = next(iter(MODES))
    for name in [name for name, options in MODES.items() if options.get("mode") == "manager"]:
        ratios[f"{fixed} / {name}"] = rates[fixed] / rates[name]
    result = {
        "name": "stepping",
        "machine": provenance.machine(),
        "rows": rows,
        "ratios": ratios,
    }
    if json_path is not None:
        write_json(json_path, result)
    return result


def _row(what: str, value: float, unit: str) -> dict[str, Any]:
    return {"what": what, "value": float(value), "unit": unit}


def _members(collection: Any) -> list[Any]:
    return [collection.get(i) for i in range(collection.getSize())]


def _excitations(n_step: int, seed: int) -> Array:
    n_muscle = len(OpenSimPhysics(RECIPE).names.muscles)
    noise = np.random.default_rng(seed).standard_normal((n_step, n_muscle))
    return np.clip(0.15 + 0.15 * noise, 0.01, 1.0)


def _rates(loops: dict[str, Any], repeats: int, episodes: int) -> dict[str, float]:
    """Median control steps per second of CPU time; the loops take turns within each repeat."""
    found: dict[str, list[float]] = {name: [] for name in loops}
    for repeat in range(repeats):
        inputs = _excitations(EPISODE, seed=repeat)
        for name, loop in loops.items():
            seconds = sum(_episode_seconds(loop, inputs) for _ in range(episodes))
            found[name].append(episodes * EPISODE / seconds)
    return {name: float(np.median(rates)) for name, rates in found.items()}


def _episode_seconds(loop: Any, inputs: Array) -> float:
    loop.reset()
    begin = time.thread_time()
    for row in inputs:
        loop.step(row)
    return time.thread_time() - begin


def _error_rows(loops: dict[str, Any]) -> list[dict[str, Any]]:
    """Largest coordinate error after 0.1 and 0.25 s against integration to 1e-8."""
    inputs = _excitations(25, seed=0)
    reference = _trajectory(OurLoop(mode="manager", accuracy=1e-8), inputs)
    rows = []
    for name, loop in loops.items():
        errors = np.abs(_trajectory(loop, inputs) - reference).max(axis=1)
        for step in (10, 25):
            what = f"{name}: largest coordinate error after {step * CONTROL_DT:g} s"
            rows.append(_row(what, errors[step - 1], "rad or m"))
    return rows


def _trajectory(loop: Any, inputs: Array) -> Array:
    loop.reset()
    found = []
    for row in inputs:
        loop.step(row)
        found.append(loop.coordinates)
    return np.array(found)


def _memory_rows(n_step: int) -> list[dict[str, Any]]:
    """Resident memory over many steps of the environment, with its resets."""
    resident = _resident()
    physics = OpenSimPhysics(RECIPE, control_dt=CONTROL_DT, substep=0.001, on_failure="mark")
    env = GaitEnv(physics)
    env.reset(seed=0)
    env.action_space.seed(0)
    rows = []
    for step in range(1, n_step + 1):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
        if step in (n_step // 10, n_step):
            rows.append(_row(f"resident memory after {step:,} steps", resident(), "MB"))
    growth = rows[1]["value"] - rows[0]["value"]
    rows.append(_row(f"growth over the last {n_step - n_step // 10:,} steps", growth, "MB"))
    return rows


def _resident() -> Callable[[], float]:
    """Reads this process's resident memory, MB."""
    try:
        import psutil
    except ImportError as error:
        raise MissingExtraError("psutil", "sim") from error
    process = psutil.Process()
    return lambda: float(process.memory_info().rss) / 1e6
