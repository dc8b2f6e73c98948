"""Buckets: create, look at, list, delete, and their ACLs.

Knows what S3 means by them; no HTTP, no SQL, no objects.
"""

from __future__ import annotations

from collections.abc import Callable

from bleepstore.errors import IllegalLocationConstraintException, InvalidLocationConstraint
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.model.acl import Permission
from bleepstore.model.commands import CreateBucket, DeleteBucket, PutBucketAcl
from bleepstore.model.listing import BucketPage
from bleepstore.model.names import is_region_name, require_bucket_name
from bleepstore.model.objects import Bucket
from bleepstore.objectstore.access import (
    require_account,
    require_bucket,
    require_bucket_owner,
)
from bleepstore.objectstore.acls import Acls, AclView
from bleepstore.objectstore.requests import Caller
from bleepstore.objectstore.shield import shield
from bleepstore.wire.grants import RequestedAcl


class Buckets:
    """The use cases of buckets.  Each awaits nothing but metadata.

    :param region: of this server; every bucket is in it.
    :param released: called after a change that may have let go of blobs.
    :param require_room: see :class:`ObjectStore`.
    """

    def __init__(
        self,
        metadata: IMetadataStore,
        acls: Acls,
        region: str,
        released: Callable[[], None],
        require_room: Callable[[int | None], None],
    ) -> None:
        self._metadata = metadata
        self._acls = acls
        self._region = region
        self._released = released
        self._require_room = require_room

    async def create(
        self, caller: Caller, name: str, *, location: str = "", acl: RequestedAcl | None = None
    ) -> None:
        """CreateBucket.

        :param location: the LocationConstraint; empty when not sent, which means this region.
        :raises AccessDenied: an anonymous caller.
        :raises InvalidBucketName:
        :raises InvalidLocationConstraint: no region's name.
        :raises IllegalLocationConstraintException: another region's.
        :raises BucketAlreadyExists:
        :raises BucketAlreadyOwnedByYou: outside us-east-1.
        """
        return await shield(self._create(caller, name, location, acl))

    async def head(self, caller: Caller, name: str) -> Bucket:
        """HeadBucket.

        :raises NoSuchBucket:
        :raises AccessDenied:
        """
        bucket = await self._metadata.get_bucket(name)
        require_bucket(bucket, caller, Permission.READ)
        return bucket

    async def location(self, caller: Caller, name: str) -> str:
        """GetBucketLocation: the bucket's region.

        :raises NoSuchBucket:
        :raises AccessDenied:
        """
        bucket = await self._metadata.get_bucket(name)
        require_bucket_owner(bucket, caller)
        return bucket.region

    async def list(
        self, caller: Caller, prefix: str = "", after: str = "", limit: int = 10_000
    ) -> BucketPage:
        """ListBuckets: those that the caller owns.

        :param limit: 1 to 10,000.
        :raises AccessDenied: an anonymous caller.
        """
        account = require_account(caller)
        return await self._metadata.list_buckets(account.id, prefix, after, limit)

    async def delete(self, caller: Caller, name: str) -> None:
        """DeleteBucket; uploads in progress are aborted with it.

        :raises NoSuchBucket:
        :raises AccessDenied:
        :raises BucketNotEmpty:
        """
        return await shield(self._delete(caller, name))

    async def get_acl(self, caller: Caller, name: str) -> AclView:
        """GetBucketAcl.

        :raises NoSuchBucket:
        :raises AccessDenied:
        """
        bucket = await self._metadata.get_bucket(name)
        require_bucket(bucket, caller, Permission.READ_ACP)
        return await self._acls.view(bucket.acl)

    async def put_acl(self, caller: Caller, name: str, acl: RequestedAcl) -> None:
        """PutBucketAcl.

        :raises NoSuchBucket:
        :raises AccessDenied: also when the request names another owner.
        :raises StoreError: as :meth:`Acls.resolve`.
        """
        return await shield(self._put_acl(caller, name, acl))

    async def _create(
        self, caller: Caller, name: str, location: str, requested: RequestedAcl | None
    ) -> None:
        account = require_account(caller)
        require_bucket_name(name)
        self._require_location(location)
        acl = await self._acls.resolve(requested, account.id, account.id)
        self._require_room(0)
        await self._metadata.submit(
            CreateBucket(
                at=caller.at,
                request_id=caller.request_id,
                bucket=name,
                owner_id=account.id,
                region=self._region,
                acl=acl,
            )
        )

    def _require_location(self, location: str) -> None:
        if location in ("", self._region) or (location == "EU" and self._region == "eu-west-1"):
            return
        if not is_region_name(location) and location != "EU":
            raise InvalidLocationConstraint(LocationConstraint=location)
        raise IllegalLocationConstraintException(
            f"The {location} location constraint is incompatible for the region specific "
            "endpoint this request was sent to."
        )

    async def _delete(self, caller: Caller, name: str) -> None:
        bucket = await self._metadata.get_bucket(name)
        require_bucket_owner(bucket, caller)
        await self._metadata.submit(
            DeleteBucket(
                at=caller.at,
                request_id=caller.request_id,
                bucket_owner_id=bucket.owner_id,
                bucket=name,
            )
        )
        self._released()

    async def _put_acl(self, caller: Caller, name: str, requested: RequestedAcl) -> None:
        bucket = await self._metadata.get_bucket(name)
        require_bucket(bucket, caller, Permission.WRITE_ACP)
        acl = await self._acls.resolve(requested, bucket.owner_id, bucket.owner_id)
        await self._metadata.submit(
            PutBucketAcl(at=caller.at, request_id=caller.request_id, bucket=name, acl=acl)
        )
