"""The body of a request on its way out: pulled from a source as fast as the server takes it.

Twisted's transport says when it has enough (``pauseProducing``) and when it wants more; between
the two nothing is read from the source.  So one piece of the source, and what the transport holds
(64 KiB and that piece), is all that is in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from bleepstore.errors import IncompleteBody
from bleepstore.remote.countdown import Countdown
from bleepstore.remote.failures import Fault
from bleepstore.remote.requests import ByteSource

PIECE = 128 * 1024
"""Bytes of a body in memory that are handed to the transport at once."""


class BytesSource:
    """A body that is in memory, in pieces."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __len__(self) -> int:
        return len(self._data) - self._at

    def all(self) -> bytes:
        """What is left, at once."""
        data = self._data[self._at :] if self._at else self._data
        self._at = len(self._data)
        return data

    async def read(self) -> bytes:
        """See :class:`ByteSource`."""
        if self._at == 0 and len(self._data) <= PIECE:
            self._at = len(self._data)
            return self._data
        piece = self._data[self._at : self._at + PIECE]
        self._at += len(piece)
        return piece


_SPENT = BytesSource(b"")
"""A source that has ended."""


@implementer(IBodyProducer)
class BodyProducer:
    """Writes a source to a transport, for one attempt.

    While the transport takes nothing the countdown runs; a source that is slow is its own affair.

    :param length: bytes that the source has, or None.
    :param stall: seconds without progress that the server is given.
    :param sent: called when all of it was given to the transport.
    :ivar error: what the source raised, if it did; IncompleteBody if it had another length.
    :ivar finished: whether all of it was given to the transport.
    """

    def __init__(
        self,
        source: ByteSource,
        length: int | None,
        countdown: Countdown,
        stall: float,
        sent: Callable[[], None],
    ) -> None:
        self.length: Any = UNKNOWN_LENGTH if length is None else length
        self.error: Exception | None = None
        self.finished = False
        self._source = source
        self._left = length
        self._countdown = countdown
        self._stall = stall
        self._sent = sent
        self._running: Deferred[None] | None = None
        self._paused: Deferred[None] | None = None
        self._stopped = False

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """See ``IBodyProducer``."""
        if self._stopped:
            return fail(CancelledError())
        ended: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._running = Deferred.fromCoroutine(self._run(consumer))
        self._running.addBoth(self._end, ended)
        return ended

    async def _run(self, consumer: IConsumer) -> None:
        while True:
            if (paused := self._paused) is not None:
                await paused
            data = await self._source.read()
            if self._left is not None:
                self._left -= len(data)
                if self._left < 0 or (self._left and not data):
                    raise IncompleteBody
            if not data:
                return
            consumer.write(data)

    def _end(self, result: Failure | None, ended: Deferred[None]) -> None:
        self._source = _SPENT
        if self._stopped:
            return  # nobody waits, or it was cancelled and has failed already
        self._stopped = True
        if isinstance(result, Failure):
            if isinstance(result.value, Exception):
                self.error = result.value
            ended.errback(result)
        else:
            self.finished = True
            self._sent()
            ended.callback(None)

    def pauseProducing(self) -> None:
        """See ``IPushProducer``."""
        if self._paused is None and not self._stopped:
            self._paused = Deferred()
            self._countdown.start(self._stall, Fault.STALLED)

    def resumeProducing(self) -> None:
        """See ``IPushProducer``."""
        if not self._stopped:
            self._countdown.stop()
            self._resume()

    def stopProducing(self) -> None:
        """Read no more; what the source is asked for at this moment is given up."""
        if not self._stopped:
            self._stopped = True
            if self._running is not None:
                self._running.cancel()
        # Twisted's objects and ours refer to each other in circles: what a body holds must not
        # wait for the garbage collector, who does not know that it is large.
        self._source = _SPENT

    def _resume(self) -> None:
        if (paused := self._paused) is not None:
            self._paused = None
            if not paused.called:
                paused.callback(None)
