"""The headers of CopyObject and UploadPartCopy."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from bleepstore.errors import InvalidURI
from bleepstore.model.names import require_key
from bleepstore.wire.headers import Headers, invalid_header, text_of
from bleepstore.wire.parameters import checked_version_id
from bleepstore.wire.urls import decode_bytes, decode_text

_COPY_SOURCE = b"x-amz-copy-source"
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")
"""What a name of a bucket is made of, and was in any time of S3's."""


class CopySource(Struct, frozen=True):
    """What x-amz-copy-source names.  ``version_id`` is empty if none was sent."""

    bucket: str
    key: str
    version_id: str = ""


class Directive(StrEnum):
    """Whether a copy keeps what its source has or takes what the request says."""

    COPY = "COPY"
    REPLACE = "REPLACE"


class AnnotationDirective(StrEnum):
    """Whether a copy keeps the annotations of its source."""

    COPY = "COPY"
    EXCLUDE = "EXCLUDE"


_D = TypeVar("_D", Directive, AnnotationDirective)


def parse_copy_source(value: bytes) -> CopySource:
    """``[/]bucket/key[?versionId=id]``, percent-encoded.

    A ``+`` is a space, as in S3: clients encode the source as forms are (``url.QueryEscape``), and
    send a plus as ``%2B``.  A ``?`` that begins no ``versionId`` is part of the key: clients that
    do not encode send it so.

    :raises InvalidArgument: it has no bucket or key, its bucket is no name but a URL or an ARN, it
        is not UTF-8, or a malformed version id.
    :raises KeyTooLongError: the key is over 1,024 bytes.
    """
    path, query, raw_version = value.rpartition(b"?versionId=")
    if not query:
        path = value
    path = path.replace(b"+", b" ")
    raw_bucket, _, raw_key = path.removeprefix(b"/").partition(b"/")
    try:
        if not raw_key and b"%2f" in raw_bucket.lower():  # the whole was encoded, slashes too
            decoded = decode_bytes(raw_bucket).removeprefix(b"/")
            bucket_part, _, key_part = decoded.partition(b"/")
            bucket, key = decode_text(bucket_part.replace(b"%", b"%25")), require_key(key_part)
        else:
            bucket, key = decode_text(raw_bucket), require_key(decode_bytes(raw_key))
        version = decode_text(raw_version)
    except InvalidURI:
        raise invalid_header(_COPY_SOURCE, value, "Invalid copy source encoding.") from None
    if _BUCKET.fullmatch(bucket) is None:
        raise invalid_header(_COPY_SOURCE, value, "Invalid copy source bucket name")
    if not key:
        raise invalid_header(_COPY_SOURCE, value, "Invalid copy source object key")
    return CopySource(bucket, key, checked_version_id(version) if query else "")


def metadata_directive(headers: Headers) -> Directive:
    """:raises InvalidArgument: neither COPY nor REPLACE.  COPY when not sent."""
    return _directive(headers, b"x-amz-metadata-directive", Directive.COPY)


def tagging_directive(headers: Headers) -> Directive:
    """:raises InvalidArgument: neither COPY nor REPLACE.  COPY when not sent."""
    return _directive(headers, b"x-amz-tagging-directive", Directive.COPY)


def annotation_directive(headers: Headers) -> AnnotationDirective:
    """:raises InvalidArgument: neither COPY nor EXCLUDE.  COPY when not sent."""
    return _directive(headers, b"x-amz-object-annotation-directive", AnnotationDirective.COPY)


def _directive(headers: Headers, name: bytes, default: _D) -> _D:
    value = headers.get(name)
    if value is None:
        return default
    try:
        return type(default)(text_of(value))
    except ValueError:
        noun = name.split(b"-")[-2].decode()
        raise invalid_header(name, value, f"Unknown {noun} directive.") from None
