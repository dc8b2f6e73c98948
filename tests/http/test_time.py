"""Time-outs, the limit of connections, and the graceful end, by a clock of the test's own."""

from __future__ import annotations

import pytest
from twisted.logger import LogLevel, capturedLogs, formatEvent

from bleepstore.errors import RequestTimeout
from bleepstore.http.settings import Limits
from tests.http.connection import Connection, Recorder, Wait, answering, echo, head, running

LIMITS = Limits(read_timeout=10, write_timeout=20, idle_timeout=30, max_connections=2)


def test_a_silent_connection_is_closed_after_the_idle_time() -> None:
    connection = Connection(answering(), LIMITS)
    connection.advance(29)
    assert not connection.transport.closing
    connection.advance(2)
    assert connection.transport.closing
    assert connection.output == b""


def test_the_idle_time_begins_with_the_end_of_a_response() -> None:
    connection = Connection(answering(), LIMITS)
    connection.advance(25)
    connection.send(head())
    connection.advance(29)
    assert not connection.transport.closing
    connection.advance(2)
    assert connection.transport.closing


def test_a_head_must_be_whole_in_time_from_its_first_byte() -> None:
    connection = Connection(answering(), LIMITS)
    connection.advance(25)
    for byte in head()[:9]:
        connection.send(bytes((byte,)))
        connection.advance(1)
    assert connection.output == b""
    connection.send(b"x")
    connection.advance(2)
    assert connection.response().status == 408
    connection.advance(12)
    assert connection.transport.closing


def test_a_stray_line_end_is_not_the_beginning_of_a_head() -> None:
    connection = Connection(answering(), LIMITS)
    connection.send(b"\r\n")
    connection.advance(31)
    assert connection.transport.closing
    assert connection.output == b""


def test_a_body_must_not_pause_too_long_while_it_is_read() -> None:
    connection = Connection(running(echo), LIMITS)
    connection.send(head("PUT", "/", "Content-Length: 10"))
    for _ in range(4):
        connection.advance(9)
        connection.send(b"x")
    assert connection.output == b""
    connection.advance(11)
    assert connection.response().status == 408
    assert connection.response().headers["connection"] == "close"


def test_the_time_of_a_handler_is_its_own() -> None:
    recorder = Recorder()
    connection = Connection(recorder, LIMITS)
    connection.send(head("PUT", "/", "Content-Length: 3"))
    connection.advance(1000)
    assert not connection.transport.closing
    reading = Wait(recorder.last.body.read())
    connection.advance(11)
    assert isinstance(reading.failure, RequestTimeout)


def test_so_is_the_time_between_two_reads() -> None:
    recorder = Recorder()
    connection = Connection(recorder, LIMITS)
    connection.send(head("PUT", "/", "Content-Length: 3"))
    reading = Wait(recorder.last.body.read())
    connection.send(b"a")
    assert reading.value == b"a"
    connection.advance(1000)
    connection.send(b"bc")
    assert Wait(recorder.last.body.read()).value == b"bc"


def test_what_a_body_failed_of_is_said_by_every_later_read() -> None:
    recorder = Recorder()
    connection = Connection(recorder, LIMITS)
    connection.send(head("PUT", "/", "Content-Length: 3"))
    body = recorder.last.body
    reading = Wait(body.read())
    connection.advance(11)
    connection.sever()
    assert isinstance(reading.failure, RequestTimeout)
    assert isinstance(Wait(body.read()).failure, RequestTimeout)


def test_a_rest_that_does_not_come_ends_the_connection() -> None:
    connection = Connection(answering(403), LIMITS)
    connection.send(head("PUT", "/", "Content-Length: 3"))
    connection.advance(11)
    assert connection.transport.closing


def test_a_client_that_takes_nothing_is_cut_off() -> None:
    recorder = Recorder()
    connection = Connection(recorder, LIMITS, capacity=100)
    connection.send(head())
    recorder.last.start(200, [])
    sending = Wait(recorder.last.send(bytes(1000)))
    connection.advance(25)
    assert connection.transport.aborted
    connection.settle()
    assert isinstance(sending.failure, ConnectionError)


def test_a_stalled_client_is_cut_off_when_its_response_has_ended_too() -> None:
    connection = Connection(answering(body=bytes(1000)), LIMITS, capacity=100)
    connection.send(head("GET", "/", "Connection: close"))
    assert connection.transport.closing
    connection.advance(25)
    assert connection.transport.aborted


def test_a_client_that_takes_its_time_is_served() -> None:
    recorder = Recorder()
    connection = Connection(recorder, LIMITS, capacity=10)
    connection.send(head())
    recorder.last.start(200, [(b"Content-Length", b"100")])
    for _ in range(10):
        sending = Wait(recorder.last.send(bytes(10)))
        connection.advance(15)
        connection.transport.take(10_000)
        assert not sending.pending
    recorder.last.finish()
    connection.transport.take(10_000)
    assert len(connection.response().body) == 100
    assert not connection.transport.aborted


