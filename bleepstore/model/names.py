"""The grammar of names: bucket names, object keys, storage classes, regions."""

from __future__ import annotations

import re

from bleepstore.errors import InvalidBucketName, InvalidURI, KeyTooLongError

MAX_KEY_BYTES = 1024
MAX_METADATA_BYTES = 2048
MIN_PART_SIZE = 5 * 1024 * 1024
MAX_PART_SIZE = 5 * 1024**3
MAX_PARTS = 10_000
MAX_COPY_SIZE = 5 * 1024**3
"""CopyObject and UploadPartCopy take a source of at most 5 GiB (S3 API reference, CopyObject)."""

STORAGE_CLASSES = frozenset(
    {
        "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING",
        "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR",
    }
)  # fmt: skip
"""Those of a general purpose bucket.  The API has more names, of other kinds of buckets: they are
refused, as S3 refuses them there (PutObject, x-amz-storage-class)."""

RESERVED_BUCKET_NAMES = frozenset(
    {"health", "healthz", "readyz", "metrics", "docs", "openapi.json"}
)
"""Paths that BleepStore answers itself; no bucket may shadow one."""

_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]")
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]")
_IP_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3", "-an")


def is_valid_bucket_name(name: str) -> bool:
    """Whether a general purpose bucket may be created under ``name``.

    Source: "General purpose bucket naming rules", Amazon S3 User Guide.
    """
    return (
        _BUCKET.fullmatch(name) is not None
        and ".." not in name
        and _IP_ADDRESS.fullmatch(name) is None
        and not name.startswith(_PREFIXES)
        and not name.endswith(_SUFFIXES)
        and name not in RESERVED_BUCKET_NAMES
    )


def require_bucket_name(name: str) -> None:
    """:raises InvalidBucketName: naming the bucket, unless it may be created."""
    if not is_valid_bucket_name(name):
        raise InvalidBucketName(BucketName=name)


def bucket_arn(name: str) -> str:
    """The Amazon Resource Name of a bucket: it has neither region nor account."""
    return f"arn:aws:s3:::{name}"


def is_region_name(name: str) -> bool:
    """Whether a region of AWS could be called so: ``us-gov-west-1``, ``eusc-de-east-1``."""
    return _REGION.fullmatch(name) is not None


def require_key(raw: bytes) -> str:
    """Decode an object key, once, from the percent-decoded bytes of a request.

    :raises KeyTooLongError: over 1,024 bytes.
    :raises InvalidURI: not UTF-8.
    """
    if len(raw) > MAX_KEY_BYTES:
        raise KeyTooLongError(Size=str(len(raw)), MaxSizeAllowed=str(MAX_KEY_BYTES))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidURI(URI=raw.decode("utf-8", "backslashreplace")) from None
