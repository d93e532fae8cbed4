"""Contact of a sphere with the ground: OpenSim's SmoothSphereHalfSpaceForce as expressions.

Hertz stiffness and Hunt-Crossley dissipation, made smooth, with friction that is smooth in the
slip velocity (Serrancoli et al. 2019, IEEE Trans Neural Syst Rehabil Eng 27:1597-1605).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.equations.loads import Loads
from osim_exo.compiler.equations.mechanics import Mechanics, Station
from osim_exo.compiler.spec import Contact, Frame
from osim_exo.compiler.symbols.expression import (
    Expr,
    Exprs,
    constants,
    cross,
    dot,
    less,
    maximum,
    minimum,
    select,
    sqrt,
    tanh,
    vector,
)
from osim_exo.errors import ModelError

ZERO_COMPONENT = 1e-12
"""Components of the normal below this are rounding of the rotation that turned it."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ContactState:
    """A contact at one instant; vectors in the ground's axes.

    Attributes
    ----------
    force : (3,); on the sphere's body, N
    point : (3,); where it acts, half-way into the indentation, m
    ground_moment : (3,); of the force about the ground's origin, N m
    sphere_moment : (3,); of the force about the origin of the sphere's body, N m
    indentation : m; negative above the ground
    normal_force : N; along the ground's normal
    sliding : (3,); velocity along the ground where the force acts, m/s
    """

    force: Exprs
    point: Exprs
    ground_moment: Exprs
    sphere_moment: Exprs
    indentation: Expr
    normal_force: Expr
    sliding: Exprs

    @property
    def record(self) -> Exprs:
        """The twelve numbers of OpenSim's record, (12,).

        Force and torque on the sphere's body, then on the half space's.
        """
        return np.concatenate([self.force, self.sphere_moment, -self.force, -self.ground_moment])


@dataclass(frozen=True)
class _Law:
    """Forces of a contact and their derivatives.

    Attributes
    ----------
    normal : N, out of the ground
    normal_slope : by the velocity into the ground, N s/m
    drag : friction force over slip speed, N s/m
    drag_slope : change of the drag with the slip speed, over the slip speed, N s^3/m^3
    drag_share : change of the drag with the normal force, s/m
    """

    normal: Expr
    normal_slope: Expr
    drag: Expr
    drag_slope: Expr
    drag_share: Expr


def apply_contact(
    contact: Contact,
    mechanics: Mechanics,
    loads: Loads,
    stiffness_scale: Expr = 1.0,
    friction_scale: Expr = 1.0,
) -> ContactState:
    """Add a contact's force and damping to the loads.

    Parameters
    ----------
    contact : of the model's spec
    mechanics, loads
    stiffness_scale : factor on the contact's stiffness
    friction_scale : factor on its three friction coefficients

    Raises
    ------
    ModelError
        The half space is not fixed to the ground, or the sphere is.
    """
    inward, origin = _half_space(contact, mechanics)
    into = constants(inward)
    centre = mechanics.station(contact.sphere)
    if centre.body < 0:
        raise ModelError(
            f"The sphere of the contact '{contact.name}' is fixed to the ground. Put it on a body "
            "that moves, or remove the contact."
        )
    position = mechanics.position(centre)
    indentation = dot(position - origin, into) + contact.radius
    reach = into * (contact.radius - 0.5 * indentation)
    arm = mechanics.arm(centre) + reach
    velocity = mechanics.velocity(centre, arm)
    closing = dot(velocity, into)
    sliding = velocity - closing * into
    law = _law(contact, indentation, closing, sliding, stiffness_scale, friction_scale)
    force = -(law.normal * into) - law.drag * sliding
    loads.force(centre, force, arm)
    loads.contact_damping(
        centre,
        arm,
        -inward,
        maximum(law.normal_slope, 0.0),
        law.drag,
        _jacobian(law, into, sliding),
    )
    own = mechanics.arm(mechanics.station(Frame(base=contact.sphere.base)))
    point = position + reach
    return ContactState(
        force=force,
        point=point,
        ground_moment=cross(point, force),
        sphere_moment=cross(arm - own, force),
        indentation=indentation,
        normal_force=law.normal,
        sliding=sliding,
    )


