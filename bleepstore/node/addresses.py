"""The address that peers are told, where the configuration leaves it to the machine.

Runs before the reactor does; resolving a peer's name may block.
"""

from __future__ import annotations

import socket

from bleepstore.config.addresses import HostPort, parse_host_port
from bleepstore.config.sections import ClusterConfig

_ELSEWHERE = "192.0.2.1"
"""An address that no machine has (RFC 5737): the route to it is that to everybody far away."""


def advertised_address(cluster: ClusterConfig) -> HostPort:
    """Where peers reach this node: as configured, or else where it listens.

    For a wildcard it is the address from which this machine would speak to its first peer, or to
    the world if it has none.
    """
    if cluster.advertise_addr:
        return parse_host_port(cluster.advertise_addr)
    bind = parse_host_port(cluster.bind_addr)
    if not bind.is_wildcard:
        return bind
    towards = parse_host_port(cluster.peers[0].addr).host if cluster.peers else _ELSEWHERE
    return HostPort(_source_address(towards), bind.port)


def _source_address(towards: str) -> str:
    """This machine's address on the way to a host; loopback where there is no way."""
    try:
        found = socket.getaddrinfo(towards, 9, type=socket.SOCK_DGRAM)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)  # of a datagram socket: chooses a route, sends nothing
                return str(probe.getsockname()[0])
    except OSError:
        pass
    return "127.0.0.1"
