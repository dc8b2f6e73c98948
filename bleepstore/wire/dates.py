"""Dates of HTTP and XML.  Times are milliseconds since the epoch in UTC."""

from __future__ import annotations


def http_date(milliseconds: int) -> bytes:
    """IMF-fixdate (RFC 9110, 5.6.7): ``Sun, 06 Nov 1994 08:49:37 GMT``."""
    ...


def parse_http_date(value: bytes) -> int | None:
    """The time of an HTTP date in any of RFC 9110's three formats; None if it is none."""
    ...


def iso_date(milliseconds: int) -> str:
    """``2006-02-03T16:45:09.000Z``, as S3's XML has it."""
    ...


def parse_iso_date(value: str) -> int | None:
    """The time of an ISO 8601 date-time with a zone; None if it is none."""
    ...
