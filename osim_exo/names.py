"""Names shared by every module: sides, conditions, controllers, muscle groups."""

from __future__ import annotations

import re
from typing import Literal, get_args

Condition = Literal["no_exo", "zero_torque", "assisted"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)

SIDES = ("r", "l")
"""Right first, then left, in every array."""

_SIDE = re.compile(r"_(r|l)(?=$|[/.|])")


def mirror(name: str) -> str:
    """Name of the same thing on the other side; names without a side are their own mirror.

    Every path segment that ends in ``_r`` or ``_l`` changes side:
    ``/jointset/hip_r/hip_flexion_r/value`` becomes ``/jointset/hip_l/hip_flexion_l/value``.
    """
    return _SIDE.sub(lambda m: "_l" if m.group(1) == "r" else "_r", name)


def side(name: str) -> str | None:
    """``"r"``, ``"l"`` or, for a name without a side, None; the last path segment decides."""
    found = _SIDE.findall(name)
    return found[-1] if found else None


MUSCLE_GROUPS: dict[str, tuple[str, ...]] = {
    "hip_flexors": ("iliopsoas", "rect_fem"),
    "hip_extensors": ("glut_max", "hamstrings"),
    "knee_extensors": ("vasti", "rect_fem"),
    "knee_flexors": ("hamstrings", "bifemsh", "gastroc"),
    "plantarflexors": ("soleus", "gastroc"),
    "dorsiflexors": ("tib_ant",),
}
"""Functional groups of the planar model's muscles, by their names without side."""
