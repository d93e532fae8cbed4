"""Compiled programs that run: `compile_program` makes one, `Kernel.run` calls it."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.backends import blocks, llvm
from osim_exo.compiler.backends.emit import module_text
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
    """

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    feedback: Mapping[str, str]
    streamed: tuple[str, ...]
    operations: int
    dtype: str
    width: int
    scratch: int

    @property
    def table(self) -> list[str]:
        """Groups in the order that the machine code expects."""
        return [*self.inputs, *(name for name in self.outputs if name not in self.feedback)]

    def to_json(self) -> dict[str, Any]:
        """The signature as plain data."""
        return {
            **{name: getattr(self, name) for name in ("operations", "dtype", "width", "scratch")},
            "inputs": list(self.inputs.items()),
            "outputs": list(self.outputs.items()),
            "feedback": dict(self.feedback),
            "streamed": list(self.streamed),
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
        self._engine, address = llvm.load(code)
        self._call = _SIGNATURE(address)
        self._local = threading.local()
        self._table = signature.table
        self._sizes = {**signature.inputs, **signature.outputs}
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
            out (given, it gets a copy)
        repeats : how often, one after the other
        part : blocks to work on; without, all
        threads : how many share the work
        """
        if repeats < 1 or threads < 1:
            raise InputError(f"{repeats} repeats on {threads} threads; both must be at least 1.")
        n_block, addresses = self._check(arrays, repeats)
        first, end, step = (part or slice(None)).indices(n_block)
        if step != 1:
            raise InputError(f"Blocks {part} are not contiguous; give a slice without a step.")
        pointers = (ctypes.c_void_p * len(self._table))(*(addresses[g] for g in self._table))
        # Every thread takes the next block that nobody has: cores are not equally fast or awake.
        counter = ctypes.c_int64(first)
        work = (ctypes.addressof(counter), end, repeats, ctypes.addressof(pointers))
        waiting = [
            _pool(os.getpid(), threads).submit(self._take, *work)
            for _ in range(min(threads, end - first) - 1)
        ]
        self._take(*work)
        for future in waiting:
            future.result()
        for source, target in self.signature.feedback.items():
            if source in arrays:
                arrays[source][first:end] = arrays[target][first:end]

    def _take(self, counter: int, end: int, repeats: int, pointers: int) -> None:
        """Take blocks from a counter until none is left, with working memory of this thread."""
        if not hasattr(self._local, "scratch"):
            shape = (max(self.signature.scratch, 1), self.width)
            self._local.scratch = blocks.aligned(shape, self.dtype)
            self._local.address = self._local.scratch.ctypes.data
        self._call(counter, end, repeats, pointers, self._local.address)

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


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads that wait for work; a forked process gets its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"osim-exo-{process}")


def signature(program: Program, dtype: str, width: int, scratch: int) -> Signature:
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
    )


def compile_program(
    program: Program,
    dtype: str = "float64",
    width: int | None = None,
    options: llvm.Options | None = None,
) -> Kernel:
    """Machine code of a program, without a look at the disk; `cache.load_or_compile` keeps it.

    Parameters
    ----------
    program : what to compute
    dtype : float64 or float32
    width : environments of a block, a power of two; without, as many as a vector register holds
    options : how to compile

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
    text, scratch = module_text(program, dtype, width, options.piece)
    return Kernel(
        signature(program, dtype, width, scratch),
        llvm.object_code(text, options.level),
    )
