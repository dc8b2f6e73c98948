"""Conversations: requests in, responses out in order, and when the connection ends."""

from __future__ import annotations

import ssl
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from bleepstore.errors import AccessDenied, IncompleteBody, InternalError, StoreError
from bleepstore.http.crowd import TOGETHER
from bleepstore.http.request import Request
from bleepstore.http.settings import DRAIN, LINGER_BYTES, LINGER_TIME, PIPELINE, TURN, Limits
from bleepstore.interfaces.http import Header, IBody, IHttpRequest
from tests.http.connection import (
    Connection,
    Recorder,
    Wait,
    answering,
    echo,
    head,
    parse_responses,
    running,
)

CHUNKED = "Transfer-Encoding: chunked"


def test_a_request_is_answered_in_one_write_with_date_and_server() -> None:
    connection = Connection(answering())
    connection.send(head())
    response = connection.response()
    assert (response.status, response.body) == (200, b"hello")
    assert response.headers == {
        "server": "BleepStore",
        "date": "Thu, 01 Jan 1970 00:00:00 GMT",
        "content-type": "text/plain",
        "content-length": "5",
    }
    assert not connection.transport.closing


def test_the_date_is_renewed() -> None:
    connection = Connection(answering())
    connection.advance(61)
    connection.send(head())
    assert connection.response().headers["date"] == "Thu, 01 Jan 1970 00:01:01 GMT"


def test_requests_and_bodies_keep_their_contract() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/b/k?x", "Content-Length: 3", "X-A: 1", "x-a: 2") + b"ab")
    request = recorder.last
    assert verifyObject(IHttpRequest, request)
    assert verifyObject(IBody, request.body)
    assert (request.method, request.uri, request.client_host) == (b"PUT", b"/b/k?x", "192.0.2.7")
    assert request.fields[b"x-a"] == b"1,2"
    assert (request.secure, request.started, request.body.length) == (False, False, 3)
    assert (request.bytes_received, request.bytes_sent) == (2, 0)
    connection.send(b"c")
    request.respond(200, [], b"four")
    assert (request.started, request.bytes_received, request.bytes_sent) == (True, 3, 4)


def test_a_body_that_came_whole_with_its_head_is_read_once_and_then_at_its_end() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/b/k", "Content-Length: 3", "Expect: 100-continue") + b"abc")
    request = recorder.last
    assert verifyObject(IBody, request.body)
    assert (request.body.length, request.bytes_received) == (3, 3)
    for expected in (b"abc", b"", b""):
        assert Deferred.fromCoroutine(request.body.read()).result == expected
    request.respond(200, ())
    assert connection.response().status == 200, "and no 100 before it"
    connection.send(head())
    assert recorder.last is not request, "nothing of it is left in the way of the next request"


def test_a_body_that_is_not_there_is_empty_at_once() -> None:
    recorder = Recorder()
    Connection(recorder).send(head())
    assert verifyObject(IBody, recorder.last.body)
    assert Wait(recorder.last.body.read()).value == b""


SCRIPT = (
    head("GET", "/1")
    + b"\r\n"
    + head("PUT", "/2", "Content-Length: 5")
    + b"GET /"
    + head("POST", "/3", CHUNKED)
    + b"3\r\nabc\r\n2;x\r\n\r\n\r\n0\r\nT: 1\r\n\r\n"
    + head("DELETE", "/4", "Content-Length: 0")
    + head("PUT", "/caf\u00c3\u00a9", "Content-Length: 1", "Expect: 100-continue")
    + b"z"
    + head("GET", "/6", "Connection: close")
)
ANSWERS = [b"/1 ", b"/2 GET /", b"/3 abc\r\n", b"/4 ", "/caf\u00e9 z".encode(), b"/6 "]


def converse(pieces: list[bytes]) -> list[bytes]:
    connection = Connection(running(echo))
    for piece in pieces:
        connection.send(piece)
    assert connection.transport.closing
    return [response.body for response in connection.responses()]


