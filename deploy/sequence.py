"""Sequence numbers: what was lost, came twice, came late or belongs to another stream."""

from __future__ import annotations

from enum import IntEnum

from osim_exo.deploy.packets import SEQUENCE_MODULUS
from osim_exo.errors import InputError


class Order(IntEnum):
    """How a sequence number stands to the newest one that was taken."""

    NEXT = 0
    AFTER_LOSS = 1
    DUPLICATE = 2
    REORDERED = 3
    OUTSIDE = 4


class SequenceWindow:
    """Takes sequence numbers that go forward by at most `window`; refuses all others.

    The numbers are 32 bits wide and wrap. The first number after a `reset` is always taken.

    Parameters
    ----------
    window : largest step forward, and how far back counts as late instead of foreign
    """

    def __init__(self, window: int = 100) -> None:
        if not 1 <= window < SEQUENCE_MODULUS // 2:
            raise InputError(
                f"A sequence window of {window} was given; allowed is 1 to "
                f"{SEQUENCE_MODULUS // 2 - 1}."
            )
        self.window = window
        self.reset()

    def reset(self) -> None:
        """Forget everything: a new session begins."""
        self.newest: int | None = None
        self.lost = 0
        self.counts: dict[Order, int] = dict.fromkeys(Order, 0)

    def take(self, sequence: int) -> bool:
        """Note a number and say whether its packet is to be used."""
        order = self.order(sequence)
        self.counts[order] += 1
        if order not in (Order.NEXT, Order.AFTER_LOSS):
            return False
        if order is Order.AFTER_LOSS and self.newest is not None:
            self.lost += (sequence - self.newest) % SEQUENCE_MODULUS - 1
        self.newest = sequence
        return True

    def order(self, sequence: int) -> Order:
        """How `sequence` stands to the newest number; notes nothing."""
        if self.newest is None:
            return Order.NEXT
        forward = (sequence - self.newest) % SEQUENCE_MODULUS
        if forward == 0:
            return Order.DUPLICATE
        if forward == 1:
            return Order.NEXT
        if forward <= self.window:
            return Order.AFTER_LOSS
        if SEQUENCE_MODULUS - forward <= self.window:
            return Order.REORDERED
        return Order.OUTSIDE
