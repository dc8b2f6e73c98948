"""Servers in memory: what a client sent is seen byte for byte, the test answers."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from bleepstore.remote.client import RemoteClient
from bleepstore.remote.connections import Limits
from bleepstore.remote.requests import Origin

T = TypeVar("T")

ORIGIN = Origin("http", "store.example", 80)
LIMITS = Limits(connect=10, head=60, stall=30, turn=20, connections=3, idle=2, idle_for=15)


class Outcome:
    """What becomes of something that was started."""

    def __init__(self, waiting: Awaitable[Any]) -> None:
        self.values: list[Any] = []
        self.deferred = Deferred.fromCoroutine(_await(waiting))
        self.deferred.addBoth(self.values.append)

    @property
    def pending(self) -> bool:
        return not self.values

    def get(self) -> Any:
        """The result, or what it raises; it must be there."""
        assert self.values, "it has not ended"
        if isinstance(self.values[0], Failure):
            self.values[0].raiseException()
        return self.values[0]

    def cancel(self) -> None:
        self.deferred.cancel()


async def _await(waiting: Awaitable[T]) -> T:
    return await waiting


def result(waiting: Awaitable[T]) -> T:
    """What an awaitable gives that does not wait."""
    value: T = Outcome(waiting).get()
    return value


class Connection:
    """One connection as the server sees it; also the client's transport.

    :ivar received: what came from the client so far.
    :ivar room: bytes that it takes before the client is told to pause; None is no bound.
    :ivar reading: whether the client reads.
    """

    def __init__(self, room: int | None, clock: Clock) -> None:
        self._clock = clock
        self.received = bytearray()
        self.room = room
        self.held = 0
        self.reading = True
        self.closed = False
        self.aborted = False
        self.producer: Any = None
        self.protocol: Any = None
        self.disconnecting = False
        self.disconnected = False

    # The client's transport

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if self.closed or self.aborted:
            return
        self.received += data
        self.held += len(data)
        if self.room is not None and self.held > self.room and self.producer is not None:
            self.producer.pauseProducing()

    def writeSequence(self, pieces: Sequence[bytes]) -> None:
        self.write(b"".join(pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        assert self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def loseConnection(self) -> None:
        self.closed = True
        if self.producer is None:
            self._clock.callLater(0, self._lost, ConnectionDone())

    def abortConnection(self) -> None:
        if not self.aborted:
            self.aborted = True
            self._clock.callLater(0, self._lost, ConnectionAborted())

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 80)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.2", 40000)

    # The server's side

    def drain(self) -> None:
        """Take what was written: the client may go on."""
        self.held = 0
        if self.producer is not None:
            self.producer.resumeProducing()

    def send(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer."""
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def reset(self) -> None:
        self._lost(ConnectionLost())

    def _lost(self, reason: Exception) -> None:
        if not self.disconnected:
            self.disconnected = True
            producer, self.producer = self.producer, None
            if producer is not None:
                producer.stopProducing()
            self.protocol.connectionLost(Failure(reason))

    @property
    def head(self) -> tuple[bytes, dict[bytes, bytes]]:
        """The request line, and the headers by lower-case name, of the only request."""
        head = bytes(self.received).partition(b"\r\n\r\n")[0].split(b"\r\n")
        pairs = [line.split(b": ", 1) for line in head[1:]]
        return head[0], {name.lower(): value for name, value in pairs}

    @property
    def body(self) -> bytes:
        return bytes(self.received).partition(b"\r\n\r\n")[2]

    def forget(self) -> None:
        """Look only at what comes from now on."""
        self.received.clear()


@implementer(IStreamClientEndpoint)
class Server:
    """Accepts connections, refuses them, or lets them wait."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.clock = Clock()
        self.connections: list[Connection] = []
        self.refuse: Exception | None = None
        self.hang = False
        self.cancelled = 0

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        if self.refuse is not None:
            return fail(self.refuse)
        if self.hang:
            return Deferred(self._gave_up)
        connection = Connection(self.room, self.clock)
        protocol: Any = factory.buildProtocol(connection.getPeer())
        connection.protocol = protocol
        self.connections.append(connection)
        protocol.makeConnection(connection)
        connected: Deferred[Any] = Deferred()
        connected.callback(protocol)
        return connected

    def _gave_up(self, waiter: Deferred[Any]) -> None:
        self.cancelled += 1

    @property
    def last(self) -> Connection:
        return self.connections[-1]


class Source:
    """A body of which the test says when its pieces come."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.reads = 0
        self.held = False
        self.waiting: Deferred[bytes] | None = None
        self.cancelled = False

    async def read(self) -> bytes:
        assert self.waiting is None, "reads overlap"
        self.reads += 1
        if self.held:
            self.waiting = Deferred(self._gave_up)
            return await self.waiting
        return self.pieces.pop(0) if self.pieces else b""

    def give(self, data: bytes) -> None:
        """Let the read that waits have this."""
        assert self.waiting is not None
        waiting, self.waiting = self.waiting, None
        waiting.callback(data)

    def _gave_up(self, waiter: Deferred[bytes]) -> None:
        self.cancelled = True
        self.waiting = None


def client_of(server: Server, limits: Limits = LIMITS) -> tuple[RemoteClient, Clock]:
    return RemoteClient(server.clock, lambda origin: server, limits), server.clock


def nothing_is_due(clock: Clock) -> bool:
    """Whether no deadline is left over, once connections that were closed are gone."""
    clock.advance(0)
    return not clock.getDelayedCalls()
