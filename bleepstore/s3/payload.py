"""What the client means to store, out of the body it sends: plain, or framed as aws-chunked.

``x-amz-content-sha256`` decides which (``auth.payload``); ``wire.aws_chunked`` takes the frames
apart and ``auth.chunks`` follows their signatures, both piece by piece as the body comes in, so
that the reactor never works on more than one piece at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from zope.interface import implementer

from bleepstore.auth.chunks import ChunkSignatures
from bleepstore.auth.payload import PayloadMode
from bleepstore.errors import MissingContentLength
from bleepstore.interfaces.http import IBody, IPayload
from bleepstore.objectstore.requests import Claims
from bleepstore.s3.call import Call
from bleepstore.wire.aws_chunked import (
    AwsChunkedDecoder,
    ChunkEnd,
    Trailers,
    parse_decoded_length,
    parse_trailer_names,
)
from bleepstore.wire.checksums import claimed_checksum, content_md5

LEAST = 8 * 1024
"""Bytes that are decoded before others get their turn, where the chunks are so small ..."""

BUSY = 256
"""... that there are more of them than these in it; else twice as many bytes each time.  A chunk
costs some microseconds, whatever is in it, and a piece of 1 MiB can hold 170,000."""

_NO_TRAILERS: Mapping[str, str] = {}


@implementer(IPayload)
class PlainPayload:
    """The body as it is."""

    __slots__ = ("_body", "length")

    trailers = _NO_TRAILERS

    def __init__(self, body: IBody) -> None:
        self._body = body
        self.length: int | None = body.length

    def read(self) -> Awaitable[bytes]:
        """See :class:`IPayload`."""
        piece: Awaitable[bytes] = self._body.read()
        return piece


@implementer(IPayload)
class ChunkedPayload:
    """The data of an aws-chunked body.

    :param signatures: of its chunks; None when they are not signed, or nobody checks them.
    :param turn: returns when others had their turn.
    """

    __slots__ = ("_body", "_decoder", "_signatures", "_stride", "_turn", "length", "trailers")

    def __init__(
        self,
        body: IBody,
        length: int,
        decoder: AwsChunkedDecoder,
        signatures: ChunkSignatures | None,
        turn: Callable[[], Awaitable[None]],
    ) -> None:
        self._body = body
        self._turn = turn
        self._stride = LEAST
        self._decoder = decoder
        self._signatures = signatures
        self.length: int | None = length
        self.trailers: Mapping[str, str] = _NO_TRAILERS

    async def read(self) -> bytes:
        """See :class:`IPayload`."""
        while raw := await self._body.read():
            pieces: list[memoryview] = []
            at = 0
            while at < len(raw):
                end = at + self._stride
                chunks = self._decode(raw[at:end], pieces)
                at = end
                if chunks > BUSY:
                    self._stride = LEAST
                    await self._turn()
                elif at < len(raw):
                    self._stride *= 2
            if pieces:
                return b"".join(pieces)
        self._decoder.finish()
        return b""

    def _decode(self, raw: bytes, pieces: list[memoryview]) -> int:
        """Add the data in it to the pieces; how many chunks have ended."""
        signatures = self._signatures
        chunks = 0
        for event in self._decoder.feed(raw):
            if isinstance(event, memoryview):
                if signatures is not None:
                    signatures.update(event)
                pieces.append(event)
            elif isinstance(event, ChunkEnd):
                chunks += 1
                if signatures is not None:
                    signatures.end_chunk(event.signature)
            elif isinstance(event, Trailers):
                if signatures is not None:
                    signatures.end_trailer(event.items, event.signature)
                self.trailers = {
                    name.decode("latin-1"): value.decode("latin-1") for name, value in event.items
                }
        return chunks


def payload_of(call: Call) -> IPayload:
    """The payload of a request that must have a body; nothing of it is read yet.

    :raises MissingContentLength: the head does not say how long the body is, nor that it comes
        in chunks; or it is aws-chunked, and x-amz-decoded-content-length is absent.
    :raises InvalidArgument: x-amz-decoded-content-length is no number.
    :raises InvalidRequest: x-amz-trailer is malformed.
    """
    headers = call.headers
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        raise MissingContentLength
    mode = call.payload.mode
    if not mode.chunked:
        return PlainPayload(call.request.body)
    length = parse_decoded_length(headers.get(b"x-amz-decoded-content-length"))
    decoder = AwsChunkedDecoder(
        length,
        signed=mode.signed_chunks,
        trailer=mode.trailer,
        announced=parse_trailer_names(headers.get(b"x-amz-trailer"))
        if mode.trailer
        else frozenset(),
    )
    return ChunkedPayload(
        call.request.body, length, decoder, call.chunk_signatures, call.request.turn
    )


def claims_of(call: Call, *, checksum: bool = True) -> Claims:
    """What the head says of the body.

    :param checksum: whether the checksum headers speak of the body.
    :raises InvalidDigest: Content-MD5.
    :raises InvalidRequest: a checksum.
    """
    payload = call.payload
    return Claims(
        content_md5(call.headers),
        claimed_checksum(call.headers) if checksum else None,
        payload.sha256 if payload.mode is PayloadMode.SHA256 else None,
    )
