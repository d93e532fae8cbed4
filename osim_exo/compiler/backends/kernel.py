"""Compiled programs that run: `compile_program` makes one, `Kernel.run` calls it."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.backends import blocks, llvm
from osim_exo.compiler.backends.emit import ENTRY, module_text
from osim_exo.compiler.backends.prologue import Prologue
from osim_exo.compiler.backends.team import team
from osim_exo.compiler.backends.vector_ir import ALIGNMENT, bits
from osim_exo.compiler.symbols.program import Program
from osim_exo.errors import DataError, InputError

_SIGNATURE = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p
)


@dataclass(frozen=True)
class Signature:
    """What a compiled program takes and gives; all that remains of it beside the machine code.

    Attributes
    ----------
    inputs, outputs : size of each group
    feedback : output group to the input group that it overwrites after every repeat
    streamed : input groups of which every repeat takes the next set
    operations : number of operations
    dtype : float64 or float32
    width : environments of a block
    scratch : vectors of working memory
    kept : input group to the array that receives a copy of it before the first repeat
    rows : columns of the arrays (n, columns) that groups are filled from, see `Prologue`
    """

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    feedback: Mapping[str, str]
    streamed: tuple[str, ...]
    operations: int
    dtype: str
    width: int
    scratch: int
    kept: Mapping[str, str]
    rows: Mapping[str, int]

    @property
    def table(self) -> list[str]:
        """Arrays in the order that the machine code expects."""
        given = [name for name in self.outputs if name not in self.feedback]
        return [*self.inputs, *given, *self.kept.values(), *self.rows]

    def to_json(self) -> dict[str, Any]:
        """The signature as plain data."""
        return {
            **{name: getattr(self, name) for name in ("operations", "dtype", "width", "scratch")},
            "inputs": list(self.inputs.items()),
            "outputs": list(self.outputs.items()),
            "feedback": dict(self.feedback),
            "streamed": list(self.streamed),
            "kept": dict(self.kept),
            "rows": dict(self.rows),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        """The signature that `to_json` gave."""
        try:
            return cls(
                inputs=dict(data["inputs"]),
                outputs=dict(data["outputs"]),
                feedback=dict(data["feedback"]),
                streamed=tuple(data["streamed"]),
                operations=int(data["operations"]),
                dtype=str(data["dtype"]),
                width=int(data["width"]),
                scratch=int(data["scratch"]),
                kept=dict(data["kept"]),
                rows=dict(data["rows"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"This is no signature of a compiled program: {error!r}.") from error


class Kernel:
    """A program as machine code.

    Parameters
    ----------
    signature : what it takes and gives
    code : object file, from `llvm.object_code`
    """

    def __init__(self, signature: Signature, code: bytes) -> None:
        self.signature = signature
        self.dtype = np.dtype(signature.dtype)
        self.width = signature.width
        self.code = code
        self._engine, (self._entry,) = llvm.load(code, ENTRY)
        self._call = _SIGNATURE(self._entry)
        self._own = max(signature.scratch, 1) * self.width * self.dtype.itemsize
        self._local = threading.local()
        self._table = signature.table
        copies = {copy: signature.inputs[group] for group, copy in signature.kept.items()}
        self._sizes = {**signature.inputs, **signature.outputs, **copies}
        self._shapes = {name: (size, self.width) for name, size in self._sizes.items()}

    def __repr__(self) -> str:
        s = self.signature
        return f"<Kernel {s.operations} operations, {s.dtype}, {s.width} lanes>"

    def _size(self, group: str) -> int:
        if group not in self._sizes:
            raise InputError(f"Unknown group '{group}'. Allowed: {', '.join(self._sizes)}.")
        return self._sizes[group]

    def n_block(self, n: int) -> int:
        """Blocks that n environments need."""
        return -(-n // self.width)

    def zeros(self, group: str, n: int, repeats: int = 1) -> blocks.Array:
        """Blocks of zeros for a group of n environments.

        ``repeats`` counts only for a streamed group: (n_block, repeats, size, width).
        """
        inner: tuple[int, ...] = (self._size(group),)
        if group in self.signature.streamed:
            inner = (repeats, *inner)
        return blocks.aligned((self.n_block(n), *inner, self.width), self.dtype)

    def pack(self, group: str, values: npt.ArrayLike) -> blocks.Array:
        """(n, size) values of a group, or (n, repeats, size) of a streamed one, as blocks."""
        given = np.asarray(values)
        dimensions = 3 if group in self.signature.streamed else 2
        if given.ndim != dimensions or given.shape[-1] != self._size(group):
            shape = "(n, repeats, {})" if dimensions == 3 else "(n, {})"
            raise InputError(
                f"Group '{group}' has shape {given.shape}; it must be "
                f"{shape.format(self._size(group))}."
            )
        return blocks.pack(given, self.width, self.dtype)

    def unpack(self, packed: blocks.Array, n: int) -> blocks.Array:
        """The first n environments of blocks, one row each, as a copy."""
        return blocks.unpack(packed, n)

    def run(
        self,
        arrays: Mapping[str, blocks.Array],
        repeats: int = 1,
        part: slice | None = None,
        threads: int = 1,
    ) -> None:
        """Compute every output, in place.

        Other Python threads run meanwhile. The result does not depend on ``threads``.

        Parameters
        ----------
        arrays : blocks of every input group and every output group; an input group that is fed
            back holds the new state afterwards, and the output group it comes from may be left
            out (given, it gets a copy). Of the signature's `kept` blocks too, and of its `rows`
            arrays (n, columns) of float64
        repeats : how often, one after the other
        part : blocks to work on; without, all
        threads : how many share the work
        """
        if repeats < 1 or threads < 1:
            raise InputError(f"{repeats} repeats on {threads} threads; both must be at least 1.")
        n_block, addresses = self._check(arrays, repeats)
        numbers = self._check_rows(arrays, n_block, addresses)
        first, end, step = (part or slice(None)).indices(n_block)
        if step != 1:
            raise InputError(f"Blocks {part} are not contiguous; give a slice without a step.")
        own = (ctypes.c_int64 * len(numbers))(*numbers)
        places = [*(addresses[name] for name in self._table), ctypes.addressof(own)]
        pointers = (ctypes.c_void_p * len(places))(*places)
        self._together(first, end, repeats, pointers, min(threads, end - first))
        for source, target in self.signature.feedback.items():
            if source in arrays:
                arrays[source][first:end] = arrays[target][first:end]

    def _together(
        self, first: int, end: int, repeats: int, pointers: ctypes.Array[Any], threads: int
    ) -> None:
        """Work on blocks with so many threads, each with working memory of its own.

        Every thread takes the next block that nobody has: cores are not equally fast or awake.
        """
        counter = ctypes.c_int64(first)
        table = ctypes.addressof(pointers)
        work = (ctypes.addressof(counter), end, repeats, table, self._scratch(max(threads, 1)))
        if threads < 2 or not team(os.getpid(), threads).run((self._entry, *work), self._own):
            self._call(*work)

    def _scratch(self, threads: int) -> int:
        """Address of working memory for so many threads, of the calling thread's own."""
        held = getattr(self._local, "scratch", None)
        if held is None or len(held) < threads:
            shape = (threads, max(self.signature.scratch, 1), self.width)
            self._local.scratch = held = blocks.aligned(shape, self.dtype)
            self._local.address = held.ctypes.data
        return int(self._local.address)

    def _check(
        self, arrays: Mapping[str, blocks.Array], repeats: int
    ) -> tuple[int, dict[str, int]]:
        """Number of blocks, and where each array is; an `InputError` if one does not fit."""
        addresses: dict[str, int] = {}
        missing = [name for name in self._table if name not in arrays]
        if missing:
            raise InputError(f"The kernel needs arrays that are missing: {', '.join(missing)}.")
        n_block: int | None = None
        for name, array in arrays.items():
            if name in self.signature.rows:
                continue
            inner: tuple[int, ...] = self._shapes.get(name) or (self._size(name), self.width)
            if name in self.signature.streamed:
                inner = (repeats, *inner)
            n_block = len(array) if n_block is None else n_block
            if array.shape != (n_block, *inner) or array.dtype != self.dtype:
                raise InputError(
                    f"Group '{name}' is {array.dtype} of shape {array.shape}; the kernel needs "
                    f"{self.dtype} of shape {(n_block, *inner)}. Make it with Kernel.zeros or pack."
                )
            flags, addresses[name] = array.flags, array.__array_interface__["data"][0]
            aligned = not array.size or addresses[name] % ALIGNMENT == 0
            if not (flags.c_contiguous and flags.writeable and aligned):
                raise InputError(
                    f"Group '{name}' is not writeable, contiguous or aligned memory. Make it with "
                    "Kernel.zeros or Kernel.pack, and write into it."
                )
        return n_block or 0, addresses

    def _check_rows(
        self, arrays: Mapping[str, blocks.Array], n_block: int, addresses: dict[str, int]
    ) -> list[int]:
        """Number of environments, and bytes between rows of each array of rows.

        Adds their addresses; an `InputError` if one does not fit the blocks or the others.
        """
        rows = {name: arrays[name] for name in self.signature.rows}
        n = len(next(iter(rows.values()))) if rows else n_block * self.width
        for name, array in rows.items():
            shape = (n, self.signature.rows[name])
            good = array.shape == shape and self.n_block(n) == n_block
            if not (good and array.dtype == np.float64 and in_rows(array)):
                raise InputError(
                    f"Rows '{name}' are {array.dtype} of shape {array.shape}; the kernel needs "
                    f"float64 of shape {shape} in {n_block} blocks of {self.width}, aligned and "
                    "every row in one piece."
                )
            addresses[name] = array.__array_interface__["data"][0]
        return [n, *(array.strides[0] for array in rows.values())]


