"""A request's body: what has arrived of it, and who waits for it."""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from twisted.internet.defer import Deferred
from zope.interface import implementer

from bleepstore.errors import StoreError
from bleepstore.http.chunked import ChunkedDecoder
from bleepstore.interfaces.http import IBody

LARGE: Final = 128 * 1024
"""Bytes of a body that is worth reading in larger pieces than the usual 64 KiB."""

READS: Final = 4 * 1024 * 1024
"""Bytes that all large bodies that arrive may take in one read each (``shares``)."""

NARROW: Final = 16 * 1024
"""Bytes of a body in chunks that are read at once while its chunks are small: to take apart 1 MiB
of chunks of one byte takes a third of a second, in which nobody else is served."""

TINY: Final = 4096
"""Bytes of a piece that is joined to the one that waits before it: kept alone, it would cost many
times its bytes."""

HIGH_WATER: Final = 128 * 1024
"""Bytes that may wait for a reader; when there are more, the transport is paused.

One read may pass it, so no more than this and one read are ever in memory."""


class BodySource(Protocol):
    """What a body asks of its connection."""

    def body_wanted(self) -> None:
        """The reader waits: say 100-continue if it is due, read on, and watch the time."""

    def body_room(self) -> None:
        """The reader took some: read on."""

    def body_full(self) -> None:
        """Too much waits for the reader: read no more."""


@implementer(IBody)
class NoBody:
    """The body of all requests that have none."""

    __slots__ = ()

    length = 0
    received = 0
    complete = True

    async def read(self) -> bytes:
        return b""


NO_BODY: Final = NoBody()


@implementer(IBody)
class WholeBody:
    """A body that came with its head, as small ones commonly do: nothing is left to wait for."""

    __slots__ = ("_unread", "length", "received")

    complete = True

    def __init__(self, data: bytes) -> None:
        self.length = self.received = len(data)
        self._unread = data

    async def read(self) -> bytes:
        """As :meth:`IBody.read`."""
        data, self._unread = self._unread, b""
        return data


@implementer(IBody)
class Body:
    """The body of one request.

    The channel puts bytes in by :meth:`feed` and :meth:`fail`; the handler takes them out.

    :ivar length: bytes announced by Content-Length, or None for chunked transfer coding.
    :ivar received: bytes of it that have arrived, without the coding.
    :ivar complete: whether its end has arrived.
    :ivar waiting: whether a reader waits.
    """

    __slots__ = (
        "_chunks",
        "_decoder",
        "_error",
        "_reader",
        "_source",
        "_stored",
        "complete",
        "length",
        "received",
    )

    def __init__(self, source: BodySource, length: int | None) -> None:
        self.length = length
        self.received = 0
        self.complete = length == 0
        self._source = source
        self._decoder = ChunkedDecoder() if length is None else None
        self._chunks: deque[bytes] = deque()
        self._stored = 0
        self._reader: Deferred[bytes] | None = None
        self._error: StoreError | None = None

    @property
    def waiting(self) -> bool:
        return self._reader is not None

    @property
    def failed(self) -> bool:
        """Whether the rest of it cannot arrive, or not be understood."""
        return self._error is not None

    @property
    def missing(self) -> int | None:
        """Bytes that are still to arrive, or None if nobody knows."""
        return None if self.length is None else self.length - self.received

    def stride(self, share: int) -> int:
        """Bytes of it to read at once, where ``share`` are granted."""
        return NARROW if self._decoder is not None and self._decoder.small else share

    def ends_within(self, size: int) -> bool:
        """Whether no more than ``size`` bytes of it are still to arrive, and will be understood."""
        missing = self.missing
        return self._error is None and missing is not None and missing <= size

    async def read(self) -> bytes:
        """As :meth:`IBody.read`.

        :raises RuntimeError: another read is under way.
        """
        if self._chunks:
            chunk = self._chunks.popleft()
            self._stored -= len(chunk)
            if self._stored < HIGH_WATER:
                self._source.body_room()
            return chunk
        if self.complete:
            return b""
        if self._error is not None:
            raise self._error
        if self._reader is not None:
            raise RuntimeError("the body is already being read")
        self._reader = Deferred(self._forget)
        self._source.body_wanted()
        return await self._reader

    def _forget(self, reader: Deferred[bytes]) -> None:
        """The wait was cancelled; what arrives is kept for the next read."""
        self._reader = None

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        """Split what arrived into the body's bytes, and those behind its end.

        :raises BadRequest: the transfer coding is malformed.
        """
        if self._decoder is not None:
            chunk, rest = self._decoder.feed(data)
            self.received += len(chunk)
            self.complete = self._decoder.ended
            return chunk, rest
        assert self.length is not None
        missing = self.length - self.received
        size = len(data)
        if size < missing:
            self.received += size
            return data, b""
        self.received = self.length
        self.complete = True
        return (data, b"") if size == missing else (data[:missing], data[missing:])

    def deliver(self, chunk: bytes) -> None:
        """Hand decoded bytes to the reader, or keep them for it; the end, if it is complete."""
        if self._reader is not None:
            if chunk or self.complete:
                reader, self._reader = self._reader, None
                reader.callback(chunk)
        elif chunk:
            if self._chunks and len(chunk) < TINY and len(self._chunks[-1]) < TINY:
                self._chunks[-1] += chunk
            else:
                self._chunks.append(chunk)
            self._stored += len(chunk)
            if self._stored >= HIGH_WATER:
                self._source.body_full()

    def fail(self, error: StoreError) -> None:
        """No more will arrive; nothing happens if all has."""
        if self.complete or self._error is not None:
            return
        self._error = error
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reader.errback(error)

    def discard(self) -> None:
        """Forget what waits: nobody will read any more."""
        self._chunks.clear()
        self._stored = 0
