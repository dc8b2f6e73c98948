"""Listings of a bucket's keys and of its uploads, with the names of those who own them."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from bleepstore.interfaces.metadata import IMetadataReader
from bleepstore.model.acl import Permission
from bleepstore.model.listing import ObjectPage, UploadPage
from bleepstore.objectstore.access import require_bucket
from bleepstore.objectstore.accounts import Accounts
from bleepstore.objectstore.requests import Caller, PageRequest, UploadsPageRequest


class ListedObjects(Struct, frozen=True):
    """A page, and the display names of the owners in it (empty if they were not asked for)."""

    page: ObjectPage
    names: Mapping[str, str]


class ListedUploads(Struct, frozen=True):
    """A page, and the display names of the owners and initiators in it."""

    page: UploadPage
    names: Mapping[str, str]


class Listings:
    """The use cases that list what is in a bucket."""

    def __init__(self, metadata: IMetadataReader, accounts: Accounts) -> None:
        self._metadata = metadata
        self._accounts = accounts

    async def objects(
        self, caller: Caller, request: PageRequest, *, with_owners: bool
    ) -> ListedObjects:
        """ListObjects and ListObjectsV2.

        :param with_owners: whether the owners' names are to be shown.
        :raises NoSuchBucket:
        :raises AccessDenied:
        """
        bucket = await self._metadata.get_bucket(request.bucket)
        require_bucket(bucket, caller, Permission.READ)
        page = await self._metadata.list_objects(
            request.bucket,
            request.prefix,
            request.delimiter,
            request.after,
            request.limit,
        )
        self._require_still(caller, request.bucket)
        if not with_owners:
            return ListedObjects(page, {})
        owners = {listed.owner_id for listed in page.objects}
        return ListedObjects(page, await self._accounts.names(owners))

    async def uploads(self, caller: Caller, request: UploadsPageRequest) -> ListedUploads:
        """ListMultipartUploads.

        :raises NoSuchBucket:
        :raises AccessDenied:
        """
        bucket = await self._metadata.get_bucket(request.bucket)
        require_bucket(bucket, caller, Permission.READ)
        page = await self._metadata.list_uploads(
            request.bucket,
            request.prefix,
            request.delimiter,
            request.after_key,
            request.after_upload_id,
            request.limit,
        )
        self._require_still(caller, request.bucket)
        people = {upload.owner_id for upload in page.uploads}
        people.update(upload.initiator_id for upload in page.uploads)
        return ListedUploads(page, await self._accounts.names(people))

    def _require_still(self, caller: Caller, name: str) -> None:
        """A page was read after the bucket was: by then it may have been another account's."""
        bucket, _ = self._metadata.peek_bucket(name)
        require_bucket(bucket, caller, Permission.READ)