def test_pipelined_requests_are_answered_in_order() -> None:
    assert converse([SCRIPT]) == ANSWERS


def test_byte_by_byte_makes_no_difference() -> None:
    assert converse([bytes((byte,)) for byte in SCRIPT]) == ANSWERS


@settings(max_examples=50)
@given(st.lists(st.integers(0, len(SCRIPT)), max_size=12))
def test_splits_make_no_difference(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(SCRIPT)]
    assert converse([SCRIPT[a:b] for a, b in pairwise(edges)]) == ANSWERS


def test_one_handler_at_a_time() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("GET", "/1") + head("GET", "/2"))
    assert [request.uri for request in recorder.requests] == [b"/1"]
    recorder.last.respond(200, [], b"one")
    assert [request.uri for request in recorder.requests] == [b"/1", b"/2"]
    recorder.last.respond(200, [], b"two")
    assert [response.body for response in connection.responses()] == [b"one", b"two"]


def test_a_long_pipeline_lets_other_connections_have_their_turn() -> None:
    connection = Connection(answering())
    connection.send(head() * (TURN + 5))
    assert len(connection.responses()) == TURN
    connection.clock.advance(0)
    assert len(connection.responses()) == TURN + 5


def test_many_long_pipelines_have_a_turn_together() -> None:
    """Not one each: a client that asks for one thing would wait for all of them."""
    first = Connection(answering())
    others = [Connection(first.factory.handler, factory=first.factory) for _ in range(20)]
    connections = [first, *others]
    for connection in connections:
        connection.send(head() * TURN)
    served = [len(connection.responses()) for connection in connections]
    assert sum(served) == TOGETHER + len(connections)
    assert served[0] == TURN
    assert served[-1] == 1
    first.clock.advance(0)
    assert all(len(connection.responses()) == TURN for connection in connections)


def test_pipelined_bytes_are_bounded_while_a_request_is_served() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head())
    connection.pour(head() * 10_000)
    connection.send_in_reads(16 * 1024)
    assert not connection.transport.reading
    assert len(connection.channel._input) < PIPELINE + 16 * 1024
    recorder.last.respond(200, [])
    while recorder.last.channel is not None:
        recorder.last.respond(200, [])
        connection.send_in_reads(16 * 1024)
    assert len(recorder.requests) == 10_001


def test_responses_that_the_client_does_not_take_stop_its_pipeline() -> None:
    connection = Connection(answering(body=bytes(1000)), capacity=3000)
    connection.send(head() * 20)
    assert connection.transport.most_waiting < 5000
    connection.transport.take(10_000)
    while connection.transport.waiting:
        connection.transport.take(10_000)
    assert len(connection.responses()) == 20


# Heads of responses


def test_head_announces_the_length_and_sends_no_body() -> None:
    connection = Connection(answering(body=b"hello"))
    connection.send(head("HEAD"))
    assert b"Content-Length: 5\r\n" in connection.output
    assert connection.output.endswith(b"\r\n\r\n")


def test_head_keeps_a_length_that_is_given() -> None:
    def handle(request: Request) -> None:
        request.respond(200, [(b"content-length", b"77")])

    connection = Connection(handle)
    connection.send(head("HEAD"))
    assert connection.output.lower().count(b"content-length") == 1
    assert b"content-length: 77" in connection.output


def test_a_streamed_answer_to_head_sends_nothing() -> None:
    async def serve(request: Request) -> None:
        request.start(200, [(b"Content-Length", b"5")])
        await request.send(b"hello")
        request.finish()
        assert request.bytes_sent == 0

    connection = Connection(running(serve))
    connection.send(head("HEAD"))
    assert b"Content-Length: 5\r\n" in connection.output
    assert connection.output.endswith(b"\r\n\r\n")
    assert not connection.transport.closing


