"""Quantities of a compiled model beside its motion: forces, energies, ground reaction, sensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from osim_exo import names
from osim_exo.compiler.equations import metabolics, step
from osim_exo.compiler.equations.contact import ground_reaction
from osim_exo.compiler.symbols.expression import Expr, Exprs, constants, cross, dot, zeros
from osim_exo.errors import InputError

if TYPE_CHECKING:
    from osim_exo.compiler.equations.model import Equations, Instant

Output = Callable[["Equations", "Instant"], "Sequence[Expr] | Exprs"]


def select(equations: Equations, instant: Instant, wanted: Sequence[str]) -> dict[str, Exprs]:
    """The wanted quantities as output groups; an `InputError` lists all where one is unknown."""
    unknown = [name for name in wanted if name not in OUTPUTS]
    if unknown:
        raise InputError(
            f"Unknown quantities {', '.join(unknown)}. There are: {', '.join(OUTPUTS)}."
        )
    return {name: constants_or(OUTPUTS[name](equations, instant)) for name in wanted}


def constants_or(values: Sequence[Expr] | Exprs) -> Exprs:
    """An array of expressions from any sequence of them."""
    found = zeros(len(values))
    found[:] = list(values)
    return found


def _of_muscle(attribute: str) -> Output:
    def values(equations: Equations, instant: Instant) -> list[Expr]:
        return [getattr(m, attribute) for m in instant.muscles]

    return values


def _muscle_lengths(equations: Equations, instant: Instant) -> list[Expr]:
    return [p.length for p in instant.paths]


def _muscle_speeds(equations: Equations, instant: Instant) -> list[Expr]:
    return [p.speed(instant.mechanics.u) for p in instant.paths]


def _path_excess(equations: Equations, instant: Instant) -> list[Expr]:
    return [p.excess for p in instant.paths]


def _muscle_powers(equations: Equations, instant: Instant) -> list[Expr]:
    """Power that muscles give to the skeleton through their tendons, W."""
    u = instant.mechanics.u
    return [-m.tendon_force * p.speed(u) for m, p in zip(instant.muscles, instant.paths)]


def _muscle_moments(equations: Equations, instant: Instant) -> list[Expr]:
    total: list[Expr] = [0.0] * len(equations.layout.coordinates)
    for muscle, path in zip(instant.muscles, instant.paths):
        for column, arm in path.pull.items():
            total[column] = total[column] - muscle.tendon_force * arm
    return total


def _passive_moments(equations: Equations, instant: Instant) -> list[Expr]:
    return list(instant.passive_moments)


def _contact_forces(equations: Equations, instant: Instant) -> list[Expr]:
    return [x for contact in instant.contacts for x in contact.force]


def _contact_sliding(equations: Equations, instant: Instant) -> list[Expr]:
    return [x for contact in instant.contacts for x in contact.sliding]


def _grf(equations: Equations, instant: Instant) -> list[Expr]:
    """Force, then moment about the ground's origin, of the right and of the left foot."""
    found: list[Expr] = []
    for side in names.SIDES:
        own = [
            state
            for contact, state in zip(equations.spec.contacts, instant.contacts)
            if names.side(contact.name) == side
        ]
        found += list(ground_reaction(own))
    return found


def _rates(model: str) -> Output:
    def values(equations: Equations, instant: Instant) -> list[Expr]:
        return [
            metabolics.rate(model, muscle, state, excitation, activation, force)
            for muscle, state, excitation, activation, force in zip(
                equations.spec.muscles,
                instant.muscles,
                instant.excitations,
                instant.activations,
                equations.max_force,
            )
        ]

    return values


def _total_mass(equations: Equations, instant: Instant) -> Expr:
    """Mass of all bodies, kg; as in OpenSim also of those that are welded to the ground."""
    total: Expr = 0.0
    for body in instant.mechanics.bodies:
        total = total + body.mass
    for part in equations.topology.grounded:
        total = total + equations.spec.bodies[part.body].mass
    return total


