"""Compiled programs kept on disk, so that a model that was built before starts in milliseconds.

A file holds one program's machine code for one processor. Its name is a hash of all that the code
depends on. Files appear whole or not at all (written beside, then renamed), so processes that
build the same model at the same time need no lock: each writes the same bytes. A file that is
truncated or damaged is told, and built again; without a folder to write to, nothing is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

from osim_exo.analysis import metabolics
from osim_exo.compiler.backends import kernel as kernels
from osim_exo.compiler.backends import llvm
from osim_exo.compiler.backends.kernel import Kernel, Signature
from osim_exo.compiler.backends.prologue import Prologue
from osim_exo.compiler.symbols.program import FORMAT_VERSION, Program
from osim_exo.errors import DataError, InputError

ENVIRONMENT = "OSIM_EXO_CACHE"
"""Environment variable with another folder; empty, nothing is kept."""

_MAGIC = b"osim_exo kernel 2\n"
_SUFFIX = ".kernel"
_UNFINISHED = ".part"
_HASH = 32


class CacheWarning(UserWarning):
    """Something about the cache that costs time but changes no result."""


def folder() -> Path | None:
    """Where compiled programs are kept; None if the user wants none kept.

    ``OSIM_EXO_CACHE`` if that is set, else the platform's place for such files.
    """
    given = os.environ.get(ENVIRONMENT)
    if given is not None:
        return Path(given).expanduser() if given else None
    try:
        home = Path.home()
    except RuntimeError as error:
        _tell(f"Compiled programs are not kept: {error} Name a folder in {ENVIRONMENT}.")
        return None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "osim_exo" / "kernels"


def files() -> list[Path]:
    """The kept files: compiled programs, and models as they were read (``.spec.json``)."""
    place = folder()
    if place is None or not place.is_dir():
        return []
    return sorted(path for suffix in (_SUFFIX, ".spec.json") for path in place.glob(f"*{suffix}"))


def clear() -> int:
    """Delete all kept files, and what an interrupted process left of one; how many were kept."""
    place, found = folder(), files()
    unfinished = list(place.glob(f"*{_UNFINISHED}")) if place is not None else []
    for path in found + unfinished:
        path.unlink(missing_ok=True)
    return len(found)


@cache
def source_digest() -> str:
    """Hash of the compiler's own source, to be part of the key of whatever it builds."""
    total = hashlib.sha256()
    # The metabolic models take their constants from the analysis.
    sources = [*Path(__file__).parents[1].rglob("*.py"), Path(metabolics.__file__)]
    for path in sorted(sources):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:_HASH]


def load_or_compile(
    program: Program,
    dtype: str = "float64",
    width: int | None = None,
    options: llvm.Options | None = None,
) -> Kernel:
    """The compiled form of a program, from the disk if it is there.

    Parameters and errors as `kernel.compile_program`.
    """
    return load_or_build(f"program {program.digest}", lambda: program, dtype, width, options)


def load_or_build(
    key: str,
    build: Callable[[], Program],
    dtype: str = "float64",
    width: int | None = None,
    options: llvm.Options | None = None,
    before: Prologue | None = None,
) -> Kernel:
    """The compiled form of a program that is only built if it is not on the disk.

    Parameters
    ----------
    key : names the program; it must change with everything that ``build`` depends on, as a
        model's hash, the options, and `source_digest`
    build : makes the program
    dtype, width, options, before : as `kernel.compile_program`
    """
    width = llvm.default_width(dtype) if width is None else width
    options = options or llvm.Options()
    place = folder()
    path = None
    if place is not None:
        path = place / f"{_hash(key, dtype, width, options, before)}{_SUFFIX}"
        found = _read(path)
        if found is not None:
            return found
    compiled = kernels.compile_program(build(), dtype, width, options, before)
    if path is not None:
        _write(path, compiled)
    return compiled


def _hash(key: str, dtype: str, width: int, options: llvm.Options, before: Prologue | None) -> str:
    """Hash of all that machine code depends on."""
    llvm.binding()
    import llvmlite

    parts = [
        *(key, dtype, str(width), repr(options), repr(before)),
        *(str(FORMAT_VERSION), str(llvm.EMITTER_VERSION)),
        *(llvmlite.__version__, *llvm.processor(), sys.platform, platform.machine()),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_HASH]


def encode(compiled: Kernel) -> bytes:
    """A kernel as the bytes of a file: head, checksum of the rest, signature, machine code."""
    text = json.dumps(compiled.signature.to_json()).encode()
    body = len(text).to_bytes(8, "little") + text + compiled.code
    return _MAGIC + hashlib.sha256(body).digest() + body


def decode(data: bytes) -> Kernel:
    """The kernel of a file; a `DataError` if the bytes are not what `encode` wrote."""
    start = len(_MAGIC) + 32
    if data[: len(_MAGIC)] != _MAGIC:
        raise DataError("it does not begin as a compiled program does")
    body = data[start:]
    if hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
        raise DataError(f"its {len(data)} bytes do not match their checksum")
    end = 8 + int.from_bytes(body[:8], "little")
    return Kernel(Signature.from_json(json.loads(body[8:end])), body[end:])


def _read(path: Path) -> Kernel | None:
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, InputError) as error:
        _tell(f"The compiled program {path} cannot be used ({error}); it is built again.")
        return None


def _write(path: Path, compiled: Kernel) -> None:
    """Keep a kernel; a folder that cannot be written to is told, and nothing else happens."""
    beside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=path.stem, suffix=_UNFINISHED, dir=path.parent)
        beside = Path(name)
        with os.fdopen(handle, "wb") as stream:
            stream.write(encode(compiled))
        os.replace(beside, path)
    except OSError as error:
        _tell(
            f"Compiled programs cannot be kept in {path.parent} ({error.strerror or error}); every "
            f"start compiles anew. Make room, or name another folder in {ENVIRONMENT}."
        )
        if beside is not None:
            _discard(beside)


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _tell(f"The unfinished file {path} is left over ({error.strerror or error}).")


_told: set[str] = set()


def _tell(message: str) -> None:
    """Warn, once per process for the same thing."""
    if message not in _told:
        _told.add(message)
        warnings.warn(message, CacheWarning, stacklevel=4)
