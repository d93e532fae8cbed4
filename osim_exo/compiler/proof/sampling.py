"""Random plausible states of a model, to compare OpenSim and the compiled model at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.proof.oracle import Oracle
from osim_exo.compiler.proof.oracle_model import Floats, States
from osim_exo.compiler.spec import FunctionPath, ModelSpec
from osim_exo.errors import ModelError

SPREAD = 0.8
"""Coordinates are drawn within this of their default, rad or m, and within their range."""

SPEEDS = {"rotational": 3.0, "translational": 1.0, "coupled": 1.0}
"""Standard deviation of speeds, rad/s or m/s, by kind of motion."""

FASTEST_FIBRE = 20.0
"""Optimal fibre lengths per second; OpenSim's own muscles are singular in the region above."""

FIBRES = (0.2, 2.0)
"""Normalised fibre lengths that are allowed; beyond, passive forces of OpenSim's curve explode."""

TENDON_SPREAD = 0.3
"""Tendon forces are drawn within this share of their equilibrium."""

DEEPEST, HIGHEST = 0.02, 0.15
"""With contact the lowest sphere is up to so deep in the ground, else up to so high above it; m."""

TOO_DEEP = 0.05
"""No sphere is deeper in the ground than this, m."""

ROUNDS = 16
"""States that will not do are drawn so often, calmer every time."""


def plausible(oracle: Oracle, n: int, seed: int, calm: float = 1.0) -> States:
    """Random states, half of them with contact where the model has any.

    Coordinates lie within their range and within the range that polynomial paths were fitted on;
    dependent ones follow. Where a fibre is faster than 20 optimal lengths per second or a length
    that no muscle has, or a sphere lies deep in the ground, the state is drawn again, calmer.

    Parameters
    ----------
    oracle : the model
    n : how many
    seed
    calm : 1 for all of the ranges and speeds; smaller nearer to the model's default state

    Raises
    ------
    ModelError
        No such states are found.
    """
    rng = np.random.default_rng(seed)
    found: States | None = None
    for attempt in range(ROUNDS):
        missing = n - (found.size if found else 0)
        drawn = _drawn(oracle, missing, rng, calm * 0.7**attempt)
        drawn = drawn.taken(_usable(oracle, drawn))
        found = drawn if found is None else found.joined(drawn)
        if found.size == n:
            return found
    raise ModelError(
        f"Only {found.size if found else 0} of {n} random states of '{oracle.spec.name}' have "
        f"fibres of {FIBRES[0]:g} to {FIBRES[1]:g} optimal lengths that are slower than "
        f"{FASTEST_FIBRE:g} optimal lengths per second, and spheres not deep in the ground. Look "
        "at its tendon slack and optimal fibre lengths, and at its default pose."
    )


def ranges(spec: ModelSpec) -> tuple[Floats, Floats]:
    """Lowest and highest value of each coordinate to draw, (n_coordinate,) each."""
    low, high = [], []
    fitted = _fitted(spec)
    for c in spec.coordinates:
        a, b = max(c.range[0], c.default - SPREAD), min(c.range[1], c.default + SPREAD)
        if not a < b:
            a, b = c.default - 0.1, c.default + 0.1
        if c.name in fitted:
            a, b = max(a, fitted[c.name][0]), min(b, fitted[c.name][1])
            if not a < b:
                a, b = fitted[c.name]
        low.append(a)
        high.append(b)
    return np.array(low), np.array(high)


def _fitted(spec: ModelSpec) -> dict[str, tuple[float, float]]:
    """What all polynomial paths were fitted on, by coordinate."""
    found: dict[str, tuple[float, float]] = {}
    for muscle in spec.muscles:
        if isinstance(muscle.path, FunctionPath):
            for name, (low, high) in zip(muscle.path.coordinates, muscle.path.valid):
                a, b = found.get(name, (low, high))
                found[name] = (max(a, low), min(b, high))
    return found


