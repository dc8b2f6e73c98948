"""The core by its own interface: what it refuses, how long it takes, and how much it holds."""

from __future__ import annotations

import random

import pytest

from bleepstore.raft.core import Raft, Settings
from bleepstore.raft.effects import HardState, Role
from bleepstore.raft.messages import (
    Appended,
    AppendEntries,
    Entry,
    EntryKind,
    InstallSnapshot,
    Member,
    Members,
    SnapshotMark,
)
from bleepstore.raft.outbox import NOTHING
from bleepstore.raft.problems import NotLeader, Overloaded
from tests.raft.cluster import Cluster, Disk

THREE = Members(tuple(Member(node_id, f"{node_id}:1") for node_id in "abc"))


def lone(disk: Disk | None = None, settings: Settings | None = None, **given: int) -> Raft:
    """One of three nodes, whose effects nobody carries out."""
    disk = disk or Disk(THREE)
    return Raft(
        "a",
        settings or Settings(),
        disk,
        hard_state=disk.hard_state,
        snapshot=disk.mark,
        commit=given.get("commit", 0),
        applied=given.get("applied", 0),
        jitter=lambda n: 0,
    )


# -- settings and start


@pytest.mark.parametrize(
    "wrong",
    [
        {"election_ticks": 1},
        {"heartbeat_ticks": 6},
        {"heartbeat_ticks": 0},
        {"max_entries": 0},
        {"max_inflight": 0},
        {"cache_bytes": -1},
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Settings(**wrong)


def test_a_state_that_the_log_cannot_carry_on_from_is_refused() -> None:
    disk = Disk(THREE)
    disk.mark = SnapshotMark(5, 1, THREE)
    disk.stored = [Entry(6, 1)]
    for applied in (4, 7):
        with pytest.raises(ValueError, match="the log holds 6 to 6"):
            lone(disk, applied=applied)
    assert lone(disk, applied=5, commit=99).commit == 6
    assert lone(disk, applied=6, commit=0).commit == 6


def test_a_term_is_never_below_that_of_the_log() -> None:
    """A cluster may begin with a snapshot that something else has made."""
    disk = Disk(Members((Member("a", "a:1"),)))
    disk.mark = SnapshotMark(5, 3, disk.mark.members)
    raft = lone(disk, applied=5)
    assert raft.term == 3
    raft.tick()
    persist = raft.take().persist
    assert persist is not None
    assert persist.hard_state == HardState(4, "a")


def test_members_are_found_in_the_log_again() -> None:
    cluster = Cluster()
    cluster.elect("a").change(cluster.members.having(Member("d", "d:1")))
    cluster.settle()
    cluster.restart("b")
    assert cluster["b"].members.voters == {"a", "b", "c", "d"}


# -- what it gives


def test_nothing_is_due_at_rest() -> None:
    raft = lone()
    assert not raft.has_effects
    assert raft.take() is NOTHING


def test_one_persist_at_a_time_and_only_the_one_under_way_is_confirmed() -> None:
    raft = lone()
    with pytest.raises(ValueError, match="not under way"):
        raft.persisted(1)
    raft.step("b", AppendEntries(1, 0, 0, (Entry(1, 1),)))
    first = raft.take().persist
    assert first is not None
    raft.step("b", AppendEntries(1, 1, 1, (Entry(2, 1),)))
    assert raft.take().persist is None
    with pytest.raises(ValueError, match="not under way"):
        raft.persisted(first.number + 1)


def test_one_batch_is_applied_at_a_time_and_each_entry_once() -> None:
    disk = Disk(THREE)
    disk.stored = [Entry(n, 1, data=b"x" * 10) for n in range(1, 8)]
    raft = lone(disk, Settings(max_bytes=30), commit=7, applied=1)
    batch = raft.take().apply
    assert [entry.index for entry in batch] == [2, 3, 4]
    assert raft.take() is NOTHING
    with pytest.raises(ValueError, match="not given"):
        raft.applied(5)
    raft.applied(4)
    assert [entry.index for entry in raft.take().apply] == [5, 6, 7]
    with pytest.raises(ValueError, match="not given"):
        raft.applied(4)


def test_a_snapshot_does_not_replace_the_state_while_entries_are_applied() -> None:
    disk = Disk(THREE)
    disk.hard_state = HardState(1, "b")
    disk.stored = [Entry(1, 1), Entry(2, 1)]
    raft = lone(disk, commit=2)
    assert raft.take().apply
    raft.step("b", InstallSnapshot(3, SnapshotMark(9, 2, THREE)))
    assert raft.take().persist is None
    raft.applied(2)
    persist = raft.take().persist
    assert persist is not None
    assert persist.restore == SnapshotMark(9, 2, THREE)
    assert persist.hard_state == HardState(3, "")
    raft.step("b", AppendEntries(3, 9, 2, (Entry(10, 3),), commit=10))
    assert raft.take() is NOTHING  # the state is being replaced
    raft.persisted(persist.number)
    assert raft.applied_index == 9
    later = raft.take()
    assert later.messages[0].message == Appended(3, True, 9)
    assert later.persist is not None
    raft.persisted(later.persist.number)
    assert raft.take().apply == (Entry(10, 3),)


def test_only_the_leader_takes_in_and_others_name_it() -> None:
    cluster = Cluster()
    with pytest.raises(NotLeader) as nobody:
        cluster["b"].propose([b"x"])
    assert nobody.value.leader == ""
    cluster.elect("a")
    with pytest.raises(NotLeader) as other:
        cluster["b"].propose([b"x"])
    assert other.value.leader == "a"
    with pytest.raises(ValueError, match="nothing"):
        cluster["a"].propose([])
    assert cluster["a"].propose([b"x", b"y"]) == 2
    assert cluster["a"].last_index == 3


def test_a_large_proposal_passes_alone() -> None:
    cluster = Cluster("ab", Settings(max_bytes=10, max_uncommitted_bytes=10))
    raft = cluster.elect("a")
    raft.propose([b"x" * 1000, b"y" * 1000])
    with pytest.raises(Overloaded):
        raft.propose([b"z"])
    cluster.settle()
    assert cluster.commands("b") == [b"x" * 1000, b"y" * 1000]


# -- time


@pytest.mark.parametrize("seed", range(40))
def test_writes_resume_within_two_election_timeouts_of_a_leaders_death(seed: int) -> None:
    dice = random.Random(seed)
    cluster = Cluster(settings=Settings(election_ticks=20), jitter=lambda n: dice.randrange(n))
    cluster.elect("a")
    for _ in range(dice.randrange(30)):
        cluster.tick()
        cluster.settle()
    cluster.partition("a")
    others = [cluster["b"], cluster["c"]]
    ticks = 0
    while not any(raft.is_leader and raft.commit == raft.last_index for raft in others):
        for node_id in dice.sample(["b", "c"], 2):
            cluster.tick(node_id)
            cluster.settle()
        ticks += 1
    assert ticks <= 2 * 20


def test_each_node_draws_its_own_patience() -> None:
    drawn = set()
    for value in range(10):
        raft = Raft(
            "a", Settings(election_ticks=20), Disk(THREE), hard_state=HardState(),
            snapshot=SnapshotMark(members=THREE), commit=0, applied=0,
            jitter=lambda n, value=value: value % n,
        )  # fmt: skip
        ticks = 0
        while raft.role is Role.FOLLOWER:
            raft.tick()
            ticks += 1
        drawn.add(ticks)
    assert drawn == set(range(20, 30))


# -- memory


def test_what_a_leader_sends_to_one_that_does_not_answer_is_bounded() -> None:
    cluster = Cluster(settings=Settings(max_entries=4, max_inflight=3))
    raft = cluster.elect("a")
    cluster.cut.add(("c", "a"))
    for _ in range(100):
        cluster.propose("a", b"x")
        for position, (_, receiver, _) in reversed(list(enumerate(cluster.wire))):
            if receiver != "c":
                cluster.deliver(position)
    sent = [m for _, to, m in cluster.wire if to == "c" and isinstance(m, AppendEntries)]
    assert raft.commit > 90
    assert sum(len(message.entries) for message in sent) <= 3 * 4
    progress = raft.progress("c")
    assert progress is not None
    assert len(progress.inflight) == 3


def test_a_follower_whose_disk_is_stuck_holds_a_bounded_log() -> None:
    settings = Settings(max_uncommitted_bytes=10_000)
    disk = Disk(THREE)
    raft = lone(disk, settings)
    for index in range(1, 1000):
        raft.step(
            "b", AppendEntries(1, index - 1, int(index > 1), (Entry(index, 1, data=b"x" * 1000),))
        )
        raft.take()
    assert raft.last_index < 15


def test_a_leader_whose_disk_is_stuck_holds_a_bounded_log() -> None:
    """The others commit without it, and go on only as long as it has room."""
    cluster = Cluster(settings=Settings(max_uncommitted_bytes=10_000))
    leader = cluster.elect("a")
    cluster.nodes["a"].held = True

    def propose(times: int) -> None:
        for _ in range(times):
            cluster.propose("a", bytes(1000))
            cluster.settle()

    with pytest.raises(Overloaded):
        propose(100)
    assert leader.commit == leader.last_index
    assert leader.last_index < 13
    cluster.release("a")
    propose(1)
    assert len(cluster.commands("b")) == len(cluster.commands("a")) > 9


def test_a_leader_whose_disk_is_stuck_gives_way_once_the_others_commit_without_it() -> None:
    cluster = Cluster()
    leader = cluster.elect("a")
    cluster.nodes["a"].held = True
    for _ in range(15):
        cluster.tick()
        cluster.settle()
    assert leader.is_leader, "nobody is ahead of it"
    cluster.propose("a", b"x")
    cluster.settle()
    for _ in range(9):
        cluster.tick("a")
        cluster.settle()
    assert leader.is_leader
    cluster.tick("a")
    assert not leader.is_leader
    assert "its disk has not taken" in cluster.nodes["a"].roles[-1].reason
    for node_id in "bc" * 15:
        cluster.tick(node_id)
        cluster.settle()
    other = next(node_id for node_id in "bc" if cluster[node_id].is_leader)
    cluster.propose(other, b"y")
    cluster.settle()
    cluster.release("a")
    cluster.tick()
    cluster.settle()
    assert cluster.commands("a") == [b"x", b"y"]


def test_one_that_repeats_itself_fills_nothing() -> None:
    raft = lone()
    for _ in range(5000):
        raft.step("b", AppendEntries(1, 0, 0, (Entry(1, 1),)))
    effects = raft.take()
    assert effects.messages == ()
    assert effects.persist is not None
    raft.persisted(effects.persist.number)
    assert len(raft.take().messages) == 1


def test_entries_that_left_memory_are_read_from_the_log() -> None:
    cluster = Cluster(settings=Settings(cache_bytes=2000, max_entries=10))
    cluster.elect("a")
    cluster.partition("c")
    for _ in range(50):
        cluster.propose("a", b"x" * 200)
        cluster.settle()
    cluster.heal()
    cluster.nodes["a"].disk.reads = 0
    for _ in range(20):
        cluster.tick("a")
        cluster.settle()
    assert cluster.commands("c") == [b"x" * 200] * 50
    assert cluster.nodes["a"].disk.reads > 0


# -- what may be seen


def test_what_may_be_seen_of_a_node() -> None:
    cluster = Cluster()
    joining = cluster.join("d").raft
    assert (joining.members.nodes, joining.is_learner, joining.leader) == ((), False, "")
    raft = cluster.elect("a")
    raft.change(raft.members.having(Member("d", "d:1", False)))
    assert raft.members_index == 2
    assert raft.members_at(1).voters == {"a", "b", "c"}
    assert raft.members_at(2).learners == {"d"}
    cluster.settle()
    assert joining.is_learner
    assert (joining.leader, joining.term, joining.last_term) == ("a", 1, 1)
    assert raft.progress("a") is None
    assert cluster["b"].progress("a") is None
    assert (raft.term_at(2), raft.first_index, raft.applied_index) == (1, 1, 2)
    assert raft.transferring == ""
    cluster.partition("b")
    raft.transfer("b")
    assert raft.transferring == "b"


def test_a_term_begins_with_an_entry_of_its_own() -> None:
    cluster = Cluster()
    cluster.elect("a")
    assert [entry.kind for entry in cluster.nodes["c"].state] == [EntryKind.NOOP]
