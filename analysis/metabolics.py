"""Metabolic power of muscles after Bhargava et al. 2004 and Umberger 2010, as OpenSim has them.

Both models see the same muscle states. Their equations, options and defaults are those of OpenSim
4.6 (Bhargava2004SmoothedMuscleMetabolics, Bhargava2004MuscleMetabolicsProbe and
Umberger2010MuscleMetabolicsProbe); tests hold them equal to OpenSim's outputs.

Sources: Bhargava, Pandy & Anderson 2004, J Biomech 37:81-88; Umberger, Gerritsen & Martin 2003,
Comput Methods Biomech Biomed Engin 6:99-111; Umberger 2010, J R Soc Interface 7:1329-1340; Uchida
et al. 2016, PLoS ONE 11:e0150378.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from osim_exo.errors import DataError, InputError, check_option
from osim_exo.trial import Array, Channels, MuscleParameters, Trial

Smoothing = Literal["none", "tanh", "huber"]

MODELS = ("bhargava2004", "umberger2010")
"""The two metabolic models, in the order of every table."""

BASAL_COEFFICIENT = 1.2
"""Basal rate per kilogram of body mass, W/kg (Umberger et al. 2003; OpenSim's default)."""

BASAL_EXPONENT = 1.0
"""Power of body mass in the basal rate (OpenSim's default)."""

_GAUSSIANS = (
    (0.8150671134243542, 1.055033428970575, 0.162384573599574, 0.063303448465465),
    (0.433004984392647, 0.716775413397760, -0.029947116970696, 0.200356847296188),
    (0.1, 1.0, 0.353553390593274, 0.0),
)


@dataclass(frozen=True)
class BhargavaOptions:
    """Options of the Bhargava 2004 model; names and defaults are OpenSim's.

    Attributes
    ----------
    smoothing : ``none`` (the default), ``tanh`` or ``huber`` as OpenSim's smoothed component
    velocity_smoothing, power_smoothing, heat_rate_smoothing : steepness of the smoothed steps
    use_force_dependent_shortening_prop_constant : shortening heat after Bhargava (True) or after
        Anderson 1999 (False)
    include_negative_mechanical_work : lengthening fibres give work back
    forbid_negative_total_power : raise the shortening heat until a muscle's power is not negative
    enforce_minimum_heat_rate_per_muscle : heat of at least 1 W per kilogram of muscle
    muscle_effort_scaling_factor : multiplies excitations, activations and active forces
    activation_constants, maintenance_constants : W/kg of slow and of fast fibres
    """

    smoothing: Smoothing = "none"
    velocity_smoothing: float = 10.0
    power_smoothing: float = 10.0
    heat_rate_smoothing: float = 10.0
    use_force_dependent_shortening_prop_constant: bool = False
    include_negative_mechanical_work: bool = True
    forbid_negative_total_power: bool = True
    enforce_minimum_heat_rate_per_muscle: bool = True
    muscle_effort_scaling_factor: float = 1.0
    activation_constants: tuple[float, float] = (40.0, 133.0)
    maintenance_constants: tuple[float, float] = (74.0, 111.0)

    def __post_init__(self) -> None:
        check_option("smoothing", self.smoothing, ("none", "tanh", "huber"))


@dataclass(frozen=True)
class UmbergerOptions:
    """Options of the Umberger 2010 model; names and defaults are OpenSim's.

    Attributes
    ----------
    aerobic_factor : 1.0 for mainly anaerobic, 1.5 for mainly aerobic activity
    use_bhargava_recruitment_model : slow-twitch share follows the excitation (Bhargava 2004)
    include_negative_mechanical_work, forbid_negative_total_power,
    enforce_minimum_heat_rate_per_muscle, muscle_effort_scaling_factor : as in `BhargavaOptions`
    """

    aerobic_factor: float = 1.5
    use_bhargava_recruitment_model: bool = True
    include_negative_mechanical_work: bool = True
    forbid_negative_total_power: bool = True
    enforce_minimum_heat_rate_per_muscle: bool = True
    muscle_effort_scaling_factor: float = 1.0


@dataclass(frozen=True)
class MuscleStates:
    """What both models need, vectorised: every array is (n_time, n_muscle).

    Attributes
    ----------
    excitations, activations : 0 to 1
    fibre_lengths : normalised by optimal fibre length
    fibre_velocities : m/s, lengthening positive
    active_fibre_forces, passive_fibre_forces : N along the fibre; fibre damping is passive
    force_length : active force-length multiplier
    parameters : one per muscle
    """

    excitations: Array
    activations: Array
    fibre_lengths: Array
    fibre_velocities: Array
    active_fibre_forces: Array
    passive_fibre_forces: Array
    force_length: Array
    parameters: tuple[MuscleParameters, ...]

    def each(self, name: str) -> Array:
        """One parameter of all muscles, shape (n_muscle,)."""
        return np.array([getattr(p, name) for p in self.parameters], dtype=float)

    def scaled(self, effort: float) -> MuscleStates:
        """The same states with effort scaled: excitations, activations and active forces."""
        return replace(
            self,
            excitations=effort * self.excitations,
            activations=effort * self.activations,
            active_fibre_forces=effort * self.active_fibre_forces,
        )


@dataclass(frozen=True)
class MuscleRates:
    """Metabolic power per muscle, W; every array is (n_time, n_muscle).

    The parts are given before the minimum heat rate acts, so that `total` can exceed their sum.

    Attributes
    ----------
    total : metabolic power of the muscle
    heat : activation and maintenance heat
    shortening : shortening and lengthening heat
    work : mechanical work of the contractile element
    """

    total: Array
    heat: Array
    shortening: Array
    work: Array


def active_force_length(fibre_lengths: Array) -> Array:
    """Active force-length multiplier of De Groote et al. 2016 (eq. S4, OpenSim's constants)."""
    x = np.asarray(fibre_lengths, dtype=float)
    return np.asarray(
        sum(b1 * np.exp(-0.5 * (x - b2) ** 2 / (b3 + b4 * x) ** 2) for b1, b2, b3, b4 in _GAUSSIANS)
    )


def muscle_states(trial: Trial) -> MuscleStates:
    """The muscle states of a trial, in the order of its activations.

    The force-length multiplier is De Groote et al. 2016's, from the normalised fibre lengths.

    Raises
    ------
    DataError
        A series or a muscle's parameters are missing; the message names them.
    """
    names = trial.activations.names
    lacking = [s for s in _NEEDED if not set(names) <= set(getattr(trial, s).names)]
    unknown = [n for n in names if n not in trial.info.muscles]
    if not names or lacking or unknown:
        raise DataError(
            f"Trial '{trial.info.name}' lacks what metabolic models need: "
            f"{', '.join(lacking or ('parameters of ' + ', '.join(unknown or ['muscles']),))}. "
            "Record these series for every muscle with activation."
        )
    arrays = {s: getattr(trial, s).select(names).values for s in _NEEDED}
    return MuscleStates(
        **arrays,
        force_length=active_force_length(arrays["fibre_lengths"]),
        parameters=tuple(trial.info.muscles[n] for n in names),
    )


_NEEDED = (
    "excitations",
    "activations",
    "fibre_lengths",
    "fibre_velocities",
    "active_fibre_forces",
    "passive_fibre_forces",
)


def bhargava2004(states: MuscleStates, options: BhargavaOptions | None = None) -> MuscleRates:
    """Metabolic power after Bhargava et al. 2004 (eqs 5-11, with OpenSim's constants)."""
    o = options or BhargavaOptions()
    states = states.scaled(o.muscle_effort_scaling_factor)
    mass, velocity = states.each("mass"), states.fibre_velocities
    slow, fast = _recruited(states)
    length = np.interp(states.fibre_lengths, (0.0, 0.5, 1.0, 1.5, 10.0), (0.5, 0.5, 1.0, 0.0, 0.0))
    activation = o.activation_constants[0] * slow + o.activation_constants[1] * fast
    maintenance = o.maintenance_constants[0] * slow + o.maintenance_constants[1] * fast
    heat = mass * (activation + length * maintenance)
    shortening = -_shortening_constant(states, o) * (velocity + _TINY)
    work = -states.active_fibre_forces * velocity
    if not o.include_negative_mechanical_work:
        work = _step(velocity + _TINY, work, 0.0, o.smoothing, o.velocity_smoothing, -1)
    if o.forbid_negative_total_power:
        power = heat + shortening + work
        shortening = shortening - _negative_part(power, o)
    warm = heat + shortening
    if o.enforce_minimum_heat_rate_per_muscle:
        warm = _at_least(warm, mass, o)
    return MuscleRates(warm + work, heat, shortening, work)


def umberger2010(states: MuscleStates, options: UmbergerOptions | None = None) -> MuscleRates:
    """Metabolic power after Umberger et al. 2003 with the changes of Umberger 2010."""
    o = options or UmbergerOptions()
    states = states.scaled(o.muscle_effort_scaling_factor)
    mass, optimal = states.each("mass"), states.each("optimal_fibre_length")
    excitation, activation = states.excitations, states.activations
    scale = np.where(excitation > activation, excitation, (excitation + activation) / 2)
    stretched = states.fibre_lengths > 1.0
    slow = _slow_share(states, o)

    heat = o.aerobic_factor * scale**0.6 * (128.0 * (1.0 - slow) + 25.0)
    heat = heat * np.where(stretched, 0.4 + 0.6 * states.force_length, 1.0)

    velocity = states.fibre_velocities / optimal
    vmax = states.each("max_contraction_velocity")
    slow_constant, fast_constant = 100.0 / (vmax / 2.5), 153.0 / vmax
    inward = np.minimum(-slow_constant * velocity, 100.0) * slow
    inward = scale**2 * (inward - fast_constant * velocity * (1.0 - slow))
    outward = (4.0 if o.include_negative_mechanical_work else 0.3) * slow_constant * velocity
    shortening = o.aerobic_factor * np.where(velocity <= 0, inward, scale * outward)
    shortening = shortening * np.where(stretched, states.force_length, 1.0)

    work = -np.maximum(states.active_fibre_forces, 0.0) * states.fibre_velocities / mass
    if not o.include_negative_mechanical_work:
        work = np.where(velocity <= 0, work, 0.0)
    if o.forbid_negative_total_power:
        shortening = shortening - np.minimum(heat + shortening + work, 0.0)
    warm = heat + shortening
    if o.enforce_minimum_heat_rate_per_muscle:
        warm = np.maximum(warm, 1.0)
    return MuscleRates(mass * (warm + work), mass * heat, mass * shortening, mass * work)


def muscle_rates(
    trial: Trial,
    model: str,
    options: BhargavaOptions | UmbergerOptions | None = None,
) -> MuscleRates:
    """Metabolic power per muscle of a trial, columns in the order of its activations, W.

    Parameters
    ----------
    trial : with the six muscle series and the muscles' parameters
    model : ``bhargava2004`` or ``umberger2010``
    options : of that model; OpenSim's defaults when left out
    """
    check_option("metabolic model", model, MODELS)
    states = muscle_states(trial)
    if model == "bhargava2004" and (options is None or isinstance(options, BhargavaOptions)):
        return bhargava2004(states, options)
    if model == "umberger2010" and (options is None or isinstance(options, UmbergerOptions)):
        return umberger2010(states, options)
    raise InputError(f"{type(options).__name__} are not options of {model}.")


def with_metabolic_rates(trial: Trial) -> Trial:
    """The same trial with the muscles' metabolic rates by both models, at their defaults."""
    names = [f"{model}/{muscle}" for model in MODELS for muscle in trial.activations.names]
    values = [muscle_rates(trial, model).total for model in MODELS]
    return replace(trial, metabolic_rates=Channels(tuple(names), np.concatenate(values, axis=1)))


def basal_rate(
    body_mass: float, coefficient: float = BASAL_COEFFICIENT, exponent: float = BASAL_EXPONENT
) -> float:
    """Basal metabolic power, W: ``coefficient * body_mass ** exponent``.

    `body_mass` is the body's alone: the basal rate does not change when a device is worn. OpenSim's
    own components take the mass of the whole model, device included.
    """
    if not (math.isfinite(body_mass) and body_mass > 0):
        raise InputError(f"A body mass of {body_mass} kg was given; it must be positive.")
    return float(coefficient * body_mass**exponent)


_TINY = 1e-16


def _recruited(states: MuscleStates) -> tuple[Array, Array]:
    """Excited share of slow and of fast fibres (Bhargava et al. 2004, eqs 3 and 4)."""
    quarter = 0.5 * np.pi * states.excitations
    share = states.each("slow_fraction")
    return share * np.sin(quarter), (1.0 - share) * (1.0 - np.cos(quarter))


def _slow_share(states: MuscleStates, options: UmbergerOptions) -> Array:
    if not options.use_bhargava_recruitment_model:
        return np.broadcast_to(states.each("slow_fraction"), states.excitations.shape)
    slow, fast = _recruited(states)
    both = slow + fast
    return np.where(states.excitations == 0, 1.0, slow / np.where(both == 0, 1.0, both))


def _shortening_constant(states: MuscleStates, o: BhargavaOptions) -> Array:
    total = states.active_fibre_forces + states.passive_fibre_forces
    velocity = states.fibre_velocities + _TINY
    if not o.use_force_dependent_shortening_prop_constant:
        return _step(velocity, 0.25 * total, 0.0, o.smoothing, o.velocity_smoothing, -1)
    strongest = states.each("max_isometric_force")
    isometric = states.activations * states.force_length * strongest
    smoothing: Smoothing = "none" if o.smoothing == "none" else "tanh"
    inward, outward = 0.16 * isometric + 0.18 * total, 0.157 * total
    return _step(velocity, inward, outward, smoothing, o.velocity_smoothing, -1)


def _negative_part(power: Array, o: BhargavaOptions) -> Array:
    if o.smoothing == "none":
        return np.minimum(power, 0.0)
    return _step(-power, 0.0, power, o.smoothing, o.power_smoothing, 1)


def _at_least(heat: Array, least: Array, o: BhargavaOptions) -> Array:
    if o.smoothing == "none":
        return np.maximum(heat, least)
    return _step(least - heat, heat, least, o.smoothing, o.heat_rate_smoothing, 1)


def _step(
    condition: Array,
    left: Array | float,
    right: Array | float,
    smoothing: Smoothing,
    steepness: float,
    direction: int,
) -> Array:
    """`left` where the condition is not positive, else `right`; smoothed as OpenSim does it."""
    if smoothing == "none":
        return np.where(condition <= 0, left, right)
    if smoothing == "tanh":
        return left + (right - left) * (0.5 + 0.5 * np.tanh(steepness * condition))
    offset = left if direction == 1 else right
    y = steepness * direction * condition + 0.5
    ramp = np.where(y < 0, 0.0, np.where(y <= 1, 0.5 * y * y, y - 0.5))
    inner = (ramp + offset) / steepness + offset * (1.0 - 1.0 / steepness)
    return np.asarray((right - left) / condition * inner)
