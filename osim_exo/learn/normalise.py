"""Observations at zero mean and unit deviation, with care for channels that were silent so far."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEAST_STD = 1e-3
"""A channel that never varied by more than this is silent: the network does not see it.

Dividing by the deviation of a constant would make a jump of any later change (measured: an exo's
torque, constant in training, came alive at 8 deviations and the walker fell within 0.8 s).
"""

LIMIT = 10.0
"""Normalised observations are clipped to plus and minus this."""


class Normaliser(nn.Module):
    """Running mean and deviation of each channel, alike for mirrored channels.

    While it is frozen, only silent channels are still learned about; one that comes alive keeps
    learning its statistics until `settle` samples of it were seen. The network's weights for it
    are zero at that moment, so nothing jumps.

    Parameters
    ----------
    size : number of channels
    index, sign : (size,) tensors
        The mirrored observation; see `osim_exo.learn.base.Mirroring`.
    """

    mean: Tensor
    square: Tensor
    count: Tensor
    alive: Tensor
    frozen: Tensor
    index: Tensor
    sign: Tensor

    settle = 20_000

    def __init__(self, size: int, index: Tensor | None = None, sign: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("square", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("alive", torch.zeros(size, dtype=torch.bool))
        self.register_buffer("frozen", torch.zeros((), dtype=torch.bool))
        self.register_buffer("index", torch.arange(size) if index is None else index)
        self.register_buffer("sign", torch.ones(size) if sign is None else sign)

    @torch.no_grad()
    def update(self, values: Tensor) -> Tensor:
        """Learn from observations; Chan, Golub and LeVeque (1983), eq. 1.5.

        Parameters
        ----------
        values : (n, size) tensor

        Returns
        -------
        (size,) tensor of bool
            Channels that were silent before and are not now.
        """
        batch = values.double()
        n = float(batch.shape[0])
        mean, square = batch.mean(0), batch.var(0, unbiased=False)
        # The mirrored observations count as seen too.
        other_mean, other_square = self.sign * mean[self.index], square[self.index]
        both = 0.5 * (mean + other_mean)
        square = 0.5 * (square + other_square) + 0.25 * (mean - other_mean).square()
        learns = ~self.frozen | ~self.alive | (self.count < self.settle)
        total = self.count + n
        shift = both - self.mean
        merged = (self.count * self.square + n * square) / total
        merged = merged + self.count * n / total.square() * shift.square()
        self.mean.copy_(torch.where(learns, self.mean + shift * n / total, self.mean))
        self.square.copy_(torch.where(learns, merged, self.square))
        self.count.copy_(torch.where(learns, total, self.count))
        born = ~self.alive & (self.square.sqrt() > LEAST_STD)
        # What was constant until now says nothing about how the channel varies.
        self.count[born] = n
        self.mean[born], self.square[born] = both[born], torch.maximum(square, merged)[born]
        self.alive |= born
        return born

    def freeze(self) -> None:
        """Learn no more about channels that are alive."""
        self.count[self.alive] = torch.clamp(self.count[self.alive], min=self.settle)
        self.frozen.fill_(True)

    def scale(self) -> Tensor:
        """Factor of each channel, (size,) tensor of float32; 0 for silent ones."""
        std = self.square.sqrt().clamp_min(LEAST_STD)
        return torch.where(self.alive, 1.0 / std, 0.0).float()

    def centre_and_scale(self) -> tuple[Tensor, Tensor]:
        """What `normal` needs, two (size,) tensors; make them once for many calls."""
        return self.mean.float(), self.scale()

    def forward(self, values: Tensor) -> Tensor:
        """Normalised observations, (..., size) tensor of float32."""
        return normal(values, *self.centre_and_scale())


def normal(values: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    """Values in deviations from the mean, clipped to `LIMIT`; (..., size) tensor."""
    return (values - centre).mul_(scale).clamp_(-LIMIT, LIMIT)
