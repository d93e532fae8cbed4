"""What applied forces add up to, and how they damp the motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.equations.mechanics import Mechanics, Station
from osim_exo.compiler.symbols.expression import Expr, Exprs, cross, zeros

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MuscleDamping:
    """damping * gradient gradient^T in the velocity-implicit matrix."""

    gradient: dict[int, Expr]
    damping: Expr


@dataclass(frozen=True)
class ContactDamping:
    """How a contact force answers to the velocity of its point.

    Attributes
    ----------
    station, arm : where it acts
    normal : (3,) numbers, out of the ground
    normal_damping, tangential_damping : of the symmetric positive form, N s/m
    jacobian : (3, 3) exact derivative of minus the force by the velocity
    """

    station: Station
    arm: Exprs
    normal: Floats
    normal_damping: Expr
    tangential_damping: Expr
    jacobian: Exprs


class Loads:
    """Applied forces, summed up per body and coordinate, and how they damp the motion.

    Attributes
    ----------
    forces, couples : per rigid body, (3,) at its origin
    moments : per coordinate, generalised force
    muscles, contacts : damping for the velocity-implicit step
    coordinates : damping by column
    """

    def __init__(self, mechanics: Mechanics) -> None:
        self.mechanics = mechanics
        n = len(mechanics.bodies)
        self.forces: list[Exprs] = [zeros(3) for _ in range(n)]
        self.couples: list[Exprs] = [zeros(3) for _ in range(n)]
        self.moments: list[Expr] = [0.0] * len(mechanics.q)
        self.muscles: list[MuscleDamping] = []
        self.contacts: list[ContactDamping] = []
        self.coordinates: dict[int, Expr] = {}

    def force(self, s: Station, force: Exprs, arm: Exprs | None = None) -> None:
        """A force at a station, in the ground's axes."""
        if s.body >= 0:
            lever = self.mechanics.arm(s) if arm is None else arm
            self.forces[s.body] = self.forces[s.body] + force
            self.couples[s.body] = self.couples[s.body] + cross(lever, force)

    def moment(self, body: int, moment: Exprs) -> None:
        """A couple on a body, in the ground's axes."""
        if body >= 0:
            self.couples[body] = self.couples[body] + moment

    def generalised(self, column: int, value: Expr) -> None:
        """A generalised force on a coordinate."""
        self.moments[column] = self.moments[column] + value

    def muscle_damping(self, gradient: dict[int, Expr], damping: Expr) -> None:
        """Damping of a force along a path whose length has this gradient."""
        self.muscles.append(MuscleDamping(gradient, damping))

    def contact_damping(
        self,
        s: Station,
        arm: Exprs,
        normal: Floats,
        normal_damping: Expr,
        tangential_damping: Expr,
        jacobian: Exprs,
    ) -> None:
        """Damping of a contact force; see `ContactDamping`."""
        if s.body >= 0:
            self.contacts.append(
                ContactDamping(s, arm, normal, normal_damping, tangential_damping, jacobian)
            )

    def coordinate_damping(self, column: int, damping: Expr) -> None:
        """Damping of a coordinate by itself."""
        self.coordinates[column] = self.coordinates.get(column, 0.0) + damping
