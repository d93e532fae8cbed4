"""What a conversion is asked to do, as a value that is checked and stored with the result."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from osim_exo.config import Config

ARMS: tuple[str, ...] = ("acromial", "shoulder", "elbow", "radioulnar", "radius_hand", "wrist")
"""How the names of arm joints begin."""

TOES: tuple[str, ...] = ("mtp",)
"""How the names of toe joints begin."""


class ConvertOptions(Config):
    """Options of `convert`; the defaults change what must change and nothing else."""

    weld: tuple[str, ...] = Field(
        default=(), description="joints to weld at their default pose, besides locked ones"
    )
    weld_arms: bool = Field(default=False, description="weld shoulders, elbows and wrists")
    weld_toes: bool = Field(default=False, description="weld the toe joints (mtp)")
    tendon: Literal["rigid", "compliant"] = "rigid"
    paths: Literal["auto", "polynomial", "geometry"] = Field(
        default="auto",
        description="auto: polynomials for muscles that wrap; polynomial: for all; geometry: none",
    )
    ranges: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="range of the path fit by coordinate, degrees (m for translations)",
    )
    contact: Literal["keep", "smooth"] = Field(
        default="keep", description="smooth: Hunt-Crossley spheres become smooth ones"
    )
    drop: tuple[str, ...] = Field(
        default=(), description="forces or constraints to leave out, by name or class"
    )
    add: tuple[str, ...] = Field(
        default=(), description="ForceSet or ContactGeometrySet files to add to the model"
    )
    goal_mm: float = Field(
        default=0.5, gt=0.0, le=10.0, description="error that a fit aims at, length and arm, mm"
    )
    limit_mm: float = Field(
        default=2.0, gt=0.0, description="RMS error on unseen states that fails a path, mm"
    )
    samples: int = Field(default=3000, ge=100, le=100_000, description="states of the path fit")
    seed: int = Field(default=1, ge=0, description="seed of every random state")

    @field_validator("ranges")
    @classmethod
    def _ordered(cls, ranges: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in ranges.items():
            if not low < high:
                raise ValueError(f"the range of {name} is {low:g} to {high:g}; low must be below")
        return ranges