@pytest.mark.parametrize("status", [204, 304])
def test_204_and_304_have_neither_length_nor_body(status: int) -> None:
    def handle(request: Request) -> None:
        request.respond(status, [(b"Content-Length", b"3"), (b"ETag", b'"x"')], b"abc")

    connection = Connection(handle)
    connection.send(head())
    assert connection.output.startswith(b"HTTP/1.1 %d " % status)
    assert b"ontent-" not in connection.output
    assert b"abc" not in connection.output
    assert not connection.transport.closing


@pytest.mark.parametrize("control", [b"\r\n", b"\n", b"\r", b"\0", b"\n\r", b"\r\n\r\n"])
def test_control_characters_of_a_field_become_spaces(control: bytes) -> None:
    """Or what a client has stored with an object could be another answer to the next one."""
    headers = [(b"X-A", b"1" + control + b"X-B: 2"), (b"X-" + control + b"C", b"3")]

    def handle(request: Request) -> None:
        if request.uri == b"/stream":
            request.start(200, [(b"Content-Length", b"0"), *headers])
            request.finish()
        else:
            request.respond(200, headers)

    for target in ("/", "/stream"):
        connection = Connection(handle)
        connection.send(head("GET", target))
        blanks = b" " * len(control)
        assert b"\r\nX-A: 1%bX-B: 2\r\nX-%bC: 3\r\n" % (blanks, blanks) in connection.output


def test_an_unknown_status_has_a_status_line() -> None:
    connection = Connection(answering(299))
    connection.send(head())
    assert connection.output.startswith(b"HTTP/1.1 299 ")


# Streamed responses


def test_a_stream_with_a_length_is_sent_as_it_is() -> None:
    async def serve(request: Request) -> None:
        request.start(200, [(b"Content-Length", b"6")])
        await request.send(b"abc")
        await request.send(memoryview(b"xdef")[1:])
        request.finish()

    connection = Connection(running(serve))
    connection.send(head())
    assert connection.response().body == b"abcdef"
    assert "transfer-encoding" not in connection.response().headers


@pytest.mark.parametrize("status", [204, 304])
def test_a_stream_of_a_status_without_a_body_sends_none(status: int) -> None:
    async def serve(request: Request) -> None:
        request.start(status, [(b"Content-Length", b"3"), (b"ETag", b'"x"')])
        await request.send(b"abc")
        request.finish()

    connection = Connection(running(serve))
    connection.send(head())
    assert b'ETag: "x"' in connection.output
    assert b"ontent-" not in connection.output
    assert connection.output.endswith(b"\r\n\r\n")
    assert not connection.transport.closing


def test_a_response_of_another_length_than_announced_is_not_sent() -> None:
    for length in (b"2", b"4", b"0"):
        recorder = Recorder()
        connection = Connection(recorder)
        connection.send(head())
        with pytest.raises(RuntimeError):
            recorder.last.respond(200, [(b"Content-Length", length)], b"abc")
        assert connection.output == b""
        assert connection.transport.aborted


def test_nothing_is_sent_before_a_response_has_begun_nor_after_its_end() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head())
    with pytest.raises(RuntimeError):
        recorder.last.push(b"early")
    recorder.last.respond(200, [])
    with pytest.raises(RuntimeError):
        recorder.last.push(b"late")
    assert connection.response().body == b""


def test_a_stream_without_a_length_is_chunked() -> None:
    async def serve(request: Request) -> None:
        request.start(200, [])
        for piece in (b"abc", b"", b"x" * 100_000):
            await request.send(piece)
        request.finish()
        assert request.bytes_sent == 100_003

    connection = Connection(running(serve))
    connection.send(head())
    response = connection.response()
    assert response.headers["transfer-encoding"] == "chunked"
    assert response.body == b"abc" + b"x" * 100_000
    assert response.complete
    assert not connection.transport.closing


