"""One request and its answer, with a server in memory."""

from __future__ import annotations

import gc
import gzip
import weakref
from dataclasses import dataclass
from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from bleepstore.errors import IncompleteBody
from bleepstore.remote.client import RemoteClient
from bleepstore.remote.exchange import Answer
from bleepstore.remote.failures import Fault, Unreachable
from bleepstore.remote.requests import Origin, RemoteRequest
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


@dataclass
class World:
    server: Server
    client: RemoteClient
    clock: Clock

    def start(self, request: RemoteRequest | None = None, *body: Any) -> Outcome:
        return Outcome(self.client.exchange(request or get(), *body))


def get(target: bytes = b"/", **more: Any) -> RemoteRequest:
    return RemoteRequest(method="GET", origin=ORIGIN, target=target, **more)


def put(**more: Any) -> RemoteRequest:
    return RemoteRequest(method="PUT", origin=ORIGIN, target=b"/object", **more)


@pytest.fixture
def world() -> World:
    server = Server()
    return World(server, *client_of(server))


@pytest.fixture
def logged() -> Any:
    events: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


# What is sent

TARGETS = [
    b"/",
    b"//leading",
    b"/bucket//a//b/",
    b"/bucket/../x/./y/..",
    b"/bucket/a%2Fb%2f%25",
    b"/bucket/a+b%20c",
    b"/bucket/caf%C3%A9",
    b"/bucket/semi;colon;",
    b"/bucket/question%3F?",
    b"/bucket/key?uploads",
    b"/bucket/key?uploads=",
    b"/bucket?list-type=2&prefix=a%2Fb&delimiter=%2F&empty=",
    b"/bucket/a:b@c!d$e&f'g(h)i*j,k=l",
    b"/bucket/%E2%82%AC?x=1&&y=2&x=3",
    b"/bucket/tilde~%7E",
    b"/bucket/?a=b#not-a-fragment".replace(b"#", b"%23"),
    b"/bucket/http://other.example/",
]


@pytest.mark.parametrize("target", TARGETS)
def test_the_target_is_sent_as_it_stands(world: World, target: bytes) -> None:
    asked = world.start(get(target))
    line, headers = world.server.last.head
    assert line == b"GET " + target + b" HTTP/1.1"
    assert headers[b"host"] == b"store.example"
    world.server.last.answer(200)
    assert result(asked.get().body.read()) == b""


def test_headers_are_sent_as_given_and_nothing_asks_for_gzip(world: World) -> None:
    world.start(get(headers=((b"x-one", b"1"), (b"x-many", b"a"), (b"x-many", b"b"))))
    assert bytes(world.server.last.received).lower().count(b"x-many: ") == 2
    _, headers = world.server.last.head
    assert headers[b"x-one"] == b"1"
    assert headers[b"accept-encoding"] == b"identity"
    assert b"cookie" not in headers


def test_an_encoding_that_is_asked_for_is_asked_for(world: World) -> None:
    world.start(get(headers=((b"accept-encoding", b"gzip"),)))
    assert bytes(world.server.last.received).lower().count(b"accept-encoding: gzip\r\n") == 1


def test_the_host_of_another_port_is_named_with_it() -> None:
    server = Server()
    client, _ = client_of(server)
    Outcome(
        client.exchange(
            RemoteRequest(method="GET", origin=Origin("http", "::1", 9000), target=b"/")
        )
    )
    assert server.last.head[1][b"host"] == b"[::1]:9000"


def test_a_body_of_known_length(world: World) -> None:
    asked = world.start(put(), Source(b"some", b"thing"), 9)
    _, headers = world.server.last.head
    assert headers[b"content-length"] == b"9"
    assert b"transfer-encoding" not in headers
    assert world.server.last.body == b"something"
    world.server.last.answer(201)
    assert asked.get().status == 201


def test_a_body_of_unknown_length_is_chunked(world: World) -> None:
    asked = world.start(put(), Source(b"some", b"thing"), None)
    assert world.server.last.head[1][b"transfer-encoding"] == b"chunked"
    assert world.server.last.body == b"4\r\nsome\r\n5\r\nthing\r\n0\r\n\r\n"
    world.server.last.answer(200)
    assert asked.get().status == 200


