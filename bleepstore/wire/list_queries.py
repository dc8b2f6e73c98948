"""The query parameters of the listings, parsed and checked."""

from __future__ import annotations

from msgspec import Struct

from bleepstore.errors import InvalidArgument
from bleepstore.model.names import is_region_name
from bleepstore.wire.parameters import (
    Query,
    integer,
    invalid_parameter,
    is_upload_id,
    page_size,
    upload_id,
)
from bleepstore.wire.tokens import decode_token

MAX_BUCKETS = 10_000


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
    :ivar marker, start_after, token: as sent, to be shown again; empty when not sent, but for the
        token, which is None then.
    """

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = 1000
    url_encoded: bool = False
    marker: str = ""
    start_after: str = ""
    token: str | None = None
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
    """:raises InvalidArgument: max-buckets or continuation-token."""
    token = query.get("continuation-token")
    return BucketsQuery(
        prefix=query.get("prefix", ""),
        after="" if token is None else decode_token(token),
        limit=integer(query, "max-buckets", MAX_BUCKETS, 1, MAX_BUCKETS),
        region=query.get("bucket-region", ""),
    )


def require_region(name: str) -> None:
    """What ListBuckets wants of a ``bucket-region`` in which no bucket here is.

    :raises InvalidArgument: no region could have the name.
    """
    if not is_region_name(name):
        raise InvalidArgument(
            f"Argument value {name} is not a valid AWS Region", ArgumentName="bucket-region"
        )


def objects_query(query: Query) -> ObjectsQuery:
    """ListObjects.

    :raises InvalidArgument: max-keys or encoding-type.
    """
    marker = query.get("marker", "")
    return ObjectsQuery(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        after=marker,
        limit=page_size(query, "max-keys"),
        url_encoded=_url_encoded(query),
        marker=marker,
        fetch_owner=True,
    )


def objects_v2_query(query: Query) -> ObjectsQuery:
    """ListObjectsV2.  A token, which came from a page after start-after, overrides it; an empty one
    came from none, and is the same as none.

    :raises InvalidArgument: max-keys, encoding-type, fetch-owner or continuation-token.
    """
    start_after = query.get("start-after", "")
    token = query.get("continuation-token")
    fetch_owner = query.get("fetch-owner", "").lower()
    if fetch_owner not in ("", "true", "false"):
        raise invalid_parameter("fetch-owner", fetch_owner, "Invalid fetch-owner value")
    return ObjectsQuery(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        after=decode_token(token) if token else start_after,
        limit=page_size(query, "max-keys"),
        url_encoded=_url_encoded(query),
        start_after=start_after,
        token=token,
        fetch_owner=fetch_owner == "true",
    )


def uploads_query(query: Query) -> UploadsQuery:
    """:raises InvalidArgument: max-uploads, encoding-type, or a marker that is no upload's id."""
    key_marker = query.get("key-marker", "")
    upload_id_marker = query.get("upload-id-marker", "") if key_marker else ""
    if upload_id_marker and not is_upload_id(upload_id_marker):
        raise invalid_parameter("upload-id-marker", upload_id_marker, "Invalid uploadId marker")
    return UploadsQuery(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        key_marker=key_marker,
        upload_id_marker=upload_id_marker,
        limit=page_size(query, "max-uploads"),
        url_encoded=_url_encoded(query),
    )


def parts_query(query: Query) -> PartsQuery:
    """:raises InvalidArgument: max-parts, part-number-marker or encoding-type."""
    return PartsQuery(
        upload_id=upload_id(query),
        after=integer(query, "part-number-marker", 0),
        limit=page_size(query, "max-parts"),
        url_encoded=_url_encoded(query),
    )


def _url_encoded(query: Query) -> bool:
    value = query.get("encoding-type", "")
    if value.lower() not in ("", "url"):
        raise invalid_parameter(
            "encoding-type", value, "Invalid Encoding Method specified in Request"
        )
    return bool(value)
