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

from bleepstore.errors import EntityTooLarge, IncompleteBody, NotImplemented
from bleepstore.interfaces.blobs import IBlobStore, IBlobWriter, Placement
from bleepstore.interfaces.http import IPayload
from bleepstore.interfaces.threads import IThreads
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm
from bleepstore.model.objects import Extent
from bleepstore.shares import Share
from bleepstore.streams.batches import Batches
from bleepstore.streams.digests import DigestsOfAll
from bleepstore.streams.expectations import Expectations

INLINE_MAX = 16 * 1024
"""Bytes up to which a body is kept beside its metadata; above it a file costs no more."""

AT_ONCE = INLINE_MAX
"""Bytes up to which a body is hashed on the reactor's thread though it is not kept inline: to wait
for a thread costs more."""

BATCHES = 4 * 1024 * 1024
"""Bytes that one batch of each large body may take; there are a few of each (``batches``)."""

_CRC64NVME = ChecksumAlgorithm.CRC64NVME


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
        :raises IncompleteBody: it ends before its announced length, or goes on after it.
        :raises InsufficientStorage: there is no room.
        :raises StoreError: as :meth:`IPayload.read`, and as :meth:`Expectations.require`.
        """
        length = payload.length
        if length is not None and length > expectations.max_size:
            raise _too_large(length, expectations)
        if self._read_only and length is not None and length > self._inline_max:
            raise self._no_blob()
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
                checksum = expectations.require(payload.trailers, digests, digests)
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
        return await self._store(payload, expectations, placement, pieces)

    async def take_blob(self, payload: IPayload, placement: Placement) -> Extent:
        """Store a payload of known length in a blob, however small it is.

        :raises StoreError: as :meth:`take`.
        """
        if self._read_only:
            raise self._no_blob()
        assert payload.length is not None
        stored = await self._store(payload, Expectations(max_size=payload.length), placement, [])
        return stored.extents[0]

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
        pieces: list[bytes],
    ) -> Ingested:
        """Store a body in a blob: what was read of it already, and the rest."""
        blob_id = self._new_blob_id()
        writer = await self._blobs.create(blob_id, placement)
        hashing = expectations.says_md5 or not writer.hashes
        upload = Batches(
            writer,
            self._threads,
            hashing,
            expectations.sha256 is not None,
            expectations.algorithms,
            self._share,
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
            checksum = expectations.require(payload.trailers, upload.md5, upload.rest)
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


def _require_whole(payload: IPayload, size: int, expectations: Expectations) -> None:
    if payload.length is not None and payload.length != size:
        raise IncompleteBody
    if size > expectations.max_size:
        raise _too_large(size, expectations)


def _too_large(size: int, expectations: Expectations) -> EntityTooLarge:
    return EntityTooLarge(ProposedSize=str(size), MaxSizeAllowed=str(expectations.max_size))
