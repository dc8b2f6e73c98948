"""The body of an answer on its way in: read as fast as its reader wants it.

While nobody reads, at most :data:`HIGH` bytes (and what one read of the socket brought) are held,
and the transport is paused: the server waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from bleepstore.remote.countdown import Countdown
from bleepstore.remote.failures import Fault, RemoteFailure, Unreachable

HIGH = 256 * 1024
"""Bytes held when the transport is paused …"""

LOW = 64 * 1024
"""… and when it is resumed."""

LARGEST = 1 << 20
"""Bytes of the largest piece that is given out."""


class Flow(Protocol):
    """What a body comes by."""

    def pause(self) -> None:
        """Receive nothing for the moment."""

    def resume(self) -> None:
        """Receive again."""


class ResponseBody:
    """The bytes of an answer.  Reads do not overlap.

    :param stall: seconds that the server may send nothing while somebody reads.
    :param cut: cuts the connection; called once, if it is closed before its end.
    :param over: called once, when the connection is done with: at the end, or on any failure.
    :ivar flow: what it comes by, once it does.
    """

    __slots__ = (
        "_closed",
        "_countdown",
        "_cut",
        "_ended",
        "_failure",
        "_held",
        "_over",
        "_paused",
        "_size",
        "_stall",
        "_waiter",
        "flow",
    )

    def __init__(
        self,
        countdown: Countdown,
        stall: float,
        cut: Callable[[], None],
        over: Callable[[], None],
    ) -> None:
        self._countdown = countdown
        self._stall = stall
        self._cut = cut
        self._over = over
        self.flow: Flow | None = None
        self._held: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._ended = False
        self._closed = False
        self._failure: RemoteFailure | None = None
        self._waiter: Deferred[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes from the connection."""
        return self._ended

    # For the reader

    async def read(self) -> bytes:
        """The next bytes, between 1 byte and 1 MiB; empty at the end, and after a close.

        :raises Unreachable: the connection broke before the end, or the server sent nothing for
            too long.
        """
        while not self._size:
            if self._closed or (self._ended and self._failure is None):
                return b""
            if self._failure is not None:
                raise self._failure
            await self._more()
        return self._take()

    async def read_all(self, most: int = LARGEST) -> bytes:
        """All bytes, for documents; what follows the first ``most`` bytes is cut off.

        :raises Unreachable: as :meth:`read`.
        """
        pieces: list[bytes] = []
        size = 0
        while size < most and (piece := await self.read()):
            pieces.append(piece)
            size += len(piece)
        self.close()
        return b"".join(pieces)[:most]

    def close(self) -> None:
        """Take no more.  Cuts the connection if the body has not ended; may be called twice, and
        during a read, which then gives nothing."""
        if self._closed:
            return
        self._closed = True
        self._held.clear()
        self._size = 0
        if not self._ended:
            self._ended = True
            self._cut()
            self._over()
        self._wake()

    def fail(self, failure: RemoteFailure) -> None:
        """Let reads fail: a deadline has passed."""
        if not self._ended:
            self._ended = True
            self._failure = failure
            self._cut()
            self._over()
            self._wake()

    # For the connection

    def received(self, data: bytes, last: bool) -> None:
        """Bytes that came, none perhaps.

        :param last: whether they are the last.  The connection is done with then, and whoever
            takes them may close the body, which cuts nothing.
        """
        if self._ended:
            return
        if last:
            self._ended = True
            self._over()
        if data and not self._closed:
            self._held.append(data)
            self._size += len(data)
        if self._waiter is not None and (data or last):
            self._wake()
        if self._size >= HIGH and not self._ended and not self._paused and self.flow is not None:
            self._paused = True
            self.flow.pause()

    def lost(self) -> None:
        """The connection broke before the end."""
        if self._ended:
            return
        self._ended = True
        # An answer without a length that ends with the connection is not known to be whole.
        self._failure = Unreachable(Fault.BROKEN, "the answer ended before its end")
        self._over()
        self._wake()

    async def _more(self) -> None:
        waiter: Deferred[None] = Deferred(self._given_up)
        self._waiter = waiter
        self._countdown.start(self._stall, Fault.STALLED)
        self._resume()
        await waiter

    def _given_up(self, waiter: Deferred[None]) -> None:
        self._waiter = None
        self._countdown.stop()

    def _take(self) -> bytes:
        data = b"".join(self._held) if len(self._held) > 1 else self._held[0]
        self._held.clear()
        if len(data) > LARGEST:
            self._held.append(data[LARGEST:])
            data = data[:LARGEST]
        self._size -= len(data)
        if self._size < LOW:
            self._resume()
        return data

    def _resume(self) -> None:
        if self._paused and not self._ended and self.flow is not None:
            self._paused = False
            self.flow.resume()

    def _wake(self) -> None:
        if (waiter := self._waiter) is not None:
            self._waiter = None
            self._countdown.stop()
            waiter.callback(None)
