"""Three drivers and a network: decisions, forwarding, reads, snapshots, members, and the end."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from zope.interface.verify import verifyObject

from bleepstore.cluster.peer_commands import WrongCluster, WrongNode
from bleepstore.cluster.unusable import DamagedLog, UnusableLog
from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import IConsensus, IReceiver, Verdict
from bleepstore.model import proposals
from bleepstore.observability.families import Distribution
from bleepstore.raft.messages import (
    AppendEntries,
    ChangeStep,
    Entry,
    Member,
    Members,
    Propose,
    ProposeAnswer,
    SnapshotMark,
    StepAnswer,
    StepKind,
    StepOutcome,
)
from tests.cluster.world import SETTINGS, STEP, Node, World

ALL = ("a", "b", "c")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    for node in world.nodes.values():
        if node.transport.running:
            assert node.fatal == []


def test_it_provides_its_interfaces(world: World) -> None:
    world.add("a")
    for interface in (IConsensus, IPart, IReceiver):
        assert verifyObject(interface, world["a"].consensus)


# Proposals


def test_a_proposal_at_any_node_is_applied_everywhere_and_answered_with_its_outcome(
    world: World,
) -> None:
    world.add(*ALL)
    assert world.leader
    for place, node in enumerate(world.nodes.values(), 1):
        assert world.run(node.consensus.propose(f"by {node.id}".encode())) == place
        assert node.commands[-1] == f"by {node.id}".encode(), "it is applied here by then"
    world.settle()
    assert {tuple(node.commands) for node in world.nodes.values()} == {(b"by a", b"by b", b"by c")}
    refused = world.run(world["b"].consensus.propose(b"fail"))
    assert isinstance(refused, KeyError), "a refusal is an outcome, as a value"


def test_one_node_alone_decides_at_once(world: World) -> None:
    world.add("a")
    assert world.run(world["a"].consensus.propose(b"x"), patience=1) == 1


def test_all_proposals_of_a_turn_share_one_write_and_one_message(world: World) -> None:
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    world.go_on(1)
    for node in (leader, follower):
        writes = leader.disk.writes
        world.network.seen.clear()
        waiting = [world.start(node.consensus.propose(b"%d" % n)) for n in range(10)]
        for each in waiting:
            world.result(each)
        assert leader.disk.writes == writes + 1
        handed = [each for _, _, each in world.network.seen if isinstance(each, Propose)]
        assert [len(each.payloads) for each in handed] == ([] if node is leader else [10])
        full = [e for _, _, e in world.network.seen if isinstance(e, AppendEntries) and e.entries]
        assert [len(each.entries) for each in full] == [10, 10]


def test_a_decision_takes_no_heartbeat_anywhere(world: World) -> None:
    """Followers learn what is committed when it is, and not at the next heartbeat."""
    world.settings = replace(SETTINGS, core=replace(SETTINGS.core, heartbeat_ticks=5))
    world.add(*ALL)
    follower = world.follower
    world.go_on(3)
    begun = world.clock.seconds()
    world.run(follower.consensus.propose(b"x"))
    # There, written, back, committed, told, applied: in turns of 10 ms, and a heartbeat is 500.
    assert world.clock.seconds() - begun < 0.2


def test_a_node_where_nobody_waits_applies_in_larger_groups(world: World) -> None:
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    groups: list[int] = []
    apply = follower.machine.apply

    async def watched(entries: Sequence[Entry]) -> Sequence[Verdict]:
        groups.append(len(entries))
        return await apply(entries)

    follower.machine.apply = watched  # type: ignore[method-assign]

    def load(reading: bool) -> int:
        """How many groups it takes to apply a stream of entries."""
        groups.clear()
        for number in range(60):
            world.start(leader.consensus.propose(b"%d" % number))
            if reading:
                world.start(follower.consensus.barrier())
            world.clock.advance(STEP)
        world.settle()
        return len(groups)

    assert load(reading=False) < load(reading=True) / 2


def test_a_commit_has_a_message_of_its_own_where_its_proposer_waits(world: World) -> None:
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    told = {each.id: 0 for each in world.nodes.values()}
    for number in range(60):
        if number % 4 == 0:
            world.start(leader.consensus.propose(b"%d" % number))
        if number % 10 == 0:
            world.start(follower.consensus.propose(b"mine"))
        world.network.seen.clear()
        world.clock.advance(STEP)
        for _, receiver, message in world.network.seen:
            if isinstance(message, AppendEntries) and not message.entries:
                told[receiver] += 1
    (other,) = told.keys() - {leader.id, follower.id}
    assert told[follower.id] >= told[other] + 6


def test_what_is_too_large_for_one_message_goes_in_several(world: World) -> None:
    world.settings = replace(SETTINGS, batch_bytes=1000, batch_entries=4)
    world.add(*ALL)
    follower = world.follower
    world.network.seen.clear()
    sizes = (10, 400, 700, 5000, 1, 1, 1, 1, 1, 1)
    waiting = [world.start(follower.consensus.propose(b"x" * size)) for size in sizes]
    assert [world.result(each) for each in waiting] == list(range(1, 11))
    handed = [each for _, _, each in world.network.seen if isinstance(each, Propose)]
    assert [len(each.payloads) for each in handed] == [2, 1, 1, 4, 2]


def test_too_many_proposals_are_refused_at_once(world: World) -> None:
    world.settings = replace(SETTINGS, most_pending=3, most_pending_bytes=1000)
    world.add(*ALL)
    follower = world.follower
    waiting = [world.start(follower.consensus.propose(b"x")) for _ in range(3)]
    with pytest.raises(ServiceUnavailable, match="Too many"):
        world.result(world.start(follower.consensus.propose(b"y")), patience=0.01)
    assert follower.consensus.status().pending == 3
    for each in waiting:
        world.result(each)
    large = world.start(follower.consensus.propose(b"x" * 5000))
    with pytest.raises(ServiceUnavailable, match="Too many"):
        world.result(world.start(follower.consensus.propose(b"y")), patience=0.01)
    assert world.result(large) == 4, "one of any size passes"


def test_without_a_quorum_it_is_said_in_time_that_nobody_knows(world: World) -> None:
    world.add(*ALL)
    leader = world.leader
    others = [node for node in world.nodes.values() if node is not leader]
    for node in others:
        node.kill()
    begun = world.clock.seconds()
    lost = world.start(leader.consensus.propose(b"lost"))
    with pytest.raises(ServiceUnavailable, match="not decided in time"):
        world.result(lost)
    assert world.clock.seconds() - begun == pytest.approx(SETTINGS.decision, abs=0.3)
    assert leader.consensus.status().pending == 0
    with pytest.raises(ServiceUnavailable, match="not decided in time"):
        world.run(leader.consensus.propose(b"lost as well"))
    for node in others:
        node.start()
    assert world.run(leader.consensus.propose(b"kept"))
    assert leader.commands[-1] == b"kept"
    assert len(leader.commands) == len(set(leader.commands))


def test_proposals_survive_the_death_of_the_leader(world: World) -> None:
    """Each is handed to the next leader, and answered once."""
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    waiting = [world.start(follower.consensus.propose(b"%d" % n)) for n in range(5)]
    world.go_on(0.012)
    leader.kill()
    waiting += [world.start(follower.consensus.propose(b"%d" % n)) for n in range(5, 8)]
    outcomes = [world.result(each) for each in waiting]
    assert sorted(outcomes) == list(range(1, 9))  # type: ignore[type-var]  # places
    assert sorted(follower.commands) == [b"%d" % n for n in range(8)]


@pytest.mark.parametrize("seed", range(10))
def test_decisions_go_on_within_two_election_timeouts_of_the_leaders_death(
    world: World, seed: int
) -> None:
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    world.dice.seed(seed)
    world.go_on(2 + seed / 20)
    leader.kill()
    begun = world.clock.seconds()
    world.run(follower.consensus.propose(b"x"))
    assert world.clock.seconds() - begun < 2 * SETTINGS.election


@pytest.mark.parametrize("lost", [Propose, ProposeAnswer])
def test_a_lost_message_is_repeated_and_applied_once(world: World, lost: type) -> None:
    world.add(*ALL)
    follower = world.follower
    losses: list[object] = []

    def loses(sender: str, to: str, message: object) -> bool:
        if isinstance(message, lost) and len(losses) < 2:
            losses.append(message)
            return True
        return False

    world.network.loses = loses
    begun = world.clock.seconds()
    assert world.run(follower.consensus.propose(b"x")) == 1
    if lost is Propose:
        assert len(losses) == 2
        assert world.clock.seconds() - begun > 2 * SETTINGS.election
    world.go_on(3)
    world.settle()
    assert follower.commands == [b"x"]


def test_a_proposal_repeated_on_purpose_is_applied_once(world: World) -> None:
    """The leader is cut off from the others right after it took it in, and comes back."""
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    third = next(n for n in world.nodes.values() if n not in (leader, follower))
    world.network.cut = {(leader.id, third.id), (third.id, leader.id), (leader.id, follower.id)}
    waiting = world.start(follower.consensus.propose(b"x"))
    world.go_on(0.1)
    assert not waiting.called
    world.network.isolate(leader.id)
    assert world.result(waiting) == 1
    world.network.cut.clear()
    world.go_on(3)
    world.settle()
    assert [node.commands for node in world.nodes.values()] == [[b"x"]] * 3


def test_what_a_peer_proposes_and_cannot_be_applied_never_gets_into_the_log(world: World) -> None:
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    last = leader.consensus.status().last_index
    for wrong in (b"", b"\xff", b"\x01\xff"):
        follower.transport.send(leader.id, Propose(1, (wrong,)))
    world.go_on(1)
    assert leader.consensus.status().last_index == last
    assert leader.consensus.counters.refused_messages == 3
    assert world.run(follower.consensus.propose(b"x")) == 1


def test_a_node_that_does_not_lead_says_who_does(world: World) -> None:
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    third = next(n for n in world.nodes.values() if n not in (leader, follower))
    world.network.seen.clear()
    named = proposals.encode(proposals.Proposal("x", 1, 1, 1, b"x"))
    third.transport.send(follower.id, Propose(7, (named,)))
    world.go_on(0.1)
    answers = [m for _, to, m in world.network.seen if isinstance(m, ProposeAnswer)]
    assert answers == [ProposeAnswer(7, False, leader.id)]


# Reads


def test_a_barrier_waits_for_everything_acknowledged_before_it(world: World) -> None:
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    for node in world.nodes.values():
        world.run(leader.consensus.propose(f"for {node.id}".encode()))
        world.run(node.consensus.barrier())
        assert node.commands[-1] == f"for {node.id}".encode()
    rounds = follower.consensus._barriers.rounds
    waiting = [world.start(follower.consensus.barrier()) for _ in range(20)]
    for each in waiting:
        world.result(each)
    assert follower.consensus._barriers.rounds == rounds + 1


def test_a_barrier_holds_back_who_reads_what_is_not_applied_yet(world: World) -> None:
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    world.settle()
    follower.machine.held = held = Deferred()
    world.run(leader.consensus.propose(b"x"))
    barrier = world.start(follower.consensus.barrier())
    world.go_on(1)
    assert not barrier.called
    follower.machine.held = None
    held.callback(None)
    world.result(barrier, patience=0.1)
    assert follower.commands == [b"x"]


def test_a_node_keeps_up_once_reads_of_it_are_answered(world: World) -> None:
    world.add(*ALL)
    late = world.follower
    assert world.run(late.consensus.keeps_up())
    late.machine.held = held = Deferred()
    world.run(world.leader.consensus.propose(b"x"))
    assert world.run(late.consensus.keeps_up(), patience=0.1), "it did a moment ago"
    world.go_on(11)
    assert late.consensus.status().leader
    assert not world.run(late.consensus.keeps_up())
    late.machine.held = None
    held.callback(None)
    assert world.run(late.consensus.keeps_up())
    world.network.isolate(late.id)
    world.go_on(11)
    assert not world.run(late.consensus.keeps_up())


def test_a_leader_that_was_replaced_serves_no_read(world: World) -> None:
    world.add(*ALL)
    old = world.leader
    world.run(old.consensus.propose(b"old"))
    world.network.isolate(old.id)
    barrier = world.start(old.consensus.barrier())
    world.until(lambda: any(n.role == "leader" for n in world.nodes.values() if n is not old))
    new = next(n for n in world.nodes.values() if n.role == "leader" and n is not old)
    world.run(new.consensus.propose(b"new"))
    assert not barrier.called
    with pytest.raises(ServiceUnavailable, match="No leader confirmed"):
        world.result(barrier)
    late = world.start(old.consensus.barrier())
    world.network.cut.clear()
    world.result(late)
    assert old.commands == [b"old", b"new"]


class SetBack:
    """A wall clock that is set back an hour: what waits for it waits an hour more."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def seconds(self) -> float:
        return float(self._clock.seconds()) - 3600

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


