"""C3D recordings: markers, analog channels and force plates in OpenSim's axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from osim_exo.errors import DataError, MissingExtraError, check_option
from osim_exo.io.force_plates import CHANNELS, ForcePlate, plate_loads, side_loads
from osim_exo.io.markers import Markers, metres
from osim_exo.trial import Array, Channels

_AXES = {
    sign + axis: (1.0 if sign == "+" else -1.0) * np.eye(3)[i]
    for i, axis in enumerate("xyz")
    for sign in "+-"
}
_MOMENT = {"nm": 1.0, "n.m": 1.0, "n*m": 1.0, "nmm": 1e-3, "n.mm": 1e-3, "n*mm": 1e-3}


@dataclass(frozen=True)
class Recording:
    """What a C3D file holds. Axes: x forward, y up, z right.

    Attributes
    ----------
    markers : Markers, m, NaN where a marker was not seen
    analog_time : (n_sample,) array, s
    analog : Channels over `analog_time`, in the file's own units
    plates : force plates over `analog_time`
    """

    markers: Markers
    analog_time: Array
    analog: Channels
    plates: tuple[ForcePlate, ...]

    def ground_reaction(self, sides: Mapping[str, int]) -> Channels:
        """The channels of a trial's ``grf`` over `analog_time`.

        Parameters
        ----------
        sides : plate number (from 0) of the ``r`` and of the ``l`` foot
        """
        for side, number in sides.items():
            check_option("side", side, ("r", "l"))
            if not 0 <= number < len(self.plates):
                raise DataError(
                    f"Force plate {number} was asked for; there are {len(self.plates)}, numbered "
                    "from 0."
                )
        columns = side_loads({s: self.plates[i] for s, i in sides.items()})
        return Channels(tuple(columns), np.column_stack(list(columns.values())))


@dataclass(frozen=True)
class _Raw:
    """A C3D file as either library reads it; plates as parameter arrays by name."""

    points: Array
    names: tuple[str, ...]
    rate: float
    unit: str
    analog: Array
    analog_names: tuple[str, ...]
    analog_rate: float
    analog_units: tuple[str, ...]
    up: str
    plates: tuple[Mapping[str, Any], ...]


def read_c3d(
    path: str | Path,
    forward: str | None = None,
    up: str | None = None,
    point_unit: str | None = None,
) -> Recording:
    """Read a C3D file with ezc3d, or with c3d where ezc3d is not installed.

    Parameters
    ----------
    path : file to read
    forward : laboratory axis of walking, ``+x`` ... ``-z``; by default ``+x``
    up : laboratory axis that points up; by default the file's POINT:Y_SCREEN, else ``+z``
    point_unit : unit of the markers where POINT:UNITS is missing or wrong. Without it and without
        POINT:UNITS, coordinates that all lie within 20 are taken as metres, others as millimetres.

    Raises
    ------
    DataError
        The file is missing, is no C3D file, or holds units or force plates that cannot be read.
    MissingExtraError
        Neither ezc3d nor c3d is installed.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist or is not a file. Check the path.")
    raw = _read(path)
    axes = _rotation(raw, forward, up)
    unit = point_unit or raw.unit or _guess_unit(raw.points)
    factor = metres(unit, f"{path}, POINT:UNITS")
    markers = Markers(
        np.arange(raw.points.shape[0]) / raw.rate, raw.names, factor * raw.points @ axes.T
    )
    time = np.arange(raw.analog.shape[0]) / (raw.analog_rate or 1.0)
    plates = tuple(
        _rotated(_plate(raw, p, factor, axes[1], f"{path}, force plate {i + 1}"), axes)
        for i, p in enumerate(raw.plates)
    )
    return Recording(markers, time, Channels(raw.analog_names, raw.analog), plates)


def _read(path: Path) -> _Raw:
    reader = _reader()
    try:
        return reader(path)
    except DataError:
        raise
    except Exception as error:  # both libraries raise whatever the broken bytes lead to
        raise DataError(
            f"{path} cannot be read as C3D ({type(error).__name__}: {error}). Export it again."
        ) from error


def _reader() -> Callable[[Path], _Raw]:
    try:
        import ezc3d
    except ImportError:
        pass
    else:
        return lambda path: _read_with_ezc3d(ezc3d, path)
    try:
        import c3d
    except ImportError:
        raise MissingExtraError("ezc3d", "sim") from None
    return lambda path: _read_with_c3d(c3d, path)


def _read_with_ezc3d(ezc3d: Any, path: Path) -> _Raw:
    file = ezc3d.c3d(str(path))
    points = file["data"]["points"][:3].transpose(2, 1, 0)
    unseen = file["data"]["meta_points"]["residuals"][0].T < 0
    parameters = file["parameters"]

    def get(group: str, name: str) -> Any:
        entry = parameters.get(group, {}).get(name)
        return [] if entry is None else entry["value"]

    return _raw(
        get,
        np.where(unseen[:, :, None], np.nan, points),
        float(file["header"]["points"]["frame_rate"]),
        file["data"]["analogs"][0].T,
        float(file["header"]["analogs"]["frame_rate"]),
    )


