"""Multipart uploads: create, fill, complete, abort, and list their parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from bleepstore.errors import (
    AccessDenied,
    EntityTooLarge,
    NoSuchUpload,
)
from bleepstore.interfaces.blobs import Placement
from bleepstore.interfaces.http import IPayload
from bleepstore.interfaces.metadata import IMetadataReader
from bleepstore.model.acl import Permission
from bleepstore.model.commands import (
    AbortUpload,
    CompleteUpload,
    CreateUpload,
    PutPart,
    Written,
)
from bleepstore.model.listing import PartPage
from bleepstore.model.names import MAX_PART_SIZE, MAX_PARTS
from bleepstore.model.objects import NULL_VERSION, Part, Upload
from bleepstore.objectstore.access import (
    check_expected_owner,
    require_account,
    require_bucket,
    require_upload_party,
)
from bleepstore.objectstore.accounts import Accounts
from bleepstore.objectstore.acls import Acls
from bleepstore.objectstore.ids import Ids
from bleepstore.objectstore.part_copying import PartCopies
from bleepstore.objectstore.publishing import Publisher
from bleepstore.objectstore.requests import (
    Caller,
    Claims,
    CompleteRequest,
    PartCopyRequest,
    UploadName,
    UploadRequest,
)
from bleepstore.objectstore.shield import shield
from bleepstore.objectstore.upload_rules import (
    comparable,
    part_algorithm,
    require_composite,
    require_order,
    require_part_checksum,
)


class ListedParts(Struct, frozen=True):
    """A page of an upload's parts, and the display names of its owner and initiator."""

    upload: Upload
    page: PartPage
    names: Mapping[str, str]


