"""XML of the listings, built as strings: a page of 1,000 keys in a few milliseconds.

``names`` maps account ids to display names; an owner that is not in it is shown by id alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from bleepstore.model.accounts import Account
from bleepstore.model.listing import BucketPage, ObjectPage, PartPage, UploadPage
from bleepstore.model.objects import Upload
from bleepstore.wire.list_queries import BucketsQuery, ObjectsQuery, PartsQuery, UploadsQuery


def list_buckets(owner: Account, query: BucketsQuery, page: BucketPage) -> bytes:
    """ListAllMyBucketsResult."""
    ...


def list_objects(
    bucket: str, query: ObjectsQuery, page: ObjectPage, names: Mapping[str, str]
) -> bytes:
    """ListBucketResult of ListObjects."""
    ...


def list_objects_v2(
    bucket: str, query: ObjectsQuery, page: ObjectPage, names: Mapping[str, str]
) -> bytes:
    """ListBucketResult of ListObjectsV2."""
    ...


def list_uploads(
    bucket: str, query: UploadsQuery, page: UploadPage, names: Mapping[str, str]
) -> bytes:
    """ListMultipartUploadsResult."""
    ...


def list_parts(
    upload: Upload, query: PartsQuery, page: PartPage, names: Mapping[str, str]
) -> bytes:
    """ListPartsResult."""
    ...
