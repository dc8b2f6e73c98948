"""Connections between requests, and what servers do to them, with a server in memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from bleepstore.http.outbound import Outbound
from bleepstore.remote.client import RemoteClient
from bleepstore.remote.connection import WIDE
from bleepstore.remote.failures import Fault, RemoteFailure, Unreachable
from bleepstore.remote.requests import Origin, RemoteRequest
from bleepstore.remote.retries import worth_retrying
from bleepstore.remote.uploading import BytesSource
from tests.remote.memory import (
    LIMITS,
    ORIGIN,
    Outcome,
    Server,
    Source,
    client_of,
    nothing_is_due,
    result,
)
from tests.remote.test_answers import TEXTS


class World:
    def __init__(self) -> None:
        self.server = Server()
        self.client: RemoteClient
        self.clock: Clock
        self.client, self.clock = client_of(self.server)

    def ask(self, method: str = "GET", *body: Any, **more: Any) -> Outcome:
        request = RemoteRequest(method=method, origin=ORIGIN, target=b"/object", **more)
        return Outcome(self.client.exchange(request, *body))

    def ask_and_answer(self, text: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") -> None:
        """One whole exchange on the last connection."""
        asked = self.ask()
        self.server.last.send(text)
        result(asked.get().body.read_all())

    @property
    def opened(self) -> int:
        return len(self.server.connections)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata"),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n0\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 404 Not Found\r\n\r\n"),
        ("PUT", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_connection_is_used_again_after_each_kind_of_answer(
    world: World, method: str, text: bytes, size: int
) -> None:
    for _ in range(3):
        asked = world.ask(method)
        for at in range(0, len(text), size):
            world.server.last.send(text[at : at + size])
        answer = asked.get()
        assert result(answer.body.read_all()) in (b"", b"data")
        assert world.client.in_use == 0
    assert world.opened == 1
    assert world.server.last.reading


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200",
    ],
)
def test_a_connection_that_is_to_close_or_had_a_surplus_is_closed(
    world: World, text: bytes
) -> None:
    world.ask_and_answer(text)
    assert world.server.last.closed
    world.ask()
    assert world.opened == 2


@pytest.mark.parametrize("text", [b"x", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
def test_a_connection_that_speaks_unasked_is_cut(world: World, text: bytes) -> None:
    world.ask_and_answer()
    world.server.last.send(text)
    assert world.server.last.aborted
    asked = world.ask()
    assert world.opened == 2
    world.server.last.answer(200)
    assert asked.get().status == 200


def test_a_connection_that_ended_while_it_was_idle_is_not_used(world: World) -> None:
    world.ask_and_answer()
    world.server.last.reset()
    world.ask()
    assert world.opened == 2


def test_a_connection_that_was_used_before_and_ends_unanswered_is_reported(world: World) -> None:
    """The server may have closed it as the request was on its way; nobody knows what it did."""
    world.ask_and_answer()
    asked = world.ask()
    assert world.opened == 1
    world.server.last.reset()
    with pytest.raises(Unreachable) as caught:
        asked.get()
    assert caught.value.fault is Fault.BROKEN
    assert worth_retrying(caught.value, idempotent=True)
    assert not worth_retrying(caught.value, idempotent=False)


def test_the_connection_used_last_is_used_next_and_those_too_many_are_closed(
    world: World,
) -> None:
    asked = [world.ask() for _ in range(3)]
    for connection in world.server.connections:
        connection.answer(200)
    for each in asked:
        each.get()
    first, second, third = world.server.connections
    assert [each.closed for each in (first, second, third)] == [True, False, False]  # LIMITS.idle
    third.forget()
    world.ask()
    assert third.received
    assert world.opened == 3


def test_each_idle_connection_has_its_own_time(world: World) -> None:
    asked = [world.ask() for _ in range(2)]
    first, second = world.server.connections
    first.answer(200)
    world.clock.advance(LIMITS.idle_for - 1)
    second.answer(200)
    for each in asked:
        each.get()
    world.clock.advance(1)
    assert (first.closed, second.closed) == (True, False)
    world.clock.advance(LIMITS.idle_for - 1)
    assert second.closed
    assert nothing_is_due(world.clock)


def test_connections_to_one_server_are_not_used_for_another(world: World) -> None:
    world.ask_and_answer()
    other = RemoteRequest(method="GET", origin=Origin("http", "other.example", 80), target=b"/")
    Outcome(world.client.exchange(other))
    assert world.opened == 2


def test_idle_connections_to_a_server_that_turns_out_to_close_are_closed(world: World) -> None:
    both = [world.ask() for _ in range(2)]
    first, second = world.server.connections
    first.answer(200)
    both[0].get()
    second.send(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    both[1].get()
    assert first.closed
    assert second.closed


def test_a_small_body_goes_with_the_head(world: World) -> None:
    writes: list[bytes] = []
    asked = world.ask("GET")
    world.server.last.answer(200)
    asked.get()
    connection = world.server.last
    write = connection.write
    connection.write = lambda data: (writes.append(data), write(data))[1]  # type: ignore[method-assign]
    asked = world.ask("PUT", BytesSource(b"data"), 4)
    assert len(writes) == 1
    assert writes[0].endswith(b"content-length: 4\r\n\r\ndata")
    connection.answer(200)
    assert asked.get().status == 200


@pytest.mark.parametrize("data", [b"x" * 100_000, b"x" * 1_000_000])
def test_a_large_body_at_hand_waits_for_the_server(data: bytes) -> None:
    server = Server(room=100_000)
    client, _ = client_of(server)
    request = RemoteRequest(method="PUT", origin=ORIGIN, target=b"/object")
    Outcome(client.exchange(request, BytesSource(data), len(data)))
    assert server.last.held <= 100_000 + 128 * 1024
    for _ in range(10):
        server.last.drain()
    assert server.last.body == data


def test_what_was_paused_for_a_slow_reader_is_read_again_for_the_next(world: World) -> None:
    asked = world.ask()
    connection = world.server.last
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000)
    assert not connection.reading
    connection.send(b"x" * 500_000)  # it had been read before the pause was heard of
    assert connection.reading
    assert len(result(asked.get().body.read_all())) == 1_000_000
    world.ask_and_answer()
    assert world.opened == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"target": b"/a b"},
        {"target": b"/a\r\nX-Evil: 1"},
        {"target": b"/a HTTP/1.1\r\nX-Evil: 1\r\nX:"},
        {"target": b""},
        {"headers": ((b"x-meta", b"a\r\nX-Evil: 1"),)},
        {"headers": ((b"x-meta", b"a\nb"),)},
        {"headers": ((b"x-meta", b"a\0b"),)},
        {"headers": ((b"x meta", b"a"),)},
        {"headers": ((b"", b"a"),)},
    ],
)
def test_what_would_not_be_one_head_is_not_sent(world: World, bad: dict[str, Any]) -> None:
    request = RemoteRequest(**{"method": "GET", "origin": ORIGIN, "target": b"/", **bad})
    asked = Outcome(world.client.exchange(request))
    with pytest.raises(RemoteFailure) as caught:
        asked.get()
    assert not worth_retrying(caught.value, idempotent=True)
    assert world.opened == 0
    assert world.client.in_use == 0
    assert nothing_is_due(world.clock)


def test_a_header_may_hold_any_text(world: World) -> None:
    world.ask("GET", headers=((b"x-meta", "caf\u00e9 \t~".encode()),))
    assert b"x-meta: caf\xc3\xa9 \t~\r\n" in world.server.last.received


@given(st.lists(TEXTS, max_size=6), st.booleans(), st.sampled_from(["GET", "HEAD", "PUT"]))
def test_any_bytes_give_an_answer_or_a_failure_and_leave_nothing(
    pieces: list[bytes], ends: bool, method: str
) -> None:
    world = World()
    asked = world.ask(method, *((Source(b"data"), 4) if method == "PUT" else ()))
    connection = world.server.last
    for piece in pieces:
        if connection.closed or connection.aborted:
            break
        connection.send(piece)
    if ends and not connection.aborted:
        connection.reset()
    if asked.pending:
        world.clock.advance(LIMITS.head)
    try:
        body = asked.get().body
        reading = Outcome(body.read_all())
        if reading.pending:
            world.clock.advance(LIMITS.stall)
        reading.get()
        body.close()
    except Unreachable:
        pass
    assert world.client.in_use == 0
    world.clock.advance(LIMITS.idle_for)
    assert connection.closed or connection.aborted or connection.disconnected
    assert nothing_is_due(world.clock)


def test_a_large_body_is_taken_in_large_reads_and_nothing_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(Outbound, "read_widely", lambda _, size: sizes.append(size))
    world.ask_and_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata")
    assert WIDE not in sizes
    asked = world.ask()
    size = WIDE + 1
    world.server.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    assert sizes[-1] == WIDE
    body = asked.get().body
    world.server.last.send(bytes(size))
    assert sizes[-1] == 0
    assert len(result(body.read_all())) == size
