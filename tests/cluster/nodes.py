"""Transports of several nodes on a network in memory, and what each of them hears."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.task import Clock
from zope.interface import implementer

from bleepstore.cluster.peer_hello import Self, Versions
from bleepstore.cluster.peer_settings import PeerSettings
from bleepstore.cluster.transport import AmpTransport
from bleepstore.interfaces.replication import IReceiver
from bleepstore.raft.messages import Member, Members, Message, SnapshotMark
from bleepstore.streams.threads import ImmediateThreads
from tests.cluster.network import Network, outcome, settle

CLUSTER = "cluster-1"


@implementer(IReceiver)
class Ears:
    """A receiver that notes everything, and may answer at once."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Message]] = []
        self.snapshots: list[tuple[str, int, SnapshotMark, str]] = []
        self.lost: list[str] = []
        self.reply: Any = None

    def received(self, sender: str, message: Message) -> None:
        self.heard.append((sender, message))
        if self.reply is not None:
            self.reply(sender, message)

    def snapshot_received(self, sender: str, term: int, mark: SnapshotMark, path: str) -> None:
        self.snapshots.append((sender, term, mark, path))

    def peer_lost(self, peer: str) -> None:
        self.lost.append(peer)


class Node:
    """One transport, its ears, and where it lives: host ``h-ID``, port 9002."""

    def __init__(
        self,
        network: Network,
        node_id: str,
        directory: Path,
        *,
        cluster: str = CLUSTER,
        host: str = "",
        settings: PeerSettings | None = None,
        versions: Versions | None = None,
        threads: Any = None,
        **more: Any,
    ) -> None:
        self.id = node_id
        self.network = network
        self.host = host or f"h-{node_id}"
        self.address = f"{self.host}:9002"
        self.ears = Ears()
        self.me = Self(node=node_id, address=self.address, cluster=cluster)
        if versions is not None:
            self.me.versions = versions
        self.settings = settings or PeerSettings()
        self.incoming = directory / f"incoming-{node_id}"
        self.transport = AmpTransport(
            self.me,
            network.clock,
            threads or ImmediateThreads(),
            network.listener(self.host),
            network.endpoints(self.host),
            str(self.incoming),
            Random(node_id).random,
            settings=self.settings,
            **more,
        )
        self.transport.listen(self.ears)

    def start(self) -> None:
        outcome(self.network.clock, self.transport.start())

    def stop(self) -> None:
        outcome(self.network.clock, self.transport.stop())


class Nodes:
    """Nodes that are each other's members."""

    def __init__(
        self, directory: Path, *ids: str, network: Network | None = None, **more: Any
    ) -> None:
        self.clock = Clock() if network is None else network.clock
        self.network = network or Network(self.clock)
        self.nodes = {node_id: Node(self.network, node_id, directory, **more) for node_id in ids}
        self.members = Members(tuple(Member(n.id, n.address) for n in self.nodes.values()))
        for node in self.nodes.values():
            node.start()
        for node in self.nodes.values():
            node.transport.connect(self.members)
        settle(self.clock)

    def __getitem__(self, node_id: str) -> Node:
        return self.nodes[node_id]

    def stop(self) -> None:
        for node in self.nodes.values():
            node.stop()
        settle(self.clock)
        assert not self.clock.getDelayedCalls()
        assert not [end for end in self.network.ends if not end.gone]
        assert not self.network.listening
