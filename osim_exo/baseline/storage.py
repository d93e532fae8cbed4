"""Solutions on disk: an .npz of arrays beside a .json of facts; no pickle."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from osim_exo.baseline.solution import Solution
from osim_exo.errors import DataError
from osim_exo.files import write_bytes, write_json

FACTS = (
    "half_stride",
    "success",
    "status",
    "iterations",
    "cpu_seconds",
    "objective",
    "terms",
    "bounds",
    "extra",
)


def save_solution(solution: Solution, stem: Path) -> None:
    """Write ``<stem>.npz`` and then ``<stem>.json``, each atomically."""
    paths = list(solution.states)
    actuators = list(solution.controls)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        time=solution.time,
        states=np.stack([solution.states[p] for p in paths], axis=1),
        controls=np.stack([solution.controls[p] for p in actuators], axis=1),
    )
    write_bytes(stem.with_suffix(".npz"), buffer.getvalue())
    facts = {name: getattr(solution, name) for name in FACTS}
    facts["bounds"] = {k: list(v) for k, v in solution.bounds.items()}
    write_json(stem.with_suffix(".json"), {**facts, "states": paths, "controls": actuators})


def load_solution(stem: Path) -> Solution:
    """Read what `save_solution` wrote.

    Raises
    ------
    DataError
        A file is missing, or the two do not belong together.
    """
    try:
        facts = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
        with np.load(stem.with_suffix(".npz"), allow_pickle=False) as arrays:
            time, states, controls = (arrays[k] for k in ("time", "states", "controls"))
        paths, actuators = facts.pop("states"), facts.pop("controls")
        facts["bounds"] = {k: tuple(v) for k, v in facts["bounds"].items()}
        return Solution(
            time=time,
            states=dict(zip(paths, states.T, strict=True)),
            controls=dict(zip(actuators, controls.T, strict=True)),
            **facts,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"The stored solution {stem} cannot be read: {error}. Solve it again, or restore the "
            "file."
        ) from error
