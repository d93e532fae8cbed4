"""The compiled model beside OpenSim on the same model, states and controls; speed, error, builds.

Everything is measured in turn within one run, by the CPU time of its thread, resets left out; two
threads against one by the wall clock. An engine's error is the root mean square over the motion's
starts of the largest coordinate error after 0.1 s, against OpenSim integrated to 1e-8. OpenSim "at
equal error" is its fastest way of stepping whose error is not larger than the compiled one's.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo import provenance
from osim_exo.benchmarks._motions import (
    CONTROL_DT,
    Motion,
    advance,
    begin,
    motion,
    trajectory,
)
from osim_exo.benchmarks._rates import compiled_evaluations, legs_of_mujoco, opensim_evaluations
from osim_exo.benchmarks._threads import N_WIDE, thread_rates
from osim_exo.compiler.backends import cache
from osim_exo.errors import MissingExtraError, ModelError
from osim_exo.files import write_json
from osim_exo.physics import CompiledPhysics, OpenSimPhysics, Physics
from osim_exo.physics.compiled.source import model_spec

Array = npt.NDArray[np.float64]

N_ENV = 256

TIMED = 10
"""Control steps of one measurement, 0.1 s."""

OPENSIM: dict[str, dict[str, Any]] = {
    "OpenSim, fixed step 1 ms": {"substep": 0.001},
    "OpenSim, fixed step 0.5 ms": {"substep": 0.0005},
    "OpenSim, fixed step 0.33 ms": {"substep": CONTROL_DT / 30},
    "OpenSim, fixed step 0.25 ms": {"substep": 0.00025},
    "OpenSim, fixed step 0.1 ms": {"substep": 0.0001},
    "OpenSim, Manager, accuracy 1e-1": {"mode": "manager", "accuracy": 1e-1},
    "OpenSim, Manager, accuracy 1e-2": {"mode": "manager", "accuracy": 1e-2},
    "OpenSim, Manager, accuracy 1e-3": {"mode": "manager", "accuracy": 1e-3},
    "OpenSim, Manager, accuracy 5e-5": {"mode": "manager", "accuracy": 5e-5},
}
EQUAL_STEP = "OpenSim, fixed step 0.5 ms"
COMPILED: dict[str, dict[str, Any]] = {
    "compiled float64, 0.5 ms": {"substep": 0.0005},
    "compiled float64, 1 ms": {"substep": 0.001},
    "compiled float64, 2 ms": {"substep": 0.002},
    "compiled float64, 5 ms": {"substep": 0.005},
    "compiled float32, 2 ms": {"substep": 0.002, "dtype": "float32"},
}
MAIN = "compiled float64, 2 ms"
ALONE = f"{MAIN}, nothing read"
LEGS = "MuJoCo, 80-muscle legs of myo_sim, 2 ms"


@dataclass
class Findings:
    """What was measured: rows, ratios, and what was left out with the reason."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    skipped: list[dict[str, str]] = field(default_factory=list)

    def row(self, what: str, value: float, unit: str) -> None:
        """Add a measured number."""
        self.rows.append({"what": what, "value": float(value), "unit": unit})


def run(
    json_path: str | Path | None = None, quick: bool = False, models: Sequence[str] = ("gait2d",)
) -> dict[str, Any]:
    """Measure, and write the result if a path is given.

    Parameters
    ----------
    json_path : path, optional
    quick : shorter and noisier: fewer repeats
    models : shipped models' names, or paths of ``.osim`` files that compile

    Returns
    -------
    dict
        ``{"name", "machine", "rows": [{"what", "value", "unit"}], "ratios": {name: number},
        "skipped": [{"what", "reason"}]}``
    """
    found = Findings()
    # One process each: OpenSim keeps the first model's activation times for all others.
    with ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        for part in pool.map(measure, models, [3 if quick else 9] * len(models)):
            found.rows += part.rows
            found.ratios |= part.ratios
            found.skipped += part.skipped
    result = {"name": "engine", "machine": provenance.machine(), **vars(found)}
    if json_path is not None:
        write_json(json_path, result)
    return result


