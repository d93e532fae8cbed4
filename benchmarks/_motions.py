"""Motions that every engine runs in a benchmark: the same states, the same controls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.errors import OsimExoError
from osim_exo.models import ModelConfig, available
from osim_exo.models.recipe import ModelRecipe, as_recipe
from osim_exo.physics import CompiledPhysics, OpenSimPhysics, Physics, StartState

Array = npt.NDArray[np.float64]

CONTROL_DT = 0.01
N_START = 8
SECONDS = 0.25
N_STEP = round(SECONDS / CONTROL_DT)
MARGIN = 0.4
"""rad or m; that far inside the ranges of the paths a random motion starts: outside, compiled paths
saturate and OpenSim's do not, and the two would not be compared on the same model."""


@dataclass(frozen=True)
class Motion:
    """Starts, and the controls from each of them.

    Attributes
    ----------
    name : of the model
    recipe : what engines are built from
    kind : what the motion is, for the reader
    starts : states to start from
    excitations : (n_step, n_start, n_muscle) array
    others : (n_step, n_start, n_other) array
    """

    name: str
    recipe: ModelRecipe
    kind: str
    starts: tuple[StartState, ...]
    excitations: Array
    others: Array

    def tiled(self, n_env: int) -> Motion:
        """The same motion in `n_env` environments, the starts in turn."""
        rows = np.arange(n_env) % len(self.starts)
        return Motion(
            self.name,
            self.recipe,
            self.kind,
            tuple(self.starts[k] for k in rows),
            self.excitations[:, rows],
            self.others[:, rows],
        )


def motion(model: str | Path) -> Motion:
    """The motion of a benchmark: a shipped gait where there is one, else random muscles' work."""
    shipped = str(model) in available()
    recipe: ModelRecipe = ModelConfig(name=str(model)) if shipped else as_recipe(Path(model))
    if shipped:
        try:
            return _walk(str(model), recipe)
        except OsimExoError:
            return _random(str(model), recipe)
    return _random(Path(model).name, recipe)


def _walk(name: str, recipe: ModelRecipe) -> Motion:
    """Windows of the shipped walk at 1.25 m/s, with its own controls."""
    from osim_exo.baseline import library

    plan = library.load(name, 1.25, 0.0).solution.stride()
    names = OpenSimPhysics(recipe).names
    by_name: dict[str, dict[str, Array]] = {"value": {}, "speed": {}, "activation": {}}
    for path, values in plan.states.items():
        owner, _, kind = path.rpartition("/")
        by_name.setdefault(kind, {})[owner.rsplit("/", 1)[-1]] = values
    begins = np.linspace(plan.time[0], plan.time[-1] - SECONDS, N_START)

    def at(time: float, kind: str) -> dict[str, npt.ArrayLike]:
        found = {n: float(np.interp(time, plan.time, v)) for n, v in by_name[kind].items()}
        clip = kind == "activation"
        return {n: min(max(x, 0.0), 1.0) if clip else x for n, x in found.items()}

    middles = begins[None] + CONTROL_DT * (np.arange(N_STEP)[:, None] + 0.5)

    def controls(wanted: tuple[str, ...]) -> Array:
        columns = [np.interp(middles, plan.time, plan.controls[n]) for n in wanted]
        return np.stack(columns, axis=-1) if columns else np.zeros((*middles.shape, 0))

    starts = tuple(StartState(at(t, "value"), at(t, "speed"), at(t, "activation")) for t in begins)
    kind = "shipped walk at 1.25 m/s with its own controls"
    return Motion(name, recipe, kind, starts, controls(names.muscles), controls(names.others))


def _random(name: str, recipe: ModelRecipe) -> Motion:
    """Standing with a little noise, inside the paths' ranges, and new excitations every step."""
    random = np.random.default_rng(0)
    physics = CompiledPhysics(recipe)
    names = physics.names.coordinates
    low, high = physics.path_ranges
    margin = np.minimum(MARGIN, 0.4 * (high - low))
    middle = np.clip(physics.coordinates[0], low + margin, high - margin)
    free = [n for n in names if not n.startswith("pelvis_t")]

    def start() -> StartState:
        noise = dict(zip(names, middle + 0.03 * random.standard_normal(len(names))))
        # The physics makes what belongs together fit: coupled coordinates, feet on the ground.
        physics.reset(StartState({n: noise[n] for n in free}))
        return StartState(dict(zip(names, physics.coordinates[0].tolist())))

    starts = tuple(start() for _ in range(4))
    shape = (round(0.1 / CONTROL_DT), len(starts))
    noise = random.standard_normal((*shape, len(physics.names.muscles)))
    return Motion(
        name,
        recipe,
        "random excitations from standing",
        starts,
        np.clip(0.1 + 0.1 * noise, 0.01, 1.0),
        np.zeros((*shape, len(physics.names.others))),
    )


def begin(physics: Physics, motion: Motion, first: int) -> None:
    """Put every environment of a physics to its start, from the motion's start `first` on."""
    for env in range(physics.n_env):
        physics.reset(motion.starts[first + env], [env])


def advance(physics: Physics, motion: Motion, first: int, step: int, reading: bool = True) -> None:
    """One control step of the motion's environments from `first` on, and what a learner reads."""
    rows = slice(first, first + physics.n_env)
    physics.step(motion.excitations[step, rows], None, motion.others[step, rows])
    if reading:
        _ = physics.coordinates, physics.speeds, physics.activations, physics.grf


def trajectory(physics: Physics, motion: Motion) -> Array:
    """Coordinates along the motion from every start, (n_start, n_step, n_coordinate) array."""
    found: list[Any] = []
    for first in range(0, len(motion.starts), physics.n_env):
        begin(physics, motion, first)
        rows = []
        for step in range(len(motion.excitations)):
            advance(physics, motion, first, step)
            rows.append(physics.coordinates)
        found.append(np.stack(rows, axis=1))
    return np.concatenate(found)
