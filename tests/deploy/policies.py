"""Policies of an exo, made of random numbers, as bundles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from osim_exo import bundle
from osim_exo.networks import network
from osim_exo.policy import Action, Interface, Signal

PLACES = ("thigh_r", "thigh_l")


def interface(kinds=("thigh_angle", "thigh_rate"), lags=(0, 60), own=True, rate=100.0, **changes):
    rows = [
        Signal(
            name=f"{place}/{kind}" + (f"/@{lag}ms" if lag else ""),
            unit="rad" if "angle" in kind else "rad/s",
            low=-3.0 if "angle" in kind else -50.0,
            high=3.0 if "angle" in kind else 50.0,
            delay_s=lag / 1000.0,
        )
        for lag in lags
        for kind in kinds
        for place in PLACES
    ]
    if own:
        rows += [
            Signal(name=f"exo_hip_{s}/torque", unit="1", low=-1.0, high=1.0, delay_s=0.0)
            for s in "rl"
        ]
    actions = [
        Action(
            name=f"exo_hip_{s}",
            unit="Nm/kg",
            low=-0.15,
            high=0.15,
            squashing="clip",
            gain=0.15,
            positive=f"hip_flexion_{s} positive",
        )
        for s in "rl"
    ]
    given = {"observations": tuple(rows), "actions": tuple(actions), "rate_hz": rate}
    return Interface(**{**given, **changes})


def layers(random, sizes):
    """Linear layers with random weights."""
    arrays = {}
    for i, (a, b) in enumerate(sizes):
        arrays[f"weight_{i}"] = (random.standard_normal((b, a)) / np.sqrt(a)).astype(np.float32)
        arrays[f"bias_{i}"] = (0.1 * random.standard_normal(b)).astype(np.float32)
    return arrays


def mlp(random, n_row, n_sample, n_out):
    sizes = (n_row * n_sample, 16, 16, n_out)
    return {}, layers(random, zip(sizes, sizes[1:]))


def tcn(random, n_row, n_sample, n_out):
    """Two convolutions over blocks of 4 samples and of what is left."""
    rest = n_row // 4
    sizes = [(4 * n_sample, 12), (rest * 12, 10), (10, n_out)]
    return {"blocks": [4, rest]}, layers(random, sizes)


def gru(random, n_row, n_sample, n_out, block=2):
    size, n_in = 12, block * n_sample
    arrays = layers(random, [(size, 8), (8, n_out)])
    for name, shape in (
        ("gru_weight_input", (3 * size, n_in)),
        ("gru_weight_state", (3 * size, size)),
        ("gru_bias_input", (3 * size,)),
        ("gru_bias_state", (3 * size,)),
    ):
        arrays[name] = (0.4 * random.standard_normal(shape)).astype(np.float32)
    return {"block": block}, arrays


KINDS = {"mlp": mlp, "tcn": tcn, "gru": gru}


def write_policy(
    folder: Path, face: Interface | None = None, seed=0, kind="mlp", activation="relu"
) -> Path:
    """A bundle without a network in ONNX."""
    face = face or interface()
    random = np.random.default_rng(seed)
    n_row, n_sample = face.history, len(face.observations)
    wide = np.array(["rate" in row.name for row in face.observations] * n_row)
    described, arrays = KINDS[kind](random, n_row, n_sample, len(face.actions))
    arrays["centre"] = np.where(wide, 0.0, 0.1).astype(np.float32)
    arrays["scale"] = np.where(wide, 0.4, 2.5).astype(np.float32)
    content = {
        "interface": face.model_dump(mode="json"),
        "network": {"kind": kind, "activation": activation, "limit": 10.0, **described},
        "record": {"seed": seed},
    }
    weights = bundle.pack(arrays)
    seen = random.standard_normal((32, n_row * n_sample)).astype(np.float32)
    golden = {"observation": seen, "output": network(weights, content)(seen)}
    files = {"network.npz": weights, "golden.npz": bundle.pack(golden)}
    return bundle.write(folder, content, files)
