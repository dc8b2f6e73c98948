"""The control socket: what an operator asks of this node, over a UNIX socket of its own.

One JSON object a line, answered by one line, in order::

    {"do": "status"}                                     → {"ok": true, "result": {…}}
    {"do": "add", "id": "node-4", "address": "h:9002"}   → {"ok": true, "result": null}
    {"do": "remove", "id": "node-4"}
    {"do": "transfer", "id": "node-2"}                   id may be empty: the one that is furthest
    {"do": "snapshot"}                                   → {"ok": true, "result": {"index": 12}}

A refusal is ``{"ok": false, "error": "why", "again": true}``; ``again`` says that the same may
succeed later.  Whoever may open the socket may ask anything: its mode is 0600.

Knows IConsensus and no other part.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IReactorTime,
    IReactorUNIX,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import IConsensus

MAX_LINE = 4096
"""Bytes of a request; the longest that means anything has some hundred."""

MAX_CONNECTIONS = 16

IDLE_SECONDS = 60.0
"""How long a connection may say nothing while nothing is done for it."""

_log = Logger()
_encode = msgspec.json.Encoder().encode


class ControlSocketInUse(Exception):
    """Another process listens on the path, or something else lies there."""


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """A line, decoded.

    :ivar id: of a node.
    :ivar address: its ``host:port`` for peers.
    """

    do: str
    id: str = ""
    address: str = ""


_decode = msgspec.json.Decoder(Request).decode


@implementer(IPart)
class ControlSocket:
    """Listens while it is started.

    :param check_member: raises ValueError for an id and an address that no member could have.
    """

    def __init__(
        self,
        path: str,
        sockets: IReactorUNIX,
        clock: IReactorTime,
        consensus: IConsensus,
        check_member: Callable[[str, str], object],
    ) -> None:
        self._path = path
        self._sockets = sockets
        self._clock = clock
        self._consensus = consensus
        self._check_member = check_member
        self._port: IListeningPort | None = None
        self._connections: set[_Connection] = set()
        self._commands: dict[str, Callable[[Request], Awaitable[object]]] = {
            "status": self._status,
            "add": self._add,
            "remove": self._remove,
            "transfer": self._transfer,
            "snapshot": self._snapshot,
        }

    async def start(self) -> None:
        """Listen; a socket that a crash left behind is replaced.

        :raises ControlSocketInUse: it is none that a crash left.
        :raises OSError: the path cannot be listened on.
        """
        _remove_leftover(self._path)
        mask = os.umask(0o177)  # Twisted's chmod comes after the bind: too late for who is quick
        try:
            factory = _ControlFactory(self)
            self._port = self._sockets.listenUNIX(self._path, factory, mode=0o600)
        finally:
            os.umask(mask)

    async def stop(self) -> None:
        """Close the socket and its connections."""
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        for connection in tuple(self._connections):
            connection.drop()

    # For the connections

    def entered(self, connection: _Connection) -> bool:
        """Count a connection, unless there are too many."""
        if len(self._connections) >= MAX_CONNECTIONS:
            return False
        self._connections.add(connection)
        return True

    def left(self, connection: _Connection) -> None:
        """The connection is gone."""
        self._connections.discard(connection)

    def call_later(self, seconds: float, function: Callable[[], None]) -> IDelayedCall:
        """For time-outs."""
        return self._clock.callLater(seconds, function)

    async def answer(self, line: bytes) -> bytes:
        """The line that answers a line; never fails."""
        try:
            request = _decode(line)
            command = self._commands.get(request.do)
            if command is None:
                raise ValueError(f"nothing is called {request.do!r}; {_known(self._commands)}")
            result = await command(request)
        except ValueError as error:  # msgspec's too
            return _encode({"ok": False, "error": str(error), "again": False})
        except ServiceUnavailable as error:
            return _encode({"ok": False, "error": error.message, "again": True})
        except Exception as error:
            _log.failure("a command of the control socket failed")
            return _encode(
                {"ok": False, "error": f"{type(error).__name__}: {error}", "again": False}
            )
        return _encode({"ok": True, "result": result})

    async def _status(self, request: Request) -> object:
        return msgspec.to_builtins(self._consensus.status())

    async def _add(self, request: Request) -> object:
        node_id = _required(request)
        self._check_member(node_id, request.address)
        await self._consensus.add_member(node_id, request.address)
        return None

    async def _remove(self, request: Request) -> object:
        await self._consensus.remove_member(_required(request))
        return None

    async def _transfer(self, request: Request) -> object:
        await self._consensus.transfer_leadership(request.id)
        return None

    async def _snapshot(self, request: Request) -> object:
        return {"index": await self._consensus.take_snapshot()}


class _ControlFactory(Factory):
    noisy = False

    def __init__(self, control: ControlSocket) -> None:
        self._control = control

    def buildProtocol(self, addr: IAddress | None) -> _Connection:
        return _Connection(self._control)


class _Transport(Protocol):
    """What of a socket's transport is used."""

    def write(self, data: bytes) -> None: ...
    def abortConnection(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...


class _Connection(LineOnlyReceiver):
    """One operator.  While a request is worked on, nothing more is read."""

    transport: _Transport  # type: ignore[assignment]  # ITransport lacks most of it
    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE

    def __init__(self, control: ControlSocket) -> None:
        self._control = control
        self._idle: IDelayedCall | None = None
        self._waiting: list[bytes] = []
        self._busy = False
        self._gone = False

    def connectionMade(self) -> None:
        if not self._control.entered(self):
            self._gone = True
            self.drop()
            return
        self._rest()

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._gone = True
        self._stir()
        self._control.left(self)

    def lineReceived(self, line: bytes) -> None:
        self._waiting.append(line)
        self._next()

    def lineLengthExceeded(self, line: bytes) -> None:
        self.drop()

    def drop(self) -> None:
        """Cut the connection."""
        self.transport.abortConnection()

    def _next(self) -> None:
        if self._busy or self._gone or not self._waiting:
            return
        self._busy = True
        self._stir()
        self.transport.pauseProducing()
        answering: Deferred[bytes] = Deferred.fromCoroutine(
            self._control.answer(self._waiting.pop(0))
        )
        answering.addCallback(self._answered)

    def _answered(self, line: bytes) -> None:
        self._busy = False
        if self._gone:
            return
        self.transport.write(line + self.delimiter)
        self._rest()
        self.transport.resumeProducing()
        self._next()

    def _rest(self) -> None:
        self._idle = self._control.call_later(IDLE_SECONDS, self._overdue)

    def _stir(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.cancel()

    def _overdue(self) -> None:
        self._idle = None
        self.drop()


def _required(request: Request) -> str:
    if not request.id:
        raise ValueError("which node? an id is needed")
    return request.id


def _known(commands: dict[str, Any]) -> str:
    return f"known are {', '.join(commands)}"


def _remove_leftover(path: str) -> None:
    """Remove a socket that nobody listens on any more.

    :raises ControlSocketInUse: somebody does, or it is no socket.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlSocketInUse(f"{path} is there, and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise ControlSocketInUse(f"{path}: {error.strerror}") from None
    raise ControlSocketInUse(f"another process listens on {path}")
