"""From a student to the bundle that simulation and device read."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from osim_exo import bundle
from osim_exo.errors import InputError
from osim_exo.learn.export import (
    N_GOLDEN,
    check_export,
    golden_inputs,
    onnx_helper,
    onnx_model,
    standardised,
)
from osim_exo.learn.students import Float32, Student
from osim_exo.networks import WEIGHTS, network
from osim_exo.policy import GOLDEN, ONNX, Interface

Nodes = list[Any]


def export_student(
    folder: str | Path,
    student: Student,
    interface: Interface,
    record: Mapping[str, Any],
    recorded: npt.NDArray[np.floating],
) -> Path:
    """Write a student as a bundle; see `osim_exo.policy.Policy.load`.

    Parameters
    ----------
    folder : of the bundle
    student : Student
    interface : its signals, history, rate and actions
    record : where it comes from
    recorded : (n, history * n_signal) array, windows of walks; half of the golden inputs

    Raises
    ------
    InputError
        The recorded windows do not fit.
    MissingExtraError
        onnx is not installed.
    DataError
        The exported network differs from the one that was trained.
    """
    arrays = student.arrays()
    size = arrays["centre"].size
    if recorded.ndim != 2 or recorded.shape[1] != size or not len(recorded):
        raise InputError(
            f"Recorded windows of shape {np.shape(recorded)} were given; needed is (n, {size})."
        )
    content = {
        "interface": interface.model_dump(mode="json"),
        "network": student.described(),
        "record": dict(record),
    }
    weights = bundle.pack(arrays)
    chosen = np.linspace(0, len(recorded) - 1, N_GOLDEN // 2).astype(int)
    random = golden_inputs(arrays["centre"], arrays["scale"])[N_GOLDEN // 2 :]
    inputs = np.concatenate([recorded[chosen].astype(np.float32), random])
    precise = copy.deepcopy(student).cpu().double()
    with torch.no_grad():
        outputs = precise(torch.from_numpy(inputs).double()).numpy()
    check_export(network(weights, content)(inputs.astype(np.float64)), outputs)
    files = {
        ONNX: onnx_student(arrays, student.described()),
        WEIGHTS: weights,
        GOLDEN: bundle.pack({"observation": inputs, "output": outputs.astype(np.float32)}),
    }
    return bundle.write(folder, content, files)


def onnx_student(arrays: Mapping[str, Float32], described: Mapping[str, Any]) -> bytes:
    """An ONNX model of a student: subtract, scale, clip, then its layers."""
    helper = onnx_helper()
    nodes, constants = standardised(helper, arrays["centre"], arrays["scale"], "window")
    source = "window"
    recurrent = described["kind"] == "gru"
    if recurrent:
        nodes += _gru_nodes(helper, arrays, constants, source)
        source = "state"
    n_layer = sum(name.startswith("weight_") for name in arrays)
    for i in range(n_layer):
        weight, last = arrays[f"weight_{i}"], i == n_layer - 1
        constants |= {f"weight_{i}": weight, f"bias_{i}": arrays[f"bias_{i}"]}
        rows = source
        if not recurrent and not last:
            constants[f"rows_{i}"] = np.array([-1, weight.shape[1]], dtype=np.int64)
            rows = f"blocks_{i}"
            nodes.append(helper.make_node("Reshape", [source, f"rows_{i}"], [rows]))
        result = "output" if last else f"sum_{i}"
        inputs = [rows, f"weight_{i}", f"bias_{i}"]
        nodes.append(helper.make_node("Gemm", inputs, [result], transB=1))
        if last:
            break
        nodes.append(helper.make_node("Relu", [result], [f"active_{i}"]))
        source = f"active_{i}"
        if not recurrent and i == n_layer - 2:
            constants["one"] = np.array([-1, arrays[f"weight_{i + 1}"].shape[1]], dtype=np.int64)
            nodes.append(helper.make_node("Reshape", [source, "one"], ["newest"]))
            source = "newest"
    n_action = arrays[f"weight_{n_layer - 1}"].shape[0]
    return onnx_model("student", nodes, constants, n_action)


def _gru_nodes(
    helper: Any, arrays: Mapping[str, Float32], constants: dict[str, npt.NDArray[Any]], source: str
) -> Nodes:
    """A GRU over the window; ONNX has the update gate before the reset gate."""
    enters, stays = arrays["gru_weight_input"], arrays["gru_weight_state"]
    size, joined = stays.shape[1], enters.shape[1]
    order = np.r_[size : 2 * size, 0:size, 2 * size : 3 * size]
    biases = arrays["gru_bias_input"][order], arrays["gru_bias_state"][order]
    constants |= {
        "steps": np.array([0, -1, joined], dtype=np.int64),
        "gru_w": enters[order][None],
        "gru_r": stays[order][None],
        "gru_b": np.concatenate(biases)[None],
        "flat": np.array([-1, size], dtype=np.int64),
    }
    return [
        helper.make_node("Reshape", [source, "steps"], ["by_window"]),
        helper.make_node("Transpose", ["by_window"], ["by_step"], perm=[1, 0, 2]),
        helper.make_node(
            "GRU",
            ["by_step", "gru_w", "gru_r", "gru_b"],
            ["", "last"],
            hidden_size=size,
            linear_before_reset=1,
        ),
        helper.make_node("Reshape", ["last", "flat"], ["state"]),
    ]
