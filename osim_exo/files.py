"""Writing files so that nothing finished is ever lost: whole or not at all, never over others."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osim_exo.errors import DataError, InputError

MARKER = "study.json"
"""The file that says whose results a folder holds."""

RESULTS = ("trials", "comparison.json", "comparison.csv", "report.html")
"""What a study writes beside its marker."""


def write_bytes(path: str | Path, data: bytes) -> Path:
    """Write `data` to `path` whole: a reader, or a crash, sees the old file or the new one.

    The data go to a temporary file in the same folder, which then takes the place of `path`.
    Missing parent folders are made. A device or pipe (``/dev/stdout``) is written directly.

    Raises
    ------
    InputError
        `path` is a folder, or one of its parents is a file.
    OSError
        The system refused to write (no permission, disk full); `path` is left as it was.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"Cannot write to '{target}': it is a folder. Name a file.")
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return target
    target = target.resolve() if target.is_symlink() else target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(
            f"Cannot write to '{target}': a part of its folder is a file. Name another folder."
        ) from None
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return target


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8 as it is, whole or not at all; see `write_bytes`."""
    return write_bytes(path, text.encode("utf-8"))


def to_json(content: Any) -> str:
    """Text of `content` as JSON: two-space indent, no NaN, a line end last.

    Raises
    ------
    DataError
        `content` holds NaN, infinity or something that JSON has no form for.
    """
    try:
        return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    except (TypeError, ValueError) as error:
        raise DataError(
            f"This cannot be stored as JSON: {error}. Allowed are numbers that are finite, texts, "
            "lists, dictionaries, true, false and null; write null where there is no value."
        ) from None


def write_json(path: str | Path, content: Any) -> Path:
    """Write `content` as JSON, whole or not at all; see `to_json` and `write_bytes`."""
    return write_text(path, to_json(content))


def read_json(path: str | Path) -> Any:
    """Content of a JSON file.

    Raises
    ------
    DataError
        The file is missing, a folder, not text or not JSON; the message says where.
    """
    source = Path(path)
    try:
        return json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"There is no file '{source}'.") from None
    except IsADirectoryError:
        raise DataError(f"'{source}' is a folder; a JSON file is needed.") from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"'{source}' is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"'{source}' is not a text file in UTF-8; JSON is needed.") from None


def writable_folder(folder: str | Path) -> Path:
    """Make `folder` if need be and show by writing that files can be put into it.

    Raises
    ------
    InputError
        It is a file, lies under one, or the system does not let this user write there.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".osim_exo_", dir=target):
            pass
    except (FileExistsError, NotADirectoryError):
        raise InputError(
            f"The output folder '{target}' cannot be used: it, or a folder above it, is a file. "
            "Name a folder that exists or can be made."
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"The output folder '{target}' cannot be written to ({reason}). "
            "Name a folder that you may write to, with space left on its disk."
        ) from None
    return target


def claim_output(folder: str | Path, marker: Mapping[str, Any]) -> bool:
    """Take `folder` for the results that `marker` identifies; nothing in it is ever deleted.

    A new or empty folder gets a ``study.json`` that holds `marker`. A folder whose ``study.json``
    has the same values under the keys of `marker` is taken up again; further keys in the file
    (provenance, times) do not matter.

    Parameters
    ----------
    folder : output folder; made if it is missing
    marker : what identifies the results, for instance ``{"study": name, "config_hash": hash}``

    Returns
    -------
    bool
        True if the folder already holds results of the same run, which may then be resumed.

    Raises
    ------
    InputError
        The folder cannot be written to, or holds other results.
    """
    target = writable_folder(folder)
    path = target / MARKER
    if not path.exists():
        found = [name for name in RESULTS if (target / name).exists()]
        if found:
            raise InputError(
                f"The output folder '{target}' holds results ({', '.join(found)}) without a "
                f"{MARKER} that says whose they are. Nothing was changed. Name another folder, "
                "or move these files away."
            )
        write_json(path, dict(marker))
        return False
    held = _held_marker(path)
    other = [key for key, value in marker.items() if held.get(key) != value]
    if other:
        changes = "; ".join(f"{key}: there {held.get(key)!r}, now {marker[key]!r}" for key in other)
        raise InputError(
            f"The output folder '{target}' holds the results of another run ({changes}). "
            "Nothing was changed. Name another folder with --out, or give the same settings "
            "again to go on with that run."
        )
    return True


def _held_marker(path: Path) -> Mapping[str, Any]:
    """Content of an existing marker file, which must be a JSON dictionary."""
    try:
        held = read_json(path)
    except DataError as error:
        held = error
    if not isinstance(held, dict):
        reason = str(held) if isinstance(held, DataError) else "it holds no dictionary."
        raise InputError(
            f"'{path}' cannot be read as a study's record: {reason} Nothing was changed. "
            "Name another folder, or move that file away."
        )
    return held
