"""Measured walks as trials, from the files of a usual OpenSim workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from osim_exo.errors import DataError, InputError, MissingExtraError
from osim_exo.io.tables import Table, read_table
from osim_exo.trial import Array, Channels, Trial, TrialInfo

GRF_PREFIXES = {
    "r": ("ground_force_r_", "ground_force_"),
    "l": ("ground_force_l_", "1_ground_force_"),
}
"""How the columns of the right and of the left foot start: OpenSim's newer and older examples."""


def read_measured(
    coordinates: str | Path,
    info: TrialInfo,
    *,
    grf: str | Path | None = None,
    moments: str | Path | None = None,
    activations: str | Path | None = None,
    grf_prefixes: Mapping[str, str] | None = None,
    cutoff_hz: float | None = 6.0,
) -> Trial:
    """A trial from inverse kinematics and whatever else was measured or computed.

    All files are brought to the times of the coordinates that lie within every file. Speeds are
    the derivative of a cubic spline through the low-pass filtered coordinates.

    Parameters
    ----------
    coordinates : .mot or .sto of coordinates; full state paths are shortened to coordinate names
    info : what is known of the trial; ``physics`` becomes ``measured``
    grf : external loads .mot of both feet
    moments : inverse dynamics result .sto (``hip_flexion_r_moment`` ...)
    activations : .sto or .mot by muscle, for instance normalised EMG
    grf_prefixes : start of the force columns by side, where it is none of `GRF_PREFIXES`; they are
        followed by ``vx vy vz`` and ``px py pz``
    cutoff_hz : low-pass frequency for the coordinates (fourth-order zero-lag Butterworth), or None

    Raises
    ------
    DataError
        A file is malformed, the files do not overlap, or a foot's force columns are missing.
    """
    for path in (coordinates, grf, moments, activations):
        if path is not None and Path(path).suffix.lower() == ".c3d":
            raise DataError(
                f"{path} is a C3D file: it holds markers and force plates, not joint angles. Give "
                "the .mot of inverse kinematics and the .mot of external loads, or name the file "
                "as c3d with its plates and markers (osim_exo.io.read_measured_c3d)."
            )
    motion = read_table(coordinates)
    others = {
        name: read_table(path)
        for name, path in (("grf", grf), ("moments", moments), ("activations", activations))
        if path is not None
    }
    time = _common_time(motion, others)
    paths, values = _coordinates(motion)
    position = _filtered(motion.time, values.values, cutoff_hz)
    spline = _spline(motion.time, position)
    series = {
        "coordinates": Channels(values.names, spline(time)),
        "speeds": Channels(values.names, spline(time, 1)),
    }
    if "grf" in others:
        series["grf"] = _resampled(others["grf"], _grf(others["grf"], grf_prefixes), time)
    if "moments" in others:
        series["moments"] = _resampled(others["moments"], _moments(others["moments"]), time)
    if "activations" in others:
        series["activations"] = _resampled(
            others["activations"], others["activations"].channels, time
        )
    provenance = {**info.provenance, "source": Path(coordinates).name}
    if paths:
        provenance["coordinate_paths"] = paths
    return Trial.build(time, replace(info, physics="measured", provenance=provenance), **series)


def _common_time(motion: Table, others: Mapping[str, Table]) -> Array:
    start = max([motion.time[0], *(t.time[0] for t in others.values())])
    end = min([motion.time[-1], *(t.time[-1] for t in others.values())])
    tick = 1e-6
    inside = motion.time[(motion.time >= start - tick) & (motion.time <= end + tick)]
    if inside.size < 4:
        spans = ", ".join(
            f"{name} {t.time[0]:g} to {t.time[-1]:g} s"
            for name, t in {"coordinates": motion, **others}.items()
        )
        raise DataError(f"The files share fewer than four samples: {spans}. They must overlap.")
    return np.asarray(np.clip(inside, start, end))


def _coordinates(table: Table) -> tuple[dict[str, str], Channels]:
    """Coordinate values by plain name, and the paths where the file has them."""
    columns, paths = {}, {}
    for name in table.channels.names:
        parts = name.strip("/").split("/")
        if len(parts) > 1 and parts[-1] != "value":
            continue
        plain = parts[-2] if len(parts) > 1 else name
        columns[plain] = table.channels[name]
        if len(parts) > 1:
            paths[plain] = name.rsplit("/", 1)[0]
    if not columns:
        raise DataError(
            f"The coordinates file has no coordinates; its columns are {table.channels.names}."
        )
    return paths, Channels(tuple(columns), np.column_stack(list(columns.values())))


def _grf(table: Table, prefixes: Mapping[str, str] | None) -> Channels:
    columns: dict[str, Array] = {}
    for side, known in GRF_PREFIXES.items():
        tried = (prefixes[side],) if prefixes and side in prefixes else known
        start = next((p for p in tried if f"{p}vy" in table.channels), None)
        if start is None:
            raise DataError(
                f"No force columns of the {'right' if side == 'r' else 'left'} foot: "
                f"'{tried[0]}vy' is not among {', '.join(table.channels.names)}. "
                "Name their start with grf_prefixes."
            )
        torque = start.replace("force", "torque").removesuffix("_v")
        for kind in ("v", "p"):
            for axis in "xyz":
                source = f"{start}{kind}{axis}"
                if source in table.channels:
                    columns[f"ground_force_{side}_{kind}{axis}"] = table.channels[source]
        for axis in "xyz":
            if f"{torque}{axis}" in table.channels:
                columns[f"ground_torque_{side}_{axis}"] = table.channels[f"{torque}{axis}"]
    return Channels(tuple(columns), np.column_stack(list(columns.values())))


def _moments(table: Table) -> Channels:
    """Inverse dynamics columns by coordinate; forces at translations keep their coordinate too."""
    names = tuple(n.removesuffix("_moment").removesuffix("_force") for n in table.channels.names)
    return Channels(names, table.channels.values)


def _resampled(table: Table, channels: Channels, time: Array) -> Channels:
    columns = [np.interp(time, table.time, column) for column in channels.values.T]
    return Channels(channels.names, np.stack(columns, axis=1))


def _filtered(time: Array, values: Array, cutoff_hz: float | None) -> Array:
    if cutoff_hz is None:
        return values
    rate = (time.size - 1) / (time[-1] - time[0])
    if not 0 < cutoff_hz < rate / 2:
        raise InputError(
            f"cutoff_hz={cutoff_hz} was given for data at {rate:.4g} Hz; allowed is more than 0 "
            f"and less than {rate / 2:.4g}, or None for no filter."
        )
    if time.size < 16:
        raise DataError(f"{time.size} samples are too few to filter; pass cutoff_hz=None.")
    try:
        from scipy.signal import butter, sosfiltfilt
    except ImportError:
        raise MissingExtraError("scipy", "sim") from None
    # Forward and backward passes together have their -3 dB point at the cutoff.
    corrected = cutoff_hz / (np.sqrt(2) - 1) ** 0.25
    sos = butter(2, min(corrected, 0.49 * rate), fs=rate, output="sos")
    return np.asarray(sosfiltfilt(sos, values, axis=0))


def _spline(time: Array, values: Array):  # type: ignore[no-untyped-def]
    try:
        from scipy.interpolate import CubicSpline
    except ImportError:
        raise MissingExtraError("scipy", "sim") from None
    return CubicSpline(time, values, axis=0)
