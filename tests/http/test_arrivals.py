"""Connections that are read together: a real ``tcp.Connection`` on a socket pair each, and a
reactor that only notes what is asked of it."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from bleepstore.http import arrivals
from bleepstore.http.arrivals import Arrivals
from tests.http.connection import NotingReactor


class Noting(Protocol):
    """Tells what happens to it, to all of the test."""

    def __init__(self, name: str, told: list[tuple[str, object]]) -> None:
        self._name = name
        self._told = told
        self.then: Callable[[], object] = lambda: None

    def dataReceived(self, data: bytes) -> None:
        self._told.append((self._name, data))
        self.then()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._told.append((self._name, reason.type))


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Noting):
    """One that goes on when the client sends no more."""

    def readConnectionLost(self) -> None:
        self._told.append((self._name, "end"))

    def writeConnectionLost(self) -> None:
        self._told.append((self._name, "shut"))


class Crowd:
    """Connections of one server, and their clients."""

    def __init__(self) -> None:
        self.reactor = NotingReactor()
        self.arrivals = Arrivals()
        self.told: list[tuple[str, object]] = []
        self.clients: dict[str, socket.socket] = {}
        self.connections: dict[str, Connection] = {}

    def add(self, name: str, kind: type[Noting] = Noting) -> Noting:
        ours, client = socket.socketpair()
        for one in (ours, client):
            one.setblocking(False)
        protocol = kind(name, self.told)
        connection = Connection(ours, protocol, self.reactor)
        connection.connected = 1
        connection.startReading()
        self.arrivals.join(connection)
        self.clients[name] = client
        self.connections[name] = connection
        return protocol

    def turn(self) -> list[tuple[str, object]]:
        """Let the reactor call what is ready, once; what was told."""
        self.told.clear()
        if select.select([self.arrivals], [], [], 0)[0]:
            assert self.arrivals in self.reactor.readers
            self.arrivals.doRead()
        return list(self.told)

    def end(self) -> None:
        for name, connection in self.connections.items():
            if connection.connected:
                connection.connectionLost(Failure(ConnectionDone()))
            self.arrivals.leave(connection)
            self.clients[name].close()


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    crowd = Crowd()
    yield crowd
    crowd.end()


def test_the_reactor_sees_one_descriptor_and_all_are_read_in_one_call(crowd: Crowd) -> None:
    for name in "abc":
        crowd.add(name)
    assert crowd.reactor.readers == {crowd.arrivals}
    for name in "abc":
        crowd.clients[name].send(name.encode() * 3)
    assert sorted(crowd.turn()) == [("a", b"aaa"), ("b", b"bbb"), ("c", b"ccc")]
    crowd.clients["b"].send(b"again")
    assert crowd.turn() == [("b", b"again")]


def test_one_that_pauses_is_left_alone_until_it_resumes(crowd: Crowd) -> None:
    crowd.add("a")
    connection = crowd.connections["a"]
    connection.pauseProducing()
    crowd.clients["a"].send(b"later")
    assert crowd.turn() == []
    connection.resumeProducing()
    connection.resumeProducing()
    assert crowd.turn() == [("a", b"later")]
    assert crowd.reactor.readers == {crowd.arrivals}


def test_no_more_than_the_buffer_is_taken_and_the_rest_in_the_next_turn(crowd: Crowd) -> None:
    crowd.add("a")
    crowd.connections["a"].bufferSize = 4
    crowd.clients["a"].send(b"123456")
    assert crowd.turn() == [("a", b"1234")]
    assert crowd.turn() == [("a", b"56")]


def test_large_pieces_are_handed_on_before_the_next_is_received(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "GATHERED", 8)
    behind: list[bytes] = []
    first = crowd.add("a")
    crowd.add("b")
    first.then = lambda: behind.append(crowd.connections["b"].socket.recv(100))
    crowd.clients["a"].send(b"12345678")
    crowd.clients["b"].send(b"87654321")
    told = crowd.turn()
    if told[0][0] == "b":  # the kernel's order is its own
        assert told == [("b", b"87654321"), ("a", b"12345678")]
    else:
        assert behind == [b"87654321"]


def test_a_client_that_ends_is_a_connection_that_is_done(crowd: Crowd) -> None:
    crowd.add("a")
    crowd.add("b")
    crowd.clients["a"].send(b"last words")
    crowd.clients["a"].close()
    assert crowd.turn() == [("a", b"last words")]
    assert crowd.turn() == [("a", ConnectionDone)]
    crowd.clients["b"].send(b"still here")
    assert crowd.turn() == [("b", b"still here")]


def test_half_a_close_is_told_and_then_nothing_more_is_read(crowd: Crowd) -> None:
    crowd.add("a", HalfCloseable)
    crowd.clients["a"].shutdown(socket.SHUT_WR)
    assert crowd.turn() == [("a", "end")]
    assert crowd.turn() == []
    assert crowd.connections["a"].connected


def test_a_reset_is_a_connection_that_is_lost(crowd: Crowd) -> None:
    class Resetting:
        """A socket with which the kernel has given up."""

        def __init__(self, real: socket.socket) -> None:
            self.close = real.close
            self.shutdown = real.shutdown

        def recv(self, size: int) -> bytes:
            raise ConnectionResetError

    crowd.add("a")
    crowd.clients["a"].send(b"x")
    connection = crowd.connections["a"]
    connection.socket = Resetting(connection.socket)  # type: ignore[assignment]
    assert crowd.turn() == [("a", ConnectionLost)]


def test_a_protocol_that_breaks_loses_its_connection_and_no_other(crowd: Crowd) -> None:
    broken = crowd.add("a")
    crowd.add("b")

    def breaks() -> None:
        raise RuntimeError("broken")

    broken.then = breaks
    crowd.clients["a"].send(b"x")
    crowd.clients["b"].send(b"y")
    told = crowd.turn()
    assert set(told) == {("a", b"x"), ("a", ConnectionLost), ("b", b"y")}
    assert crowd.connections["b"].connected


def test_what_one_has_sent_is_not_told_after_another_had_it_cut(crowd: Crowd) -> None:
    protocols = {name: crowd.add(name) for name in "ab"}
    for name, other in ("ab", "ba"):
        cut = crowd.connections[other].connectionLost
        protocols[name].then = lambda cut=cut: cut(Failure(ConnectionDone()))  # type: ignore[misc]
        crowd.clients[name].send(b"x")
    told = crowd.turn()
    assert len(told) == 2
    assert told[1][1] is ConnectionDone
    assert told[0][0] != told[1][0]


def test_nothing_is_kept_of_the_last_that_leaves(crowd: Crowd) -> None:
    crowd.add("a")
    connection = crowd.connections["a"]
    connection.connectionLost(Failure(ConnectionDone()))
    crowd.arrivals.leave(connection)
    assert crowd.reactor.readers == set()
    assert crowd.arrivals.fileno() == -1
    assert "startReading" not in vars(connection)
    crowd.add("b")
    crowd.clients["b"].send(b"x")
    assert crowd.turn() == [("b", b"x")]


def test_when_the_reactor_ends_all_are_lost(crowd: Crowd) -> None:
    for name in "ab":
        crowd.add(name)
    crowd.told.clear()
    crowd.arrivals.connectionLost(Failure(ConnectionDone()))
    assert sorted(crowd.told, key=str) == [("a", ConnectionDone), ("b", ConnectionDone)]
    assert crowd.arrivals.fileno() == -1


def test_without_epoll_the_reactor_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll")
    crowd = Crowd()
    crowd.add("a")
    assert crowd.reactor.readers == {crowd.connections["a"]}
    crowd.end()
