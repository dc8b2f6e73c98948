"""Nodes are found by DNS wherever they are, and a wrong or silent DNS moves nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from bleepstore.cluster.discovery import DnsDiscovery
from bleepstore.raft.messages import Member, Members
from tests.cluster.network import Network, outcome, pass_time, settle
from tests.cluster.nodes import Node


@implementer(IHostResolution)
class Resolving:
    name = "nodes.example"

    def cancel(self) -> None:
        raise NotImplementedError


@implementer(IHostnameResolver)
class Names:
    """A resolver of one name; None: it never answers."""

    def __init__(self) -> None:
        self.hosts: list[str] | None = []
        self.asked = 0

    def resolveHostName(
        self, receiver: IResolutionReceiver, name: str, port: int = 0, *rest: Any
    ) -> IHostResolution:
        assert name == "nodes.example"
        self.asked += 1
        resolving = Resolving()
        receiver.resolutionBegan(resolving)
        if self.hosts is not None:
            for host in self.hosts:
                kind = IPv6Address if ":" in host else IPv4Address
                receiver.addressResolved(kind("TCP", host, port))
            receiver.resolutionComplete()
        return resolving


class World:
    """Who answers where, and what the transport is told."""

    def __init__(self, interval: float = 30) -> None:
        self.clock = Clock()
        self.names = Names()
        self.at: dict[str, Any] = {}
        self.moves: list[tuple[str, str]] = []
        self.discovery = DnsDiscovery(
            self.clock,
            self.names,
            self.ask,
            lambda node, address: self.moves.append((node, address)),
            "nodes.example",
            9002,
            interval,
            "me",
            lambda: 0.5,
        )

    def ask(self, address: str) -> Deferred[str]:
        there = self.at.get(address)
        if there is None:
            return fail(ConnectionError("nobody is there"))
        return there if isinstance(there, Deferred) else succeed(there)

    def start(self) -> None:
        outcome(self.clock, self.discovery.start())

    def stop(self) -> None:
        outcome(self.clock, self.discovery.stop())
        assert not self.clock.getDelayedCalls()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    said: list[str] = []

    def observe(event: LogEvent) -> None:
        line = formatEvent(event)
        if line.startswith("Peer "):
            said.append(line)

    globalLogPublisher.addObserver(observe)
    yield said
    globalLogPublisher.removeObserver(observe)


def test_nodes_are_found_and_followed() -> None:
    world = World()
    world.names.hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.2", "fd00::1"]
    world.at = {
        "10.0.0.1:9002": "a",
        "10.0.0.2:9002": "b",
        "10.0.0.3:9002": "me",
        "[fd00::1]:9002": "c",
    }
    world.start()
    assert sorted(world.moves) == [
        ("a", "10.0.0.1:9002"),
        ("b", "10.0.0.2:9002"),
        ("c", "[fd00::1]:9002"),
    ]
    world.moves.clear()
    pass_time(world.clock, 100)
    assert world.moves == []
    assert 4 <= world.names.asked <= 5, "every 27 seconds"
    world.names.hosts[1] = "10.0.0.9"
    world.names.hosts[3] = "10.0.0.9"
    world.at["10.0.0.9:9002"] = "b"
    pass_time(world.clock, 30)
    assert world.moves == [("b", "10.0.0.9:9002")]
    world.stop()


def test_until_all_have_answered_rounds_follow_soon() -> None:
    world = World()
    world.names.hosts = ["10.0.0.1"]
    world.start()
    assert world.moves == []
    pass_time(world.clock, 1.5)
    world.at = {"10.0.0.1:9002": "a"}
    pass_time(world.clock, 4)
    assert world.moves == [("a", "10.0.0.1:9002")]
    asked = world.names.asked
    pass_time(world.clock, 26)
    assert world.names.asked <= asked + 1
    world.stop()


def test_a_node_at_two_addresses_stays_where_it_is() -> None:
    world = World()
    world.names.hosts = ["10.0.0.2"]
    world.at = {"10.0.0.1:9002": "a", "10.0.0.2:9002": "a"}
    world.start()
    world.names.hosts = ["10.0.0.1", "10.0.0.2"]
    pass_time(world.clock, 100)
    assert world.moves == [("a", "10.0.0.2:9002")]
    world.names.hosts = ["10.0.0.1"]
    pass_time(world.clock, 30)
    assert world.moves[1:] == [("a", "10.0.0.1:9002")]
    world.stop()


def test_a_dns_that_is_silent_or_empty_moves_nobody_and_is_said_once(lines: list[str]) -> None:
    world = World()
    world.names.hosts = ["10.0.0.1"]
    world.at = {"10.0.0.1:9002": "a"}
    world.start()
    world.names.hosts = []
    pass_time(world.clock, 85)
    assert len([line for line in lines if "has no address" in line]) == 1
    world.names.hosts = None
    pass_time(world.clock, 100)
    assert 1 <= len([line for line in lines if "cannot be resolved" in line]) <= 2
    world.names.hosts = ["10.0.0.1"]
    pass_time(world.clock, 45)
    assert world.moves == [("a", "10.0.0.1:9002")]
    world.stop()


def test_many_addresses_are_not_all_asked(lines: list[str]) -> None:
    world = World()
    world.names.hosts = [f"10.0.1.{number}" for number in range(1, 200)]
    world.at = {f"{host}:9002": f"n{number}" for number, host in enumerate(world.names.hosts)}
    world.start()
    assert len(world.moves) == 64
    assert len(lines) == 1
    world.stop()


@pytest.mark.parametrize("where", ["resolving", "asking"])
def test_the_end_comes_amid_a_round(where: str) -> None:
    world = World()
    world.names.hosts = None if where == "resolving" else ["10.0.0.1", "10.0.0.2"]
    world.at = {"10.0.0.1:9002": Deferred(), "10.0.0.2:9002": Deferred()}
    world.start()
    world.stop()
    world.stop()
    assert world.moves == []


def test_it_moves_a_real_transport(tmp_path: Path) -> None:
    clock = Clock()
    network = Network(clock)
    a, b = Node(network, "a", tmp_path), Node(network, "b", tmp_path, host="10.0.0.7")
    members = Members((Member("a", a.address), Member("b", "unknown:9002")))
    names = Names()
    names.hosts = ["10.0.0.7"]
    discovery = DnsDiscovery(
        clock,
        names,
        a.transport.ask,
        a.transport.moved,
        "nodes.example",
        9002,
        30,
        "a",
        lambda: 0.5,
    )
    a.start()
    b.start()
    a.transport.connect(members)
    pass_time(clock, 1)
    assert a.transport.statistics()["peers_connected"] == 0
    outcome(clock, discovery.start())
    settle(clock)
    assert a.transport.statistics()["peers_connected"] == 1
    outcome(clock, discovery.stop())
    a.stop()
    b.stop()
    assert not clock.getDelayedCalls()
