"""A node of no cluster joins the first one that calls it, durably, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bleepstore.raft.messages import Member, Members, ReadIndex
from tests.cluster.network import Network, outcome, pass_time, settle
from tests.cluster.nodes import Node, Nodes


class Adoption:
    """Keeps what a node is asked to join; slow, and failing, if so wanted."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.waiting: Deferred[None] | None = None
        self.error: Exception | None = None

    async def __call__(self, cluster: str) -> None:
        self.asked.append(cluster)
        if self.waiting is not None:
            await self.waiting
        if self.error is not None:
            raise self.error


def joining(nodes: Nodes, directory: Path, adoption: Any) -> Node:
    node = Node(nodes.network, "new", directory, cluster="", adopt=adoption)
    nodes.nodes["new"] = node
    node.start()
    return node


def call(nodes: Nodes, caller: str = "a") -> None:
    members = Members((*nodes.members.nodes, Member("new", "h-new:9002")))
    nodes[caller].transport.connect(members)
    settle(nodes.clock)


def test_it_joins_who_calls_and_keeps_it_before_it_answers(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    adoption = Adoption()
    adoption.waiting = Deferred()
    new = joining(nodes, tmp_path, adoption)
    call(nodes)
    call(nodes, "b")
    nodes["a"].transport.send("new", ReadIndex(1, 1))
    settle(nodes.clock)
    assert new.me.cluster == ""
    assert new.ears.heard == []
    assert nodes["a"].transport.statistics()["peers_connected"] == 1
    adoption.waiting.callback(None)
    settle(nodes.clock)
    assert new.me.cluster == "cluster-1"
    assert adoption.asked == ["cluster-1"]
    nodes["a"].transport.send("new", ReadIndex(1, 2))
    nodes["b"].transport.send("new", ReadIndex(1, 3))
    settle(nodes.clock)
    assert sorted(new.ears.heard, key=str) == [("a", ReadIndex(1, 2)), ("b", ReadIndex(1, 3))]
    nodes.stop()


def test_of_two_clusters_that_call_at_once_the_first_one_has_it(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    nodes["b"].me.cluster = "cluster-2"
    adoption = Adoption()
    adoption.waiting = Deferred()
    new = joining(nodes, tmp_path, adoption)
    call(nodes, "a")
    call(nodes, "b")
    adoption.waiting.callback(None)
    pass_time(nodes.clock, 3)
    assert adoption.asked == ["cluster-1"]
    assert new.me.cluster == "cluster-1"
    nodes["b"].transport.send("new", ReadIndex(1, 3))
    nodes["a"].transport.send("new", ReadIndex(1, 2))
    settle(nodes.clock)
    assert new.ears.heard == [("a", ReadIndex(1, 2))]
    nodes.stop()


def test_a_node_that_must_not_join_refuses(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a")
    adoption = Adoption()
    adoption.error = ValueError("it belongs to another one")
    new = joining(nodes, tmp_path, adoption)
    call(nodes)
    pass_time(nodes.clock, 1)
    assert new.me.cluster == ""
    assert len(adoption.asked) > 1
    nodes["a"].transport.send("new", ReadIndex(1, 1))
    settle(nodes.clock)
    assert new.ears.heard == []
    nodes.stop()


def test_a_disk_that_fails_lets_nobody_in_and_the_next_call_tries_again(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a")
    adoption = Adoption()
    adoption.error = OSError("the disk is gone")
    new = joining(nodes, tmp_path, adoption)
    call(nodes)
    assert new.me.cluster == ""
    adoption.error = None
    pass_time(nodes.clock, 3)
    assert new.me.cluster == "cluster-1"
    nodes.stop()


def test_it_may_ask_who_is_there_before_it_belongs_to_any(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a")
    new = joining(nodes, tmp_path, Adoption())
    assert outcome(nodes.clock, new.transport.ask("h-a:9002")) == "a"
    assert outcome(nodes.clock, nodes["a"].transport.ask("h-new:9002")) == "new"
    assert new.me.cluster == "", "to be asked is not to be called"
    nodes.stop()


def test_a_transport_does_not_start_without_a_listener_or_on_a_taken_address(
    tmp_path: Path,
) -> None:
    network = Network(Clock())
    node = Node(network, "a", tmp_path)
    node.transport._receiver = None
    with pytest.raises(RuntimeError):
        outcome(network.clock, node.transport.start())
    one, two = Node(network, "a", tmp_path), Node(network, "a", tmp_path)
    one.start()
    with pytest.raises(OSError, match="in use"):
        outcome(network.clock, two.transport.start())
    two.stop()
    one.stop()
    assert not network.clock.getDelayedCalls()
