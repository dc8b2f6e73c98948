"""XML of the listings, built as strings: a page of 1,000 keys in a few milliseconds.

``names`` maps account ids to display names; an owner that is not in it is shown by id alone.
Members and their order are those of the API reference's response syntax.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from bleepstore.model.accounts import Account
from bleepstore.model.checksums import ChecksumAlgorithm, ChecksumType
from bleepstore.model.listing import BucketPage, ObjectPage, PartPage, UploadPage
from bleepstore.model.names import bucket_arn
from bleepstore.model.objects import ListedObject, Upload
from bleepstore.wire.dates import iso_date
from bleepstore.wire.list_queries import BucketsQuery, ObjectsQuery, PartsQuery, UploadsQuery
from bleepstore.wire.tokens import encode_token
from bleepstore.wire.urls import url_encoded
from bleepstore.wire.xml_text import checksum_element, document, escaped, owner_element

_Write = Callable[[str], str]


def _writer(encoding: str) -> _Write:
    """How keys, prefixes, delimiters and markers are written; URL-encoded, they need no escapes."""
    return url_encoded if encoding else escaped


def _boolean(value: object) -> str:
    return "true" if value else "false"


def _optional(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>" if content else ""


def _common_prefixes(prefixes: Iterable[str], write: _Write) -> str:
    return "".join(
        f"<CommonPrefixes><Prefix>{write(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes
    )


def list_buckets(owner: Account, query: BucketsQuery, page: BucketPage) -> bytes:
    """ListAllMyBucketsResult.

    BucketRegion stands there "if the request contains at least one valid parameter" (API
    reference); BucketArn, of which it says nothing for general purpose buckets, S3 shows of all.
    """
    buckets = "".join(
        f"<Bucket><Name>{escaped(bucket.name)}</Name>"
        f"<CreationDate>{iso_date(bucket.created)}</CreationDate>"
        f"{_optional('BucketRegion', escaped(bucket.region) if query.paged else '')}"
        f"<BucketArn>{escaped(bucket_arn(bucket.name))}</BucketArn></Bucket>"
        for bucket in page.buckets
    )
    token = encode_token(page.next_after) if page.next_after else ""
    prefix = "" if query.prefix is None else f"<Prefix>{escaped(query.prefix)}</Prefix>"
    return document(
        "ListAllMyBucketsResult",
        f"{owner_element('Owner', owner.id, owner.display_name)}<Buckets>{buckets}</Buckets>"
        f"{prefix}{_optional('ContinuationToken', token)}",
    )


def list_objects(
    bucket: str, query: ObjectsQuery, page: ObjectPage, names: Mapping[str, str]
) -> bytes:
    """ListBucketResult of ListObjects.

    NextMarker stands only where a delimiter was given, as S3 has it: without one, the last key
    is the next marker.
    """
    write = _writer(query.encoding)
    next_marker = page.next_after if query.delimiter else ""
    return document(
        "ListBucketResult",
        f"<Name>{escaped(bucket)}</Name><Prefix>{write(query.prefix)}</Prefix>"
        f"<Marker>{write(query.marker)}</Marker>{_optional('NextMarker', write(next_marker))}"
        f"<MaxKeys>{query.max_keys}</MaxKeys>{_rest(query, page, names, write)}",
    )


def list_objects_v2(
    bucket: str, query: ObjectsQuery, page: ObjectPage, names: Mapping[str, str]
) -> bytes:
    """ListBucketResult of ListObjectsV2.  StartAfter is not shown where a token overrides it."""
    write = _writer(query.encoding)
    next_token = encode_token(page.next_after) if page.next_after else ""
    if query.token is not None:
        shown = f"<ContinuationToken>{escaped(query.token)}</ContinuationToken>"
    elif query.start_after is not None:
        shown = f"<StartAfter>{write(query.start_after)}</StartAfter>"
    else:
        shown = ""
    return document(
        "ListBucketResult",
        f"<Name>{escaped(bucket)}</Name><Prefix>{write(query.prefix)}</Prefix>"
        f"{shown}{_optional('NextContinuationToken', next_token)}"
        f"<KeyCount>{len(page.objects) + len(page.common_prefixes)}</KeyCount>"
        f"<MaxKeys>{query.max_keys}</MaxKeys>{_rest(query, page, names, write)}",
    )


def _rest(query: ObjectsQuery, page: ObjectPage, names: Mapping[str, str], write: _Write) -> str:
    """What both listings of objects end with."""
    return (
        f"{_optional('Delimiter', write(query.delimiter))}"
        f"{_optional('EncodingType', query.encoding)}"
        f"<IsTruncated>{_boolean(page.next_after)}</IsTruncated>"
        f"{_contents(page.objects, names if query.fetch_owner else None, write)}"
        f"{_common_prefixes(page.common_prefixes, write)}"
    )


def _contents(
    objects: Sequence[ListedObject], names: Mapping[str, str] | None, write: _Write
) -> str:
    """The objects of a page; what few values share (owner, checksum, class) is made once each."""
    middles: dict[tuple[ChecksumAlgorithm | None, ChecksumType | None], str] = {}
    ends: dict[tuple[str, str], str] = {}
    pieces = []
    for entry in objects:
        kind = (entry.checksum_algorithm, entry.checksum_type)
        middle = middles.get(kind)
        if middle is None:
            middle = middles[kind] = "&quot;</ETag>" + _checksum_kind(*kind) + "<Size>"
        owner = (entry.owner_id, entry.storage_class)
        end = ends.get(owner)
        if end is None:
            shown = "" if names is None else _owner("Owner", entry.owner_id, names)
            end = ends[owner] = (
                f"</Size>{shown}<StorageClass>{escaped(entry.storage_class)}</StorageClass>"
                "</Contents>"
            )
        pieces.append(
            f"<Contents><Key>{write(entry.key)}</Key>"
            f"<LastModified>{iso_date(entry.last_modified)}</LastModified>"
            f"<ETag>&quot;{entry.etag}{middle}{entry.size}{end}"
        )
    return "".join(pieces)


def _owner(element: str, account_id: str, names: Mapping[str, str]) -> str:
    return owner_element(element, account_id, names.get(account_id, ""))


def _checksum_kind(algorithm: ChecksumAlgorithm | None, kind: ChecksumType | None) -> str:
    return _optional("ChecksumAlgorithm", algorithm.value if algorithm else "") + _optional(
        "ChecksumType", kind.value if kind else ""
    )


def list_uploads(
    bucket: str, query: UploadsQuery, page: UploadPage, names: Mapping[str, str]
) -> bytes:
    """ListMultipartUploadsResult.

    The last upload of the last page is shown as the next marker, too, as S3 has it, and is empty
    where there is none; Prefix and Delimiter stand there only where they were sent.
    """
    write = _writer(query.encoding)
    uploads = "".join(
        f"<Upload><Key>{write(upload.key)}</Key><UploadId>{escaped(upload.upload_id)}</UploadId>"
        f"{_owner('Initiator', upload.initiator_id, names)}"
        f"{_owner('Owner', upload.owner_id, names)}"
        f"<StorageClass>{escaped(upload.description.storage_class)}</StorageClass>"
        f"<Initiated>{iso_date(upload.initiated)}</Initiated>"
        f"{_checksum_kind(upload.checksum_algorithm, upload.checksum_type)}</Upload>"
        for upload in page.uploads
    )
    next_key, next_upload_id = page.next_key, page.next_upload_id
    if not next_key and page.uploads:
        next_key, next_upload_id = page.uploads[-1].key, page.uploads[-1].upload_id
    return document(
        "ListMultipartUploadsResult",
        f"<Bucket>{escaped(bucket)}</Bucket><KeyMarker>{write(query.key_marker)}</KeyMarker>"
        f"<UploadIdMarker>{escaped(query.upload_id_marker)}</UploadIdMarker>"
        f"<NextKeyMarker>{write(next_key)}</NextKeyMarker>"
        f"<NextUploadIdMarker>{escaped(next_upload_id)}</NextUploadIdMarker>"
        f"{_optional('Delimiter', write(query.delimiter))}"
        f"{_optional('Prefix', write(query.prefix))}<MaxUploads>{query.limit}</MaxUploads>"
        f"{_optional('EncodingType', query.encoding)}"
        f"<IsTruncated>{_boolean(page.next_key)}</IsTruncated>"
        f"{uploads}{_common_prefixes(page.common_prefixes, write)}",
    )


def list_parts(
    upload: Upload, query: PartsQuery, page: PartPage, names: Mapping[str, str]
) -> bytes:
    """ListPartsResult.  NextPartNumberMarker is the last part shown, also on the last page."""
    write = _writer(query.encoding)
    parts = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber>"
        f"<LastModified>{iso_date(part.last_modified)}</LastModified>"
        f"<ETag>&quot;{part.etag}&quot;</ETag><Size>{part.size}</Size>"
        f"{checksum_element(part.checksum)}</Part>"
        for part in page.parts
    )
    following = page.next_after or (page.parts[-1].number if page.parts else 0)
    return document(
        "ListPartsResult",
        f"<Bucket>{escaped(upload.bucket)}</Bucket><Key>{write(upload.key)}</Key>"
        f"{_optional('EncodingType', query.encoding)}"
        f"<UploadId>{escaped(upload.upload_id)}</UploadId>"
        f"<PartNumberMarker>{query.after}</PartNumberMarker>"
        f"<NextPartNumberMarker>{following}</NextPartNumberMarker>"
        f"<MaxParts>{query.limit}</MaxParts>"
        f"<IsTruncated>{_boolean(page.next_after)}</IsTruncated>{parts}"
        f"{_owner('Initiator', upload.initiator_id, names)}"
        f"{_owner('Owner', upload.owner_id, names)}"
        f"<StorageClass>{escaped(upload.description.storage_class)}</StorageClass>"
        f"{_checksum_kind(upload.checksum_algorithm, upload.checksum_type)}",
    )