def ground_reaction(contacts: list[ContactState]) -> Exprs:
    """Force of the ground on a foot and its moment about the ground's origin, (6,); N and N m."""
    total = vector(*[0.0] * 6)
    for contact in contacts:
        total = total + np.concatenate([contact.force, contact.ground_moment])
    return total


def _half_space(contact: Contact, mechanics: Mechanics) -> tuple[Floats, Exprs]:
    """Unit vector into the ground and a point of its surface."""
    station: Station = mechanics.station(contact.half_space)
    if station.body >= 0:
        raise ModelError(
            f"The half space of the contact '{contact.name}' is on '{contact.half_space.base}'. "
            "Only a half space that is fixed to the ground can be compiled: put the half space on "
            "the ground and the spheres on the bodies."
        )
    inward = mechanics.rotation(contact.half_space)[:, 0].astype(float)
    inward[np.abs(inward) < ZERO_COMPONENT] = 0.0
    return inward / np.linalg.norm(inward), station.location


def _law(
    contact: Contact,
    indentation: Expr,
    closing: Expr,
    sliding: Exprs,
    stiffness_scale: Expr,
    friction_scale: Expr,
) -> _Law:
    # Hertz: 4/3 k sqrt(R k) with k = K^(2/3) / 2, so that the force is linear in K.
    stiffness = 4.0 / 3.0 * 0.5**1.5 * contact.radius**0.5 * contact.stiffness
    depth = sqrt(indentation * indentation + contact.constant_contact_force)
    elastic = stiffness_scale * stiffness * (depth * sqrt(depth))
    elastic = elastic * (0.5 + 0.5 * tanh(contact.hertz_smoothing * indentation))
    normal, normal_slope = elastic, 0.0
    if contact.dissipation > 0.0:
        loss, steepness = 1.5 * contact.dissipation, contact.hunt_crossley_smoothing
        step = tanh(steepness * (closing + 1.0 / loss))
        gate = 0.5 + 0.5 * step
        gate_slope = (0.5 * steepness) * (1.0 - step * step)
        growth = 1.0 + loss * closing
        normal = elastic * growth * gate
        normal_slope = elastic * (loss * gate + growth * gate_slope)
    slip = sqrt(dot(sliding, sliding) + contact.constant_contact_force)
    friction, friction_slope = _friction(contact, slip)
    share = friction_scale * friction / slip
    share_slope = friction_scale * (friction_slope - friction / slip) / slip
    return _Law(
        normal=normal,
        normal_slope=normal_slope,
        drag=normal * share,
        drag_slope=normal * share_slope / slip,
        drag_share=share,
    )


def _friction(contact: Contact, slip: Expr) -> tuple[Expr, Expr]:
    """Coefficient of friction at a slip speed and its derivative."""
    ratio = slip / contact.transition_velocity
    dynamic, extra = contact.dynamic_friction, contact.static_friction - contact.dynamic_friction
    bump = 1.0 / (1.0 + ratio * ratio)
    level = dynamic + 2.0 * extra * bump
    level_slope = -4.0 * extra * ratio * bump * bump
    start = minimum(ratio, 1.0)
    start_slope = select(less(ratio, 1.0), 1.0, 0.0)
    value = start * level + contact.viscous_friction * slip
    slope = (start_slope * level + start * level_slope) / contact.transition_velocity
    return value, slope + contact.viscous_friction


def _jacobian(law: _Law, into: Exprs, sliding: Exprs) -> Exprs:
    """Derivative of minus the force by the velocity of its point, (3, 3)."""
    normal = np.outer(into, into)
    flat = constants(np.eye(3)) - normal
    faster = law.drag_slope * np.outer(sliding, sliding)
    harder = law.drag_share * law.normal_slope * np.outer(sliding, into)
    return np.asarray(law.normal_slope * normal + law.drag * flat + faster + harder)
