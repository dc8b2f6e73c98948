"""Objects: put, read, describe and delete them, and their ACLs.

Knows what S3 means by them; no HTTP, no SQL.  Copies and multipart uploads are elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from bleepstore.errors import (
    AccessDenied,
    BucketChanged,
    Displaced,
    InvalidPartNumber,
    OperationAborted,
    StoreError,
)
from bleepstore.interfaces.blobs import IBlobStore, Placement
from bleepstore.interfaces.http import IPayload
from bleepstore.interfaces.metadata import IMetadataReader, ObjectLookup
from bleepstore.model.acl import Permission
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm
from bleepstore.model.commands import (
    Deleted,
    DeletedMany,
    DeleteObject,
    DeleteObjects,
    DeleteTarget,
    PutObject,
    PutObjectAcl,
    Refusal,
    Result,
    Written,
)
from bleepstore.model.conditions import check_read, check_write
from bleepstore.model.names import MAX_PART_SIZE
from bleepstore.model.objects import (
    NULL_VERSION,
    Extent,
    Manifest,
    ObjectVersion,
    PartInfo,
)
from bleepstore.objectstore.access import (
    check_expected_owner,
    may_delete,
    require_bucket,
    require_deletion,
    require_version,
)
from bleepstore.objectstore.acls import Acls, AclView
from bleepstore.objectstore.pins import Pins
from bleepstore.objectstore.publishing import Publisher
from bleepstore.objectstore.reading import ObjectRead
from bleepstore.objectstore.requests import Caller, PutRequest, ReadRequest
from bleepstore.objectstore.shield import shield
from bleepstore.objectstore.sources import ATTEMPTS
from bleepstore.streams.egress import clip
from bleepstore.wire.grants import RequestedAcl

MAX_PUT_SIZE = MAX_PART_SIZE
"""PutObject: up to 5 GiB in one operation; more takes a multipart upload."""

_READ = Permission.READ
_WRITE = Permission.WRITE


class ObjectHead(Struct, frozen=True):
    """What HeadObject answers with; the fields mean what they mean in :class:`ObjectRead`."""

    version: ObjectVersion
    offset: int
    length: int
    partial: bool
    part_count: int
    checksum: Checksum | None


class ObjectAttributes(Struct, frozen=True):
    """What GetObjectAttributes chooses from; ``parts`` has all of them, none if not multipart."""

    version: ObjectVersion
    parts: Sequence[PartInfo]


class Objects:
    """The use cases of single objects.

    :param max_size: bytes an object may have, at most; 5 GiB at most are taken in one put.
    :param require_room: see :class:`ObjectStore`.
    """

    def __init__(
        self,
        metadata: IMetadataReader,
        blobs: IBlobStore,
        publisher: Publisher,
        acls: Acls,
        pins: Pins,
        max_size: int,
        require_room: Callable[[int | None], None],
    ) -> None:
        self._require_room = require_room
        self._metadata = metadata
        self._blobs = blobs
        self._publisher = publisher
        self._acls = acls
        self._pins = pins
        self._max_size = min(max_size, MAX_PUT_SIZE)

    async def put(self, caller: Caller, request: PutRequest, payload: IPayload) -> Written:
        """PutObject: read the payload to its end and publish it.

        What already fails on the head (permission, ACL, conditions) is answered before the first
        read.  Conditions are decided again in the transaction; so is whether the bucket is still as
        it was, where it may have been read on a node that is behind.  From that read on it is not
        cancellable: a client that vanishes is an IncompleteBody of its payload.  Whatever is
        refused leaves nothing.

        :raises NoSuchBucket:
        :raises AccessDenied:
        :raises PreconditionFailed:
        :raises NoSuchKey: If-Match on a key that has no object.
        :raises EntityTooLarge: over the size limit.
        :raises BadDigest: the body is another one than claimed.
        :raises InsufficientStorage: there is no room.
        :raises StoreError: as :meth:`Ingest.take` and :meth:`Acls.resolve`.
        """
        access = b""
        if request.conditions is None:
            try:
                bucket, access = self._metadata.peek_bucket(request.bucket)
                require_bucket(bucket, caller, _WRITE)
            except StoreError:  # of a bucket as it was, perhaps
                bucket = await self._metadata.get_bucket(request.bucket)
                require_bucket(bucket, caller, _WRITE)
        else:
            found = await self._metadata.get_object(request.bucket, request.key)
            bucket = found.bucket
            require_bucket(bucket, caller, _WRITE)
            etag = None if found.version is None else found.version.etag
            check_write(request.conditions, etag, request.key)
        return await shield(self._put(caller, request, payload, bucket.owner_id, access))

    async def get(self, caller: Caller, request: ReadRequest) -> ObjectRead:
        """GetObject: the version and its bytes, pinned and opened; whoever gets it closes it.

        :raises NoSuchBucket:
        :raises NoSuchKey:
        :raises NoSuchVersion:
        :raises AccessDenied:
        :raises PreconditionFailed:
        :raises NotModified:
        :raises InvalidRange:
        :raises InvalidPartNumber: the object has no such part.
        :raises OperationAborted: it was replaced again and again meanwhile (only in a cloud).
        """
        for _ in range(ATTEMPTS):
            read = await self._find(caller, request)
            if read.inline is not None:
                return read
            try:
                await read.open()
            except Displaced:
                # In a cloud an object is replaced before metadata tells so: see what is there now.
                await self._publisher.refresh(request.bucket, request.key)
            else:
                return read
        raise OperationAborted

    async def _find(self, caller: Caller, request: ReadRequest) -> ObjectRead:
        """The version and its bytes, pinned and not yet opened."""
        pins = self._pins
        lookup = pins.enter()
        try:
            found = await self._metadata.get_object(
                request.bucket, request.key, request.version_id, True
            )
            version = self._readable(found, caller, request)
            manifest = found.manifest or Manifest()
            offset, length, partial, part_count, checksum = _choose(version, manifest, request)
            extents = manifest.extents
            if partial:
                extents = clip(extents, offset, length)
            return ObjectRead(
                version, extents, offset, length, partial, part_count, checksum, self._blobs, pins
            )
        finally:
            pins.leave(lookup)

    async def head(self, caller: Caller, request: ReadRequest) -> ObjectHead:
        """HeadObject.  Raises as :meth:`get`."""
        with_manifest = request.part_number is not None
        found = await self._metadata.get_object(
            request.bucket, request.key, request.version_id, with_manifest
        )
        version = self._readable(found, caller, request)
        return ObjectHead(version, *_choose(version, found.manifest or Manifest(), request))

    async def attributes(
        self, caller: Caller, bucket: str, key: str, version_id: str = ""
    ) -> ObjectAttributes:
        """GetObjectAttributes.  Raises as :meth:`get`."""
        found = await self._metadata.get_object(bucket, key, version_id, True)
        version = require_version(
            found, caller, _READ, key, version_id, caller.expected_bucket_owner
        )
        return ObjectAttributes(version, _parts(version, found.manifest or Manifest()))

    async def delete(
        self,
        caller: Caller,
        bucket: str,
        key: str,
        *,
        version_id: str = "",
        if_match: str | None = None,
    ) -> Deleted:
        """DeleteObject; deleting what is not there succeeds.

        :raises NoSuchBucket:
        :raises AccessDenied:
        :raises PreconditionFailed:
        :raises NoSuchKey: a condition was given and there is no object.
        """
        return await shield(self._delete(caller, bucket, key, version_id, if_match))

    async def delete_many(
        self, caller: Caller, bucket: str, targets: Sequence[DeleteTarget]
    ) -> tuple[Refusal | None, ...]:
        """DeleteObjects: one outcome a target, in order; None for a deleted or absent key.

        :param targets: 1 to 1,000.
        :raises NoSuchBucket:
        :raises AccessDenied: only by ``expected_bucket_owner``; else it is an entry's outcome.
        """
        return await shield(self._delete_many(caller, bucket, targets))

    async def get_acl(self, caller: Caller, bucket: str, key: str, version_id: str = "") -> AclView:
        """GetObjectAcl.

        :raises NoSuchBucket:
        :raises NoSuchKey:
        :raises NoSuchVersion:
        :raises AccessDenied:
        """
        found = await self._metadata.get_object(bucket, key, version_id)
        version = require_version(
            found, caller, Permission.READ_ACP, key, version_id, caller.expected_bucket_owner
        )
        return await self._acls.view(version.acl)

    async def put_acl(
        self, caller: Caller, bucket: str, key: str, acl: RequestedAcl, version_id: str = ""
    ) -> None:
        """PutObjectAcl.  Raises as :meth:`get_acl` and :meth:`Acls.resolve`."""
        return await shield(self._put_acl(caller, bucket, key, acl, version_id))

    async def _put(
        self,
        caller: Caller,
        request: PutRequest,
        payload: IPayload,
        bucket_owner: str,
        access: bytes,
    ) -> Written:
        self._require_room(payload.length)
        owner_id = caller.owner_id
        acl = await self._acls.resolve(request.acl, owner_id, bucket_owner)
        description = request.description
        body = await self._publisher.take(
            payload,
            request.claims,
            Placement(
                request.bucket,
                request.key,
                description.headers.get("content-type", ""),
                -1 if payload.length is None else payload.length,
                description,
            ),
            self._max_size,
            ChecksumAlgorithm.CRC64NVME,
        )
        command = PutObject(
            at=caller.at,
            request_id=caller.request_id,
            bucket_owner_id="" if access else bucket_owner,
            bucket=request.bucket,
            key=request.key,
            version_id=NULL_VERSION,
            size=body.size,
            etag=body.md5,
            owner_id=owner_id,
            acl=acl,
            description=description,
            checksum=body.checksum,
            manifest=Manifest(body.extents),
            conditions=request.conditions,
            access=access,
        )
        try:
            result = await self._publisher.submit(command, body.extents)
        except BucketChanged:
            result = await self._put_anew(caller, request.acl, command, body.extents)
        assert isinstance(result, Written)
        return result

    async def _put_anew(
        self,
        caller: Caller,
        wanted: RequestedAcl | None,
        command: PutObject,
        fresh: Sequence[Extent],
    ) -> Result:
        """Publish what was taken in for a bucket that has changed, if the caller still may."""
        for _ in range(ATTEMPTS):
            try:
                bucket = await self._metadata.get_bucket(command.bucket)
                require_bucket(bucket, caller, _WRITE)
                acl = await self._acls.resolve(wanted, command.owner_id, bucket.owner_id)
            except Exception:
                await self._publisher.discard(fresh)
                raise
            bucket, access = self._metadata.peek_bucket(command.bucket)
            try:
                return await self._publisher.submit(
                    msgspec.structs.replace(command, acl=acl, access=access), fresh
                )
            except BucketChanged:
                continue
        await self._publisher.discard(fresh)
        raise OperationAborted

    @staticmethod
    def _readable(found: ObjectLookup, caller: Caller, request: ReadRequest) -> ObjectVersion:
        """The version, if it may be read and the conditions hold."""
        version = require_version(
            found,
            caller,
            _READ,
            request.key,
            request.version_id,
            caller.expected_bucket_owner,
        )
        if request.conditions is not None:
            check_read(request.conditions, version.etag, version.last_modified)
        return version

    async def _delete(
        self, caller: Caller, bucket: str, key: str, version_id: str, if_match: str | None
    ) -> Deleted:
        found = await self._metadata.get_bucket(bucket)
        require_deletion(found, caller)
        result = await self._publisher.submit(
            DeleteObject(
                at=caller.at,
                request_id=caller.request_id,
                bucket_owner_id=found.owner_id,
                bucket=bucket,
                key=key,
                version_id=version_id,
                if_match=if_match,
            )
        )
        assert isinstance(result, Deleted)
        return result

    async def _delete_many(
        self, caller: Caller, bucket: str, targets: Sequence[DeleteTarget]
    ) -> tuple[Refusal | None, ...]:
        found = await self._metadata.get_bucket(bucket)
        check_expected_owner(found, caller.expected_bucket_owner)
        if not may_delete(found, caller):
            return (Refusal(AccessDenied.__name__, AccessDenied.message),) * len(targets)
        result = await self._publisher.submit(
            DeleteObjects(
                at=caller.at,
                request_id=caller.request_id,
                bucket_owner_id=found.owner_id,
                bucket=bucket,
                targets=tuple(targets),
            )
        )
        assert isinstance(result, DeletedMany)
        return result.outcomes

    async def _put_acl(
        self, caller: Caller, bucket: str, key: str, requested: RequestedAcl, version_id: str
    ) -> None:
        for _ in range(ATTEMPTS):
            found = await self._metadata.get_object(bucket, key, version_id)
            version = require_version(
                found, caller, Permission.WRITE_ACP, key, version_id, caller.expected_bucket_owner
            )
            acl = await self._acls.resolve(requested, version.acl.owner_id, found.bucket.owner_id)
            command = PutObjectAcl(
                at=caller.at,
                request_id=caller.request_id,
                bucket=bucket,
                key=key,
                acl=acl,
                decided_by=version.acl,
            )
            try:
                await self._publisher.submit(command)
            except AccessDenied:
                continue  # it has been replaced, or has another ACL: decide anew
            return
        raise OperationAborted


_Chosen = tuple[int, int, bool, int, Checksum | None]
"""Offset, length, whether they are partial, the number of parts if one was asked for, and the
checksum of just these bytes if it is known."""


def _choose(version: ObjectVersion, manifest: Manifest, request: ReadRequest) -> _Chosen:
    """Which bytes a read sends."""
    if request.part_number is not None:
        return _part(version, _parts(version, manifest), request.part_number)
    size = version.size
    if request.choose_span is not None:
        span = request.choose_span(version)
        if span is not None:
            offset, length = span
            return offset, length, True, 0, version.checksum if length == size else None
    return 0, size, False, 0, version.checksum


def _parts(version: ObjectVersion, manifest: Manifest) -> tuple[PartInfo, ...]:
    """The parts of a multipart object, with their checksums if these are of its own algorithm.

    They are of another where a copy was given a checksum of its own: its content is the source's.
    """
    algorithm = None if version.checksum is None else version.checksum.algorithm
    return tuple(
        part
        if part.checksum is None or part.checksum.algorithm is algorithm
        else PartInfo(part.number, part.size)
        for part in manifest.parts
    )


def _part(version: ObjectVersion, parts: Sequence[PartInfo], number: int) -> _Chosen:
    """The same for ``partNumber``; an object that was put whole is its own part 1.

    Source: GetObject, "partNumber": a ranged GET request for the part specified.  A part has the
    checksum that it was uploaded with ("Checking object integrity", S3 User Guide).
    """
    if not parts and number == 1:
        return 0, version.size, True, 0, version.checksum
    offset = 0
    for part in parts:
        if part.number == number:
            return offset, part.size, True, len(parts), part.checksum
        offset += part.size
    raise InvalidPartNumber(PartNumberRequested=str(number), ActualPartCount=str(len(parts) or 1))