def measure(model: str, repeats: int) -> Findings:
    """Everything about one model.

    Parameters
    ----------
    model : name of a shipped one, or path of an ``.osim`` file
    repeats : of every rate
    """
    subject, found = motion(model), Findings()
    label = subject.name
    _build_rows(subject, found)
    engines = _engines(subject, found)
    errors = _error_rows(subject, engines, found)
    turns: dict[str, Callable[[], float]] = {
        "OpenSim realizeAcceleration, from Python": opensim_evaluations(subject),
        "compiled float64, accelerations": compiled_evaluations(subject, "float64", N_ENV),
        "compiled float32, accelerations": compiled_evaluations(subject, "float32", N_ENV),
    }
    evaluations = list(turns)
    turns |= {name: _stepping(physics, subject) for name, physics in engines.items()}
    turns[ALONE] = _stepping(engines[MAIN], subject, reading=False)
    try:
        turns[LEGS] = legs_of_mujoco()
    except MissingExtraError as error:
        found.skipped.append({"what": LEGS, "reason": str(error)})
    rates = _interleaved(turns, repeats)
    for name, rate in rates.items():
        what = "evaluations" if name in evaluations else "control steps of 10 ms"
        found.row(f"{label}: {name}: {what}", rate, "1/s per core")
    _ratios(subject, rates, errors, found)
    thread_rows(subject, found, repeats)
    return found


def _engines(subject: Motion, found: Findings) -> dict[str, Physics]:
    """Every way of stepping the model; one that refuses it is left out with its reason."""
    engines: dict[str, Physics] = {}
    for name, options in OPENSIM.items():
        try:
            engines[name] = OpenSimPhysics(
                subject.recipe, control_dt=CONTROL_DT, on_failure="mark", **options
            )
        except ModelError as error:
            found.skipped.append({"what": f"{subject.name}: {name}", "reason": str(error)})
    for name, options in COMPILED.items():
        engines[name] = CompiledPhysics(
            subject.recipe, n_env=N_ENV, control_dt=CONTROL_DT, on_failure="mark", **options
        )
    return engines


def _stepping(physics: Physics, subject: Motion, reading: bool = True) -> Callable[[], float]:
    """Control steps per second of CPU time, with what a learner reads after each, or without."""
    wide = subject.tiled(max(physics.n_env, len(subject.starts)))
    state = {"first": 0}

    def rate() -> float:
        first = state["first"]
        state["first"] = (first + physics.n_env) % len(wide.starts)
        begin(physics, wide, first)
        start = time.thread_time()
        for step in range(TIMED):
            advance(physics, wide, first, step, reading)
        return physics.n_env * TIMED / (time.thread_time() - start)

    return rate