@pytest.mark.parametrize("over", [1, 5])
def test_over_the_limit_a_connection_is_told_to_slow_down(over: int) -> None:
    first = Connection(answering(), LIMITS)
    crowd = [Connection(answering(), factory=first.factory) for _ in range(1 + over)]
    first.send(head())
    assert first.response().status == 200
    for connection in crowd[1:]:
        connection.send(head())
        assert connection.response().status == 503
        connection.send(head())
        assert len(connection.responses()) == 1
    first.sever()
    crowd[1].sever()
    assert crowd[0].output == b""


def test_over_the_limit_nothing_is_said_before_a_request_is_there() -> None:
    """hyper, the HTTP client of Rust, takes an answer without a request for a breach of HTTP: what
    was about to be sent fails for good, where a 503 would have been tried again."""
    first = Connection(answering(), LIMITS)
    crowd = [Connection(answering(), factory=first.factory) for _ in range(2)]
    crowd[1].send(head("PUT", "/", "Content-Length: 3")[:-1])
    assert crowd[1].output == b""
    crowd[1].send(b"\nabc")
    assert crowd[1].response().status == 503


def test_over_the_limit_a_head_request_is_answered_without_a_body() -> None:
    first = Connection(answering(), LIMITS)
    crowd = [Connection(answering(), factory=first.factory) for _ in range(2)]
    crowd[1].send(head("HEAD"))
    assert crowd[1].output.startswith(b"HTTP/1.1 503 ")
    assert crowd[1].output.endswith(b"\r\n\r\n")


def test_a_connection_over_the_limit_is_served_when_others_have_gone() -> None:
    first = Connection(answering(), LIMITS)
    crowd = [Connection(answering(), factory=first.factory) for _ in range(2)]
    first.sever()
    crowd[1].send(head() * 2)
    assert [response.status for response in crowd[1].responses()] == [200, 200]


def test_a_silent_connection_over_the_limit_makes_room_early() -> None:
    first = Connection(answering(), LIMITS)
    crowd = [Connection(answering(), factory=first.factory) for _ in range(2)]
    first.advance(11)
    assert crowd[1].transport.closing
    assert crowd[1].output == b""
    assert not crowd[0].transport.closing


def test_a_crowd_is_cut_without_an_answer() -> None:
    first = Connection(answering(), LIMITS)
    crowd = [Connection(answering(), factory=first.factory) for _ in range(40)]
    assert crowd[-1].transport.aborted
    assert crowd[-1].output == b""


def test_the_log_says_once_a_minute_that_clients_are_turned_away() -> None:
    with capturedLogs() as events:
        first = Connection(answering(), LIMITS)
        crowd = [Connection(answering(), factory=first.factory) for _ in range(17)]
        assert events == []
        for connection in crowd[1:]:
            connection.send(head())
        assert len(events) == 1
        first.advance(61)
        crowd[1].sever()
        Connection(answering(), factory=first.factory).send(head())
    lines = [(event["log_level"], formatEvent(event)) for event in events]
    said = (
        "There are more than 2 connections (server.max_connections): clients are told to slow down"
    )
    assert lines == [
        (LogLevel.warn, said),
        (LogLevel.warn, f"{said} (15 more since the last such line)"),
    ]


def test_no_delayed_call_is_left_when_nobody_is_connected() -> None:
    connection = Connection(answering(), LIMITS)
    assert len(connection.clock.getDelayedCalls()) == 1
    connection.send(head() * 3)
    connection.clock.advance(0)  # the turn in which they were served is over
    assert len(connection.clock.getDelayedCalls()) == 1
    connection.sever()
    assert connection.clock.getDelayedCalls() == []


# The graceful end


def test_idle_connections_close_at_once() -> None:
    connection = Connection(answering(), LIMITS)
    connection.send(head())
    stopped = Wait(connection.factory.stop(30))
    assert connection.transport.closing
    assert stopped.pending
    connection.settle()
    assert not stopped.pending
    assert connection.clock.getDelayedCalls() == []


def test_nothing_to_stop_is_stopped() -> None:
    connection = Connection(answering(), LIMITS)
    connection.sever()
    assert not Wait(connection.factory.stop(30)).pending


def test_requests_in_flight_end_with_a_word() -> None:
    recorder = Recorder()
    connection = Connection(recorder, LIMITS)
    connection.send(head("PUT", "/1", "Content-Length: 3") + b"a")
    stopped = Wait(connection.factory.stop(30))
    connection.send(b"bc" + head("GET", "/2"))
    recorder.last.respond(200, [], b"done")
    assert connection.response().headers["connection"] == "close"
    assert len(recorder.requests) == 1
    assert connection.transport.closing
    connection.settle()
    assert not stopped.pending


def test_requests_that_do_not_end_are_cut() -> None:
    recorder = Recorder()
    connection = Connection(recorder, LIMITS)
    connection.send(head())
    stopped = Wait(connection.factory.stop(5))
    connection.advance(4)
    assert not connection.transport.aborted
    connection.advance(1)
    assert connection.transport.aborted
    connection.settle()
    assert not stopped.pending
    assert connection.clock.getDelayedCalls() == []


def test_who_comes_late_is_cut() -> None:
    recorder = Recorder()
    connection = Connection(recorder, LIMITS)
    connection.send(head())
    connection.factory.stop(5)
    late = Connection(answering(), factory=connection.factory)
    assert late.transport.aborted
