"""The writing side of a connection, past Twisted's queue.

Twisted's ``write`` queues, asks the reactor to watch the socket, and sends in the next turn, at
most 128 KiB at a time: two system calls too many for a small response, and copies too many for a
large one.  :class:`SocketOutbound` tries the socket first, and leaves to the transport only what
the kernel would not take.  Measured over loopback with pieces of 1 MiB: 3.1 GiB/s, against 1.8 to
2.4 by ``write`` and 3.2 by a blocking loop of read and send.

A small answer does not leave at once, but at the end of the reactor's turn, together with those to
other connections (:class:`Departures`).  To send is to wake the client; a client that is awake
already costs nothing to wake, and code that runs 32 times in a row is faster than code that is run
once between 32 system calls.  Measured with 32 connections: 20 % less processor time for each GET
of 1 KiB.

On TLS, and on transports that are no sockets, :class:`Outbound` uses the public interface alone.

Knows bytes and transports, nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

from twisted.internet.interfaces import IAddress, IProducer, IPushProducer, IReactorTime
from twisted.internet.tcp import Connection
from zope.interface import implementer

Data = bytes | memoryview

_JOIN_BELOW: Final = 16 * 1024
_SEND_LIMIT: Final = 1024 * 1024
_READ_SIZE: Final = 64 * 1024

HOLD: Final = 64 * 1024
"""Bytes of one connection that may wait for the end of the turn."""

CROWD: Final = 32
"""Connections after which those that wait leave before the end of the turn, usually."""


class StreamTransport(Protocol):
    """What is asked of a transport: Twisted's ITransport, IConsumer and IPushProducer, and to be
    cut off."""

    def write(self, data: bytes) -> None: ...
    def registerProducer(self, producer: IProducer, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def loseConnection(self) -> None: ...
    def loseWriteConnection(self) -> None: ...
    def abortConnection(self) -> None: ...
    def getPeer(self) -> IAddress: ...
    def getHost(self) -> IAddress: ...


class Departures:
    """Connections with small answers that leave together at the end of the reactor's turn.

    :param clock: its ``callLater(0, …)`` is the end of the turn.
    :param crowd: connections after which those that wait leave before that.
    """

    __slots__ = ("_clock", "_crowd", "_due", "_waiting")

    def __init__(self, clock: IReactorTime, crowd: int = CROWD) -> None:
        self._clock = clock
        self._crowd = crowd
        self._due = False
        self._waiting: list[SocketOutbound] = []

    def add(self, outbound: SocketOutbound) -> None:
        """Call ``outbound.depart()`` soon."""
        waiting = self._waiting
        waiting.append(outbound)
        if not self._due:
            self._due = True
            self._clock.callLater(0, self._end_of_turn)
        elif len(waiting) >= self._crowd:
            self._depart()

    def _end_of_turn(self) -> None:
        self._due = False
        self._depart()

    def _depart(self) -> None:
        waiting, self._waiting = self._waiting, []
        for outbound in waiting:
            outbound.depart()


@implementer(IPushProducer)
class Outbound:
    """Writes to any transport, and knows whether it is full.

    :param drained: called when a transport that was full welcomes data again.
    :ivar full: whether more bytes are unwelcome; they are taken all the same.
    """

    def __init__(self, transport: StreamTransport, drained: Callable[[], None]) -> None:
        self.full = False
        self._transport = transport
        self._drained = drained
        self._written = 0
        self._lent = False
        self._attach()

    def _attach(self) -> None:
        self._transport.registerProducer(self, True)

    # IPushProducer, for the transport

    def pauseProducing(self) -> None:
        self.full = True

    def resumeProducing(self) -> None:
        if self.full:
            self.full = False
            self._drained()

    def stopProducing(self) -> None:
        """The transport is gone; the protocol hears of it by connectionLost."""

    # for the channel

    def write(self, data: Data) -> None:
        """Send, or queue behind what is queued."""
        self._written += len(data)
        self._transport.write(data if isinstance(data, bytes) else bytes(data))

    def write_soon(self, data: bytes) -> None:
        """The same for a small answer, which may leave at the end of the reactor's turn."""
        self.write(data)

    def write_all(self, pieces: Sequence[Data]) -> None:
        """Send several pieces as one."""
        self.write(b"".join(pieces))

    def unsent(self) -> int:
        """Bytes that were written and wait in this process, as far as the transport tells."""
        transport: object = self._transport
        while not isinstance(transport, Connection):
            below = getattr(transport, "transport", None)
            if below is None or below is transport:
                return 1 if self.full else 0
            transport = below
        return _queued(transport)

    def taken(self) -> int:
        """Bytes that were written and do not wait: if it does not grow, the client is stalled."""
        return self._written - self.unsent()

    def read_widely(self, size: int) -> None:
        """Take up to ``size`` bytes in one read, for a large body; 0 for the usual size."""

    def lend(self, producer: IProducer, streaming: bool) -> None:
        """Let another producer be told when to pause and resume, until :meth:`reclaim`."""
        self._transport.unregisterProducer()
        self._lent = True
        self._transport.registerProducer(producer, streaming)

    def reclaim(self) -> None:
        """End a loan."""
        if self._lent:
            self._transport.unregisterProducer()
            self._lent = False
            self.full = False
            self._attach()

    def close(self) -> None:
        """Close when all is sent."""
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def half_close(self) -> None:
        """Say that nothing more comes, when all is sent, and go on reading; if it can be said."""

    def abort(self) -> None:
        """Cut the connection; what is unsent is lost."""
        self._transport.abortConnection()


