"""Tendon forces from which compliant muscles can start: fibre and tendon in balance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.equations.muscle import (
    FORCE_VELOCITY,
    GAUSSIANS,
    PASSIVE_SHAPE,
    SHORTEST_FIBRE,
    TENDON_SCALE,
    TENDON_SHIFT,
    tendon_stiffness,
)
from osim_exo.compiler.spec import Muscle
from osim_exo.errors import InputError

Array = npt.NDArray[np.float64]

LARGEST = 5.0
"""Largest normalised tendon force that is looked for, as in OpenSim."""

ITERATIONS = 60
"""Halvings of the interval: 5 becomes smaller than the last digit."""


def tendon_force(
    muscles: Sequence[Muscle],
    lengths: npt.ArrayLike,
    activations: npt.ArrayLike,
    speeds: npt.ArrayLike = 0.0,
    slack_lengths: npt.ArrayLike | None = None,
) -> Array:
    """Normalised tendon force that balances the fibre while the tendon keeps its length.

    OpenSim's equilibrium of DeGrooteFregly2016Muscle, by bisection over 0 to 5. Where several
    forces balance, on the descending limb, one of them is found. A path shorter than the slack
    tendon has no equilibrium; it gets zero.

    Parameters
    ----------
    muscles : n_muscle
    lengths : (..., n_muscle) array; of the paths, m
    activations : (..., n_muscle) array
    speeds : (..., n_muscle) array; lengthening speeds of the paths, m/s
    slack_lengths : (..., n_muscle) array; tendon slack lengths, m; the muscles' own if left out

    Returns
    -------
    (..., n_muscle) array

    Raises
    ------
    InputError
        The arrays do not fit together or hold numbers that are not finite.
    """
    own = [m.tendon_slack_length for m in muscles]
    given = (lengths, activations, speeds, own if slack_lengths is None else slack_lengths)
    try:
        length, activation, speed, slack, _ = np.broadcast_arrays(
            *(np.asarray(g, dtype=float) for g in given), np.zeros(len(muscles))
        )
    except ValueError as error:
        shapes = ", ".join(str(np.shape(g)) for g in given)
        raise InputError(
            f"Lengths, activations, speeds and slack lengths have the shapes {shapes}; each must "
            f"fit (..., {len(muscles)}), one column per muscle."
        ) from error
    for name, array in (("lengths", length), ("activations", activation), ("speeds", speed)):
        if not np.isfinite(array).all():
            raise InputError(f"The {name} of muscles hold numbers that are not finite.")
    fibres = _Fibres(muscles)
    stiffness = np.array([tendon_stiffness(m) for m in muscles])
    # The fibre has no length left where the tendon takes the whole path.
    whole = TENDON_SCALE * np.exp(np.minimum(stiffness * (length / slack - 1.0), 10.0))
    low, high = np.zeros(length.shape), np.clip(whole - TENDON_SHIFT, 0.0, LARGEST)
    for _ in range(ITERATIONS):
        middle = 0.5 * (low + high)
        stretch = np.log((middle + TENDON_SHIFT) / TENDON_SCALE) / stiffness + 1.0
        too_low = middle < fibres.force(length - slack * stretch, speed, activation)
        low, high = np.where(too_low, middle, low), np.where(too_low, high, middle)
    return np.asarray(0.5 * (low + high))


class _Fibres:
    """Fibre force along the tendon of several muscles, normalised."""

    def __init__(self, muscles: Sequence[Muscle]) -> None:
        self.optimal = np.array([m.optimal_fibre_length for m in muscles])
        self.width = self.optimal * np.sin([m.pennation_at_optimal for m in muscles])
        self.fastest = self.optimal * [m.max_contraction_velocity for m in muscles]
        self.spread = np.array([m.active_force_width for m in muscles])
        self.damping = np.array([m.fibre_damping for m in muscles])
        self.steepness = PASSIVE_SHAPE / np.array([m.passive_strain for m in muscles])
        self.elastic = np.array([0.0 if m.ignore_passive_force else 1.0 for m in muscles])

    def force(self, along: Array, speed: Array, activation: Array) -> Array:
        """Force at a fibre length along the tendon, a lengthening speed and an activation."""
        fibre = np.maximum(np.hypot(along, self.width), 1e-12)
        cosine, length = along / fibre, fibre / self.optimal
        x = (length - 1.0) / self.spread + 1.0
        bells = [
            b1 * np.exp(-0.5 * ((x - b2) / (b3 + b4 * x)) ** 2) for b1, b2, b3, b4 in GAUSSIANS
        ]
        d1, d2, d3, d4 = FORCE_VELOCITY
        velocity = speed * cosine / self.fastest
        active = activation * sum(bells) * (d1 * np.arcsinh(d2 * velocity + d3) + d4)
        offset = np.exp(self.steepness * (SHORTEST_FIBRE - 1.0))
        passive = np.exp(self.steepness * (length - 1.0)) - offset
        passive = self.elastic * passive / (np.exp(PASSIVE_SHAPE) - offset)
        return np.asarray((active + passive + self.damping * velocity) * cosine)
