"""The beginning of a cluster, and members that lose their disks: nodes over AMP, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.replication import Identity, LostLog
from bleepstore.raft.messages import (
    AppendEntries,
    ChangeStep,
    Member,
    Members,
    ReadIndex,
    RequestVote,
    StepKind,
    TimeoutNow,
    decode_members,
    encode_members,
)
from tests.cluster.network import Network, outcome, pass_time, settle
from tests.cluster.nodes import Node as Station
from tests.cluster.nodes import Nodes
from tests.cluster.test_consensus_over_amp import AmpWorld
from tests.cluster.world import ListMachine, Node
from tests.sim.memory_log import LogDisk

ABC = ("a", "b", "c")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AmpWorld]:
    world = AmpWorld(tmp_path, snapshot_entries=40, tail_entries=5)
    yield world
    world.wire.thaw()
    for node in world.nodes.values():
        world.run(node.consensus.stop())
    world.go_on(1)
    assert not world.clock.getDelayedCalls()
    assert not [end for end in world.wire.ends if not end.gone]


def lose_disk(node: Node, members: Members | None = None, disk: LogDisk | None = None) -> None:
    """The process dies, and begins again with nothing but its configuration."""
    node.world.run(node.consensus.stop())
    node.disk = LogDisk(node.world.logs) if disk is None else disk
    node.machine = ListMachine(node.world.clock)
    node.directory = node.world.directory / f"{node.id} {node.disk}"
    (node.directory / "incoming").mkdir(parents=True)
    node.fatal = []
    if members is not None:
        node.members = members
    node.start()


def begun(node: Node) -> bool:
    return node.consensus._driver is not None


def logs(node: Node) -> dict[str, str]:
    assert node.consensus._driver is not None
    return {each.id: each.log for each in node.consensus._driver.raft.members.nodes}


def test_a_cluster_begins_once_all_its_first_members_have_met(world: AmpWorld) -> None:
    world.add("a", "b", first=ABC)
    world.go_on(30)
    assert not begun(world["a"])
    assert not begun(world["b"])
    assert world["a"].role == "founding"
    for asked in (world["a"].consensus.propose(b"too early"), world["a"].consensus.barrier()):
        with pytest.raises(ServiceUnavailable, match="waits for the other first members"):
            world.run(asked)
    waiting = world.start(world["a"].consensus.propose(b"one"))
    world.add("c", first=ABC)
    assert world.result(waiting) == 1
    world.agree()
    own = {each: world[each].log.identity.log_id for each in ABC}
    assert [logs(world[each]) for each in ABC] == [own] * 3
    assert all(dict(world[each].log.identity.founders) == own for each in ABC)
    assert not any(world[each].transport.statistics()["peers_refused"] for each in ABC)


def test_who_died_before_it_began_is_told_with_whom_by_those_that_have(world: AmpWorld) -> None:
    world.add(*ABC)
    late = world.follower
    own = late.log.identity
    lose_disk(late, disk=LogDisk(world.logs, Identity("", late.id, own.log_id)))
    assert not begun(late)
    world.isolate(next(each for each in ABC if each != late.id))  # one that has begun is enough
    world.until(lambda: begun(late))
    assert late.log.identity == own
    world.wire.thaw()
    assert world.run(world.leader.consensus.propose(b"one")) == 1
    world.agree()


def test_a_first_member_that_stops_before_it_began_leaves_nothing_behind(world: AmpWorld) -> None:
    world.add("a", first=ABC)
    world.go_on(1)
    world.run(world["a"].consensus.stop())
    assert world["a"].log.identity.cluster_id == ""
    assert not world.clock.getDelayedCalls()


def test_a_first_member_that_lost_its_disk_does_not_begin_again(world: AmpWorld) -> None:
    """With the one that missed all it would be a majority that knows of nothing."""
    world.add(*ABC)
    leader = world.leader
    lost, away = (world[each] for each in ABC if each != leader.id)
    world.agree()
    world.isolate(away.id)
    for number in range(10):
        assert world.run(leader.consensus.propose(b"%d" % number))
    lose_disk(lost)
    world.isolate(leader.id)
    world.wire.frozen.discard(frozenset((lost.id, away.id)))
    world.go_on(20)
    assert not begun(lost)
    assert away.role != "leader"
    (reason,) = lost.fatal
    assert "Its disk was lost or replaced" in reason
    assert "remove it from the cluster, set cluster.join" in reason
    world.wire.thaw()
    world.until(lambda: away.commands == leader.commands)
    assert world.run(away.consensus.propose(b"eleventh")) == 11


def test_a_lost_disk_is_replaced_by_removing_and_adding(world: AmpWorld) -> None:
    world.add(*ABC)
    world.run(world.leader.consensus.propose(b"one"))
    lost = world.follower
    lose_disk(lost, Members())
    others = [node for node in world.nodes.values() if node is not lost]
    world.go_on(5)
    assert lost.role == "joining", "it waits to be added, and is spoken with by nobody"
    with pytest.raises(ValueError, match="was lost or replaced"):
        world.run(others[0].consensus.add_member(lost.id, f"{lost.id}:1"))
    assert world.run(others[0].consensus.propose(b"two")) == 2
    world.run(others[1].consensus.remove_member(lost.id))
    world.run(others[1].consensus.add_member(lost.id, f"{lost.id}:1"))
    world.agree()
    assert lost.commands == [b"one", b"two"]
    assert logs(others[0])[lost.id] == lost.log.identity.log_id


def test_a_member_with_a_new_log_leads_those_who_have_not_heard_of_that_log(
    world: AmpWorld,
) -> None:
    """Who joins is told the cluster's past first, in which a node of the leader's name had another
    log; what ends that past is what it is told next, by whoever leads."""
    core = replace(world.settings.core, max_entries=1, max_inflight=1)
    world.settings = replace(world.settings, core=core)
    world.add("a")
    founder = world["a"]
    for each in "bc":
        world.add(each, first=())
        world.run(founder.consensus.add_member(each, f"{each}:1"))
    lose_disk(founder, Members())
    world.run(world["b"].consensus.remove_member("a"))
    world.run(world["b"].consensus.add_member("a", "a:1"))
    world.run(world["b"].consensus.transfer_leadership("a"))
    world.add("d", first=())
    world.run(founder.consensus.add_member("d", "d:1"))
    assert founder.role == "leader"
    world.agree()
    assert logs(world["d"])["a"] == founder.log.identity.log_id
    assert world.run(world["d"].consensus.propose(b"by d"))
    assert founder.role == "leader"


def test_a_node_is_added_only_once_it_was_met(world: AmpWorld) -> None:
    world.add(*ABC)
    adding = world.start(world.leader.consensus.add_member("d", "d:1"))
    world.go_on(3)
    assert set(logs(world.leader)) == set(ABC)
    world.add("d", first=())
    world.result(adding)
    assert logs(world.leader)["d"] == world["d"].log.identity.log_id
    with pytest.raises(ServiceUnavailable, match="Not done in time: e was not met at e:1"):
        world.run(world.leader.consensus.add_member("e", "e:1"), patience=400)


# The transport


def station(network: Network, node_id: str, directory: Path, log: str) -> Station:
    node = Station(network, node_id, directory)
    node.me.log = log
    node.start()
    return node


def known(**logs: str) -> Members:
    return Members(tuple(Member(each, f"h-{each}:9002", log=logs[each]) for each in sorted(logs)))


@pytest.mark.parametrize("knowing", ["a", "b"])
def test_who_has_another_log_than_is_known_is_not_asked_and_heard_only_as_a_leader(
    tmp_path: Path, knowing: str
) -> None:
    nodes = Nodes(tmp_path)
    for node_id in "ab":
        nodes.nodes[node_id] = station(nodes.network, node_id, tmp_path, f"{node_id}1")
    other = "b" if knowing == "a" else "a"
    nodes[knowing].transport.connect(known(**{knowing: f"{knowing}1", other: f"{other}2"}))
    nodes[other].transport.connect(known(a="", b=""))
    settle(nodes.clock)
    assert nodes[knowing].transport.statistics()["peers_connected"] == 0
    said = (AppendEntries(2, 0, 0), RequestVote(2, 0, 0), TimeoutNow(2))
    for message in (*said, ReadIndex(1, 1), ChangeStep(1, StepKind.REMOVE, knowing)):
        nodes[other].transport.send(knowing, message)
    settle(nodes.clock)
    assert nodes[knowing].ears.heard == [(other, message) for message in said]
    with pytest.raises(LostLog):
        outcome(nodes.clock, nodes[other].transport.meet(knowing, f"h-{knowing}:9002"))
    for node in nodes.nodes.values():
        node.transport.connect(known(a="a1", b="b1"))
    nodes.clock.advance(5)
    settle(nodes.clock)
    for node in nodes.nodes.values():
        assert node.transport.statistics()["peers_connected"] == 1
    nodes.stop()


def test_a_stranger_is_heard_less_once_its_log_turns_out_to_be_another(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    for node_id in "ab":
        nodes.nodes[node_id] = station(nodes.network, node_id, tmp_path, f"{node_id}1")
    a, b = nodes["a"], nodes["b"]
    a.transport.connect(known(a="a1", b="b1"))
    settle(nodes.clock)
    a.transport.send("b", ReadIndex(1, 1))
    settle(nodes.clock)
    assert b.ears.heard == [("a", ReadIndex(1, 1))]
    b.transport.connect(known(a="a1", b="b1"))  # it is who it was
    settle(nodes.clock)
    a.transport.send("b", ReadIndex(1, 2))
    settle(nodes.clock)
    assert len(b.ears.heard) == 2
    b.transport.connect(known(a="a2", b="b1"))
    pass_time(nodes.clock, 3)
    a.transport.send("b", ReadIndex(1, 3))
    a.transport.send("b", TimeoutNow(1))
    settle(nodes.clock)
    assert b.ears.heard[2:] == [("a", TimeoutNow(1))]
    nodes.stop()


def test_who_has_another_log_does_not_take_the_place_of_the_one_that_is_known(
    tmp_path: Path,
) -> None:
    nodes = Nodes(tmp_path)
    for node_id in "ab":
        nodes.nodes[node_id] = station(nodes.network, node_id, tmp_path, f"{node_id}1")
    a, b = nodes["a"], nodes["b"]
    for node in (a, b):
        node.transport.connect(known(a="a1", b="b1"))
    settle(nodes.clock)
    zombie = Station(nodes.network, "a", tmp_path / "old", host="h-old")
    zombie.me.log = "a0"
    zombie.start()
    zombie.transport.connect(known(a="a0", b="b1"))
    pass_time(nodes.clock, 3)
    assert zombie.transport.statistics()["peers_connected"] == 0
    a.transport.send("b", ReadIndex(1, 1))
    settle(nodes.clock)
    assert b.ears.heard == [("a", ReadIndex(1, 1))]
    zombie.stop()
    nodes.stop()


def test_members_of_an_older_log_have_no_ids_of_logs(tmp_path: Path) -> None:
    """Such a list is read, and nobody is refused for it."""
    raw = bytes.fromhex("919193a161a3613a31c3")
    assert decode_members(raw) == Members((Member("a", "a:1"),))
    assert decode_members(encode_members(known(a="a1"))) == known(a="a1")