class Uploads:
    """The use cases of multipart uploads.

    :param max_size: bytes an object may have, at most.
    :param require_room: see :class:`ObjectStore`.
    """

    def __init__(
        self,
        metadata: IMetadataReader,
        publisher: Publisher,
        part_copies: PartCopies,
        accounts: Accounts,
        acls: Acls,
        ids: Ids,
        max_size: int,
        require_room: Callable[[int | None], None],
    ) -> None:
        self._require_room = require_room
        self._metadata = metadata
        self._publisher = publisher
        self._part_copies = part_copies
        self._accounts = accounts
        self._acls = acls
        self._ids = ids
        self._max_size = max_size

    async def create(self, caller: Caller, request: UploadRequest) -> Upload:
        """CreateMultipartUpload.

        :raises NoSuchBucket:
        :raises AccessDenied: anonymous callers may not start an upload, whatever the ACL.
        :raises StoreError: as :meth:`Acls.resolve`.
        """
        return await shield(self._create(caller, request))

    async def put_part(
        self, caller: Caller, upload: UploadName, number: int, payload: IPayload, claims: Claims
    ) -> Part:
        """UploadPart: store a part, or replace it.  As :meth:`Objects.put` in all that is not said.

        :param number: from 1 to 10,000.
        :raises NoSuchBucket:
        :raises NoSuchUpload:
        :raises AccessDenied:
        :raises EntityTooLarge: over 5 GiB.
        :raises InvalidRequest: no checksum, where the upload's is composite; or one of another
            algorithm than the upload's.
        :raises BadDigest:
        """
        return await shield(self._put_part(caller, upload, number, payload, claims))

    async def copy_part(self, caller: Caller, request: PartCopyRequest) -> Part:
        """UploadPartCopy: a part with bytes of an object, of which none is moved.

        :raises NoSuchBucket:
        :raises NoSuchUpload:
        :raises NoSuchKey: the source.
        :raises NoSuchVersion: the source.
        :raises AccessDenied:
        :raises PreconditionFailed: of the source.
        :raises InvalidArgument: a range that is not within the source.
        :raises InvalidRequest: over 5 GiB.
        :raises OperationAborted: the source changed again and again meanwhile.
        """
        return await shield(self._copy_part(caller, request))

    async def complete(self, caller: Caller, request: CompleteRequest) -> Written:
        """CompleteMultipartUpload: make an object of the parts; moves no bytes.

        May be repeated by a client that did not hear the answer.

        :raises NoSuchBucket:
        :raises AccessDenied:
        :raises MalformedXML: no part at all.
        :raises InvalidPartOrder: a gap in the numbers, where the checksum is composite.
        :raises InvalidRequest: a part without its checksum, where it is composite.
        :raises EntityTooLarge: the parts together are over the size limit.
        :raises StoreError: as the command :class:`CompleteUpload`.
        """
        return await shield(self._complete(caller, request))

    async def abort(self, caller: Caller, upload: UploadName) -> None:
        """AbortMultipartUpload.

        :raises NoSuchBucket:
        :raises NoSuchUpload:
        :raises AccessDenied:
        """
        return await shield(self._abort(caller, upload))

    async def list_parts(
        self, caller: Caller, upload: UploadName, after: int = 0, limit: int = 1000
    ) -> ListedParts:
        """ListParts: those with numbers greater than ``after``.

        :param limit: 0 to 1,000.
        :raises NoSuchBucket:
        :raises NoSuchUpload:
        :raises AccessDenied:
        """
        found = await self._party(caller, upload)
        page = await self._metadata.list_parts(upload.upload_id, after, limit)
        if not page.parts:
            await self._party(caller, upload)  # it may have ended meanwhile, with its parts
        names = await self._accounts.names({found.owner_id, found.initiator_id})
        return ListedParts(found, page, names)

    async def _create(self, caller: Caller, request: UploadRequest) -> Upload:
        bucket = await self._metadata.get_bucket(request.bucket)
        require_bucket(bucket, caller, Permission.WRITE)
        if caller.account is None:
            raise AccessDenied(
                "Anonymous users cannot initiate multipart uploads.  Please authenticate."
            )
        self._require_room(0)
        owner_id = caller.account.id
        upload = Upload(
            upload_id=self._ids.upload_id(),
            bucket=request.bucket,
            key=request.key,
            initiated=caller.at,
            owner_id=owner_id,
            initiator_id=owner_id,
            acl=await self._acls.resolve(request.acl, owner_id, bucket.owner_id),
            description=request.description,
            checksum_algorithm=request.checksum_algorithm,
            checksum_type=request.checksum_type,
        )
        await self._publisher.submit(
            CreateUpload(
                at=caller.at,
                request_id=caller.request_id,
                bucket_owner_id=bucket.owner_id,
                upload=upload,
            )
        )
        return upload

    async def _put_part(
        self, caller: Caller, name: UploadName, number: int, payload: IPayload, claims: Claims
    ) -> Part:
        upload = await self._writable(caller, name)
        require_part_checksum(upload, claims.checksum.algorithm if claims.checksum else None)
        self._require_room(payload.length)
        body = await self._publisher.take(
            payload,
            claims,
            Placement(
                name.bucket,
                name.key,
                upload.description.headers.get("content-type", ""),
                -1 if payload.length is None else payload.length,
                upload=upload.native or "",
                part=number,
            ),
            MAX_PART_SIZE,
            part_algorithm(upload),
        )
        checksum = body.scrub if upload.checksum_algorithm is None else body.checksum
        etag = await self._publisher.put_part(
            PutPart(
                at=caller.at,
                request_id=caller.request_id,
                bucket=name.bucket,
                key=name.key,
                upload_id=name.upload_id,
                number=number,
                size=body.size,
                etag=body.md5,
                checksum=checksum,
                extents=body.extents,
            ),
            body.extents,
        )
        return Part(
            number=number,
            size=body.size,
            etag=etag,
            last_modified=caller.at,
            checksum=checksum,
        )

    async def _copy_part(self, caller: Caller, request: PartCopyRequest) -> Part:
        upload = await self._writable(caller, request.upload)
        self._require_room(0)
        return await self._part_copies.copy(caller, request, upload)

    async def _writable(self, caller: Caller, name: UploadName) -> Upload:
        """The upload, if the caller may put parts into it."""
        bucket = await self._metadata.get_bucket(name.bucket)
        require_bucket(bucket, caller, Permission.WRITE)
        upload = await self._metadata.get_upload(name.bucket, name.key, name.upload_id)
        require_upload_party(bucket, upload, caller)
        return upload

    async def _complete(self, caller: Caller, request: CompleteRequest) -> Written:
        name = request.upload
        bucket = await self._metadata.get_bucket(name.bucket)
        require_bucket(bucket, caller, Permission.WRITE)
        require_order(name.upload_id, request.parts)
        parts = request.parts
        try:
            upload = await self._metadata.get_upload(name.bucket, name.key, name.upload_id)
        except NoSuchUpload:
            # It may be completed already, and this be a retry: the command knows.  Nobody but
            # those who were given its id can name it.
            pass
        else:
            require_upload_party(bucket, upload, caller)
            require_composite(upload, parts)
            parts = comparable(upload, parts)
            await self._require_size(request)
        result = await self._publisher.submit(
            CompleteUpload(
                at=caller.at,
                request_id=caller.request_id,
                bucket=name.bucket,
                key=name.key,
                upload_id=name.upload_id,
                version_id=NULL_VERSION,
                parts=parts,
                checksum=request.whole.checksum,
                checksum_type=request.whole.checksum_type,
                expected_size=request.whole.size,
                conditions=request.conditions,
            )
        )
        assert isinstance(result, Written)
        return result

    async def _require_size(self, request: CompleteRequest) -> None:
        """:raises EntityTooLarge: the parts are too large together.  Few parts cannot be."""
        if len(request.parts) * MAX_PART_SIZE <= self._max_size:
            return
        wanted = {part.number for part in request.parts}
        total = after = 0
        while True:
            page = await self._metadata.list_parts(request.upload.upload_id, after, MAX_PARTS)
            total += sum([part.size for part in page.parts if part.number in wanted])
            after = page.next_after
            if not after:
                break
        if total > self._max_size:
            raise EntityTooLarge(ProposedSize=str(total), MaxSizeAllowed=str(self._max_size))

    async def _abort(self, caller: Caller, name: UploadName) -> None:
        await self._party(caller, name)
        await self._publisher.submit(
            AbortUpload(
                at=caller.at,
                request_id=caller.request_id,
                bucket=name.bucket,
                key=name.key,
                upload_id=name.upload_id,
            )
        )

    async def _party(self, caller: Caller, name: UploadName) -> Upload:
        """The upload, if the caller initiated it or owns the bucket."""
        bucket = await self._metadata.get_bucket(name.bucket)
        check_expected_owner(bucket, caller.expected_bucket_owner)
        require_account(caller)
        upload = await self._metadata.get_upload(name.bucket, name.key, name.upload_id)
        require_upload_party(bucket, upload, caller)
        return upload
