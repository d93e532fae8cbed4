"""Inverse kinematics: the motion of a model that brings its markers nearest to recorded ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from osim_exo.errors import DataError, InputError, ModelError, SimulationError
from osim_exo.io import Markers, write_table
from osim_exo.marker_checks import (
    FEWEST,
    Mask,
    belt_speed,
    check_axes,
    check_size,
    common_names,
    were_seen,
)
from osim_exo.models import ModelConfig, available
from osim_exo.models.recipe import as_recipe, load_opensim
from osim_exo.progress import SILENT, Progress
from osim_exo.trial import Array, Channels

ACCURACY = 1e-7
"""Of the assembly. With 1e-5, the default of OpenSim's own tool, coordinates that markers hardly
tell were up to 14 degrees from where they converge, in 0.3 s of an 80-muscle model's walk."""

GOOD_RMS, GOOD_LARGEST = 0.02, 0.04
"""m; marker errors that OpenSim's documentation asks for: RMS, and the largest."""

ON_A_BELT = (0.2, 2.5)
"""m/s; feet that move backward so fast while they stand are on a treadmill."""

BUMP = 0.05
"""rad or m; by how much coordinates are moved to see which markers they move."""


@dataclass(frozen=True)
class SolvedMotion:
    """What inverse kinematics found.

    Attributes
    ----------
    time : (n_time,) array, s
    coordinates : of the model, in its order; rad, m
    errors : (n_time, n_marker) distances of model and recorded markers, m; NaN where not seen
    notes : what the user should know: markers and coordinates left out, gaps, large errors
    """

    time: Array
    coordinates: Channels
    errors: Channels
    notes: tuple[str, ...] = ()

    @property
    def rms(self) -> float:
        """Root of the mean squared error of all markers and times, m."""
        return float(np.sqrt(np.nanmean(self.errors.values**2)))

    @property
    def largest(self) -> tuple[float, str, float]:
        """Largest error (m), its marker and its time (s)."""
        row, column = np.unravel_index(
            int(np.nanargmax(self.errors.values)), self.errors.values.shape
        )
        name = self.errors.names[int(column)]
        return float(self.errors.values[row, column]), name, float(self.time[row])

    def write(self, path: str | Path) -> None:
        """Write the coordinates as a .mot or .sto file in radians and metres."""
        write_table(path, self.time, self.coordinates, "Coordinates")


def inverse_kinematics(
    model: ModelConfig | str | Path,
    markers: Markers,
    *,
    start: float | None = None,
    end: float | None = None,
    weights: Mapping[str, float] | None = None,
    accuracy: float = ACCURACY,
    progress: Progress = SILENT,
) -> SolvedMotion:
    """Coordinates that bring a model's markers nearest to recorded ones, frame by frame.

    OpenSim's own InverseKinematicsSolver does it: weighted least squares of the markers' distances
    within the model's constraints (Lu & O'Connor 1999, J Biomech 32:129-134). Nothing is filtered
    and no gap is filled: a marker that is not seen has no part in that frame. Positions of exactly
    0, 0, 0 count as not seen.

    Parameters
    ----------
    model : a person's scaled model with markers: ModelConfig, or path of an ``.osim`` file
    markers : in OpenSim's axes (x forward, y up, z right), see `Markers.turned`; names as in the
        model, or with a prefix as in ``Subject:R.Heel``
    start, end : s; the whole recording if not given
    weights : by marker, 1 where not named; 0 leaves a marker out
    accuracy : of the assembly; it ends where its steps are as small
    progress : Progress

    Raises
    ------
    ModelError
        The model has no markers, or cannot be read.
    DataError
        No common markers, another unit or other axes, or a frame whose markers do not tell the
        posture.
    InputError
        The times lie outside the recording, or a weight is negative or names no marker.
    SimulationError
        OpenSim finds no posture.
    """
    osim = load_opensim()
    named = str(model) in available() if isinstance(model, str) else False
    recipe = ModelConfig(name=str(model)) if named else as_recipe(model)
    built = recipe.build()
    label = recipe.name if isinstance(recipe, ModelConfig) else str(model)
    state = built.initSystem()
    body = _Body(osim, built, state, label)
    notes: list[str] = []
    seen = _cut(markers, start, end)
    used = common_names(seen.names, tuple(body.markers), label, notes)
    kept = _weighted(used, tuple(body.markers), weights or {})
    positions = np.stack([seen[used[name]] for name in kept], axis=1)
    positions[(positions == 0.0).all(axis=2)] = np.nan
    pose = body.locations(kept)
    check_size(positions, pose, label, notes)
    check_axes(positions, pose, body.turns, notes)
    _check_frames(seen.time, positions, kept, body.moved_by(kept), notes)
    belt = belt_speed(seen.time, positions)
    if ON_A_BELT[0] < belt < ON_A_BELT[1]:
        notes.append(
            f"The lowest markers move backward at {belt:.2f} m/s while they stand: a treadmill. To "
            "imitate the motion, give that as its belt speed."
        )
    values, errors = _solve(body, seen.time, positions, kept, accuracy, progress)
    errors[~were_seen(positions)] = np.nan
    found = SolvedMotion(
        seen.time, Channels(tuple(body.names), values), Channels(tuple(kept), errors)
    )
    return SolvedMotion(found.time, found.coordinates, found.errors, (*notes, *_judged(found)))


