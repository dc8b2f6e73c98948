"""Writing past Twisted's queue: pins every inner attribute of Twisted that ``outbound`` touches.

A real ``tcp.Connection`` on a socket pair, and a reactor that only notes what is asked of it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection

from bleepstore.http.outbound import CROWD, Departures, Outbound, SocketOutbound, outbound_for
from tests.http.connection import MemoryTransport, NotingReactor


class Pair:
    """The server's connection and the client's socket."""

    def __init__(self, departures: Departures | None = None) -> None:
        ours, self.client = socket.socketpair()
        for one in (ours, self.client):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
            one.setblocking(False)
        self.reactor = NotingReactor()
        self.connection = Connection(ours, Protocol(), self.reactor)
        self.connection.connected = 1
        self.drained = 0
        self.outbound = outbound_for(
            self.connection,
            self._drained,
            departures,
        )

    def _drained(self) -> None:
        self.drained += 1

    def end(self) -> None:
        self.connection.socket.close()
        self.client.close()

    @property
    def writing(self) -> bool:
        return self.connection in self.reactor.writers

    def received(self) -> bytes:
        """What the client can take now."""
        data = b""
        while True:
            try:
                piece = self.client.recv(1 << 20)
            except BlockingIOError:
                return data
            if not piece:
                return data
            data += piece

    def flush(self) -> bytes:
        """Take, and let the connection write when it wants to, until nothing is left."""
        data = self.received()
        while self.writing:
            end = self.connection.doWrite()  # type: ignore[no-untyped-call]
            data += self.received()
            if end is not None:
                assert isinstance(end, ConnectionDone)
                return data
        return data


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.end()


PATTERN = bytes(range(251)) * 4000


def test_a_plain_socket_is_written_directly(pair: Pair) -> None:
    assert isinstance(pair.outbound, SocketOutbound)
    pair.outbound.write(b"hello")
    assert not pair.writing
    assert pair.received() == b"hello"
    assert (pair.outbound.full, pair.outbound.unsent(), pair.outbound.taken()) == (False, 0, 5)


def test_what_the_kernel_does_not_take_is_queued_and_drained_once(pair: Pair) -> None:
    pair.outbound.write(PATTERN)
    assert pair.outbound.full
    assert pair.writing
    unsent = pair.outbound.unsent()
    assert 0 < unsent < len(PATTERN)
    assert pair.outbound.taken() == len(PATTERN) - unsent
    pair.outbound.write(b"behind")
    assert pair.drained == 0
    assert pair.flush() == PATTERN + b"behind"
    assert pair.drained == 1
    assert (pair.outbound.full, pair.outbound.unsent()) == (False, 0)
    pair.outbound.write(b"direct again")
    assert not pair.writing


@pytest.mark.parametrize("view", [False, True])
def test_pieces_arrive_as_one(pair: Pair, view: bool) -> None:
    pieces: list[bytes | memoryview] = [b"1000\r\n", PATTERN, b"\r\n", b"0\r\n\r\n"]
    if view:
        pieces[1] = memoryview(PATTERN)
    pair.outbound.write_all(pieces)
    assert pair.flush() == b"".join(pieces)
    pair.outbound.write_all([b"a", memoryview(b"b"), b"c"])
    assert pair.received() == b"abc"


def test_pieces_behind_a_queue_stay_behind_it(pair: Pair) -> None:
    pair.outbound.write(PATTERN)
    pair.outbound.write_all([b"x" * 20_000, b"y"])
    assert pair.flush() == PATTERN + b"x" * 20_000 + b"y"


def test_views_are_sent_as_they_are(pair: Pair) -> None:
    pair.outbound.write(memoryview(PATTERN)[1:])
    assert pair.flush() == PATTERN[1:]


def test_a_broken_socket_is_left_to_the_transport(pair: Pair) -> None:
    pair.client.close()
    pair.outbound.write(b"hello")
    assert pair.writing
    assert isinstance(pair.connection.doWrite(), Exception)


def test_closing_sends_what_is_queued_first(pair: Pair) -> None:
    pair.outbound.write(PATTERN)
    pair.outbound.close()
    data = pair.received()
    result = None
    while result is None:
        result = pair.connection.doWrite()
        data += pair.received()
    assert data == PATTERN
    assert result.__class__.__name__ == "ConnectionDone"


def test_half_closing_sends_what_is_queued_first(pair: Pair) -> None:
    pair.outbound.write(PATTERN)
    pair.outbound.half_close()
    assert pair.flush() == PATTERN
    assert pair.client.recv(1) == b""
    pair.client.send(b"still read")
    assert pair.connection.socket.recv(100) == b"still read"


class Pull:
    def __init__(self, outbound: Outbound) -> None:
        self.outbound = outbound
        self.turns = 0

    def resumeProducing(self) -> None:
        self.turns += 1
        if self.turns < 4:
            self.outbound.write(b"x")

    def stopProducing(self) -> None:
        raise AssertionError("nothing was lost")


def test_a_borrower_is_asked_for_more_until_it_is_done(pair: Pair) -> None:
    producer = Pull(pair.outbound)
    pair.outbound.lend(producer, False)  # type: ignore[arg-type]
    assert pair.flush() == b"xxx"
    assert producer.turns == 4
    pair.outbound.reclaim()
    pair.outbound.write(b"y")
    assert not pair.writing
    assert pair.received() == b"y"


def test_reads_are_wider_for_a_large_body_only(pair: Pair) -> None:
    usual = Connection.bufferSize
    pair.outbound.read_widely(1 << 18)
    assert pair.connection.bufferSize == 1 << 18
    pair.outbound.read_widely(0)
    assert pair.connection.bufferSize == usual


def test_other_transports_are_used_by_their_public_interface() -> None:
    transport = MemoryTransport(capacity=10)
    outbound = outbound_for(transport, lambda: None)
    assert type(outbound) is Outbound
    assert transport.streaming
    outbound.write(memoryview(bytes(11)))
    assert outbound.full
    assert outbound.unsent() == 1
    transport.take(100)
    assert not outbound.full
    assert (outbound.unsent(), outbound.taken()) == (0, 11)


def test_small_answers_leave_together_at_the_end_of_the_turn() -> None:
    clock = Clock()
    departures = Departures(clock)
    first, second = Pair(departures), Pair(departures)
    first.outbound.write_soon(b"one ")
    second.outbound.write_soon(b"two")
    first.outbound.write_soon(b"three")
    assert (first.received(), second.received()) == (b"", b"")
    assert (first.outbound.unsent(), first.outbound.taken()) == (9, 0)
    clock.advance(0)
    assert (first.received(), second.received()) == (b"one three", b"two")
    assert (first.outbound.unsent(), first.outbound.taken()) == (0, 9)
    first.outbound.write_soon(b"later")
    clock.advance(0)
    assert first.received() == b"later"
    first.end()
    second.end()


def test_a_crowd_of_answers_does_not_wait_for_the_end_of_the_turn() -> None:
    departures = Departures(Clock())
    pairs = [Pair(departures) for _ in range(CROWD)]
    for pair in pairs:
        pair.outbound.write_soon(b"answer")
    assert [pair.received() for pair in pairs] == [b"answer"] * CROWD
    for pair in pairs:
        pair.end()


@pytest.mark.parametrize("write", ["write", "write_all", "write_soon", "lend", "close"])
def test_nothing_overtakes_an_answer_that_waits(write: str) -> None:
    clock = Clock()
    pair = Pair(Departures(clock))
    pair.outbound.write_soon(b"first ")
    expected = b"first "
    if write == "write":
        pair.outbound.write(b"second")
        expected += b"second"
    elif write == "write_all":
        pair.outbound.write_all((PATTERN, b"second"))
        expected += PATTERN + b"second"
    elif write == "write_soon":
        pair.outbound.write_soon(PATTERN)
        expected += PATTERN
    elif write == "lend":
        pair.outbound.lend(pair.outbound, True)
    else:
        pair.outbound.close()
    assert pair.flush() == expected
    clock.advance(0)
    assert pair.flush() == b""
    pair.end()


def test_an_answer_that_waits_is_dropped_with_its_connection() -> None:
    clock = Clock()
    pair = Pair(Departures(clock))
    pair.connection.abortConnection = lambda: None
    pair.outbound.write_soon(b"answer")
    pair.outbound.abort()
    clock.advance(0)
    assert pair.received() == b""
    pair.end()


def test_an_answer_for_which_the_kernel_has_no_room_waits_in_the_queue() -> None:
    clock = Clock()
    pair = Pair(Departures(clock))
    pair.outbound.write_soon(PATTERN[:60_000])
    clock.advance(0)
    assert pair.outbound.full
    assert pair.flush() == PATTERN[:60_000]
    assert (pair.outbound.full, pair.drained) == (False, 1)
    pair.end()
