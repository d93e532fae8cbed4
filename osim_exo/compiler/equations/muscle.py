"""The muscle model of De Groote et al. 2016 as expressions, with the numbers of OpenSim 4.6.

A muscle sees the length and lengthening speed of its path and its activation. With a rigid tendon
its force follows at once; with a compliant tendon the normalised tendon force is a state, in the
explicit form of OpenSim's DeGrooteFregly2016Muscle. All lengths are in m, forces in N.

Source: De Groote, Kinney, Rao & Fregly 2016, Ann Biomed Eng 44:2922-2936, and its supplement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from osim_exo.compiler.spec import Muscle
from osim_exo.compiler.symbols.expression import (
    Expr,
    absolute,
    clip,
    exp,
    less,
    log,
    maximum,
    select,
    sqrt,
)

GAUSSIANS = (
    (0.8150671134243542, 1.055033428970575, 0.162384573599574, 0.063303448465465),
    (0.433004984392647, 0.716775413397760, -0.029947116970696, 0.200356847296188),
    (0.1, 1.0, 0.353553390593274, 0.0),
)
"""b1 to b4 of the active force-length curve (eq. S4; b11 as OpenSim has it, for a peak of 1)."""

FORCE_VELOCITY = (-0.3211346127989808, -8.149, -0.374, 0.8825327733249912)
"""d1 to d4 of the force-velocity curve (eq. S7; through (-1, 0) and (0, 1))."""

PASSIVE_SHAPE = 4.0
SHORTEST_FIBRE = 0.2
"""Normalised fibre length at which the passive force is zero."""

TENDON_SCALE, TENDON_SHIFT = 0.2, 0.2
"""c1 and c3 of the tendon's curve; with c2 = 1 it is zero at slack length."""

TENDON_FORCE_FLOOR = -0.15
"""Least normalised tendon force that is used: at -0.2 the tendon's length is minus infinity."""

VELOCITY_EXPONENT_LIMIT = 10.0
"""Beyond this exponent, at 1300 times the largest contraction velocity, the inverse force-velocity
curve goes on straight: from a state far off equilibrium the implicit step then needs few steps
back instead of thousands, and nothing overflows."""

LEAST_STRENGTH = 1e-9
"""Least product of activation and force-length multiplier that a compliant tendon can pull on."""

LEAST_DIVISOR = 0.5
"""Lower bound of 1 - h df/dft in the tendon's implicit step, which keeps its damping positive."""


@dataclass(frozen=True)
class MuscleState:
    """What a muscle does at one instant.

    Attributes
    ----------
    tendon_force : N, pulling
    damping : derivative of the tendon force by the lengthening speed, N s/m, never negative; zero
        for a compliant tendon, whose force is a state
    fibre_length : m
    normalised_length : by optimal fibre length
    fibre_velocity : m/s, lengthening positive
    normalised_velocity : by the largest contraction velocity
    active_force : N along the fibre
    passive_force : N along the fibre, with the fibre's damping
    cos_pennation : of the angle between fibre and tendon
    force_length, force_velocity, passive : multipliers of the three curves
    """

    tendon_force: Expr
    damping: Expr
    fibre_length: Expr
    normalised_length: Expr
    fibre_velocity: Expr
    normalised_velocity: Expr
    active_force: Expr
    passive_force: Expr
    cos_pennation: Expr
    force_length: Expr
    force_velocity: Expr
    passive: Expr


@dataclass(frozen=True)
class TendonRate:
    """Rate of the normalised tendon force, and how it answers.

    Attributes
    ----------
    tendon_force : normalised, not below the floor
    rate : 1/s
    by_force : derivative of the rate by the normalised tendon force, 1/s
    by_speed : derivative of the rate by the path's lengthening speed, 1/m
    """

    tendon_force: Expr
    rate: Expr
    by_force: Expr
    by_speed: Expr


@dataclass(frozen=True)
class TendonStep:
    """One linearly implicit step of the normalised tendon force.

    The new one is ``force + gain * dv``, with dv the change of the lengthening speed in the step.

    Attributes
    ----------
    force : normalised tendon force at the end of the step if the lengthening speed stays
    gain : s/m, never negative; times the maximum isometric force it is the muscle's damping
    """

    force: Expr
    gain: Expr

    def end(self, speed_change: Expr) -> Expr:
        """Normalised tendon force at the end of the step, not below the floor."""
        return _at_least(self.force + self.gain * speed_change, TENDON_FORCE_FLOOR)


