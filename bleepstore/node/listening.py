"""The listening sockets: opened last, closed first, with requests in flight given their time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IReactorTCP,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.config.refusals import is_loopback, split_endpoint
from bleepstore.config.sections import ServerConfig
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.node.problems import StartError

BACKLOG = 1024
"""Connections that the kernel may hold until they are accepted (it caps this itself)."""

_log = Logger()


class Channels(Protocol):
    """The factory of HTTP channels, as far as it is used here."""

    def stop(self, within: float) -> Awaitable[None]:
        """End the connections; see ``http.factory``."""


@implementer(IStreamServerEndpoint)
class AddressEndpoint:
    """One TCP address.  Twisted's own would import 40 ms of TLS that plain HTTP does not need."""

    def __init__(self, reactor: IReactorTCP, host: str, port: int) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See IStreamServerEndpoint."""
        listen: Callable[..., IListeningPort] = self._reactor.listenTCP
        try:
            port = listen(self._port, protocolFactory, backlog=BACKLOG, interface=self._host)
        except Exception as error:  # as IStreamServerEndpoint has it: in the Deferred
            return fail(error)
        return succeed(port)


class Listener:
    """An endpoint and how clients see it.

    :ivar scheme: ``http`` or ``https``.
    :ivar description: for messages.
    """

    def __init__(self, endpoint: IStreamServerEndpoint, scheme: str, description: str) -> None:
        self.endpoint = endpoint
        self.scheme = scheme
        self.description = description


def listeners(server: ServerConfig, reactor: IReactorTCP) -> tuple[Listener, ...]:
    """What the configuration says: the endpoint strings if there are any, else host and port.

    :raises StartError: an endpoint string is wrong, or names files that cannot be used.
    """
    if not server.listen:
        host = server.host.strip("[]")
        shown = f"[{host}]" if ":" in host else host
        address = AddressEndpoint(reactor, host, server.port)
        return (Listener(address, "http", f"{shown}:{server.port}"),)
    from twisted.internet.endpoints import serverFromString  # see AddressEndpoint

    parse: Callable[..., IStreamServerEndpoint] = serverFromString
    made = []
    for description in server.listen:
        try:
            endpoint = parse(reactor, description)
        except Exception as error:  # each kind of endpoint has errors of its own
            reason = _first_line(error)
            if split_endpoint(description)[0] == "systemd" and isinstance(error, LookupError):
                reason = "systemd has passed no such socket; is its socket unit started?"
            if isinstance(error, TypeError):  # of a parser whose name tells nothing
                reason = reason.partition("() ")[2] or reason
            raise StartError(f"server.listen: {description}: {reason}") from error
        scheme = "https" if split_endpoint(description)[0] in ("ssl", "tls") else "http"
        if reason := certificates_left_out(description):
            _log.warn("server.listen: {reason}", reason=reason)
        made.append(Listener(endpoint, scheme, description))
    return tuple(made)


def certificates_left_out(description: str) -> str:
    """Why clients may not trust an ``ssl:`` endpoint: of a file with a chain, which is what an ACME
    client calls ``fullchain.pem``, Twisted sends the first certificate alone.

    :return: empty if all are sent.
    """
    kind, _, given = split_endpoint(description)
    path = given.get("certKey") or given.get("privateKey", "")
    if kind != "ssl" or not path or "extraCertChain" in given:
        return ""
    with open(path, "rb") as file:
        count = file.read().count(b"-----BEGIN CERTIFICATE-----")
    if count < 2:
        return ""
    return (
        f"the first of the {count} certificates in {path} is sent alone, and clients that lack the "
        "others will not trust it: name a file that has the others by extraCertChain="
    )


@implementer(IPart)
class Listening:
    """All endpoints of one factory.

    :param local_only: refuse a socket that others than this machine can reach.
    :param shutdown_timeout: seconds for requests in flight.
    :ivar urls: where it listens, e.g. ``http://127.0.0.1:9000`` or ``unix:/run/s3.sock``.
    """

    def __init__(
        self,
        wanted: Sequence[Listener],
        factory: IProtocolFactory,
        channels: Channels,
        *,
        local_only: bool,
        shutdown_timeout: float,
    ) -> None:
        self._wanted = wanted
        self._factory = factory
        self._channels = channels
        self._local_only = local_only
        self._shutdown_timeout = shutdown_timeout
        self._ports: list[IListeningPort] = []
        self.urls: tuple[str, ...] = ()

    async def start(self) -> None:
        """Listen on every endpoint.

        :raises StartError: one cannot be listened on, or must not be; none is left open.
        """
        urls = []
        try:
            for listener in self._wanted:
                port = await listener.endpoint.listen(self._factory)
                self._ports.append(port)
                address = port.getHost()
                if self._local_only and not _is_local(address):
                    raise StartError(
                        f"{listener.description}: others than this machine can reach it, and the "
                        "default key pair is in use: set BLEEPSTORE_ACCESS_KEY and "
                        "BLEEPSTORE_SECRET_KEY, or auth.allow_default_credentials"
                    )
                urls.append(url_of(listener.scheme, address))
        except StartError:
            await self._close()
            raise
        except Exception as error:
            await self._close()
            raise StartError(
                f"cannot listen on {listener.description}: {_reason(error)}"
            ) from error
        self.urls = tuple(urls)

    async def stop(self) -> None:
        """Close the sockets, then let requests in flight end within the bound."""
        await self._close()
        await self._channels.stop(self._shutdown_timeout)

    async def _close(self) -> None:
        while self._ports:
            try:
                await maybeDeferred(self._ports.pop().stopListening)
            except Exception:
                _log.failure("A listening socket could not be closed")


def url_of(scheme: str, address: IAddress) -> str:
    """How to name a listening address; ``unix:PATH`` where no URL can."""
    if isinstance(address, IPv6Address):
        return f"{scheme}://[{address.host}]:{address.port}"
    if isinstance(address, IPv4Address):
        return f"{scheme}://{address.host}:{address.port}"
    if isinstance(address, UNIXAddress):
        name = address.name
        return f"unix:{name.decode() if isinstance(name, bytes) else name}"
    return str(address)


def _is_local(address: IAddress) -> bool:
    if isinstance(address, UNIXAddress):
        return True
    return isinstance(address, IPv4Address | IPv6Address) and is_loopback(address.host)


def _reason(error: Exception) -> str:
    if isinstance(error, CannotListenError):
        return str(getattr(error.socketError, "strerror", None) or error.socketError)
    return _first_line(error)


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error).partition("\n")[0] or type(error).__name__
