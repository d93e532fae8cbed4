"""OpenSim's tables of numbers over time: .sto and .mot files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from osim_exo.errors import DataError
from osim_exo.files import write_text
from osim_exo.trial import Array, Channels
from osim_exo.units import DEG

_TRANSLATION = re.compile(r"_t[xyz](/value|/speed|_u)?$")
_NOT_AN_ANGLE = re.compile(
    r"force|torque|moment|activation|excitation|fiber|fibre|emg|power|/forceset/|_[vp][xyz]$",
    re.IGNORECASE,
)
_COUNTS = {"nrows": "nRows", "datarows": "nRows"}


@dataclass(frozen=True)
class Table:
    """A table of an .sto or .mot file, in SI units and radians.

    Attributes
    ----------
    time : (n_time,) array, s
    channels : Channels
    header : the header's ``key=value`` lines, and its first line under ``name``
    """

    time: Array
    channels: Channels
    header: Mapping[str, str] = field(default_factory=dict)


def read_table(path: str | Path) -> Table:
    """Read an OpenSim .sto or .mot file.

    With ``inDegrees=yes`` in the header the angular columns are converted to radians. A column is
    angular unless its name says that it is a translation (``..._tx``), a force, a torque, a point
    of application or a muscle quantity, because OpenSim writes the flag for the whole file.

    Parameters
    ----------
    path : file to read

    Returns
    -------
    Table

    Raises
    ------
    DataError
        The file is missing, malformed, truncated or holds NaN; the message names the line.
    """
    path = Path(path)
    lines = read_lines(path)
    end = _end_of_header(path, lines)
    header = _header(lines[:end])
    if header.get("DataType", "double").lower() != "double":
        raise DataError(
            f"{path}: DataType is {header['DataType']}; allowed is double. Flatten the file first "
            "(OpenSim: TimeSeriesTableVec3.flatten)."
        )
    if end + 1 >= len(lines):
        raise DataError(f"{path}: the file ends after its header; a row of column names follows.")
    names = _labels(path, end + 2, lines[end + 1])
    values = parse_rows(path, lines[end + 2 :], end + 3, len(names))
    _check_rows(path, header, values.shape[0])
    check_time(path, values[:, 0], end + 3)
    channels = Channels(tuple(names[1:]), values[:, 1:])
    if header.get("inDegrees", "no").lower() == "yes":
        channels = _to_radians(channels)
    return Table(values[:, 0], channels, header)


def write_table(
    path: str | Path,
    time: Array,
    channels: Channels,
    name: str = "",
    header: Mapping[str, str] | None = None,
) -> None:
    """Write an .sto or .mot file that OpenSim and its GUI open; numbers round-trip exactly.

    Parameters
    ----------
    path : file to write; it is replaced in one step
    time : (n_time,) array, s
    channels : SI and radians (``inDegrees=no``)
    name : first line of the file, by default the file's own name
    header : more ``key=value`` lines

    Raises
    ------
    DataError
        A name holds a tab or a line break, or is empty.
    OSError
        The system refused to write.
    """
    path = Path(path)
    bad = [n for n in channels.names if re.search(r"[\t\r\n]", n) or not n.strip()]
    if bad:
        raise DataError(f"{path}: column names {bad} hold tabs or line breaks, or are empty.")
    values = np.column_stack([time, channels.values])
    head = [name or path.stem, "version=1", f"nRows={values.shape[0]}"]
    head += [f"nColumns={values.shape[1]}", "inDegrees=no"]
    head += [f"{key}={value}" for key, value in (header or {}).items()]
    head += ["endheader", "\t".join(("time", *channels.names))]
    rows = ["\t".join(map(repr, row)) for row in values.tolist()]
    write_text(path, "\n".join(head + rows) + "\n")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, or a `DataError` that says why they cannot be read."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Check the path.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file; a tab-separated table is expected.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def parse_rows(path: Path, lines: Sequence[str], first: int, width: int) -> Array:
    """Numbers of whitespace-separated rows, (n_row, width); `first` is the first row's line number.

    Raises
    ------
    DataError
        A row has another number of cells, a cell is no number or is not finite, or no row is there.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=first):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != width:
            raise DataError(
                f"{path}, line {number}: {len(cells)} numbers for {width} columns. The file may be "
                "truncated; export it again."
            )
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError:
            raise DataError(
                f"{path}, line {number}: '{_first_bad(cells)}' is not a number."
            ) from None
    if not rows:
        raise DataError(f"{path}: no rows of numbers. At least one is needed.")
    values = np.array(rows)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        blank = sum(1 for line in lines[: row + 1] if not line.split())
        raise DataError(
            f"{path}, line {first + row + blank}: column {column + 1} is {values[row, column]}. "
            "Allowed are finite numbers; fill or cut the gap."
        )
    return values


def check_time(path: Path, time: Array, first: int) -> None:
    """Raise a `DataError` where time does not increase; `first` is the first row's line number."""
    back = np.flatnonzero(~(np.diff(time) > 0))
    if back.size:
        row = int(back[0]) + 1
        raise DataError(
            f"{path}, line {first + row}: time {time[row]:g} s follows {time[row - 1]:g} s. "
            "Allowed is strictly increasing time."
        )


def _first_bad(cells: Sequence[str]) -> str:
    for cell in cells:
        try:
            float(cell)
        except ValueError:
            return cell
    return ""


def _end_of_header(path: Path, lines: Sequence[str]) -> int:
    for index, line in enumerate(lines):
        if line.strip().lower() == "endheader":
            return index
    raise DataError(
        f"{path}: no 'endheader' line in {len(lines)} lines. An OpenSim .sto or .mot file has a "
        "header that ends with it."
    )


def _header(lines: Sequence[str]) -> dict[str, str]:
    header = {"name": lines[0].strip()} if lines and "=" not in lines[0] else {}
    for line in lines:
        key, equals, value = line.strip().partition("=")
        if not equals:
            key, _, value = line.strip().partition(" ")
            if key.lower() not in _COUNTS:
                continue
        key = key.strip()
        header[_COUNTS.get(key.lower(), key)] = value.strip()
    return header


def _labels(path: Path, number: int, line: str) -> list[str]:
    names = [n.strip() for n in (line.rstrip().split("\t") if "\t" in line else line.split())]
    if names[0].lower() != "time":
        raise DataError(
            f"{path}, line {number}: the first column is '{names[0]}'; allowed is 'time'."
        )
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"{path}, line {number}: columns occur more than once: {', '.join(twice)}.")
    return names


def _check_rows(path: Path, header: Mapping[str, str], found: int) -> None:
    """Fewer rows than promised means a truncated file; nColumns is not kept up by all tools."""
    promised = header.get("nRows", str(found))
    if not promised.isdigit() or int(promised) > found:
        raise DataError(
            f"{path}: the header says nRows={promised}, the file holds {found} rows. It may be "
            "truncated; export it again or correct the header."
        )


def _to_radians(channels: Channels) -> Channels:
    angular = [not _TRANSLATION.search(n) and not _NOT_AN_ANGLE.search(n) for n in channels.names]
    return Channels(channels.names, channels.values * np.where(angular, DEG, 1.0))
