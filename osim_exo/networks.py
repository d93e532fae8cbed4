"""Networks of policies on plain arrays: what a bundle's ``network.npz`` holds, in numpy.

Three kinds, all without a memory of their own: a policy with a history gets its whole window, the
oldest sample first, at every step. So a lost sample or a restart leaves nothing behind that a
window does not show, every output can be checked by itself, and firmware holds no hidden state.

- ``mlp``: linear layers with a nonlinearity between them;
- ``tcn``: causal convolutions over the window, each over blocks of samples that do not overlap.
  That is a temporal convolutional network with kernels as long as its blocks and dilations that
  are the product of the blocks before (Bai, Kolter and Koltun 2018, arXiv:1803.01271), of which
  only what the newest output needs is computed;
- ``gru``: a gated recurrent unit (Cho et al. 2014, arXiv:1406.1078) that runs over the blocks of
  the window from a state of zero, then linear layers on its last state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from osim_exo import bundle
from osim_exo.errors import DataError

Array = npt.NDArray[np.floating]
Float32 = npt.NDArray[np.float32]
Arrays = Mapping[str, npt.NDArray[Any]]
Evaluate = Callable[[Array], Float32]

WEIGHTS = "network.npz"
"""File of a bundle with a network's plain arrays."""

NONLINEAR: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, np.float32(0.0)),
    "tanh": np.tanh,
    "elu": lambda x: np.where(x > 0.0, x, np.expm1(np.minimum(x, np.float32(0.0)))),
}


def network(data: bytes, content: Mapping[str, Any]) -> Evaluate:
    """The network of a bundle from its plain arrays.

    Parameters
    ----------
    data : bytes of ``network.npz``
    content : of ``bundle.json``; its ``network`` names the kind and describes it

    Raises
    ------
    DataError
        The kind is unknown, or the arrays or their description do not make a network.
    """
    described = content.get("network")
    described = described if isinstance(described, dict) else {}
    kind = described.get("kind", "mlp")
    if not isinstance(kind, str) or kind not in KINDS:
        raise DataError(
            f"The policy's network is of the kind {kind!r}; this version of osim_exo runs "
            f"{', '.join(KINDS)}. Export it anew."
        )
    arrays = bundle.unpack(data, WEIGHTS)
    limit, activation = described.get("limit"), described.get("activation")
    known = isinstance(limit, int | float) and isinstance(activation, str)
    known = known and activation in NONLINEAR
    if not known or not {"centre", "scale"} <= set(arrays):
        raise DataError(f"{WEIGHTS} does not hold the layers of a network. Export it anew.")
    try:
        run = KINDS[kind](described, arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{WEIGHTS} does not hold the layers of a {kind} network: {error}. Export it anew."
        ) from None
    centre, scale, bound = arrays["centre"], arrays["scale"], np.float32(float(limit or 0.0))

    def evaluate(observation: Array) -> Float32:
        values = np.clip((observation - centre) * scale, -bound, bound)
        return np.asarray(run(values), dtype=np.float32)

    return evaluate


def _layers(arrays: Arrays, others: set[str]) -> list[tuple[Array, Array]]:
    """Linear layers ``weight_0``, ``bias_0``, ...; weights turned to multiply from the right."""
    n_layer = sum(name.startswith("weight_") for name in arrays)
    needed = others | {f"{k}_{i}" for k in ("weight", "bias") for i in range(n_layer)}
    if set(arrays) != needed | {"centre", "scale"} or n_layer == 0:
        raise ValueError("arrays are missing or too many")
    layers = [(arrays[f"weight_{i}"].T.copy(), arrays[f"bias_{i}"]) for i in range(n_layer)]
    for weight, bias in layers:
        if weight.ndim != 2 or bias.shape != weight.shape[1:]:
            raise ValueError(f"a weight of {weight.shape} with a bias of {bias.shape}")
    return layers


def _mlp(described: Mapping[str, Any], arrays: Arrays) -> Callable[[Array], Array]:
    layers, nonlinear = _layers(arrays, set()), NONLINEAR[str(described["activation"])]

    def run(values: Array) -> Array:
        for weight, bias in layers[:-1]:
            values = nonlinear(values @ weight + bias)
        return np.asarray(values @ layers[-1][0] + layers[-1][1])

    return run


def _tcn(described: Mapping[str, Any], arrays: Arrays) -> Callable[[Array], Array]:
    layers, nonlinear = _layers(arrays, set()), NONLINEAR[str(described["activation"])]
    blocks = [int(block) for block in described["blocks"]]
    if len(blocks) != len(layers) - 1 or min(blocks, default=0) < 1:
        raise ValueError(f"blocks of {blocks} for {len(layers)} layers")
    n_row = arrays["centre"].size
    for (weight, _), block in zip(layers, blocks):
        if weight.shape[0] % block or n_row % weight.shape[0]:
            raise ValueError(f"a window of {n_row} numbers does not divide into blocks")
        n_row = n_row // weight.shape[0] * weight.shape[1]
    if n_row != layers[-1][0].shape[0]:
        raise ValueError(f"{n_row} numbers are left of the window, not one sample")

    def run(values: Array) -> Array:
        n = len(values)
        for weight, bias in layers[:-1]:
            # Samples of a block lie side by side: one convolution is one product.
            rows = nonlinear(values.reshape(-1, weight.shape[0]) @ weight + bias)
            values = rows.reshape(n, -1)
        return np.asarray(values @ layers[-1][0] + layers[-1][1])

    return run


GRU_ARRAYS = ("gru_weight_input", "gru_weight_state", "gru_bias_input", "gru_bias_state")
"""Rows of reset gate, update gate and candidate, one after the other, as torch has them."""


def _gru(described: Mapping[str, Any], arrays: Arrays) -> Callable[[Array], Array]:
    layers, nonlinear = _layers(arrays, set(GRU_ARRAYS)), NONLINEAR[str(described["activation"])]
    enters, stays = (arrays[name].T.copy() for name in GRU_ARRAYS[:2])
    offset, recurrent = (arrays[name] for name in GRU_ARRAYS[2:])
    size = stays.shape[0]
    shapes = enters.shape[1:], stays.shape[1:], offset.shape, recurrent.shape
    if set(shapes) != {(3 * size,)} or arrays["centre"].size % enters.shape[0]:
        raise ValueError("weights of the gates that do not fit")

    def run(values: Array) -> Array:
        n = len(values)
        entering = values.reshape(n, -1, enters.shape[0]) @ enters + offset
        state = np.zeros((n, size), dtype=values.dtype)
        for step in range(entering.shape[1]):
            now, past = entering[:, step], state @ stays + recurrent
            gates = 1.0 / (1.0 + np.exp(-(now[:, : 2 * size] + past[:, : 2 * size])))
            reset, update = gates[:, :size], gates[:, size:]
            fresh = np.tanh(now[:, 2 * size :] + reset * past[:, 2 * size :])
            state = (1.0 - update) * fresh + update * state
        out = state
        for weight, bias in layers[:-1]:
            out = nonlinear(out @ weight + bias)
        return np.asarray(out @ layers[-1][0] + layers[-1][1])

    return run


KINDS: dict[str, Callable[[Mapping[str, Any], Arrays], Callable[[Array], Array]]] = {
    "mlp": _mlp,
    "tcn": _tcn,
    "gru": _gru,
}
"""Networks by the kind that a bundle names."""
