"""Query parameters and headers that carry one small value."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bleepstore.errors import InvalidArgument, InvalidRequest
from bleepstore.model.names import MAX_PARTS
from bleepstore.model.objects import NULL_VERSION
from bleepstore.wire.headers import Headers, invalid_header, text_of
from bleepstore.wire.operations import Level, Operation

Query = Mapping[str, str]

MAX_INTEGER = 2**31 - 1
PAGE = 1000
"""Entries a page of objects, uploads or parts holds at most; asking for more gives this."""

OBJECT_ATTRIBUTES = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})

_VERSION_ID = re.compile(r"[A-Za-z0-9._-]{32}")
_UPLOAD_ID = re.compile(r"[A-Za-z0-9._-]{64}")
_BYPASS = b"x-amz-bypass-governance-retention"
_INTEGER = re.compile(r"-?[0-9]{1,20}")


def invalid_parameter(name: str, value: str, message: str) -> InvalidArgument:
    """InvalidArgument that names a parameter and what it said."""
    return InvalidArgument(message, ArgumentName=name, ArgumentValue=value)


def version_id(operation: Operation, query: Query) -> str:
    """The ``versionId`` of an operation on an object, as sent; empty if it was not.

    :raises InvalidArgument: the operation takes none, it is empty, or no version id at all.
    """
    value = query.get("versionId")
    if value is None or operation.level is not Level.OBJECT:
        return ""
    if not operation.versioned:
        raise invalid_parameter("versionId", value, "This operation does not accept a version-id.")
    return checked_version_id(value)


def deleted_version_id(query: Query) -> str:
    """The ``versionId`` of DeleteObject; empty if not sent.

    A well-formed one that no version has is as good as deleted: deletes can be repeated.

    :raises InvalidArgument: it is empty, or no version id at all.
    """
    value = query.get("versionId")
    return "" if value is None else checked_version_id(value)


def refuse_bypass(headers: Headers) -> None:
    """Refuse a delete that wants to pass over retention, as S3 does where a bucket has no lock.

    Such a client believes its objects locked; here nothing keeps them.

    :raises InvalidArgument: x-amz-bypass-governance-retention is true.
    """
    value = headers.get(_BYPASS)
    if value is not None and value.lower() == b"true":
        raise invalid_header(
            _BYPASS, value, f"{_BYPASS.decode()} is only applicable to Object Lock enabled buckets."
        )


def is_version_id(value: str) -> bool:
    """Whether some version could have this id."""
    return value == NULL_VERSION or _VERSION_ID.fullmatch(value) is not None


def checked_version_id(value: str) -> str:
    """The id of a version that there could be.

    :raises InvalidArgument: it is empty, or no version id at all.
    """
    if is_version_id(value):
        return value
    if not value:
        raise invalid_parameter("versionId", value, "Version id cannot be the empty string")
    raise invalid_parameter("versionId", value, "Invalid version id specified")


def upload_id(query: Query) -> str:
    """The ``uploadId``, as sent; an empty one names no upload."""
    return query.get("uploadId", "")


def is_upload_id(value: str) -> bool:
    """Whether some upload could have this id."""
    return _UPLOAD_ID.fullmatch(value) is not None


def part_number(query: Query) -> int | None:
    """``partNumber``, 1 to 10,000; None if not sent.

    :raises InvalidArgument:
    """
    value = query.get("partNumber")
    return None if value is None else checked_part_number(value)


def checked_part_number(value: str) -> int:
    """A part number, 1 to 10,000.

    :raises InvalidArgument: anything else.
    """
    if value.isascii() and value.isdigit() and len(value) <= 20:
        number = int(value)
        if 1 <= number <= MAX_PARTS:
            return number
    raise invalid_parameter(
        "partNumber", value, f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
    )


def integer(
    query: Query,
    name: str,
    default: int,
    low: int = 0,
    high: int = MAX_INTEGER,
    called: str = "",
) -> int:
    """An integer parameter within a range; the default when it is not sent, or empty.

    :param called: what S3 calls it when it is outside the range; empty: by its name.
    :raises InvalidArgument: it is none, or outside the range.
    """
    value = query.get(name)
    if not value:
        return default
    if _INTEGER.fullmatch(value) is None or abs(number := int(value)) > MAX_INTEGER:
        raise invalid_parameter(
            name, value, f"Provided {name} not an integer or within integer range"
        )
    if not low <= number <= high:
        called = called or name
        raise invalid_parameter(
            called, str(number), f"Argument {called} must be an integer between {low} and {high}"
        )
    return number


def page_size(query: Query, name: str) -> int:
    """A page's limit, 0 to 1,000: more is cut to 1,000, as S3 does.

    :raises InvalidArgument: no integer, or negative.
    """
    return min(integer(query, name, PAGE), PAGE)


def object_attributes(headers: Headers) -> frozenset[str]:
    """x-amz-object-attributes of GetObjectAttributes.

    Commas may follow the last one, as in S3, but not stand before the first nor in a row.

    :raises InvalidRequest: none.
    :raises InvalidArgument: an unknown one.
    """
    value = text_of(headers.get(b"x-amz-object-attributes", b""))
    names = [name.strip() for name in value.rstrip(",").split(",")]
    if names == [""]:
        raise InvalidRequest(
            "The x-amz-object-attributes header specifying the attributes to be retrieved is "
            "either missing or empty"
        )
    for name in names:
        if name not in OBJECT_ATTRIBUTES:
            raise invalid_parameter(
                "x-amz-object-attributes", name, "Invalid attribute name specified."
            )
    return frozenset(names)


def attributes_page(headers: Headers) -> tuple[int, int]:
    """x-amz-part-number-marker and x-amz-max-parts of GetObjectAttributes: (marker, limit).

    A malformed limit is none, as in S3.

    :raises InvalidArgument: the marker.
    """
    names = ("x-amz-part-number-marker", "x-amz-max-parts")
    sent = {name: text_of(headers.get(name.encode(), b"")) for name in names}
    try:
        limit = page_size(sent, names[1])
    except InvalidArgument:
        limit = PAGE
    return integer(sent, names[0], 0), limit
