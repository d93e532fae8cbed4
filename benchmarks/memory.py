"""Whether training keeps its memory: resident memory of the walking task over many steps."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo import provenance
from osim_exo.errors import MissingExtraError
from osim_exo.files import write_json
from osim_exo.learn.config import LearnConfig
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.train import Training, make_env

Array = npt.NDArray[np.float64]

SETTLED = 0.5
"""Share of the looks at the start that does not count: buffers are made then."""

LOOK_EVERY = 20
"""Iterations between two looks at the memory; the last iteration is looked at too."""

MARKS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Shares of the control steps at which the resident memory is told."""


def run(json_path: str | Path | None = None, quick: bool = False) -> dict[str, Any]:
    """Measure, and write the result if a path is given.

    Parameters
    ----------
    json_path : path, optional
    quick : 1,000,000 control steps in place of 10,000,000

    Returns
    -------
    dict
        ``{"name", "machine", "rows": [{"what", "value", "unit"}], "ratios": {name: number}}``
    """
    steps, resident = memory_of_training(1_000_000 if quick else 10_000_000)
    begin = int(SETTLED * len(steps))
    rows = [
        {"what": "control steps", "value": float(steps[-1]), "unit": "1"},
        *on_the_way(steps, resident),
        {"what": "resident, settled", "value": float(resident[begin]), "unit": "MB"},
        {"what": "resident, at the end", "value": float(resident[-1]), "unit": "MB"},
        {
            "what": "growth, straight line",
            "value": growth(steps, resident),
            "unit": "MB per million steps",
        },
    ]
    ratios = {"resident at the end / settled": float(resident[-1] / resident[begin])}
    result = {"name": "memory", "machine": provenance.machine(), "rows": rows, "ratios": ratios}
    if json_path is not None:
        write_json(json_path, result)
    return result


def on_the_way(steps: Array, resident: Array) -> list[dict[str, Any]]:
    """Rows of the resident memory at shares of the way, `MARKS`."""
    at = [int(np.argmin(np.abs(steps - share * steps[-1]))) for share in MARKS]
    return [
        {
            "what": f"resident, after {steps[i] / 1e6:.1f} million steps",
            "value": float(resident[i]),
            "unit": "MB",
        }
        for i in at
    ]


def memory_of_training(steps: int, n_env: int = 512) -> tuple[Array, Array]:
    """Control steps and resident memory (MB) now and then during the walking task.

    Raises
    ------
    MissingExtraError
        psutil is not installed.
    """
    try:
        import psutil
    except ImportError as error:
        raise MissingExtraError("psutil", "sim") from error
    learn = LearnConfig(n_env=n_env, steps=steps)
    env = make_env(TaskConfig(), n_env, 0)
    own, found = psutil.Process(), []
    try:
        training = Training(learn, env)
        training.begin()
        for number in range(learn.iterations):
            training.iterate()
            if number % LOOK_EVERY == 0 or number == learn.iterations - 1:
                gc.collect()
                found.append((training.steps, own.memory_info().rss / 1e6))
    finally:
        env.close()
    counted, resident = np.array(found).T
    return counted, resident


def growth(steps: Array, resident: Array) -> float:
    """Slope of the resident memory once it has settled, MB per million control steps."""
    begin = int(SETTLED * len(steps))
    return float(np.polyfit(steps[begin:] / 1e6, resident[begin:], 1)[0])
