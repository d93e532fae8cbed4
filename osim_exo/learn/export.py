"""From the networks of a run to the bundle that everything else reads."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from osim_exo import bundle
from osim_exo.errors import DataError, MissingExtraError
from osim_exo.learn.networks import Actor, Dense, Part
from osim_exo.learn.normalise import LIMIT
from osim_exo.networks import WEIGHTS, network
from osim_exo.policy import GOLDEN, ONNX, Interface

Float32 = npt.NDArray[np.float32]

OPSET, IR_VERSION = 13, 8
"""ONNX versions that runtimes of the last years read."""

N_GOLDEN = 64

LARGEST_ERROR = 1e-6
"""Of the exported network against the one that was trained, over 1 + the output's size.

Both are computed in float64: a wrong export is found whatever the rounding of float32 hides.
"""

OPERATORS = {"relu": "Relu", "elu": "Elu", "tanh": "Tanh"}


def export_policy(
    folder: str | Path, actor: Actor, part: str, interface: Interface, record: Mapping[str, Any]
) -> Path:
    """Write the mean of a policy as a bundle; see `osim_exo.policy.Policy.load`.

    Parameters
    ----------
    folder : of the bundle
    actor : Actor
    part : whose policy
    interface : signals and actions of the task
    record : where it comes from

    Raises
    ------
    MissingExtraError
        onnx is not installed.
    DataError
        The exported network differs from the one that was trained.
    """
    own, columns = actor.network(part), actor.parts[part]
    layers, activation = _arrays(own.folded()), own.activation
    sees = list(columns.observation)
    every_centre, every_scale = (_array(t) for t in actor.normaliser.centre_and_scale())
    centre, scale = every_centre[sees], every_scale[sees]
    arrays = {"centre": centre, "scale": scale}
    for i, (weight, bias) in enumerate(layers):
        arrays |= {f"weight_{i}": weight, f"bias_{i}": bias}
    content = {
        "interface": of_part(interface, columns).model_dump(mode="json"),
        "network": {"kind": "mlp", "activation": activation, "limit": LIMIT},
        "record": dict(record),
    }
    weights = bundle.pack(arrays)
    inputs = golden_inputs(centre, scale)
    whole = np.tile(every_centre, (N_GOLDEN, 1))
    whole[:, sees] = inputs
    outputs = _exact(actor, whole)[:, list(columns.action)]
    check_export(network(weights, content)(inputs.astype(np.float64)), outputs)
    files = {
        ONNX: onnx_mlp(centre, scale, layers, activation),
        WEIGHTS: weights,
        GOLDEN: bundle.pack({"observation": inputs, "output": outputs.astype(np.float32)}),
    }
    return bundle.write(folder, content, files)


def of_part(interface: Interface, part: Part) -> Interface:
    """Signals and actions of one part of a task's policies."""
    return interface.changed(
        observations=tuple(interface.observations[i] for i in part.observation),
        actions=tuple(interface.actions[i] for i in part.action),
    )


def golden_inputs(centre: Float32, scale: Float32) -> Float32:
    """Observations as they come, and some far outside; the same for the same normaliser."""
    random = np.random.default_rng(0)
    width = np.where(scale > 0.0, 1.0 / np.where(scale > 0.0, scale, 1.0), 1.0)
    spread = np.where(np.arange(N_GOLDEN) % 8 == 7, 20.0, 1.0)[:, None]
    noise = random.standard_normal((N_GOLDEN, centre.size))
    return np.asarray(centre + width * spread * noise, dtype=np.float32)


def _exact(actor: Actor, observation: Float32) -> npt.NDArray[np.float64]:
    """Mean actions without the rounding of float32, whose order of sums is nobody's own."""
    precise = copy.deepcopy(actor).cpu().double()
    with torch.no_grad():
        return np.asarray(precise(torch.from_numpy(observation).double()).numpy())


def check_export(found: npt.NDArray[np.floating], expected: npt.NDArray[np.floating]) -> None:
    """Refuse outputs that differ by more than `LARGEST_ERROR`; a `DataError`."""
    worst = float(np.max(np.abs(found - expected) / (1.0 + np.abs(expected))))
    if not worst <= LARGEST_ERROR:
        raise DataError(
            f"The exported network differs from the trained one by {worst:.3g}; allowed is "
            f"{LARGEST_ERROR:g}. Nothing was written."
        )


def _array(tensor: torch.Tensor) -> Float32:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float32)


def _arrays(layers: Dense) -> list[tuple[Float32, Float32]]:
    return [(_array(weight), _array(bias)) for weight, bias in layers]


def onnx_mlp(
    centre: Float32, scale: Float32, layers: list[tuple[Float32, Float32]], activation: str
) -> bytes:
    """An ONNX model: subtract, scale, clip, then linear layers with their nonlinearity."""
    helper = onnx_helper()
    nodes, constants = standardised(helper, centre, scale, "layer_0")
    for i, (weight, bias) in enumerate(layers):
        constants |= {f"weight_{i}": weight, f"bias_{i}": bias}
        last = i == len(layers) - 1
        result = "output" if last else f"sum_{i}"
        inputs = [f"layer_{i}", f"weight_{i}", f"bias_{i}"]
        nodes.append(helper.make_node("Gemm", inputs, [result], transB=1))
        if not last:
            nodes.append(helper.make_node(OPERATORS[activation], [result], [f"layer_{i + 1}"]))
    return onnx_model("policy", nodes, constants, layers[-1][0].shape[0])


def onnx_helper() -> Any:
    """What makes parts of ONNX models; a `MissingExtraError` where onnx is not installed."""
    try:
        from onnx import helper
    except ImportError as error:
        raise MissingExtraError("onnx", "export") from error
    return helper


def standardised(
    helper: Any, centre: Float32, scale: Float32, into: str
) -> tuple[list[Any], dict[str, npt.NDArray[Any]]]:
    """First nodes of a policy and their constants: subtract, scale and clip the observation."""
    constants: dict[str, npt.NDArray[Any]] = {
        "centre": centre,
        "scale": scale,
        "low": np.asarray(-LIMIT, dtype=np.float32),
        "high": np.asarray(LIMIT, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Sub", ["observation", "centre"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "low", "high"], [into]),
    ]
    return nodes, constants


def onnx_model(
    name: str, nodes: list[Any], constants: Mapping[str, npt.NDArray[Any]], n_action: int
) -> bytes:
    """A checked model from ``observation`` to ``output``; `constants` holds ``centre``."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    n_input = constants["centre"].size
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", n_input])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", n_action])],
        [numpy_helper.from_array(np.asarray(v), key) for key, v in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
