"""Where a student's teacher comes from: a run, a chain of stages, or what ships."""

from __future__ import annotations

from pathlib import Path

from osim_exo.learn.chain import CHAIN
from osim_exo.learn.walkers import (
    CHAINS,
    TrainedWalker,
    find_walker,
    library,
    load_stage,
    shipped_chains,
    trained_chains,
)

STAGE = "assisted"
"""Stage of a chain whose exo policy teaches."""


def find_teacher(name_or_folder: str) -> TrainedWalker:
    """The walker whose exo policy teaches.

    Parameters
    ----------
    name_or_folder : folder of a run; of a chain or of chains for several seeds, of which the first
        teaches; or the name of what ships, as ``hip`` or ``hip/seed_1``; ``hip/seed_1/no_exo`` is
        another stage of that chain

    Raises
    ------
    DataError
        It is none of these, or training has not come so far.
    """
    place, shipped = Path(name_or_folder), library() / CHAINS / name_or_folder
    if not place.is_dir() and (shipped / CHAIN).is_file():
        return load_stage(shipped, STAGE)
    if not place.is_dir() and (shipped.parent / CHAIN).is_file():
        return load_stage(shipped.parent, place.name)
    if (place / CHAIN).is_file():
        return load_stage(place, STAGE)
    if name_or_folder in shipped_chains() or any(place.glob(f"seed_*/{CHAIN}")):
        return load_stage(next(iter(trained_chains(name_or_folder))), STAGE)
    return find_walker(name_or_folder)
