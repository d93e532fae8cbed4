"""Two threads against one, and against two processes: a part of ``engine`` for an idle machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from osim_exo import provenance
from osim_exo.benchmarks._motions import motion
from osim_exo.benchmarks.engine import Findings, thread_rows
from osim_exo.files import write_json


def run(
    json_path: str | Path | None = None, quick: bool = False, models: Sequence[str] = ("gait2d",)
) -> dict[str, Any]:
    """Measure, and write the result if a path is given.

    Parameters
    ----------
    json_path : path, optional
    quick : fewer turns
    models : shipped ones, or paths of ``.osim`` files

    Returns
    -------
    dict
        ``{"name", "machine", "rows": [{"what", "value", "unit"}], "ratios": {name: number}}``
    """
    found = Findings()
    for model in models:
        thread_rows(motion(model), found, 1 if quick else 5)
    result = {"name": "threads", "machine": provenance.machine(), **vars(found)}
    if json_path is not None:
        write_json(json_path, result)
    return result
