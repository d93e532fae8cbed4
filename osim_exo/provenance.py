"""Where a result comes from: versions, commit, settings, machine, command, as one dictionary."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pydantic import BaseModel

import osim_exo
from osim_exo.errors import InputError

LIBRARIES = ("numpy", "opensim", "scipy", "gymnasium", "pydantic", "joblib", "torch", "onnxruntime")
"""Libraries whose versions can change a result."""

Config = Mapping[str, Any] | BaseModel


def config_hash(config: Config) -> str:
    """First 16 hexadecimal digits of the SHA-256 of `config` as JSON with sorted keys.

    Equal settings give equal hashes whatever the order of their keys.

    Raises
    ------
    InputError
        `config` holds NaN, infinity or something that JSON has no form for.
    """
    try:
        text = json.dumps(_plain(config), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"These settings cannot be stored: {error}. Allowed are finite numbers, texts, lists "
            "and dictionaries."
        ) from None
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json") if isinstance(config, BaseModel) else dict(config)


def library_version(name: str) -> str | None:
    """Version of an installed library, found without importing it; None if it is absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Versions of Python, osim_exo and the libraries of `LIBRARIES` that are installed."""
    found = {"python": platform.python_version(), "osim_exo": osim_exo.__version__}
    for name in LIBRARIES:
        number = library_version(name)
        if number is not None:
            found[name] = number
    return found


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that runs and whether it was changed since; None if installed."""
    root = Path(osim_exo.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": bool(changed)}


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Operating system, processor, cores and memory (GB); nothing that names the owner."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "processor": _processor(),
        "cores": cores(),
        "memory_gb": memory_gb(),
    }


def cores() -> int:
    """Number of processor cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def memory_gb() -> float | None:
    """Memory of the machine in GB (10^9 bytes), or None where it cannot be learned."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return _memory_by_psutil()


def _memory_by_psutil() -> float | None:
    try:
        import psutil
    except ImportError:
        return None
    total: int = psutil.virtual_memory().total
    return round(total / 1e9, 1)


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def public_command(arguments: Sequence[str]) -> str:
    """The command as one line, absolute paths cut to their last part."""
    return " ".join(_public(argument) for argument in arguments)


def _public(argument: str) -> str:
    flag, equals, value = (
        argument.partition("=") if argument.startswith("-") else ("", "", argument)
    )
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(value)
        if path.is_absolute() or value.startswith("~"):
            value = path.name
    return f"{flag}{equals}{value}"


def provenance(
    config: Config | None = None,
    *,
    seed: int | None = None,
    command: Sequence[str] | None = None,
) -> dict[str, Any]:
    """All that is needed to know how a result came about, ready for JSON.

    Parameters
    ----------
    config : the settings of the run; kept whole and as a hash
    seed : the seed of the run, if it has one
    command : the command and its arguments; by default those of this process

    Returns
    -------
    dict
        ``created`` (UTC, ISO 8601), ``command``, ``versions``, ``git``, ``machine``, and
        ``config``, ``config_hash``, ``seed`` where they are given. It holds no path, user or host
        name of its own; texts inside `config` are kept as they are.
    """
    if command is None:
        program = Path(sys.argv[0]).name
        command = ["osim-exo" if program == "__main__.py" else program, *sys.argv[1:]]
    record: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": public_command(command),
        "versions": versions(),
        "git": git_state(),
        "machine": machine(),
    }
    if config is not None:
        record["config"] = _plain(config)
        record["config_hash"] = config_hash(config)
    if seed is not None:
        record["seed"] = seed
    return record