class _Body:
    """A model's markers and coordinates at a state."""

    def __init__(self, osim: Any, model: Any, state: Any, label: str) -> None:
        from osim_exo.models import components

        self.osim, self.model, self.state = osim, model, state
        markers = model.getMarkerSet()
        self.markers = {markers.get(i).getName(): markers.get(i) for i in range(markers.getSize())}
        if not self.markers:
            raise ModelError(
                f"The model {label} has no markers. Inverse kinematics needs the recorded person's "
                "scaled model with the marker set of the recording; the shipped models have none. "
                "Make one with OpenSim's scale tool, or add a MarkerSet to the file."
            )
        self.coordinates = components.coordinates(model)
        self.names = [c.getName() for c in self.coordinates]

    @property
    def turns(self) -> bool:
        """Whether some coordinate turns the whole model about the vertical."""
        return "pelvis_rotation" in self.names

    def locations(self, names: Mapping[str, float]) -> Array:
        """Of markers in ground, (n_marker, 3) array, m."""
        self.model.realizePosition(self.state)
        found = [self.markers[n].getLocationInGround(self.state) for n in names]
        return np.array([[v.get(axis) for axis in range(3)] for v in found])

    def moved_by(self, names: Mapping[str, float]) -> dict[str, Mask]:
        """Which markers each free coordinate moves, (n_marker,) arrays."""
        before, found = self.locations(names), {}
        for coordinate in self.coordinates:
            if coordinate.getLocked(self.state) or coordinate.isConstrained(self.state):
                continue
            value = coordinate.getValue(self.state)
            middle = 0.5 * (coordinate.getRangeMin() + coordinate.getRangeMax())
            coordinate.setValue(self.state, value + (BUMP if value < middle else -BUMP), False)
            moved = np.linalg.norm(self.locations(names) - before, axis=1) > 1e-6
            coordinate.setValue(self.state, value, False)
            found[coordinate.getName()] = moved
        return found


def _cut(markers: Markers, start: float | None, end: float | None) -> Markers:
    """The frames from start to end."""
    first, last = float(markers.time[0]), float(markers.time[-1])
    low, high = first if start is None else start, last if end is None else end
    tick = 1e-6
    if not first - tick <= low < high <= last + tick:
        raise InputError(
            f"Frames from {low:g} to {high:g} s were asked for; the recording spans {first:g} to "
            f"{last:g} s."
        )
    inside = (markers.time >= low - tick) & (markers.time <= high + tick)
    if not inside.any():
        raise InputError(f"No frame lies between {low:g} and {high:g} s.")
    return Markers(markers.time[inside], markers.names, markers.positions[inside])


def _weighted(
    used: Mapping[str, str], model: tuple[str, ...], weights: Mapping[str, float]
) -> dict[str, float]:
    """Weights of the markers that are followed."""
    unknown = [name for name in weights if name not in model]
    if unknown:
        raise InputError(
            f"Weights name {', '.join(unknown)}, which the model does not have. It has: "
            f"{', '.join(model)}."
        )
    wrong = {n: w for n, w in weights.items() if not (np.isfinite(w) and w >= 0.0)}
    if wrong:
        listed = ", ".join(f"{n}={w:g}" for n, w in wrong.items())
        raise InputError(f"Weights {listed} were given; allowed are 0 and positive numbers.")
    kept = {name: float(weights.get(name, 1.0)) for name in used}
    kept = {name: weight for name, weight in kept.items() if weight > 0.0}
    if len(kept) < FEWEST:
        raise InputError(f"Only {len(kept)} markers have a weight; at least {FEWEST} are needed.")
    return kept


