"""The write path: a payload is read to its end, hashed, checked and stored.

A small body becomes inline bytes: on the reactor's thread, in one go, without a hop.  A large one
is gathered into batches; while the next one comes in, threads hash the last ones (MD5 in one lane,
the other digests in another) and the blob store writes.  A bounded number of batches is under way,
so that memory is bounded and the slowest of network, hash and disk sets the pace of all.

Whatever goes wrong (a digest, a length, the network, the disk, a cancelled wait), nothing is left.

Knows payloads and blob stores; knows no S3 headers, metadata or HTTP.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred

from bleepstore.errors import (
    BadDigest,
    EntityTooLarge,
    IncompleteBody,
    InvalidRequest,
    MalformedTrailerError,
    XAmzContentSHA256Mismatch,
)
from bleepstore.interfaces.blobs import IBlobStore, IBlobWriter, Placement
from bleepstore.interfaces.http import IPayload
from bleepstore.interfaces.threads import IThreads
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm
from bleepstore.model.objects import Extent
from bleepstore.streams.digests import (
    Digests,
    decode_base64,
    decode_content_md5,
    encode_base64,
)

INLINE_MAX = 16 * 1024
"""Bytes up to which a body is kept beside its metadata (DESIGN.md has the measurement)."""

BATCH = 256 * 1024
"""Bytes that are handed to threads at once."""

IN_FLIGHT = 2
"""Batches under way while the next one is gathered."""

_CRC64NVME = ChecksumAlgorithm.CRC64NVME


class Expectations(Struct, frozen=True, kw_only=True):
    """What the client says about the bytes it sends.

    :ivar max_size: bytes that are accepted at most.
    :ivar content_md5: the Content-MD5 header as sent, base64.
    :ivar sha256: the signed payload hash as sent, 64 lower-case hex digits; None for
        UNSIGNED-PAYLOAD and the streaming forms.
    :ivar checksum: an ``x-amz-checksum-*`` header.
    :ivar trailer: the algorithm whose value comes in the payload's trailers.
    :ivar algorithm: what to compute where the client sends no value.
    """

    max_size: int
    content_md5: str | None = None
    sha256: str | None = None
    checksum: Checksum | None = None
    trailer: ChecksumAlgorithm | None = None
    algorithm: ChecksumAlgorithm = _CRC64NVME


class Ingested(Struct, frozen=True, kw_only=True):
    """Bytes that are stored, durably unless inline, and not yet published.

    :ivar size: bytes.
    :ivar md5: 32 hex digits: the ETag of an object that was put in one piece.
    :ivar checksum: of the client's algorithm, else of ``Expectations.algorithm``.
    :ivar extents: where the bytes are; empty for an empty body that is kept inline.
    :ivar scrub: CRC64NVME of the bytes, whatever the client chose.
    """

    size: int
    md5: str
    checksum: Checksum
    extents: tuple[Extent, ...]
    scrub: Checksum


class Ingest:
    """The write path of one process.

    :param new_blob_id: gives ids that were never used (an epoch's serial numbers).
    :param inline_max: bytes; a store that does not want inline objects overrules it.
    """

    def __init__(
        self,
        blobs: IBlobStore,
        threads: IThreads,
        new_blob_id: Callable[[], str],
        inline_max: int = INLINE_MAX,
    ) -> None:
        self._blobs = blobs
        self._threads = threads
        self._new_blob_id = new_blob_id
        self._inline_max = inline_max if blobs.capabilities.inline_small else -1

    async def take(
        self, payload: IPayload, expectations: Expectations, placement: Placement
    ) -> Ingested:
        """Read a payload to its end and store it.

        If what follows fails, the caller deletes the blobs that the extents name.

        :raises EntityTooLarge: it is announced, or turns out, to be larger than allowed.
        :raises InvalidDigest: Content-MD5 is malformed; found before anything is read.
        :raises InvalidRequest: a checksum is malformed; a header's before anything is read.
        :raises MalformedTrailerError: the announced trailer is missing.
        :raises BadDigest: the bytes do not match Content-MD5 or the checksum.
        :raises XAmzContentSHA256Mismatch: the bytes do not match the signed hash.
        :raises IncompleteBody: it ends before its announced length, or goes on after it.
        :raises InsufficientStorage: there is no room.
        :raises StoreError: as :meth:`IPayload.read`.
        """
        raise NotImplementedError
