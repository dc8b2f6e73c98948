"""How nodes reach each other: the listening endpoint of this one, and the way to any other."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IReactorTCP, IStreamClientEndpoint, IStreamServerEndpoint

from bleepstore.config.addresses import parse_host_port
from bleepstore.config.sections import ClusterConfig
from bleepstore.node.listening import AddressEndpoint

Endpoints = Callable[[str, int], IStreamClientEndpoint]
"""The endpoint of a host and a port."""


def peer_endpoints(
    cluster: ClusterConfig, reactor: IReactorTCP
) -> tuple[IStreamServerEndpoint, Endpoints]:
    """Where this node listens for peers, and how it calls them."""
    bind = parse_host_port(cluster.bind_addr)

    def endpoint(host: str, port: int) -> IStreamClientEndpoint:
        found: IStreamClientEndpoint = HostnameEndpoint(reactor, host, port)
        return found

    return AddressEndpoint(reactor, bind.host, bind.port), endpoint
