"""First guesses of a gait: from the human reference, or from another solution."""

from __future__ import annotations

import numpy as np
import opensim as osim

from osim_exo.baseline.reference import at_phase
from osim_exo.baseline.solution import FORWARD, Solution
from osim_exo.models import components, ground
from osim_exo.trial import Array

ACTIVATION = 0.1
"""Muscle activation of the first guess."""

PENETRATION = 0.006
"""m; how deep the lowest contact sphere stands in the floor in the first guess."""


def from_reference(
    model: osim.Model, reference: dict[str, Array], speed: float, time: Array, stride_time: float
) -> tuple[dict[str, Array], dict[str, Array]]:
    """States and controls that follow the reference with the feet on the ground.

    Parameters
    ----------
    model : opensim.Model
    reference : coordinate name to (101,) array over one stride, rad
    speed : m/s
    time : (n,) s
    stride_time : s

    Returns
    -------
    states, controls : by absolute path, (n,) arrays
    """
    state = model.initSystem()
    coordinates = {c.getName(): c for c in components.coordinates(model)}
    values = {
        name: at_phase(reference[name], time / stride_time)
        if name in reference
        else np.full(time.size, c.getDefaultValue())
        for name, c in coordinates.items()
    }
    values["pelvis_tx"] = speed * time
    values["pelvis_ty"] = _pelvis_height(model, state, coordinates, values)
    states = {}
    for name, coordinate in coordinates.items():
        path = coordinate.getAbsolutePathString()
        states[f"{path}/value"] = values[name]
        states[f"{path}/speed"] = np.gradient(values[name], time)
    controls = {}
    for muscle in components.muscles(model):
        path = muscle.getAbsolutePathString()
        states[f"{path}/activation"] = np.full(time.size, ACTIVATION)
        controls[path] = np.full(time.size, ACTIVATION)
    return states, controls


def _pelvis_height(
    model: osim.Model,
    state: osim.State,
    coordinates: dict[str, osim.Coordinate],
    values: dict[str, Array],
) -> Array:
    """Pelvis height at which the lowest sphere is a little in the floor, (n,)."""
    spheres = _spheres(model)
    heights = np.empty(values["pelvis_tx"].size)
    for i in range(heights.size):
        _pose(model, state, coordinates, values, i)
        heights[i] = -min(_height(s, state) - s.getRadius() for s in spheres) - PENETRATION
    return heights


def sphere_heights(model: osim.Model, reference: dict[str, Array]) -> dict[str, Array]:
    """Height of every contact sphere's centre when the reference motion stands on the ground.

    Parameters
    ----------
    model : opensim.Model
    reference : coordinate name to (101,) array over one stride, rad

    Returns
    -------
    dict
        Sphere name to (101,) array, m.
    """
    state = model.initSystem()
    coordinates = {c.getName(): c for c in components.coordinates(model)}
    zero = np.zeros(next(iter(reference.values())).size)
    values = {name: reference.get(name, zero) for name in coordinates}
    pelvis = _pelvis_height(model, state, coordinates, values)
    spheres = _spheres(model)
    rows = []
    for i in range(zero.size):
        _pose(model, state, coordinates, values, i)
        rows.append([_height(s, state) + pelvis[i] for s in spheres])
    return {s.getName(): column for s, column in zip(spheres, np.array(rows).T)}


def _spheres(model: osim.Model) -> list[osim.ContactSphere]:
    forces = ground.contact_forces(model)
    return [osim.ContactSphere.safeDownCast(f.getConnectee("sphere")) for f in forces]


def _pose(
    model: osim.Model,
    state: osim.State,
    coordinates: dict[str, osim.Coordinate],
    values: dict[str, Array],
    i: int,
) -> None:
    """Set every coordinate to its i-th value, the pelvis at height 0."""
    for name, coordinate in coordinates.items():
        height = 0.0 if name == "pelvis_ty" else float(values[name][i])
        coordinate.setValue(state, height, False)
    model.realizePosition(state)


def _height(sphere: osim.ContactSphere, state: osim.State) -> float:
    centre = sphere.getFrame().findStationLocationInGround(state, sphere.get_location())
    return float(centre.get(1))


def from_solution(
    solution: Solution, time: Array, speed: float, half_stride: bool
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Another solution stretched to a new time grid and speed; states it lacks are left out."""
    if solution.half_stride == half_stride:
        times, states, controls = solution.time, solution.states, solution.controls
    else:
        motion = solution.stride()
        folder = next(iter(solution.controls)).rsplit("/", 1)[0]
        times, states = motion.time, motion.states
        controls = {f"{folder}/{name}": values for name, values in motion.controls.items()}
    old = times / times[-1]
    new = time / time[-1]
    stretch = times[-1] / time[-1]
    found = {}
    for path, values in states.items():
        moved = np.interp(new, old, values)
        if path.endswith("/speed"):
            moved = moved * stretch
        if path.endswith(FORWARD):
            sway = values - values[-1] * old
            moved = speed * time + np.interp(new, old, sway)
        found[path] = moved
    return found, {path: np.interp(new, old, values) for path, values in controls.items()}
