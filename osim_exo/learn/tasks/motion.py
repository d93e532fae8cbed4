"""Which recorded motion is imitated, and how it is read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from pydantic import Field

from osim_exo.config import Config

FASTEST = 2.2
"""m/s; beyond it people run."""


class MotionFile(Config):
    """One stride of a recorded motion as reference.

    The motion may be that of another model: what it has no place for is left out.
    """

    path: Path = Field(description=".mot or .sto file with the model's coordinates")
    start: float | None = Field(default=None, description="of the stride, s; none: found")
    end: float | None = Field(default=None, description="of the stride, s; none: found")
    belt_speed: float = Field(
        default=0.0, ge=-FASTEST, le=FASTEST, description="of the treadmill, added to pelvis_tx"
    )
    closure: float = Field(
        default=0.2, gt=0.0, description="largest difference of start and end posture, rad or m"
    )
    names: dict[str, str] = Field(
        default_factory=dict, description="column of the file by coordinate, where they differ"
    )
    knee_flexion: Literal["auto", "positive", "negative"] = Field(
        default="auto", description="sign of the file's knee angles in flexion; auto: of their mean"
    )
    height: Literal["model", "recorded"] = Field(
        default="model",
        description="of the pelvis: where the model's feet bear its weight, or as recorded",
    )
    cutoff_hz: float | None = Field(
        default=6.0, gt=0.0, description="harmonics above it are left out; none: all are kept"
    )


KEPT = "reference"
"""Name of the copy of a reference in a run's folder, with the file's own ending."""


def keep(motion: MotionFile, folder: Path) -> None:
    """Copy a reference into the folder of a run, which then needs no other file."""
    shutil.copy2(motion.path, folder / f"{KEPT}{motion.path.suffix}")


def kept(motion: MotionFile, folder: Path) -> MotionFile:
    """The reference, from the run's folder if its file is not there any more."""
    copy = folder / f"{KEPT}{motion.path.suffix}"
    if motion.path.is_file() or not copy.is_file():
        return motion
    return motion.changed(path=copy)
