"""The headers of a read: what GetObject and HeadObject ask for, and what they answer with."""

from __future__ import annotations

from collections.abc import Mapping

from bleepstore.errors import InvalidRequest
from bleepstore.interfaces.http import Header
from bleepstore.model.conditions import ReadConditions
from bleepstore.model.objects import ObjectVersion
from bleepstore.objectstore.objects import ObjectHead
from bleepstore.objectstore.reading import ObjectRead
from bleepstore.objectstore.requests import ChooseSpan, ReadRequest, Span
from bleepstore.s3.call import Call
from bleepstore.wire.checksums import checksum_headers, wants_checksum
from bleepstore.wire.conditions import read_conditions
from bleepstore.wire.dates import http_date
from bleepstore.wire.description import description_headers, response_overrides
from bleepstore.wire.operations import BY_NAME, Operation
from bleepstore.wire.parameters import part_number, version_id
from bleepstore.wire.ranges import if_range_holds, select_range

_ACCEPT_RANGES: Header = (b"Accept-Ranges", b"bytes")
_GET_OBJECT = BY_NAME["GetObject"]
_CACHED_BY = frozenset({b"cache-control", b"expires"})
"""Of the description, what a 304 repeats (RFC 9110, 15.4.5)."""


def etag_header(etag: str) -> Header:
    """The entity tag in its quotes."""
    return (b"ETag", b'"%b"' % etag.encode())


def read_request(call: Call, operation: Operation = _GET_OBJECT) -> ReadRequest:
    """What a GetObject or HeadObject asks for.

    :raises InvalidRequest: Range and partNumber.
    :raises InvalidArgument: versionId or partNumber.
    :raises NoSuchVersion: a versionId that no object here has.
    """
    headers = call.headers
    conditions: ReadConditions | None = read_conditions(headers)
    range_ = headers.get(b"range")
    choose = None if range_ is None else _chooser(range_, headers.get(b"if-range"))
    query = call.query
    if not query:
        return ReadRequest(call.bucket, call.key, "", conditions, choose)
    number = part_number(query)
    if number is not None and choose is not None:
        raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
    version = version_id(operation, query)
    return ReadRequest(call.bucket, call.key, version, conditions, choose, number)


def _chooser(range_: bytes, if_range: bytes | None) -> ChooseSpan:
    def choose(version: ObjectVersion) -> Span | None:
        if if_range is not None and not if_range_holds(
            if_range, version.etag, version.last_modified
        ):
            return None
        return select_range(range_, version.size)

    return choose


def overrides_of(call: Call) -> Mapping[str, str] | None:
    """The ``response-*`` parameters.

    :raises InvalidRequest: an anonymous caller sent any.
    """
    if not call.query:
        return None
    overrides = response_overrides(call.query)
    if overrides and call.caller.account is None:
        raise InvalidRequest(
            "Request specific response headers cannot be used for anonymous GET requests."
        )
    return overrides


def object_headers(
    call: Call, read: ObjectRead | ObjectHead, overrides: Mapping[str, str] | None
) -> list[Header]:
    """The headers of a 200 or 206, all but Content-Length.

    A checksum is shown, when asked for, with just the bytes that it is of: the whole object, or
    a part, which has no type of checksum.

    :raises InvalidRequest: x-amz-checksum-mode.
    """
    version = read.version
    headers: list[Header] = [
        etag_header(version.etag),
        (b"Last-Modified", http_date(version.last_modified)),
        _ACCEPT_RANGES,
    ]
    headers += description_headers(version.description, overrides)
    length = read.length
    if read.partial and length:  # the only part of an empty object has no byte to name
        span = f"bytes {read.offset}-{read.offset + length - 1}/{version.size}"
        headers.append((b"Content-Range", span.encode()))
    if read.part_count:
        headers.append((b"x-amz-mp-parts-count", b"%d" % read.part_count))
    checksum = read.checksum
    if (
        b"x-amz-checksum-mode" in call.headers
        and wants_checksum(call.headers)
        and checksum is not None
    ):
        headers += checksum_headers(checksum, with_type=checksum is version.checksum)
    return headers


def validator_headers(version: ObjectVersion) -> list[Header]:
    """The headers of a 304: "any of the following that would have been sent in a 200 response"
    (RFC 9110, 15.4.5)."""
    headers = [etag_header(version.etag), (b"Last-Modified", http_date(version.last_modified))]
    headers += [
        header
        for header in description_headers(version.description)
        if header[0].lower() in _CACHED_BY
    ]
    return headers
