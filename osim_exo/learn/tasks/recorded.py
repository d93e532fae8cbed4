"""A recorded stride as reference, of whatever model it was recorded with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.errors import DataError, InputError
from osim_exo.io import read_table
from osim_exo.learn.tasks.motion import MotionFile
from osim_exo.learn.tasks.repeats import best_span
from osim_exo.learn.tasks.strides import FORWARD, SAMPLES, Strides
from osim_exo.names import SIDES
from osim_exo.observations import TRANSLATIONS
from osim_exo.physics.base import Physics, PhysicsNames, StartState

Array = npt.NDArray[np.float64]

HEIGHT = "pelvis_ty"
KNEES = tuple(f"knee_angle_{side}" for side in SIDES)

SLOWEST = 0.1
"""m/s; a slower reference is no walk."""

LONGEST = 2.0
"""s; a longer file is searched for a stride."""

TELLS = 0.1
"""rad; mean knee angle from which on its sign is that of flexion. People's is 0.35 to 0.45."""

LEAST_RANGE = 0.05
"""rad; walking moves some joint by more."""

HEIGHTS = (0.3, 2.0)
"""m; of a pelvis."""

SIDEWAYS = 0.5
"""rad; a pelvis turned further does not walk along x."""

POSTURES = 25
"""Of the stride, at which the height of the pelvis is found."""

MARKER_FILES = (".trc", ".c3d")


@dataclass(frozen=True)
class Recording:
    """The coordinates of a physics in a recorded file.

    Attributes
    ----------
    time : (n_time,) array, s
    values : (n_time, n_coordinate) array, rad or m, in the file's own signs
    turned : (n_time,) array, rad; of the pelvis about the vertical, 0 where the file has none
    notes : what was done
    """

    time: Array
    values: Array
    turned: Array
    notes: tuple[str, ...]


def recorded_strides(
    motion: MotionFile,
    columns: PhysicsNames,
    activation: float,
    physics: Physics | None = None,
    knee_flexion: float = -1.0,
) -> Strides:
    """A recorded stride as the only member; its muscles are not known.

    Columns are taken by name; others of the file, as those of another plane, are left out. Knees
    that bend to the other side than the model's are turned. What start and end differ by is spread
    evenly over the stride, and motion above the cutoff is left out. The pelvis is put to where the
    model's own feet bear its weight in the recorded postures, and what it travels is scaled by as
    much as its mean height, as with legs of another length.

    Parameters
    ----------
    motion : the file; units as its header says
    columns : names of the physics
    activation : that every muscle starts with
    physics : to find heights with; without it the recorded ones are taken
    knee_flexion : sign of the model's knee angles in flexion

    Raises
    ------
    DataError
        The file lacks a coordinate, is in another unit, or the span is no periodic stride.
    InputError
        The span lies outside the file.
    """
    record = _read(motion, columns)
    time, values, notes = _one_stride(motion, record, columns)
    _check_units(motion, columns, values)
    notes += _turn_knees(motion, columns, values, knee_flexion)
    forward, height = (columns.coordinates.index(name) for name in (FORWARD, HEIGHT))
    period = float(time[-1] - time[0])
    speed = float((values[-1, forward] - values[0, forward]) / period)
    if speed < SLOWEST:
        raise DataError(
            f"{motion.path}: the pelvis moves forward at {speed:.3g} m/s only. For a walk on a "
            "treadmill give reference.belt_speed; a walk must go along +x (osim-exo ik --forward)."
        )
    values[:, forward] -= values[0, forward] + speed * (time - time[0])
    _check_closed(motion, columns, values)
    share = np.linspace(0.0, 1.0, SAMPLES)[:, None]
    values -= (values[-1] - values[0]) * (share - 0.5)
    values, rates = _smooth(values, period, motion.cutoff_hz)
    if motion.height == "model" and physics is not None:
        scale, said = _on_the_ground(values, rates, physics, height, period, motion.cutoff_hz)
        speed, rates[:, forward] = scale * speed, scale * rates[:, forward]
        notes.append(f"{said}; speed {speed:.3g} m/s.")
    rates[:, forward] += speed
    values[:, forward] = 0.0
    activations = np.full((SAMPLES, len(columns.muscles)), activation)
    coordinates, speeds, active = (part[None, None] for part in (values, rates, activations))
    told = (*record.notes, *notes)
    return Strides([speed], [0.0], coordinates, speeds, active, np.array([[period]]), told)


