"""Objects: put, read, describe and delete them, and their ACLs.

Knows what S3 means by them; no HTTP, no SQL.  Copies and multipart uploads are elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from bleepstore.interfaces.http import IPayload
from bleepstore.model.commands import Deleted, DeleteTarget, Refusal, Written
from bleepstore.model.objects import ObjectVersion, PartInfo
from bleepstore.objectstore.acls import AclView
from bleepstore.objectstore.reading import ObjectRead
from bleepstore.objectstore.requests import Caller, PutRequest, ReadRequest
from bleepstore.wire.grants import RequestedAcl

MAX_DELETIONS = 1000
"""DeleteObjects: up to 1,000 keys a request."""


class ObjectHead(Struct, frozen=True):
    """What HeadObject answers with; the fields mean what they mean in :class:`ObjectRead`."""

    version: ObjectVersion
    offset: int
    length: int
    partial: bool
    part_count: int


class ObjectAttributes(Struct, frozen=True):
    """What GetObjectAttributes chooses from; ``parts`` has all of them, none if not multipart."""

    version: ObjectVersion
    parts: Sequence[PartInfo]


class Objects:
    """The use cases of single objects."""

    async def put(self, caller: Caller, request: PutRequest, payload: IPayload) -> Written:
        """PutObject: read the payload to its end and publish it.

        What already fails on the head (permission, ACL, conditions) is answered before the first
        read.  Conditions are decided again in the transaction.  Not cancellable: a client that
        vanishes is an IncompleteBody of its payload.  Whatever fails, nothing of the body is left.

        :raises NoSuchBucket:
        :raises AccessDenied:
        :raises PreconditionFailed:
        :raises NoSuchKey: If-Match on a key that has no object.
        :raises EntityTooLarge: over the size limit.
        :raises BadDigest: the body is another one than claimed.
        :raises InsufficientStorage: there is no room.
        :raises StoreError: as :meth:`IPayload.read`, and as :meth:`Acls.resolve`.
        """
        ...

    async def get(self, caller: Caller, request: ReadRequest) -> ObjectRead:
        """GetObject: the version and its bytes, pinned and opened; the caller closes it.

        :raises NoSuchBucket:
        :raises NoSuchKey:
        :raises NoSuchVersion:
        :raises AccessDenied:
        :raises PreconditionFailed:
        :raises NotModified: its details hold nothing; see :meth:`head` for the validators.
        :raises InvalidRange:
        :raises InvalidPartNumber: the object has no such part.
        """
        ...

    async def head(self, caller: Caller, request: ReadRequest) -> ObjectHead:
        """HeadObject.  Raises as :meth:`get`."""
        ...

    async def attributes(
        self, caller: Caller, bucket: str, key: str, version_id: str = ""
    ) -> ObjectAttributes:
        """GetObjectAttributes.  Raises as :meth:`get`."""
        ...

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
        ...

    async def delete_many(
        self, caller: Caller, bucket: str, targets: Sequence[DeleteTarget]
    ) -> tuple[Refusal | None, ...]:
        """DeleteObjects: one outcome a target, in order; None for a deleted or absent key.

        :raises NoSuchBucket:
        :raises AccessDenied: only by ``expected_bucket_owner``; else it is an entry's outcome.
        :raises MalformedXML: no target, or more than 1,000.
        """
        ...

    async def get_acl(self, caller: Caller, bucket: str, key: str, version_id: str = "") -> AclView:
        """GetObjectAcl.

        :raises NoSuchBucket:
        :raises NoSuchKey:
        :raises NoSuchVersion:
        :raises AccessDenied:
        """
        ...

    async def put_acl(
        self, caller: Caller, bucket: str, key: str, acl: RequestedAcl, version_id: str = ""
    ) -> None:
        """PutObjectAcl.  Raises as :meth:`get_acl` and :meth:`Acls.resolve`."""
        ...
