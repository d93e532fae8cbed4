"""A linear bushing between two frames: OpenSim's BushingForce as expressions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from osim_exo.compiler.equations.loads import Loads
from osim_exo.compiler.equations.mechanics import Mechanics
from osim_exo.compiler.spec import Bushing, Frame
from osim_exo.compiler.symbols.elementary import arctangent
from osim_exo.compiler.symbols.expression import (
    Expr,
    Exprs,
    Node,
    cross,
    derivatives,
    is_zero,
    sqrt,
    vector,
)


@dataclass(frozen=True)
class BushingState:
    """A bushing at one instant.

    Attributes
    ----------
    deflection : (6,); angles of frame 2 in frame 1, body-fixed x, y, z, rad; then its origin, m
    rate : (6,); of the deflection
    record : (12,); OpenSim's record in ground axes: force and torque on body 1, at its origin,
        then on body 2
    """

    deflection: Exprs
    rate: Exprs
    record: Exprs


def apply_bushing(bushing: Bushing, mechanics: Mechanics, loads: Loads) -> BushingState:
    """Add a bushing's forces and damping to the loads.

    Force number i is -(stiffness x deflection + damping x rate), carried to the two bodies by
    virtual work. The angles are singular where frame 2 is turned by 90 degrees about y.
    """
    one, two = mechanics.station(bushing.frame1), mechanics.station(bushing.frame2)
    axes = mechanics.rotation(bushing.frame1)
    relative = axes.T @ mechanics.rotation(bushing.frame2)
    apart = mechanics.position(two) - mechanics.position(one)
    spin = mechanics.angular_velocity(one.body)
    turning = mechanics.angular_velocity(two.body) - spin
    drifting = mechanics.velocity(two) - mechanics.velocity(one) - cross(spin, apart)

    angles, to_rates = _angles(relative)
    in_two = relative.T @ (axes.T @ turning)
    deflection = np.concatenate([angles, axes.T @ apart])
    rate = np.concatenate([to_rates @ in_two, axes.T @ drifting])
    stiffness = bushing.rotational_stiffness + bushing.translational_stiffness
    damping = bushing.rotational_damping + bushing.translational_damping
    push = vector(*(-(k * x) - c * v for k, c, x, v in zip(stiffness, damping, deflection, rate)))

    force = axes @ push[3:]
    couple = axes @ (relative @ (to_rates.T @ push[:3]))
    loads.force(two, force)
    loads.moment(two.body, couple)
    loads.force(one, -force)
    loads.moment(one.body, -couple - cross(apart, force))
    _damp(rate, damping, mechanics, loads)
    on_two = couple + cross(_lever(mechanics, bushing.frame2), force)
    on_one = -couple - cross(apart + _lever(mechanics, bushing.frame1), force)
    return BushingState(deflection, rate, np.concatenate([-force, on_one, force, on_two]))


def _angles(rotation: Exprs) -> tuple[Exprs, Exprs]:
    """Body-fixed x, y, z angles, and the matrix from angular velocity (own axes) to their rates."""
    r = rotation
    # The sum of all four squares, as Simbody has it, is exact also close to the singularity.
    squares = r[0, 0] * r[0, 0] + r[0, 1] * r[0, 1] + r[1, 2] * r[1, 2] + r[2, 2] * r[2, 2]
    level = sqrt(0.5 * squares)
    angles = vector(
        arctangent(-r[1, 2], r[2, 2]), arctangent(r[0, 2], level), arctangent(-r[0, 1], r[0, 0])
    )
    # Sine and cosine of the angles, straight from the matrix.
    sin_y, cos_z, sin_z = r[0, 2], r[0, 0] / level, -r[0, 1] / level
    rows = [
        [cos_z / level, -sin_z / level, 0.0],
        [sin_z, cos_z, 0.0],
        [-(sin_y * cos_z) / level, sin_y * sin_z / level, 1.0],
    ]
    found = np.empty((3, 3), dtype=object)
    for i in range(3):
        for j in range(3):
            found[i, j] = rows[i][j]
    return angles, found


def _damp(rate: Exprs, damping: tuple[float, ...], mechanics: Mechanics, loads: Loads) -> None:
    """One damper per deflection, with the deflection's gradient by the free speeds."""
    speeds = {k: u for k, u in enumerate(mechanics.u) if isinstance(u, Node) and u.op == "input"}
    damped = [(r, c) for r, c in zip(rate, damping) if c > 0.0]
    if not damped:
        return
    by_speed = {k: derivatives([r for r, _ in damped], u) for k, u in speeds.items()}
    for i, (_, coefficient) in enumerate(damped):
        gradient: dict[int, Expr] = {
            k: found[i] for k, found in by_speed.items() if not is_zero(found[i])
        }
        loads.muscle_damping(gradient, coefficient)


def _lever(mechanics: Mechanics, frame: Frame) -> Exprs:
    """From the origin of a frame's own body to the frame's origin, in the ground's axes."""
    here, origin = mechanics.station(frame), mechanics.station(Frame(base=frame.base))
    return np.asarray(mechanics.arm(here) - mechanics.arm(origin))
