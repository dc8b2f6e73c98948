"""The headers of CopyObject and UploadPartCopy."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from bleepstore.wire.headers import Headers


class CopySource(Struct, frozen=True):
    """What x-amz-copy-source names.  ``version_id`` is empty or ``null``."""

    bucket: str
    key: str
    version_id: str = ""


class Directive(StrEnum):
    """Whether a copy keeps what its source has or takes what the request says."""

    COPY = "COPY"
    REPLACE = "REPLACE"


def parse_copy_source(value: bytes) -> CopySource:
    """``[/]bucket/key[?versionId=id]``, percent-encoded.

    :raises InvalidArgument: it has no bucket or key, is not UTF-8, or a malformed version id.
    :raises NoSuchVersion: a version id other than ``null``.
    """
    ...


def metadata_directive(headers: Headers) -> Directive:
    """:raises InvalidArgument: neither COPY nor REPLACE.  COPY when not sent."""
    ...


def tagging_directive(headers: Headers) -> Directive:
    """:raises InvalidArgument: neither COPY nor REPLACE.  COPY when not sent."""
    ...
