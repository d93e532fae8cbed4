"""Activation dynamics of De Groote et al. 2016 as expressions, with the numbers of OpenSim 4.6."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from osim_exo.compiler.spec import Muscle
from osim_exo.compiler.symbols.expression import Expr, tanh

TANH_SERIES = (1.0, -1.0 / 3.0, 2.0 / 15.0, -17.0 / 315.0, 62.0 / 2835.0, -1382.0 / 155925.0)
"""Taylor coefficients of tanh(x) / x by x squared."""

SERIES_LIMIT = 0.1
"""Largest argument for which the series is exact to rounding: the next term is 4e-16 there."""


@dataclass(frozen=True)
class ActivationConstants:
    """Time constants of activation and deactivation, s, and the smoothing between them."""

    activation: float
    deactivation: float
    smoothing: float


def activation_constants(muscles: Sequence[Muscle], shared: bool) -> list[ActivationConstants]:
    """Constants of activation dynamics, one per muscle.

    Parameters
    ----------
    muscles : in the model's order
    shared : OpenSim 4.6 keeps them in function-static variables, so that the first muscle with
        activation dynamics decides for all; True repeats that, False takes each muscle's own
    """
    own = [
        ActivationConstants(m.activation_time, m.deactivation_time, m.activation_smoothing)
        for m in muscles
    ]
    if not shared:
        return own
    first = next((c for c, m in zip(own, muscles) if not m.ignore_activation_dynamics), None)
    return own if first is None else [first] * len(own)


def activation_rate(activation: Expr, excitation: Expr, constants: ActivationConstants) -> Expr:
    """Rate of activation, 1/s (De Groote et al. 2016, eqs 1 and 2); nothing is clipped."""
    gap = excitation - activation
    return _approach(activation, _rising(gap, constants), constants) * gap


def next_activation(
    activation: Expr, excitation: Expr, constants: ActivationConstants, step: Expr
) -> Expr:
    """Activation one step later; it never passes the excitation.

    The rate at which the gap to the excitation closes is taken half-way through the step, with the
    share of activation as at its start, and exp(-x) as 1 / (1 + x + x^2 / 2): nearly second order,
    stable for any step, and with no more costly functions than Euler's step.

    Parameters
    ----------
    activation, excitation : at the start of the step, and held through it
    constants
    step : s
    """
    gap = excitation - activation
    middle = middle_activation(activation, excitation, constants, step)
    decay = step * _approach(middle, _rising(gap, constants), constants)
    return excitation - gap / (1.0 + decay * (1.0 + 0.5 * decay))


def middle_activation(
    activation: Expr, excitation: Expr, constants: ActivationConstants, step: Expr
) -> Expr:
    """Activation half a step later, by the implicit Euler step; see `next_activation`."""
    gap = excitation - activation
    half = 0.5 * step * _approach(activation, _rising(gap, constants), constants)
    return excitation - gap / (1.0 + half)


def _rising(gap: Expr, constants: ActivationConstants) -> Expr:
    """Share of activation against deactivation, from 0 to 1."""
    x = constants.smoothing * gap
    if constants.smoothing > SERIES_LIMIT:
        return 0.5 + 0.5 * tanh(x)
    # The gap is at most 1, so that a few terms of the series are exact, and a third of the cost.
    square = x * x
    total: Expr = 0.0
    for term in reversed(TANH_SERIES):
        total = total * square + term
    return 0.5 + 0.5 * x * total


def _approach(activation: Expr, rising: Expr, constants: ActivationConstants) -> Expr:
    """Rate constant at which activation approaches excitation, 1/s."""
    slowing = 0.5 + 1.5 * activation
    up = rising * (1.0 / constants.activation) / slowing
    return up + (1.0 - rising) * (1.0 / constants.deactivation) * slowing
