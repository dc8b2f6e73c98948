"""A connection in memory: a transport that can be full, a client that reads responses, a clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from httptools import HttpResponseParser
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IProducer, IReactorFDSet
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from bleepstore.http.channel import HTTPChannel
from bleepstore.http.factory import HTTPFactory
from bleepstore.http.request import Request
from bleepstore.http.settings import Handler, Limits, Refuse

T = TypeVar("T")


@implementer(IReactorFDSet)
class NotingReactor:
    """Which descriptors wait for what."""

    def __init__(self) -> None:
        self.readers: set[object] = set()
        self.addReader = self.readers.add
        self.removeReader = self.readers.discard
        self.writers: set[object] = set()
        self.addWriter = self.writers.add
        self.removeWriter = self.writers.discard
        self.removeAll = self.readers.clear
        self.getReaders = self.readers.copy
        self.getWriters = self.writers.copy


class MemoryTransport:
    """A transport whose client takes at most ``capacity`` bytes until it takes them."""

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.written = bytearray()
        self.waiting = bytearray()
        self.reading = True
        self.closing = False
        self.aborted = False
        self.producer: Any = None
        self.streaming = False
        self.most_waiting = 0

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if self.closing or self.aborted:
            return
        self.waiting += data
        if self.capacity is None:
            self.take(len(self.waiting))
            return
        self.most_waiting = max(self.most_waiting, len(self.waiting))
        if len(self.waiting) > self.capacity and self.producer is not None and self.streaming:
            self.producer.pauseProducing()

    def take(self, size: int) -> None:
        """The client takes some of what waits."""
        self.written += self.waiting[:size]
        del self.waiting[:size]
        if not self.waiting and self.producer is not None:
            self.producer.resumeProducing()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        assert self.producer is None
        self.producer = producer
        self.streaming = streaming
        if not streaming:
            self.producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        assert not self.closing
        self.reading = True

    def loseConnection(self) -> None:
        self.closing = True

    def loseWriteConnection(self) -> None:
        raise AssertionError("the public interface has no such method")

    def abortConnection(self) -> None:
        self.aborted = True

    def getPeer(self) -> IAddress:
        return IPv4Address("TCP", "192.0.2.7", 50000)

    def getHost(self) -> IAddress:
        return IPv4Address("TCP", "192.0.2.1", 9000)


class Response:
    """One response as a client read it."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.names: list[str] = []
        self.body = b""
        self.complete = False


class _Reader:
    def __init__(self, responses: list[Response]) -> None:
        self._responses = responses
        self.parser = HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self._responses.append(Response())

    def on_header(self, name: bytes, value: bytes) -> None:
        response = self._responses[-1]
        response.names.append(name.decode().lower())
        response.headers[name.decode().lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._responses[-1].status = self.parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self._responses[-1].body += data

    def on_message_complete(self) -> None:
        self._responses[-1].complete = True


def parse_responses(data: bytes) -> list[Response]:
    """The responses in what a server wrote, strictly read; none of them to HEAD."""
    responses: list[Response] = []
    _Reader(responses).parser.feed_data(data)
    return responses


class Connection:
    """A server's channel, and the client's end of it."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        *,
        capacity: int | None = None,
        factory: HTTPFactory | None = None,
        refuse: Refuse | None = None,
    ) -> None:
        if factory is None:
            self.clock = Clock()
            factory = HTTPFactory(handler, limits or Limits(), self.clock, refuse)
        self.factory = factory
        self.transport = MemoryTransport(capacity)
        self.channel: HTTPChannel = factory.buildProtocol(None)
        self.channel.makeConnection(self.transport)
        self._unread = b""

    def send(self, data: bytes) -> None:
        """The client sends; as on a socket, only while the server reads."""
        if self._unread or not self.transport.reading:
            self._unread += data
        else:
            self.channel.dataReceived(data)

    def send_in_reads(self, size: int) -> int:
        """Deliver what is on the way in reads of ``size`` while the server reads; what is left."""
        while self._unread and self.transport.reading:
            piece, self._unread = self._unread[:size], self._unread[size:]
            self.channel.dataReceived(piece)
        return len(self._unread)

    def pour(self, data: bytes) -> None:
        """Put data on the way without delivering it."""
        self._unread += data

    def sever(self, orderly: bool = False) -> None:
        """The connection is gone."""
        self.channel.connectionLost(Failure(ConnectionDone() if orderly else ConnectionLost()))

    def settle(self) -> None:
        """Let the transport report the end that the channel asked for."""
        if self.transport.aborted:
            self.channel.connectionLost(Failure(ConnectionAborted()))
        elif self.transport.closing and not self.transport.waiting:
            self.channel.connectionLost(Failure(ConnectionDone()))

    def advance(self, seconds: int) -> None:
        """Time passes, second by second."""
        for _ in range(seconds):
            self.clock.advance(1)

    @property
    def output(self) -> bytes:
        """All that the client has received."""
        return bytes(self.transport.written)

    def responses(self) -> list[Response]:
        """The final responses that the client has received."""
        return [one for one in parse_responses(self.output) if one.status != 100]

    def response(self) -> Response:
        """The one response."""
        (one,) = self.responses()
        return one


class Recorder:
    """A handler that keeps the requests, and leaves them to the test."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> None:
        self.requests.append(request)

    @property
    def last(self) -> Request:
        return self.requests[-1]


def answering(status: int = 200, body: bytes = b"hello") -> Handler:
    """A handler that answers at once, and never asks for the body."""

    def handle(request: Request) -> None:
        request.respond(status, [(b"Content-Type", b"text/plain")], body)

    return handle


def running(serve: Callable[[Request], Coroutine[Any, Any, None]]) -> Handler:
    """A handler that runs a coroutine, as the fronts do."""

    def handle(request: Request) -> None:
        Deferred.fromCoroutine(serve(request)).addErrback(request.fail)

    return handle


async def echo(request: Request) -> None:
    """Answers with the target and the body."""
    pieces = []
    while piece := await request.body.read():
        pieces.append(piece)
    request.respond(200, [], request.uri + b" " + b"".join(pieces))


class Wait:
    """The outcome of an awaitable, which may still be to come."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        async def run() -> Any:
            return await awaitable

        self.values: list[Any] = []
        self.failures: list[BaseException] = []
        self.deferred = Deferred.fromCoroutine(run())
        self.deferred.addCallbacks(self.values.append, self._failed)

    def _failed(self, failure: Failure) -> None:
        assert failure.value is not None
        self.failures.append(failure.value)

    @property
    def pending(self) -> bool:
        return not self.values and not self.failures

    @property
    def value(self) -> Any:
        (value,) = self.values
        return value

    @property
    def failure(self) -> BaseException:
        (failure,) = self.failures
        return failure


def head(method: str = "GET", target: str = "/b/k", *fields: str, version: str = "1.1") -> bytes:
    """A request's head with a Host."""
    lines: Sequence[str] = (f"{method} {target} HTTP/{version}", "Host: localhost:9000", *fields)
    return "\r\n".join((*lines, "", "")).encode("latin-1")
