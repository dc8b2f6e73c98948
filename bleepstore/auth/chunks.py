"""The running signature over the chunks, and the trailer, of a streamed body.

Each signature covers the one before it; the first covers that of the request (the seed).
Sources: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
Chunks" and "Signature calculations for trailing headers", Amazon S3 API Reference.

Knows no framing: ``wire.aws_chunked`` takes chunks apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest

from bleepstore.auth.keys import signature_of
from bleepstore.auth.payload import EMPTY_SHA256
from bleepstore.errors import SignatureDoesNotMatch


class RunningSignature:
    """The signatures of chunk after chunk, each computed from the one before.

    :param key: the signing key of the request.
    :param seed: the request's own signature, hex.
    """

    __slots__ = ("_head", "_key", "_previous", "_trailer_head")

    def __init__(self, key: bytes, amz_date: bytes, scope: bytes, seed: bytes) -> None:
        self._key = key
        self._head = b"AWS4-HMAC-SHA256-PAYLOAD\n%b\n%b\n" % (amz_date, scope)
        self._trailer_head = b"AWS4-HMAC-SHA256-TRAILER\n%b\n%b\n" % (amz_date, scope)
        self._previous = seed

    def next_chunk(self, digest: bytes) -> tuple[bytes, bytes]:
        """Signature and string to sign of the next chunk.

        :param digest: the hex SHA-256 of its data.
        """
        text = b"%b%b\n%b\n%b" % (self._head, self._previous, EMPTY_SHA256, digest)
        self._previous = signature_of(self._key, text)
        return self._previous, text

    def trailer(self, lines: bytes) -> tuple[bytes, bytes]:
        """Signature and string to sign of the trailer.

        :param lines: its canonical form, see :func:`trailer_lines`.
        """
        digest = sha256(lines).hexdigest().encode()
        text = b"%b%b\n%b" % (self._trailer_head, self._previous, digest)
        return signature_of(self._key, text), text


class ChunkSignatures:
    """Verifies the signatures of a streamed body.

    Feed the data of a chunk in any pieces, then :meth:`end_chunk`; the empty last chunk too; then
    :meth:`end_trailer` if there is one.  After an error it is of no further use.
    """

    __slots__ = ("_hash", "_running")

    def __init__(self, key: bytes, amz_date: bytes, scope: bytes, seed: bytes) -> None:
        self._running = RunningSignature(key, amz_date, scope, seed)
        self._hash = sha256()

    def update(self, data: bytes | memoryview) -> None:
        """Take a piece of the current chunk's data."""
        self._hash.update(data)

    def end_chunk(self, signature: bytes) -> None:
        """Check the chunk that was fed, and begin the next.

        :raises SignatureDoesNotMatch: it is not what the client signed.
        """
        expected, text = self._running.next_chunk(self._hash.hexdigest().encode())
        self._hash = sha256()
        _compare(expected, signature, text)

    def end_trailer(self, trailers: Iterable[tuple[bytes, bytes]], signature: bytes) -> None:
        """Check the trailing headers, in order, without x-amz-trailer-signature.

        :raises SignatureDoesNotMatch: they are not what the client signed.
        """
        expected, text = self._running.trailer(trailer_lines(trailers))
        _compare(expected, signature, text)


def trailer_lines(trailers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The canonical form of trailing headers: ``name:value\\n`` for each, as sent."""
    return b"".join([b"%b:%b\n" % pair for pair in trailers])


def _compare(expected: bytes, found: bytes, text: bytes) -> None:
    if not compare_digest(expected, found):
        raise SignatureDoesNotMatch(
            None,
            StringToSign=text.decode("utf-8", "replace"),
            SignatureProvided=found.decode("utf-8", "replace"),
            StringToSignBytes=text.hex(" "),
        )