class SocketOutbound(Outbound):
    """Writes to a plain socket past the transport's queue, while that is empty.

    Registered as a *pull* producer, which a transport asks for more exactly when its queue ran
    empty; so no piece is ever joined to another, and a sender waits while anything is queued.
    """

    def __init__(
        self, connection: Connection, drained: Callable[[], None], departures: Departures | None
    ) -> None:
        connection.SEND_LIMIT = _SEND_LIMIT
        self._connection = connection
        self._departures = departures
        self._held = b""
        super().__init__(cast(StreamTransport, connection), drained)

    def _attach(self) -> None:
        self._transport.registerProducer(self, False)

    def write(self, data: Data) -> None:
        if self._held:
            self.depart()
        self._written += len(data)
        self._send(data)

    def write_soon(self, data: bytes) -> None:
        held = self._held
        if self._departures is None or len(held) + len(data) > HOLD:
            self.write(data)
            return
        self._written += len(data)
        if held:
            self._held = held + data
        else:
            self._held = data
            self._departures.add(self)

    def depart(self) -> None:
        """Send what was held."""
        data, self._held = self._held, b""
        if data:
            self._send(data)

    def _send(self, data: Data) -> None:
        connection = self._connection
        if self.full or self._lent or not connection.connected or _queued(connection):
            sent = 0
        else:
            try:
                sent = connection.socket.send(data)
            except OSError:
                sent = 0  # full, or broken: the transport finds out which
            if sent == len(data):
                return
        self._queue(data[sent:] if sent else data)

    def write_all(self, pieces: Sequence[Data]) -> None:
        size = sum(map(len, pieces))
        if size <= _JOIN_BELOW:
            self.write(b"".join(pieces))
            return
        if self._held:
            self.depart()
        self._written += size
        connection = self._connection
        if self.full or self._lent or not connection.connected or _queued(connection):
            sent = 0
        else:
            try:
                sent = connection.socket.sendmsg(pieces)
            except OSError:
                sent = 0
            if sent == size:
                return
        for piece in pieces:
            if sent < len(piece):
                self._queue(piece[sent:] if sent else piece)
                sent = 0
            else:
                sent -= len(piece)

    def _queue(self, data: Data) -> None:
        self._transport.write(data if isinstance(data, bytes) else bytes(data))
        if not self._lent:
            self.full = True

    def unsent(self) -> int:
        return _queued(self._connection) + len(self._held)

    def read_widely(self, size: int) -> None:
        self._connection.bufferSize = size or _READ_SIZE

    def lend(self, producer: IProducer, streaming: bool) -> None:
        self.depart()
        super().lend(producer, streaming)

    def close(self) -> None:
        self.depart()
        super().close()

    def abort(self) -> None:
        self._held = b""
        super().abort()

    def half_close(self) -> None:
        self.depart()
        self._transport.unregisterProducer()
        self._transport.loseWriteConnection()


def _queued(connection: Connection) -> int:
    return connection._tempDataLen + len(connection.dataBuffer) - connection.offset


def outbound_for(
    transport: StreamTransport, drained: Callable[[], None], departures: Departures | None = None
) -> Outbound:
    """The fastest writer that the transport allows; it is the transport's producer from now on.

    :param departures: shared by connections whose small answers leave together; None: at once.
    """
    below: object = transport
    if isinstance(below, Connection) and not below.TLS:
        return SocketOutbound(below, drained, departures)
    return Outbound(transport, drained)
