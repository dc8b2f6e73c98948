"""A network of fakes: what a client believes to be other machines are ports of the loopback."""

from __future__ import annotations

from typing import Any

from klein import Klein
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamClientEndpoint
from twisted.web.server import Site
from zope.interface import implementer

from bleepstore.remote.requests import Origin


class Strict(Exception):
    """A request that the real service would not take; the message says why."""


class Network:
    """Origins, and the applications that answer for them.  All others refuse connections.

    :ivar connected: the origins that were connected to, in order.
    """

    def __init__(self) -> None:
        self.connected: list[str] = []
        self._ports: dict[str, IListeningPort] = {}

    async def serve(self, app: Klein, *origins: str) -> None:
        """Let an application be these servers: ``https://sts.example``."""
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(Site(app.resource()))
        for origin in origins:
            self._ports[origin] = port

    def endpoint_for(self, origin: Origin) -> IStreamClientEndpoint:
        """See ``connections.EndpointFor``.  TLS is left out: it has its own tests."""
        self.connected.append(str(origin))
        port = self._ports.get(str(origin))
        if port is None:
            return _Nowhere()
        return TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)

    async def close(self) -> None:
        """Stop all servers."""
        for port in set(self._ports.values()):
            await port.stopListening()


@implementer(IStreamClientEndpoint)
class _Nowhere:
    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        return fail(ConnectionRefusedError())
