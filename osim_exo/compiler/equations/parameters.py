"""What may differ between environments without compiling again: one table of named numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.symbols.expression import Exprs, Graph
from osim_exo.errors import InputError

GROUP = "parameters"
"""Name of the programs' input group."""


@dataclass(frozen=True)
class Parameter:
    """One named row of numbers.

    Attributes
    ----------
    name : as ``muscle_strength``
    labels : what each number belongs to, as muscle names
    default : (n,) array
    low, high : allowed range, ends included
    unit : for messages
    start : position of the first number in the group
    """

    name: str
    labels: tuple[str, ...]
    default: npt.NDArray[np.float64]
    low: float
    high: float
    unit: str
    start: int

    @property
    def slice(self) -> slice:
        """Columns in the group."""
        return slice(self.start, self.start + len(self.labels))


class ParameterTable:
    """Collects parameters while a model is built; afterwards tells where each one lies."""

    def __init__(self) -> None:
        self._rows: dict[str, Parameter] = {}
        self.size = 0

    def add(
        self,
        graph: Graph,
        name: str,
        labels: Sequence[str],
        default: npt.ArrayLike,
        low: float,
        high: float,
        unit: str = "",
    ) -> Exprs:
        """A new parameter; its numbers as inputs of the graph, (n_label,) array."""
        values = np.broadcast_to(np.asarray(default, dtype=float), (len(labels),)).copy()
        row = Parameter(name, tuple(labels), values, low, high, unit, self.size)
        self._rows[name] = row
        self.size += len(row.labels)
        return graph.inputs(GROUP, self.size)[row.slice]

    def __getitem__(self, name: str) -> Parameter:
        """One parameter; an `InputError` lists all where the name is unknown."""
        if name not in self._rows:
            raise InputError(
                f"Unknown parameter '{name}'. This model has: {', '.join(self._rows)}."
            )
        return self._rows[name]

    @property
    def rows(self) -> Mapping[str, Parameter]:
        """All parameters by name."""
        return dict(self._rows)

    @property
    def default(self) -> npt.NDArray[np.float64]:
        """Default of the whole group, (size,) array."""
        return np.concatenate([row.default for row in self._rows.values()] or [np.zeros(0)])

    def checked(self, name: str, values: npt.ArrayLike, n: int) -> npt.NDArray[np.float64]:
        """Values of one parameter for `n` environments, (n, n_label) array.

        One number serves all; (n,) gives one per environment, (n_label,) one per label, and
        (n, n_label) everything. Where n equals n_label, (n,) counts as one per environment.

        Raises
        ------
        InputError
            Unknown name, wrong shape, not finite, or out of range.
        """
        row = self[name]
        given = np.asarray(values, dtype=float)
        width = len(row.labels)
        if given.ndim == 1 and given.shape[0] == n:
            given = given[:, None]
        allowed = given.ndim <= 2 and given.shape in {(), (width,), (n, 1), (n, width), (1, width)}
        if not allowed:
            raise InputError(
                f"Parameter '{name}' was given with shape {np.shape(values)}; allowed is one "
                f"number, ({n},), ({width},) or ({n}, {width}): environments, then "
                f"{', '.join(row.labels[:4])}{', ...' if width > 4 else ''}."
            )
        inside = np.isfinite(given) & (given >= row.low) & (given <= row.high)
        if not inside.all():
            raise InputError(
                f"Parameter '{name}' was given as {given[~inside].ravel()[0]:g}; allowed is "
                f"{row.low:g} to {row.high:g} {row.unit}".rstrip()
                + "."
            )
        return np.broadcast_to(given, (n, width)).copy()