def active_force_length(muscle: Muscle, length: Expr) -> tuple[Expr, Expr]:
    """Active force-length multiplier and its derivative by the normalised fibre length."""
    width = muscle.active_force_width
    x = length / width + (1.0 - 1.0 / width)
    value: Expr = 0.0
    slope: Expr = 0.0
    for b1, b2, b3, b4 in GAUSSIANS:
        spread = b3 + b4 * x
        y = (x - b2) / spread
        bell = b1 * exp(-0.5 * (y * y))
        value = value + bell
        slope = slope - bell * y * ((b3 + b4 * b2) / width) / (spread * spread)
    return value, slope


def force_velocity(velocity: Expr) -> tuple[Expr, Expr]:
    """Force-velocity multiplier and its derivative by the normalised fibre velocity."""
    d1, d2, d3, d4 = FORCE_VELOCITY
    t = d2 * velocity + d3
    root = sqrt(t * t + 1.0)
    # asinh by its odd symmetry: log(t + root) loses all digits where t is far below zero.
    size = log(absolute(t) + root)
    return d1 * select(less(t, 0.0), -size, size) + d4, (d1 * d2) / root


def inverse_force_velocity(multiplier: Expr) -> tuple[Expr, Expr]:
    """Normalised fibre velocity of a force-velocity multiplier, and its derivative."""
    d1, d2, d3, d4 = FORCE_VELOCITY
    z = (multiplier - d4) / d1
    near = clip(z, -VELOCITY_EXPONENT_LIMIT, VELOCITY_EXPONENT_LIMIT)
    up = exp(near)
    down = 1.0 / up
    slope = 0.5 * (up + down)
    value = 0.5 * (up - down) + slope * (z - near)
    return (value - d3) / d2, slope / (d1 * d2)


def passive_force_length(muscle: Muscle, length: Expr) -> tuple[Expr, Expr]:
    """Passive multiplier and its derivative by the normalised fibre length."""
    if muscle.ignore_passive_force:
        return 0.0, 0.0
    steepness = PASSIVE_SHAPE / muscle.passive_strain
    offset = math.exp(steepness * (SHORTEST_FIBRE - 1.0))
    scale = 1.0 / (math.exp(PASSIVE_SHAPE) - offset)
    rise = scale * exp(steepness * (length - 1.0))
    return rise - scale * offset, steepness * rise


def tendon_stiffness(muscle: Muscle) -> float:
    """The shape parameter kT of the tendon's curve, from its strain at one norm force."""
    return math.log((1.0 + TENDON_SHIFT) / TENDON_SCALE) / muscle.tendon_strain


def rigid_state(
    muscle: Muscle,
    length: Expr,
    speed: Expr,
    activation: Expr,
    max_force: Expr,
    slack_length: Expr,
) -> MuscleState:
    """State of a muscle whose tendon does not stretch.

    Parameters
    ----------
    muscle : constant properties
    length, speed : of the path, m and m/s
    activation
    max_force : maximum isometric force, N
    slack_length : tendon slack length, m
    """
    fibre, cosine = _fibre(muscle, length - slack_length)
    normalised = fibre / muscle.optimal_fibre_length
    fastest = muscle.max_contraction_velocity * muscle.optimal_fibre_length
    velocity = speed * cosine
    v = velocity / fastest
    fl, _ = active_force_length(muscle, normalised)
    fp, _ = passive_force_length(muscle, normalised)
    fv, fv_slope = force_velocity(v)
    active = activation * fl * fv
    passive = fp + muscle.fibre_damping * v
    answer = activation * fl * fv_slope + muscle.fibre_damping
    return MuscleState(
        tendon_force=max_force * (active + passive) * cosine,
        damping=max_force * (cosine * cosine) * (1.0 / fastest) * answer,
        fibre_length=fibre,
        normalised_length=normalised,
        fibre_velocity=velocity,
        normalised_velocity=v,
        active_force=max_force * active,
        passive_force=max_force * passive,
        cos_pennation=cosine,
        force_length=fl,
        force_velocity=fv,
        passive=fp,
    )


