"""Dates of RFC 9110 and ISO 8601, there and back."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore.wire.dates import http_date, iso_date, parse_http_date, parse_iso_date

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))


def milliseconds(moment: datetime) -> int:
    delta = moment - EPOCH
    return delta.days * 86_400_000 + delta.seconds * 1000 + delta.microseconds // 1000


@given(MOMENTS)
def test_dates_agree_with_the_standard_library_and_come_back(moment: datetime) -> None:
    time = milliseconds(moment)
    assert http_date(time) == format_datetime(moment, usegmt=True).encode()
    expected = moment.isoformat(timespec="seconds").replace("+00:00", ".000Z")
    assert iso_date(time) == expected
    assert parse_http_date(http_date(time)) == time // 1000 * 1000
    assert parse_iso_date(iso_date(time)) == time // 1000 * 1000


@pytest.mark.parametrize(
    "value",
    [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
    ],
)
def test_the_three_formats_of_rfc_9110_are_read(value: bytes) -> None:
    assert parse_http_date(value) == 784_111_777_000


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"0",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"Sun, 06 Foo 1994 08:49:37 GMT",
        b"Sun, 31 Feb 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 24:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:61 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT ",
        b"1994-11-06T08:49:37Z",
    ],
)
def test_anything_else_is_no_http_date(value: bytes) -> None:
    assert parse_http_date(value) is None


def test_a_leap_second_counts_as_the_second_before() -> None:
    assert parse_http_date(b"Sat, 31 Dec 2016 23:59:60 GMT") == 1_483_228_799_000


def test_two_digit_years_are_read_around_1969() -> None:
    assert parse_http_date(b"Wednesday, 01-Jan-69 00:00:00 GMT") == -31_536_000_000
    assert iso_date(parse_http_date(b"Sunday, 01-Jan-68 00:00:00 GMT") or 0)[:4] == "2068"


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("1994-11-06T08:49:37Z", 784_111_777_000),
        ("1994-11-06T08:49:37.5Z", 784_111_777_500),
        ("1994-11-06T08:49:37.123456789Z", 784_111_777_123),
        ("1994-11-06T09:49:37+01:00", 784_111_777_000),
        ("1994-11-06T03:19:37-0530", 784_111_777_000),
        ("1994-11-06", None),
        ("1994-11-06T08:49:37", None),
        ("1994-13-06T08:49:37Z", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("١٩٩٤-11-06T08:49:37Z", None),
        ("", None),
    ],
)
def test_iso_dates_need_a_zone(value: str, time: int | None) -> None:
    assert parse_iso_date(value) == time


@given(st.binary())
def test_no_bytes_break_the_http_parser(value: bytes) -> None:
    assert parse_http_date(value) is None or value


@given(st.text())
def test_no_text_breaks_the_iso_parser(value: str) -> None:
    assert parse_iso_date(value) is None or value
