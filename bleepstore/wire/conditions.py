"""Preconditions from headers; ``model.conditions`` decides them.

ETags lose their quotes and a ``W/``: S3 compares them as they are, and has no weak ones itself.
"""

from __future__ import annotations

import re

from bleepstore import errors
from bleepstore.model.conditions import ReadConditions, WriteConditions
from bleepstore.wire.dates import parse_http_date
from bleepstore.wire.headers import Headers, text_of, unsupported_header

_ETAG = re.compile(r'(?:W/)?"([^"]*)"|([^\s,"]+)')

_READ = (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
_COPY = tuple(b"x-amz-copy-source-" + name for name in _READ)
_READ_NAMES = frozenset(_READ)
_COPY_NAMES = frozenset(_COPY)
_UNDECIDED_OF_WRITES = frozenset({b"if-modified-since", b"if-unmodified-since"})
_UNDECIDED_OF_DELETES = _UNDECIDED_OF_WRITES | {b"if-none-match"}


def etag_list(value: bytes) -> tuple[str, ...]:
    """The ETags of a condition, without quotes; strong, weak or unquoted, as S3 accepts them."""
    found = _ETAG.finditer(text_of(value))
    return tuple(match[1] if match[1] is not None else match[2] for match in found)


def _conditions(headers: Headers, names: tuple[bytes, ...]) -> ReadConditions:
    match, none_match, since, unmodified = (headers.get(name) for name in names)
    return ReadConditions(
        if_match=None if match is None else etag_list(match),
        if_none_match=None if none_match is None else etag_list(none_match),
        if_modified_since=None if since is None else parse_http_date(since),
        if_unmodified_since=None if unmodified is None else parse_http_date(unmodified),
    )


def read_conditions(headers: Headers) -> ReadConditions | None:
    """The conditions of a read; None if there are none.

    Invalid dates are ignored (RFC 9110, 13.1.3).
    """
    return None if _READ_NAMES.isdisjoint(headers) else _conditions(headers, _READ)


def copy_source_conditions(headers: Headers) -> ReadConditions | None:
    """The ``x-amz-copy-source-if-*`` conditions; None if there are none."""
    return None if _COPY_NAMES.isdisjoint(headers) else _conditions(headers, _COPY)


def write_conditions(headers: Headers) -> WriteConditions | None:
    """If-Match and If-None-Match of PutObject, CopyObject and CompleteMultipartUpload.

    None if neither was sent.

    :raises NotImplemented: If-None-Match with anything but ``*``, If-Match with several ETags,
        or both conditions ("Conditional writes", S3 User Guide); If-Modified-Since or
        If-Unmodified-Since, which would have to be decided, and S3 does not have.
    """
    _refuse_undecided(headers, _UNDECIDED_OF_WRITES)
    none_match = headers.get(b"if-none-match")
    if none_match is None:
        match = _if_match(headers)
        return None if match is None else WriteConditions(if_match=match)
    if b"if-match" in headers:
        raise unsupported_header(
            "If-Match,If-None-Match",
            "Multiple conditional request headers present in the request",
        )
    if none_match != b"*":
        raise _unsupported_value("If-None-Match")
    return WriteConditions(if_none_match=True)


def delete_condition(headers: Headers) -> str | None:
    """If-Match of DeleteObject: an ETag without quotes, or ``*``; None if not sent.

    :raises NotImplemented: not exactly one ETag, or another condition.
    """
    _refuse_undecided(headers, _UNDECIDED_OF_DELETES)
    return _if_match(headers)


def _refuse_undecided(headers: Headers, names: frozenset[bytes]) -> None:
    """A condition that is passed over would let through what the client wants kept from."""
    if not names.isdisjoint(headers):
        raise unsupported_header(min(names & headers.keys()).decode().title())


def _if_match(headers: Headers) -> str | None:
    value = headers.get(b"if-match")
    if value is None:
        return None
    etags = etag_list(value)
    if len(etags) != 1:
        raise _unsupported_value("If-Match")
    return etags[0]


def _unsupported_value(name: str) -> errors.NotImplemented:
    return unsupported_header(
        name, f"We don't accept the provided value of {name} header for this API"
    )