def test_a_put_without_a_body_announces_none(world: World) -> None:
    world.start(put())
    assert world.server.last.head[1][b"content-length"] == b"0"


def test_bytes_are_handed_on_in_pieces() -> None:
    data = bytes(range(256)) * 2000
    source = BytesSource(data)
    pieces = []
    while piece := result(source.read()):
        pieces.append(piece)
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 128 * 1024


# Back-pressure on the way out


def test_nothing_is_read_of_a_body_while_the_server_takes_nothing() -> None:
    server = Server(room=1000)
    client, _ = client_of(server)
    source = Source(*[b"x" * 600] * 10)
    Outcome(client.exchange(put(), source, 6000))
    for _ in range(20):
        reads = source.reads
        assert server.last.held <= 1000 + 600
        server.last.drain()
        if source.reads == reads:
            break
    assert source.reads == 11
    assert len(server.last.body) == 6000


def test_a_server_that_takes_nothing_for_too_long_is_given_up() -> None:
    server = Server(room=1000)
    client, clock = client_of(server)
    asked = Outcome(client.exchange(put(), Source(*[b"x" * 600] * 10), 6000))
    clock.advance(LIMITS.stall - 1)
    server.last.drain()
    clock.advance(LIMITS.stall - 1)
    assert asked.pending
    clock.advance(1)
    with pytest.raises(Unreachable) as caught:
        asked.get()
    assert caught.value.fault is Fault.STALLED
    assert server.last.aborted
    assert client.in_use == 0
    assert nothing_is_due(clock)


def test_a_slow_source_is_not_the_servers_fault(world: World) -> None:
    source = Source()
    source.held = True
    asked = world.start(put(), source, 4)
    world.clock.advance(10_000)
    source.give(b"data")
    world.clock.advance(10_000)
    source.give(b"")
    world.server.last.answer(200)
    assert asked.get().status == 200


def test_an_error_of_the_source_comes_up_as_it_is_and_cuts_the_connection(
    world: World, logged: list[LogEvent]
) -> None:
    source = Source()
    source.held = True
    asked = world.start(put(), source, 4)
    assert source.waiting is not None
    source.waiting.errback(ZeroDivisionError("of the source"))
    with pytest.raises(ZeroDivisionError):
        asked.get()
    assert world.server.last.aborted
    assert world.client.in_use == 0
    assert not logged


@pytest.mark.parametrize("pieces", [(b"abc",), (b"abc", b"de")])
def test_a_source_of_another_length_is_incomplete(world: World, pieces: tuple[bytes]) -> None:
    asked = world.start(put(), Source(*pieces), 4)
    with pytest.raises(IncompleteBody):
        asked.get()
    assert world.server.last.aborted


def test_an_answer_before_the_body_was_sent_is_heard(
    logged: list[LogEvent],
) -> None:
    server = Server(room=1000)
    client, clock = client_of(server)
    source = Source(*[b"x" * 600] * 10)
    asked = Outcome(client.exchange(put(), source, 6000))
    server.last.answer(403, b"<Error>you may not</Error>", Content_Type="application/xml")
    answer: Answer = asked.get()
    assert answer.status == 403
    assert result(answer.body.read_all()) == b"<Error>you may not</Error>"
    assert source.reads < 10
    assert server.last.aborted
    assert client.in_use == 0
    assert nothing_is_due(clock)
    assert not logged


def test_an_early_answer_in_pieces_while_the_source_is_waited_for(
    world: World, logged: list[LogEvent]
) -> None:
    source = Source()
    source.held = True
    asked = world.start(put(), source, 4)
    text = b"HTTP/1.1 412 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    for at in range(len(text)):
        world.server.last.send(text[at : at + 1])
    answer = asked.get()
    assert (answer.status, result(answer.body.read_all())) == (412, b"abc")
    assert source.cancelled
    assert world.server.last.aborted
    assert not logged