@pytest.mark.parametrize("set_back", [False, True])
def test_a_leader_by_lease_that_stood_still_does_not_believe_in_its_lease(
    world: World, set_back: bool
) -> None:
    world.settings = replace(SETTINGS, core=replace(SETTINGS.core, lease_reads=True))
    world.add(*ALL)
    old = world.leader
    world.run(old.consensus.propose(b"old"))
    rounds = len(world.network.seen)
    world.run(old.consensus.barrier(), patience=0.02)
    sent = [m for s, _, m in world.network.seen[rounds:] if isinstance(m, AppendEntries)]
    assert sent == [], "its lease lasts"
    world.network.isolate(old.id)
    driver = old.consensus._driver
    assert driver is not None
    assert driver._ticking is not None
    driver._ticking.cancel()  # as if the process were stopped
    if set_back:
        driver._clock = SetBack(world.clock)  # type: ignore[assignment]  # as much as is used
    world.until(lambda: any(n.role == "leader" for n in world.nodes.values() if n is not old))
    new = next(n for n in world.nodes.values() if n.role == "leader" and n is not old)
    world.run(new.consensus.propose(b"new"))
    assert old.role == "leader", "it has not noticed yet"
    barrier = world.start(old.consensus.barrier())
    world.go_on(0.1)
    assert not barrier.called
    assert old.role != "leader"
    world.network.cut.clear()
    world.result(barrier)
    assert old.commands == [b"old", b"new"]


