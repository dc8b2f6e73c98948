"""What a writer is given, on its way into a request that somebody else reads the body of.

Holds what one write brought, and nothing else: a write returns when the last of it was taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from twisted.internet.defer import Deferred


class Pipe:
    """Bytes from ``write`` to ``read``; neither overlaps with itself."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._ended = False
        self._error: Exception | None = None
        self._reader: Deferred[None] | None = None
        self._writer: Deferred[None] | None = None

    async def write(self, pieces: Sequence[bytes]) -> None:
        """Hand pieces over; returns when all were taken.

        :raises Exception: what :meth:`fail` was told.
        """
        if self._error is not None:
            raise self._error
        self._pieces.extend([piece for piece in pieces if piece])
        self._wake_reader()
        if self._pieces:
            self._writer = Deferred()
            await self._writer

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._wake_reader()

    def fail(self, error: Exception) -> None:
        """Nobody reads any more: writes fail, the one under way too."""
        if self._error is None:
            self._error = error
            self._pieces.clear()
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.errback(error)

    async def read(self) -> bytes:
        """The next piece; empty at the end, and ever after."""
        while not self._pieces:
            if self._ended:
                return b""
            self._reader = Deferred(self._forget_reader)
            await self._reader
        piece = self._pieces.popleft()
        if not self._pieces and self._writer is not None:
            writer, self._writer = self._writer, None
            writer.callback(None)
        return piece

    def _forget_reader(self, _: Deferred[None]) -> None:
        self._reader = None

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.callback(None)
