"""A body that can be read only once, with its beginning kept so that an attempt can be repeated.

Most failures that are worth another attempt happen before much was sent: a connection that was
idle in the pool and is dead, a server that answers 503 to the head.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from bleepstore.remote.requests import ByteSource

KEPT = 256 * 1024
"""Bytes of a body that are kept.  Once more were read, it cannot be replayed any more."""


class Rewindable:
    """A source whose first :data:`KEPT` bytes can be read again.

    A read that its reader gives up goes on: what it brings is there for the next reader.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._kept: list[bytes] | None = []
        self._size = 0
        self._at = 0
        self._reading: Deferred[bytes] | None = None
        self._waiter: Deferred[bytes] | None = None

    def rewind(self) -> bool:
        """Go back to the beginning; False, and nothing changes, if it is no longer there."""
        if self._kept is None:
            return False
        self._at = 0
        return True

    async def read(self) -> bytes:
        """See :class:`ByteSource`."""
        kept = self._kept
        if kept is not None and self._at < len(kept):
            self._at += 1
            return kept[self._at - 1]
        waiter = self._waiter = Deferred(self._abandoned)
        if self._reading is None:
            self._reading = Deferred.fromCoroutine(self._fetch())
            self._reading.addBoth(self._arrived)
        return await waiter

    def release(self) -> None:
        """Nobody will read any more: a read under way is cancelled."""
        self._kept = None
        if (reading := self._reading) is not None:
            reading.cancel()

    async def _fetch(self) -> bytes:
        return await self._source.read()

    def _arrived(self, result: bytes | Failure) -> None:
        self._reading = None
        waiter, self._waiter = self._waiter, None
        if isinstance(result, Failure):
            if waiter is not None:
                waiter.errback(result)
            elif not isinstance(result.value, CancelledError):
                self._source = _Failed(result)
        elif waiter is not None:
            if self._kept is not None:
                self._size += len(result)
                if self._size > KEPT:
                    self._kept = None
                else:
                    self._kept.append(result)
                    self._at = len(self._kept)
            waiter.callback(result)
        elif self._kept is not None:
            self._size += len(result)
            self._kept.append(result)

    def _abandoned(self, waiter: Deferred[Any]) -> None:
        self._waiter = None


class _Failed:
    """A source that has failed, and fails again."""

    def __init__(self, failure: Failure) -> None:
        self._failure = failure

    async def read(self) -> bytes:
        self._failure.raiseException()
        return b""
