"""Virtual subjects: the reference person first, then people drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osim_exo.baseline.solve import CADENCE_EXPONENT
from osim_exo.models import Subject


@dataclass(frozen=True)
class Spread:
    """A normal distribution cut at both ends."""

    mean: float
    sd: float
    low: float
    high: float

    def draw(self, source: np.random.Generator) -> float:
        """One value; draws outside the limits are drawn again."""
        while True:
            value = float(source.normal(self.mean, self.sd))
            if self.low <= value <= self.high:
                return value


HEIGHT = Spread(1.70, 0.09, 1.50, 1.95)
"""m. Women and men together."""

BODY_MASS_INDEX = Spread(24.0, 3.0, 18.5, 30.0)
"""kg/m^2. Neither underweight nor obese in the terms of the World Health Organization (2000)."""

STRENGTH = Spread(1.0, 0.15, 0.7, 1.3)
"""Factor on muscle force beyond what mass and height explain."""

# The three distributions are choices of this project, near what national surveys find for adults
# (Fryar et al. 2012, Vital Health Stat 11(252), for stature); they stand for no population.


@dataclass(frozen=True)
class VirtualSubject:
    """One person of a study.

    Attributes
    ----------
    label : ``subject_00`` ...
    body : mass, height and strength; None for the model's own
    """

    label: str
    body: Subject | None

    @property
    def length_scale(self) -> float:
        """Leg length relative to the reference person's."""
        return self.body.length_scale if self.body else 1.0


def draw_subjects(count: int, seed: int) -> tuple[VirtualSubject, ...]:
    """The first `count` subjects of a seed; more subjects do not change the earlier ones.

    Parameters
    ----------
    count : at least 1; the first is the reference person
    seed : of `numpy.random.SeedSequence`, from which each subject has a stream of its own
    """
    streams = np.random.SeedSequence(seed).spawn(count)
    others = (
        VirtualSubject(f"subject_{i:02d}", _draw(np.random.default_rng(stream)))
        for i, stream in enumerate(streams[1:], start=1)
    )
    return (VirtualSubject("subject_00", None), *others)


def _draw(source: np.random.Generator) -> Subject:
    height = round(HEIGHT.draw(source), 3)
    mass = round(BODY_MASS_INDEX.draw(source) * height**2, 1)
    return Subject(mass=mass, height=height, strength=round(STRENGTH.draw(source), 3))


def stride_time_scale(subject: VirtualSubject) -> float:
    """Stride time relative to the reference person's at the same speed.

    Times are dynamically similar in units of the square root of leg length over gravity (Hof 1996).
    At one speed in m/s a shorter person walks faster in these units, and free cadence grows with
    speed to the power 0.42 (Grieve & Gear 1966): the exponent is (1 + 0.42) / 2. It is also what
    follows from stride length over stature being a function of speed over the square root of
    stature (Alexander 1984).
    """
    return float(subject.length_scale ** (0.5 * (1.0 + CADENCE_EXPONENT)))
