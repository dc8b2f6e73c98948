"""XML bodies of requests: read whole, bounded, and held against what the client says of them."""

from __future__ import annotations

from base64 import b64encode

from bleepstore.auth.payload import PayloadMode
from bleepstore.errors import (
    BadDigest,
    IncompleteBody,
    InvalidRequest,
    MaxMessageLengthExceeded,
    XAmzContentSHA256Mismatch,
)
from bleepstore.interfaces.http import IPayload
from bleepstore.s3.call import Call
from bleepstore.s3.payload import payload_of
from bleepstore.streams.digests import Digests
from bleepstore.wire.checksums import (
    ClaimedChecksum,
    claimed_checksum,
    content_md5,
    trailer_value,
)
from bleepstore.wire.xml_reader import MAX_BODY


async def read_document(
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
    :raises InvalidDigest, BadDigest, XAmzContentSHA256Mismatch: it is another one.
    :raises StoreError: as :meth:`IPayload.read`.
    """
    headers = call.headers
    md5 = content_md5(headers)
    claim = None if checksum_is_of_object else claimed_checksum(headers)
    if digest_required and md5 is None and claim is None:
        raise InvalidRequest("Missing required header for this request: Content-MD5")
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        body = b""
        payload: IPayload | None = None
    else:
        payload = payload_of(call)
        body = await _read_whole(payload, limit)
    sha256 = call.payload.sha256 if call.payload.mode is PayloadMode.SHA256 else ""
    digests = Digests(
        md5=md5 is not None,
        sha256=bool(sha256),
        algorithms=() if claim is None else (claim.algorithm,),
    )
    digests.update(body)
    if sha256 and digests.sha256().hex() != sha256:
        raise XAmzContentSHA256Mismatch(
            None,
            ClientComputedContentSHA256=sha256,
            S3ComputedContentSHA256=digests.sha256().hex(),
        )
    if md5 is not None and digests.md5() != md5:
        raise BadDigest(
            None,
            ExpectedDigest=b64encode(md5).decode(),
            CalculatedDigest=b64encode(digests.md5()).decode(),
        )
    if claim is not None:
        _check(claim, payload, digests)
    return body


async def _read_whole(payload: IPayload, limit: int) -> bytes:
    if payload.length is not None and payload.length > limit:
        raise _too_long(limit)
    pieces: list[bytes] = []
    size = 0
    while piece := await payload.read():
        size += len(piece)
        if size > limit:
            raise _too_long(limit)
        pieces.append(piece)
    if payload.length is not None and size != payload.length:
        raise IncompleteBody
    return b"".join(pieces)


def _too_long(limit: int) -> MaxMessageLengthExceeded:
    return MaxMessageLengthExceeded(None, MaxMessageLengthBytes=str(limit))


def _check(claim: ClaimedChecksum, payload: IPayload | None, digests: Digests) -> None:
    expected = claim.value
    if not expected:
        expected = trailer_value(claim, {} if payload is None else payload.trailers)
    if digests.checksum(claim.algorithm).value != expected:
        raise BadDigest(
            f"The {claim.algorithm.value} you specified did not match the calculated checksum."
        )
