"""Commands on their way to the drives of a compiled physics: clipped, delayed, ready for the lag.

The lag, the rate limit and the power limit act in the compiled step; what `DeviceDynamics` does
before them happens here, once per control step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osim_exo.compiler.backends import blocks
from osim_exo.device import LagWeights
from osim_exo.errors import InputError
from osim_exo.physics.base import Array

Packed = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Weight:
    """Weight of commands of some control steps back, in the sub-steps that they count in."""

    back: int
    whole: Packed
    used: slice

    @classmethod
    def of(cls, back: int, whole: Packed) -> _Weight:
        counts = np.flatnonzero(whole.any(axis=(0, 2, 3)))
        return cls(back, whole, slice(int(counts[0]), int(counts[-1]) + 1))


class CommandLine:
    """What delayed commands add to the lag in every sub-step of a control step.

    All arrays are in blocks of environments, one lane each.

    Parameters
    ----------
    n_env, n_exo, n_sub : environments, drives of each, sub-steps of a control step
    width : lanes of a block
    """

    def __init__(self, n_env: int, n_exo: int, n_sub: int, width: int) -> None:
        self._n_env, self._n_exo, self._n_sub, self._width = n_env, n_exo, n_sub, width
        self._given = np.zeros((1, -(-n_env // width), n_exo, width))
        self._newest, self._needed = 0, 1

    def tune(self, lag: LagWeights, max_torque: Array) -> None:
        """Take the delays and limits of the drives; commands on their way stay.

        Parameters
        ----------
        lag : of every environment, for a sub-step
        max_torque : (n_env,) array, Nm
        """
        self._bound = blocks.pack(self._each_drive(max_torque[:, None]), self._width, np.float64)
        weights = lag.held(self._n_sub)
        self._needed = len(weights)
        self._weights = [
            _Weight.of(k, blocks.pack(self._each_drive(row.T[..., None]), self._width, np.float64))
            for k, row in enumerate(weights)
            if row.any()
        ]
        self._term, self._total = (np.empty_like(self._weights[0].whole) for _ in range(2))
        held = self._ordered()
        more = len(weights) - len(held)
        if more > 0:
            held = np.concatenate([held, np.zeros((more, *held.shape[1:]))])
        self._given, self._newest = held, 0

    def _each_drive(self, values: Array) -> Array:
        """The same numbers for every drive: the last axis, of length 1, becomes n_exo long."""
        return np.repeat(values, self._n_exo, axis=-1)

    def _ordered(self) -> Packed:
        """Commands, newest first."""
        return np.roll(self._given, -self._newest, axis=0)

    def add(self, command: Array, stream: npt.NDArray[np.floating]) -> None:
        """Take the command of a control step.

        Parameters
        ----------
        command : (n_env, n_exo) array, Nm; not finite counts as zero
        stream : (n_block, n_sub, n_exo, width) array; receives what the lag gets in each sub-step
        """
        self._newest = (self._newest - 1) % len(self._given)
        now = self._given[self._newest]
        blocks.write(now, command)
        if not np.isfinite(now.sum()):
            now[~np.isfinite(now)] = 0.0
        np.maximum(now, -self._bound, out=now)
        np.minimum(now, self._bound, out=now)
        total = self._total
        total[:] = 0.0
        for weight in self._weights:
            held = self._given[(self._newest + weight.back) % len(self._given)]
            term = self._term[:, weight.used]
            np.multiply(weight.whole[:, weight.used], held[:, None], out=term)
            total[:, weight.used] += term
        stream[:] = total

    def reset(self, environments: npt.NDArray[np.intp]) -> None:
        """Forget the commands of some environments."""
        self._given[:, environments // self._width, :, environments % self._width] = 0.0

    def snapshot(self) -> Array:
        """Commands of every environment, newest first, (n_back, n_env, n_exo) array, Nm."""
        return np.stack([blocks.unpack(held, self._n_env) for held in self._ordered()])

    def restore(self, commands: Array) -> None:
        """Go back to a snapshot; the delays must be those of its time."""
        if commands.shape[1:] != (self._n_env, self._n_exo) or len(commands) < self._needed:
            raise InputError(
                f"The snapshot's delay line has shape {commands.shape}; this physics has "
                f"{self._n_env} environments with {self._n_exo} drives. Restore it in a physics of "
                "the same model, n_env and control_dt."
            )
        packed = [blocks.pack(held, self._width, np.float64) for held in commands]
        self._given, self._newest = np.stack(packed), 0