def compliant_state(
    muscle: Muscle,
    length: Expr,
    speed: Expr,
    activation: Expr,
    max_force: Expr,
    slack_length: Expr,
    tendon_force: Expr,
) -> tuple[MuscleState, TendonRate]:
    """State of a muscle whose normalised tendon force is a state, and that state's rate.

    The fibre's velocity is the one at which the active force balances the tendon. As in OpenSim's
    explicit form the fibre's damping takes no part in that balance, and a state far from
    equilibrium has an enormous velocity: start from `equilibrium.tendon_force`.

    Parameters
    ----------
    muscle, length, speed, activation, max_force, slack_length : as for `rigid_state`
    tendon_force : normalised by `max_force`; below the floor the floor is used
    """
    stiffness = tendon_stiffness(muscle)
    force = _at_least(tendon_force, TENDON_FORCE_FLOOR)
    stretch = log((force + TENDON_SHIFT) * (1.0 / TENDON_SCALE)) / stiffness + 1.0
    fibre, cosine = _fibre(muscle, length - slack_length * stretch)
    normalised = fibre / muscle.optimal_fibre_length
    fastest = muscle.max_contraction_velocity * muscle.optimal_fibre_length
    fl, fl_slope = active_force_length(muscle, normalised)
    fp, fp_slope = passive_force_length(muscle, normalised)
    strength = _at_least(activation * fl, LEAST_STRENGTH)
    fv = (force / cosine - fp) / strength
    v, v_slope = inverse_force_velocity(fv)
    along = v * fastest / cosine
    spring = (stiffness / slack_length) * (force + TENDON_SHIFT)
    tendon_speed = speed - along

    # How all of this changes with the tendon force: d(tendon length)/d(force) is 1/spring.
    width = muscle.optimal_fibre_length * math.sin(muscle.pennation_at_optimal)
    by_length = -cosine / (spring * muscle.optimal_fibre_length)
    by_cosine = -(width * width) / (spring * fibre * fibre * fibre)
    fv_change = (1.0 - force * by_cosine / cosine) / cosine - fp_slope * by_length
    fv_change = (fv_change - fv * activation * fl_slope * by_length) / strength
    along_change = (v_slope * fv_change * fastest - along * by_cosine) / cosine

    state = MuscleState(
        tendon_force=max_force * force,
        damping=0.0,
        fibre_length=fibre,
        normalised_length=normalised,
        fibre_velocity=v * fastest,
        normalised_velocity=v,
        active_force=max_force * (strength * fv),
        passive_force=max_force * (fp + muscle.fibre_damping * v),
        cos_pennation=cosine,
        force_length=fl,
        force_velocity=fv,
        passive=fp,
    )
    answer = tendon_speed * (stiffness / slack_length) - along_change * spring
    return state, TendonRate(force, tendon_speed * spring, answer, spring)


def tendon_step(rate: TendonRate, step: Expr) -> TendonStep:
    """Linearly implicit step of the tendon force, with the speed's change left open.

    The answer to the changing length is left out: it is negative on the descending limb of the
    force-length curve and makes the step less stable.

    Parameters
    ----------
    rate : at the start of the step
    step : s
    """
    divisor = maximum(1.0 - step * rate.by_force, LEAST_DIVISOR)
    share = step / divisor
    return TendonStep(rate.tendon_force + share * rate.rate, share * rate.by_speed)


def _fibre(muscle: Muscle, along: Expr) -> tuple[Expr, Expr]:
    """Fibre length and cosine of pennation from the fibre's length along the tendon."""
    width = muscle.optimal_fibre_length * math.sin(muscle.pennation_at_optimal)
    if width == 0.0:
        return absolute(along), select(less(along, 0.0), -1.0, 1.0)
    fibre = sqrt(along * along + width * width)
    return fibre, along / fibre


def _at_least(x: Expr, floor: float) -> Expr:
    # Not maximum(): which of two it gives where one is NaN is open, and NaN must stay visible.
    return select(less(x, floor), floor, x)
