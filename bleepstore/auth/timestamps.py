"""The dates of signed requests: ISO 8601 basic form, HTTP dates, and ISO 8601 for error bodies.

Times are integers, milliseconds since the epoch in UTC.  Knows no clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND

AMZ_DATE_LENGTH = len("20130524T000000Z")


@lru_cache(maxsize=512)  # requests of one second share one date
def parse_amz_date(value: bytes) -> int | None:
    """The time of ``YYYYMMDD'T'HHMMSS'Z'``, or None if it is anything else."""
    if len(value) != AMZ_DATE_LENGTH or value[8] != 0x54 or value[15] != 0x5A:  # T, Z
        return None
    day, clock = value[:8], value[9:15]
    if not (day.isdigit() and clock.isdigit()):
        return None
    try:
        moment = datetime(
            int(day[:4]),
            int(day[4:6]),
            int(day[6:]),
            int(clock[:2]),
            int(clock[2:4]),
            int(clock[4:]),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return _milliseconds(moment)


def parse_date_header(value: bytes) -> int | None:
    """The time of a ``Date`` header, or None if it is malformed.

    "The value can be in HTTP date format or in ISO 8601 basic form" (API Reference, Common
    Request Headers; RFC 9110 section 5.6.7).
    """
    iso = parse_amz_date(value)
    if iso is not None:
        return iso
    if len(value) > 64:
        return None
    try:
        moment = parsedate_to_datetime(value.decode("ascii"))
        if moment.tzinfo is None:  # "-0000": a UTC time without a zone of its own
            moment = moment.replace(tzinfo=UTC)
        return _milliseconds(moment)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def amz_date(time: int) -> bytes:
    """A time in the form that is signed: ``20130524T000000Z``.

    :raises OverflowError: it lies outside the years 1 to 9999.
    """
    return _amz_date(time // 1000)


@lru_cache(maxsize=16)  # requests of one second share one date
def _amz_date(seconds: int) -> bytes:
    return _moment(seconds * 1000).strftime("%Y%m%dT%H%M%SZ").rjust(AMZ_DATE_LENGTH, "0").encode()


def iso_date(time: int) -> str:
    """A time as error bodies show it: ``2013-05-24T00:00:00Z``; never beyond the year 9999."""
    return _moment(min(time, _LAST)).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _moment(time: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=time)


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
