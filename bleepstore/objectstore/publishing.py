"""Bytes first, then the command that makes them visible: what every write goes through.

Knows the write path and both stores; nothing of what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from bleepstore.errors import BucketChanged, InternalError, ServiceUnavailable, StoreError
from bleepstore.interfaces.blobs import IBlobStore, Placement
from bleepstore.interfaces.http import IPayload
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm
from bleepstore.model.commands import AnyCommand, CopyObject, PutPart, Result
from bleepstore.model.objects import Extent, Manifest, ObjectVersion, Upload
from bleepstore.objectstore.requests import Claims
from bleepstore.streams.expectations import Expectations
from bleepstore.streams.ingest import Ingest, Ingested

_log = Logger()


def expectations_of(claims: Claims, max_size: int, algorithm: ChecksumAlgorithm) -> Expectations:
    """What a body must be by the client's word.

    :param max_size: bytes, at most.
    :param algorithm: of the checksum to compute if the client claims none.
    """
    claimed = claims.checksum
    checksum = trailer = None
    if claimed is not None:
        if claimed.value:
            checksum = Checksum(claimed.algorithm, claimed.value)
        else:
            trailer = claimed.algorithm
    return Expectations(
        max_size=max_size,
        content_md5=claims.md5,
        sha256=claims.sha256,
        checksum=checksum,
        trailer=trailer,
        algorithm=algorithm,
    )


class Publisher:
    """Takes bodies in, and submits the commands that name their blobs.

    :param released: called after each command that went through: it may have let go of blobs.
    """

    def __init__(
        self,
        metadata: IMetadataStore,
        blobs: IBlobStore,
        ingest: Ingest,
        released: Callable[[], None],
    ) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._ingest = ingest
        self._released = released

    async def take(
        self,
        payload: IPayload,
        claims: Claims,
        placement: Placement,
        max_size: int,
        algorithm: ChecksumAlgorithm,
    ) -> Ingested:
        """Read a payload to its end and store it.  Raises as :meth:`Ingest.take`.

        :param algorithm: of the checksum to compute if the client claims none.
        """
        return await self._ingest.take(
            payload, expectations_of(claims, max_size, algorithm), placement
        )

    async def submit(self, command: AnyCommand, fresh: Sequence[Extent] = ()) -> Result:
        """Submit a command.  If it is refused, its fresh blobs are deleted; not after
        BucketChanged, since it can be submitted again.

        Refused means: certainly not applied.  After ServiceUnavailable, InternalError or a defect
        it may still have been, or be later; then the blobs stay, and if nothing references them
        the sweeper of the next epoch knows so for certain.
        """
        try:
            result: Result = await self._metadata.submit(command)
        except (ServiceUnavailable, InternalError, BucketChanged):
            raise
        except StoreError:
            await self.discard(fresh)
            raise
        self._released()
        return result

    async def copy(self, command: CopyObject, version: ObjectVersion, manifest: Manifest) -> Result:
        """Submit a copy; metadata alone makes it.

        :param version: the source.
        :param manifest: where its bytes are; they are pinned.
        """
        return await self.submit(command)

    async def put_part(self, command: PutPart, fresh: Sequence[Extent]) -> str:
        """Submit a part whose bytes were taken; gives its ETag.

        :param command: without an ETag if :meth:`take` could not say what it is.
        """
        await self.submit(command, fresh)
        return command.etag

    async def take_blob(self, payload: IPayload, placement: Placement) -> Extent:
        """As :meth:`Ingest.take_blob`."""
        return await self._ingest.take_blob(payload, placement)

    async def copy_part(
        self, command: PutPart, upload: Upload, fresh: Sequence[Extent] = ()
    ) -> None:
        """Submit a part whose extents are another object's, and pinned.

        :param fresh: those of them that are not, but :meth:`take_blob` gave.
        """
        await self.submit(command, fresh)

    async def refresh(self, bucket: str, key: str) -> None:
        """What was looked up of a key is no longer so: see to it that a new look-up can be
        another one.  Where metadata publishes it is, by then."""

    async def discard(self, extents: Sequence[Extent]) -> None:
        """Delete the blobs of extents that were never published.

        A blob that cannot be deleted is logged and left to the sweeper.
        """
        for extent in extents:
            if extent.blob_id:
                try:
                    await self._blobs.delete(extent.blob_id)
                except Exception:
                    _log.failure(
                        "unpublished blob {blob_id} is left to the sweeper", blob_id=extent.blob_id
                    )
