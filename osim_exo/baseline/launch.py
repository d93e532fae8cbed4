"""Start solves in worker processes, follow their iterations, and stop them without losing them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from osim_exo.baseline.config import BaselineConfig
from osim_exo.baseline.solution import Solution
from osim_exo.baseline.storage import load_solution, save_solution
from osim_exo.errors import BaselineError
from osim_exo.files import write_json
from osim_exo.progress import SILENT, Progress, Step
from osim_exo.trial import Array

ITERATION = re.compile(r"^\s*(\d+)r?\s+(-?\d\.\d+e[+-]\d+)\s+(\d\.\d+e[+-]\d+)\s+(\d\.\d+e[+-]\d+)")
"""Iteration, objective, constraint violation, dual infeasibility of one line of IPOPT."""

STOP_SWITCH = "delete_this_to_stop_optimization*.txt"
"""Moco stops cleanly when this file of its working folder is gone."""

LAST_WORDS = 30
"""Lines of solver text kept to explain a crash."""


def solve_once(
    config: BaselineConfig,
    stride_time: float,
    guess: Solution | None = None,
    exo_torque: dict[str, Array] | None = None,
    progress: Progress = SILENT,
    keep: Path | None = None,
    limit_power: bool = False,
) -> Solution:
    """Solve one gait at one stride time, in a process of its own.

    Parameters
    ----------
    config : BaselineConfig
    stride_time : s
    guess : Solution, optional
        Start from this; from the human reference if not given.
    exo_torque : coordinate name to (n,) array, Nm, optional
        Torque of a controller over the solved time, for the exo's actuators to deliver.
    progress : Progress
    keep : Path, optional
        Folder in which an interrupted solve leaves its best trajectory as ``partial.sto``.
    limit_power : bool
        Hold the device's power limit as a constraint.

    Returns
    -------
    Solution
        Converged or not: look at ``success``.

    Raises
    ------
    BaselineError
        The worker died without a result; the message holds its last words.
    KeyboardInterrupt
        Passed on after the solve was stopped and its partial solution kept.
    """
    with tempfile.TemporaryDirectory(prefix="osim_exo_solve_") as name:
        folder = Path(name)
        if guess is not None:
            save_solution(guess, folder / "guess")
        torque = {k: np.asarray(v).tolist() for k, v in exo_torque.items()} if exo_torque else None
        job = {
            "config": _placed(config).model_dump(mode="json"),
            "stride_time": stride_time,
            "guess": guess is not None,
            "exo_torque": torque,
            "limit_power": limit_power,
        }
        write_json(folder / "job.json", job)
        words = _run(folder, config, stride_time, progress, keep)
        if not (folder / "result.json").is_file():
            _keep_partial(folder, keep)
            raise BaselineError(
                f"The solver of {title(config, stride_time)} ended without a result. Its last "
                "words:\n" + "\n".join(words)
            )
        return load_solution(folder / "result")


def _placed(config: BaselineConfig) -> BaselineConfig:
    """The same request with a user's model by its full path: the worker runs in another folder."""
    file = Path(config.model.name)
    if not file.is_file():
        return config
    return config.changed(model=config.model.changed(name=str(file.resolve())))


def title(config: BaselineConfig, stride_time: float) -> str:
    """A short name of a solve for progress lines and messages."""
    who = config.condition if config.controller in ("none", "optimal") else config.controller
    return f"{who} at {config.speed:g} m/s, {config.model.slope_deg:g} deg, {stride_time:.3f} s"


def _run(
    folder: Path,
    config: BaselineConfig,
    stride_time: float,
    progress: Progress,
    keep: Path | None,
) -> list[str]:
    command = [sys.executable, "-m", "osim_exo.baseline.worker", str(folder)]
    words: deque[str] = deque(maxlen=LAST_WORDS)
    with (
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as worker,
        progress.step(title(config, stride_time), unit="iterations") as step,
    ):
        try:
            for line in _lines(worker):
                words.append(line.rstrip())
                _show(line, step)
            worker.wait()
        except BaseException:
            # Ctrl-C reaches this process; the worker is asked first and killed if it does not hear.
            _stop(worker, folder)
            _keep_partial(folder, keep)
            raise
    return list(words)


def _lines(worker: subprocess.Popen[str]) -> Iterator[str]:
    if worker.stdout is not None:
        yield from worker.stdout


def _show(line: str, step: Step) -> None:
    found = ITERATION.match(line)
    if found:
        iteration, objective, primal, dual = found.groups()
        step.update(
            int(iteration),
            objective=float(objective),
            infeasibility=float(primal),
            gradient=float(dual),
        )


def _stop(worker: subprocess.Popen[str], folder: Path, patience_s: float = 20.0) -> None:
    for switch in folder.glob(STOP_SWITCH):
        switch.unlink(missing_ok=True)
    # The pipe must be drained while waiting, or a talkative solver blocks and never ends.
    drain = threading.Thread(target=lambda: deque(_lines(worker), maxlen=0), daemon=True)
    drain.start()
    try:
        worker.wait(timeout=patience_s)
    except subprocess.TimeoutExpired:
        worker.kill()


def _keep_partial(folder: Path, keep: Path | None) -> None:
    """Copy the latest trajectory of an unfinished solve to where the user can find it."""
    trajectories = sorted(folder.glob("MocoCasADiSolver_*trajectory*.sto"))
    if keep is not None and trajectories:
        keep.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(trajectories[-1], keep / "partial.sto")
        result = folder / "result.json"
        if result.is_file():
            save_solution(load_solution(folder / "result"), keep / "partial")
