"""The HTTP client for other clouds: one exchange at a time is all it knows; see ``service`` for
calls."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from bleepstore.interfaces.lifecycle import IPart
from bleepstore.remote.connections import Connections, EndpointFor, Limits
from bleepstore.remote.exchange import Answer, Exchange
from bleepstore.remote.requests import ByteSource, RemoteRequest


@implementer(IPart)
class RemoteClient:
    """Sends requests over persistent connections.

    :param clock: for all deadlines.
    :param endpoint_for: as ``connections.endpoints`` gives them.
    """

    def __init__(
        self, clock: IReactorTime, endpoint_for: EndpointFor, limits: Limits | None = None
    ) -> None:
        self._clock = clock
        self._connections = Connections(clock, endpoint_for, limits or Limits())

    async def start(self) -> None:
        """Nothing is connected before the first request."""

    async def stop(self) -> None:
        """Close idle connections.  Those in use are closed by who uses them."""
        await self._connections.close()

    @property
    def in_use(self) -> int:
        """Connections in use, and requests about to have one."""
        return self._connections.in_use

    async def exchange(
        self,
        request: RemoteRequest,
        source: ByteSource | None = None,
        length: int | None = None,
        head: float | None = None,
    ) -> Answer:
        """Send a request once, as it is, and give the head of the answer, whatever its status.

        :param source: the body, in place of the request's own.
        :param length: bytes of ``source``, or None for chunked transfer coding.
        :param head: seconds for the first byte of the answer, instead of the usual.
        :raises Unreachable: there is no answer.
        :raises Exception: what ``source`` raised.
        """
        exchange = Exchange(self._connections, self._clock, request, source, length, head)
        return await exchange.run()
