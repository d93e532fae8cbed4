"""Marker positions over time, and their .trc files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from osim_exo.errors import DataError, check_option
from osim_exo.io.tables import check_time, read_lines
from osim_exo.trial import Array

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
"""Length units that marker files use, in metres."""


AXES = {
    sign + axis: (1.0 if sign == "+" else -1.0) * np.eye(3)[i]
    for i, axis in enumerate("xyz")
    for sign in "+-"
}
"""Axes of a laboratory by name, as unit vectors."""


@dataclass(frozen=True)
class Markers:
    """Marker positions.

    Attributes
    ----------
    time : (n_time,) array, s
    names : tuple of str, length n_marker
    positions : (n_time, n_marker, 3) array, m; NaN where a marker was not seen
    """

    time: Array
    names: tuple[str, ...]
    positions: Array

    def __getitem__(self, name: str) -> Array:
        """One marker, shape (n_time, 3), m."""
        if name not in self.names:
            raise DataError(f"No marker '{name}'. There are: {', '.join(self.names)}.")
        return self.positions[:, self.names.index(name)]

    def turned(self, forward: str = "+x", up: str = "+y") -> Markers:
        """The same markers in OpenSim's axes; see `laboratory_axes`."""
        return replace(self, positions=self.positions @ laboratory_axes(forward, up).T)


def laboratory_axes(forward: str, up: str) -> Array:
    """OpenSim's x (forward), y (up) and z (right) as the rows of a (3, 3) array.

    Parameters
    ----------
    forward, up : axes of the laboratory, ``+x`` ... ``-z``

    Raises
    ------
    InputError
        A name is unknown.
    DataError
        Both lie on one axis.
    """
    x, y = (AXES[check_option(n, a, AXES)] for n, a in (("forward", forward), ("up", up)))
    if abs(x @ y) > 0.5:
        raise DataError(
            f"forward={forward} and up={up} lie on one axis; give two different axes of "
            f"{', '.join(AXES)}."
        )
    return np.stack([x, y, np.cross(x, y)])


def metres(unit: str, where: str) -> float:
    """Metres in one `unit`; `where` names the file in the `DataError` for an unknown one."""
    factor = METRES.get(unit.strip().lower())
    if factor is None:
        raise DataError(f"{where}: markers are in '{unit}'; allowed are {', '.join(METRES)}.")
    return factor


def read_trc(path: str | Path) -> Markers:
    """Read a .trc file in its own axes; lengths become metres, empty cells become NaN.

    Raises
    ------
    DataError
        The file is missing, malformed or truncated; the message names the line.
    """
    path = Path(path)
    lines = read_lines(path)
    if len(lines) < 6 or not lines[0].startswith("PathFileType"):
        raise DataError(
            f"{path}: a .trc file starts with 'PathFileType' and has five header lines; "
            f"{len(lines)} lines were found."
        )
    head = dict(zip(lines[1].split(), lines[2].split()))
    factor = metres(head.get("Units", ""), f"{path}, line 3")
    names = tuple(n.strip() for n in lines[3].split("\t")[2:] if n.strip())
    if not names or len(set(names)) != len(names):
        raise DataError(f"{path}, line 4: marker names are missing or occur more than once.")
    rows = [_row(path, i, line, len(names)) for i, line in _data_lines(lines)]
    if str(len(rows)) != head.get("NumFrames", str(len(rows))):
        raise DataError(
            f"{path}: the header says NumFrames={head['NumFrames']}, the file holds {len(rows)}. "
            "It may be truncated; export it again."
        )
    if not rows:
        raise DataError(f"{path}: no rows of numbers. At least one is needed.")
    values = np.array(rows)
    if np.isinf(values).any() or np.isnan(values[:, 0]).any():
        raise DataError(f"{path}: a time is NaN or a number is infinite. Export it again.")
    check_time(path, values[:, 0], next(_data_lines(lines))[0])
    return Markers(values[:, 0], names, factor * values[:, 1:].reshape(len(rows), len(names), 3))


def _data_lines(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    return ((i, line) for i, line in enumerate(lines[5:], start=6) if line.strip())


def _row(path: Path, number: int, line: str, n_marker: int) -> list[float]:
    """Time and coordinates of one frame; cells are separated by single tabs, so gaps keep place."""
    cells = [c.strip() for c in line.split("\t")]
    width = 2 + 3 * n_marker
    if len(cells) < width and "\t" not in line.strip():
        cells = line.split()
    cells = cells[:width] if not any(cells[width:]) else cells
    if len(cells) != width:
        raise DataError(
            f"{path}, line {number}: {len(cells)} cells for {n_marker} markers; {width} are needed "
            "(frame, time, then x, y, z per marker). The file may be truncated."
        )
    try:
        return [float(cells[1])] + [float(c) if c else float("nan") for c in cells[2:]]
    except ValueError:
        raise DataError(f"{path}, line {number}: a cell is not a number.") from None
