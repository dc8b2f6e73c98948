"""Connections to other clouds: kept for reuse, bounded in number, trusted by certificate.

The number of connections in use is bounded.  One that waits for its turn has a deadline too, so
that nothing waits for ever on transfers that wait on each other.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.ssl import Certificate, trustRootFromCertificates

from bleepstore.http.outbound import Departures
from bleepstore.remote.connection import ClientConnection, ConnectionFactory
from bleepstore.remote.countdown import Deadlines
from bleepstore.remote.idle import Idle
from bleepstore.remote.requests import Origin
from bleepstore.streams.tls import options_for

EndpointFor = Callable[[Origin], IStreamClientEndpoint]

CROWD = 8
"""Requests that leave before the end of the reactor's turn: while more are being made, the cloud
works on these already.  (32 overwriting PUTs at a time through a gateway to a server on the same
machine: a tenth more of them than with 32.)"""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds on time and number; seconds.

    :ivar connect: for a connection, name look-up and all.
    :ivar head: for the first byte of the answer, from when the request was sent; with TLS the
        handshake is within it.
    :ivar stall: for any next byte, in either direction.
    :ivar turn: that a request waits while all connections are in use.
    :ivar connections: in use at a time.
    :ivar idle: connections kept for each origin, …
    :ivar idle_for: … and how long.  Less than what the providers give them, so that a request
        seldom meets a connection that is being closed.
    """

    connect: float = 10.0
    head: float = 60.0
    stall: float = 30.0
    turn: float = 30.0
    connections: int = 256
    idle: int = 64
    idle_for: int = 15


def endpoints(reactor: object, ca_bundle: bytes = b"") -> EndpointFor:
    """Endpoints on a reactor; those of https verify certificate and host name (RFC 9525).

    :param ca_bundle: certificates in PEM that are trusted in place of the platform's.
    :raises ValueError: the bundle has no certificate.
    """
    trust = None
    if ca_bundle:
        found = _PEM.findall(ca_bundle)
        if not found:
            raise ValueError("the bundle of certificates has none")
        trust = trustRootFromCertificates(  # type: ignore[no-untyped-call]
            [Certificate.loadPEM(each) for each in found]
        )
    made: dict[Origin, IStreamClientEndpoint] = {}

    def endpoint_for(origin: Origin) -> IStreamClientEndpoint:
        # Kept: reading the platform's certificates takes longer than a request.
        if (endpoint := made.get(origin)) is None:
            # The deadline is ours; Twisted's own must not come first.
            endpoint = HostnameEndpoint(reactor, origin.host, origin.port, timeout=3600)
            if origin.scheme == "https":
                endpoint = wrapClientTLS(options_for(origin.host, trust), endpoint)
            made[origin] = endpoint
        return endpoint

    return endpoint_for


class Connections:
    """The connections of one client, and turns to use them.

    :ivar deadlines: of what is under way.
    """

    def __init__(self, clock: IReactorTime, endpoint_for: EndpointFor, limits: Limits) -> None:
        self.limits = limits
        self.deadlines = Deadlines(clock)
        self._closing: set[Origin] = set()
        self._endpoint_for = endpoint_for
        self._idle = Idle(clock, limits.idle, limits.idle_for)
        self._departures = Departures(clock, crowd=CROWD)
        self._free = limits.connections
        self._waiting: deque[Deferred[None]] = deque()

    def at_once(self, origin: Origin) -> ClientConnection | None:
        """A connection that is at hand, with a turn to use it; None if one has to be waited for."""
        if not self._free:
            return None
        connection: ClientConnection | None = self._idle.take(origin)
        if connection is not None:
            self._free -= 1
        return connection

    async def connect(self, origin: Origin) -> ClientConnection:
        """A connection for who has a turn: an idle one, or a new one.

        :raises Exception: whatever the endpoint fails with.
        """
        idle: ClientConnection | None = self._idle.take(origin)
        if idle is not None:
            return idle
        factory = ConnectionFactory(lambda: ClientConnection(origin, self._idle, self._departures))
        connection = await self._endpoint_for(origin).connect(factory)
        assert isinstance(connection, ClientConnection)
        return connection

    def closes(self, origin: Origin) -> bool:
        """Whether a server is known to close a connection after each answer."""
        return origin in self._closing

    def it_closes(self, origin: Origin) -> None:
        """A server has answered in HTTP/1.0, and closes a connection after each answer (RFC 9112,
        section 9.3); those that were kept before that was known are closed."""
        if origin not in self._closing:
            self._closing.add(origin)
            self._idle.drop(origin)

    async def turn(self) -> None:
        """Wait until a connection may be used; each turn is given back by :meth:`release`."""
        if self._free:
            self._free -= 1
            return
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        await waiter

    def release(self) -> None:
        """Give a turn back."""
        if self._waiting:
            self._waiting.popleft().callback(None)
        else:
            self._free += 1

    @property
    def in_use(self) -> int:
        """Turns that are taken."""
        return self.limits.connections - self._free

    async def close(self) -> None:
        """Close the connections that are idle."""
        await self._idle.close()
