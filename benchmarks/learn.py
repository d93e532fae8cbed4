"""How fast learning is, and where its time goes: physics, inference, update.

Two parts. A task without physics, of the planar walker's size, learned in several ways within one
run: ratios tell what each choice saves. Then the walking task itself with the default settings.
Learning runs on one thread, so its processor time is what it would take on a quiet core; the time
on the wall is given beside it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from osim_exo import provenance
from osim_exo.files import write_json
from osim_exo.learn.config import LearnConfig, NetworkConfig, PpoConfig
from osim_exo.learn.records import RunFolder
from osim_exo.learn.synthetic import SyntheticConfig
from osim_exo.learn.tasks.config import TaskConfig
from osim_exo.learn.train import RunResult, TrainConfig, Training, make_env, train

DEFAULT = "tied weights, bfloat16"
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    DEFAULT: ({}, {}),
    "tied weights, float32": ({}, {"precision": "float32"}),
    "averaged network, bfloat16": ({"symmetry": "average"}, {}),
    "averaged network, float32": ({"symmetry": "average"}, {"precision": "float32"}),
    "mirrored data, bfloat16": ({"symmetry": "data"}, {}),
    "tied weights, bfloat16, 32 steps in 4 epochs": (
        {},
        {"horizon": 32, "epochs": 4, "minibatch": 4096},
    ),
}
"""Settings of network and optimisation."""

LASTS = 0.95
"""Share of the longest episode from which on walking counts as learned."""


def run(json_path: str | Path | None = None, quick: bool = False) -> dict[str, Any]:
    """Measure, and write the result if a path is given.

    Parameters
    ----------
    json_path : path, optional
    quick : fewer repeats, and 200,000 steps of walking in place of 3,000,000

    Returns
    -------
    dict
        ``{"name", "machine", "rows": [{"what", "value", "unit"}], "ratios": {name: number}}``
    """
    costs = _variants(repeats=2 if quick else 5)
    rows = [
        _row(f"synthetic task, {name}: {part}", cost, "us per step")
        for name, parts in costs.items()
        for part, cost in parts.items()
    ]
    base = costs[DEFAULT]["update"]
    ratios = {
        f"update: {name} / {DEFAULT}": parts["update"] / base for name, parts in costs.items()
    }
    walked, walk_ratios = _walk(200_000 if quick else 3_000_000)
    result = {
        "name": "learn",
        "machine": provenance.machine(),
        "rows": rows + walked,
        "ratios": ratios | walk_ratios,
    }
    if json_path is not None:
        write_json(json_path, result)
    return result


def _row(what: str, value: float, unit: str) -> dict[str, Any]:
    return {"what": what, "value": float(value), "unit": unit}


def _variants(repeats: int) -> dict[str, dict[str, float]]:
    """Least processor time per control step of each variant's parts, us; variants take turns."""
    trainings = {}
    for name, (network, ppo) in VARIANTS.items():
        config = LearnConfig(network=NetworkConfig(**network), ppo=PpoConfig(**ppo))
        trainings[name] = Training(config, make_env(SyntheticConfig(), config.n_env, 0))
        trainings[name].begin()
        trainings[name].iterate()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for _ in range(repeats):
        for name, training in trainings.items():
            before = dict(training.clock.cpu)
            training.iterate()
            samples = training.config.n_env * training.config.ppo.horizon
            spent = {k: (v - before[k]) / samples * 1e6 for k, v in training.clock.cpu.items()}
            found[name].append(spent)
    return {
        name: {part: min(row[part] for row in rows) for part in ("inference", "update")}
        for name, rows in found.items()
    }


def _walk(steps: int) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """The walking task from nothing: time, steps, rates, shares."""
    config = TrainConfig(task=TaskConfig(), learn=LearnConfig(steps=steps))
    with tempfile.TemporaryDirectory() as folder:
        result = train(config, Path(folder) / "run")
        metrics = RunFolder(Path(folder) / "run").metrics()
    total = result.cpu_seconds
    shares = {
        f"walking: {part}, share of processor time": spent / total
        for part, spent in result.cpu_split.items()
    }
    return _walk_rows(result, metrics), shares


def _walk_rows(result: RunResult, metrics: list[dict[str, float]]) -> list[dict[str, Any]]:
    rows = [
        _row("walking: time", result.seconds / 60.0, "min"),
        _row("walking: control steps", result.steps, "1"),
        _row("walking: processor time", result.cpu_seconds / 60.0, "min"),
        _row("walking: rate", result.steps / result.seconds, "1/s"),
        _row("walking: rate by processor time", result.steps / result.cpu_seconds, "1/s per core"),
        _row("walking: last mean episode", metrics[-1].get("episode/length", np.nan), "steps"),
    ]
    longest = round(TaskConfig().ends.duration / TaskConfig().control_dt)
    learned = [m for m in metrics if m.get("episode/length", 0.0) >= LASTS * longest]
    if learned:
        what = f"walking: until episodes last {LASTS * TaskConfig().ends.duration:g} s"
        rows.append(_row(f"{what}, time", learned[0]["time/seconds"], "s"))
        rows.append(_row(f"{what}, processor time", learned[0]["time/cpu_seconds"], "s"))
        rows.append(_row(f"{what}, steps", learned[0]["steps"], "1"))
    return rows
