"""Opening a connection: an address, a deadline, Hello, and the check of who answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from bleepstore.cluster.peer_calls import CallTimedOut, Desk, PeerConnection
from bleepstore.cluster.peer_commands import Hello, WrongNode
from bleepstore.cluster.peer_hello import LogOf, Self, check_answer, introduction
from bleepstore.cluster.peer_settings import Counters, PeerSettings
from bleepstore.config.addresses import parse_host_port

Endpoints = Callable[[str, int], IStreamClientEndpoint]
"""Gives the endpoint of a host and a port: plain TCP, TLS, or a test's network."""

Vouch = Callable[[object, str], str]
"""Given a transport whose handshake is done, and a node's id: why the certificate does not prove
that the other side is that node; empty if it does, or need not."""


class Opened(Struct, frozen=True):
    """A connection on which Hello was answered as it should be.

    :ivar answer: the response.
    """

    connection: PeerConnection
    answer: Mapping[str, Any]

    @property
    def node(self) -> str:
        """The id of who answered."""
        node: str = self.answer["node"]
        return node


class Dialer:
    """Opens connections in the name of one node.

    :param me: read anew for each connection.
    """

    def __init__(
        self,
        me: Self,
        clock: IReactorTime,
        settings: PeerSettings,
        counters: Counters,
        endpoints: Endpoints,
        vouch: Vouch,
        log_of: LogOf,
    ) -> None:
        self._log_of = log_of
        self._me = me
        self._clock = clock
        self._settings = settings
        self._counters = counters
        self._endpoints = endpoints
        self._vouch = vouch

    async def open(self, address: str, expected: str, purpose: str, desk: Desk) -> Opened:
        """Connect and say Hello.  Cancelling it leaves nothing open.

        :param expected: the id of the node that should be there; empty: any.
        :param desk: the connection's; it is told of the end of one that is refused, too.
        :raises PeerRefusal: one of the two refuses the other.
        :raises Exception: nobody answered in time, or at all.
        """
        host, port = parse_host_port(address)
        factory = _Dialed(self, desk)
        connect: Callable[..., Deferred[Any]] = self._endpoints(host, port).connect
        connecting: Deferred[PeerConnection] = connect(factory)
        connection = await connecting.addTimeout(
            self._settings.connect_deadline, self._clock, _too_late
        )
        try:
            answer: Mapping[str, Any] = await connection.call(
                Hello, self._settings.call_deadline, **introduction(self._me, expected, purpose)
            )
            check_answer(self._me, expected, purpose, answer, self._log_of)
            if why := self._vouch(connection.transport, answer["node"]):
                raise WrongNode(why)
        except BaseException:
            connection.abort()
            raise
        connection.admit(answer["node"])
        self._counters.connections_opened += 1
        return Opened(connection, answer)

    def make(self, desk: Desk) -> PeerConnection:
        """A connection that is not made yet."""
        return PeerConnection(self._clock, self._settings, self._counters, desk, calls=True)


def _too_late(failure: object, deadline: float) -> NoReturn:
    raise CallTimedOut(f"there was no connection within {deadline:g} s")


class _Dialed(Factory):
    noisy = False

    def __init__(self, dialer: Dialer, desk: Desk) -> None:
        self._dialer = dialer
        self._desk = desk

    def buildProtocol(self, addr: object) -> PeerConnection:
        return self._dialer.make(self._desk)