# Snapshots


def test_the_log_is_replaced_by_snapshots_but_for_a_tail(world: World) -> None:
    world.settings = replace(SETTINGS, snapshot_entries=20, tail_entries=5)
    world.add(*ALL)
    leader = world.leader
    for number in range(50):
        world.run(leader.consensus.propose(b"%d" % number))
    world.settle()
    world.go_on(1)
    for node in world.nodes.values():
        status, newest = node.consensus.status(), node.snapshots.newest()
        assert newest is not None
        assert newest[0].index == status.snapshot_index >= 40
        assert newest[0].members.voters == node.members.voters
        assert [each.log for each in newest[0].members.nodes] == ["log-1", "log-2", "log-3"]
        assert status.snapshot_index - 5 <= node.log.first_index() <= status.snapshot_index
        assert node.machine.copies == 2
        assert node.machine.synced >= node.log.first_index() - 1
    for node in world.nodes.values():
        node.power_cut()
        node.start()
    world.run(world.leader.consensus.propose(b"more"))
    world.settle()
    assert {len(node.commands) for node in world.nodes.values()} == {51}


def test_a_snapshot_is_due_by_bytes_too_and_the_tail_is_bounded_in_them(world: World) -> None:
    world.settings = replace(SETTINGS, snapshot_bytes=10_000, tail_entries=1000, tail_bytes=3000)
    world.add("a")
    node = world["a"]
    for _ in range(25):
        world.run(node.consensus.propose(b"x" * 1000))
    world.go_on(1)
    assert node.machine.copies == 2
    kept = sum(len(e.data) for e in node.log.entries(node.log.first_index(), 99, 1 << 30))
    assert kept < 10_000


def test_copies_of_a_large_state_do_not_take_all_of_the_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.settings = replace(SETTINGS, snapshot_entries=2)
    world.add("a")
    node = world["a"]
    copying = 0.0
    copy = node.machine.copy

    async def slow(path: str) -> int:
        nonlocal copying
        begun = world.clock.seconds()
        waiting: Deferred[None] = Deferred()
        world.clock.callLater(2, waiting.callback, None)
        await waiting
        index = await copy(path)
        copying += world.clock.seconds() - begun
        return index

    monkeypatch.setattr(node.machine, "copy", slow)
    begun = world.clock.seconds()
    while world.clock.seconds() - begun < 60:
        world.run(node.consensus.propose(b"x"))
        world.go_on(0.1)
    assert 2 * 2 <= copying <= 60 / 20 + 3
    asked = world.start(node.consensus.take_snapshot())
    world.result(asked, patience=5)


def test_a_snapshot_is_taken_when_asked_for_once_for_all_who_ask(world: World) -> None:
    world.add(*ALL)
    node = world.follower
    world.run(node.consensus.propose(b"x"))
    waiting = [world.start(node.consensus.take_snapshot()) for _ in range(3)]
    indexes = {world.result(each) for each in waiting}
    assert indexes == {node.machine.applied_index()}
    assert node.machine.copies == 1
    assert node.consensus.status().snapshot_index in indexes
    assert world.run(node.consensus.take_snapshot()) in indexes, "nothing has changed since"