def _read(motion: MotionFile, columns: PhysicsNames) -> Recording:
    """The columns that the physics has."""
    if motion.path.suffix.lower() in MARKER_FILES:
        raise DataError(
            f"{motion.path} holds markers, no coordinates. Inverse kinematics makes a motion of "
            f"them: osim-exo ik MODEL.osim {motion.path.name} --out MOTION.mot."
        )
    table = read_table(motion.path)
    named = {_short(name): table.channels[name] for name in table.channels.names}
    source = {name: motion.names.get(name, name) for name in columns.coordinates}
    unknown = [name for name in motion.names if name not in columns.coordinates]
    if unknown:
        raise InputError(
            f"reference.names names {', '.join(unknown)}, which the model does not have. It has: "
            f"{', '.join(columns.coordinates)}."
        )
    missing = [name for name in columns.coordinates if source[name] not in named]
    if missing:
        raise DataError(
            f"{motion.path} has no column of {', '.join(missing)}. To imitate it, every coordinate "
            f"of the model must be in it: {', '.join(columns.coordinates)}. It has: "
            f"{', '.join(named)}. Where only names differ, give reference.names."
        )
    values = np.stack([named[source[name]] for name in columns.coordinates], axis=1)
    left = [name for name in named if name not in source.values()]
    notes = (f"Left out of the file: {', '.join(left)}.",) if left else ()
    turned = named.get("pelvis_rotation", np.zeros(table.time.size))
    return Recording(table.time, values, turned, notes)


def _short(column: str) -> str:
    """Coordinate that a column of a motion or states file belongs to."""
    parts = column.split("/")
    return parts[-2] if len(parts) > 1 and parts[-1] == "value" else parts[-1]


def _one_stride(
    motion: MotionFile, record: Recording, columns: PhysicsNames
) -> tuple[Array, Array, list[str]]:
    """Times and (`SAMPLES`, n_coordinate) values of the stride, and which it is."""
    forward = columns.coordinates.index(FORWARD)
    values = record.values.copy()
    values[:, forward] += motion.belt_speed * (record.time - record.time[0])
    first, last = float(record.time[0]), float(record.time[-1])
    low = first if motion.start is None else motion.start
    high = last if motion.end is None else motion.end
    if not first - 1e-9 <= low < high <= last + 1e-9:
        raise InputError(
            f"A stride from {low:g} to {high:g} s was asked for; {motion.path} spans {first:g} to "
            f"{last:g} s."
        )
    notes: list[str] = []
    angles = _angles(columns)
    if motion.start is None and motion.end is None:
        gap = np.abs(values[-1] - values[0])
        gap[forward] = 0.0
        if high - low > LONGEST or gap.max() > motion.closure:
            found = best_span(record.time, values[:, angles])
            if found is not None:
                low, high = found
                notes.append(f"Stride from {low:.3f} to {high:.3f} s, which repeats best.")
    time = np.linspace(low, high, SAMPLES)
    facing = float(np.abs(np.interp(time, record.time, record.turned)).mean())
    if facing > SIDEWAYS:
        raise DataError(
            f"{motion.path}: the pelvis is turned by {np.degrees(facing):.0f} degrees about the "
            "vertical; a reference must walk along +x. Turn the markers: osim-exo ik --forward."
        )
    sampled = [np.interp(time, record.time, column) for column in values.T]
    return time, np.stack(sampled, axis=1), notes


def _angles(columns: PhysicsNames) -> list[int]:
    return [i for i, n in enumerate(columns.coordinates) if not n.endswith(TRANSLATIONS)]


def _check_units(motion: MotionFile, columns: PhysicsNames, values: Array) -> None:
    """Refuse degrees as radians, radians as degrees, and millimetres."""
    angles = values[:, _angles(columns)]
    largest, most = float(np.abs(angles).max()), float(np.ptp(angles, axis=0).max())
    if largest > np.pi:
        raise DataError(
            f"{motion.path}: an angle of {largest:.3g} rad; it seems to be in degrees. Write "
            "inDegrees=yes into its header."
        )
    if most < LEAST_RANGE:
        raise DataError(
            f"{motion.path}: no joint moves by more than {np.degrees(most):.2g} degrees. If the "
            "file is in radians, write inDegrees=no into its header; a walk is needed."
        )
    height = float(values[:, columns.coordinates.index(HEIGHT)].mean())
    if not HEIGHTS[0] < height < HEIGHTS[1]:
        raise DataError(
            f"{motion.path}: {HEIGHT} is {height:.4g} on average; needed are metres over the "
            f"ground, {HEIGHTS[0]:g} to {HEIGHTS[1]:g}."
        )


