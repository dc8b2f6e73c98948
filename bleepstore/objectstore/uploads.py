"""Multipart uploads: create, fill, complete, abort, and list their parts."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from bleepstore.interfaces.http import IPayload
from bleepstore.model.commands import Written
from bleepstore.model.listing import PartPage
from bleepstore.model.objects import Part, Upload
from bleepstore.objectstore.requests import (
    Caller,
    Claims,
    CompleteRequest,
    PartCopyRequest,
    UploadName,
    UploadRequest,
)


class ListedParts(Struct, frozen=True):
    """A page of an upload's parts, and the display names of its owner and initiator."""

    upload: Upload
    page: PartPage
    names: Mapping[str, str]


class Uploads:
    """The use cases of multipart uploads."""

    async def create(self, caller: Caller, request: UploadRequest) -> Upload:
        """CreateMultipartUpload.

        :raises NoSuchBucket:
        :raises AccessDenied: anonymous callers may not start an upload, whatever the ACL.
        :raises InvalidRequest: a checksum type that its algorithm does not have.
        :raises StoreError: as :meth:`Acls.resolve`.
        """
        ...

    async def put_part(
        self, caller: Caller, upload: UploadName, number: int, payload: IPayload, claims: Claims
    ) -> Part:
        """UploadPart: store a part, or replace it.  As :meth:`Objects.put` in all that is not said.

        :raises NoSuchBucket:
        :raises NoSuchUpload:
        :raises AccessDenied:
        :raises InvalidArgument: ``number`` is not from 1 to 10,000.
        :raises EntityTooLarge: over 5 GiB.
        :raises InvalidRequest: a checksum of another algorithm than the upload's.
        :raises BadDigest:
        """
        ...

    async def copy_part(self, caller: Caller, request: PartCopyRequest) -> Part:
        """UploadPartCopy: a part with bytes of an object, of which none is moved.

        :raises NoSuchBucket:
        :raises NoSuchUpload:
        :raises NoSuchKey: the source.
        :raises NoSuchVersion: the source.
        :raises AccessDenied:
        :raises PreconditionFailed: of the source.
        :raises InvalidArgument: the part's number, or a range that is not within the source.
        :raises InvalidRequest: over 5 GiB.
        :raises OperationAborted: the source changed again and again meanwhile.
        """
        ...

    async def complete(self, caller: Caller, request: CompleteRequest) -> Written:
        """CompleteMultipartUpload.  Raises as the command ``CompleteUpload``, and AccessDenied;
        MalformedXML without any part."""
        ...

    async def abort(self, caller: Caller, upload: UploadName) -> None:
        """AbortMultipartUpload.

        :raises NoSuchBucket:
        :raises NoSuchUpload:
        :raises AccessDenied:
        """
        ...

    async def list_parts(
        self, caller: Caller, upload: UploadName, after: int = 0, limit: int = 1000
    ) -> ListedParts:
        """ListParts: those with numbers greater than ``after``; more than 1,000 is 1,000.

        :raises NoSuchBucket:
        :raises NoSuchUpload:
        :raises AccessDenied:
        """
        ...
