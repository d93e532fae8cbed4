"""What a learner needs of a task: many environments that step together, and how they mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from osim_exo.errors import InputError
from osim_exo.names import mirror
from osim_exo.policy import Interface

Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Snapshot = dict[str, npt.NDArray[np.generic]]
"""Arrays of numbers by name; what a checkpoint stores, so no objects."""


@dataclass(frozen=True)
class Observation:
    """What policy and critic see.

    Attributes
    ----------
    policy : (n_env, n_observation) array of float32
    privileged : (n_env, n_privileged) array of float32
        What only the critic sees besides; its second dimension may be 0.
    """

    policy: Float32
    privileged: Float32


@dataclass(frozen=True)
class Step:
    """What one control step gave.

    Attributes
    ----------
    observation : Observation
        Of the running episodes: environments that ended are reset already.
    reward : (n_env,) array
    terminated : (n_env,) array of bool
        Ended by what the walker did (a fall): nothing is to be had afterwards.
    truncated : (n_env,) array of bool
        Ended by the clock: the return would have gone on, so its value is estimated.
    final_observation : Observation
        Last observation of the episodes that ended, before their reset. The rows of other
        environments hold anything finite, for instance those of `observation`.
    terms : by name, (n_env,) arrays
        Weighted parts of the reward under ``reward/<name>``; other facts worth logging under any
        other name. Their means are logged.
    """

    observation: Observation
    reward: npt.NDArray[np.floating]
    terminated: Mask
    truncated: Mask
    final_observation: Observation
    terms: Mapping[str, npt.NDArray[np.floating]]


@dataclass(frozen=True)
class Mirroring:
    """A mirrored vector: ``mirrored[i] = sign[i] * vector[index[i]]``.

    Attributes
    ----------
    index : (n,) array of int, its own inverse
    sign : (n,) array of float32, 1 or -1
    """

    index: npt.NDArray[np.intp]
    sign: Float32

    def __post_init__(self) -> None:
        index = np.asarray(self.index, dtype=np.intp)
        sign = np.asarray(self.sign, dtype=np.float32)
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "sign", sign)
        n = index.size
        if index.shape != (n,) or sign.shape != (n,) or (n and sorted(index) != list(range(n))):
            raise InputError(
                f"A mirror has an index of shape {index.shape} and signs of shape {sign.shape}; "
                "both must have one number per channel, the index each channel once."
            )
        if not (np.abs(sign) == 1.0).all():
            raise InputError("The signs of a mirror must be 1 or -1.")
        if not (np.array_equal(index[index], np.arange(n)) and (sign * sign[index] == 1.0).all()):
            raise InputError(
                "Mirroring twice must give back the vector: index[index[i]] = i, and both "
                "channels of a pair have the same sign."
            )

    def __call__(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Mirrored rows of a (..., n) array."""
        return np.asarray(values[..., self.index] * self.sign)

    @classmethod
    def of_names(cls, names: Sequence[str], odd: Sequence[str] = ()) -> Mirroring:
        """The mirroring of channels by their names: ``_r`` and ``_l`` change places.

        Parameters
        ----------
        names : channels, each once
        odd : channels that change their sign too, as lateral ones do

        Raises
        ------
        InputError
            A side has no partner, or `odd` names a channel that does not exist.
        """
        place = {name: i for i, name in enumerate(names)}
        alone = [name for name in names if mirror(name) not in place]
        unknown = sorted(set(odd) - set(place))
        if len(place) != len(names) or alone or unknown:
            raise InputError(
                f"These channels cannot be mirrored: {len(names) - len(place)} names are there "
                f"twice; without a partner on the other side: {', '.join(alone) or 'none'}; odd "
                f"but unknown: {', '.join(unknown) or 'none'}."
            )
        both = set(odd) | {mirror(name) for name in odd}
        index = np.array([place[mirror(name)] for name in names], dtype=np.intp)
        return cls(index, np.array([-1.0 if n in both else 1.0 for n in names], dtype=np.float32))


@dataclass(frozen=True)
class Mirror:
    """The mirrored walker: what is on the right is on the left.

    Attributes
    ----------
    observation, privileged, action : Mirroring
    """

    observation: Mirroring
    privileged: Mirroring
    action: Mirroring


class BatchEnv(Protocol):
    """Environments of one task that step together; an ended one is reset within its step.

    The arrays that `reset` and `step` give are new in every call: a learner may keep them.
    """

    @property
    def n_env(self) -> int:
        """Number of environments."""

    @property
    def observation_names(self) -> tuple[str, ...]:
        """Columns of the policy's observation; units and ranges are in `interface`."""

    @property
    def privileged_names(self) -> tuple[str, ...]:
        """Columns of what only the critic sees; may be empty."""

    @property
    def action_names(self) -> tuple[str, ...]:
        """Columns of the action."""

    @property
    def mirror(self) -> Mirror | None:
        """The mirrored walker; None if the task is not symmetric."""

    @property
    def interface(self) -> Interface:
        """Signals, units, limits and rate, as they go into the policy's bundle."""

    @property
    def parts(self) -> Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        """Columns of observation and action of each policy that is learned, by its name.

        ``human`` and ``exo`` where both learn together; one of them, with all columns, else.
        """

    def reset(self) -> Observation:
        """Begin every environment's episode."""

    def step(self, action: Float32) -> Step:
        """Advance by one control step.

        Parameters
        ----------
        action : (n_env, n_action) array, before squashing; any finite number
        """

    def snapshot(self) -> Snapshot:
        """All that `restore` needs to go on bit for bit, generators included."""

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of an environment that was made alike."""

    def close(self) -> None:
        """Give back what the environments hold."""


def generator_state(generator: np.random.Generator) -> npt.NDArray[np.uint64]:
    """State of a PCG64 generator as (6,) array, for a snapshot.

    Raises
    ------
    InputError
        It is another kind of generator; make it with ``numpy.random.default_rng``.
    """
    state = generator.bit_generator.state
    if state["bit_generator"] != "PCG64":
        raise InputError(
            f"A snapshot holds generators of kind PCG64; this one is {state['bit_generator']}."
        )
    low = (1 << 64) - 1
    words: list[int] = []
    for name in ("state", "inc"):
        number = int(state["state"][name])
        words += [number >> 64, number & low]
    words += [int(state["has_uint32"]), int(state["uinteger"])]
    return np.array(words, dtype=np.uint64)


def restore_generator(generator: np.random.Generator, words: npt.NDArray[np.generic]) -> None:
    """Put a PCG64 generator into a state of `generator_state`."""
    w = [int(word) for word in np.asarray(words, dtype=np.uint64)]
    if len(w) != 6:
        raise InputError(f"A generator's state has 6 numbers; {len(w)} were given.")
    generator.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": w[0] << 64 | w[1], "inc": w[2] << 64 | w[3]},
        "has_uint32": w[4],
        "uinteger": w[5],
    }
