"""Response heads as bytes: status lines and the date made beforehand, the rest in one join."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from bleepstore.errors import (
    BadRequest,
    InternalError,
    InvalidURI,
    NotImplemented,
    RequestHeaderSectionTooLarge,
    RequestTimeout,
    ServiceUnavailable,
    SlowDown,
    StoreError,
)
from bleepstore.interfaces.http import Header

SERVER: Final = b"BleepStore"

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The answer to ``Expect: 100-continue``.

It may be left out where there is no body (RFC 9110, section 10.1.1), but version 1 of the AWS CLI
then misreads the next response on the connection, and waits a minute for its end.
"""

CLOSE: Final = b"\r\nConnection: close"
KEEP: Final = b"\r\nConnection: keep-alive"

BODILESS: Final = frozenset((204, 304))
"""Final statuses that never have content (RFC 9110, sections 15.3.5 and 15.4.5)."""

_STATUS_LINE: Final = {
    status.value: b"HTTP/1.1 %d %b\r\nServer: %b\r\nDate: "
    % (status.value, status.phrase.encode("ascii"), SERVER)
    for status in HTTPStatus
}

_LENGTH: Final = b"\r\ncontent-length: "

_UNSAFE: Final = bytes.maketrans(b"\r\n\0", b"   ")


def status_line(status: int) -> bytes:
    """The status line and the Server field, up to the value of Date."""
    line = _STATUS_LINE.get(status)
    if line is None:
        return b"HTTP/1.1 %d Unknown\r\nServer: %b\r\nDate: " % (status, SERVER)
    return line


def date_bytes(now: float) -> bytes:
    """A moment (seconds since the epoch) as IMF-fixdate (RFC 9110, section 5.6.7)."""
    return formatdate(int(now), usegmt=True).encode("ascii")


def field_lines(headers: Sequence[Header]) -> bytes:
    """The field lines, each *preceded* by CRLF.

    A CR, LF or NUL in a name or value, which would end the head or begin another field, becomes
    a space (RFC 9110, section 5.5).
    """
    if not headers:
        return b""
    block = b"\r\n" + b"\r\n".join(map(b": ".join, headers))
    count = len(headers)
    if block.count(b"\n") != count or block.count(b"\r") != count or 0 in block:
        clean = [(name.translate(_UNSAFE), value.translate(_UNSAFE)) for name, value in headers]
        return b"\r\n" + b"\r\n".join(map(b": ".join, clean))
    return block


def announced_length(lines: bytes) -> int:
    """The value of Content-Length among field lines, as :func:`field_lines` gives them; -1 if it is
    not there."""
    at = lines.lower().find(_LENGTH)
    if at < 0:
        return -1
    value, _, _ = lines[at + len(_LENGTH) :].partition(b"\r\n")
    return int(value)


def last_response(status: int, date: bytes, fields: bytes, body: bytes) -> bytes:
    """A whole response, after which the connection is closed.

    :param fields: as :func:`field_lines` gives them.
    """
    length = b"\r\nContent-Length: %d" % len(body)
    return b"".join((status_line(status), date, fields, length, CLOSE, b"\r\n\r\n", body))


_PLAIN_STATUS: Final = {
    BadRequest: 400,
    InvalidURI: 400,
    RequestTimeout: 408,
    RequestHeaderSectionTooLarge: 431,
    InternalError: 500,
    NotImplemented: 501,
    SlowDown: 503,
    ServiceUnavailable: 503,
}


def plain_refusal(error: StoreError) -> tuple[int, Sequence[Header], bytes]:
    """The refusal of a server that has no better: the error's code and message as text."""
    body = f"{error.code}: {error.message}\n".encode()
    return (
        _PLAIN_STATUS.get(type(error), 400),
        [(b"Content-Type", b"text/plain; charset=utf-8")],
        body,
    )
