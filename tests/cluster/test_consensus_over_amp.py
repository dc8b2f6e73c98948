"""Real drivers over the real transport, on a network in memory: nothing between them is a fake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bleepstore.cluster.consensus import Consensus
from bleepstore.cluster.peer_hello import Self
from bleepstore.cluster.snapshots import SnapshotFiles
from bleepstore.cluster.transport import AmpTransport
from bleepstore.interfaces.replication import Identity
from bleepstore.model import proposals
from bleepstore.raft.messages import Member, Members
from bleepstore.streams.threads import ImmediateThreads
from tests.cluster.network import Network
from tests.cluster.world import SETTINGS, Node, World
from tests.sim.memory_log import MemoryLog


class AmpNode(Node):
    """A node whose peers are called at host ``ID``, port 1."""

    world: AmpWorld
    transport: Any

    def boot(self) -> None:
        world = self.world
        self.log = MemoryLog(self.disk, self.id, world.turn)
        self.snapshots = SnapshotFiles(str(self.directory / "snapshots"), ImmediateThreads())
        self.me = Self(node=self.id, address=f"{self.id}:1")
        self.transport = AmpTransport(
            self.me,
            world.clock,
            ImmediateThreads(),
            world.wire.listener(self.id, 1),  # type: ignore[arg-type]  # as much as is used of it
            world.wire.endpoints(self.id),
            str(self.directory / "incoming"),
            world.dice.random,
            adopt=lambda cluster_id: self.consensus.adopt(cluster_id),
        )
        self.consensus = Consensus(
            self.id,
            self.settings,
            self.log,
            self.snapshots,
            self.machine,
            self.transport,
            world.clock,
            world.dice.randrange,
            on_fatal=self.fatal.append,
            members=self.members,
            admit=proposals.decode,
            introduce=self.introduce,
        )

    def introduce(self, identity: Identity) -> None:
        me = self.me
        me.cluster, me.log, me.founders = identity.cluster_id, identity.log_id, identity.founders


class AmpWorld(World):
    def __init__(self, directory: Path, **settings: Any) -> None:
        super().__init__(directory, replace(SETTINGS, **settings))
        self.wire = Network(self.clock)
        self.wire.latency = 0.005

    def add(self, *ids: str, first: tuple[str, ...] | None = None) -> None:
        who = ids if first is None else first

        members = Members(tuple(Member(each, f"{each}:1") for each in sorted(who)))
        for each in ids:
            self.nodes[each] = AmpNode(self, each, members)
            self.nodes[each].start()

    def isolate(self, node_id: str) -> None:
        for other in self.nodes:
            if other != node_id:
                self.wire.freeze(node_id, other)

    def _leader(self) -> Node | None:
        leading = [node for node in self.nodes.values() if node.role == "leader"]
        return max(leading, key=lambda node: node.consensus.status().term, default=None)

    def agree(self, *but: str) -> None:
        """Until all but some have applied the same."""
        nodes = [node for node in self.nodes.values() if node.id not in but]
        self.until(lambda: len({node.machine.applied_index() for node in nodes}) == 1)
        assert len({tuple(node.commands) for node in nodes}) == 1

    def end(self) -> None:
        self.wire.thaw()
        for node in self.nodes.values():
            self.run(node.consensus.stop())
            assert not node.fatal
        self.go_on(1)
        assert not self.clock.getDelayedCalls()
        assert not [end for end in self.wire.ends if not end.gone]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AmpWorld]:
    world = AmpWorld(tmp_path, snapshot_entries=40, tail_entries=5)
    yield world
    world.end()


def test_a_cluster_decides_reads_and_survives_the_loss_of_its_leader(world: AmpWorld) -> None:
    world.add("a", "b", "c")
    leader, follower = world.leader, world.follower
    assert world.run(leader.consensus.propose(b"one")) == 1
    assert world.run(follower.consensus.propose(b"two")) == 2
    world.run(follower.consensus.barrier())
    assert follower.commands == [b"one", b"two"]
    world.isolate(leader.id)
    others = [node for node in world.nodes.values() if node is not leader]
    world.until(lambda: any(node.role == "leader" for node in others))
    assert world.run(others[0].consensus.propose(b"three")) == 3
    assert world.run(others[1].consensus.propose(b"four")) == 4
    assert leader.commands == [b"one", b"two"]
    world.wire.thaw()
    world.agree()
    assert leader.commands == [b"one", b"two", b"three", b"four"]


def test_answers_of_a_busy_cluster_are_not_given_up(world: AmpWorld) -> None:
    world.add("a", "b", "c")
    leader, follower = world.leader, world.follower
    for _ in range(60):
        waiting = [
            world.start(node.consensus.propose(bytes(5000))) for node in (leader, follower) * 10
        ]
        world.until(lambda waiting=waiting: all(each.called for each in waiting))
    world.agree()
    assert len(leader.commands) == 1200
    for node in world.nodes.values():
        counted = node.transport.statistics()
        assert counted["calls_timed_out"] == counted["answers_late"] == 0
        assert counted["messages_dropped"] < 20, "before the connections were there"
        assert counted["peers_refused"] == 0


def test_a_node_that_is_far_behind_gets_a_snapshot(world: AmpWorld) -> None:
    world.add("a", "b", "c")
    behind = world.follower
    world.isolate(behind.id)
    leader = world.leader
    for number in range(100):
        world.run(leader.consensus.propose(b"%d" % number))
    assert leader.log.first_index() > 20
    world.wire.thaw()
    world.agree()
    assert behind.transport.statistics()["snapshots_received"] == 1
    assert len(behind.commands) == 100


def test_a_new_node_joins_by_the_call_of_a_member(world: AmpWorld) -> None:
    world.add("a", "b", "c")
    for number in range(60):
        world.run(world.leader.consensus.propose(b"%d" % number))
    world.add("d", first=())
    assert world["d"].me.cluster == ""  # type: ignore[attr-defined]  # an AmpNode
    world.run(world.follower.consensus.add_member("d", "d:1"))
    world.agree()
    assert world["d"].log.identity.cluster_id == world["a"].log.identity.cluster_id
    assert world.run(world["d"].consensus.propose(b"from d")) == 61
    gone = world.follower
    world.run(world.leader.consensus.remove_member(gone.id))
    assert world.run(world.leader.consensus.propose(b"without")) == 62


def test_a_leader_hands_over(world: AmpWorld) -> None:
    world.add("a", "b", "c")
    world.run(world.leader.consensus.propose(b"one"))
    world.agree()
    follower = world.follower
    world.run(follower.consensus.transfer_leadership(follower.id))
    world.until(lambda: follower.role == "leader")
