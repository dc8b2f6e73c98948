"""CopyObject: a new object with the bytes of another one, of which none is moved."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bleepstore.errors import AccessDenied, InvalidRequest
from bleepstore.interfaces.metadata import IMetadataReader
from bleepstore.model.acl import Permission
from bleepstore.model.checksums import Checksum
from bleepstore.model.commands import CopyObject, Written
from bleepstore.model.conditions import check_write
from bleepstore.model.objects import NULL_VERSION, Bucket, Description, ObjectVersion
from bleepstore.objectstore.access import require_bucket
from bleepstore.objectstore.acls import Acls
from bleepstore.objectstore.publishing import Publisher
from bleepstore.objectstore.requests import Caller, CopyRequest
from bleepstore.objectstore.shield import shield
from bleepstore.objectstore.sources import Source, Sources, require_copyable


class Copies:
    """The use case of copying.

    :param require_room: see :class:`ObjectStore`.
    """

    def __init__(
        self,
        metadata: IMetadataReader,
        publisher: Publisher,
        acls: Acls,
        sources: Sources,
        require_room: Callable[[int | None], None],
    ) -> None:
        self._require_room = require_room
        self._metadata = metadata
        self._publisher = publisher
        self._acls = acls
        self._sources = sources

    async def copy(self, caller: Caller, request: CopyRequest) -> Written:
        """CopyObject.  The ACL is not copied: it is private, or what is asked for.

        :raises NoSuchBucket: source or destination.
        :raises NoSuchKey: the source; or If-Match on a destination that has no object.
        :raises NoSuchVersion: the source.
        :raises AccessDenied: source or destination; or nobody signed, whatever the ACLs grant, as
            in S3.
        :raises PreconditionFailed: of the source, or of the destination.
        :raises InvalidRequest: onto itself without a change, or a source over 5 GiB.
        :raises OperationAborted: the source changed again and again meanwhile.
        :raises InsufficientStorage: there is no room.
        :raises StoreError: as :meth:`Acls.resolve`.
        """
        return await shield(self._copy(caller, request))

    async def _copy(self, caller: Caller, request: CopyRequest) -> Written:
        if caller.account is None:
            raise AccessDenied("Anonymous users cannot copy objects.  Please authenticate.")
        bucket = await self._destination(caller, request)
        self._require_room(0)
        return await self._sources.copied(
            caller, request, lambda source: self._attempt(caller, request, bucket, source)
        )

    async def _destination(self, caller: Caller, request: CopyRequest) -> Bucket:
        found = await self._metadata.get_object(request.bucket, request.key)
        require_bucket(found.bucket, caller, Permission.WRITE)
        if request.conditions is not None:
            etag = None if found.version is None else found.version.etag
            check_write(request.conditions, etag, request.key)
        return found.bucket

    async def _attempt(
        self, caller: Caller, request: CopyRequest, bucket: Bucket, source: Source
    ) -> Written:
        version = source.version
        require_copyable(version.size)
        _require_change(request, version)
        owner_id = caller.owner_id
        result = await self._publisher.copy(
            CopyObject(
                at=caller.at,
                request_id=caller.request_id,
                bucket_owner_id=bucket.owner_id,
                source_bucket=request.source.bucket,
                source_key=request.source.key,
                source_content_id=version.content_id,
                bucket=request.bucket,
                key=request.key,
                version_id=NULL_VERSION,
                owner_id=owner_id,
                acl=await self._acls.resolve(request.acl, owner_id, bucket.owner_id),
                description=_description(request, version),
                checksum=await self._checksum(request, source),
                conditions=request.conditions,
            ),
            version,
            source.manifest,
        )
        assert isinstance(result, Written)
        return result

    async def _checksum(self, request: CopyRequest, source: Source) -> Checksum | None:
        """The source's own, unless another algorithm is asked for; then of its bytes, read once."""
        kept = source.version.checksum
        wanted = request.checksum_algorithm
        if wanted is None or (kept is not None and kept.algorithm is wanted):
            return kept
        digests = await self._sources.digest(
            source.manifest.extents, md5=False, algorithms=(wanted,)
        )
        return digests.checksum(wanted)


def _description(request: CopyRequest, version: ObjectVersion) -> Description:
    if request.replace is not None:
        return msgspec.structs.replace(request.replace, storage_class=request.storage_class)
    return msgspec.structs.replace(version.description, storage_class=request.storage_class)


def _require_change(request: CopyRequest, version: ObjectVersion) -> None:
    """Require of a copy onto itself that something is asked for.

    A storage class is, also the one that the object has (public reports of S3's answers).

    :raises InvalidRequest: the copy would replace an object by itself (CopyObject).
    """
    algorithm = None if version.checksum is None else version.checksum.algorithm
    if (
        (request.source.bucket, request.source.key) == (request.bucket, request.key)
        and request.replace is None
        and not request.chooses_class
        and request.storage_class == version.description.storage_class
        and request.checksum_algorithm in (None, algorithm)
    ):
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata, storage class, website redirect location "
            "or encryption attributes."
        )
