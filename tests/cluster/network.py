"""A network in memory for the real transport: connections, splits, stalls, and a Clock.

Bytes that are written arrive in a later turn of the clock, or ``latency`` seconds later, cut as
``cut`` says.  A host can be
*frozen*: its connections stay, and nothing moves on them (a partition, or a stopped process).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

T = TypeVar("T")

Cut = Callable[[bytes], list[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


class End:
    """The transport of one end of a connection."""

    def __init__(self, network: Network, host: str, peer: str) -> None:
        self.network = network
        self.host, self.peer_host = host, peer
        self.protocol: Any = None
        self.other: End
        self.waiting = bytearray()
        self.producer: Any = None
        self.most_waiting = 0
        self.closing = False
        self.gone = False
        self.reading = True

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if self.closing or self.gone:
            return
        self.waiting += data
        self.most_waiting = max(self.most_waiting, len(self.waiting))
        if len(self.waiting) > self.network.capacity and self.producer is not None:
            self.producer.pauseProducing()
        self.network.stir()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def loseConnection(self) -> None:
        assert self.producer is None, "a registered producer keeps a TLS connection open"
        self.closing = True
        self.network.stir()

    def abortConnection(self) -> None:
        if not self.gone:
            self.waiting.clear()
            self.end(ConnectionAborted())
            self.network.clock.callLater(0, self.other.learn, ConnectionLost())

    def learn(self, reason: Exception) -> None:
        """The other side has ended it."""
        if self.network.is_frozen(self.host, self.peer_host):
            self.network.late.append((self, reason))
        else:
            self.end(reason)

    def end(self, reason: Exception) -> None:
        if not self.gone:
            self.gone = True
            self.protocol.connectionLost(Failure(reason))

    def getPeer(self) -> IAddress:
        return IPv4Address("TCP", self.peer_host, 50000)

    def getHost(self) -> IAddress:
        return IPv4Address("TCP", self.host, 9002)

    def move(self) -> bool:
        """Bring what waits to the other end; whether anything happened."""
        if self.gone or self.network.is_frozen(self.host, self.peer_host):
            return False
        if self.waiting:
            data = bytes(self.waiting)
            self.waiting.clear()
            for piece in self.network.cut(data):
                if not self.other.gone:
                    self.other.protocol.dataReceived(piece)
            if self.producer is not None:
                self.producer.resumeProducing()
            return True
        if self.closing:
            self.end(ConnectionDone())
            if not self.other.gone:
                self.other.end(ConnectionDone())
            return True
        return False


class Network:
    """Hosts that listen on names, and connections between them."""

    def __init__(self, clock: Clock, cut: Cut = whole, capacity: int = 65536) -> None:
        self.clock = clock
        self.cut = cut
        self.capacity = capacity
        self.listening: dict[tuple[str, int], Any] = {}
        self.ends: list[End] = []
        self.frozen: set[frozenset[str]] = set()
        self.late: list[tuple[End, Exception]] = []
        self.dialed: list[tuple[str, str]] = []
        self.latency = 0.0
        self._stirred = False

    def is_frozen(self, one: str, other: str) -> bool:
        return frozenset((one, other)) in self.frozen

    def freeze(self, one: str, other: str) -> None:
        self.frozen.add(frozenset((one, other)))

    def thaw(self) -> None:
        self.frozen.clear()
        late, self.late = self.late, []
        for end, reason in late:
            end.end(reason)
        self.stir()

    def stir(self) -> None:
        if not self._stirred:
            self._stirred = True
            self.clock.callLater(self.latency, self._run)

    def _run(self) -> None:
        self._stirred = False
        moved = False
        for end in list(self.ends):
            moved = end.move() or moved
        self.ends = [end for end in self.ends if not end.gone]
        if moved:
            self.stir()

    def listener(self, host: str, port: int = 9002) -> Listener:
        return Listener(self, host, port)

    def endpoints(self, caller: str) -> Callable[[str, int], Any]:
        return lambda host, port: Caller(self, caller, host, port)

    def connections(self, one: str, other: str) -> list[End]:
        """The ends at ``one`` of the connections between the two."""
        return [end for end in self.ends if (end.host, end.peer_host) == (one, other)]


@implementer(IListeningPort)
class Port:
    def __init__(self, network: Network, key: tuple[str, int]) -> None:
        self.network, self.key = network, key

    def startListening(self) -> None: ...

    def stopListening(self) -> Deferred[None]:
        del self.network.listening[self.key]
        return succeed(None)

    def getHost(self) -> IAddress:
        return IPv4Address("TCP", *self.key)


class Listener:
    def __init__(self, network: Network, host: str, port: int) -> None:
        self.network, self.key = network, (host, port)

    def listen(self, factory: Any) -> Deferred[IListeningPort]:
        if self.key in self.network.listening:
            return fail(OSError("in use"))
        self.network.listening[self.key] = factory
        return succeed(Port(self.network, self.key))


class Caller:
    def __init__(self, network: Network, caller: str, host: str, port: int) -> None:
        self.network, self.caller, self.host, self.port = network, caller, host, port

    def connect(self, factory: Any) -> Deferred[IProtocol]:
        network = self.network
        network.dialed.append((self.caller, self.host))
        address = IPv4Address("TCP", self.host, self.port)
        result: Deferred[IProtocol] = Deferred(
            lambda result: result.errback(ConnectingCancelledError(address))
        )
        if network.is_frozen(self.caller, self.host):
            return result  # SYNs are lost
        accepting = network.listening.get((self.host, self.port))
        if accepting is None:
            return fail(ConnectionRefusedError())
        network.clock.callLater(0, self._made, accepting, factory, result)
        return result

    def _made(self, accepting: Any, factory: Any, result: Deferred[IProtocol]) -> None:
        if result.called:
            return
        here = End(self.network, self.caller, self.host)
        there = End(self.network, self.host, self.caller)
        here.other, there.other = there, here
        address = IPv4Address("TCP", self.caller, 50000)
        there.protocol = accepting.buildProtocol(address)
        here.protocol = factory.buildProtocol(IPv4Address("TCP", self.host, self.port))
        self.network.ends += [here, there]
        here.protocol.makeConnection(here)
        if there.protocol is None:
            there.gone = True
            here.end(ConnectionLost())
        else:
            there.protocol.makeConnection(there)
        result.callback(here.protocol)


def settle(clock: Clock, turns: int = 400) -> None:
    """Let everything that needs no time happen."""
    for _ in range(turns):
        clock.advance(0)
        if not any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
            return
    raise AssertionError("it never comes to rest")


def pass_time(clock: Clock, seconds: float, step: float = 0.05) -> None:
    """Let time pass in small steps, with everything that happens meanwhile."""
    for _ in range(round(seconds / step)):
        settle(clock)
        clock.advance(step)
    settle(clock)


def outcome(clock: Clock, awaitable: Awaitable[T], seconds: float = 0.1) -> T:
    """What an awaitable comes to within this time; raises what it fails with."""
    results: list[Any] = []

    async def wait() -> None:
        try:
            results.append((True, await awaitable))
        except BaseException as error:
            results.append((False, error))

    coroutine: Coroutine[Any, Any, None] = wait()
    Deferred.fromCoroutine(coroutine)
    settle(clock)
    if not results:
        pass_time(clock, seconds)
    assert results, "it waits still"
    good, value = results[0]
    if not good:
        raise value
    result: T = value
    return result
