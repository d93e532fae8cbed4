"""Networks of students: a causal TCN and a GRU over a window of readings, in torch.

Their numpy twins, and why neither has a memory of its own, are in `osim_exo.networks`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from osim_exo.config import Config
from osim_exo.learn.normalise import LEAST_STD, LIMIT

Float32 = npt.NDArray[np.float32]
StudentKind = Literal["tcn", "gru"]


class StudentConfig(Config):
    """Size of a student.

    A window of 1 s holds most of a stride: with gyroscopes alone, speed and slope show in it only.
    """

    kind: StudentKind = "tcn"
    history: int = Field(default=100, ge=1, le=1000, description="samples in the window")
    blocks: tuple[int, ...] = Field(
        default=(5, 5, 4),
        min_length=1,
        description="tcn: samples that each layer joins; their product is the history",
    )
    block: int = Field(default=5, ge=1, le=100, description="gru: samples in one step")
    width: int = Field(default=48, ge=1, le=1024, description="channels of a layer, or state")
    head: int = Field(default=32, ge=1, le=1024, description="gru: of the layer after it")

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.kind == "tcn" and math.prod(self.blocks) != self.history:
            raise ValueError(
                f"blocks of {' x '.join(map(str, self.blocks))} = {math.prod(self.blocks)} samples "
                f"do not make a history of {self.history}"
            )
        if self.kind == "gru" and self.history % self.block:
            raise ValueError(f"block = {self.block} does not divide history = {self.history}")
        return self


class Student(nn.Module):
    """A student: normaliser and network.

    Parameters
    ----------
    config : StudentConfig
    n_signal, n_action : of one sample, and of the output
    generator : random numbers of the start
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self, config: StudentConfig, n_signal: int, n_action: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.config, self.n_signal = config, n_signal
        self.register_buffer("centre", torch.zeros(config.history * n_signal))
        self.register_buffer("scale", torch.ones(config.history * n_signal))
        self.gru: nn.GRU | None = None
        width = config.width
        if config.kind == "tcn":
            sizes = [n_signal, *[width] * len(config.blocks)]
            joined = [n * block for n, block in zip(sizes, config.blocks)]
            shapes = [*zip(joined, sizes[1:]), (width, n_action)]
        else:
            self.gru = nn.GRU(config.block * n_signal, width, batch_first=True)
            shapes = [(width, config.head), (config.head, n_action)]
        self.layers = nn.ModuleList(nn.Linear(*shape) for shape in shapes)
        with torch.no_grad():
            for parameter in self.parameters():
                fan = parameter.shape[-1] if parameter.ndim > 1 else 1
                drawn = torch.randn(parameter.shape, generator=generator)
                gain = 1.0 if self.gru is not None else math.sqrt(2.0)
                parameter.copy_(
                    drawn * gain / math.sqrt(fan) if parameter.ndim > 1 else 0.0 * drawn
                )
            self._linear()[-1].weight.mul_(0.1)

    def _linear(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    @torch.no_grad()
    def normalise_like(self, windows: Tensor) -> None:
        """Take mean and deviation of each signal from (n, history * n_signal) windows."""
        samples = windows.reshape(-1, self.n_signal).double()
        mean, std = samples.mean(0), samples.std(0, unbiased=False)
        scale = torch.where(std > LEAST_STD, 1.0 / std.clamp_min(LEAST_STD), 0.0)
        self.centre.copy_(mean.repeat(self.config.history))
        self.scale.copy_(scale.repeat(self.config.history))

    def forward(self, windows: Tensor) -> Tensor:
        """Output before squashing, (n, n_action), for (n, history * n_signal) windows."""
        values = ((windows - self.centre) * self.scale).clamp(-LIMIT, LIMIT)
        layers, n = self._linear(), len(windows)
        if self.gru is not None:
            _, last = self.gru(values.reshape(n, -1, self.gru.input_size))
            values = last[0]
        for layer in layers[:-1]:
            if self.gru is None:
                values = values.reshape(-1, layer.in_features)
            values = torch.relu(layer(values))
            if self.gru is None:
                values = values.reshape(n, -1)
        out: Tensor = layers[-1](values)
        return out

    def described(self) -> dict[str, Any]:
        """What a bundle says of the network; see `osim_exo.networks.network`."""
        content: dict[str, Any] = {"kind": self.config.kind, "activation": "relu", "limit": LIMIT}
        if self.gru is None:
            return {**content, "blocks": list(self.config.blocks)}
        return {**content, "block": self.config.block, "hidden": self.config.width}

    def arrays(self) -> dict[str, Float32]:
        """Its plain arrays."""
        found = {"centre": self.centre, "scale": self.scale}
        if self.gru is not None:
            own = dict(self.gru.named_parameters())
            found |= {
                "gru_weight_input": own["weight_ih_l0"],
                "gru_weight_state": own["weight_hh_l0"],
                "gru_bias_input": own["bias_ih_l0"],
                "gru_bias_state": own["bias_hh_l0"],
            }
        for i, layer in enumerate(self._linear()):
            found |= {f"weight_{i}": layer.weight, f"bias_{i}": layer.bias}
        return {name: _array(tensor) for name, tensor in found.items()}


def _array(tensor: Tensor) -> Float32:
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float32)


def n_weight(arrays: Mapping[str, Float32]) -> int:
    """Number of weights and biases."""
    return int(sum(a.size for name, a in arrays.items() if name not in ("centre", "scale")))
