"""The read path: the extents of an object become the body of a response.

Knows extents, blob stores and requests; knows no S3, headers or ranges of HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zope.interface import implementer

from bleepstore.interfaces.blobs import IBlobReader, IBlobStore
from bleepstore.interfaces.http import IHttpRequest
from bleepstore.model.objects import Extent


def clip(extents: Iterable[Extent], offset: int, length: int) -> tuple[Extent, ...]:
    """The extents of ``length`` bytes from ``offset`` of the bytes that ``extents`` make up."""
    raise NotImplementedError


@implementer(IBlobReader)
class BodyReader:
    """The bytes of several extents, one after another, as one reader.

    One chunk is read ahead while the last one is used; at most one blob is open at a time.
    """

    def __init__(self, blobs: IBlobStore, extents: Sequence[Extent]) -> None:
        raise NotImplementedError

    async def prime(self) -> bytes | None:
        """Read the first chunk, so that what is wrong comes out before a response's head is sent.

        Gives the whole body if it fits in that chunk (then there is nothing left to read),
        else None.

        :raises InternalError: it cannot be read.
        """
        raise NotImplementedError

    async def read(self) -> bytes:
        """See :class:`IBlobReader`."""
        raise NotImplementedError

    def close(self) -> None:
        """See :class:`IBlobReader`."""
        raise NotImplementedError


async def send_body(request: IHttpRequest, body: IBlobReader) -> None:
    """Send all of a body as that of a response whose head was written, and close the reader.

    The caller finishes the response.  On an error the connection is cut, so that the client sees
    that the body is not whole.

    :raises ConnectionError: the client has gone.
    :raises InternalError: the bytes cannot be read; the connection was cut.
    """
    raise NotImplementedError
