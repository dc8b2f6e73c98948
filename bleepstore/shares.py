"""How much one of several large transfers may take at once.

Large pieces are cheap: a system call, a hop to a thread and a struggle for the interpreter lock
are paid for each, and file systems keep in larger units what is written in one go.  (An upload in
pieces of 256 KiB took 3.0 s of processor time per GiB, in pieces of 1 MiB 2.2; MD5 alone is 1.4.)
But a piece is memory, and many clients have many pieces.  So the transfers of one kind divide
what is granted to all of them.

Knows numbers only.
"""

from __future__ import annotations

from typing import Final

LEAST: Final = 64 * 1024
"""Bytes that a transfer may take at once, however many there are."""

MOST: Final = 1024 * 1024
"""Bytes that it may take at once when it is alone: what ``IBlobWriter.write`` takes at most."""


class Share:
    """What each of the transfers under way may take at once.

    :param total: bytes for all of them, as long as each has :data:`LEAST`.
    :ivar size: bytes for each, a power of two: so what one part of the program reads at once fills
        what the next part gathers.
    """

    __slots__ = ("_count", "_total", "size")

    def __init__(self, total: int) -> None:
        self._total = total
        self._count = 0
        self.size = MOST
        self._divide()

    def enter(self) -> None:
        """A transfer begins."""
        self._count += 1
        self._divide()

    def leave(self) -> None:
        """A transfer that entered has ended."""
        self._count -= 1
        self._divide()

    def _divide(self) -> None:
        each = self._total // max(1, self._count)
        self.size = min(MOST, max(LEAST, 1 << max(0, each.bit_length() - 1)))
