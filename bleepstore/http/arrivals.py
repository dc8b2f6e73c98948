"""The reading side of connections: those that have sent something are read together.

Twisted's reactor calls each descriptor that is ready by itself, inside a logging context and
through six functions, which costs as much as a tenth of a small GET.  Here all connections of a
server are watched by one ``epoll`` of their own, which the reactor sees as a single descriptor:
whenever some are ready, it is called once, receives from all of them, and then hands each what it
sent.  What runs many times in a row also finds itself in the processor's caches.

Where there is no epoll, and for what is no plain socket, the reactor goes on to do it.

Knows sockets and Twisted's descriptors, nothing of HTTP.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from functools import partial
from typing import Final

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

GATHERED: Final = 256 * 1024
"""Bytes that are received before they are handed on; what is large is so at once."""

DONE: Final = Failure(ConnectionDone())  # type: ignore[no-untyped-call]

_log = Logger()


@implementer(IReadDescriptor)
class Arrivals:
    """Receives for all connections that have joined."""

    def __init__(self) -> None:
        self._reactor: IReactorFDSet | None = None
        self._poll: select.epoll | None = None  # open while connections are joined
        self._joined: set[Connection] = set()
        self._watched: dict[int, Connection] = {}

    def join(self, connection: object) -> None:
        """Receive for a connection from now on, if that can be done: whatever it does to begin or
        to stop reading comes here.  It has to :meth:`leave` when it is lost."""
        if not isinstance(connection, Connection) or connection.TLS or not hasattr(select, "epoll"):
            return
        reactor = connection.reactor
        if not IReactorFDSet.providedBy(reactor):
            return
        connection.stopReading()  # type: ignore[no-untyped-call]
        if self._poll is None:
            self._poll = select.epoll()
            self._reactor = reactor
            reactor.addReader(self)
        self._joined.add(connection)
        watch: Callable[[], None] = partial(self._watch, connection)
        ignore: Callable[[], None] = partial(self._ignore, connection)
        connection.startReading = watch  # type: ignore[method-assign]
        connection.stopReading = ignore  # type: ignore[method-assign]
        watch()

    def leave(self, connection: object) -> None:
        """Keep nothing of a connection that is lost, if it had joined."""
        if not isinstance(connection, Connection) or connection not in self._joined:
            return
        self._joined.discard(connection)
        for name in ("startReading", "stopReading"):  # they refer to the connection that has them
            delattr(connection, name)
        if not self._joined:
            self._close()

    def _watch(self, connection: Connection) -> None:
        fd = connection.fileno()
        if fd >= 0 and fd not in self._watched and self._poll is not None:
            self._poll.register(fd, select.EPOLLIN)
            self._watched[fd] = connection

    def _ignore(self, connection: Connection) -> None:
        fd = connection.fileno()
        if self._watched.get(fd) is connection and self._poll is not None:
            del self._watched[fd]
            self._poll.unregister(fd)

    def _close(self) -> None:
        poll, self._poll = self._poll, None
        if poll is not None:
            assert self._reactor is not None
            self._reactor.removeReader(self)
            poll.close()

    # IReadDescriptor, for the reactor

    def fileno(self) -> int:
        """See :class:`IReadDescriptor`."""
        return -1 if self._poll is None else self._poll.fileno()

    def logPrefix(self) -> str:
        """See :class:`ILoggingContext`."""
        return "HTTP"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends, or cannot watch this any more."""
        for connection in tuple(self._joined):
            connection.connectionLost(reason)
        self._close()

    def doRead(self) -> None:
        """Receive from all that are ready, then tell each."""
        if self._poll is None:
            return
        received: list[tuple[Connection, bytes | None]] = []
        size = 0
        watched = self._watched
        for fd, _ in self._poll.poll(0):
            connection = watched.get(fd)
            if connection is None:
                continue  # it was closed by one before it
            try:
                data = connection.socket.recv(connection.bufferSize)
            except BlockingIOError:
                continue
            except OSError:
                received.append((connection, None))
                continue
            received.append((connection, data))
            size += len(data)
            if size >= GATHERED:
                _hand_on(received)
                received.clear()
                size = 0
        _hand_on(received)


def _hand_on(received: list[tuple[Connection, bytes | None]]) -> None:
    for connection, data in received:
        if not connection.connected:
            continue
        try:
            if data:
                connection.protocol.dataReceived(data)
            elif data is None:
                _lose(connection)
            else:
                # It may go on to write, if its protocol knows such a thing.
                connection.stopReading()  # type: ignore[no-untyped-call]
                connection.readConnectionLost(DONE)
        except Exception:
            _log.failure("A connection was given up")
            _lose(connection)


def _lose(connection: Connection) -> None:
    connection.connectionLost(Failure(ConnectionLost()))  # type: ignore[no-untyped-call]