def test_to_http_1_0_a_stream_without_a_length_ends_with_the_connection() -> None:
    async def serve(request: Request) -> None:
        request.start(200, [])
        await request.send(b"abc")
        request.finish()

    connection = Connection(running(serve))
    connection.send(head("GET", "/", "Connection: keep-alive", version="1.0"))
    assert b"Transfer-Encoding" not in connection.output
    assert b"Connection: close" in connection.output
    assert connection.output.endswith(b"\r\n\r\nabc")
    assert connection.transport.closing


def test_a_stream_that_ends_early_cuts_the_connection() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head())
    recorder.last.start(200, [(b"Content-Length", b"6")])
    Wait(recorder.last.send(b"abc"))
    recorder.last.finish()
    assert connection.transport.aborted


def test_more_than_was_announced_is_not_sent() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head())
    recorder.last.start(200, [(b"Content-Length", b"2")])
    assert isinstance(Wait(recorder.last.send(b"abc")).failure, RuntimeError)
    assert b"abc" not in connection.output
    assert connection.transport.aborted


def test_a_response_is_begun_once() -> None:
    recorder = Recorder()
    Connection(recorder).send(head())
    recorder.last.start(200, [])
    with pytest.raises(RuntimeError):
        recorder.last.respond(200, [])


def test_send_suspends_only_while_the_transport_is_full() -> None:
    recorder = Recorder()
    connection = Connection(recorder, capacity=1000)
    connection.send(head())
    recorder.last.start(200, [(b"Content-Length", b"3000")])
    assert not Wait(recorder.last.send(bytes(500))).pending
    waiting = Wait(recorder.last.send(bytes(2500)))
    assert waiting.pending
    connection.transport.take(1000)
    assert waiting.pending
    connection.transport.take(10_000)
    assert not waiting.pending
    recorder.last.finish()
    assert len(connection.response().body) == 3000


def test_a_turn_of_the_reactor_passes_unless_the_client_has_gone() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head())
    turn = Wait(recorder.last.turn())
    assert turn.pending
    connection.clock.advance(0)
    assert not turn.pending
    connection.sever()
    assert not Wait(recorder.last.turn()).pending


# Keeping and closing


@pytest.mark.parametrize(
    ("version", "option", "closed", "said"),
    [
        ("1.1", None, False, None),
        ("1.1", "close", True, "close"),
        ("1.0", None, True, "close"),
        ("1.0", "keep-alive", False, "keep-alive"),
    ],
)
def test_the_connection_ends_as_the_client_wishes(
    version: str, option: str | None, closed: bool, said: str | None
) -> None:
    connection = Connection(answering())
    fields = [] if option is None else [f"Connection: {option}"]
    connection.send(head("GET", "/", *fields, version=version))
    assert connection.response().headers.get("connection") == said
    assert connection.transport.closing is closed


def test_what_follows_connection_close_is_not_served() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("GET", "/1", "Connection: close") + head("GET", "/2"))
    recorder.last.respond(200, [])
    assert len(recorder.requests) == 1
    assert connection.transport.closing


def test_a_client_that_shut_its_writing_side_is_answered() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("GET", "/1") + head("GET", "/2"))
    connection.channel.readConnectionLost()
    recorder.last.respond(200, [], b"one")
    recorder.last.respond(200, [], b"two")
    assert [response.body for response in connection.responses()] == [b"one", b"two"]
    assert connection.responses()[-1].headers["connection"] == "close"
    assert connection.transport.closing


def test_an_idle_client_that_shuts_its_writing_side_is_let_go() -> None:
    connection = Connection(answering())
    connection.send(head() + b"GET / HT")
    connection.channel.readConnectionLost()
    assert connection.transport.closing


# Expectations


def test_continue_is_said_when_the_body_is_asked_for() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/", "Content-Length: 3", "Expect: 100-continue"))
    assert connection.output == b""
    reading = Wait(recorder.last.body.read())
    assert connection.output == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.send(b"abc")
    assert reading.value == b"abc"
    recorder.last.respond(200, [])
    assert not connection.transport.closing


