"""The source of a copy: found, authorised, its conditions decided; and its bytes digested.

Shared by CopyObject and UploadPartCopy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bleepstore.errors import InvalidRequest, OperationAborted, SourceChanged
from bleepstore.interfaces.blobs import IBlobStore
from bleepstore.interfaces.metadata import IMetadataReader
from bleepstore.interfaces.threads import IThreads
from bleepstore.model.acl import Permission
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.model.conditions import check_copy_source
from bleepstore.model.names import MAX_COPY_SIZE
from bleepstore.model.objects import Extent, Manifest, ObjectVersion
from bleepstore.objectstore.access import require_version
from bleepstore.objectstore.pins import Pins
from bleepstore.objectstore.publishing import Publisher
from bleepstore.objectstore.requests import Caller, CopyRequest, PartCopyRequest
from bleepstore.streams.digests import Digests
from bleepstore.streams.egress import BodyReader

ATTEMPTS = 5
"""How often a copy reads its source anew that is replaced under its hands, before it gives up."""

T = TypeVar("T")

_THREAD_FROM = 64 * 1024
"""Bytes from which hashing is worth a thread: fewer take less time than the way there and back."""


def require_copyable(length: int) -> None:
    """:raises InvalidRequest: more than 5 GiB are to be copied at once (CopyObject)."""
    if length > MAX_COPY_SIZE:
        raise InvalidRequest(
            "The specified copy source is larger than the maximum allowable size for a copy "
            f"source: {MAX_COPY_SIZE}"
        )


class Source:
    """A version that is copied, its blobs pinned until it is closed.

    :ivar manifest: where its bytes are.
    """

    __slots__ = ("_blob_ids", "_pins", "manifest", "version")

    def __init__(self, version: ObjectVersion, manifest: Manifest, pins: Pins) -> None:
        self.version = version
        self.manifest = manifest
        self._pins = pins
        self._blob_ids: Sequence[str] = [
            extent.blob_id for extent in manifest.extents if extent.blob_id
        ]
        pins.pin(self._blob_ids)

    def close(self) -> None:
        """Let go of its blobs; may be called more than once."""
        blob_ids, self._blob_ids = self._blob_ids, ()
        self._pins.unpin(blob_ids)


class Sources:
    """Finds sources, has them copied, and digests them."""

    def __init__(
        self,
        metadata: IMetadataReader,
        blobs: IBlobStore,
        publisher: Publisher,
        threads: IThreads,
        pins: Pins,
    ) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._publisher = publisher
        self._threads = threads
        self._pins = pins

    async def copied(
        self,
        caller: Caller,
        request: CopyRequest | PartCopyRequest,
        attempt: Callable[[Source], Awaitable[T]],
    ) -> T:
        """What ``attempt`` makes of the source as it is now, with its blobs pinned.

        If it was replaced meanwhile, all is decided again by what is there then.

        :param attempt: raises SourceChanged for that.
        :raises NoSuchBucket:
        :raises NoSuchKey:
        :raises NoSuchVersion:
        :raises AccessDenied:
        :raises PreconditionFailed:
        :raises OperationAborted: the source changed again and again.
        """
        for _ in range(ATTEMPTS):
            source = await self._find(caller, request)
            try:
                return await attempt(source)
            except SourceChanged:
                pass
            finally:
                source.close()
            await self._publisher.refresh(request.source.bucket, request.source.key)
        raise OperationAborted

    async def _find(self, caller: Caller, request: CopyRequest | PartCopyRequest) -> Source:
        """The source as it is now; whoever gets it closes it."""
        wanted, conditions = request.source, request.source_conditions
        lookup = self._pins.enter()
        try:
            found = await self._metadata.get_object(
                wanted.bucket, wanted.key, wanted.version_id, True
            )
            version = require_version(
                found,
                caller,
                Permission.READ,
                wanted.key,
                wanted.version_id,
                request.source_expected_owner,
            )
            if conditions is not None:
                check_copy_source(conditions, version.etag, version.last_modified)
            return Source(version, found.manifest or Manifest(), self._pins)
        finally:
            self._pins.leave(lookup)

    async def digest(
        self, extents: Sequence[Extent], *, md5: bool, algorithms: Sequence[ChecksumAlgorithm]
    ) -> Digests:
        """Read extents of a source that is still open, and digest their bytes.

        :raises InternalError: they cannot be read.
        """
        digests = Digests(md5=md5, algorithms=algorithms)
        body = BodyReader(self._blobs, extents)
        try:
            while data := await body.read():
                if len(data) < _THREAD_FROM:
                    digests.update(data)
                else:
                    await self._threads.run(digests.update, data)
        finally:
            body.close()
        return digests
