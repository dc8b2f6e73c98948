"""Dates of HTTP and XML.  Times are milliseconds since the epoch in UTC.

Formatting splits a time into a day, whose text is remembered, and seconds of the day: no call
into the C library, no locale, and under a microsecond.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_IMF_FIXDATE = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT"
)
_RFC_850 = re.compile(
    rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, "
    rb"(\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d) GMT"
)
_ASCTIME = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})"
)
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):?(\d\d))",
    re.ASCII,
)


@lru_cache(maxsize=512)
def _http_day(day: int) -> str:
    date = _EPOCH + timedelta(days=day)
    return f"{_WEEKDAYS[date.weekday()]}, {date.day:02} {_MONTHS[date.month - 1]} {date.year:04}"


@lru_cache(maxsize=4096)
def _iso_day(day: int) -> str:
    return f"{_EPOCH + timedelta(days=day):%Y-%m-%d}".rjust(10, "0")


@lru_cache(maxsize=1024)
def _http_second(seconds: int) -> bytes:
    day, second = divmod(seconds, _DAY)
    minute, second = divmod(second, 60)
    return b"%s %02d:%02d:%02d GMT" % (_http_day(day).encode(), minute // 60, minute % 60, second)


def http_date(milliseconds: int) -> bytes:
    """IMF-fixdate (RFC 9110, 5.6.7): ``Sun, 06 Nov 1994 08:49:37 GMT``.

    :param milliseconds: from the year 1 to 9999.
    """
    return _http_second(milliseconds // 1000)


def iso_date(milliseconds: int) -> str:
    """``2006-02-03T16:45:09.000Z``, as S3's XML has it: in whole seconds, so that what a listing
    says of an object is what its Last-Modified header says.

    :param milliseconds: from the year 1 to 9999.
    """
    day, second = divmod(milliseconds // 1000, _DAY)
    minute, second = divmod(second, 60)
    return f"{_iso_day(day)}T{minute // 60:02}:{minute % 60:02}:{second:02}.000Z"


def parse_http_date(value: bytes) -> int | None:
    """The time of an HTTP date in any of RFC 9110's three formats; None if it is none."""
    if match := _IMF_FIXDATE.fullmatch(value):
        day, month, year, hour, minute, second = match.groups()
    elif match := _RFC_850.fullmatch(value):
        day, month, year, hour, minute, second = match.groups()
        # RFC 9110, 5.6.7 wants the century nearest to now; there is no clock here, so the pivot
        # of POSIX stands in: 69 is 1969, 68 is 2068.
        year = (b"19" if year >= b"69" else b"20") + year
    elif match := _ASCTIME.fullmatch(value):
        month, day, hour, minute, second, year = match.groups()
    else:
        return None
    name = month.decode()
    if name not in _MONTHS:
        return None
    return _milliseconds(
        int(year), _MONTHS.index(name) + 1, int(day), int(hour), int(minute), int(second)
    )


def parse_iso_date(value: str) -> int | None:
    """The time of an ISO 8601 date-time with a zone; None if it is none."""
    match = _ISO.fullmatch(value)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = (
        match.groups()
    )
    time = _milliseconds(int(year), int(month), int(day), int(hour), int(minute), int(second))
    if time is None:
        return None
    if fraction:
        time += int(fraction[:3].ljust(3, "0"))
    if sign:
        offset = (int(zone_hours) * 60 + int(zone_minutes)) * 60_000
        time += -offset if sign == "+" else offset
    return time if -(10**15) < time <= _LAST else None


def _milliseconds(
    year: int, month: int, day: int, hour: int, minute: int, second: int
) -> int | None:
    """None if there is no such time; a leap second counts as the second before it."""
    try:
        time = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    if second > 60:
        return None
    return (time - _EPOCH) // timedelta(milliseconds=1)