def test_a_success_before_the_body_was_sent_is_none() -> None:
    server = Server(room=1000)
    client, _ = client_of(server)
    asked = Outcome(client.exchange(put(), Source(*[b"x" * 600] * 10), 6000))
    server.last.answer(200)
    with pytest.raises(Unreachable) as caught:
        asked.get()
    assert caught.value.fault is Fault.BROKEN
    assert server.last.aborted


def test_an_early_answer_that_does_not_end_is_given_up() -> None:
    server = Server(room=1000)
    client, clock = client_of(server)
    asked = Outcome(client.exchange(put(), Source(*[b"x" * 600] * 10), 6000))
    server.last.send(b"HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\nabc")
    answer: Answer = asked.get()
    assert answer.status == 403  # which says enough, whatever else comes
    reading = Outcome(answer.body.read_all())
    clock.advance(LIMITS.stall)
    with pytest.raises(Unreachable) as caught:
        reading.get()
    assert caught.value.fault is Fault.STALLED
    assert server.last.aborted
    assert nothing_is_due(clock)


# What comes back


def test_status_headers_length_and_body(world: World) -> None:
    asked = world.start()
    world.server.last.send(
        b'HTTP/1.1 206 Partial Content\r\nETag: "abc"\r\nX-Two: a\r\nx-two: b\r\n'
        b"Content-Length: 5\r\n\r\nhe"
    )
    answer: Answer = asked.get()
    assert answer.status == 206
    assert answer.length == 5
    assert answer.header(b"etag") == '"abc"'
    assert answer.header(b"x-two") == "a, b"
    assert answer.header(b"x-none") == ""
    assert result(answer.body.read()) == b"he"
    reading = Outcome(answer.body.read())
    assert reading.pending
    world.server.last.send(b"llo")
    assert reading.get() == b"llo"
    assert result(answer.body.read()) == b""
    assert world.client.in_use == 0


def test_what_is_gzipped_stays_so(world: World) -> None:
    asked = world.start()
    packed = gzip.compress(b"data" * 100)
    world.server.last.answer(200, packed, Content_Encoding="gzip")
    answer = asked.get()
    assert answer.header(b"content-encoding") == "gzip"
    assert result(answer.body.read_all()) == packed


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(world: World, status: int) -> None:
    asked = world.start()
    world.server.last.answer(status, Location="http://elsewhere.example/")
    assert asked.get().status == status
    assert len(world.server.connections) == 1


def test_cookies_are_not_kept(world: World) -> None:
    asked = world.start()
    world.server.last.answer(200, Set_Cookie="a=b")
    asked.get()
    world.server.last.forget()
    world.start()
    assert b"cookie" not in world.server.last.head[1]


def test_an_answer_to_head_has_a_length_and_no_body(world: World) -> None:
    asked = world.start(RemoteRequest(method="HEAD", origin=ORIGIN, target=b"/"))
    world.server.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")
    answer = asked.get()
    assert answer.length == 12345
    assert result(answer.body.read()) == b""
    assert world.client.in_use == 0


def test_a_connection_is_used_again_after_the_body_was_read(world: World) -> None:
    for _ in range(3):
        asked = world.start()
        world.server.last.answer(200, b"data")
        assert result(asked.get().body.read_all()) == b"data"
    assert len(world.server.connections) == 1
    stopping = Outcome(world.client.stop())
    assert world.server.last.closed
    world.clock.advance(0)
    stopping.get()


def test_who_has_the_last_byte_may_close_at_once(world: World) -> None:
    """He has it before twisted.web has said that it was the last."""

    async def read_and_close(body: Any) -> bytes:
        data: bytes = await body.read()
        body.close()
        return data

    for _ in range(3):
        asked = world.start()
        world.server.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nda")
        body = asked.get().body
        assert result(body.read()) == b"da"
        reading = Outcome(read_and_close(body))
        world.server.last.send(b"ta")
        assert reading.get() == b"ta"
        assert world.client.in_use == 0
    assert len(world.server.connections) == 1
    assert not world.server.last.aborted


