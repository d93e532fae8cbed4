"""Metabolic power of muscles as expressions: Bhargava et al. 2004 and Umberger 2010.

The same equations and options as `osim_exo.analysis.metabolics`, which holds them as OpenSim 4.6
has them, and with values also where those divide zero by zero: at rest and on a switching point.

Sources: Bhargava, Pandy & Anderson 2004, J Biomech 37:81-88; Umberger, Gerritsen & Martin 2003,
Comput Methods Biomech Biomed Engin 6:99-111; Umberger 2010, J R Soc Interface 7:1329-1340.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from osim_exo.analysis.metabolics import MODELS, BhargavaOptions, Smoothing, UmbergerOptions
from osim_exo.compiler.equations.muscle import MuscleState
from osim_exo.compiler.spec import Muscle
from osim_exo.compiler.symbols.expression import (
    Expr,
    both,
    clip,
    cos,
    exp,
    less,
    less_equal,
    log,
    maximum,
    minimum,
    select,
    sin,
    tanh,
)
from osim_exo.errors import check_option
from osim_exo.trial import MuscleParameters

MUSCLE_DENSITY = MuscleParameters.density
"""kg/m^3"""

_TINY = 1e-16


@dataclass(frozen=True)
class MetabolicInput:
    """What both models need of one muscle.

    Attributes
    ----------
    muscle : constant properties
    state : lengths, velocities and forces
    excitation, activation : 0 to 1
    max_force : maximum isometric force, N
    mass : of the muscle, kg; `muscle_mass` gives it
    """

    muscle: Muscle
    state: MuscleState
    excitation: Expr
    activation: Expr
    max_force: Expr
    mass: Expr


@dataclass(frozen=True)
class MetabolicRates:
    """Metabolic power of one muscle, W.

    The parts are given before the minimum heat rate acts, so that `total` can exceed their sum.

    Attributes
    ----------
    total : metabolic power of the muscle
    heat : activation and maintenance heat
    shortening : shortening and lengthening heat
    work : mechanical work of the contractile element
    """

    total: Expr
    heat: Expr
    shortening: Expr
    work: Expr


def muscle_mass(muscle: Muscle, max_force: Expr) -> Expr:
    """Mass of a muscle from its force, specific tension and fibre length, kg."""
    return max_force * (MUSCLE_DENSITY * muscle.optimal_fibre_length / muscle.specific_tension)


def rate(
    model: str,
    muscle: Muscle,
    state: MuscleState,
    excitation: Expr,
    activation: Expr,
    max_force: Expr,
) -> Expr:
    """Metabolic power of a muscle by one model at its defaults, W.

    Parameters
    ----------
    model : ``bhargava2004`` or ``umberger2010``
    muscle, state, excitation, activation, max_force : as in `MetabolicInput`; the mass follows
        from the force

    Raises
    ------
    InputError
        The model is unknown.
    """
    check_option("metabolic model", model, MODELS)
    mass = muscle_mass(muscle, max_force)
    given = MetabolicInput(muscle, state, excitation, activation, max_force, mass)
    return (bhargava2004(given) if model == "bhargava2004" else umberger2010(given)).total


def bhargava2004(given: MetabolicInput, options: BhargavaOptions | None = None) -> MetabolicRates:
    """Metabolic power after Bhargava et al. 2004 (eqs 5-11, with OpenSim's constants)."""
    o = options or BhargavaOptions()
    effort, mass, velocity = o.muscle_effort_scaling_factor, given.mass, given.state.fibre_velocity
    active = effort * given.state.active_force
    slow, fast = _recruited(given.muscle, effort * given.excitation)
    length = given.state.normalised_length
    length = maximum(minimum(maximum(length, 0.5), 3.0 - 2.0 * length), 0.0)
    activation = o.activation_constants[0] * slow + o.activation_constants[1] * fast
    maintenance = o.maintenance_constants[0] * slow + o.maintenance_constants[1] * fast
    heat = mass * (activation + length * maintenance)
    moved = velocity + _TINY
    shortening = -_shortening_constant(given, active, moved, o) * moved
    work = -active * velocity
    if not o.include_negative_mechanical_work:
        work = _step(moved, work, 0.0, o.smoothing, o.velocity_smoothing, -1)
    if o.forbid_negative_total_power:
        shortening = shortening - _negative_part(heat + shortening + work, o)
    warm = heat + shortening
    if o.enforce_minimum_heat_rate_per_muscle:
        warm = _at_least(warm, mass, o)
    return MetabolicRates(warm + work, heat, shortening, work)


def umberger2010(given: MetabolicInput, options: UmbergerOptions | None = None) -> MetabolicRates:
    """Metabolic power after Umberger et al. 2003 with the changes of Umberger 2010."""
    o = options or UmbergerOptions()
    effort, mass, muscle = o.muscle_effort_scaling_factor, given.mass, given.muscle
    excitation, activation = effort * given.excitation, effort * given.activation
    mean = 0.5 * (excitation + activation)
    scale = select(less(activation, excitation), excitation, mean)
    stretched = less(1.0, given.state.normalised_length)
    slow = _slow_share(muscle, excitation, o)

    heat = o.aerobic_factor * exp(0.6 * log(scale)) * (128.0 * (1.0 - slow) + 25.0)
    heat = heat * select(stretched, 0.4 + 0.6 * given.state.force_length, 1.0)

    velocity = given.state.fibre_velocity / muscle.optimal_fibre_length
    still_or_shorter = less_equal(velocity, 0.0)
    slow_constant = 100.0 / (muscle.max_contraction_velocity / 2.5)
    fast_constant = 153.0 / muscle.max_contraction_velocity
    inward = minimum(-slow_constant * velocity, 100.0) * slow
    inward = scale * scale * (inward - fast_constant * velocity * (1.0 - slow))
    outward = (4.0 if o.include_negative_mechanical_work else 0.3) * slow_constant
    outward = scale * (outward * velocity)
    shortening = o.aerobic_factor * select(still_or_shorter, inward, outward)
    shortening = shortening * select(stretched, given.state.force_length, 1.0)

    pulling = maximum(effort * given.state.active_force, 0.0)
    work = -pulling * given.state.fibre_velocity / mass
    if not o.include_negative_mechanical_work:
        work = select(still_or_shorter, work, 0.0)
    if o.forbid_negative_total_power:
        shortening = shortening - minimum(heat + shortening + work, 0.0)
    warm = heat + shortening
    if o.enforce_minimum_heat_rate_per_muscle:
        warm = maximum(warm, 1.0)
    return MetabolicRates(mass * (warm + work), mass * heat, mass * shortening, mass * work)


def _recruited(muscle: Muscle, excitation: Expr) -> tuple[Expr, Expr]:
    """Excited share of slow and of fast fibres (Bhargava et al. 2004, eqs 3 and 4)."""
    quarter, share = (0.5 * math.pi) * excitation, muscle.slow_fraction
    return share * sin(quarter), (1.0 - share) * (1.0 - cos(quarter))


def _slow_share(muscle: Muscle, excitation: Expr, options: UmbergerOptions) -> Expr:
    if not options.use_bhargava_recruitment_model:
        return muscle.slow_fraction
    slow, fast = _recruited(muscle, excitation)
    total = slow + fast
    share = slow / select(_is_zero(total), 1.0, total)
    return select(_is_zero(excitation), 1.0, share)


def _is_zero(x: Expr) -> Any:
    return both(less_equal(x, 0.0), less_equal(0.0, x))


def _shortening_constant(
    given: MetabolicInput, active: Expr, moved: Expr, o: BhargavaOptions
) -> Expr:
    total = active + given.state.passive_force
    if not o.use_force_dependent_shortening_prop_constant:
        return _step(moved, 0.25 * total, 0.0, o.smoothing, o.velocity_smoothing, -1)
    activation = o.muscle_effort_scaling_factor * given.activation
    isometric = activation * given.state.force_length * given.max_force
    smoothing: Smoothing = "none" if o.smoothing == "none" else "tanh"
    inward, outward = 0.16 * isometric + 0.18 * total, 0.157 * total
    return _step(moved, inward, outward, smoothing, o.velocity_smoothing, -1)


def _negative_part(power: Expr, o: BhargavaOptions) -> Expr:
    if o.smoothing == "none":
        return minimum(power, 0.0)
    return _step(-power, 0.0, power, o.smoothing, o.power_smoothing, 1, slope=-1.0)


def _at_least(heat: Expr, least: Expr, o: BhargavaOptions) -> Expr:
    if o.smoothing == "none":
        return maximum(heat, least)
    return _step(least - heat, heat, least, o.smoothing, o.heat_rate_smoothing, 1, slope=1.0)


def _step(
    condition: Expr,
    left: Expr,
    right: Expr,
    smoothing: Smoothing,
    steepness: float,
    direction: int,
    slope: Expr | None = None,
) -> Expr:
    """`left` where the condition is not positive, else `right`; smoothed as OpenSim does it.

    `slope` is (right - left) / condition where that is known, also at a condition of zero.
    """
    if smoothing == "none":
        return select(less_equal(condition, 0.0), left, right)
    if smoothing == "tanh":
        return left + (right - left) * (0.5 + 0.5 * tanh(steepness * condition))
    offset = left if direction == 1 else right
    y = (steepness * direction) * condition + 0.5
    inside = clip(y, 0.0, 1.0)
    ramp = 0.5 * (inside * inside) + maximum(y - 1.0, 0.0)
    inner = (ramp + offset) / steepness + offset * (1.0 - 1.0 / steepness)
    return ((right - left) / condition if slope is None else slope) * inner
