"""Networks that treat left and right alike, by weights that are tied."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from osim_exo.errors import InputError
from osim_exo.learn.base import Mirroring


class Reflection(nn.Module):
    """A mirroring as tensors; see `osim_exo.learn.base.Mirroring`."""

    index: Tensor
    sign: Tensor

    def __init__(self, index: Tensor, sign: Tensor) -> None:
        super().__init__()
        self.register_buffer("index", index)
        self.register_buffer("sign", sign)

    @classmethod
    def of(cls, mirroring: Mirroring) -> Reflection:
        """The same mirroring as tensors."""
        return cls(torch.from_numpy(mirroring.index), torch.from_numpy(mirroring.sign))

    @classmethod
    def identity(cls, size: int) -> Reflection:
        """Nothing changes."""
        return cls(torch.arange(size), torch.ones(size))

    @classmethod
    def halves(cls, size: int) -> Reflection:
        """The first half changes places with the second: how hidden units mirror."""
        return cls(torch.roll(torch.arange(size), size // 2), torch.ones(size))

    @classmethod
    def joined(cls, first: Reflection, second: Reflection) -> Reflection:
        """Of two vectors, one behind the other."""
        index = torch.cat([first.index, second.index + first.index.numel()])
        return cls(index, torch.cat([first.sign, second.sign]))

    def within(self, columns: Sequence[int]) -> Reflection:
        """How some columns mirror, which must hold both sides of each pair."""
        place = {column: i for i, column in enumerate(columns)}
        partners = [int(self.index[column]) for column in columns]
        if not set(partners) <= set(place):
            raise InputError("A part of a policy must see and drive both sides of every pair.")
        index = torch.tensor([place[partner] for partner in partners], dtype=torch.long)
        return Reflection(index, self.sign[list(columns)])

    def forward(self, values: Tensor) -> Tensor:
        """Mirrored rows of a (..., n) tensor."""
        return values[..., self.index] * self.sign.to(values.dtype)


class Linear(nn.Module):
    """A linear layer, tied where it knows how its input and output mirror.

    The weight W that is applied is the mean of V and P V M, V being the parameter, M and P the
    mirrorings of input and output: then W M = P W. What mirrors like that layer by layer, with
    the same nonlinearity for all units, mirrors as a whole (Cohen and Welling 2016).

    Parameters
    ----------
    n_in, n_out : sizes
    gain : of the orthogonal start (Saxe et al. 2014)
    generator : random numbers of the start
    mirrors : of input and output, or None
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        gain: float,
        generator: torch.Generator,
        mirrors: tuple[Reflection, Reflection] | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))
        nn.init.orthogonal_(self.weight, gain, generator=generator)
        self.source: Reflection | None = None
        self.target: Reflection | None = None
        if mirrors is not None:
            self.source, self.target = mirrors
            with torch.no_grad():
                # The mean of two independent matrices is smaller than each by this factor.
                self.weight.copy_(math.sqrt(2.0) * self.dense()[0])

    def dense(self) -> tuple[Tensor, Tensor]:
        """Weight (n_out, n_in) and bias (n_out,) as they are applied."""
        if self.source is None or self.target is None:
            return self.weight, self.bias
        turned = self.weight[self.target.index][:, self.source.index]
        turned = turned * self.target.sign[:, None] * self.source.sign
        bias = self.bias[self.target.index] * self.target.sign
        return 0.5 * (self.weight + turned), 0.5 * (self.bias + bias)
