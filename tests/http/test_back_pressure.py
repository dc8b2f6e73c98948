"""A silent handler fills no memory, and a reader waits only for what has not arrived."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError

from bleepstore.http.body import HIGH_WATER, TINY
from tests.http.connection import Connection, Recorder, Wait, head

MIB = 1 << 20


@pytest.mark.parametrize("size", [64 * 1024, 256 * 1024])
def test_while_nobody_reads_the_transport_is_paused(size: int) -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/", f"Content-Length: {8 * MIB}"))
    connection.pour(bytes(8 * MIB))
    left = connection.send_in_reads(size)
    assert not connection.transport.reading
    assert 8 * MIB - left < HIGH_WATER + size
    body = recorder.last.body
    received = 0
    while not recorder.last.finished:
        piece = Wait(body.read()).value
        received += len(piece)
        left = connection.send_in_reads(size)
        assert 8 * MIB - received - left < HIGH_WATER + size
        if not piece:
            recorder.last.respond(200, [])
    assert received == 8 * MIB
    assert connection.transport.reading


def test_chunked_bodies_are_held_back_too() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/", "Transfer-Encoding: chunked"))
    connection.pour((b"10000\r\n" + bytes(65536) + b"\r\n") * 64 + b"0\r\n\r\n")
    left = connection.send_in_reads(65536)
    assert left > 60 * 65536
    received = 0
    while piece := Wait(recorder.last.body.read()).value:
        received += len(piece)
        connection.send_in_reads(65536)
    assert received == recorder.last.body.received == 64 * 65536


def test_tiny_pieces_wait_together() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/", "Content-Length: 20000"))
    sent = b"".join(b"%06d" % number for number in range(3000))
    for at in range(0, len(sent), 2):
        connection.send(sent[at : at + 2])
    connection.send(bytes(2000))
    pieces = []
    while piece := Wait(recorder.last.body.read()).value:
        pieces.append(piece)
    assert b"".join(pieces) == sent + bytes(2000)
    assert len(pieces) <= 1 + 20000 // TINY
    assert max(map(len, pieces)) < 2 * TINY


def test_a_read_that_waits_gets_what_arrives_uncopied() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/", "Content-Length: 2000"))
    reading = Wait(recorder.last.body.read())
    assert reading.pending
    piece = bytes(1000)
    connection.send(piece)
    assert reading.value is piece


def test_the_end_is_read_again_and_again() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/", "Content-Length: 1") + b"a")
    body = recorder.last.body
    assert [Wait(body.read()).value for _ in range(3)] == [b"a", b"", b""]


def test_a_chunked_end_without_data_ends_the_wait() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/", "Transfer-Encoding: chunked"))
    reading = Wait(recorder.last.body.read())
    connection.send(b"0\r\n")
    assert reading.pending
    connection.send(b"\r\n")
    assert reading.value == b""


def test_two_reads_at_once_are_a_defect() -> None:
    recorder = Recorder()
    Connection(recorder).send(head("PUT", "/", "Content-Length: 1"))
    assert Wait(recorder.last.body.read()).pending
    assert isinstance(Wait(recorder.last.body.read()).failure, RuntimeError)


def test_a_cancelled_read_loses_nothing() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/", "Content-Length: 3"))
    reading = Wait(recorder.last.body.read())
    reading.deferred.cancel()
    assert isinstance(reading.failure, CancelledError)
    connection.send(b"abc")
    assert Wait(recorder.last.body.read()).value == b"abc"


def test_a_cancelled_send_leaves_the_response_usable() -> None:
    recorder = Recorder()
    connection = Connection(recorder, capacity=10)
    connection.send(head())
    recorder.last.start(200, [(b"Content-Length", b"100")])
    sending = Wait(recorder.last.send(bytes(60)))
    sending.deferred.cancel()
    assert isinstance(sending.failure, CancelledError)
    connection.transport.take(1000)
    Wait(recorder.last.send(bytes(40)))
    recorder.last.finish()
    connection.transport.take(1000)
    assert len(connection.response().body) == 100


def test_an_answer_before_the_end_of_the_body_frees_what_waits() -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    connection.send(head("PUT", "/1", "Content-Length: 150000"))
    connection.pour(bytes(150_000) + head("GET", "/2"))
    connection.send_in_reads(140_000)
    assert not connection.transport.reading
    recorder.last.respond(403, [])
    connection.send_in_reads(140_000)
    assert recorder.last.uri == b"/2"
