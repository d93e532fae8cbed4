"""What a kernel does to a block before its repeats: keep a copy, and fill in what was given.

Done by numpy for all environments at once, both cost a part of a step that threads cannot share.
Here every thread does it for the block that it has just taken, while the block is on its way into
the cache anyway.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from osim_exo.compiler.backends.loops import Loops
from osim_exo.compiler.backends.vector_ir import ALIGNMENT, VectorWriter
from osim_exo.errors import InputError

NAME = "prepare"
"""Of the function: (block, table of pointers)."""


@dataclass(frozen=True)
class Rows:
    """An array (n, size) of float64 whose numbers become a part of an input group, clipped.

    Its rows may lie apart, as in a slice of a larger array. NaN stays NaN.

    Attributes
    ----------
    low, high : bound of each column; infinite where there is none

    Raises
    ------
    InputError
        There are more bounds on one side than on the other.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high):
            raise InputError(
                f"{len(self.low)} lowest and {len(self.high)} highest values were given; every "
                "column needs one of each."
            )

    @property
    def size(self) -> int:
        """Columns."""
        return len(self.low)


@dataclass(frozen=True)
class Prologue:
    """What is done before the first repeat.

    Attributes
    ----------
    kept : input group to the array of blocks that receives a copy of it
    filled : input group to the rows that it is filled from, side by side, by their names
    """

    kept: Mapping[str, str] = field(default_factory=dict)
    filled: Mapping[str, Mapping[str, Rows]] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, int]:
        """Arrays of rows and their columns."""
        return {n: r.size for parts in self.filled.values() for n, r in parts.items()}

    @property
    def arrays(self) -> list[str]:
        """Names of all arrays that it needs, in the order of the table."""
        return [*self.kept.values(), *self.rows]


def function_text(
    prologue: Prologue, groups: list[str], sizes: Mapping[str, int], dtype: str, width: int
) -> str:
    """The function as LLVM text.

    Parameters
    ----------
    prologue : what to do
    groups : that come first in the table; after them `Prologue.arrays`, then int64 numbers: the
        environments, and for every array of rows the bytes from one row to the next
    sizes : vectors of each group
    dtype : of the blocks, float64 or float32
    width : environments of a block

    Raises
    ------
    InputError
        Rows have more or fewer columns than the group that they fill.
    """
    table = [*groups, *prologue.arrays]
    writer = _Writer(dtype, width, table, list(prologue.rows))
    for source, target in prologue.kept.items():
        writer.copy(source, target, sizes[source])
    for group, parts in prologue.filled.items():
        columns = sum(rows.size for rows in parts.values())
        if columns != sizes[group]:
            raise InputError(
                f"Rows {', '.join(parts)} have {columns} columns; group '{group}' has "
                f"{sizes[group]}, and all of it is filled."
            )
        at = 0
        for name, rows in parts.items():
            writer.fill(group, sizes[group], at, name, rows)
            at += rows.size
    return writer.text()


