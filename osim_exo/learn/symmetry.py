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

    def without_signs(self) -> Reflection:
        """How sizes mirror, as deviations do."""
        return Reflection(self.index, torch.ones_like(self.sign))

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


class Tied(nn.Module):
    """Makes tensors alike on both sides: the mean of a tensor T and its turned form P T M.

    P and M mirror the rows and columns. What is the mean once, and changes by gradients that are
    made alike too, stays alike.

    Parameters
    ----------
    rows, columns : of the tensor; without columns it is a vector
    """

    place: Tensor
    turn: Tensor

    def __init__(self, rows: Reflection, columns: Reflection | None = None) -> None:
        super().__init__()
        place, turn = rows.index, rows.sign
        if columns is not None:
            width = columns.index.numel()
            place = (rows.index[:, None] * width + columns.index).flatten()
            turn = (rows.sign[:, None] * columns.sign).flatten()
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("turn", turn, persistent=False)

    @torch.no_grad()
    def alike(self, values: Tensor) -> None:
        """Replace a tensor by the mean of itself and its turned form."""
        flat = values.view(-1)
        flat.add_(flat[self.place] * self.turn).mul_(0.5)


class Linear(nn.Module):
    """A linear layer, tied where it knows how its input and output mirror.

    With a weight W = P W M, M and P being the mirrorings of input and output, W M = P W: what is
    mirrored goes in, what is mirrored comes out. Layers of that kind with the same nonlinearity
    for all units make a network of that kind (Cohen and Welling 2016).

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
        self.ties: tuple[Tied, Tied] | None = None
        if mirrors is not None:
            source, target = mirrors
            self.of_weight, self.of_bias = Tied(target, source), Tied(target)
            self.ties = (self.of_weight, self.of_bias)
            self.tie()
            with torch.no_grad():
                # The mean of two independent matrices is smaller than each by this factor.
                self.weight.mul_(math.sqrt(2.0))

    def tie(self) -> None:
        """Make the weights alike, which rounding would slowly undo."""
        if self.ties is not None:
            self.ties[0].alike(self.weight.data)
            self.ties[1].alike(self.bias.data)

    def tie_gradients(self) -> None:
        """Make the gradients alike; call it before each step of an optimiser."""
        if self.ties is not None and self.weight.grad is not None and self.bias.grad is not None:
            self.ties[0].alike(self.weight.grad)
            self.ties[1].alike(self.bias.grad)