@pytest.mark.parametrize("body", [b"", b"data"])
def test_connections_of_the_old_version_are_not_used_again(world: World, body: bytes) -> None:
    for number in range(1, 4):
        asked = world.start()
        assert len(world.server.connections) == number
        world.server.last.send(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        world.server.last.send(body)
        assert result(asked.get().body.read_all()) == body
    assert world.server.last.head[1][b"connection"] == b"close"
    assert world.server.last.closed


def test_idle_connections_are_closed_after_their_time(world: World) -> None:
    asked = world.start()
    world.server.last.answer(200)
    asked.get()
    world.clock.advance(LIMITS.idle_for)
    assert world.server.last.closed


def test_closing_a_body_cuts_the_connection_and_only_its_own(world: World) -> None:
    asked = world.start()
    world.server.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc")
    body = asked.get().body
    body.close()
    assert world.server.last.aborted
    assert world.client.in_use == 0
    assert result(body.read()) == b""
    # A body that has ended has no connection any more: another request is using it.
    asked = world.start()
    world.server.last.answer(200, b"data")
    first = asked.get().body
    world.start()
    first.close()
    assert len(world.server.connections) == 2
    assert not world.server.last.aborted


def test_closing_a_body_ends_a_read_under_way(world: World) -> None:
    asked = world.start()
    world.server.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n")
    body = asked.get().body
    reading = Outcome(body.read())
    body.close()
    assert reading.get() == b""
    assert nothing_is_due(world.clock)


def test_a_cancelled_read_loses_nothing(world: World) -> None:
    asked = world.start()
    world.server.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
    body = asked.get().body
    reading = Outcome(body.read())
    reading.cancel()
    with pytest.raises(CancelledError):
        reading.get()
    world.clock.advance(1000)  # nobody reads any more: the server may take its time
    world.server.last.send(b"abcdef")
    assert result(body.read_all()) == b"abcdef"
    assert not world.server.last.aborted


# Back-pressure on the way in


def test_the_server_waits_while_nobody_reads(world: World) -> None:
    asked = world.start()
    connection = world.server.last
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
    body = asked.get().body
    sent = 0
    while connection.reading:
        connection.send(b"x" * 65536)
        sent += 65536
        assert sent < 1_000_000
    assert sent == 256 * 1024
    world.clock.advance(100_000)  # a reader may take its time
    assert not connection.aborted
    taken = result(body.read())
    assert len(taken) == sent
    assert connection.reading


def test_a_piece_is_never_larger_than_a_mebibyte(world: World) -> None:
    asked = world.start()
    data = bytes(range(251)) * 12_000
    world.server.last.answer(200, data)
    body = asked.get().body
    pieces = []
    while piece := result(body.read()):
        pieces.append(piece)
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) == 1 << 20


def test_documents_are_cut_off_at_their_bound(world: World) -> None:
    asked = world.start()
    world.server.last.send(b"HTTP/1.1 500 No\r\nContent-Length: 5000\r\n\r\n" + b"x" * 200)
    assert result(asked.get().body.read_all(150)) == b"x" * 150
    assert world.server.last.aborted


# What does not come


def test_a_body_that_breaks_off_is_an_error_and_never_short(world: World) -> None:
    asked = world.start()
    world.server.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc")
    body = asked.get().body
    assert result(body.read()) == b"abc"
    world.server.last.reset()
    for _ in range(2):
        with pytest.raises(Unreachable) as caught:
            result(body.read())
        assert caught.value.fault is Fault.BROKEN
    assert world.client.in_use == 0


def test_what_had_come_before_the_break_is_given_first(world: World) -> None:
    asked = world.start()
    world.server.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc")
    world.server.last.reset()
    body = asked.get().body
    assert result(body.read()) == b"abc"
    with pytest.raises(Unreachable):
        result(body.read())


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_an_end_by_the_connection_alone_is_no_end(world: World, text: bytes) -> None:
    asked = world.start()
    world.server.last.send(text)
    body = asked.get().body
    assert result(body.read()) == b"abc"
    world.server.last.reset()
    with pytest.raises(Unreachable):
        result(body.read())


