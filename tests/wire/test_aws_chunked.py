"""aws-chunked bodies: whole, byte by byte, at random splits, and every way they are malformed."""

from __future__ import annotations

import contextlib
import io
from hashlib import sha256
from itertools import pairwise

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from hypothesis import given, settings
from hypothesis import strategies as st

from bleepstore.errors import (
    IncompleteBody,
    InvalidArgument,
    InvalidRequest,
    MalformedTrailerError,
    MissingContentLength,
    StoreError,
)
from bleepstore.wire.aws_chunked import (
    MAX_CHUNK_SIZE,
    MAX_TRAILER_BYTES,
    MAX_TRAILERS,
    AwsChunkedDecoder,
    ChunkEnd,
    End,
    Trailers,
    parse_decoded_length,
    parse_trailer_names,
)

CHECKSUM = b"x-amz-checksum-crc32"
TRAILER = CHECKSUM + b":AAAAAA=="
TRAILER_SIGNATURE = b"x-amz-trailer-signature:" + b"f" * 64

Summary = list[bytes | ChunkEnd | Trailers | End]


def signature(data: bytes) -> bytes:
    """A signature that tells chunks apart; nobody checks it here."""
    return sha256(data).hexdigest().encode()


def signed_chunk(data: bytes) -> bytes:
    return b"%x;chunk-signature=%b\r\n%b\r\n" % (len(data), signature(data), data)


def unsigned_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def signed_body(*chunks: bytes) -> bytes:
    return b"".join([signed_chunk(data) for data in (*chunks, b"")])


def signed_trailer_body(*chunks: bytes, trailer: bytes = TRAILER + b"\r\n") -> bytes:
    chunked = signed_body(*chunks).removesuffix(b"\r\n")
    return chunked + trailer + TRAILER_SIGNATURE + b"\r\n\r\n"


def unsigned_trailer_body(*chunks: bytes, trailer: bytes = TRAILER + b"\r\n") -> bytes:
    return b"".join([unsigned_chunk(data) for data in chunks]) + b"0\r\n" + trailer + b"\r\n"


def signed(length: int) -> AwsChunkedDecoder:
    return AwsChunkedDecoder(length, signed=True, trailer=False)


def signed_trailer(length: int, *announced: bytes) -> AwsChunkedDecoder:
    names = frozenset(announced or (CHECKSUM,))
    return AwsChunkedDecoder(length, signed=True, trailer=True, announced=names)


def unsigned_trailer(length: int, *announced: bytes) -> AwsChunkedDecoder:
    names = frozenset(announced or (CHECKSUM,))
    return AwsChunkedDecoder(length, signed=False, trailer=True, announced=names)


def decoded(decoder: AwsChunkedDecoder, *feeds: bytes) -> Summary:
    """All events to the end, the pieces of a chunk's data joined."""
    summary: Summary = []
    pieces: list[bytes] = []
    for feed in feeds:
        for event in decoder.feed(feed):
            if isinstance(event, memoryview):
                assert event.nbytes
                pieces.append(bytes(event))
            else:
                if pieces:
                    summary.append(b"".join(pieces))
                    pieces.clear()
                summary.append(event)
    decoder.finish()
    assert not pieces
    return summary


FORMS = [
    pytest.param(
        signed,
        signed_body,
        [
            b"abc",
            ChunkEnd(3, signature(b"abc")),
            b"\r\n0",
            ChunkEnd(3, signature(b"\r\n0")),
            ChunkEnd(0, signature(b"")),
            End(),
        ],
        id="signed",
    ),
    pytest.param(
        signed_trailer,
        signed_trailer_body,
        [
            b"abc",
            ChunkEnd(3, signature(b"abc")),
            b"\r\n0",
            ChunkEnd(3, signature(b"\r\n0")),
            ChunkEnd(0, signature(b"")),
            Trailers(((CHECKSUM, b"AAAAAA=="),), b"f" * 64),
            End(),
        ],
        id="signed-trailer",
    ),
    pytest.param(
        unsigned_trailer,
        unsigned_trailer_body,
        [
            b"abc",
            ChunkEnd(3, b""),
            b"\r\n0",
            ChunkEnd(3, b""),
            ChunkEnd(0, b""),
            Trailers(((CHECKSUM, b"AAAAAA=="),), b""),
            End(),
        ],
        id="unsigned-trailer",
    ),
]


