"""What ``x-amz-content-sha256`` says of a body: its hash, nothing, or that it comes in chunks.

Source: "Authenticating Requests: Using the Authorization Header", table of the values of
x-amz-content-sha256, Amazon S3 API Reference.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from bleepstore import errors
from bleepstore.errors import InvalidArgument, InvalidRequest

EMPTY_SHA256 = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class PayloadMode(Enum):
    """How a body is sent, and what of it is signed.

    :ivar literal: the header's value; empty for a hash.
    :ivar chunked: whether the body is framed as aws-chunked.
    :ivar signed_chunks: whether each chunk carries a signature.
    :ivar trailer: whether trailing headers follow the last chunk.
    """

    SHA256 = ("", False, False, False)
    UNSIGNED = ("UNSIGNED-PAYLOAD", False, False, False)
    SIGNED_CHUNKS = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", True, True, False)
    SIGNED_CHUNKS_TRAILER = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", True, True, True)
    UNSIGNED_CHUNKS_TRAILER = ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", True, False, True)

    def __init__(self, literal: str, chunked: bool, signed_chunks: bool, trailer: bool) -> None:
        self.literal = literal
        self.chunked = chunked
        self.signed_chunks = signed_chunks
        self.trailer = trailer


class Payload(Struct, frozen=True):
    """What a request says of its body.

    :ivar value: the last line of the canonical request, as sent.
    :ivar sha256: lower-case hex SHA-256 that the body must have, for mode SHA256; else empty.
    """

    mode: PayloadMode
    value: bytes
    sha256: str = ""


UNSIGNED = Payload(PayloadMode.UNSIGNED, b"UNSIGNED-PAYLOAD")
_BY_VALUE: dict[bytes, Payload] = {
    mode.literal.encode(): Payload(mode, mode.literal.encode())
    for mode in PayloadMode
    if mode.literal
}
_BY_VALUE[EMPTY_SHA256] = Payload(PayloadMode.SHA256, EMPTY_SHA256, EMPTY_SHA256.decode())

_ECDSA = (
    b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
    b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
)
_HEX_DIGITS = b"0123456789abcdefABCDEF"


def parse_payload(value: bytes) -> Payload:
    """Read the value of ``x-amz-content-sha256``.

    :raises NotImplemented: it is one of the two SigV4A (ECDSA) forms.
    :raises InvalidArgument: it is no valid value.
    """
    known = _BY_VALUE.get(value)
    if known is not None:
        return known
    if len(value) == 64 and not value.translate(None, _HEX_DIGITS):
        return Payload(PayloadMode.SHA256, value, value.decode().lower())
    if value in _ECDSA:
        raise errors.NotImplemented(
            "Chunks signed with AWS4-ECDSA-P256-SHA256 (Signature Version 4A) are not supported. "
            "Please use STREAMING-AWS4-HMAC-SHA256-PAYLOAD or "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER."
        )
    raise InvalidArgument(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER "
        "or a valid sha256 value.",
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=value.decode("utf-8", "replace"),
    )


def parse_anonymous_payload(value: bytes | None) -> Payload:
    """What a request that nobody signed says of its body: UNSIGNED when it says nothing.

    A hash holds for it as for a signed one; chunks that are signed have no signature to start from.

    :raises InvalidRequest: its chunks are signed, it is not.
    :raises NotImplemented: as :func:`parse_payload`.
    :raises InvalidArgument: as :func:`parse_payload`.
    """
    if value is None:
        return UNSIGNED
    payload = parse_payload(value)
    if payload.mode.signed_chunks:
        raise InvalidRequest("The chunks of the payload are signed, but the request is not.")
    return payload