def _interleaved(turns: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Median of each measurement; they take turns."""
    found: dict[str, list[float]] = {name: [] for name in turns}
    for turn in turns.values():
        turn()
    for _ in range(repeats):
        for name, turn in turns.items():
            found[name].append(turn())
    return {name: float(np.median(values)) for name, values in found.items()}


def _error_rows(
    subject: Motion, engines: Mapping[str, Physics], found: Findings
) -> dict[str, float]:
    """Errors of every engine, as rows; the one after 0.1 s is what ranks them."""
    reference = trajectory(
        OpenSimPhysics(subject.recipe, control_dt=CONTROL_DT, mode="manager", accuracy=1e-8),
        subject,
    )
    n = len(subject.starts)
    errors: dict[str, float] = {}
    low, high = CompiledPhysics(subject.recipe).path_ranges
    outside = np.maximum(low - reference, reference - high).max(initial=0.0)
    found.row(f"{subject.name}: farthest out of its paths' fitted ranges", outside, "rad or m")
    for name, physics in engines.items():
        one = subject if physics.n_env == 1 else subject.tiled(physics.n_env)
        largest = np.abs(trajectory(physics, one)[:n] - reference).max(axis=2)
        for after in (0.05, 0.1, 0.25):
            if after / CONTROL_DT > largest.shape[1] + 0.5:
                continue
            here = largest[:, round(after / CONTROL_DT) - 1]
            size = float(np.sqrt(np.mean(here**2)))
            found.row(f"{subject.name}: {name}: error after {after:g} s", size, "rad or m")
            if after == 0.1:
                errors[name] = size
    return errors


def _ratios(
    subject: Motion, rates: Mapping[str, float], errors: Mapping[str, float], found: Findings
) -> None:
    label, ratios = subject.name, found.ratios
    plain = rates["OpenSim realizeAcceleration, from Python"]
    for kind in ("float64", "float32"):
        name = f"compiled {kind}, accelerations"
        ratios[f"{label}: {name} / OpenSim realizeAcceleration"] = rates[name] / plain
    if EQUAL_STEP in rates:
        name = "compiled float64, 0.5 ms"
        ratios[f"{label}: {name} / {EQUAL_STEP}, equal step"] = rates[name] / rates[EQUAL_STEP]
    ways = [name for name in OPENSIM if name in rates]
    fastest = max(ways, key=lambda name: rates[name])
    for name in COMPILED:
        close = [way for way in ways if errors[way] <= errors[name]]
        best = max(close or [min(ways, key=lambda way: errors[way])], key=lambda way: rates[way])
        said = f"errors {errors[name]:.2g} and {errors[best]:.2g}"
        ratios[f"{label}: {name} / {best}, equal error ({said})"] = rates[name] / rates[best]
    said = f"errors {errors[MAIN]:.2g} and {errors[fastest]:.2g}"
    ratios[f"{label}: {MAIN} / {fastest}, OpenSim's fastest ({said})"] = (
        rates[MAIN] / rates[fastest]
    )
    if LEGS in rates and subject.excitations.shape[2] == 80:
        ratios[f"{label}: {ALONE} / {LEGS}"] = rates[ALONE] / rates[LEGS]


@contextmanager
def _empty_cache() -> Iterator[None]:
    """Nothing compiled is kept from before, nor afterwards."""
    before = os.environ.get(cache.ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[cache.ENVIRONMENT] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[cache.ENVIRONMENT]
            else:
                os.environ[cache.ENVIRONMENT] = before


def _build_rows(subject: Motion, found: Findings) -> None:
    """Time of a start with nothing kept, and of the next one; memory."""
    try:
        import psutil
    except ImportError as error:
        raise MissingExtraError("psutil", "sim") from error
    label = subject.name
    with _empty_cache():
        begun = time.perf_counter()
        model_spec(subject.recipe)
        found.row(f"{label}: reading the model with OpenSim", time.perf_counter() - begun, "s")
        begun, worked = time.perf_counter(), time.process_time()
        CompiledPhysics(subject.recipe)
        found.row(f"{label}: cold build", time.perf_counter() - begun, "s")
        found.row(f"{label}: cold build, CPU time", time.process_time() - worked, "s")
        begun = time.perf_counter()
        CompiledPhysics(subject.recipe)
        found.row(f"{label}: warm start", time.perf_counter() - begun, "s")
        process, large = psutil.Process(), 4096
        before = process.memory_info().rss
        physics = CompiledPhysics(subject.recipe, n_env=large)
        physics.step(np.zeros((large, len(physics.names.muscles))))
        used = (process.memory_info().rss - before) / large
        found.row(f"{label}: memory of an environment", used / 1e3, "kB")


def thread_rows(subject: Motion, found: Findings, repeats: int) -> None:
    """Two threads against one by the wall clock, and two processes against one.

    Ratios are medians over turns, and of the best turns beside them: both need both cores for
    themselves, and any other work on the machine stops one of them in some turns.
    """
    rates = thread_rates(subject, 2 * repeats)
    one = rates.pop("1 thread")
    where = f"{MAIN}, {N_WIDE} environments each"
    for name, values in (("1 thread", one), *rates.items()):
        words = f"{subject.name}: {where}, {name}, best: control steps"
        found.row(words, values.max(), "1/s of wall time")
    for name, values in rates.items():
        label = f"{subject.name}: {name} / one, wall time"
        found.ratios[label] = float(np.median(values / one))
        found.ratios[f"{label}, best turns"] = values.max() / one.max()
