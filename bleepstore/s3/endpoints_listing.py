"""What is in a bucket: its keys, and its uploads in progress.

To write a page of 1,000 entries takes some milliseconds, with long keys some ten: pages that are
ready together are written one in each turn of the reactor.
"""

from __future__ import annotations

from klein import Klein
from twisted.internet.interfaces import IReactorTime

from bleepstore.interfaces.http import IHttpRequest
from bleepstore.objectstore.listing import ListedObjects, Listings
from bleepstore.objectstore.requests import PageRequest, UploadsPageRequest
from bleepstore.s3.call import Call, region_header
from bleepstore.s3.serving import serves
from bleepstore.streams.one_a_turn import OneATurn
from bleepstore.wire.list_queries import (
    ObjectsQuery,
    objects_query,
    objects_v2_query,
    uploads_query,
)
from bleepstore.wire.xml_listings import list_objects, list_objects_v2, list_uploads

FEW = 100
"""Entries of a page that is written at once."""


class ListingEndpoints:
    """The listings of a bucket.

    :param region: of this server.
    """

    app = Klein()

    def __init__(self, listings: Listings, region: str, clock: IReactorTime) -> None:
        self._listings = listings
        self._pages = OneATurn(clock)
        self._headers = (region_header(region),)

    @serves(app, "ListObjects")
    async def list_objects(self, request: IHttpRequest, call: Call) -> None:
        query = objects_query(call.query)
        listed = await self._page(call, query, with_owners=True)
        call.xml(list_objects(call.bucket, query, listed.page, listed.names), self._headers)

    @serves(app, "ListObjectsV2")
    async def list_objects_v2(self, request: IHttpRequest, call: Call) -> None:
        query = objects_v2_query(call.query)
        listed = await self._page(call, query, with_owners=query.fetch_owner)
        call.xml(list_objects_v2(call.bucket, query, listed.page, listed.names), self._headers)

    @serves(app, "ListMultipartUploads")
    async def list_multipart_uploads(self, request: IHttpRequest, call: Call) -> None:
        query = uploads_query(call.query)
        listed = await self._listings.uploads(
            call.caller,
            UploadsPageRequest(
                call.bucket,
                query.prefix,
                query.delimiter,
                query.key_marker,
                query.upload_id_marker,
                query.limit,
            ),
        )
        if len(listed.page.uploads) + len(listed.page.common_prefixes) > FEW:
            await self._pages.turn()
        call.xml(list_uploads(call.bucket, query, listed.page, listed.names))

    async def _page(self, call: Call, query: ObjectsQuery, *, with_owners: bool) -> ListedObjects:
        listed = await self._listings.objects(
            call.caller,
            PageRequest(call.bucket, query.prefix, query.delimiter, query.after, query.limit),
            with_owners=with_owners,
        )
        if len(listed.page.objects) + len(listed.page.common_prefixes) > FEW:
            await self._pages.turn()
        return listed
