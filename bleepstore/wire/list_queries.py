"""The query parameters of the listings, parsed and checked."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

Query = Mapping[str, str]


class BucketsQuery(Struct, frozen=True):
    """ListBuckets.

    :ivar limit: 1 to 10,000.
    :ivar after: where the continuation token continues; empty from the start.
    :ivar region: only buckets of this region; empty for all.
    """

    prefix: str = ""
    after: str = ""
    limit: int = 10_000
    region: str = ""


class ObjectsQuery(Struct, frozen=True):
    """ListObjects and ListObjectsV2.

    :ivar after: keys and common prefixes up to this one are left out: the marker, the later of
        start-after and what the continuation token says.
    :ivar limit: 0 to 1,000.
    :ivar url_encoded: encoding-type=url was asked for.
    :ivar marker, start_after, token: as sent, to be shown again; empty when not sent.
    """

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = 1000
    url_encoded: bool = False
    marker: str = ""
    start_after: str = ""
    token: str = ""
    fetch_owner: bool = False


class UploadsQuery(Struct, frozen=True):
    """ListMultipartUploads.

    :ivar limit: 0 to 1,000.
    :ivar upload_id_marker: empty without key-marker, whatever was sent.
    """

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    upload_id_marker: str = ""
    limit: int = 1000
    url_encoded: bool = False


class PartsQuery(Struct, frozen=True):
    """ListParts.

    :ivar limit: 0 to 1,000.
    """

    upload_id: str
    after: int = 0
    limit: int = 1000
    url_encoded: bool = False


def buckets_query(query: Query) -> BucketsQuery:
    """:raises InvalidArgument:"""
    ...


def objects_query(query: Query) -> ObjectsQuery:
    """ListObjects.

    :raises InvalidArgument: max-keys or encoding-type.
    """
    ...


def objects_v2_query(query: Query) -> ObjectsQuery:
    """ListObjectsV2.

    :raises InvalidArgument: max-keys, encoding-type, fetch-owner or continuation-token.
    """
    ...


def uploads_query(query: Query) -> UploadsQuery:
    """:raises InvalidArgument: max-uploads or encoding-type."""
    ...


def parts_query(query: Query) -> PartsQuery:
    """:raises InvalidArgument: max-parts, part-number-marker or encoding-type."""
    ...