def test_a_snapshot_that_fails_ends_nothing_and_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.settings = replace(SETTINGS, snapshot_entries=20)
    world.add("a")
    node = world["a"]
    world.run(node.consensus.propose(b"x"))

    async def full(path: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(node.machine, "copy", full)
        with pytest.raises(ServiceUnavailable, match="No snapshot"):
            world.run(node.consensus.take_snapshot())
    for number in range(5):
        world.run(node.consensus.propose(b"%d" % number))
    world.go_on(1)
    assert node.machine.copies == 1
    assert node.fatal == []


def test_a_snapshot_has_the_members_as_of_its_index_and_not_those_that_may_never_be(
    world: World,
) -> None:
    world.settings = replace(SETTINGS, tail_entries=0)
    world.add(*ALL)
    world.add("d", first=())
    leader = world.leader
    world.run(leader.consensus.propose(b"one"))
    for other in ALL:
        if other != leader.id:
            world.network.cut.add((other, leader.id))
    adding = world.start(leader.consensus.add_member("d", "d:1"))
    world.until(lambda: any(peer.id == "d" for peer in leader.consensus.status().peers))
    world.run(leader.consensus.take_snapshot())
    newest = leader.snapshots.newest()
    assert newest is not None
    assert {member.id for member in newest[0].members.nodes} == set(ALL)
    assert leader.log.state().snapshot == newest[0]
    world.network.cut.clear()
    world.result(adding)


def test_the_log_keeps_what_the_state_has_not_synced_whatever_a_snapshot_has(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.settings = replace(SETTINGS, tail_entries=0)
    world.add("a")
    node = world["a"]
    for number in range(8):
        world.run(node.consensus.propose(b"%d" % number))
    index = node.machine.applied_index()

    async def lags() -> int:
        return index - 3

    with monkeypatch.context() as patch:
        patch.setattr(node.machine, "sync", lags)
        assert world.run(node.consensus.take_snapshot()) == index
    assert node.log.first_index() == index - 2
    world.run(node.consensus.propose(b"more"))
    assert world.run(node.consensus.take_snapshot()) == index + 1
    assert node.log.first_index() == index + 2


def test_a_snapshot_stays_if_only_the_log_could_not_be_shortened(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a kept one keeps its path, too: then to discard that would be to lose the newest."""
    world.settings = replace(SETTINGS, tail_entries=0)
    world.add("a")
    node = world["a"]
    for number in range(5):
        world.run(node.consensus.propose(b"%d" % number))
    discarded: list[str] = []

    async def full(mark: SnapshotMark) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(node.log, "compact", full)
    monkeypatch.setattr(node.snapshots, "discard", discarded.append)
    with pytest.raises(ServiceUnavailable, match="No snapshot"):
        world.run(node.consensus.take_snapshot())
    assert discarded == []
    newest = node.snapshots.newest()
    assert newest is not None
    assert Path(newest[1]).exists()


def test_who_is_too_far_behind_is_sent_a_snapshot(world: World) -> None:
    world.settings = replace(SETTINGS, snapshot_entries=10, tail_entries=2)
    world.add(*ALL)
    leader, late = world.leader, world.follower
    late.kill()
    for number in range(40):
        world.run(leader.consensus.propose(b"%d" % number))
    late.start()
    world.settle()
    assert late.commands == leader.commands
    assert late.consensus.counters.snapshots_received == 1
    assert leader.consensus.counters.snapshots_sent == 1
    assert list((late.directory / "incoming").iterdir()) == []
    newest = late.snapshots.newest()
    assert newest is not None
    assert late.log.first_index() == newest[0].index + 1


def test_a_snapshot_that_does_not_arrive_is_sent_again_but_not_at_once(world: World) -> None:
    world.settings = replace(SETTINGS, snapshot_entries=10, tail_entries=2)
    world.add(*ALL)
    leader, late = world.leader, world.follower
    late.kill()
    for number in range(40):
        world.run(leader.consensus.propose(b"%d" % number))
    world.network.refuses_snapshots = True
    late.start()
    before = leader.consensus.counters.snapshots_unsent
    world.go_on(5)
    assert 2 <= leader.consensus.counters.snapshots_unsent - before <= 5
    world.network.refuses_snapshots = False
    world.settle()
    assert late.commands == leader.commands


def slow_to_be_sent(
    world: World, monkeypatch: pytest.MonkeyPatch, meanwhile: int
) -> tuple[Node, Node]:
    """A leader, and one that was away: so many entries are applied until it has its snapshot."""
    world.add(*ALL)
    leader, late = world.leader, world.follower
    late.kill()
    for number in range(30):
        world.run(leader.consensus.propose(b"%d" % number))
    sent = leader.transport.send_snapshot
    arrives: list[Deferred[None]] = []

    async def slowly(*what: Any) -> None:
        arrives.append(Deferred())
        await arrives[-1]
        await sent(*what)

    monkeypatch.setattr(leader.transport, "send_snapshot", slowly)
    late.start()
    world.until(lambda: bool(arrives))
    for number in range(meanwhile):
        world.run(leader.consensus.propose(b"more %d" % number))
    world.go_on(1)
    arrives[0].callback(None)
    return leader, late


def test_the_log_keeps_what_follows_a_snapshot_that_is_being_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever is sent one for longer than until the next is sent one after another."""
    world.settings = replace(SETTINGS, snapshot_entries=10, tail_entries=2)
    leader, late = slow_to_be_sent(world, monkeypatch, 60)
    world.until(lambda: late.commands == leader.commands, patience=3)
    assert late.consensus.counters.snapshots_received == 1
    for number in range(20):
        world.run(leader.consensus.propose(b"last %d" % number))
    world.go_on(1)
    newest = leader.snapshots.newest()
    assert newest is not None
    assert leader.log.first_index() == newest[0].index - 1, "but for a tail, as ever"


def test_the_log_keeps_only_so_much_for_a_snapshot_that_is_being_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.settings = replace(SETTINGS, snapshot_entries=10, tail_entries=2)
    leader, _ = slow_to_be_sent(world, monkeypatch, 130)
    newest = leader.snapshots.newest()
    assert newest is not None
    assert leader.log.first_index() == newest[0].index - 1


def test_a_damaged_snapshot_is_taken_anew_before_it_is_sent(world: World) -> None:
    world.settings = replace(SETTINGS, snapshot_entries=10, tail_entries=2)
    world.add(*ALL)
    leader, late = world.leader, world.follower
    late.kill()
    for number in range(40):
        world.run(leader.consensus.propose(b"%d" % number))
    newest = leader.snapshots.newest()
    assert newest is not None
    Path(newest[1]).write_bytes(b"rotten")
    late.start()
    world.settle()
    assert late.commands == leader.commands


def test_a_node_takes_no_snapshot_before_it_knows_whose_members_it_copies(world: World) -> None:
    """One that joins by way of the log hears of the members when that comes to its addition.  A
    snapshot without them would be refused by everybody it is sent to."""
    late = replace(SETTINGS, snapshot_entries=60, core=replace(SETTINGS.core, max_entries=1))
    world.settings = late
    world.add("a")
    for number in range(40):
        world.run(world["a"].consensus.propose(b"%d" % number))
    world.settings = replace(late, snapshot_entries=5)
    world.add("b", first=())
    adding = world.start(world["a"].consensus.add_member("b", "b:1"))
    world.until(lambda: world["b"].machine.applied_index() > 20)
    assert world["b"].consensus.counters.snapshots_failed == 0
    with pytest.raises(ServiceUnavailable, match="No snapshot"):
        world.run(world["b"].consensus.take_snapshot())
    assert world["b"].snapshots.newest() is None
    world.result(adding)
    for number in range(10):
        world.run(world["a"].consensus.propose(b"%d" % number))
    world.settle()
    newest = world["b"].snapshots.newest()
    assert newest is not None
    assert newest[0].members.voters == {"a", "b"}


def test_what_was_proposed_before_a_snapshot_replaced_the_state_is_not_known(
    world: World,
) -> None:
    """Its entry may lie behind the snapshot, where this node does not see it applied."""
    world.settings = replace(SETTINGS, snapshot_entries=10, tail_entries=2, decision=60.0)
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    proposed = world.start(follower.consensus.propose(b"in the dark"))
    world.go_on(0.012)
    for other in ALL:
        world.network.cut |= {(other, follower.id)}
    world.until(lambda: b"in the dark" in leader.commands)
    for number in range(40):
        world.run(world.leader.consensus.propose(b"%d" % number))
    assert not proposed.called
    world.network.cut.clear()
    with pytest.raises(ServiceUnavailable, match="snapshot"):
        world.result(proposed)
    world.settle()
    assert follower.commands.count(b"in the dark") == 1
    assert world.run(follower.consensus.propose(b"seen")) == 42


@pytest.mark.parametrize("step", ["keep", "replace", "save"])
def test_a_crash_anywhere_in_a_restore_is_recovered_from(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    world.settings = replace(SETTINGS, snapshot_entries=10, tail_entries=2)
    world.add(*ALL)
    leader, late = world.leader, world.follower
    late.kill()
    for number in range(40):
        world.run(leader.consensus.propose(b"%d" % number))
    late.start()
    crashed: list[str] = []

    def crash_after(name: str, subject: object) -> None:
        real = getattr(subject, name)

        async def then_crash(*args: object) -> object:
            result = await real(*args)
            if name != "save" or args[0].restore is not None:  # type: ignore[attr-defined]
                crashed.append(name)
                late.kill()
                await Deferred()  # what is dead goes no step further
            return result

        monkeypatch.setattr(subject, name, then_crash)

    if step == "keep":
        crash_after("keep", late.snapshots)
    elif step == "replace":
        crash_after("replace", late.machine)
    else:
        crash_after("save", late.log)
    world.until(lambda: bool(crashed))
    monkeypatch.undo()
    late.start()
    world.settle()
    assert late.commands == leader.commands
    assert late.fatal == []


def test_a_crash_in_a_restore_is_recovered_from_with_an_older_snapshot_of_another_leader(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was kept is newer than all that the next leader has to send."""
    world.settings = replace(SETTINGS, snapshot_entries=10, tail_entries=2)
    world.add(*ALL)
    leader, late = world.leader, world.follower
    other = next(world[each] for each in ALL if each not in (leader.id, late.id))
    late.kill()
    for number in range(35):
        world.run(leader.consensus.propose(b"%d" % number))
    world.settle()
    world.run(leader.consensus.take_snapshot())
    late.start()
    real, kept = late.snapshots.keep, []

    async def then_crash(path: str, mark: SnapshotMark) -> str:
        await real(path, mark)
        kept.append(mark)
        late.kill()
        return await Deferred()

    monkeypatch.setattr(late.snapshots, "keep", then_crash)
    world.until(lambda: bool(kept))
    newest = other.snapshots.newest()
    assert newest is not None
    assert newest[0].index < kept[0].index
    leader.kill()
    late.start()
    world.settle()
    assert late.commands == other.commands
    assert late.fatal == []


# Members


def test_a_node_is_added_as_a_learner_and_becomes_a_voter_at_any_node_it_is_asked_of(
    world: World,
) -> None:
    world.settings = replace(SETTINGS, snapshot_entries=10, tail_entries=2)
    world.add(*ALL)
    for number in range(40):
        world.run(world.leader.consensus.propose(b"%d" % number))
    world.add("d", first=())
    assert world["d"].role == "joining"
    follower = world.follower
    adding = world.start(follower.consensus.add_member("d", "d:1"))
    world.until(lambda: world["d"].role == "learner")
    world.result(adding)
    assert follower.consensus._driver is not None
    log_id = world["d"].log.identity.log_id
    assert Member("d", "d:1", log=log_id) in follower.consensus._driver.raft.members.nodes
    world.run(follower.consensus.add_member("d", "d:1"))  # once more does no harm
    with pytest.raises(ValueError, match="a member already, at d:1"):  # long before it is not met
        world.run(follower.consensus.add_member("d", "elsewhere:1"), patience=1)
    world.settle()
    assert world["d"].commands == follower.commands
    assert world.run(world["d"].consensus.propose(b"by d")) == 41
    assert {each.id for each in world["d"].consensus.status().peers} == set(ALL)


def test_an_embedded_node_becomes_the_first_of_a_cluster_and_keeps_its_data(world: World) -> None:
    world.nodes["a"] = node = Node(world, "a", Members((Member("a", "a:1"),)))
    node.machine.state.commands.append(b"from before")
    node.start()
    assert world.leader is node
    world.run(node.consensus.propose(b"later"))
    node.kill()
    node.start()
    world.add("b", "c", first=())
    for new in "bc":
        world.run(node.consensus.add_member(new, f"{new}:1"))
    world.settle()
    assert [each.commands for each in world.nodes.values()] == [[b"from before", b"later"]] * 3
    ids = {each.log.identity.cluster_id for each in world.nodes.values() if each.id == "a"}
    assert all(len(each) == len(".") + 32 for each in ids)


@pytest.mark.parametrize("sent", ["a snapshot", "the log"])
def test_a_founder_with_an_empty_disk_does_not_decide_alone_as_it_once_did(
    world: World, sent: str
) -> None:
    """It is let in again, and learns that a node of its name was the only voter: that was another
    log's affair, and others have decided since."""
    one_by_one = replace(SETTINGS, core=replace(SETTINGS.core, max_entries=1, max_inflight=1))
    world.settings = SETTINGS if sent == "a snapshot" else one_by_one
    world.nodes["a"] = founder = Node(world, "a", Members((Member("a", "a:1"),)))
    if sent == "a snapshot":  # which is what an embedded node's peers begin with
        founder.machine.state.commands.append(b"from before")
    founder.start()
    world.add("b", "c", first=())
    for new in "bc":
        world.run(founder.consensus.add_member(new, f"{new}:1"))
    world.run(founder.consensus.propose(b"by three"))
    world.run(founder.consensus.transfer_leadership("b"))
    founder.replace_disk()
    world.run(world["b"].consensus.remove_member("a"))
    founder.start()
    lost_at: list[float] = []

    def breaks_off(sender: str, to: str, message: object) -> bool:
        """For a while it is told no more than that it was alone."""
        driver = founder.consensus._driver
        assert driver is not None
        if to == "a" and driver.raft.members.voters == {"a"}:
            lost_at.append(world.clock.seconds())
            return lost_at[-1] < lost_at[0] + 1
        return False

    world.network.loses = breaks_off
    adding = world.start(world["b"].consensus.add_member("a", "a:1"))
    while not adding.called:
        world.go_on(STEP)
        assert founder.role in ("joining", "learner", "follower")
        assert world["b"].role == "leader"
    world.result(adding)
    assert lost_at
    world.settle()
    assert founder.commands == world["b"].commands
    assert world.run(founder.consensus.propose(b"by all"))


def test_a_member_is_removed_and_a_leader_hands_over_first(world: World) -> None:
    world.add(*ALL)
    leader = world.leader
    world.run(leader.consensus.remove_member(leader.id))
    world.until(lambda: world.leader is not leader)
    new = world.leader
    assert leader.id not in {member.id for member in new.consensus.status().peers}
    world.until(lambda: leader.role in ("joining", "follower"))
    last = next(n for n in world.nodes.values() if n not in (leader, new))
    with pytest.raises(ValueError, match="no member"):
        world.run(new.consensus.remove_member("nobody"))
    world.run(new.consensus.remove_member(last.id))
    with pytest.raises(ValueError, match="last voter"):
        world.run(new.consensus.remove_member(new.id))
    assert world.run(new.consensus.propose(b"alone"))


@pytest.mark.parametrize("refusal", [WrongCluster("it belongs to x"), WrongNode("this is e")])
def test_who_can_never_be_added_is_named_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    world.add(*ALL)

    async def refuses(node_id: str, address: str) -> None:
        raise refusal

    leader = world.leader
    monkeypatch.setattr(leader.transport, "meet", refuses)
    with pytest.raises(ValueError, match=f"d was not met at d:1: {refusal}"):
        world.run(leader.consensus.add_member("d", "d:1"), patience=1)


def test_who_is_let_in_and_does_not_come_is_told_from_who_is_behind(world: World) -> None:
    world.add(*ALL)
    world.add("d", first=())
    leader = world.leader
    world.network.loses = lambda sender, to, message: to == "d"
    with pytest.raises(ServiceUnavailable, match="d takes no entries yet; its log, or the leader"):
        world.run(leader.consensus.add_member("d", "d:1"))


def test_one_that_was_removed_while_it_was_away_is_named_by_the_others_and_learns_of_it(
    world: World,
) -> None:
    world.add(*ALL)
    leader, away = world.leader, world.follower
    away.kill()
    world.run(leader.consensus.remove_member(away.id))
    lines: list[str] = []

    def hear(event: LogEvent) -> None:
        if event["log_namespace"] == "bleepstore.cluster.complaints":
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(hear)
    try:
        away.start()
        world.go_on(5)
    finally:
        globalLogPublisher.removeObserver(hear)
    stands = f"Peer {away.id}: it stands for election, and is no member"
    assert len([line for line in lines if stands in line]) == 2, "by each of them, once"
    told = f"Peer {leader.id}: it leads, and says that this node is no member: it was removed"
    (line,) = (line for line in lines if stands not in line)
    assert told in line
    assert away.role == "removed"
    world.run(leader.consensus.add_member(away.id, f"{away.id}:1"))
    world.until(lambda: away.role == "follower")


def test_one_that_is_cut_off_or_alone_does_not_take_itself_for_removed(world: World) -> None:
    world.add(*ALL)
    cut_off = world.follower
    world.network.isolate(cut_off.id)
    world.go_on(5)
    assert cut_off.role == "pre-candidate"
    world.network.cut.clear()
    world.until(lambda: cut_off.role == "follower")
    for node in world.nodes.values():
        if node is not cut_off:
            node.kill()
    world.go_on(5)
    assert cut_off.role == "pre-candidate"


def test_a_node_that_is_no_member_says_at_once_that_it_changes_nothing(world: World) -> None:
    world.add(*ALL)
    world.add("d", first=())
    consensus = world["d"].consensus
    for change in (
        lambda: consensus.add_member("d", "d:1"),
        lambda: consensus.remove_member("a"),
        consensus.transfer_leadership,
    ):
        with pytest.raises(ValueError, match="a member of no cluster: ask one that is"):
            world.run(change(), patience=1)


def test_leadership_is_handed_to_whom_one_wants(world: World) -> None:
    world.add(*ALL)
    for target in ALL:
        asked = world.follower
        world.run(asked.consensus.transfer_leadership(target))
        world.until(lambda target=target: world[target].role == "leader")  # type: ignore[misc]
    before = world.leader
    world.run(before.consensus.transfer_leadership())
    assert world.leader is not before
    with pytest.raises(ValueError, match="no voter"):
        world.run(before.consensus.transfer_leadership("nobody"))


def silent_with_all_of_the_log(world: World) -> tuple[Node, Node, Node]:
    """A leader of an idle cluster, another one, and one that is gone, but has all that there is:
    it comes last by its name, and so would be the first to be chosen."""
    world.add(*ALL)
    world.run(world.leader.consensus.transfer_leadership("a"))
    world.until(lambda: world["a"].role == "leader")
    world.settle()
    world.go_on(1)
    world["c"].kill()
    world.go_on(2)
    return world["a"], world["b"], world["c"]


def test_leadership_is_not_handed_to_one_that_is_silent(world: World) -> None:
    leader, other, _ = silent_with_all_of_the_log(world)
    world.run(leader.consensus.transfer_leadership())
    assert world.leader is other


def test_nobody_has_to_wait_for_a_silent_one_to_take_over(world: World) -> None:
    leader, _, silent = silent_with_all_of_the_log(world)
    asked = world.start(leader.consensus.transfer_leadership(silent.id))
    world.go_on(0.3)
    world.run(leader.consensus.propose(b"meanwhile"), patience=0.5)
    with pytest.raises(ServiceUnavailable, match="nothing is heard of c"):
        world.result(asked)


def test_a_leader_that_stops_hands_over_to_one_that_is_there(world: World) -> None:
    leader, other, _ = silent_with_all_of_the_log(world)
    world.run(leader.consensus.stop(), patience=1)
    assert other.role == "leader"


def test_nobody_is_removed_whom_the_others_need_while_one_is_silent(world: World) -> None:
    """The change would be in force at once, and could neither be committed nor be undone."""
    world.add(*ALL)
    leader, silent = world.leader, world.follower
    other = next(world[each] for each in ALL if each not in (leader.id, silent.id))
    silent.kill()
    world.go_on(2)
    for needed in (other, leader):
        with pytest.raises(ServiceUnavailable, match=f"while nothing is heard of {silent.id}"):
            world.run(other.consensus.remove_member(needed.id))
    assert world.leader is leader
    world.run(other.consensus.propose(b"it goes on"))
    world.run(other.consensus.remove_member(silent.id))
    world.run(leader.consensus.remove_member(other.id))
    world.run(leader.consensus.propose(b"alone"))


def test_a_new_leader_takes_nobody_for_alive_of_whom_it_has_heard_nothing(world: World) -> None:
    world.add(*ALL)
    dead = world.leader
    dead.kill()
    leader = world.leader
    other = next(world[each] for each in ALL if each not in (leader.id, dead.id))
    with pytest.raises(ServiceUnavailable, match=f"nothing is heard of {dead.id}"):
        world.run(leader.consensus.remove_member(other.id))
    world.run(other.consensus.propose(b"it goes on"))


def test_nobody_becomes_a_voter_whom_the_others_would_wait_for_in_vain(world: World) -> None:
    world.add(*ALL)
    world.add("d", first=())
    leader, silent = world.leader, world.follower
    silent.kill()
    assert leader.consensus._driver is not None
    take = leader.consensus._driver.steps.take
    learner = ChangeStep(0, StepKind.ADD, "d", "d:1")
    world.until(lambda: take(learner)[0] is StepOutcome.TAKEN)
    world.until(lambda: world["d"].role == "learner")
    world.go_on(1)
    world["d"].kill()
    world.go_on(2)
    outcome, reason = take(ChangeStep(0, StepKind.PROMOTE, "d"))
    assert (outcome, reason.endswith("d")) == (StepOutcome.LATER, True)
    world.run(leader.consensus.propose(b"it goes on"))


@pytest.mark.parametrize("lost", [ChangeStep, StepAnswer])
def test_a_lost_step_of_a_change_is_asked_for_again(world: World, lost: type) -> None:
    world.add(*ALL)
    world.add("d", first=())
    follower = world.follower
    losses: list[object] = []

    def loses(sender: str, to: str, message: object) -> bool:
        if isinstance(message, lost) and len(losses) < 2:
            losses.append(message)
            return True
        return False

    world.network.loses = loses
    world.run(follower.consensus.add_member("d", "d:1"))
    assert len(losses) == 2
    world.until(lambda: world["d"].role == "follower")


def test_a_change_goes_on_when_the_leader_dies_in_the_middle_of_it(world: World) -> None:
    world.add(*ALL)
    world.add("d", first=())
    leader, follower = world.leader, world.follower
    adding = world.start(follower.consensus.add_member("d", "d:1"))
    world.until(lambda: any(p.id == "d" for p in leader.consensus.status().peers))
    world.network.isolate("d")  # so that it stays a learner
    world.until(lambda: any(p.id == "d" for p in follower.consensus.status().peers))
    world.go_on(1)
    assert not adding.called
    leader.kill()
    world.network.cut.clear()
    world.result(adding)
    voters = {peer.id for peer in follower.consensus.status().peers if peer.voter}
    assert voters == {*ALL, "d"} - {follower.id}


def test_a_node_that_joined_goes_on_after_a_restart(world: World) -> None:
    world.add(*ALL)
    world.add("d", first=())
    world.run(world.leader.consensus.add_member("d", "d:1"))
    for number in range(5):
        world.run(world.leader.consensus.propose(b"%d" % number))
    world.settle()
    world["d"].power_cut()
    world["d"].start()
    world.settle()
    assert world["d"].commands == world.leader.commands
    assert world["d"].role == "follower"


def test_a_change_without_a_quorum_is_given_up_in_time(world: World) -> None:
    world.add(*ALL)
    leader = world.leader
    for node in world.nodes.values():
        if node is not leader:
            node.kill()
    for change in (leader.consensus.add_member("d", "d:1"), leader.consensus.remove_member("b")):
        with pytest.raises(ServiceUnavailable):
            world.run(change)


# The end


def test_a_disk_that_fails_ends_the_node_and_who_waits_is_told_at_once(world: World) -> None:
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    leader.disk.full = True
    world.network.isolate(leader.id)
    waiting = [world.start(leader.consensus.propose(b"x")), world.start(leader.consensus.barrier())]
    world.until(lambda: bool(leader.fatal))
    assert "No space left" in leader.fatal[0]
    assert "Make room, and start it again" in leader.fatal[0]
    for refused in waiting:
        assert refused.called
        with pytest.raises(ServiceUnavailable):
            world.result(refused)
    world.network.seen.clear()
    world.go_on(7)
    assert [sender for sender, _, _ in world.network.seen if sender == leader.id] == []
    assert len(leader.fatal) == 1
    with pytest.raises(ServiceUnavailable):
        world.run(leader.consensus.propose(b"y"))
    leader.transport.running = False
    assert world.run(follower.consensus.propose(b"z"))


def test_a_log_that_turns_out_to_be_damaged_ends_the_node_and_says_what_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.settings = replace(SETTINGS, core=replace(SETTINGS.core, cache_bytes=0))
    world.add(*ALL)
    leader, late = world.leader, world.follower
    late.kill()
    world.run(leader.consensus.propose(b"x"))

    def damaged(low: int, high: int, max_bytes: int) -> None:
        raise DamagedLog("raft.db", f"entry {low} does not match its checksum")

    monkeypatch.setattr(leader.log, "entries", damaged)
    late.start()
    world.until(lambda: bool(leader.fatal))
    assert leader.fatal[0].startswith("raft.db is damaged: entry")
    assert "remove it from the cluster" in leader.fatal[0]
    leader.transport.running = False


def test_a_state_that_cannot_be_applied_to_ends_the_node(world: World) -> None:
    world.add(*ALL)
    follower = world.follower
    follower.machine.broken = ValueError("an entry of a newer version")
    waiting = world.start(world.leader.consensus.propose(b"x"))
    world.until(lambda: bool(follower.fatal))
    assert "an entry of a newer version" in follower.fatal[0]
    assert world.result(waiting) == 1
    follower.transport.running = False


def test_a_leader_that_stops_hands_over_first_and_leaves_nothing_running(world: World) -> None:
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    begun = world.clock.seconds()
    stopping = world.start(leader.consensus.stop())
    with pytest.raises(ServiceUnavailable):
        world.run(leader.consensus.propose(b"late"), patience=0.01)
    world.result(stopping)
    assert world.clock.seconds() - begun < SETTINGS.election / 2
    assert world.leader is not leader
    assert world.run(follower.consensus.propose(b"x")) == 1
    world.run(leader.consensus.stop())
    for node in world.nodes.values():
        world.run(node.consensus.stop())
    world.go_on(1)
    assert world.clock.getDelayedCalls() == []


def test_a_stop_refuses_what_waits_and_is_bounded(world: World) -> None:
    world.add(*ALL)
    leader = world.leader
    for node in world.nodes.values():
        if node is not leader:
            node.kill()
    waiting = [
        world.start(leader.consensus.propose(b"x")),
        world.start(leader.consensus.barrier()),
        world.start(leader.consensus.add_member("d", "d:1")),
    ]
    begun = world.clock.seconds()
    world.run(leader.consensus.stop())
    assert world.clock.seconds() - begun < SETTINGS.handover + 0.5
    for each in waiting:
        with pytest.raises(ServiceUnavailable):
            world.result(each, patience=0.01)


def test_a_stop_waits_for_the_write_under_way(world: World) -> None:
    world.add("a")
    node = world["a"]
    assert world.leader is node
    node.machine.held = held = Deferred()
    waiting = world.start(node.consensus.propose(b"x"))
    world.go_on(0.5)
    stopping = world.start(node.consensus.stop())
    world.go_on(0.5)
    assert not stopping.called
    held.callback(None)
    world.result(stopping, patience=0.1)
    with pytest.raises(ServiceUnavailable):
        world.result(waiting)


# What can be seen


def test_its_status_says_what_it_is_and_whom_it_knows(world: World) -> None:
    world.add(*ALL)
    leader, follower = world.leader, world.follower
    world.run(follower.consensus.propose(b"x"))
    world.settle()
    status = leader.consensus.status()
    assert (status.role, status.leader, status.leader_address) == (
        "leader",
        leader.id,
        f"{leader.id}:1",
    )
    assert status.commit_index == status.applied_index == status.last_index
    assert {peer.match for peer in status.peers} == {status.last_index}
    assert all(0 <= peer.last_contact_ms < 1000 for peer in status.peers)
    status = follower.consensus.status()
    assert (status.role, status.leader) == ("follower", leader.id)
    assert {peer.match for peer in status.peers} == {-1}
    assert status.cluster_id == leader.consensus.status().cluster_id


def test_metrics_have_unique_names_and_count_what_happened(world: World) -> None:
    world.add(*ALL)
    leader = world.leader
    world.run(leader.consensus.propose(b"x"))
    families = list(leader.consensus.families())
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    by_name = {family.name: family for family in families}
    commit = by_name["bleepstore_raft_commit_seconds"]
    assert isinstance(commit, Distribution)
    assert sum(commit.counts) == 1
    proposals_ = by_name["bleepstore_raft_proposals"]
    assert not isinstance(proposals_, Distribution)
    assert {s.labels: s.value for s in proposals_.samples}[("decided",)] == 1
    follower = world.follower
    assert follower.consensus.counters.leader_changes == 1
    leader.kill()
    world.until(lambda: follower.consensus.status().leader not in ("", leader.id))
    world.go_on(0.1)
    assert follower.consensus.counters.leader_changes == 2


def test_a_change_of_role_is_logged_with_its_reason_and_standing_again_is_not(
    world: World,
) -> None:
    lines: list[str] = []

    def hear(event: LogEvent) -> None:
        if event["log_namespace"].startswith("bleepstore.cluster.driver"):
            lines.append(f"{event['log_level'].name}: {formatEvent(event)}")

    globalLogPublisher.addObserver(hear)
    try:
        world.add(*ALL)
        cut_off = world.follower
        world.network.isolate(cut_off.id)
        world.go_on(10)
    finally:
        globalLogPublisher.removeObserver(hear)
    told = [line for line in lines if line.startswith(f"info: {cut_off.id} is pre-candidate")]
    assert 1 <= len(told) <= 2, "once at the start, if at all, and once when it was cut off"
    assert "no word from" in told[-1]
    assert cut_off.consensus.counters.role_changes < 8


def test_nothing_is_accepted_before_the_start(world: World, tmp_path: Path) -> None:
    world.add("a")
    node = world["a"]
    node.kill()
    node.boot()
    calls: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: node.consensus.propose(b"x"),
        node.consensus.barrier,
        node.consensus.take_snapshot,
        node.consensus.transfer_leadership,
    )
    for call in calls:
        with pytest.raises(ServiceUnavailable):
            world.run(call())
    assert node.consensus.status().role == "joining"
    received = tmp_path / "received"
    received.write_bytes(b"x")
    node.consensus.snapshot_received("b", 1, SnapshotMark(5, 1), str(received))
    node.consensus.received("b", Propose(1, (b"x",)))
    node.consensus.peer_lost("b")
    assert not received.exists()
    world.run(node.consensus.stop())


def test_metadata_of_another_log_is_refused(world: World) -> None:
    world.add("a")
    node = world["a"]
    world.run(node.consensus.propose(b"x"))
    node.kill()
    node.machine.state.applied = 99
    node.boot()
    with pytest.raises(UnusableLog, match="stands at index 99, but the log"):
        world.run(node.consensus.start())
    node.transport.running = False
