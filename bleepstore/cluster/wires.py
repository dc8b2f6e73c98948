"""How a node is called and calls: plain TCP, or TLS where it is configured.

Names are resolved for each connection, and IPv4 and IPv6 addresses tried side by side (RFC 8305,
``HostnameEndpoint``).  Nothing of TLS is made without files for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

from bleepstore.cluster.peer_dialing import Endpoints, Vouch

BACKLOG = 128
"""Connections that the kernel may hold until they are accepted."""


class PeerTls(Struct, frozen=True, kw_only=True):
    """Paths of PEM files.

    :ivar certificate: this node's, followed by those between it and the authority.
    :ivar key: its private key.
    :ivar authority: the certificates, one of which signs every node's.
    :ivar names_nodes: whether a node's certificate must name its id.
    """

    certificate: str
    key: str
    authority: str
    names_nodes: bool = True


class Wires(Struct, frozen=True):
    """What ``AmpTransport`` needs of sockets."""

    listen_on: IStreamServerEndpoint
    endpoints: Endpoints
    vouch: Vouch


def wires(reactor: Any, host: str, port: int, tls: PeerTls | None = None) -> Wires:
    """The endpoints of a node.

    :param reactor: IReactorTCP, IReactorTime and IReactorPluggableNameResolver.
    :param host: address to listen on, IPv4 or IPv6, without brackets.
    :param port: 0 takes a free one.
    :raises BadCertificate: of the files.
    """
    listen: Callable[..., IStreamServerEndpoint]
    listen = TCP6ServerEndpoint if ":" in host else TCP4ServerEndpoint
    listen_on = listen(reactor, port, BACKLOG, host)

    def call(host: str, port: int) -> IStreamClientEndpoint:
        endpoint: Callable[..., IStreamClientEndpoint] = HostnameEndpoint
        return endpoint(reactor, host, port)

    if tls is None:
        return Wires(listen_on, call, vouches_for_all)
    from bleepstore.cluster.tls import PeerContexts  # costs time to import, and to prepare

    contexts = PeerContexts(tls, reactor)
    return Wires(
        contexts.server(listen_on),
        lambda host, port: contexts.client(host, call(host, port)),
        contexts.vouch if tls.names_nodes else vouches_for_all,
    )


def vouches_for_all(transport: object, node_id: str) -> str:
    """A ``Vouch`` where certificates prove nothing about ids, or there are none."""
    return ""
