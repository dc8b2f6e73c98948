"""What peers are told of where this node is."""

from __future__ import annotations

import socket

import pytest

from bleepstore.config.addresses import HostPort
from bleepstore.config.sections import ClusterConfig, PeerConfig
from bleepstore.node.addresses import advertised_address


def test_what_is_configured_counts() -> None:
    cluster = ClusterConfig(bind_addr="0.0.0.0:1", advertise_addr="node-1.example.org:2")
    assert advertised_address(cluster) == HostPort("node-1.example.org", 2)


def test_without_it_the_node_is_where_it_listens() -> None:
    cluster = ClusterConfig(bind_addr="[::1]:9002")
    assert advertised_address(cluster) == HostPort("::1", 9002)


def test_a_wildcard_becomes_the_address_that_peers_see() -> None:
    peers = (PeerConfig(id="b", addr="127.0.0.1:9"),)
    assert advertised_address(ClusterConfig(peers=peers)) == HostPort("127.0.0.1", 9002)


def test_without_a_route_or_a_name_it_is_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*args: object, **kwargs: object) -> None:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    assert advertised_address(ClusterConfig()) == HostPort("127.0.0.1", 9002)
