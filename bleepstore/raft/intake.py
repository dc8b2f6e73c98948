"""How much a leader has taken in that is not committed yet, and whether it may take more.

Without a quorum nothing is committed, and a leader must not gather proposals for ever.
Knows indexes and sizes.
"""

from __future__ import annotations

from collections import deque


class Intake:
    """:param bound: bytes of data; a proposal of any size passes while nothing waits."""

    __slots__ = ("_batches", "_bound", "waiting")

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._batches: deque[tuple[int, int]] = deque()
        self.waiting = 0

    def admits(self, size: int) -> bool:
        """Whether so much more may be taken in."""
        return not self.waiting or self.waiting + size <= self._bound

    def took(self, last_index: int, size: int) -> None:
        """It was taken in, and ends at an index."""
        if size:
            self._batches.append((last_index, size))
            self.waiting += size

    def settled(self, commit: int) -> None:
        """Everything up to an index is committed."""
        batches = self._batches
        while batches and batches[0][0] <= commit:
            self.waiting -= batches.popleft()[1]
