"""The layers of a policy's network, from its bundle, in the form that exports need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from osim_exo.errors import DataError
from osim_exo.networks import GRU_ARRAYS

Float32 = npt.NDArray[np.float32]
Arrays = Mapping[str, Float32]
Builder = Callable[[Mapping[str, Any], Arrays], "list[Layer]"]
Kind = Literal["dense", "gru"]


@dataclass(frozen=True)
class Layer:
    """One layer; it takes `n_time` rows of `n_in` numbers, oldest first.

    Attributes
    ----------
    kind : ``dense`` on every row by itself, or a ``gru`` over the rows
    n_time, n_in, n_out : rows, numbers of each, numbers that a row becomes
    activation : linear, relu, tanh or elu
    weight, bias : flat, in the order of ``firmware/exo_network.h``
    """

    kind: Kind
    n_time: int
    n_in: int
    n_out: int
    activation: str
    weight: Float32
    bias: Float32

    @property
    def room(self) -> int:
        """Numbers that its output takes, with what it needs beside."""
        return 2 * self.n_out if self.kind == "gru" else self.n_time * self.n_out

    @property
    def operations(self) -> int:
        """Multiplications with a weight in one run."""
        return self.n_time * int(self.weight.size)


@dataclass(frozen=True)
class Network:
    """Normaliser and layers.

    Attributes
    ----------
    history, n_input, n_output : samples of the window, numbers of a sample, outputs
    centre, scale : (history * n_input,) arrays
    limit : of the normalised numbers
    layers : in their order
    """

    history: int
    n_input: int
    n_output: int
    centre: Float32
    scale: Float32
    limit: float
    layers: tuple[Layer, ...]

    @property
    def room(self) -> int:
        """Numbers in the widest layer's input or output."""
        return max([self.history * self.n_input, *(layer.room for layer in self.layers)])

    @property
    def operations(self) -> int:
        """Multiplications with a weight in one run."""
        return sum(layer.operations for layer in self.layers)

    @property
    def n_constant(self) -> int:
        """Numbers of normaliser and layers."""
        layers = sum(layer.weight.size + layer.bias.size for layer in self.layers)
        return int(self.centre.size + self.scale.size + layers)


def read_network(
    described: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], history: int, n_input: int
) -> Network:
    """The network of a bundle.

    Parameters
    ----------
    described : ``network`` of its ``bundle.json``
    arrays : of its ``network.npz``
    history, n_input : samples that go in at a time, numbers of each

    Raises
    ------
    DataError
        The network is of a kind that is not exported, or its arrays do not fit.
    """
    kind = described.get("kind", "mlp")
    builders: dict[str, Builder] = {"mlp": _mlp, "tcn": _tcn, "gru": _gru}
    if not isinstance(kind, str) or kind not in builders:
        raise DataError(
            f"The policy's network is of the kind {kind!r}; exported are {', '.join(builders)}."
        )
    flat = {name: np.asarray(value, dtype=np.float32) for name, value in arrays.items()}
    try:
        layers = builders[kind](described, flat)
        centre, scale, limit = flat["centre"], flat["scale"], float(described["limit"])
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"The arrays of the policy's network do not fit: {error}.") from None
    given, wanted = centre.size, history * n_input
    if not given == scale.size == wanted == layers[0].n_time * layers[0].n_in:
        raise DataError(
            f"The policy's network takes {given} numbers; its interface gives {history} samples of "
            f"{n_input}."
        )
    return Network(history, n_input, layers[-1].n_out, centre, scale, limit, tuple(layers))


def _dense(arrays: Arrays, place: int, activation: str, n_time: int = 1) -> Layer:
    weight, bias = arrays[f"weight_{place}"], arrays[f"bias_{place}"]
    n_out, n_in = weight.shape
    return Layer("dense", n_time, n_in, n_out, activation, weight.ravel(), bias)


def _count(arrays: Arrays) -> int:
    return sum(name.startswith("weight_") for name in arrays)


def _mlp(described: Mapping[str, Any], arrays: Arrays) -> list[Layer]:
    n, activation = _count(arrays), str(described["activation"])
    hidden = [_dense(arrays, i, activation) for i in range(n - 1)]
    return [*hidden, _dense(arrays, n - 1, "linear")]


def _tcn(described: Mapping[str, Any], arrays: Arrays) -> list[Layer]:
    """Blocks that do not overlap: each layer is dense on rows as long as a block."""
    n, activation = _count(arrays), str(described["activation"])
    layers, size = [], int(arrays["centre"].size)
    for i in range(n - 1):
        layer = _dense(arrays, i, activation)
        layers.append(replace(layer, n_time=size // layer.n_in))
        size = layers[-1].n_time * layer.n_out
    return [*layers, _dense(arrays, n - 1, "linear")]


def _gru(described: Mapping[str, Any], arrays: Arrays) -> list[Layer]:
    enters, stays, offset, recurrent = (arrays[name] for name in GRU_ARRAYS)
    n_in, n_out = enters.shape[1], stays.shape[1]
    weight = np.concatenate([enters.ravel(), stays.ravel()])
    bias = np.concatenate([offset, recurrent])
    n_time = int(arrays["centre"].size) // n_in
    first = Layer("gru", n_time, n_in, n_out, "linear", weight, bias)
    return [first, *_mlp(described, arrays)]
