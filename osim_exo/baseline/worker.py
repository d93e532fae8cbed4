"""One optimal-control solve in a process of its own: ``python -m osim_exo.baseline.worker JOB``.

The job folder holds ``job.json``; the worker writes ``result.json`` and ``result.npz`` there. A
process of its own gives the solver's text to a pipe, keeps a crash of the solver away from the
caller, and can be stopped at any time.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import opensim as osim

from osim_exo.baseline import guess as first_guess
from osim_exo.baseline import problem
from osim_exo.baseline.config import BaselineConfig
from osim_exo.baseline.reference import human_reference
from osim_exo.baseline.solution import Solution
from osim_exo.baseline.storage import load_solution, save_solution
from osim_exo.trial import Array

OUTPUT_INTERVAL = 10
"""Iterations between trajectories that survive a kill."""


def main(folder: Path) -> None:
    """Solve the job in a folder and leave the solution there."""
    _unbuffer()
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    config = BaselineConfig.model_validate(job["config"])
    os.chdir(folder)  # Moco writes its intermediate trajectories to the working folder
    torque = job["exo_torque"]
    solution = solve(
        config,
        stride_time=float(job["stride_time"]),
        guess=load_solution(folder / "guess") if job["guess"] else None,
        exo_torque={k: np.asarray(v) for k, v in torque.items()} if torque else None,
        limit_power=bool(job["limit_power"]),
    )
    save_solution(solution, folder / "result")


def solve(
    config: BaselineConfig,
    stride_time: float,
    guess: Solution | None = None,
    exo_torque: dict[str, Array] | None = None,
    limit_power: bool = False,
) -> Solution:
    """Build and solve the problem here; see `osim_exo.baseline.solve.solve_once`."""
    request = config.solved_model
    model = request.build()
    osim.Logger.setLevelString("info")
    points = config.solver.mesh_intervals + 1
    times = np.linspace(0.0, problem.solved_time(config, stride_time), points)
    reference = human_reference(config.speed, problem.body_height(config))
    states, controls = first_guess.from_reference(
        model, reference, config.speed, times, stride_time
    )
    if guess is not None:
        known = first_guess.from_solution(guess, times, config.speed, config.half_stride)
        states.update({k: v for k, v in known[0].items() if k in states})
        controls.update({k: v for k, v in known[1].items() if k in controls})
    state_bounds = problem.state_bounds(config, model, states, stride_time)
    control_bounds = problem.control_bounds(config, model)
    study = problem.prepare(
        config, model, state_bounds, control_bounds, stride_time, exo_torque, limit_power
    )
    solver = fast_solver(study, config)
    solver.setGuess(trajectory(solver, states, controls, times))
    start = time.process_time()
    solved = study.solve()
    cpu = time.process_time() - start
    bounds = {p: (b.low, b.high) for p, b in {**state_bounds, **control_bounds}.items()}
    return _extract(solved, config, cpu, bounds)


def fast_solver(study: osim.MocoStudy, config: BaselineConfig) -> osim.MocoCasADiSolver:
    """The measured fast settings: trapezoidal, explicit, forward differences, serial."""
    solver = study.initCasADiSolver()
    solver.set_num_mesh_intervals(config.solver.mesh_intervals)
    solver.set_transcription_scheme("trapezoidal")
    solver.set_multibody_dynamics_mode("explicit")
    solver.set_optim_convergence_tolerance(config.solver.convergence_tolerance)
    solver.set_optim_constraint_tolerance(config.solver.constraint_tolerance)
    solver.set_optim_max_iterations(config.solver.max_iterations)
    solver.set_optim_finite_difference_scheme("forward")
    solver.set_optim_sparsity_detection("initial-guess")
    solver.set_output_interval(OUTPUT_INTERVAL)
    solver.set_parallel(0)
    solver.set_verbosity(2)
    return solver


def trajectory(
    solver: osim.MocoCasADiSolver,
    states: dict[str, Array],
    controls: dict[str, Array],
    times: Array,
) -> osim.MocoTrajectory:
    """A guess for the solver, interpolated to its own grid where that is finer."""
    guess = solver.createGuess("bounds")
    grid = np.linspace(times[0], times[-1], guess.getNumTimes())
    guess.setTime(osim.Vector.createFromMat(grid))

    def on_grid(values: Array) -> osim.Vector:
        return osim.Vector.createFromMat(np.interp(grid, times, values))

    for path in guess.getStateNames():
        if path in states:
            guess.setState(path, on_grid(states[path]))
    for path in guess.getControlNames():
        if path in controls:
            guess.setControl(path, on_grid(controls[path]))
    return guess


def _extract(
    solved: osim.MocoSolution,
    config: BaselineConfig,
    cpu: float,
    bounds: dict[str, tuple[float, float]],
) -> Solution:
    success = bool(solved.success())
    if not success:
        solved.unseal()
    terms = {name: solved.getObjectiveTerm(name) for name in solved.getObjectiveTermNames()}
    return Solution(
        time=solved.getTime().to_numpy().copy(),
        states={p: solved.getState(p).to_numpy().copy() for p in solved.getStateNames()},
        controls={p: solved.getControl(p).to_numpy().copy() for p in solved.getControlNames()},
        half_stride=config.half_stride,
        success=success,
        status=solved.getStatus(),
        iterations=int(solved.getNumIterations()),
        cpu_seconds=cpu,
        objective=float(solved.getObjective()),
        terms={k: float(v) for k, v in terms.items()},
        bounds=bounds,
    )


def _unbuffer() -> None:
    """Make the solver's text reach the pipe line by line; without this it comes in blocks.

    Works with the C libraries of Linux and macOS; elsewhere progress shows in coarser steps.
    """
    for symbol in ("stdout", "__stdoutp"):
        try:
            library: Any = ctypes.CDLL(None)
            library.setvbuf(ctypes.c_void_p.in_dll(library, symbol), None, 1, 4096)
            return
        except (OSError, TypeError, ValueError, AttributeError):
            continue


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