@pytest.mark.parametrize(("decoder", "encode", "expected"), FORMS)
class TestEveryForm:
    def test_whole(self, decoder, encode, expected) -> None:
        assert decoded(decoder(6), encode(b"abc", b"\r\n0")) == expected

    def test_byte_by_byte(self, decoder, encode, expected) -> None:
        body = encode(b"abc", b"\r\n0")
        assert decoded(decoder(6), *[body[at : at + 1] for at in range(len(body))]) == expected

    def test_in_two_at_every_place(self, decoder, encode, expected) -> None:
        body = encode(b"abc", b"\r\n0")
        for at in range(len(body) + 1):
            assert decoded(decoder(6), body[:at], body[at:]) == expected

    def test_an_empty_body(self, decoder, encode, expected) -> None:
        assert decoded(decoder(0), encode()) == expected[4:]

    def test_an_end_that_is_missing(self, decoder, encode, expected) -> None:
        body = encode(b"abc", b"def")
        for at in range(len(body)):
            unfinished = decoder(6)
            unfinished.feed(body[:at])
            assert not unfinished.ended
            with pytest.raises(IncompleteBody):
                unfinished.finish()

    def test_data_after_the_end(self, decoder, encode, expected) -> None:
        body = encode(b"abc", b"def")
        with pytest.raises(InvalidRequest):
            decoder(6).feed(body + b"\r")
        ended = decoder(6)
        ended.feed(body)
        assert ended.ended
        ended.feed(b"")
        with pytest.raises(InvalidRequest):
            ended.feed(b"0")

    @pytest.mark.parametrize("length", [0, 2, 3, 5, 7, 1000])
    def test_another_length_than_was_announced(self, decoder, encode, expected, length) -> None:
        with pytest.raises(IncompleteBody):
            decoded(decoder(length), encode(b"abc", b"def"))

    def test_a_chunk_that_is_too_long_is_refused_before_its_data(
        self, decoder, encode, expected
    ) -> None:
        line = encode(b"a" * 16).partition(b"\r\n")[0] + b"\r\n"
        with pytest.raises(IncompleteBody):
            decoder(15).feed(line)
        huge = line.replace(b"10", b"%x" % (MAX_CHUNK_SIZE + 1), 1)
        with pytest.raises(InvalidRequest):
            decoder(MAX_CHUNK_SIZE * 2).feed(huge)
        largest = line.replace(b"10", b"%x" % MAX_CHUNK_SIZE, 1)
        assert decoder(MAX_CHUNK_SIZE).feed(largest) == []

    @pytest.mark.parametrize(
        "size",
        [b"", b"g", b"-3", b"+3", b" 3", b"3 ", b"0x3", b"0_3", b"3;x=y", b"0" * 17, b"\xff"],
    )
    def test_a_size_that_is_not_hexadecimal(self, decoder, encode, expected, size) -> None:
        body = size + encode(b"abc")[1:]
        with pytest.raises(InvalidRequest):
            decoder(3).feed(body)

    def test_a_size_may_have_capital_digits_and_leading_zeros(
        self, decoder, encode, expected
    ) -> None:
        data = b"a" * 171
        body = encode(data).replace(b"ab", b"00000000000000AB", 1)
        assert decoded(decoder(171), body)[0] == data

    @pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\r\n", b"x\r\n", b"\n\r\n"])
    def test_data_that_does_not_end_with_crlf(self, decoder, encode, expected, end) -> None:
        body = encode(b"abc").replace(b"abc\r\n", b"abc" + end, 1)
        with pytest.raises(InvalidRequest):
            decoder(3).feed(body)

    def test_a_chunk_line_that_does_not_end_with_crlf(self, decoder, encode, expected) -> None:
        for end in (b"\n", b"0\n"):
            with pytest.raises(InvalidRequest):
                decoder(3).feed(encode(b"abc").replace(b"\r\n", end, 1))

    def test_a_line_without_end_is_refused_soon(self, decoder, encode, expected) -> None:
        for size in (1, 7, 200):
            endless = decoder(3)
            with pytest.raises(InvalidRequest):
                decoded(endless, *[b"0" * size] * (200 // size + 1))

    def test_data_is_not_copied(self, decoder, encode, expected) -> None:
        body = encode(b"a" * 100_000)
        views = [event for event in decoder(100_000).feed(body) if isinstance(event, memoryview)]
        assert len(views) == 1
        assert views[0].obj is body


# Drawn, not parametrized: pytest-twisted wraps a hypothesis test anew for every parameter.
forms = st.sampled_from([form.values for form in FORMS])


@settings(max_examples=200)
@given(st.data())
def test_at_random_splits(data: st.DataObject) -> None:
    decoder, encode, _ = data.draw(forms)
    chunks = data.draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    body = encode(*chunks)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    feeds = [body[a:b] for a, b in pairwise([0, *cuts, len(body)])]
    length = sum(map(len, chunks))
    assert decoded(decoder(length), *feeds) == decoded(decoder(length), body)
    found = decoded(decoder(length), body)
    assert [piece for piece in found if isinstance(piece, bytes)] == chunks


@settings(max_examples=200)
@given(st.data())
def test_anything_gives_events_or_a_store_error(data: st.DataObject) -> None:
    decoder, encode, _ = data.draw(forms)
    body = encode(b"abc", b"def")
    at = data.draw(st.integers(0, len(body)))
    cut = data.draw(st.integers(0, 4))
    changed = body[:at] + data.draw(st.binary(max_size=4)) + body[at + cut :]
    arbitrary = data.draw(st.one_of(st.just(changed), st.binary(max_size=200)))
    split = data.draw(st.integers(0, len(arbitrary)))
    outcomes = []
    for feeds in ((arbitrary,), (arbitrary[:split], arbitrary[split:])):
        try:
            outcomes.append(decoded(decoder(6), *feeds))
        except StoreError as error:
            outcomes.append(error.code)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    "line",
    [
        b"3\r\n",
        b"3;chunk-signature=\r\n",
        b"3;chunk-signature=" + b"0" * 63 + b"\r\n",
        b"3;chunk-signature=" + b"0" * 65 + b"\r\n",
        b"3;chunk-signature=" + b"z" * 64 + b"\r\n",
        b"3;signature=" + b"0" * 64 + b"\r\n",
        b"3;chunk-signature=" + b"0" * 64 + b";a=b\r\n",
    ],
)
@pytest.mark.parametrize("decoder", [signed, signed_trailer])
def test_a_signed_chunk_needs_a_signature(decoder, line) -> None:
    with pytest.raises(InvalidRequest):
        decoder(3).feed(line + b"abc\r\n")


def test_an_unsigned_chunk_has_no_signature() -> None:
    with pytest.raises(InvalidRequest):
        unsigned_trailer(3).feed(signed_chunk(b"abc"))


def test_a_body_without_trailer_ends_with_an_empty_line() -> None:
    body = signed_body(b"abc").removesuffix(b"\r\n")
    with pytest.raises(InvalidRequest):
        signed(3).feed(body + TRAILER + b"\r\n\r\n")


@pytest.mark.parametrize(("decoder", "encode"), [form.values[:2] for form in FORMS[1:]])
class TestTrailers:
    def test_names_are_lowered_and_values_trimmed(self, decoder, encode) -> None:
        body = encode(trailer=b"X-AMZ-Checksum-CRC32: \t AA:= \r\n")
        assert decoded(decoder(0), body)[1].items == ((CHECKSUM, b"AA:="),)

    def test_they_keep_their_order(self, decoder, encode) -> None:
        body = encode(trailer=b"b:1\r\na:2\r\n")
        assert decoded(decoder(0, b"a", b"b"), body)[1].items == ((b"b", b"1"), (b"a", b"2"))

    def test_a_line_may_end_with_lf_crlf_as_the_api_reference_shows_it(
        self, decoder, encode
    ) -> None:
        body = encode(trailer=TRAILER + b"\n\r\n")
        assert decoded(decoder(0), body)[1].items == ((CHECKSUM, b"AAAAAA=="),)
        several = encode(trailer=b"a:1\nb:2\n\r\n")
        assert decoded(decoder(0, b"a", b"b"), several)[1].items == ((b"a", b"1"), (b"b", b"2"))
        single = [body[at : at + 1] for at in range(len(body))]
        assert decoded(decoder(0), *single)[1].items == ((CHECKSUM, b"AAAAAA=="),)

    @pytest.mark.parametrize(
        "trailer",
        [
            b"",
            b"\r\n",
            b"x-other:1\r\n",
            TRAILER + b"\r\nx-other:1\r\n",
            TRAILER + b"\r\n" + TRAILER + b"\r\n",
            b"x-amz-checksum-crc32\r\n",
            b":AAAAAA==\r\n",
            b"x-amz-checksum-crc32 :AAAAAA==\r\n",
            b" x-amz-checksum-crc32:AAAAAA==\r\n",
            b"x-amz-checksum-crc32:AA\rAA==\r\n",
            TRAILER_SIGNATURE + b"\r\n" + TRAILER + b"\r\n",
            b"a" * (MAX_TRAILER_BYTES + 1),
            b"a\n" * MAX_TRAILER_BYTES,
            TRAILER + b"\n\r\n" * MAX_TRAILER_BYTES,
        ],
    )
    def test_what_was_not_announced_or_is_malformed(self, decoder, encode, trailer) -> None:
        with pytest.raises(MalformedTrailerError):
            decoded(decoder(0), encode(trailer=trailer))

    def test_one_that_was_announced_and_is_missing(self, decoder, encode) -> None:
        with pytest.raises(MalformedTrailerError):
            decoded(decoder(0, CHECKSUM, b"x-amz-checksum-sha1"), encode())
        with pytest.raises(MalformedTrailerError):
            decoded(decoder(0, b"a", b"b"), encode(trailer=b"a:1\r\na:2\r\n"))

    def test_the_section_is_bounded_however_it_is_fed(self, decoder, encode) -> None:
        head = encode(trailer=b"").partition(b"\r\n")[0] + b"\r\n"
        for piece in (b"a", b"a" * 1000, b"a" * 100_000):
            with pytest.raises(MalformedTrailerError):
                decoded(decoder(0), head, *[piece] * (MAX_TRAILER_BYTES // len(piece) + 2))

    def test_the_section_is_bounded_as_a_whole(self, decoder, encode) -> None:
        head = encode(trailer=b"").partition(b"\r\n")[0] + b"\r\n"
        room = MAX_TRAILER_BYTES - len(encode(trailer=b"a:\r\nb:\r\n").removeprefix(head))
        half = b"1" * (room // 2)
        largest = encode(trailer=b"a:%b\r\nb:%b\r\n" % (half, b"2" * (room - len(half))))
        assert decoded(decoder(0, b"a", b"b"), largest)[1].items[0] == (b"a", half)
        with pytest.raises(MalformedTrailerError):
            decoded(decoder(0, b"a", b"b"), largest.replace(b"a:", b"a:1"))

    def test_none_need_be_announced(self, decoder, encode) -> None:
        bare = AwsChunkedDecoder(0, signed=decoder is signed_trailer, trailer=True)
        assert decoded(bare, encode(trailer=b""))[1].items == ()


def test_a_signed_trailer_needs_its_signature_and_only_one() -> None:
    body = signed_trailer_body()
    for changed in (
        body.replace(TRAILER_SIGNATURE + b"\r\n", b""),
        body.replace(TRAILER_SIGNATURE, TRAILER_SIGNATURE[:-1]),
        body.replace(TRAILER_SIGNATURE, TRAILER_SIGNATURE[:-1] + b"g"),
        body.replace(TRAILER_SIGNATURE, TRAILER_SIGNATURE + b"\r\n" + TRAILER_SIGNATURE),
    ):
        with pytest.raises(MalformedTrailerError):
            decoded(signed_trailer(0), changed)


def test_an_unsigned_trailer_has_no_signature() -> None:
    with pytest.raises(MalformedTrailerError):
        decoded(unsigned_trailer(0), unsigned_trailer_body(trailer=TRAILER_SIGNATURE + b"\r\n"))
    body = unsigned_trailer_body(trailer=TRAILER + b"\r\n" + TRAILER_SIGNATURE + b"\r\n")
    with pytest.raises(MalformedTrailerError):
        decoded(unsigned_trailer(0), body)


@pytest.mark.parametrize("size", [0, 1, 1000, 3_000_000])
def test_the_bodies_of_botocore_are_decoded(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    wrapper = AwsChunkedWrapper(io.BytesIO(data), Crc32Checksum, CHECKSUM.decode())
    feeds = list(iter(lambda: wrapper.read(65_536), b""))
    found = decoded(unsigned_trailer(size), *feeds)
    assert b"".join([piece for piece in found if isinstance(piece, bytes)]) == data
    checksum = Crc32Checksum()
    checksum.update(data)
    assert found[-2] == Trailers(((CHECKSUM, checksum.b64digest().encode()),), b"")


def test_the_decoded_length_is_a_number_and_must_be_there() -> None:
    assert parse_decoded_length(b"0") == 0
    assert parse_decoded_length(b"5497558138880") == 5497558138880
    assert parse_decoded_length(b"9" * 19) == 10**19 - 1
    with pytest.raises(MissingContentLength):
        parse_decoded_length(None)
    for value in (b"", b"-1", b"+1", b"1.0", b"1_0", b" 1", b"0x1", b"9" * 20, b"\xff"):
        with pytest.raises(InvalidArgument):
            parse_decoded_length(value)


def test_trailer_names_are_a_list() -> None:
    assert parse_trailer_names(None) == frozenset()
    assert parse_trailer_names(b"") == frozenset()
    assert parse_trailer_names(b"X-Amz-Checksum-CRC32") == {CHECKSUM}
    assert parse_trailer_names(b" a ,\tB,, a") == {b"a", b"b"}
    many = [b"a%d" % number for number in range(MAX_TRAILERS + 1)]
    assert len(parse_trailer_names(b",".join(many[:-1]))) == MAX_TRAILERS
    for value in (b"a b", b"a:b", b"\xff", b",".join(many), b"a," * 100_000):
        with pytest.raises(InvalidRequest):
            parse_trailer_names(value)


@given(st.binary(max_size=40))
def test_arbitrary_header_values(value: bytes) -> None:
    with contextlib.suppress(StoreError):
        parse_decoded_length(value)
    with contextlib.suppress(StoreError):
        parse_trailer_names(value)


def test_many_small_chunks_and_small_feeds_cost_no_more_than_their_bytes() -> None:
    # Were it quadratic in the chunks of a feed, or in the feeds of a body, this would not end.
    count = 100_000
    decoder = unsigned_trailer(count)
    events = decoder.feed(b"1\r\na\r\n" * count)
    assert len(events) == 2 * count
    single = unsigned_trailer(count)
    single.feed(b"%x\r\n" % count)
    assert sum(len(single.feed(b"a")) for _ in range(count)) == count