def _check_frames(
    time: Array,
    positions: Array,
    names: Mapping[str, float],
    moved_by: Mapping[str, Mask],
    notes: list[str],
) -> None:
    """Refuse frames whose markers do not tell the posture; note gaps and idle coordinates."""
    seen = were_seen(positions)
    idle = [name for name, moved in moved_by.items() if not moved.any()]
    if idle:
        notes.append(f"No marker tells {', '.join(idle)}: they stay at the model's default.")
    told = {name: moved for name, moved in moved_by.items() if moved.any()}
    gaps = [f"{n} in {k} of {time.size}" for n, k in zip(names, (~seen).sum(axis=0)) if k]
    if gaps:
        notes.append(f"Not seen, and left out of those frames: {'; '.join(gaps)}.")
    bad = [row for row in map(int, np.flatnonzero(~seen.all(axis=1))) if _untold(seen[row], told)]
    if bad:
        row = bad[0]
        missing = [n for n, there in zip(names, seen[row]) if not there]
        listed = ", ".join(missing) if seen[row].any() else "all markers"
        raise DataError(
            f"At {time[row]:g} s {listed} were not seen, and what was seen does not tell "
            f"{', '.join(_untold(seen[row], told))}. Fill the gap in the recording, or cut it off "
            f"with start and end: {_usable(time, bad)}."
        )


def _untold(seen: Mask, told: Mapping[str, Mask]) -> list[str]:
    """Coordinates that the markers of a frame do not tell; ``the posture`` if they are too few."""
    lost = [name for name, moved in told.items() if not (moved & seen).any()]
    few = 3 * int(seen.sum()) < len(told) or int(seen.sum()) < FEWEST
    return ["the posture"] if few else lost


def _usable(time: Array, bad: list[int]) -> str:
    """The longest span without frames that cannot be used, in words."""
    edges = [-1, *bad, time.size]
    longest = max(range(len(edges) - 1), key=lambda k: edges[k + 1] - edges[k])
    first, last = edges[longest] + 1, edges[longest + 1] - 1
    if last <= first:
        return "no two frames in a row can be used"
    return f"{time[first]:g} to {time[last]:g} s can be used"


def _solve(
    body: _Body,
    time: Array,
    positions: Array,
    weights: Mapping[str, float],
    accuracy: float,
    progress: Progress,
) -> tuple[Array, Array]:
    """Coordinates (n_time, n_coordinate) and marker errors (n_time, n_marker)."""
    osim, model, state = body.osim, body.model, body.state
    solver = osim.InverseKinematicsSolver(
        model,
        _reference(osim, time, positions, weights),
        osim.SimTKArrayCoordinateReference(),
        float("inf"),
    )
    solver.setAccuracy(accuracy)
    values = np.zeros((time.size, len(body.names)))
    errors = np.zeros((time.size, len(weights)))
    with progress.step("Inverse kinematics", time.size, "frames") as step:
        for row, now in enumerate(time):
            state.setTime(float(now))
            try:
                if row == 0:
                    solver.assemble(state)
                solver.track(state)
            except RuntimeError as error:
                raise SimulationError(
                    f"OpenSim finds no posture at {now:g} s: {str(error).strip().splitlines()[0]} "
                    "Look at the markers there, or cut the frames off with start and end."
                ) from None
            values[row] = [c.getValue(state) for c in body.coordinates]
            errors[row] = [solver.computeCurrentMarkerError(name) for name in weights]
            step.update(row + 1)
    return values, errors


def _reference(osim: Any, time: Array, positions: Array, weights: Mapping[str, float]) -> Any:
    """Markers as OpenSim wants them."""
    table = osim.TimeSeriesTableVec3()
    # A list: where another library wraps vectors of strings too, opensim's own are no arguments.
    table.setColumnLabels(list(weights))
    for now, frame in zip(time, positions):
        row = osim.RowVectorVec3(len(weights))
        for k, point in enumerate(frame):
            row[k] = osim.Vec3(*point.tolist())
        table.appendRow(float(now), row)
    wanted = osim.SetMarkerWeights()
    for name, weight in weights.items():
        wanted.cloneAndAppend(osim.MarkerWeight(name, weight))
    return osim.MarkersReference(table, wanted)


def _judged(found: SolvedMotion) -> list[str]:
    """What is to be said of the errors."""
    error, name, time = found.largest
    if found.rms <= GOOD_RMS and error <= GOOD_LARGEST:
        return []
    return [
        f"Marker errors are large: RMS {1e3 * found.rms:.0f} mm, at most {1e3 * error:.0f} mm "
        f"({name} at {time:.3g} s); wanted are {1e3 * GOOD_RMS:.0f} and {1e3 * GOOD_LARGEST:.0f} "
        "mm. Check names, scaling and weights of the markers."
    ]
