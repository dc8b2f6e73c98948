"""The write path: a payload is read to its end, hashed, checked and stored.

A small body becomes inline bytes: on the reactor's thread, in one go, without a hop.  A large one
becomes a blob (``batches`` has how), as does a small one where the store wants no inline objects.

Whatever goes wrong (a digest, a length, the network, the disk, a cancelled wait), nothing is left.

Knows payloads and blob stores; knows no S3 headers, metadata or HTTP.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from twisted.internet.defer import Deferred

from bleepstore.errors import (
    BadDigest,
    EntityTooLarge,
    IncompleteBody,
    InvalidRequest,
    MalformedTrailerError,
    NotImplemented,
    XAmzContentSHA256Mismatch,
)
from bleepstore.interfaces.blobs import IBlobStore, IBlobWriter, Placement
from bleepstore.interfaces.http import IPayload
from bleepstore.interfaces.threads import IThreads
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm
from bleepstore.model.objects import Extent
from bleepstore.shares import Share
from bleepstore.streams.batches import Batches
from bleepstore.streams.digests import (
    Digests,
    DigestsOfAll,
    decode_base64,
    decode_content_md5,
    encode_base64,
)

INLINE_MAX = 16 * 1024
"""Bytes up to which a body is kept beside its metadata; above it a file costs no more."""

AT_ONCE = INLINE_MAX
"""Bytes up to which a body is hashed on the reactor's thread though it is not kept inline: to wait
for a thread costs more."""

BATCHES = 4 * 1024 * 1024
"""Bytes that one batch of each large body may take; there are a few of each (``batches``)."""

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
    :ivar md5: 32 hex digits: the ETag of an object that was put in one piece; empty for a part of
        an upload in a cloud, which tells it when the part is placed.
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
        self._share = Share(BATCHES)
        inline = blobs.capabilities.inline_small
        self._inline_max = inline_max if inline else -1
        self._at_once = inline_max if inline else AT_ONCE
        self._read_only = blobs.capabilities.read_only

    async def take(
        self, payload: IPayload, expectations: Expectations, placement: Placement
    ) -> Ingested:
        """Read a payload to its end and store it.

        If what follows fails, the caller deletes the blobs that the extents name.

        :raises EntityTooLarge: it is announced, or turns out, to be larger than allowed.
        :raises NotImplemented: it is too large to be kept inline, and the store takes no blobs;
            found before anything is read if a length is announced, else when more has come.
        :raises InvalidDigest: Content-MD5 is malformed; found before anything is read.
        :raises InvalidRequest: a checksum is malformed; a header's before anything is read.
        :raises MalformedTrailerError: the announced trailer is missing.
        :raises BadDigest: the bytes do not match Content-MD5 or the checksum.
        :raises XAmzContentSHA256Mismatch: the bytes do not match the signed hash.
        :raises IncompleteBody: it ends before its announced length, or goes on after it.
        :raises InsufficientStorage: there is no room.
        :raises StoreError: as :meth:`IPayload.read`.
        """
        length = payload.length
        if length is not None and length > expectations.max_size:
            raise _too_large(length, expectations)
        if self._read_only and length is not None and length > self._inline_max:
            raise self._no_blob()
        checks = _Checks(expectations)
        pieces: list[bytes] = []
        size = 0
        if length is None or length <= self._at_once:
            while data := await payload.read():
                pieces.append(data)
                size += len(data)
                if size > self._at_once:
                    if self._read_only:
                        raise self._no_blob()
                    break
            else:
                body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                _require_whole(payload, size, expectations)
                digests = DigestsOfAll(body)
                checksum = checks.require(payload, digests, digests)
                if size <= self._inline_max:
                    extents = (Extent(size, data=body),) if size else ()
                else:
                    extents = (await self._store_small(body, placement),)
                return Ingested(
                    size=size,
                    md5=digests.md5_hex(),
                    checksum=checksum,
                    extents=extents,
                    scrub=checksum
                    if checksum.algorithm is _CRC64NVME
                    else digests.checksum(_CRC64NVME),
                )
        return await self._store(payload, expectations, placement, checks, pieces)

    def _no_blob(self) -> NotImplemented:
        limit = max(self._inline_max, 0)
        return NotImplemented(
            f"An object or part of more than {limit} bytes (storage.inline_max_bytes) cannot be "
            f"stored: {self._read_only}.",
            MaxSizeAllowed=str(limit),
        )

    async def _store_small(self, body: bytes, placement: Placement) -> Extent:
        """Store a body that is at hand, and is what the client says, in a blob."""
        if self._read_only:
            raise self._no_blob()
        blob_id = self._new_blob_id()
        writer = await self._blobs.create(blob_id, placement)
        try:
            if body:
                await writer.write(body)
            await writer.finish()
        except Exception:  # a cancelled wait too; a second one does not reach the cleaning
            cleaned: Deferred[None] = Deferred()
            Deferred.fromCoroutine(_aborted(writer)).chainDeferred(cleaned)
            await cleaned
            raise
        return Extent(len(body), blob_id)

    async def _store(
        self,
        payload: IPayload,
        expectations: Expectations,
        placement: Placement,
        checks: _Checks,
        pieces: list[bytes],
    ) -> Ingested:
        """Store a body in a blob: what was read of it already, and the rest."""
        blob_id = self._new_blob_id()
        writer = await self._blobs.create(blob_id, placement)
        hashing = checks.md5 or not writer.hashes
        upload = Batches(
            writer, self._threads, hashing, checks.sha256, checks.algorithms, self._share
        )
        self._share.enter()
        try:
            for piece in pieces:
                await upload.add(piece)
            pieces.clear()
            while data := await payload.read():
                if upload.size + len(data) > expectations.max_size:
                    raise _too_large(upload.size + len(data), expectations)
                await upload.add(data)
            await upload.settle()
            _require_whole(payload, upload.size, expectations)
            checksum = checks.require(payload, upload.md5, upload.rest)
            md5 = await writer.finish(upload.md5.md5_hex() if hashing else "")
        except Exception:  # a cancelled wait too
            await upload.abandon()
            raise
        finally:
            self._share.leave()
        return Ingested(
            size=upload.size,
            md5=md5,
            checksum=checksum,
            extents=(Extent(upload.size, blob_id),),
            scrub=upload.rest.checksum(_CRC64NVME),
        )


async def _aborted(writer: IBlobWriter) -> None:
    await writer.abort()


class _Checks:
    """Expectations, decoded: what has to be computed, and how it must come out."""

    __slots__ = ("_chosen", "_content_md5", "_expectations", "sha256")

    def __init__(self, expectations: Expectations) -> None:
        """:raises StoreError: a value is malformed."""
        self._expectations = expectations
        self._content_md5 = None
        if expectations.content_md5 is not None:
            self._content_md5 = decode_content_md5(expectations.content_md5)
        if (checksum := expectations.checksum) is not None:
            _require_decodable(checksum, "header")
        self.sha256 = expectations.sha256 is not None
        self._chosen = (
            expectations.checksum.algorithm
            if expectations.checksum is not None
            else expectations.trailer or expectations.algorithm
        )

    @property
    def md5(self) -> bool:
        """Whether the client has said what the MD5 is, or wants it as the checksum."""
        return self._content_md5 is not None or self._chosen is ChecksumAlgorithm.MD5

    @property
    def algorithms(self) -> tuple[ChecksumAlgorithm, ...]:
        """The checksums to compute, beside the MD5: the client's choice, and that of the scrub."""
        chosen = self._chosen
        if chosen is _CRC64NVME or chosen is ChecksumAlgorithm.MD5:
            return (_CRC64NVME,)
        return (chosen, _CRC64NVME)

    def require(
        self, payload: IPayload, md5: Digests | DigestsOfAll, rest: Digests | DigestsOfAll
    ) -> Checksum:
        """The checksum of the bytes, if they are what the client says; after the payload's end.

        :raises StoreError: they are not.
        """
        expectations = self._expectations
        if self._content_md5 is not None and self._content_md5 != md5.md5():
            raise BadDigest(
                ExpectedDigest=expectations.content_md5 or "",
                CalculatedDigest=encode_base64(md5.md5()),
            )
        if expectations.sha256 is not None:
            computed = rest.sha256().hex()
            if computed != expectations.sha256:
                raise XAmzContentSHA256Mismatch(
                    ClientComputedContentSHA256=expectations.sha256,
                    S3ComputedContentSHA256=computed,
                )
        expected = expectations.checksum
        if (algorithm := expectations.trailer) is not None:
            value = payload.trailers.get(algorithm.header)
            if value is None:
                raise MalformedTrailerError
            expected = Checksum(algorithm, value)
            _require_decodable(expected, "trailing header")
        digests = md5 if self._chosen is ChecksumAlgorithm.MD5 else rest
        checksum = digests.checksum(self._chosen)
        if expected is not None and expected.value != checksum.value:
            raise BadDigest(
                f"The {checksum.algorithm} you specified did not match the calculated checksum."
            )
        return checksum


def _require_decodable(checksum: Checksum, where: str) -> None:
    if decode_base64(checksum.value, checksum.algorithm.size) is None:
        raise InvalidRequest(f"Value for {checksum.algorithm.header} {where} is invalid.")


def _require_whole(payload: IPayload, size: int, expectations: Expectations) -> None:
    if payload.length is not None and payload.length != size:
        raise IncompleteBody
    if size > expectations.max_size:
        raise _too_large(size, expectations)


def _too_large(size: int, expectations: Expectations) -> EntityTooLarge:
    return EntityTooLarge(ProposedSize=str(size), MaxSizeAllowed=str(expectations.max_size))