def test_continue_is_said_to_an_empty_body_too() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/", "Content-Length: 0", "Expect: 100-continue"))
    assert connection.output == b"HTTP/1.1 100 Continue\r\n\r\n"
    recorder.last.respond(200, [])
    assert connection.response().status == 200
    assert not connection.transport.closing


def test_a_refusal_on_the_head_says_no_continue_and_ends_the_connection() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/", "Content-Length: 3", "Expect: 100-continue"))
    recorder.last.respond(403, [], b"no")
    assert b"100" not in connection.output.split(b"\r\n")[0]
    assert connection.response().headers["connection"] == "close"
    # The client may have taken the answer for the word to send nothing, or not: what comes now
    # is nobody's request.
    connection.send(head("GET", "/2"))
    assert len(recorder.requests) == 1


def test_no_continue_is_said_when_the_body_is_coming_already() -> None:
    connection = Connection(running(echo))
    connection.send(head("PUT", "/", "Content-Length: 3", "Expect: 100-continue") + b"a")
    connection.send(b"bc")
    assert b"100 Continue" not in connection.output
    assert connection.response().body == b"/ abc"


def test_any_other_expectation_fails() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/", "Content-Length: 3", "Expect: miracles"))
    response = connection.response()
    assert response.status == 417
    assert response.headers["connection"] == "close"
    assert response.body.startswith(b"BadRequest: ")
    assert recorder.requests == []


# Bodies that nobody asked for


