"""Byte ranges: Range, If-Range, x-amz-copy-source-range (RFC 9110, section 14)."""

from __future__ import annotations

import re

from bleepstore.errors import InvalidArgument, InvalidRange
from bleepstore.wire.dates import parse_http_date
from bleepstore.wire.headers import invalid_header, text_of

_RANGE = re.compile(rb"bytes=[ \t]*(\d{0,99})-(\d{0,99})[ \t]*", re.IGNORECASE)
"""RFC 9110, 14.1.2: recipients "MUST anticipate potentially large decimal numerals"."""

_COPY_RANGE = re.compile(rb"bytes=(\d{1,19})-(\d{1,19})")
_COPY_RANGE_NAME = b"x-amz-copy-source-range"


def select_range(value: bytes, size: int) -> tuple[int, int] | None:
    """Decide a Range header against a size: (offset, length), or None for the whole object.

    One range of bytes only: several ranges, other units and malformed values are ignored, as
    S3 does.

    :raises InvalidRange: unsatisfiable, with ``ActualObjectSize`` and ``RangeRequested``.
    """
    match = _RANGE.fullmatch(value)
    if match is None:
        return None
    first, last = match.groups()
    if first:
        offset = int(first)
        end = min(int(last), size - 1) if last else size - 1
        if last and int(last) < offset:
            return None  # RFC 9110, 14.1.1: no valid range at all, so ignored
        if offset < size:
            return offset, end - offset + 1
    elif last:
        length = min(int(last), size)
        if length:
            return size - length, length
    else:
        return None
    raise InvalidRange(RangeRequested=text_of(value), ActualObjectSize=str(size))


def if_range_holds(value: bytes, etag: str, last_modified: int) -> bool:
    """Whether the Range header beside this If-Range is to be honoured (RFC 9110, 13.1.5).

    An ETag compares strongly, a date exactly; what is neither never holds.
    """
    if value[:1] == b'"':
        return value == b'"' + etag.encode() + b'"'
    date = parse_http_date(value)
    if date is None:
        return value == etag.encode()  # S3 takes ETags without quotes everywhere
    return date == last_modified // 1000 * 1000


def parse_copy_range(value: bytes) -> tuple[int, int]:
    """``bytes=first-last`` of x-amz-copy-source-range, both inclusive.

    :raises InvalidArgument: anything else.
    """
    match = _COPY_RANGE.fullmatch(value)
    if match is not None:
        first, last = int(match[1]), int(match[2])
        if first <= last:
            return first, last
    raise invalid_header(
        _COPY_RANGE_NAME,
        value,
        "The x-amz-copy-source-range value must be of the form bytes=first-last where first and "
        "last are the zero-based offsets of the first and last bytes to copy",
    )


def require_copy_range(first: int, last: int, size: int) -> tuple[int, int]:
    """(offset, length) of a copy range within a source of ``size`` bytes.

    :raises InvalidArgument: it does not lie within the source.
    """
    if last >= size:
        raise InvalidArgument(
            f"Range specified is not valid for source object of size: {size}",
            ArgumentName=_COPY_RANGE_NAME.decode(),
            ArgumentValue=f"bytes={first}-{last}",
        )
    return first, last - first + 1