def _read_with_c3d(c3d: Any, path: Path) -> _Raw:
    with path.open("rb") as stream:
        file = c3d.Reader(stream)
        frames = [(p.copy(), a.copy()) for _, p, a in file.read_frames(copy=False)]

    def get(group: str, name: str) -> Any:
        entry = file.get(f"{group}:{name}")
        if entry is None:
            return []
        if entry.bytes_per_element == -1:
            return [entry.string_value] if len(entry.dimensions) < 2 else list(entry.string_array)
        kind = "int16" if entry.bytes_per_element == 2 else "float"
        return np.asarray(
            getattr(entry, f"{kind}_array" if entry.dimensions else f"{kind}_value")
        ).T

    points = np.array([p for p, _ in frames])
    return _raw(
        get,
        np.where(points[:, :, 3:4] < 0, np.nan, points[:, :, :3]),
        float(file.point_rate),
        np.concatenate([a for _, a in frames], axis=1).T.astype(float),
        float(file.analog_rate),
    )


def _raw(get: Any, points: Array, rate: float, analog: Array, analog_rate: float) -> _Raw:
    def texts(group: str, name: str) -> tuple[str, ...]:
        return tuple(str(t).strip() for t in get(group, name))

    unit = "".join(texts("POINT", "UNITS")[:1])
    names = _named(texts("POINT", "LABELS"), points.shape[1], "marker")
    analog_names = _named(texts("ANALOG", "LABELS"), analog.shape[1], "analog")
    up = "".join(texts("POINT", "Y_SCREEN")[:1]).lower()
    return _Raw(
        points.astype(float),
        names,
        rate,
        unit,
        analog,
        analog_names,
        analog_rate,
        texts("ANALOG", "UNITS"),
        up,
        _plates(get),
    )


def _plates(get: Any) -> tuple[Mapping[str, Any], ...]:
    count = np.ravel(get("FORCE_PLATFORM", "USED"))
    plates = []
    for i in range(int(count[0]) if count.size else 0):
        matrix = np.asarray(get("FORCE_PLATFORM", "CAL_MATRIX"), dtype=float)
        kind = int(np.ravel(get("FORCE_PLATFORM", "TYPE"))[i])
        numbers = np.asarray(get("FORCE_PLATFORM", "CHANNEL"))[:, i].astype(int)
        plates.append(
            {
                "type": kind,
                "channels": numbers[: CHANNELS.get(kind, numbers.size)] - 1,
                "corners": np.asarray(get("FORCE_PLATFORM", "CORNERS"), dtype=float)[:, :, i].T,
                "origin": np.asarray(get("FORCE_PLATFORM", "ORIGIN"), dtype=float)[:, i],
                "calibration": matrix[:, :, i].T if matrix.ndim == 3 and matrix.size else None,
            }
        )
    return tuple(plates)


def _named(names: tuple[str, ...], count: int, kind: str) -> tuple[str, ...]:
    """One distinct name per channel; missing or repeated ones get a number."""
    full = [names[i] if i < len(names) and names[i] else f"{kind}_{i + 1}" for i in range(count)]
    return tuple(n if full.count(n) == 1 else f"{n}_{i + 1}" for i, n in enumerate(full))


def _plate(raw: _Raw, plate: Mapping[str, Any], factor: float, up: Array, where: str) -> ForcePlate:
    numbers = plate["channels"]
    if numbers.min(initial=0) < 0 or numbers.max(initial=-1) >= raw.analog.shape[1]:
        raise DataError(f"{where}: CHANNEL names analog channels that the file does not have.")
    values = raw.analog[:, numbers] * [_si(raw, int(i), j, factor) for j, i in enumerate(numbers)]
    if not np.isfinite(values).all():
        raise DataError(f"{where}: its channels hold NaN. Fill or cut the gap.")
    if plate["type"] == 1:
        values[:, 3:5] = raw.analog[:, numbers[3:5]] * factor
    return plate_loads(
        values,
        plate["type"],
        factor * plate["corners"],
        factor * plate["origin"],
        plate["calibration"],
        up,
        where,
    )


def _si(raw: _Raw, number: int, place: int, factor: float) -> float:
    """Factor to N or Nm; a moment without a unit is in newtons times the markers' unit."""
    unit = raw.analog_units[number].lower() if number < len(raw.analog_units) else ""
    if unit in _MOMENT:
        return _MOMENT[unit]
    six = place >= 3 and unit not in ("n", "v")
    return factor if six else 1.0


def _guess_unit(points: Array) -> str:
    seen = np.abs(points[np.isfinite(points)])
    return "m" if seen.size and seen.max() < 20.0 else "mm"


def _rotation(raw: _Raw, forward: str | None, up: str | None) -> Array:
    """Rows: OpenSim's x, y, z in the laboratory's axes."""
    upward = check_option("up", up or (raw.up if raw.up in _AXES else "+z"), _AXES)
    ahead = check_option("forward", forward or "+x", _AXES)
    if upward[1] == ahead[1]:
        raise DataError(
            f"forward={ahead} and up={upward} lie on one axis; give two different axes of "
            f"{', '.join(_AXES)}."
        )
    x, y = _AXES[ahead], _AXES[upward]
    return np.stack([x, y, np.cross(x, y)])


def _rotated(plate: ForcePlate, axes: Array) -> ForcePlate:
    return replace(
        plate,
        force=plate.force @ axes.T,
        centre_of_pressure=plate.centre_of_pressure @ axes.T,
        free_moment=plate.free_moment @ axes.T,
        corners=plate.corners @ axes.T,
    )
