"""C3D recordings: markers, analog channels and force plates in OpenSim's axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from osim_exo.errors import DataError, check_option
from osim_exo.io.c3d_raw import RawRecording, read_raw
from osim_exo.io.force_plates import ForcePlate, plate_loads, side_loads
from osim_exo.io.markers import AXES, Markers, laboratory_axes, metres
from osim_exo.trial import Array, Channels

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
    raw = read_raw(path)
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


def _plate(
    raw: RawRecording, plate: Mapping[str, Any], factor: float, up: Array, where: str
) -> ForcePlate:
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


def _si(raw: RawRecording, number: int, place: int, factor: float) -> float:
    """Factor to N or Nm; a moment without a unit is in newtons times the markers' unit."""
    unit = raw.analog_units[number].lower() if number < len(raw.analog_units) else ""
    if unit in _MOMENT:
        return _MOMENT[unit]
    six = place >= 3 and unit not in ("n", "v")
    return factor if six else 1.0


def _guess_unit(points: Array) -> str:
    seen = np.abs(points[np.isfinite(points)])
    return "m" if seen.size and seen.max() < 20.0 else "mm"


def _rotation(raw: RawRecording, forward: str | None, up: str | None) -> Array:
    """Rows: OpenSim's x, y, z in the laboratory's axes."""
    return laboratory_axes(forward or "+x", up or (raw.up if raw.up in AXES else "+z"))


def _rotated(plate: ForcePlate, axes: Array) -> ForcePlate:
    return replace(
        plate,
        force=plate.force @ axes.T,
        centre_of_pressure=plate.centre_of_pressure @ axes.T,
        free_moment=plate.free_moment @ axes.T,
        corners=plate.corners @ axes.T,
    )
