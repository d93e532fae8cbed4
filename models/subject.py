"""The person: body mass, height, strength, and what follows from them by published ratios."""

from __future__ import annotations

from pydantic import Field

from osim_exo.config import Config

REFERENCE_MASS = 75.1646
"""kg; the sum of the reference model's segments (Anderson & Pandy 1999)."""

REFERENCE_HEIGHT = 1.80
"""m; stature that the reference model's bone geometry stands for (Delp et al. 1990)."""


class Subject(Config):
    """A virtual person.

    Every segment keeps its published share of stature (Winter 2009, table of segment lengths after
    Drillis & Contini 1966) and of body mass (Anderson & Pandy 1999): lengths scale with height,
    masses with body mass, inertias with mass times length squared. Muscle volume follows body mass
    and height (Handsfield et al. 2014), and force is volume over fibre length.
    """

    mass: float = Field(
        default=REFERENCE_MASS, ge=30.0, le=200.0, description="body mass without device, kg"
    )
    height: float = Field(default=REFERENCE_HEIGHT, ge=1.2, le=2.2, description="stature, m")
    strength: float = Field(
        default=1.0, ge=0.3, le=2.0, description="factor on every muscle's isometric force, 1"
    )

    @property
    def length_scale(self) -> float:
        """Segment length relative to the reference model."""
        return self.height / REFERENCE_HEIGHT

    @property
    def mass_scale(self) -> float:
        """Segment mass relative to the reference model."""
        return self.mass / REFERENCE_MASS

    @property
    def force_scale(self) -> float:
        """Maximum isometric force relative to the reference model.

        Lower-limb muscle volume in cm^3 is 47.05 m h + 1289.6 (Handsfield et al. 2014); force is
        volume over optimal fibre length, which scales with height.
        """
        volume = _muscle_volume(self.mass, self.height)
        reference = _muscle_volume(REFERENCE_MASS, REFERENCE_HEIGHT)
        return self.strength * volume / reference / self.length_scale


def _muscle_volume(mass: float, height: float) -> float:
    return 47.05 * mass * height + 1289.6
