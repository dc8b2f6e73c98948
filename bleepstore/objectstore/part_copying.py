"""UploadPartCopy: a part with bytes of an object.

None is moved but those of extents that are too small to be shared (``joining``).
"""

from __future__ import annotations

from bleepstore.interfaces.blobs import Placement
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from bleepstore.model.commands import PutPart
from bleepstore.model.objects import Extent, Part, Upload
from bleepstore.objectstore.joining import Joining
from bleepstore.objectstore.publishing import Publisher
from bleepstore.objectstore.requests import Caller, PartCopyRequest
from bleepstore.objectstore.sources import Source, Sources, require_copyable
from bleepstore.objectstore.upload_rules import part_algorithm
from bleepstore.streams.egress import clip
from bleepstore.wire.ranges import require_copy_range


class PartCopies:
    """Copies into uploads, by reference."""

    def __init__(self, publisher: Publisher, sources: Sources, joining: Joining) -> None:
        self._publisher = publisher
        self._joining = joining
        self._sources = sources

    async def copy(self, caller: Caller, request: PartCopyRequest, upload: Upload) -> Part:
        """The part that was made.  Raises as :meth:`Uploads.copy_part`.

        :param upload: into which the caller may put it.
        """
        return await self._sources.copied(
            caller, request, lambda source: self._attempt(caller, request, upload, source)
        )

    async def _attempt(
        self, caller: Caller, request: PartCopyRequest, upload: Upload, source: Source
    ) -> Part:
        size = source.version.size
        offset, length = 0, size
        if request.first_last is not None:
            offset, length = require_copy_range(*request.first_last, size)
        require_copyable(length)
        name = request.upload
        extents, fresh = await self._joining.joined(
            clip(source.manifest.extents, offset, length), Placement(name.bucket, name.key)
        )
        try:
            etag, checksum = await self._digests(
                source, extents, length == size, part_algorithm(upload)
            )
        except Exception:
            await self._publisher.discard(fresh)
            raise
        await self._publisher.copy_part(
            PutPart(
                at=caller.at,
                request_id=caller.request_id,
                bucket=name.bucket,
                key=name.key,
                upload_id=name.upload_id,
                number=request.number,
                size=length,
                etag=etag,
                checksum=checksum,
                extents=extents,
                shares_blobs=any(extent.blob_id for extent in extents),
                fresh=tuple(extent.blob_id for extent in fresh),
            ),
            upload,
            fresh,
        )
        return Part(
            number=request.number,
            size=length,
            etag=etag,
            last_modified=caller.at,
            checksum=checksum,
        )

    async def _digests(
        self,
        source: Source,
        extents: tuple[Extent, ...],
        whole: bool,
        algorithm: ChecksumAlgorithm,
    ) -> tuple[str, Checksum]:
        """ETag and checksum of the part: the source's own where they are known, else computed."""
        version = source.version
        etag = version.etag if whole and not version.part_count else None
        kept = version.checksum if whole else None
        if kept is not None and (
            kept.algorithm is not algorithm or kept.type is not ChecksumType.FULL_OBJECT
        ):
            kept = None
        if etag is not None and kept is not None:
            return etag, kept
        digests = await self._sources.digest(
            extents, md5=etag is None, algorithms=() if kept is not None else (algorithm,)
        )
        return etag or digests.md5().hex(), kept or digests.checksum(algorithm)
