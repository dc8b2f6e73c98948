"""The chunked transfer coding, whole, byte by byte and at any split."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore.errors import BadRequest
from bleepstore.http.chunked import MAX_EXTENSIONS, MAX_LINE, MAX_TRAILER, ChunkedDecoder

CODED = (
    b'4\r\nWiki\r\n6;a=b;c="d e"\r\npedia \r\nD \t;x\r\nin \r\n\r\nchunks\r\n'
    b"000\r\nExpires: never\r\n\r\n"
)
PLAIN = b"Wikipedia in \r\n\r\nchunks"


def decode(pieces: list[bytes]) -> tuple[bytes, bytes, bool]:
    decoder = ChunkedDecoder()
    data = rest = b""
    for piece in pieces:
        if decoder.ended:
            rest += piece
        else:
            chunk, behind = decoder.feed(piece)
            data += chunk
            rest += behind
    return data, rest, decoder.ended


def test_whole_and_what_is_behind_it() -> None:
    assert decode([CODED + b"GET /"]) == (PLAIN, b"GET /", True)


def test_byte_by_byte() -> None:
    assert decode([bytes((byte,)) for byte in CODED + b"GET"]) == (PLAIN, b"GET", True)


@given(st.lists(st.integers(0, len(CODED) + 3)))
def test_at_any_split(cuts: list[int]) -> None:
    whole = CODED + b"GET"
    edges = [0, *sorted(cuts), len(whole)]
    assert decode([whole[a:b] for a, b in pairwise(edges)]) == (
        PLAIN,
        b"GET",
        True,
    )


@given(st.lists(st.binary(min_size=1, max_size=50)), st.data())
def test_round_trip(chunks: list[bytes], data: st.DataObject) -> None:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    cut = data.draw(st.integers(0, len(coded)))
    assert decode([coded[:cut], coded[cut:]]) == (b"".join(chunks), b"", True)


def test_data_that_fills_a_read_is_not_copied() -> None:
    decoder = ChunkedDecoder()
    decoder.feed(b"ffff\r\n")
    piece = bytes(1000)
    assert decoder.feed(piece)[0] is piece


@pytest.mark.parametrize(
    "coded",
    [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b" 1\r\n",
        b"1 \r\n",
        b"1_0\r\n",
        b"1" * 16 + b"\r\n",
        b"1\n",
        b"1\ra\n",
        b"1;a\0\r\n",
        b"1;a\rb\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"1\r\na\r0\r\n\r\n",
        b"1\r\naxxxx",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n folded: x\r\n\r\n",
        b"0\r\na: \0\r\n\r\n",
        b"0\r\n\n",
        b"1;" + b"a" * MAX_LINE + b"\r\n",
        b"1" + b"a" * (MAX_LINE + 1),
        b"1;aaaaaa\r\na\r\n" * (MAX_EXTENSIONS // 7 + 1),
        b"0\r\n" + b"a: b\r\n" * (MAX_TRAILER // 6 + 1),
    ],
)
def test_malformed_coding_is_refused_whole_and_byte_by_byte(coded: bytes) -> None:
    with pytest.raises(BadRequest):
        decode([coded])
    with pytest.raises(BadRequest):
        decode([bytes((byte,)) for byte in coded])


@given(
    st.lists(st.sampled_from([b"0", b"1", b"a", b";", b"\r\n", b"\n", b"\r", b"\xff", b":", b" "]))
)
def test_no_bytes_do_more_than_be_refused(words: list[bytes]) -> None:
    whole = b"".join(words)
    try:
        expected = decode([whole])
    except BadRequest:
        with pytest.raises(BadRequest):
            decode([bytes((byte,)) for byte in whole])
    else:
        assert decode([bytes((byte,)) for byte in whole]) == expected
