"""The read path: order, read-ahead, and what happens when the client or the disk fails."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from bleepstore.errors import InternalError
from bleepstore.model.objects import Extent
from bleepstore.streams.egress import BodyReader, clip, send_body
from tests.objectstore.driving import Running, run
from tests.streams.stores import Ledger


class Request:
    """Takes a body; its client may go, or be slow."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.aborted = False
        self.gone = False
        self.slow: Deferred[None] | None = None

    async def send(self, data: bytes | memoryview) -> None:
        if self.gone:
            raise ConnectionError
        self.sent.append(bytes(data))
        if self.slow is not None:
            await self.slow

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def blobs() -> Ledger:
    ledger = Ledger()
    ledger.blobs = {"a": b"0123456789", "b": b"abcdef"}
    return ledger


MIXED = (Extent(10, "a"), Extent(3, data=b"xyz"), Extent(0), Extent(4, "b", 1))
WHOLE = b"0123456789xyzbcde"


async def read_all(reader: BodyReader) -> bytes:
    pieces = []
    while data := await reader.read():
        pieces.append(data)
    return b"".join(pieces)


def test_extents_are_read_in_their_order(blobs: Ledger) -> None:
    assert run(read_all(BodyReader(blobs, MIXED))) == WHOLE
    assert blobs.open_readers == 0


def test_there_is_nothing_to_read_of_no_extents(blobs: Ledger) -> None:
    assert run(read_all(BodyReader(blobs, ()))) == b""
    assert run(BodyReader(blobs, ()).prime()) == b""


def test_only_one_blob_is_open_at_a_time(blobs: Ledger) -> None:
    reader = BodyReader(blobs, [Extent(10, "a")] * 100)
    while run(reader.read()):
        assert blobs.open_readers <= 1
    assert blobs.open_readers == 0


@given(
    st.lists(st.integers(min_value=0, max_value=5), max_size=6),
    st.integers(min_value=0, max_value=30),
    st.integers(min_value=0, max_value=30),
    st.integers(min_value=1, max_value=6),
)
def test_any_range_of_any_extents(lengths: list[int], offset: int, length: int, chunk: int) -> None:
    ledger = Ledger()
    ledger.chunk = chunk
    extents, whole = [], b""
    for number, size in enumerate(lengths):
        data = bytes(range(len(whole), len(whole) + size))
        whole += data
        if number % 2:
            ledger.blobs[str(number)] = b"??" + data + b"??"
            extents.append(Extent(size, str(number), 2))
        else:
            extents.append(Extent(size, data=data))
    clipped = clip(extents, offset, length)
    assert run(read_all(BodyReader(ledger, clipped))) == whole[offset : offset + length]
    assert all(each.length for each in clipped)


def test_priming_gives_the_body_if_it_is_one_chunk(blobs: Ledger) -> None:
    blobs.chunk = 100
    assert run(BodyReader(blobs, (Extent(10, "a"),)).prime()) == b"0123456789"
    assert blobs.open_readers == 0


@pytest.mark.parametrize("chunk", [4, 5, 9])
def test_priming_loses_nothing_of_a_longer_body(blobs: Ledger, chunk: int) -> None:
    blobs.chunk = chunk
    reader = BodyReader(blobs, (Extent(10, "a"),))
    assert run(reader.prime()) is None
    assert run(read_all(reader)) == b"0123456789"


def test_priming_says_what_cannot_be_read_and_closes(blobs: Ledger) -> None:
    with pytest.raises(InternalError, match="no blob gone"):
        run(BodyReader(blobs, (Extent(3, "gone"),)).prime())
    assert blobs.open_readers == 0


def test_a_blob_that_is_shorter_than_its_extent_is_an_error(blobs: Ledger) -> None:
    with pytest.raises(InternalError, match="1 bytes early"):
        run(read_all(BodyReader(blobs, (Extent(7, "b"), Extent(10, "a")))))


def test_one_chunk_is_read_ahead_and_no_more(blobs: Ledger) -> None:
    reader = BodyReader(blobs, (Extent(4, "a"), Extent(4, "b"), Extent(4, "a")))
    run(reader.read())
    blobs.held = Deferred()
    second = Running(reader.read())
    assert second.result() == b"abcd"  # was ahead
    third = Running(reader.read())
    assert not third.done
    blobs.held.callback(None)
    assert third.result() == b"0123"


def test_closing_during_a_read_ahead_closes_the_blob(blobs: Ledger) -> None:
    reader = BodyReader(blobs, (Extent(4, "a"), Extent(6, "b")))
    blobs.held = Deferred()
    first = Running(reader.read())
    assert blobs.open_readers == 1
    reader.close()
    reader.close()
    blobs.held.callback(None)
    assert first.done
    assert blobs.open_readers == 0
    assert run(reader.read()) == b""


def test_a_cancelled_read_can_be_closed(blobs: Ledger) -> None:
    reader = BodyReader(blobs, (Extent(10, "a"),))
    blobs.held = Deferred()
    reading = Running(reader.read())
    reading.cancel()
    with pytest.raises(CancelledError):
        reading.result()
    reader.close()
    assert blobs.open_readers == 0


# Sending


def sending(request: Request, reader: BodyReader) -> Running[None]:
    return Running(send_body(request, reader))  # type: ignore[arg-type]  # as much as is used


def test_a_body_is_sent_whole(blobs: Ledger) -> None:
    request = Request()
    sending(request, BodyReader(blobs, MIXED)).result()
    assert b"".join(request.sent) == WHOLE
    assert not request.aborted


def test_the_next_chunk_is_read_while_one_is_sent(blobs: Ledger) -> None:
    request = Request()
    request.slow = Deferred()
    reader = BodyReader(blobs, (Extent(10, "a"),))
    ended = sending(request, reader)
    assert request.sent == [b"0123"]
    blobs.held = Deferred()
    slow, request.slow = request.slow, None
    slow.callback(None)
    assert request.sent == [b"0123", b"4567"]
    blobs.held.callback(None)
    ended.result()
    assert b"".join(request.sent) == b"0123456789"


def test_a_client_that_goes_ends_it_and_closes_the_blob(blobs: Ledger) -> None:
    request = Request()
    request.gone = True
    with pytest.raises(ConnectionError):
        sending(request, BodyReader(blobs, MIXED)).result()
    assert blobs.open_readers == 0


def test_a_slow_client_whose_handler_is_cancelled_leaves_no_blob_open(blobs: Ledger) -> None:
    request = Request()
    request.slow = Deferred()
    ended = sending(request, BodyReader(blobs, MIXED))
    ended.cancel()
    with pytest.raises(CancelledError):
        ended.result()
    assert blobs.open_readers == 0


def test_what_cannot_be_read_cuts_the_connection(blobs: Ledger) -> None:
    request = Request()
    extents: Any = (Extent(6, "b"), Extent(3, "gone"))
    with pytest.raises(InternalError):
        sending(request, BodyReader(blobs, extents)).result()
    assert request.aborted
    assert b"".join(request.sent) == b"abcdef"
    assert blobs.open_readers == 0
