"""XML bodies of requests: read whole, bounded, and held against what the client says of them."""

from __future__ import annotations

from collections.abc import Mapping

from bleepstore.errors import (
    IncompleteBody,
    InvalidRequest,
    MaxMessageLengthExceeded,
    SlowDown,
)
from bleepstore.interfaces.http import IPayload
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.objectstore.publishing import expectations_of
from bleepstore.s3.call import Call
from bleepstore.s3.payload import claims_of, payload_of
from bleepstore.streams.digests import DigestsOfAll
from bleepstore.wire.xml_reader import MAX_BODY

ROOM = 64 * 1024 * 1024
"""Bytes of all documents that are being read ..."""

ROOM_FOR_ANYBODY = 8 * 1024 * 1024
"""... and of those that nobody signed: they have a room of their own."""

SMALL = 64 * 1024
"""Bytes of a document that there is always room for: larger ones are rare."""


class Documents:
    """Reads documents; one for all endpoints, so that many clients cannot fill the memory together.

    :param room: bytes, as :data:`ROOM`.
    :param room_for_anybody: bytes, as :data:`ROOM_FOR_ANYBODY`.
    """

    def __init__(self, room: int = ROOM, room_for_anybody: int = ROOM_FOR_ANYBODY) -> None:
        self._signed = _Room(room)
        self._unsigned = _Room(room_for_anybody)

    async def read(
        self,
        call: Call,
        *,
        digest_required: bool = False,
        checksum_is_of_object: bool = False,
        limit: int = MAX_BODY,
    ) -> bytes:
        """The body of a request that takes an XML document; empty if it has none.

        :param digest_required: whether Content-MD5 or a checksum must have been sent.
        :param checksum_is_of_object: whether the checksum headers speak of something else than the
            document (CompleteMultipartUpload).
        :param limit: bytes of the body, at most.
        :raises InvalidRequest: it was required and not sent.
        :raises MaxMessageLengthExceeded: over the limit.
        :raises SlowDown: it is not small, and too many others are being read.
        :raises StoreError: as :func:`claims_of`, :meth:`IPayload.read`,
            :meth:`Expectations.require`.
        """
        headers = call.headers
        claims = claims_of(call, checksum=not checksum_is_of_object)
        if digest_required and claims.md5 is None and claims.checksum is None:
            raise InvalidRequest(
                "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
            )
        body = b""
        trailers: Mapping[str, str] = {}
        if b"content-length" in headers or b"transfer-encoding" in headers:
            payload = payload_of(call)
            room = self._unsigned if call.caller.account is None else self._signed
            body = await room.read_whole(payload, limit)
            trailers = payload.trailers
        digests = DigestsOfAll(body)
        # MD5 where the client claims none: it takes no time to load, as the CRCs do once.
        expectations_of(claims, limit, ChecksumAlgorithm.MD5).require(trailers, digests, digests)
        return body


class _Room:
    """What is held of documents that have not arrived whole."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    async def read_whole(self, payload: IPayload, limit: int) -> bytes:
        if payload.length is not None and payload.length > limit:
            raise _too_long(limit)
        body = bytearray()
        size = 0
        try:
            while piece := await payload.read():
                size += len(piece)
                self._held += len(piece)
                if size > limit:
                    raise _too_long(limit)
                if size > SMALL and self._held > self._most:
                    raise SlowDown
                body += piece
        finally:
            self._held -= size
        if payload.length is not None and size != payload.length:
            raise IncompleteBody
        return bytes(body)


def _too_long(limit: int) -> MaxMessageLengthExceeded:
    return MaxMessageLengthExceeded(None, MaxMessageLengthBytes=str(limit))