def _drawn(oracle: Oracle, n: int, rng: np.random.Generator, calm: float) -> States:
    spec = oracle.spec
    low, high = ranges(spec)
    middle = np.clip([c.default for c in spec.coordinates], low, high)
    q = middle + np.sqrt(calm) * (rng.uniform(low, high, (n, low.size)) - middle)
    spread = np.array([SPEEDS[c.motion] for c in spec.coordinates])
    u = calm * spread * rng.standard_normal((n, low.size))
    for k, c in enumerate(spec.coordinates):
        if c.locked:
            q[:, k], u[:, k] = c.default, 0.0
    m, actuators = len(spec.muscles), spec.actuators
    limits = np.array([(a.min_control, a.max_control) for a in actuators], dtype=float)
    least, most = limits.reshape(-1, 2).T
    states = States(
        *oracle.dependent(q, u),
        activations=rng.uniform(0.02, 1.0, (n, m)),
        tendon_forces=np.zeros((n, len(oracle.compliant))),
        actuator_activations=rng.uniform(-1.0, 1.0, (n, len(oracle.lagged))),
        excitations=rng.uniform(0.01, 1.0, (n, m)),
        controls=np.clip(
            rng.uniform(-1.0, 1.0, (n, len(actuators))),
            np.nan_to_num(least, nan=-np.inf),
            np.nan_to_num(most, nan=np.inf),
        ),
    )
    states = _at_the_ground(oracle, states, rng)
    if oracle.compliant:
        share = calm * TENDON_SPREAD
        factors = rng.uniform(1.0 - share, 1.0 + share, states.tendon_forces.shape)
        forces = oracle.equilibrium(states) * factors
        held = np.isfinite(forces).all(axis=1)
        states = replace(states, tendon_forces=forces).taken(np.flatnonzero(held))
    return states


def _at_the_ground(oracle: Oracle, states: States, rng: np.random.Generator) -> States:
    """Every other state with its lowest sphere in the ground, the others above it."""
    lifter = _lifter(oracle, states) if oracle.contacts else None
    if lifter is None:
        return states
    touching = np.arange(states.size) % 2 == 0
    wanted = np.where(
        touching,
        rng.uniform(0.0, DEEPEST, states.size),
        -rng.uniform(0.1 * HIGHEST, HIGHEST, states.size),
    )
    q = states.coordinates.copy()
    for _ in range(3):  # one step is exact for one plane; several planes take turns
        moved = replace(states, coordinates=q)
        depth, slope = oracle.depths(moved), _slopes(oracle, moved, lifter)
        rows = np.arange(states.size)
        lowest = depth.argmax(axis=1)
        step = (wanted - depth[rows, lowest]) / slope[rows, lowest]
        q[:, lifter] += np.clip(np.nan_to_num(step), -2.0, 2.0)
    return replace(states, coordinates=q)


def _lifter(oracle: Oracle, states: States) -> int | None:
    """The free translation that best moves spheres out of the ground, if there is one."""
    spec = oracle.spec
    tied = {c.dependent for c in spec.couplers} | {n for c in spec.couplers for n in c.independent}
    tied |= _fitted(spec).keys()
    best, column = 0.5, None
    for k, c in enumerate(spec.coordinates):
        if c.motion == "translational" and not c.locked and c.name not in tied:
            effect = float(np.abs(_slopes(oracle, states.taken(slice(1)), k)).min())
            if effect > best:
                best, column = effect, k
    return column


def _slopes(oracle: Oracle, states: States, column: int) -> Floats:
    """What one metre of a translation adds to every sphere's depth, (n, n_contact)."""
    q = states.coordinates.copy()
    q[:, column] += 1.0
    return oracle.depths(replace(states, coordinates=q)) - oracle.depths(states)


def _usable(oracle: Oracle, states: States) -> npt.NDArray[np.intp]:
    """Rows with plausible fibres and contacts, and dependent coordinates where paths fit."""
    lengths, speeds = oracle.fibres(states)
    with np.errstate(invalid="ignore"):
        good = (np.abs(speeds) < FASTEST_FIBRE).all(axis=1)
        good &= ((lengths > FIBRES[0]) & (lengths < FIBRES[1])).all(axis=1)
    if oracle.contacts:
        good &= oracle.depths(states).max(axis=1) < TOO_DEEP
    fitted = _fitted(oracle.spec)
    for k, c in enumerate(oracle.spec.coordinates):
        if c.name in fitted:
            low, high = fitted[c.name]
            good &= (states.coordinates[:, k] >= low) & (states.coordinates[:, k] <= high)
    return np.flatnonzero(good)
