"""Shipped baseline gaits of the shipped models, each rebuildable by one command."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from osim_exo.baseline.config import BaselineConfig
from osim_exo.baseline.gait import Gait, load_gait, save_gait
from osim_exo.errors import DataError
from osim_exo.files import read_json
from osim_exo.models import ModelConfig
from osim_exo.progress import SILENT, Progress

SPEEDS = (0.8, 1.0, 1.25, 1.5)
"""m/s"""

SLOPES_DEG = (-5.0, 0.0, 5.0)


def folder() -> Path:
    """Where the shipped gaits lie."""
    return Path(str(files("osim_exo.baseline"))) / "library"


def gait_folder(model: str, speed: float, slope_deg: float, root: Path | None = None) -> Path:
    """Folder of one gait, as ``library/gait2d/1.25_mps_+5_deg``."""
    return (root or folder()) / model / f"{speed:.2f}_mps_{slope_deg:+g}_deg"


def request(model: str, speed: float, slope_deg: float) -> BaselineConfig:
    """The request that a shipped gait answers: the default weights and solver."""
    return BaselineConfig(model=ModelConfig(name=model, slope_deg=slope_deg), speed=speed)


def build(
    model: str = "gait2d",
    root: Path | None = None,
    *,
    fresh: bool = False,
    progress: Progress = SILENT,
) -> list[Gait]:
    """Solve every gait of the library that is missing or stale; all with `fresh`.

    The middle speed on the level comes first; every other starts from its nearest solved
    neighbour. Gaits are stored one by one, so an interrupted build goes on where it stopped.
    """
    from osim_exo.baseline.solve import solve

    wanted = [(v, s) for s in sorted(SLOPES_DEG, key=abs) for v in SPEEDS]
    wanted.sort(key=lambda w: (abs(w[1]), abs(w[0] - 1.25)))
    done: dict[tuple[float, float], Gait] = {}
    for speed, slope in wanted:
        place = gait_folder(model, speed, slope, root)
        config = request(model, speed, slope)
        if not fresh and _is_current(place, config):
            done[speed, slope] = load_gait(place)
            continue
        near = min(
            done, key=lambda k: abs(k[0] - speed) / 0.25 + abs(k[1] - slope) / 5.0, default=None
        )
        guess = done[near].solution if near else None
        gait = solve(config, guess=guess, progress=progress)
        done[speed, slope] = gait
        save_gait(gait, place, trial=False)
        progress.note(f"{place.name}: {gait.explanation()}")
    return [done[k] for k in sorted(done)]


def _is_current(place: Path, config: BaselineConfig) -> bool:
    file = place / "gait.json"
    return file.is_file() and read_json(file)["config_hash"] == config.hash


def entries(root: Path | None = None) -> list[dict[str, Any]]:
    """Summaries of the shipped gaits, by model, slope and speed.

    Each has the keys of `Gait.summary`, ``model`` and ``current`` (the gait still belongs to the
    model and settings of this version).
    """
    found = []
    for file in sorted((root or folder()).glob("*/*/gait.json")):
        data = read_json(file)
        config = BaselineConfig.model_validate(data["config"])
        found.append(
            {
                "model": config.model.name,
                **data["summary"],
                "current": config.hash == data["config_hash"],
            }
        )
    return sorted(found, key=lambda e: (e["model"], e["slope_deg"], e["speed_mps"]))


@lru_cache(maxsize=16)
def load(model: str, speed: float, slope_deg: float, root: Path | None = None) -> Gait:
    """One shipped gait.

    Raises
    ------
    DataError
        There is no such gait, or it was solved with another model or other settings.
    """
    place = gait_folder(model, speed, slope_deg, root)
    if not (place / "gait.json").is_file():
        there = ", ".join(
            f"{e['speed_mps']:g} m/s at {e['slope_deg']:g} deg"
            for e in entries(root)
            if e["model"] == model
        )
        raise DataError(
            f"The library has no gait of {model} at {speed:g} m/s and {slope_deg:g} degrees. It "
            f"has: {there or 'none of that model'}. Solve it with: osim-exo baseline solve --model "
            f"{model} --speed {speed:g} --slope {slope_deg:g}"
        )
    gait = load_gait(place)
    stored = read_json(place / "gait.json")["config_hash"]
    if gait.config.hash != stored:
        raise DataError(
            f"The stored gait {place.name} was solved with another version of {model} or other "
            "settings. Solve it again with: osim-exo baseline library"
        )
    return gait


def nearest(model: str, speed: float, slope_deg: float) -> Gait | None:
    """The shipped gait closest in speed and slope, to start a solve from; None without any."""
    there = [e for e in entries() if e["model"] == model and e["current"]]
    if not there:
        return None
    best = min(
        there,
        key=lambda e: abs(e["speed_mps"] - speed) / 0.25 + abs(e["slope_deg"] - slope_deg) / 5.0,
    )
    return load(model, best["speed_mps"], best["slope_deg"])
