"""Preconditions are read as S3 accepts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore import errors
from bleepstore.model.conditions import ReadConditions, WriteConditions
from bleepstore.wire.conditions import (
    copy_source_conditions,
    delete_condition,
    etag_list,
    read_conditions,
    write_conditions,
)

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
TIME = 784_111_777_000
VALUE = "We don't accept the provided value of"


@pytest.mark.parametrize(
    ("value", "etags"),
    [
        (b'"a"', ("a",)),
        (b"a", ("a",)),
        (b'W/"a"', ("a",)),
        (b'"a", "b"', ("a", "b")),
        (b'"a",b , W/"c"', ("a", "b", "c")),
        (b'"a,b"', ("a,b",)),
        (b'""', ("",)),
        (b"*", ("*",)),
        (b" * ", ("*",)),
        (b"", ()),
        (b",,", ()),
    ],
)
def test_etags_lose_quotes_and_weakness(value: bytes, etags: tuple[str, ...]) -> None:
    assert etag_list(value) == etags


def test_the_four_conditions_of_a_read() -> None:
    assert read_conditions({b"host": b"a"}) is None
    assert read_conditions(
        {
            b"if-match": b'"a"',
            b"if-none-match": b"*",
            b"if-modified-since": DATE,
            b"if-unmodified-since": DATE,
        }
    ) == ReadConditions(("a",), ("*",), TIME, TIME)


def test_an_invalid_date_is_ignored() -> None:
    assert read_conditions({b"if-modified-since": b"yesterday"}) == ReadConditions()


def test_the_conditions_of_a_copy_source_are_apart_from_the_others() -> None:
    headers = {b"x-amz-copy-source-if-none-match": b"a", b"if-match": b"b"}
    assert copy_source_conditions(headers) == ReadConditions(if_none_match=("a",))
    assert copy_source_conditions({b"if-match": b"b"}) is None
    assert read_conditions({b"x-amz-copy-source-if-match": b"b"}) is None


def test_write_conditions() -> None:
    assert write_conditions({}) is None
    assert write_conditions({b"if-none-match": b"*"}) == WriteConditions(if_none_match=True)
    assert write_conditions({b"if-match": b'"a"'}) == WriteConditions(if_match="a")
    assert write_conditions({b"if-match": b"*"}) == WriteConditions(if_match="*")


@pytest.mark.parametrize(
    ("headers", "name", "more"),
    [
        ({b"if-none-match": b'"a"'}, "If-None-Match", VALUE),
        ({b"if-none-match": b""}, "If-None-Match", VALUE),
        ({b"if-none-match": b"*", b"if-match": b"a"}, "If-Match,If-None-Match", "Multiple"),
        ({b"if-none-match": b"a", b"if-match": b""}, "If-Match,If-None-Match", "Multiple"),
        ({b"if-match": b"a, b"}, "If-Match", VALUE),
        ({b"if-match": b""}, "If-Match", VALUE),
        ({b"if-modified-since": DATE}, "If-Modified-Since", ""),
        ({b"if-match": b"a", b"if-unmodified-since": b"yesterday"}, "If-Unmodified-Since", ""),
    ],
)
def test_write_conditions_that_s3_does_not_have(
    headers: dict[bytes, bytes], name: str, more: str
) -> None:
    with pytest.raises(errors.NotImplemented) as caught:
        write_conditions(headers)
    assert caught.value.details["Header"] == name
    assert caught.value.details.get("additionalMessage", "").startswith(more)
    assert ("additionalMessage" in caught.value.details) is bool(more)


def test_a_delete_takes_one_etag() -> None:
    assert delete_condition({}) is None
    assert delete_condition({b"if-match": b'"a"'}) == "a"
    with pytest.raises(errors.NotImplemented) as caught:
        delete_condition({b"if-match": b'"a", "b"'})
    assert caught.value.details == {
        "Header": "If-Match",
        "additionalMessage": "We don't accept the provided value of If-Match header for this API",
    }


@pytest.mark.parametrize("name", ["If-None-Match", "If-Modified-Since", "If-Unmodified-Since"])
def test_a_delete_passes_over_no_condition(name: str) -> None:
    with pytest.raises(errors.NotImplemented) as caught:
        delete_condition({name.lower().encode(): b"*", b"if-match": b"a"})
    assert caught.value.details == {"Header": name}


@given(st.binary())
def test_any_bytes_are_a_condition_or_refused(value: bytes) -> None:
    read_conditions({b"if-match": value, b"if-modified-since": value})
    try:
        write_conditions({b"if-match": value})
        write_conditions({b"if-none-match": value})
    except errors.NotImplemented:
        return


@pytest.mark.parametrize("value", [b"," * 60_000, b'"' * 60_001, b"W/" * 30_000, b" " * 60_000])
def test_long_conditions_take_linear_time(value: bytes) -> None:
    assert len(etag_list(value)) <= 60_000