def in_rows(array: blocks.Array) -> bool:
    """Whether every row of an array (n, columns) is one aligned piece of memory."""
    return array.flags.aligned and (array.shape[1] < 2 or array.strides[1] == array.itemsize)


def signature(
    program: Program, dtype: str, width: int, scratch: int, before: Prologue
) -> Signature:
    """What the compiled form of a program takes and gives."""
    return Signature(
        inputs=dict(program.inputs),
        outputs={name: len(group) for name, group in program.outputs.items()},
        feedback=dict(program.feedback),
        streamed=program.streamed,
        operations=program.operations,
        dtype=dtype,
        width=width,
        scratch=scratch,
        kept=dict(before.kept),
        rows=before.rows,
    )


def compile_program(
    program: Program,
    dtype: str = "float64",
    width: int | None = None,
    options: llvm.Options | None = None,
    before: Prologue | None = None,
) -> Kernel:
    """Machine code of a program, without a look at the disk; `cache.load_or_compile` keeps it.

    Parameters
    ----------
    program : what to compute
    dtype : float64 or float32
    width : environments of a block, a power of two; without, as many as a vector register holds
    options : how to compile
    before : what is done to a block before its repeats

    Raises
    ------
    MissingExtraError
        llvmlite is not installed
    InputError
        unknown dtype, or a width that is no power of two
    """
    bits(dtype)
    width = llvm.default_width(dtype) if width is None else width
    if not 1 <= width <= 64 or width & (width - 1):
        raise InputError(f"A block cannot hold {width} environments; use a power of two up to 64.")
    options = options or llvm.Options()
    text, scratch = module_text(program, dtype, width, options.piece, before)
    return Kernel(
        signature(program, dtype, width, scratch, before or Prologue()),
        llvm.object_code(text, options.level),
    )
