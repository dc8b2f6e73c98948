"""Buckets: list, create, look at, delete, and where they are."""

from __future__ import annotations

from klein import Klein

from bleepstore.interfaces.http import Header, IHttpRequest
from bleepstore.model.names import bucket_arn
from bleepstore.objectstore.access import require_account
from bleepstore.objectstore.buckets import Buckets
from bleepstore.s3.call import XML, Call, region_header
from bleepstore.s3.documents import Documents
from bleepstore.s3.serving import serves
from bleepstore.wire.grants import requested_acl
from bleepstore.wire.list_queries import buckets_query, require_region
from bleepstore.wire.operations import Level
from bleepstore.wire.xml_listings import list_buckets
from bleepstore.wire.xml_requests import parse_create_bucket
from bleepstore.wire.xml_results import location_constraint


class BucketEndpoints:
    """:param region: of this server."""

    app = Klein()

    def __init__(self, buckets: Buckets, documents: Documents, region: str) -> None:
        self._buckets = buckets
        self._documents = documents
        self._region = region
        self._region_header = region_header(region)

    @serves(app, "ListBuckets")
    async def list_buckets(self, request: IHttpRequest, call: Call) -> None:
        query = buckets_query(call.query)
        account = require_account(call.caller)
        if query.region:
            require_region(query.region, self._region)
        page = await self._buckets.list(call.caller, query.prefix or "", query.after, query.limit)
        call.xml(list_buckets(account, query, page))

    @serves(app, "CreateBucket")
    async def create_bucket(self, request: IHttpRequest, call: Call) -> None:
        acl = requested_acl(call.headers, Level.BUCKET)
        require_account(call.caller)  # before anything is read
        location = parse_create_bucket(await self._documents.read(call))
        await self._buckets.create(call.caller, call.bucket, location=location, acl=acl)
        call.respond(200, ((b"Location", b"/" + call.bucket.encode()), _arn_header(call.bucket)))

    @serves(app, "HeadBucket")
    async def head_bucket(self, request: IHttpRequest, call: Call) -> None:
        await self._buckets.head(call.caller, call.bucket)
        alias = (b"x-amz-access-point-alias", b"false")
        call.respond(200, (self._region_header, alias, _arn_header(call.bucket), XML))

    @serves(app, "DeleteBucket")
    async def delete_bucket(self, request: IHttpRequest, call: Call) -> None:
        await self._buckets.delete(call.caller, call.bucket)
        call.respond(204)

    @serves(app, "GetBucketLocation")
    async def get_bucket_location(self, request: IHttpRequest, call: Call) -> None:
        call.xml(location_constraint(await self._buckets.location(call.caller, call.bucket)))


def _arn_header(bucket: str) -> Header:
    """S3 sends it of every bucket, though its reference says that it is for directory buckets."""
    return (b"x-amz-bucket-arn", bucket_arn(bucket).encode())
