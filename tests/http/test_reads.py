"""Large bodies that arrive together divide what is granted to one read of each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bleepstore.http.body import LARGE, NARROW, READS
from bleepstore.http.factory import HTTPFactory
from bleepstore.http.settings import LINGER_BYTES, Handler
from bleepstore.shares import MOST
from tests.http.connection import Connection, Recorder, Wait, head

ANNOUNCED = f"Content-Length: {10 * LARGE}"


class Upload(Connection):
    """A connection that notes how much its channel wants to read at once."""

    def __init__(self, handler: Handler, factory: HTTPFactory) -> None:
        super().__init__(handler, factory=factory)
        self.sizes: list[int] = []
        setattr(self.channel.outbound, "read_widely", self.sizes.append)  # noqa: B010


class World:
    """Connections of one factory; the first has a clock."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.first = Connection(self.recorder)
        self.reads = self.first.factory.reads

    def upload(self, *fields: str) -> Upload:
        """A connection on which the head of a request has arrived."""
        connection = Upload(self.recorder, self.first.factory)
        connection.send(head("PUT", "/", *(fields or (ANNOUNCED,))))
        return connection

    def fill(self) -> list[Upload]:
        """Let there be so many uploads that one more, or one less, makes a difference."""
        uploads = [self.upload() for _ in range(READS // MOST)]
        assert self.reads.size == MOST
        return uploads


def test_a_small_body_is_read_as_usual() -> None:
    world = World()
    connection = world.upload(f"Content-Length: {LARGE}")
    connection.send(bytes(LARGE))
    assert connection.sizes == []


def test_a_body_of_unknown_length_may_be_large() -> None:
    connection = World().upload("Transfer-Encoding: chunked")
    assert connection.sizes == [NARROW]
    connection.send(b"10000\r\n" + bytes(65536) + b"\r\n")
    assert connection.sizes == [NARROW, MOST]


def test_small_chunks_are_not_read_widely_for_each_of_them_costs_time() -> None:
    connection = World().upload("Transfer-Encoding: chunked")
    for part in (b"1\r\na\r\n" * 1000, b"100000\r\n" + bytes(1000), b"1\r\na\r\n" * 3):
        connection.send(part)
    assert connection.sizes == [NARROW, NARROW, MOST, MOST]  # the last are data of the large one
    connection.send(bytes(0x100000 - 1000 - 18) + b"\r\n" + b"1\r\na\r\n" * 9000)
    connection.send(b"1\r\na\r\n" * 9000)
    assert connection.sizes[-1] == NARROW


def test_reads_shrink_when_others_come_and_grow_when_they_have_gone() -> None:
    world = World()
    first, second, *_ = world.fill()
    one_more = world.upload()
    for connection in (first, second):
        connection.channel.dataReceived(b"x")
    one_more.sever()
    first.channel.dataReceived(b"x")
    assert first.sizes == [MOST, MOST // 2, MOST]
    assert second.sizes == [MOST, MOST // 2]


def complete(world: World, connection: Upload) -> None:
    reading = Wait(world.recorder.last.body.read())
    connection.send(bytes(10 * LARGE))
    assert len(reading.value) == 10 * LARGE


def lose(world: World, connection: Upload) -> None:
    connection.sever()


def refuse(world: World, connection: Upload) -> None:
    world.recorder.last.respond(403, [])


def refuse_and_discard_too_much(world: World, connection: Upload) -> None:
    world.recorder.last.respond(403, [])
    connection.send(bytes(LINGER_BYTES + 1))
    connection.settle()


def refuse_and_let_linger(world: World, connection: Upload) -> None:
    world.recorder.last.respond(403, [])
    world.first.advance(60)
    connection.settle()


def say_no_more(world: World, connection: Upload) -> None:
    connection.channel.readConnectionLost()
    world.recorder.last.respond(400, [])
    connection.settle()


def say_too_little(world: World, connection: Upload) -> None:
    world.first.advance(1)
    reading = Wait(world.recorder.last.body.read())
    world.first.advance(120)
    assert reading.failure
    world.recorder.last.respond(400, [])
    connection.settle()


@pytest.mark.parametrize(
    "end",
    [
        complete,
        lose,
        refuse,
        refuse_and_discard_too_much,
        refuse_and_let_linger,
        say_no_more,
        say_too_little,
    ],
)
def test_whatever_ends_a_body_gives_its_share_back_once(
    end: Callable[[World, Upload], None],
) -> None:
    world = World()
    world.fill()
    connection = world.upload()
    assert world.reads.size == MOST // 2
    end(world, connection)
    assert world.reads.size == MOST
    assert connection.sizes[-1] == 0
    connection.sever()
    one_more = world.upload()
    assert world.reads.size == MOST // 2, "the share was given back twice"
    one_more.sever()
    assert world.reads.size == MOST
