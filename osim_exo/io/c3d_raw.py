"""C3D files as numbers: read by ezc3d or c3d, checked for damage, not yet interpreted."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from osim_exo.errors import DataError, MissingExtraError
from osim_exo.io.force_plates import CHANNELS
from osim_exo.trial import Array

_UNKNOWN_FRAMES = 65535
_DEC, _MIPS = bytes([85]), bytes([86])


@dataclass(frozen=True)
class RawRecording:
    """A C3D file as either library reads it, in its own units and axes.

    Attributes
    ----------
    points : (n_frame, n_marker, 3) array; NaN where a marker was not seen
    names, rate, unit : of the markers; rate in Hz, unit empty where the file has none
    analog : (n_sample, n_channel) array
    analog_names, analog_rate, analog_units : of the analog channels
    up : laboratory axis that points up, as ``+z``; empty where the file does not say
    plates : by plate: ``type``, ``channels`` (from 0), ``corners``, ``origin``, ``calibration``
    """

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


def read_raw(path: Path) -> RawRecording:
    """Read a C3D file with ezc3d, or with c3d where ezc3d is not installed.

    Raises
    ------
    DataError
        The file is missing, is no C3D file, is damaged or truncated.
    MissingExtraError
        Neither library is installed.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist or is not a file. Check the path.")
    with path.open("rb") as file:
        if file.read(2)[1:] != b"\x50":
            raise DataError(f"{path} cannot be read as C3D: its first bytes are not a C3D header.")
    reader = _reader()
    try:
        raw = reader(path)
    except DataError:
        raise
    except Exception as error:  # both libraries raise whatever the broken bytes lead to
        raise DataError(
            f"{path} cannot be read as C3D ({type(error).__name__}: {error}). Export it again."
        ) from error
    rates = np.array([raw.rate, raw.analog_rate])
    if not (np.isfinite(rates).all() and raw.rate > 0 and raw.points.shape[0]):
        raise DataError(
            f"{path}: {raw.points.shape[0]} frames at {raw.rate} Hz; at least one frame and a "
            "positive rate are needed. Export it again."
        )
    least, size = _least_size(path, raw), path.stat().st_size
    if size < least:
        raise DataError(
            f"{path}: the header promises {least} bytes, the file has {size}. It is truncated; "
            "export it again."
        )
    return raw


def _reader() -> Callable[[Path], RawRecording]:
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


def _read_with_ezc3d(ezc3d: Any, path: Path) -> RawRecording:
    # A damaged file can end the whole process inside ezc3d, so a child process tries it first.
    tried = subprocess.run(
        [sys.executable, "-c", "import ezc3d, sys; ezc3d.c3d(sys.argv[1])", str(path.resolve())],
        capture_output=True,
        text=True,
    )
    if tried.returncode != 0:
        reason = (tried.stderr.strip().splitlines() or ["its parts do not fit together"])[-1]
        raise DataError(f"{path} cannot be read as C3D ({reason}). Export it again.")
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


def _read_with_c3d(c3d: Any, path: Path) -> RawRecording:
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


def _raw(get: Any, points: Array, rate: float, analog: Array, analog_rate: float) -> RawRecording:
    def texts(group: str, name: str) -> tuple[str, ...]:
        return tuple(str(t).strip() for t in get(group, name))

    unit = "".join(texts("POINT", "UNITS")[:1])
    names = _named(texts("POINT", "LABELS"), points.shape[1], "marker")
    analog_names = _named(texts("ANALOG", "LABELS"), analog.shape[1], "analog")
    up = "".join(texts("POINT", "Y_SCREEN")[:1]).lower()
    return RawRecording(
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


def _least_size(path: Path, raw: RawRecording) -> int:
    """Bytes that a file with this header and these channels has; numbers have 4 bytes or 2."""
    header = path.read_bytes()[: 512 * 255]
    processor = header[512 * (header[0] - 1) + 3 : 512 * (header[0] - 1) + 4]
    order = ">" if processor == _MIPS else "<"  # DEC floats differ: 2 bytes are the least there
    first, last = struct.unpack(f"{order}2H", header[6:10])
    (scale,) = struct.unpack(f"{order}f", header[12:16])
    (start,) = struct.unpack(f"{order}H", header[16:18])
    frames = last - first + 1 if last < _UNKNOWN_FRAMES else 0
    samples = raw.analog.shape[1] * round(raw.analog_rate / raw.rate)
    width = 2 if scale > 0 or processor == _DEC else 4
    per_frame = 4 * raw.points.shape[1] + samples
    return int(512 * max(start - 1, 0) + width * frames * per_frame)


def _plates(get: Any) -> tuple[Mapping[str, Any], ...]:
    count = np.ravel(get("FORCE_PLATFORM", "USED"))
    plates = []
    for i in range(int(count[0]) if count.size else 0):
        matrix = np.asarray(get("FORCE_PLATFORM", "CAL_MATRIX"), dtype=float)
        kind = int(np.ravel(get("FORCE_PLATFORM", "TYPE"))[i])
        numbers = np.nan_to_num(np.asarray(get("FORCE_PLATFORM", "CHANNEL"), float)[:, i], posinf=0)
        plates.append(
            {
                "type": kind,
                "channels": numbers[: CHANNELS.get(kind, numbers.size)].astype(int) - 1,
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