def test_the_short_rest_of_a_body_is_drained_and_the_connection_kept() -> None:
    connection = Connection(answering(403))
    connection.send(head("PUT", "/1", f"Content-Length: {DRAIN}"))
    assert "connection" not in connection.response().headers
    connection.send(head("GET", "/x") * (DRAIN // len(head("GET", "/x"))))
    assert len(connection.responses()) == 1
    connection.send(bytes(DRAIN % len(head("GET", "/x"))) + head("GET", "/2"))
    assert len(connection.responses()) == 2
    assert not connection.transport.closing


@pytest.mark.parametrize("framing", [f"Content-Length: {DRAIN + 1}", CHUNKED])
def test_a_long_rest_is_discarded_until_the_client_closes(framing: str) -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/1", framing))
    recorder.last.respond(403, [])
    assert connection.response().headers["connection"] == "close"
    assert not connection.transport.closing  # or the client would lose the answer to a reset
    connection.send(head("GET", "/x") * 10)
    assert len(recorder.requests) == 1
    connection.channel.readConnectionLost()
    assert connection.transport.closing


def test_lingering_has_an_end_in_time() -> None:
    connection = Connection(answering(403))
    connection.send(head("PUT", "/1", CHUNKED))
    connection.advance(int(LINGER_TIME) + 2)
    assert connection.transport.closing


def test_lingering_has_an_end_in_bytes() -> None:
    connection = Connection(answering(403))
    connection.send(head("PUT", "/1", CHUNKED))
    piece = bytes(1 << 20)
    for _ in range(LINGER_BYTES // len(piece) + 1):
        connection.send(piece)
    assert connection.transport.aborted


def test_a_body_with_broken_coding_is_refused_by_read_and_ends_the_connection() -> None:
    recorder = Recorder()
    connection = Connection(running(echo))
    connection.send(head("PUT", "/1", CHUNKED) + b"3\r\nabcd\r\n" + head("GET", "/2"))
    assert connection.response().status == 400
    assert connection.response().headers["connection"] == "close"
    connection.send(head("GET", "/3"))
    assert len(connection.responses()) == 1
    assert recorder.requests == []


# Refusals


def client_hello() -> bytes:
    """What Python's ssl, which is OpenSSL, sends first."""
    sent = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="a.b")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def test_tls_is_refused_at_once_where_it_is_not_spoken() -> None:
    for hello in (client_hello(), b"\x16\x03\x01\x00\x05"):
        for parts in ([hello], [hello[at : at + 1] for at in range(len(hello))]):
            recorder = Recorder()
            connection = Connection(recorder)
            for part in parts:
                connection.send(part)
            response = connection.response()
            assert (response.status, response.headers["connection"]) == (400, "close")
            assert response.body.endswith(b"This port speaks plain HTTP, not TLS.\n")
            assert recorder.requests == []


def test_the_log_says_once_a_minute_that_a_client_spoke_tls() -> None:
    with capturedLogs() as events:
        first = Connection(Recorder())
        for _ in range(3):
            Connection(Recorder(), factory=first.factory).send(client_hello())
        first.send(b"NONSENSE\r\n\r\n")
        first.advance(61)
        Connection(Recorder(), factory=first.factory).send(client_hello())
    said = "A client spoke TLS to a port of plain HTTP: it is to use http://"
    assert [(event["log_level"], formatEvent(event)) for event in events] == [
        (LogLevel.warn, said),
        (LogLevel.warn, f"{said} (2 more since the last such line)"),
    ]


def test_a_malformed_head_is_refused_by_the_injected_function_and_lingers() -> None:
    recorder = Recorder()
    connection = Connection(
        recorder, refuse=lambda error: (418, [(b"X-Code", error.code.encode())], b"<Error/>")
    )
    connection.send(b"NONSENSE\r\n\r\n" + head())
    response = connection.response()
    assert (response.status, response.headers["x-code"]) == (418, "BadRequest")
    assert response.headers["connection"] == "close"
    assert response.body == b"<Error/>"
    connection.send(head())
    assert recorder.requests == []
    assert not connection.transport.closing
    connection.channel.readConnectionLost()
    assert connection.transport.closing


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\nHost: a\n\n", b"GET /\rX", b"\n"])
def test_bare_line_ends_are_refused_without_waiting(data: bytes) -> None:
    connection = Connection(answering())
    connection.send(data)
    assert connection.response().status == 400


def test_a_head_without_end_is_refused_at_the_limit() -> None:
    limits = Limits(max_target=1000, max_head=1000)
    connection = Connection(answering(), limits)
    connection.send(b"GET /" + b"a" * 1990)
    assert connection.output == b""
    connection.send(b"a" * 10)
    assert connection.response().status == 431


def test_a_refused_head_request_gets_no_body() -> None:
    connection = Connection(answering())
    connection.send(b"HEAD / HTTP/1.1\r\n\r\n")
    assert connection.output.startswith(b"HTTP/1.1 400 ")
    assert connection.output.endswith(b"\r\n\r\n")


def test_one_empty_line_before_a_request_is_ignored_and_no_more() -> None:
    connection = Connection(answering())
    connection.send(b"\r\n" + head())
    connection.send(b"\r")
    connection.send(b"\n" + head())
    assert [response.status for response in connection.responses()] == [200, 200]
    connection.send(b"\r\n\r\n\r\n\r\n")
    assert connection.responses()[-1].status == 400


# Handlers that fail


def test_a_refusal_raised_by_the_handler_is_the_answer() -> None:
    async def serve(request: Request) -> None:
        raise AccessDenied

    connection = Connection(running(serve), refuse=lambda error: (403, [], error.code.encode()))
    connection.send(head() * 2)
    assert [response.body for response in connection.responses()] == [b"AccessDenied"] * 2


def test_a_defect_is_an_internal_error_and_logged(logged_failures: list[BaseException]) -> None:
    def handle(request: Request) -> None:
        raise KeyError("defect")

    connection = Connection(handle)
    connection.send(head())
    assert connection.response().status == 500
    assert b"defect" not in connection.output
    assert [type(failure) for failure in logged_failures] == [KeyError]


def test_a_defect_after_the_response_began_cuts_it(logged_failures: list[BaseException]) -> None:
    async def serve(request: Request) -> None:
        request.start(200, [])
        raise KeyError("defect")

    connection = Connection(running(serve))
    connection.send(head())
    assert connection.transport.aborted
    assert not connection.responses()[0].complete
    assert [type(failure) for failure in logged_failures] == [KeyError]


def test_who_went_is_no_defect_but_a_defect_is_one_though_the_client_went(
    logged_failures: list[BaseException],
) -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head())
    request = recorder.last
    connection.sever()
    for gone in (ConnectionError(), CancelledError()):
        request.fail(Failure(gone))
    assert logged_failures == []
    request.fail(Failure(KeyError()))
    present = Connection(recorder)
    present.send(head())
    recorder.last.fail(Failure(ConnectionError()))  # of another connection, a store's
    assert present.response().status == 500
    assert [type(failure) for failure in logged_failures] == [KeyError, ConnectionError]


# Clients that go


def test_a_client_that_goes_while_it_sends() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/", "Content-Length: 10") + b"abc")
    request = recorder.last
    assert Wait(request.body.read()).value == b"abc"
    reading, watching = Wait(request.body.read()), Wait(request.notifyFinish())
    connection.sever()
    assert isinstance(reading.failure, IncompleteBody)
    assert watching.failures
    assert isinstance(Wait(request.body.read()).failure, IncompleteBody)
    request.respond(200, [])  # and nobody is hurt
    request.finish()
    assert connection.output == b""


def test_a_client_that_shuts_its_writing_side_within_a_body_reads_the_refusal() -> None:
    connection = Connection(running(echo))
    connection.send(head("PUT", "/", "Content-Length: 10") + b"abc")
    connection.channel.readConnectionLost()
    assert connection.response().status == 400
    assert connection.transport.closing


def test_a_client_that_goes_while_it_is_sent_to() -> None:
    recorder = Recorder()
    connection = Connection(recorder, capacity=10)
    connection.send(head())
    request = recorder.last
    request.start(200, [])
    sending, watching = Wait(request.send(bytes(100))), Wait(request.notifyFinish())
    connection.sever()
    assert isinstance(sending.failure, ConnectionError)
    assert isinstance(Wait(request.send(b"more")).failure, ConnectionError)
    assert watching.failures
    assert Wait(request.notifyFinish()).failures  # also when asked late


def test_a_finished_request_tells_those_who_watch() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head())
    watching = Wait(recorder.last.notifyFinish())
    recorder.last.respond(200, [])
    assert watching.values == [None]
    assert Wait(recorder.last.notifyFinish()).values == [None]


