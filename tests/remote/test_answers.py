"""Answers from bytes, whole, byte by byte, and cut anywhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bleepstore.remote.answers import (
    MOST_BETWEEN,
    MOST_OF_A_HEAD,
    AnswerReader,
    MalformedAnswer,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(text: bytes, sizes: Iterator[int], to_head: bool = False) -> tuple[AnswerReader, bytes]:
    """Feed an answer in pieces; what is left once it is complete is a surplus."""
    reader = AnswerReader(to_head)
    body = b""
    while text and not reader.complete:
        size = next(sizes)
        body += reader.receive(text[:size])
        text = text[size:]
    reader.surplus = reader.surplus or text != b""
    return reader, body


def forever(size: int) -> Iterator[int]:
    while True:
        yield size


def until_refused(reader: AnswerReader, piece: bytes) -> int:
    """How many bytes are taken of something that does not end."""
    taken = 0
    while True:
        try:
            reader.receive(piece)
        except MalformedAnswer:
            return taken
        taken += len(piece)


WHOLE = [
    (OK + b"Content-Length: 3\r\n\r\nabc", 200, b"abc"),
    (OK + b"content-length:0\r\n\r\n", 200, b""),
    (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", 200, b"a"),
    (b"HTTP/1.1 404 Not Found, \xc3\xa9\r\nContent-Length: 2\r\n\r\nno", 404, b"no"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, b""),
    (CHUNKED + b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n", 200, b"abcde"),
    (CHUNKED + b"0\r\n\r\n", 200, b""),
    (CHUNKED + b"A\r\n0123456789\r\n0\r\nX-Trailer: x\r\n\r\n", 200, b"0123456789"),
    (OK + b"transfer-encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 200, b"a"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na", 200, b"a"),
    (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
        + OK
        + b"Content-Length: 1\r\n\r\na",
        200,
        b"a",
    ),
]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(("text", "status", "body"), WHOLE)
def test_whole_answers(text: bytes, status: int, body: bytes, size: int) -> None:
    reader, given_out = read(text, forever(size))
    assert reader.head is not None
    assert (reader.head.status, given_out) == (status, body)
    assert reader.complete
    assert reader.persistent


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(("text", "status", "body"), WHOLE)
def test_what_follows_an_answer_is_none_of_it(
    text: bytes, status: int, body: bytes, size: int
) -> None:
    reader, given_out = read(text + b"HTTP/1.1 200 OK\r\n\r\n", forever(size))
    assert given_out == body
    assert reader.complete
    assert reader.surplus
    assert not reader.persistent


@pytest.mark.parametrize(
    "headers", [b"Content-Length: 5\r\n", b"", b"Transfer-Encoding: chunked\r\n"]
)
def test_an_answer_to_head_ends_with_its_head(headers: bytes) -> None:
    reader, body = read(OK + headers + b"\r\n", forever(3), to_head=True)
    assert body == b""
    assert reader.persistent


def test_headers_of_one_name_are_joined_and_blanks_around_values_dropped() -> None:
    reader, _ = read(
        OK + b'ETag:\t"a" \t\r\nX-Two: a\r\nx-two:b\r\nX-None:\r\nContent-Length: 0\r\n\r\n',
        forever(1),
    )
    assert reader.head is not None
    assert reader.head.fields == {
        b"etag": b'"a"',
        b"x-two": b"a, b",
        b"x-none": b"",
        b"content-length": b"0",
    }


@pytest.mark.parametrize(
    ("text", "goes_on"),
    [
        (OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n", False),
        (OK + b"connection: Keep-Alive , CLOSE\r\nContent-Length: 0\r\n\r\n", False),
        (OK + b"Connection: keep-alive\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
def test_whether_the_connection_goes_on(text: bytes, goes_on: bool) -> None:
    reader, _ = read(text, forever(1000))
    assert reader.complete
    assert reader.persistent is goes_on


def test_an_answer_that_ends_with_the_connection_is_never_complete() -> None:
    reader, body = read(OK + b"\r\nabc", forever(1))
    assert body == b"abc"
    assert not reader.complete


@pytest.mark.parametrize(
    "text",
    [
        # where it ends is not certain
        OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
        OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
        OK + b"Content-Length: 3, 3\r\n\r\n",
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Content-Length: +3\r\n\r\n",
        OK + b"Content-Length: -3\r\n\r\n",
        OK + b"Content-Length: 0x3\r\n\r\n",
        OK + b"Content-Length:\r\n\r\n",
        OK + b"Content-Length: 99999999999999999999\r\n\r\n",
        OK + b"Content-Length : 3\r\n\r\n",
        OK + b"X: y\r\n Content-Length: 3\r\n\r\n",
        OK + b"X: y\nContent-Length: 3\r\n\r\n",
        OK + b"X: y\rContent-Length: 3\r\n\r\n",
        # it is no head
        b"\r\n\r\n",
        b"SMTP ready\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 1000 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"ICE/1.1 200 OK\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"X: \x00\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        # its chunks are none
        CHUNKED + b"zz\r\n",
        CHUNKED + b"3\r\nabcd\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"3 \nabc\r\n",
        CHUNKED + b"fffffffffffffffff\r\n",
        CHUNKED + b"0\r\nno colon\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_refused_answers(text: bytes, size: int) -> None:
    with pytest.raises(MalformedAnswer):
        read(text, forever(size))


@pytest.mark.parametrize(
    "piece", [b"X: " + b"y" * 1000, b"X: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
def test_a_head_is_bounded_and_interim_ones_with_it(piece: bytes) -> None:
    reader = AnswerReader(False)
    if not piece.startswith(b"HTTP"):
        reader.receive(OK)
    assert until_refused(reader, piece) <= MOST_OF_A_HEAD


@pytest.mark.parametrize(
    ("before", "piece"),
    [
        (b"0\r\n", b"X: y\r\n"),
        (b"0\r\nX: ", b"y" * 1000),
        (b"3;", b"ext" * 100),
        (b"0;", b"0" * 99),
    ],
)
def test_what_chunks_say_beside_the_body_is_bounded(before: bytes, piece: bytes) -> None:
    reader = AnswerReader(False)
    reader.receive(CHUNKED + before)
    assert until_refused(reader, piece) <= MOST_BETWEEN + len(piece)


def test_many_small_chunks_are_no_excess() -> None:
    reader = AnswerReader(False)
    reader.receive(CHUNKED)
    for _ in range(MOST_BETWEEN // 3):
        assert reader.receive(b"1\r\nx\r\n") == b"x"
    reader.receive(b"0\r\n\r\n")
    assert reader.persistent


FRAGMENTS = st.sampled_from(
    [
        OK, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 404 No\r\n", b"HTTP/1.1 204 No\r\n",
        b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
        b"Upgrade: x\r\n", b"X: y\r\n", b"\r\n", b"\r", b"\n", b"hello", b"5\r\nhello\r\n",
        b"0\r\n\r\n", b"0\r\n", b" ", b"\x00", b"\xff",
    ]
)  # fmt: skip
TEXTS = st.one_of(
    st.binary(max_size=100), st.lists(st.one_of(FRAGMENTS, st.binary(max_size=5))).map(b"".join)
)
CUTS = st.lists(st.integers(1, 20), min_size=1)


def outcome(text: bytes, sizes: Iterator[int], to_head: bool) -> object:
    """What an answer is, or that it is none."""
    try:
        reader, body = read(text, sizes, to_head)
    except MalformedAnswer:
        return None
    head = reader.head
    described = head and (head.status, head.minor, head.fields, head.length, head.keep_alive)
    return described, body, reader.complete


@given(TEXTS, CUTS, st.booleans())
@example(OK + b"\r\n", [1], False)
@example(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n\r\n", [1], False)
def test_any_bytes_in_any_cuts_are_the_same_answer_or_none(
    text: bytes, cuts: list[int], to_head: bool
) -> None:
    def again() -> Iterator[int]:
        while True:
            yield from cuts

    assert outcome(text, again(), to_head) == outcome(text, forever(1 + len(text)), to_head)
