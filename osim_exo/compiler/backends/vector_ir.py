"""Vector instructions as LLVM text: the words that programs and vector functions are written in."""

from __future__ import annotations

import struct

import numpy as np

from osim_exo.errors import InputError

PRECISIONS = ("float64", "float32")
"""Number formats that a program can be compiled for."""

ALIGNMENT = 64
"""Bytes that arrays start at a multiple of: a cache line, and the widest vector register."""

WINDOW = 256
"""Places of an array that one pointer serves, half of them below it.

AVX-512 instructions hold distances up to 128 places in one byte. Those with four bytes were
measured to run at half the rate or less.
"""

FLAGS = "nsz contract"
"""Freedom that LLVM gets: the sign of zero is free and a product may be fused with a sum.

Reassociation is left out: argument reduction adds and subtracts a large number on purpose.
"""


def bits(precision: str) -> int:
    """Size of a number; an `InputError` for an unknown precision."""
    if precision not in PRECISIONS:
        raise InputError(f"Unknown dtype '{precision}'. Allowed: {', '.join(PRECISIONS)}.")
    return 64 if precision == "float64" else 32


def windows(size: int) -> int:
    """Pointers that an array of this size needs."""
    return -(-size // WINDOW)


def address(array: str, position: int) -> tuple[str, int]:
    """The pointer into an array that is nearest to a position, and the distance from it."""
    window, place = divmod(position, WINDOW)
    return f"%{array}.{window}", place - WINDOW // 2


class VectorWriter:
    """Collects the lines of one LLVM function whose values are vectors of ``width`` numbers.

    A value is the text that later instructions name it by.

    Parameters
    ----------
    precision : float64 or float32
    width : numbers in a vector
    """

    def __init__(self, precision: str, width: int) -> None:
        self.bits = bits(precision)
        self.width = width
        self.scalar = "double" if self.bits == 64 else "float"
        self.float = f"<{width} x {self.scalar}>"
        self.integer = f"<{width} x i{self.bits}>"
        self.condition = f"<{width} x i1>"
        self.suffix = f"v{width}f{self.bits}"
        self.lines: list[str] = []
        self.table: list[str] = []
        self._values = 0

    def assign(self, text: str) -> str:
        """A new value, computed by one instruction."""
        self._values += 1
        name = f"%v{self._values}"
        self.lines.append(f"  {name} = {text}")
        return name

    def constant(self, number: float) -> str:
        """The same number in every lane, rounded to the precision.

        Each use reads a place of its own in a table: an operand in memory is cheaper than a
        register that is kept, or a long instruction that makes the number.
        """
        with np.errstate(over="ignore"):
            rounded = float(np.float32(number)) if self.bits == 32 else float(number)
        pattern = struct.unpack("<Q", struct.pack("<d", rounded))[0]
        text = f"{self.scalar} 0x{pattern:016X}"
        if rounded == 0.0:
            return f"splat ({text})"
        pointer, distance = address("c", len(self.table))
        self.table.append(text)
        place = self.assign(f"getelementptr {self.scalar}, ptr {pointer}, i64 {distance}")
        one = self.assign(f"load {self.scalar}, ptr {place}, align {self.bits // 8}")
        first = self.assign(f"insertelement {self.float} poison, {self.scalar} {one}, i64 0")
        lanes = f"<{self.width} x i32> zeroinitializer"
        return self.assign(f"shufflevector {self.float} {first}, {self.float} poison, {lanes}")

    def table_text(self, name: str) -> str:
        """The table of constants as a definition of the module."""
        items = self.table or [f"{self.scalar} 0.0"]
        values = ", ".join(items)
        return f"{name} = internal constant [{len(items)} x {self.scalar}] [{values}], align 64"

    def integers(self, number: int) -> str:
        """The same integer in every lane."""
        return f"splat (i{self.bits} {number})"

    def load(self, pointer: str, vector: int) -> str:
        """The vector at a position of an array of vectors."""
        return self.assign(f"load {self.float}, ptr {self._address(pointer, vector)}{self._align}")

    def store(self, value: str, pointer: str, vector: int) -> None:
        """Put a value at a position of an array of vectors."""
        address = self._address(pointer, vector)
        self.lines.append(f"  store {self.float} {value}, ptr {address}{self._align}")

    @property
    def _align(self) -> str:
        return f", align {min(self.width * self.bits // 8, ALIGNMENT)}"

    def _address(self, pointer: str, vector: int) -> str:
        return self.assign(f"getelementptr {self.float}, ptr {pointer}, i64 {vector}")

    def binary(self, op: str, x: str, y: str) -> str:
        """``fadd``, ``fsub``, ``fmul`` or ``fdiv``."""
        return self.assign(f"{op} {FLAGS} {self.float} {x}, {y}")

    def add(self, x: str, y: str) -> str:
        """X + y."""
        return self.binary("fadd", x, y)

    def sub(self, x: str, y: str) -> str:
        """X - y."""
        return self.binary("fsub", x, y)

    def mul(self, x: str, y: str) -> str:
        """X * y."""
        return self.binary("fmul", x, y)

    def div(self, x: str, y: str) -> str:
        """X / y."""
        return self.binary("fdiv", x, y)

    def neg(self, x: str) -> str:
        """-x."""
        return self.assign(f"fneg {FLAGS} {self.float} {x}")

    def intrinsic(self, name: str, x: str) -> str:
        """``sqrt`` or ``fabs``, which every processor has."""
        return self.assign(f"call {self.float} @llvm.{name}.{self.suffix}({self.float} {x})")

    def compare(self, predicate: str, x: str, y: str) -> str:
        """Condition, as ``olt``: ordered and less."""
        return self.assign(f"fcmp {predicate} {self.float} {x}, {y}")

    def select(self, condition: str, x: str, y: str) -> str:
        """X where the condition holds, y elsewhere."""
        return self.assign(
            f"select {self.condition} {condition}, {self.float} {x}, {self.float} {y}"
        )

    def logical(self, op: str, x: str, y: str) -> str:
        """``and``, ``or`` or ``xor`` of conditions."""
        return self.assign(f"{op} {self.condition} {x}, {y}")

    def to_integer(self, x: str) -> str:
        """The bits of a value."""
        return self.assign(f"bitcast {self.float} {x} to {self.integer}")

    def to_float(self, x: str) -> str:
        """The value of some bits."""
        return self.assign(f"bitcast {self.integer} {x} to {self.float}")

    def integral(self, op: str, x: str, y: str) -> str:
        """``add``, ``sub``, ``and``, ``or``, ``xor``, ``shl`` or ``lshr`` of integers."""
        return self.assign(f"{op} {self.integer} {x}, {y}")

    def equal(self, x: str, y: str) -> str:
        """Condition that integers are equal."""
        return self.assign(f"icmp eq {self.integer} {x}, {y}")

    def declarations(self) -> str:
        """The functions that `intrinsic` calls, for the head of the module."""
        return "\n".join(
            f"declare {self.float} @llvm.{name}.{self.suffix}({self.float})"
            for name in ("sqrt", "fabs")
        )
