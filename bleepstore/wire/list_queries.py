"""The query parameters of the listings, parsed and checked."""

from __future__ import annotations

from msgspec import Struct

from bleepstore.errors import InvalidArgument
from bleepstore.model.names import is_region_name
from bleepstore.wire.parameters import (
    PAGE,
    Query,
    integer,
    invalid_parameter,
    is_upload_id,
    page_size,
    upload_id,
)
from bleepstore.wire.tokens import decode_token

MAX_BUCKETS = 10_000
_BUCKETS_PARAMETERS = frozenset({"max-buckets", "prefix", "continuation-token", "bucket-region"})


class BucketsQuery(Struct, frozen=True):
    """ListBuckets.

    :ivar prefix: only buckets whose names begin so; None when not sent.
    :ivar limit: 1 to 10,000.
    :ivar after: where the continuation token continues; empty from the start.
    :ivar region: only buckets of this region; empty for all.
    :ivar paged: whether any of its parameters was sent: then the answer says where the buckets are.
    """

    prefix: str | None = None
    after: str = ""
    limit: int = 10_000
    region: str = ""
    paged: bool = False


class ObjectsQuery(Struct, frozen=True):
    """ListObjects and ListObjectsV2.

    :ivar after: keys and common prefixes up to this one are left out: the marker, the later of
        start-after and what the continuation token says.
    :ivar max_keys: what was asked for; a page holds ``limit``, which is 1,000 at most.
    :ivar encoding: ``encoding-type`` as sent, in whatever case; empty when not sent.
    :ivar marker: as sent, to be shown again; empty when not sent.
    :ivar start_after, token: the same, but None when not sent.
    """

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    max_keys: int = 1000
    encoding: str = ""
    marker: str = ""
    start_after: str | None = None
    token: str | None = None
    fetch_owner: bool = False

    @property
    def limit(self) -> int:
        """Entries of a page, at most: 0 to 1,000."""
        return min(self.max_keys, PAGE)


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
    encoding: str = ""


class PartsQuery(Struct, frozen=True):
    """ListParts.

    :ivar limit: 0 to 1,000.
    """

    upload_id: str
    after: int = 0
    limit: int = 1000
    encoding: str = ""


def buckets_query(query: Query) -> BucketsQuery:
    """An empty continuation token is none: its least length is 0 (API reference).

    :raises InvalidArgument: max-buckets or continuation-token.
    """
    token = query.get("continuation-token")
    return BucketsQuery(
        prefix=query.get("prefix"),
        after=decode_token(token) if token else "",
        limit=integer(query, "max-buckets", MAX_BUCKETS, 1, MAX_BUCKETS),
        region=query.get("bucket-region", ""),
        paged=not _BUCKETS_PARAMETERS.isdisjoint(query),
    )


def require_region(name: str, own: str) -> None:
    """Require of a ``bucket-region`` that it is that of this server, ``own``, in whatever case.

    "Requests made to a Regional endpoint that is different from the bucket-region parameter are not
    supported" (API reference, ListBuckets).

    :raises InvalidArgument: it is another one, or no region could have the name.
    """
    if name.lower() == own:
        return
    raise InvalidArgument(
        "Requests with bucket-region specified must be made to the corresponding regional endpoint"
        if is_region_name(name.lower())
        else f"Argument value {name} is not a valid AWS Region",
        ArgumentName="bucket-region",
    )


def objects_query(query: Query) -> ObjectsQuery:
    """ListObjects.

    :raises InvalidArgument: max-keys or encoding-type, or a parameter of ListObjectsV2: a client
        that continues by it must not be sent back to the beginning.
    """
    max_keys = _max_keys(query)
    if "continuation-token" in query:
        raise _of_the_other_version("continuation-token", "continuation-token only supported in")
    if "start-after" in query:
        raise _of_the_other_version("start-after", "startAfter only supported in")
    marker = query.get("marker", "")
    return ObjectsQuery(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        after=marker,
        max_keys=max_keys,
        encoding=_encoding(query),
        marker=marker,
        fetch_owner=True,
    )


def objects_v2_query(query: Query) -> ObjectsQuery:
    """ListObjectsV2.  A token, which came from a page after start-after, overrides it; an empty one
    came from none, and is the same as none.

    :raises InvalidArgument: max-keys, encoding-type or continuation-token, or the marker of
        ListObjects.
    """
    max_keys = _max_keys(query)
    if "marker" in query:
        raise InvalidArgument(
            "Marker unsupported with REST.GET.BUCKET in list-type=2", ArgumentName="marker"
        )
    encoding = _encoding(query)
    start_after = query.get("start-after")
    token = query.get("continuation-token")
    return ObjectsQuery(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        after=decode_token(token) if token else start_after or "",
        max_keys=max_keys,
        encoding=encoding,
        start_after=start_after,
        token=token,
        fetch_owner=query.get("fetch-owner", "").lower() == "true",
    )


def _of_the_other_version(name: str, message: str) -> InvalidArgument:
    return InvalidArgument(f"{message} REST.GET.BUCKET with list-type=2", ArgumentName=name)


def _max_keys(query: Query) -> int:
    return integer(query, "max-keys", PAGE, called="maxKeys")


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
        encoding=_encoding(query),
    )


def parts_query(query: Query) -> PartsQuery:
    """:raises InvalidArgument: max-parts, part-number-marker or encoding-type."""
    return PartsQuery(
        upload_id=upload_id(query),
        after=integer(query, "part-number-marker", 0),
        limit=page_size(query, "max-parts"),
        encoding=_encoding(query),
    )


def _encoding(query: Query) -> str:
    value = query.get("encoding-type", "")
    if value.lower() not in ("", "url"):
        raise invalid_parameter(
            "encoding-type", value, "Invalid Encoding Method specified in Request"
        )
    return value