def test_abort_cuts_the_connection() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head())
    recorder.last.abort()
    assert connection.transport.aborted


# Anything at all

WORDS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n", b"\r\n\r\n", b"PUT /b/k HTTP/1.1\r\nHost: a\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n",
    b"5\r\nhello\r\n", b"0\r\n\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"\n",
    b"\r", b"\0", b" ", b":", b"HEAD / HTTP/1.0\r\n", b"\xff\xfe", b"X: y\r\n", b"zz\r\n",
]  # fmt: skip


def flatly(error: StoreError) -> tuple[int, list[Header], bytes]:
    return (500 if isinstance(error, InternalError) else 400), [], b""


@settings(max_examples=200)
@given(st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=8)), max_size=30))
def test_no_bytes_do_more_than_be_refused(words: list[bytes]) -> None:
    connection = Connection(running(echo), refuse=flatly)
    whole = Connection(running(echo), refuse=flatly)
    for word in words:
        connection.send(word)
    whole.send(b"".join(words))
    assert b"HTTP/1.1 5" not in connection.output
    # How the bytes were split makes no difference, but to whether 100-continue was still due.
    remark = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert connection.output.replace(remark, b"") == whole.output.replace(remark, b"")
    connection.channel.readConnectionLost()
    connection.advance(400)
    assert connection.transport.closing or connection.transport.aborted


def test_parse_responses_is_strict() -> None:
    assert [one.body for one in parse_responses(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")]