class _Writer:
    """Writes the function, one loop after the other."""

    def __init__(self, dtype: str, width: int, table: list[str], rows: list[str]) -> None:
        self._vector = VectorWriter(dtype, width)
        self._width, self._rows, self._count = width, rows, len(table)
        self._index = {name: place for place, name in enumerate(table)}
        self._loops = Loops()
        self._bytes = width * self._vector.bits // 8
        # Wider vectors would by default count as aligned to more than the arrays are.
        self._align = f", align {min(self._bytes, ALIGNMENT)}"
        self._constants: list[str] = []
        self._lanes()

    def _lanes(self) -> None:
        """Rows of the block's environments; spare lanes repeat the last one."""
        line = self._loops.line
        self._pointer("numbers", self._count)
        line("%count = load i64, ptr %numbers")
        line("%last = sub i64 %count, 1")
        line(f"%first = mul i64 %block, {self._width}")
        for k in range(self._width):
            line(f"%own{k} = add i64 %first, {k}")
            line(f"%spare{k} = icmp sgt i64 %own{k}, %last")
            line(f"%row{k} = select i1 %spare{k}, i64 %last, i64 %own{k}")

    def _pointer(self, name: str, place: int) -> None:
        self._loops.line(f"%{name}.slot = getelementptr ptr, ptr %table, i64 {place}")
        self._loops.line(f"%{name} = load ptr, ptr %{name}.slot")

    def _block(self, name: str, array: str, size: int, start: int = 0) -> None:
        """The block's part of an array of blocks, from a vector on."""
        self._pointer(f"{name}.all", self._index[array])
        self._loops.line(f"%{name}.offset = mul i64 %block, {size * self._bytes}")
        self._loops.line(f"%{name}.from = add i64 %{name}.offset, {start * self._bytes}")
        self._loops.line(f"%{name} = getelementptr i8, ptr %{name}.all, i64 %{name}.from")

    def copy(self, source: str, target: str, size: int) -> None:
        """Copy a block of vectors."""
        loops, float_, own = self._loops, self._vector.float, f"copy{self._index[target]}"
        self._block(f"{own}.a", source, size)
        self._block(f"{own}.b", target, size)
        loops.open(own, "0", str(size))
        for side in "ab":
            loops.line(f"%{own}.{side}.at = getelementptr {float_}, ptr %{own}.{side}, i64 %{own}")
        loops.line(f"%{own}.value = load {float_}, ptr %{own}.a.at{self._align}")
        loops.line(f"store {float_} %{own}.value, ptr %{own}.b.at{self._align}")
        loops.close(own)

    def fill(self, group: str, size: int, start: int, name: str, rows: Rows) -> None:
        """Fill vectors of a group from rows, column by column."""
        if not rows.size:
            return
        loops, own = self._loops, f"rows{self._index[name]}"
        wide = f"<{self._width} x double>"
        stride = 1 + self._rows.index(name)
        loops.line(f"%{own}.stride.at = getelementptr i64, ptr %numbers, i64 {stride}")
        loops.line(f"%{own}.stride = load i64, ptr %{own}.stride.at")
        self._block(f"{own}.to", group, size, start)
        self._pointer(f"{own}.all", self._index[name])
        for k in range(self._width):
            loops.line(f"%{own}.offset{k} = mul i64 %row{k}, %{own}.stride")
            loops.line(f"%{own}.p{k} = getelementptr i8, ptr %{own}.all, i64 %{own}.offset{k}")
        loops.open(own, "0", str(rows.size))
        value = "poison"
        for k in range(self._width):
            loops.line(f"%{own}.at{k} = getelementptr double, ptr %{own}.p{k}, i64 %{own}")
            loops.line(f"%{own}.x{k} = load double, ptr %{own}.at{k}")
            loops.line(f"%{own}.v{k} = insertelement {wide} {value}, double %{own}.x{k}, i64 {k}")
            value = f"%{own}.v{k}"
        for bound, compare, numbers in (("low", "olt", rows.low), ("high", "ogt", rows.high)):
            value = self._bounded(own, bound, compare, numbers, value)
        if self._vector.bits == 32:
            loops.line(f"%{own}.small = fptrunc {wide} {value} to {self._vector.float}")
            value = f"%{own}.small"
        float_ = self._vector.float
        loops.line(f"%{own}.place = getelementptr {float_}, ptr %{own}.to, i64 %{own}")
        loops.line(f"store {float_} {value}, ptr %{own}.place{self._align}")
        loops.close(own)

    def _bounded(
        self, own: str, bound: str, compare: str, numbers: tuple[float, ...], value: str
    ) -> str:
        """A value that is not beyond a bound of its column."""
        wide, here = f"<{self._width} x double>", f"{own}.{bound}"
        items = ", ".join(f"double {_hex(number)}" for number in numbers)
        self._constants.append(
            f"@{here} = internal constant [{len(numbers)} x double] [{items}], align 8"
        )
        lines = (
            f"%{here}.at = getelementptr double, ptr @{here}, i64 %{own}",
            f"%{here}.x = load double, ptr %{here}.at",
            f"%{here}.one = insertelement {wide} poison, double %{here}.x, i64 0",
            f"%{here}.all = shufflevector {wide} %{here}.one, {wide} poison, "
            f"<{self._width} x i32> zeroinitializer",
            f"%{here}.beyond = fcmp {compare} {wide} {value}, %{here}.all",
            f"%{here}.kept = select <{self._width} x i1> %{here}.beyond, {wide} %{here}.all, "
            f"{wide} {value}",
        )
        for text in lines:
            self._loops.line(text)
        return f"%{here}.kept"

    def text(self) -> str:
        """All of it."""
        head = f"define internal void @{NAME}(i64 %block, ptr %table) noinline nounwind {{"
        lines = [*self._constants, head, "entry:", *self._loops.lines, "  ret void", "}"]
        return "\n".join(lines)


def _hex(number: float) -> str:
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
