"""Arrays of many environments in the layout of compiled code: blocks of ``width`` vector lanes.

A number of environment e lies at ``array[e // width, ..., e % width]``. The last block's spare
lanes repeat its last environment, so that they cost no special values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.backends.vector_ir import ALIGNMENT
from osim_exo.errors import InputError

Array = npt.NDArray[Any]


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Zeros whose memory starts on a cache line."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    memory = np.zeros(size + ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(kind).reshape(shape)


def pack(values: npt.ArrayLike, width: int, dtype: npt.DTypeLike) -> Array:
    """Environments as blocks.

    Parameters
    ----------
    values : (n, size) array, or (n, repeats, size) for a streamed group

    Returns
    -------
    array
        (n_block, size, width), or (n_block, repeats, size, width)
    """
    given = np.asarray(values)
    if given.ndim < 2 or not len(given):
        raise InputError(
            f"Values of shape {given.shape} are no environments; give (n, size) with n > 0."
        )
    n_block = -(-len(given) // width)
    packed = aligned((n_block, *given.shape[1:], width), dtype)
    write(packed, given)
    return packed


def unpack(packed: Array, n: int) -> Array:
    """The first n environments of blocks, one row each: the reverse of `pack`, as a copy."""
    view = lanes(packed)
    rows = view.shape[0] * view.shape[1]
    return view.reshape(rows, *view.shape[2:])[:n].copy()


def lanes(packed: Array) -> Array:
    """View (n_block, width, ...) of blocks: environment e is ``lanes(packed)[divmod(e, width)]``.

    One number of all environments is the view ``packed[:, k]``, (n_block, width).
    """
    return np.moveaxis(packed, -1, 1)


def write(packed: Array, values: npt.ArrayLike, rows: npt.ArrayLike | None = None) -> None:
    """Put environments into blocks, in place.

    Parameters
    ----------
    packed : blocks
    values : one row per environment, or anything that broadcasts to it
    rows : which environments; without, the first ones as many as there are rows
    """
    view, width = lanes(packed), packed.shape[-1]
    if rows is not None:
        where = np.asarray(rows)
        if where.dtype == bool:
            where = np.flatnonzero(where)
        view[where // width, where % width] = values
        return
    given = np.asarray(values)
    full = len(given) // width
    view[:full] = given[: full * width].reshape(full, width, *given.shape[1:])
    if full * width < len(given):
        view[full, : len(given) - full * width] = given[full * width :]
        view[full, len(given) - full * width :] = given[-1]


def fill_spare(packed: Array, n: int) -> None:
    """Make the spare lanes of n environments repeat the last one, in place."""
    block, lane = divmod(n - 1, packed.shape[-1])
    packed[block, ..., lane + 1 :] = packed[block, ..., lane : lane + 1]