def _mass_centre(equations: Equations, instant: Instant) -> Exprs:
    total = zeros(3)
    for body in instant.mechanics.bodies:
        total = total + body.mass * body.position + body.moment
    for part in equations.topology.grounded:
        body_spec, place = equations.spec.bodies[part.body], part.place
        centre = place.rotation @ np.array(body_spec.mass_centre) + place.translation
        total = total + constants(body_spec.mass * centre)
    return np.asarray(total * (1.0 / _total_mass(equations, instant)))


def _momentum(equations: Equations, instant: Instant) -> Exprs:
    total = zeros(3)
    for body in instant.mechanics.bodies:
        total = total + body.mass * body.velocity + cross(body.angular_velocity, body.moment)
    return total


def _mass_centre_velocity(equations: Equations, instant: Instant) -> Exprs:
    momentum = _momentum(equations, instant)
    return np.asarray(momentum * (1.0 / _total_mass(equations, instant)))


def _kinetic_energy(equations: Equations, instant: Instant) -> list[Expr]:
    total: Expr = 0.0
    for body in instant.mechanics.bodies:
        v, w = body.velocity, body.angular_velocity
        total = total + 0.5 * body.mass * dot(v, v) + dot(v, cross(w, body.moment))
        total = total + 0.5 * dot(w, body.inertia @ w)
    return [total]


def _potential_energy(equations: Equations, instant: Instant) -> list[Expr]:
    total: Expr = 0.0
    for body in instant.mechanics.bodies:
        total = total - dot(instant.mechanics.gravity, body.mass * body.position + body.moment)
    return [total]


def _imu(equations: Equations, instant: Instant) -> list[Expr]:
    """Per unit: specific force x, y, z, m/s^2, and angular rate x, y, z, rad/s, in its own axes."""
    mechanics = instant.mechanics
    if not equations.options.imus:
        return []
    accelerations = mechanics.accelerations(step.speed_rates(mechanics, instant.loads))
    found: list[Expr] = []
    for imu in equations.options.imus:
        station = mechanics.station(imu.frame)
        axes = mechanics.rotation(imu.frame)
        if station.body < 0:
            raise InputError(f"The IMU '{imu.name}' is on the ground; put it on a body.")
        arm = mechanics.arm(station)
        w = mechanics.angular_velocity(station.body)
        angular, linear = accelerations[station.body]
        specific = linear + cross(angular, arm) + cross(w, cross(w, arm))
        found += [*(axes.T @ specific), *(axes.T @ w)]
    return found


OUTPUTS: dict[str, Output] = {
    "muscle_length": _muscle_lengths,
    "muscle_speed": _muscle_speeds,
    "muscle_power": _muscle_powers,
    "fibre_length": _of_muscle("fibre_length"),
    "normalised_fibre_length": _of_muscle("normalised_length"),
    "fibre_velocity": _of_muscle("fibre_velocity"),
    "tendon_force": _of_muscle("tendon_force"),
    "active_fibre_force": _of_muscle("active_force"),
    "passive_fibre_force": _of_muscle("passive_force"),
    "force_length": _of_muscle("force_length"),
    "path_excess": _path_excess,
    "muscle_moment": _muscle_moments,
    "passive_moment": _passive_moments,
    "contact_force": _contact_forces,
    "contact_sliding": _contact_sliding,
    "grf": _grf,
    "bhargava2004": _rates("bhargava2004"),
    "umberger2010": _rates("umberger2010"),
    "mass_centre": _mass_centre,
    "mass_centre_velocity": _mass_centre_velocity,
    "momentum": _momentum,
    "kinetic_energy": _kinetic_energy,
    "potential_energy": _potential_energy,
    "imu": _imu,
}
"""What a compiled model can tell of a state.

Per muscle: lengths in m, speeds in m/s (lengthening positive), forces in N, powers and metabolic
rates in W. Per coordinate: moments in Nm. ``contact_force`` (N) and ``contact_sliding`` (m/s, along
the ground) per contact, ``grf`` per foot (right,
left): force in N, then moment about the ground's origin in Nm. Energies in J. ``imu`` per unit.
"""
