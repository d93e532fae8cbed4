"""CPU time and memory of a Moco gait solve: the settings used here beside Moco's own defaults.

Both solve the same problem (1.25 m/s, level, the same goals, bounds and first guess) with the same
number of time points, one after the other, each in a process of its own on one thread. Moco's
defaults are Hermite-Simpson collocation, central differences and no sparsity detection; "stock"
also keeps the muscles' geometry paths. Because a stock solve takes very long, the ratio is CPU time
per iteration over the same few iterations from the first guess; our whole solve is timed besides.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from osim_exo import provenance
from osim_exo.baseline import guess as first_guess
from osim_exo.baseline import problem, worker
from osim_exo.baseline.config import BaselineConfig, Solver
from osim_exo.baseline.reference import human_reference
from osim_exo.errors import MissingExtraError, OsimExoError
from osim_exo.files import write_json
from osim_exo.models import ModelConfig

STRIDE_TIME = 1.10
"""s; near the best one at this speed, so that no time goes into the search."""

ITERATIONS = 3
OURS = "this recipe"
STOCK = "Moco defaults, geometry paths"


def run(
    json_path: str | Path | None = None, quick: bool = False, iterations: int = ITERATIONS
) -> dict[str, Any]:
    """Measure both settings.

    Parameters
    ----------
    json_path : where to write the result, optional
    quick : a quarter of the mesh
    iterations : of the solver, for the time per iteration

    Returns
    -------
    dict
        ``{"name", "machine", "rows", "ratios"}`` as every benchmark.
    """
    mesh = 12 if quick else 50
    ours = _measure(OURS, mesh, iterations)
    stock = _measure(STOCK, mesh, iterations)
    whole = _measure(OURS, mesh, None)
    rows = [
        {"what": f"{name}: CPU per iteration", "value": r["cpu_per_iteration"], "unit": "s"}
        for name, r in ((OURS, ours), (STOCK, stock))
    ]
    rows += [
        {"what": f"{name}: memory after the solve", "value": r["memory"], "unit": "MB"}
        for name, r in ((OURS, ours), (STOCK, stock))
    ]
    rows += [
        {"what": f"{OURS}: whole solve, CPU", "value": whole["cpu"], "unit": "s"},
        {"what": f"{OURS}: whole solve, iterations", "value": whole["iterations"], "unit": "1"},
        {"what": f"{OURS}: converged", "value": float(whole["success"]), "unit": "1"},
    ]
    result = {
        "name": "baseline",
        "machine": provenance.machine(),
        "rows": rows,
        "ratios": {
            "cpu per iteration, stock over ours": stock["cpu_per_iteration"]
            / ours["cpu_per_iteration"],
            "memory, stock over ours": stock["memory"] / ours["memory"],
        },
    }
    if json_path is not None:
        write_json(json_path, result)
    return result


def _measure(name: str, mesh: int, iterations: int | None) -> dict[str, float]:
    """Solve in a process of its own, so that memory and caches are not shared."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        found: dict[str, float] = pool.apply(_solve, (name, mesh, iterations))
    return found


def _solve(name: str, mesh: int, iterations: int | None) -> dict[str, float]:
    _silence()
    stock = name == STOCK
    settings = Solver(mesh_intervals=mesh, max_iterations=iterations or 400)
    model_config = ModelConfig(paths="geometry" if stock else "polynomial")
    config = BaselineConfig(model=model_config, solver=settings)
    model = config.model.build()
    times = np.linspace(0.0, problem.solved_time(config, STRIDE_TIME), mesh + 1)
    reference = human_reference(config.speed, problem.body_height(config))
    states, controls = first_guess.from_reference(
        model, reference, config.speed, times, STRIDE_TIME
    )
    study = problem.prepare(
        config,
        model,
        problem.state_bounds(config, model, states, STRIDE_TIME),
        problem.control_bounds(config, model),
        STRIDE_TIME,
    )
    solver = worker.fast_solver(study, config)
    if stock:
        # As many time points: Hermite-Simpson has one inside every interval.
        solver.set_num_mesh_intervals(mesh // 2)
        solver.set_transcription_scheme("hermite-simpson")
        solver.set_optim_finite_difference_scheme("central")
        solver.set_optim_sparsity_detection("none")
    solver.set_output_interval(0)
    solver.setGuess(worker.trajectory(solver, states, controls, times))
    start = time.process_time()
    solved = study.solve()
    cpu = time.process_time() - start
    success = bool(solved.success())
    if not success:
        solved.unseal()
    done = int(solved.getNumIterations())
    if done == 0:
        raise OsimExoError(f"The solver did no iteration with '{name}'.")
    return {
        "cpu": cpu,
        "cpu_per_iteration": cpu / done,
        "iterations": float(done),
        "success": float(success),
        "memory": _memory_mb(),
    }


def _memory_mb() -> float:
    try:
        import psutil
    except ImportError as error:
        raise MissingExtraError("psutil", "sim") from error
    return float(psutil.Process().memory_info().rss) / 1e6


def _silence() -> None:
    """The solver writes to the process's standard output; a benchmark's table goes there."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
