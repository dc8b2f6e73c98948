"""Byte ranges: Range, If-Range, x-amz-copy-source-range (RFC 9110, section 14)."""

from __future__ import annotations


def select_range(value: bytes, size: int) -> tuple[int, int] | None:
    """Decide a Range header against a size: (offset, length), or None for the whole object.

    One range of bytes only: several ranges, other units and malformed values are ignored, as S3 does.

    :raises InvalidRange: unsatisfiable, with ``ActualObjectSize`` and ``RangeRequested``.
    """
    ...


def if_range_holds(value: bytes, etag: str, last_modified: int) -> bool:
    """Whether the Range header beside this If-Range is to be honoured (RFC 9110, 13.1.5)."""
    ...


def parse_copy_range(value: bytes) -> tuple[int, int]:
    """``bytes=first-last`` of x-amz-copy-source-range, both inclusive.

    :raises InvalidArgument: anything else.
    """
    ...


def require_copy_range(first: int, last: int, size: int) -> tuple[int, int]:
    """(offset, length) of a copy range within a source of ``size`` bytes.

    :raises InvalidArgument: it does not lie within the source.
    """
    ...
