"""The folder that a policy is kept in: files with their hashes, refused if one byte has changed."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo.errors import DataError, InputError
from osim_exo.files import to_json, writable_folder

SCHEMA = "osim_exo.policy/1"
"""Version of the folder's layout."""

DESCRIPTION, SUMS = "bundle.json", "SHA256SUMS"
"""What the policy is; hashes of all other files, in the form of ``sha256sum``."""

LARGEST = 200_000_000
"""Bytes; a larger file is not a policy."""

Arrays = dict[str, npt.NDArray[Any]]


def write(folder: str | Path, content: Mapping[str, Any], files: Mapping[str, bytes]) -> Path:
    """Write a bundle whole: the folder is the old one or the new one, never a mixture.

    Parameters
    ----------
    folder : of the bundle; an older bundle there is replaced
    content : what goes into ``bundle.json``; the schema is added
    files : by plain name, without a folder

    Raises
    ------
    InputError
        The folder holds something else than a bundle, or cannot be written to.
    """
    target = Path(folder)
    bad = [name for name in files if Path(name).name != name or name in (DESCRIPTION, SUMS)]
    if bad:
        raise InputError(f"A bundle cannot hold files with the names {', '.join(bad)}.")
    if target.exists() and not (target / SUMS).is_file() and _has_content(target):
        raise InputError(
            f"'{target}' exists and is not a policy's folder. Nothing was changed. Name another."
        )
    writable_folder(target.parent)
    every = {DESCRIPTION: to_json({"schema": SCHEMA, **content}).encode(), **files}
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for name, data in every.items():
            (fresh / name).write_bytes(data)
        lines = [f"{_hash(every[name])}  {name}\n" for name in sorted(every)]
        (fresh / SUMS).write_text("".join(lines), encoding="ascii", newline="\n")
        fresh.chmod(0o755)
        _take_place(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def _has_content(target: Path) -> bool:
    return not target.is_dir() or any(target.iterdir())


def _take_place(fresh: Path, target: Path) -> None:
    """Put a finished folder where the old one is."""
    if not target.exists():
        fresh.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent)) / "old"
    target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        old.rename(target)
        raise
    finally:
        shutil.rmtree(old.parent, ignore_errors=True)


def read(folder: str | Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Content of ``bundle.json`` and the other files of a bundle, all checked by their hashes.

    Raises
    ------
    DataError
        The folder is no bundle, is of another version, or a file is missing, changed or too much.
    """
    source = Path(folder)
    if not (source / SUMS).is_file():
        raise DataError(
            f"'{source}' is not a policy's folder: it has no {SUMS}. Give the folder 'policy' of a "
            "training run."
        )
    sums = _sums(source / SUMS)
    present = {path.name for path in source.iterdir()} - {SUMS}
    if present != set(sums) or DESCRIPTION not in sums:
        missing, extra = sorted(set(sums) - present), sorted(present - set(sums))
        raise DataError(
            f"The policy in '{source}' is not whole. Missing: {', '.join(missing) or 'nothing'}; "
            f"not listed in {SUMS}: {', '.join(extra) or 'nothing'}. Copy the folder again."
        )
    files = {}
    for name, expected in sums.items():
        path = source / name
        if not path.is_file() or path.stat().st_size > LARGEST:
            raise DataError(f"'{path}' is no file of a policy. Copy the folder again.")
        files[name] = path.read_bytes()
        if _hash(files[name]) != expected:
            raise DataError(
                f"'{path}' has changed since the policy was written. A policy is used as it was "
                "trained or not at all; copy the folder again, or export it anew."
            )
    content = _description(source, files.pop(DESCRIPTION))
    return content, files


def _sums(path: Path) -> dict[str, str]:
    if path.stat().st_size > 100_000:
        raise DataError(f"'{path}' is too long for a list of hashes.")
    found = {}
    for line in path.read_bytes().decode("ascii", errors="replace").splitlines():
        digest, gap, name = line.partition("  ")
        if not gap or len(digest) != 64 or Path(name).name != name or name in found:
            raise DataError(f"'{path}' is not a list of hashes: {line[:80]!r}.")
        found[name] = digest
    return found


def _description(source: Path, data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{source / DESCRIPTION}' is not JSON: {error}.") from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise DataError(
            f"The policy in '{source}' has the layout {schema!r}; this version of osim_exo reads "
            f"{SCHEMA!r}. Export it anew."
        )
    return dict(content)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pack(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Arrays as the bytes of an ``.npz`` file without objects.

    Raises
    ------
    InputError
        One of them holds objects, which would need pickle.
    """
    objects = [name for name, array in arrays.items() if np.asarray(array).dtype.hasobject]
    if objects:
        raise InputError(f"These arrays hold objects and cannot be stored: {', '.join(objects)}.")
    stream = io.BytesIO()
    held: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez(stream, **held)
    return stream.getvalue()


def unpack(data: bytes, what: str) -> Arrays:
    """Arrays of `pack`; `what` names their file in an error.

    Raises
    ------
    DataError
        These are no arrays, or they hold objects.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:
        # numpy and zipfile raise many kinds on bytes that are no archive.
        raise DataError(f"'{what}' cannot be read as arrays: {error}.") from None
