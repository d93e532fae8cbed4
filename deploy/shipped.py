"""Policies that ship: a student on the device's own sensors, ready without any training."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from osim_exo import bundle
from osim_exo.errors import DataError


def library() -> Path:
    """Where the shipped policies lie."""
    return Path(str(files("osim_exo.deploy"))) / "library"


def shipped_policies() -> tuple[str, ...]:
    """Names of the shipped policies; each is a bundle in `library`."""
    return tuple(sorted(path.parent.name for path in library().glob(f"*/{bundle.SUMS}")))


def find_policy(name_or_folder: str | Path) -> Path:
    """Folder of a policy's bundle: one that exists, or one that ships, by its name.

    Raises
    ------
    DataError
        It is neither.
    """
    place = Path(name_or_folder)
    if place.is_dir():
        return place
    if str(name_or_folder) in shipped_policies():
        return library() / str(name_or_folder)
    raise DataError(
        f"'{name_or_folder}' is neither the folder of a policy nor a shipped one. Shipped: "
        f"{', '.join(shipped_policies()) or 'none'}; osim-exo distil makes others."
    )