def _turn_knees(
    motion: MotionFile, columns: PhysicsNames, values: Array, knee_flexion: float
) -> list[str]:
    """Turn knees that bend to the other side, in place; what was done."""
    found = [i for i, n in enumerate(columns.coordinates) if n in KNEES]
    if not found:
        return []
    mean = float(values[:, found].mean())
    given = {"positive": 1.0, "negative": -1.0, "auto": np.sign(mean) * (abs(mean) > TELLS)}
    if given[motion.knee_flexion] * knee_flexion >= 0.0:
        return []
    values[:, found] *= -1.0
    return ["The file's knees bend to the other side than the model's; their sign was turned."]


def _check_closed(motion: MotionFile, columns: PhysicsNames, values: Array) -> None:
    gap = np.abs(values[-1] - values[0])
    open_ends = [
        f"{name} by {difference:.3g}"
        for name, difference in zip(columns.coordinates, gap)
        if difference > motion.closure
    ]
    if open_ends:
        raise DataError(
            f"{motion.path}: the span is no periodic stride; between its start and end differ "
            f"{', '.join(open_ends)} (rad or m). Give reference.start and reference.end such that "
            "they are one stride apart, for instance two right heel strikes, and angles in the "
            "unit that the header names (inDegrees)."
        )


def _smooth(values: Array, period: float, cutoff_hz: float | None) -> tuple[Array, Array]:
    """A closed stride without its harmonics above the cutoff, and its rates; first row again last.

    Parameters
    ----------
    values : (n, n_column) array; its last row is its first
    period : s
    cutoff_hz : None keeps all
    """
    n = len(values) - 1
    waves = np.fft.rfft(values[:-1], axis=0)
    hertz = np.arange(len(waves)) / period
    if cutoff_hz is not None:
        waves[hertz > cutoff_hz] = 0.0
    slopes = 2j * np.pi * hertz[:, None] * waves
    slopes[-1] = 0.0  # half the sampling rate has no slope
    smooth, rates = (np.fft.irfft(part, n, axis=0) for part in (waves, slopes))
    return np.vstack([smooth, smooth[:1]]), np.vstack([rates, rates[:1]])


def _on_the_ground(
    values: Array, rates: Array, physics: Physics, height: int, period: float, cutoff: float | None
) -> tuple[float, str]:
    """Put the pelvis to where the feet bear the weight, in place; scale of lengths, and a note."""
    rows = np.linspace(0, SAMPLES - 1, POSTURES).round().astype(int)
    found = np.interp(np.arange(SAMPLES), rows, bearing_heights(physics, values[rows]))
    smooth, rate = _smooth(found[:, None], period, cutoff)
    recorded, own = float(values[:, height].mean()), float(smooth.mean())
    values[:, height], rates[:, height] = smooth[:, 0], rate[:, 0]
    scale = own / recorded
    return scale, (
        f"Pelvis height {own:.3f} m on average, where the model's feet bear its weight (file: "
        f"{recorded:.3f} m); forward travel is scaled by {scale:.3f}"
    )


def bearing_heights(physics: Physics, postures: Array) -> Array:
    """Pelvis heights at which the feet bear the weight at rest, (n,) array, m.

    Parameters
    ----------
    physics : is as before afterwards
    postures : (n, n_coordinate) array, rad or m; their own heights do not matter
    """
    names = physics.names.coordinates
    before, column = physics.snapshot(), names.index(HEIGHT)
    found = np.zeros(len(postures))
    for first in range(0, len(postures), physics.n_env):
        part = postures[first : first + physics.n_env]
        rows = np.arange(len(part))
        posture = {n: v for n, v in zip(names, part.T) if n != HEIGHT}
        physics.reset(StartState(posture), rows)
        found[first : first + len(part)] = physics.coordinates[rows, column]
    physics.restore(before)
    return found
