"""Ranges are decided as RFC 9110 and S3 say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore import errors
from bleepstore.wire.ranges import (
    if_range_holds,
    parse_copy_range,
    require_copy_range,
    select_range,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"bytes=0-0", (0, 1)),
        (b"bytes=0-9", (0, 10)),
        (b"bytes=0-99", (0, 10)),
        (b"bytes=3-5", (3, 3)),
        (b"bytes=9-", (9, 1)),
        (b"bytes=0-", (0, 10)),
        (b"bytes=-1", (9, 1)),
        (b"bytes=-10", (0, 10)),
        (b"bytes=-99", (0, 10)),
        (b"bytes= 3-5 ", (3, 3)),
        (b"BYTES=3-5", (3, 3)),
        (b"bytes=3-9999999999999999999", (3, 7)),
        (b"bytes=8-18446744073709551616", (8, 2)),
        (b"bytes=-99999999999999999999", (0, 10)),
        (b"bytes=00000000000000000000000000000001-", (1, 9)),
    ],
)
def test_one_range_is_served(value: bytes, expected: tuple[int, int]) -> None:
    assert select_range(value, 10) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"", b"bytes", b"bytes=", b"bytes=-", b"bytes=5-3", b"bytes=0-1,3-4", b"items=0-1",
        b"bytes=a-b", b"bytes 0-1", b"bytes=+1-2", b"bytes=0-1;", b"bytes=1-2-3",
        b"bytes=" + b"0" * 100 + b"-",
    ],
)  # fmt: skip
def test_what_is_no_single_valid_range_is_ignored(value: bytes) -> None:
    assert select_range(value, 10) is None


@pytest.mark.parametrize(
    ("value", "size"),
    [(b"bytes=10-", 10), (b"bytes=10-20", 10), (b"bytes=-0", 10), (b"bytes=0-", 0),
     (b"bytes=-5", 0), (b"bytes=99999999999999999999-", 10)],
)  # fmt: skip
def test_an_unsatisfiable_range_says_how_long_the_object_is(value: bytes, size: int) -> None:
    with pytest.raises(errors.InvalidRange) as caught:
        select_range(value, size)
    assert caught.value.details == {
        "RangeRequested": value.decode(),
        "ActualObjectSize": str(size),
    }


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 20))
def test_a_range_is_the_slice_it_names(first: int, last: int, size: int) -> None:
    data = bytes(range(size))
    try:
        found = select_range(b"bytes=%d-%d" % (first, last), size)
    except errors.InvalidRange:
        assert data[first : last + 1] == b""
        return
    if found is None:
        assert last < first
    else:
        offset, length = found
        assert length > 0
        assert data[offset : offset + length] == data[first : last + 1]


@given(st.binary(), st.integers(0, 10))
def test_only_refusals_come_out(value: bytes, size: int) -> None:
    for wild in (value, b"bytes=" + value):
        try:
            found = select_range(wild, size)
        except errors.InvalidRange:
            continue
        assert found is None or (found[0] >= 0 and 0 < found[1] <= size - found[0])


def test_if_range_compares_strongly() -> None:
    time = 784_111_777_123
    assert if_range_holds(b'"abc"', "abc", time)
    assert if_range_holds(b"abc", "abc", time)
    assert not if_range_holds(b'"abd"', "abc", time)
    assert not if_range_holds(b'W/"abc"', "abc", time)
    assert if_range_holds(b"Sun, 06 Nov 1994 08:49:37 GMT", "abc", time)
    assert not if_range_holds(b"Sun, 06 Nov 1994 08:49:38 GMT", "abc", time)
    assert not if_range_holds(b"", "abc", time)


@pytest.mark.parametrize(
    "value", [b"", b"bytes=1-", b"bytes=-1", b"bytes=2-1", b"1-2", b"bytes=1-2,3-4", b"bytes=a-1"]
)
def test_a_copy_range_must_be_explicit(value: bytes) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        parse_copy_range(value)
    assert caught.value.details["ArgumentName"] == "x-amz-copy-source-range"


def test_a_copy_range_must_lie_within_the_source() -> None:
    assert parse_copy_range(b"bytes=2-5") == (2, 5)
    assert parse_copy_range(b"bytes=2-2") == (2, 2)
    assert require_copy_range(2, 5, 6) == (2, 4)
    with pytest.raises(errors.InvalidArgument, match="source object of size: 5"):
        require_copy_range(2, 5, 5)
