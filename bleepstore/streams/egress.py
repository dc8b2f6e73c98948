"""The read path: the extents of an object become the body of a response.

While one chunk is on its way to the client the next one is read, so that disk and socket work at
the same time; no more than that is in memory: one read ahead, one being sent, and what the
transport holds of that one.

Knows extents, blob stores and requests; knows no S3, headers or ranges of HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.internet.defer import Deferred
from zope.interface import implementer

from bleepstore.errors import InternalError
from bleepstore.interfaces.blobs import IBlobReader, IBlobStore
from bleepstore.interfaces.http import IHttpRequest
from bleepstore.model.objects import Extent


def clip(extents: Iterable[Extent], offset: int, length: int) -> tuple[Extent, ...]:
    """The extents of ``length`` bytes from ``offset`` of the bytes that ``extents`` make up.

    What lies outside of them is left out: the caller has resolved the range against the size.
    """
    clipped: list[Extent] = []
    for extent in extents:
        if length <= 0:
            break
        if offset >= extent.length:
            offset -= extent.length
            continue
        taken = min(extent.length - offset, length)
        if taken == extent.length:
            clipped.append(extent)
        elif extent.blob_id:
            clipped.append(Extent(taken, extent.blob_id, extent.offset + offset))
        else:
            clipped.append(Extent(taken, data=extent.data[offset : offset + taken]))
        length -= taken
        offset = 0
    return tuple(clipped)


@implementer(IBlobReader)
class BodyReader:
    """The bytes of several extents, one after another, as one reader.

    At most one blob is open at a time, whatever the number of extents.
    """

    __slots__ = (
        "_ahead",
        "_blobs",
        "_closed",
        "_extents",
        "_left",
        "_primed",
        "_reader",
        "_unread",
    )

    def __init__(self, blobs: IBlobStore, extents: Sequence[Extent]) -> None:
        self._blobs = blobs
        self._extents = iter(extents)
        self._unread = sum([extent.length for extent in extents])
        self._reader: IBlobReader | None = None
        self._left = 0
        self._ahead: Deferred[bytes] | None = None
        self._primed: bytes | None = None
        self._closed = False

    async def prime(self) -> bytes | None:
        """Read the first chunk, so that what is wrong comes out before a response's head is sent.

        Gives the whole body if it fits in that chunk (then there is nothing left to read),
        else None.

        :raises InternalError: it cannot be read; the reader was closed.
        """
        try:
            first = await self.read()
        except BaseException:
            self.close()
            raise
        if not self._unread and self._ahead is None:
            return first
        self._primed = first
        return None

    async def read(self) -> bytes:
        """See :class:`IBlobReader`."""
        if (primed := self._primed) is not None:
            self._primed = None
            return primed
        if (ahead := self._ahead) is not None:
            self._ahead = None
            data = await ahead
        elif self._unread:
            data = await self._fetch()
        else:
            return b""
        if self._unread and not self._closed:
            self._ahead = Deferred.fromCoroutine(self._fetch())
        return data

    def close(self) -> None:
        """See :class:`IBlobReader`."""
        if self._closed:
            return
        self._closed = True
        self._unread = 0
        self._primed = None
        if (ahead := self._ahead) is not None:
            # It runs to its end, so that no blob is left open; nobody hears why it fails.
            self._ahead = None
            ahead.addErrback(lambda failure: None)
        self._release()

    async def _fetch(self) -> bytes:
        """The next chunk; there is one."""
        while (reader := self._reader) is None:
            extent = next(self._extents)
            if not extent.length:
                continue
            if not extent.blob_id:
                self._unread -= extent.length
                return extent.data
            reader = await self._blobs.open(extent.blob_id, extent.offset, extent.length)
            self._left = extent.length
            self._reader = reader
            if self._closed:
                self._release()
                return b""
        data = await reader.read()
        self._left -= len(data)
        self._unread -= len(data)
        if not data and not self._closed:
            raise InternalError(f"a blob ended {self._left} bytes early")
        if not self._left:
            self._release()
        return data

    def _release(self) -> None:
        if (reader := self._reader) is not None:
            self._reader = None
            reader.close()


async def send_body(request: IHttpRequest, body: IBlobReader) -> None:
    """Send all of a body as that of a response whose head was written, and close the reader.

    The caller finishes the response.  On an error the connection is cut, so that the client sees
    that the body is not whole.

    :raises ConnectionError: the client has gone.
    :raises InternalError: the bytes cannot be read; the connection was cut.
    """
    try:
        while data := await body.read():
            await request.send(data)
    except BaseException:
        request.abort()
        raise
    finally:
        body.close()
