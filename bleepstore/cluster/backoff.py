"""How long to wait before the next try: ever longer, up to a bound, and never two nodes in step.

"Full jitter": a delay is drawn evenly from zero to a limit that doubles (M. Brooker, "Exponential
Backoff And Jitter", AWS Architecture Blog, 2015).  A small floor keeps a refusal that comes at once
from being met by a storm.
"""

from __future__ import annotations

from collections.abc import Callable

Dice = Callable[[], float]
"""Gives numbers from 0 up to, but not including, 1."""

FLOOR = 0.1
"""The least share of the limit that is waited."""


class Backoff:
    """The delays of one row of tries.

    :param first: seconds: the first limit.
    :param most: seconds: the last one.
    """

    def __init__(self, first: float, most: float, dice: Dice) -> None:
        if not 0 < first <= most:
            raise ValueError("a back-off grows from a positive delay")
        self._first = self._limit = first
        self._most = most
        self._dice = dice

    def next(self) -> float:
        """Seconds to wait now."""
        limit = self._limit
        self._limit = min(limit * 2, self._most)
        return limit * (FLOOR + (1 - FLOOR) * self._dice())

    def reset(self) -> None:
        """It went well: begin anew."""
        self._limit = self._first