def test_a_body_that_stalls_is_given_up_only_while_somebody_reads(world: World) -> None:
    asked = world.start()
    world.server.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc")
    body = asked.get().body
    assert result(body.read()) == b"abc"
    reading = Outcome(body.read())
    world.clock.advance(LIMITS.stall)
    with pytest.raises(Unreachable) as caught:
        reading.get()
    assert caught.value.fault is Fault.STALLED
    assert world.server.last.aborted


@pytest.mark.parametrize(
    "text", [b"", b"HTTP/1.1 200 OK\r\nConte", b"SMTP ready\r\n", b"HTTP/1.1 abc def\r\n"]
)
def test_no_whole_head_is_no_answer(world: World, text: bytes) -> None:
    asked = world.start()
    if text:
        world.server.last.send(text)
    if not world.server.last.disconnected:
        world.server.last.reset()
    with pytest.raises(Unreachable) as caught:
        asked.get()
    assert caught.value.fault is Fault.BROKEN
    assert world.client.in_use == 0
    assert nothing_is_due(world.clock)


def test_an_answer_that_does_not_come_in_time(world: World) -> None:
    asked = world.start(put(), Source(b"data"), 4)
    world.clock.advance(LIMITS.head)
    with pytest.raises(Unreachable) as caught:
        asked.get()
    assert caught.value.fault is Fault.HEAD_TIMEOUT
    assert world.server.last.aborted
    assert world.client.in_use == 0


def test_a_request_may_give_the_server_more_time(world: World) -> None:
    asked = Outcome(world.client.exchange(get(), head=500))
    world.clock.advance(499)
    assert asked.pending
    world.server.last.answer(200)
    assert asked.get().status == 200


def test_a_refused_connection(world: World) -> None:
    world.server.refuse = ConnectionRefusedError()
    with pytest.raises(Unreachable) as caught:
        world.start().get()
    assert caught.value.fault is Fault.CONNECT
    assert "store.example" in str(caught.value)
    assert world.client.in_use == 0


def test_a_connection_that_does_not_come_in_time(world: World) -> None:
    world.server.hang = True
    asked = world.start()
    world.clock.advance(LIMITS.connect)
    with pytest.raises(Unreachable) as caught:
        asked.get()
    assert caught.value.fault is Fault.CONNECT_TIMEOUT
    assert world.server.cancelled == 1
    assert world.client.in_use == 0
    assert nothing_is_due(world.clock)


def test_no_more_connections_than_allowed_and_each_in_its_turn(world: World) -> None:
    first = [world.start() for _ in range(LIMITS.connections)]
    late = [world.start() for _ in range(2)]
    assert len(world.server.connections) == LIMITS.connections
    world.server.connections[0].answer(200)
    first[0].get()
    assert world.client.in_use == LIMITS.connections
    world.clock.advance(LIMITS.turn)
    with pytest.raises(Unreachable) as caught:
        late[1].get()
    assert caught.value.fault is Fault.BUSY
    assert late[0].pending


def test_a_cancelled_request_cuts_its_connection(world: World, logged: list[LogEvent]) -> None:
    asked = world.start()
    asked.cancel()
    with pytest.raises(CancelledError):
        asked.get()
    assert world.server.last.aborted
    source = Source()
    source.held = True
    asked = world.start(put(), source, 4)
    asked.cancel()
    with pytest.raises(CancelledError):
        asked.get()
    assert world.server.last.aborted
    assert source.cancelled
    assert world.client.in_use == 0
    assert nothing_is_due(world.clock)
    assert not logged


@pytest.mark.parametrize("answered", [True, False])
def test_a_body_is_let_go_of_at_once(world: World, answered: bool) -> None:
    """Not when the garbage collector comes round to it."""
    gc.disable()
    try:
        source = Source(b"data")
        gone = weakref.ref(source)
        asked = world.start(put(), source, 4)
        del source
        if answered:
            world.server.last.answer(200)
            result(asked.get().body.read_all())
        else:
            world.server.last.reset()
        assert not asked.pending
        del asked  # and the traceback of its failure, which holds whatever was called
        assert gone() is None
    finally:
        gc.enable()
