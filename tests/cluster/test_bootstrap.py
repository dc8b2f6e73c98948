"""The first start of a cluster, and later ones: what belongs together, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from bleepstore.cluster.bootstrap import cluster_id_of, find_place, is_named, must_agree
from bleepstore.cluster.snapshots import SnapshotFiles
from bleepstore.cluster.unusable import UnusableLog
from bleepstore.raft.effects import HardState, Persist
from bleepstore.raft.messages import Entry, EntryKind, Member, Members, SnapshotMark
from bleepstore.streams.threads import ImmediateThreads
from tests.cluster.world import ListMachine
from tests.contract.metadata_engines import Turns
from tests.sim.memory_log import LogDisk, MemoryLog

ONE = Members((Member("a", "a:1"),))
TWO = Members(tuple(Member(each, f"{each}:1") for each in "ab"))
THREE = Members(tuple(Member(each, f"{each}:1") for each in "abc"))
OTHERS = Members(tuple(Member(each, f"{each}:1") for each in "axy"))


class Place:
    """A node's log, state and snapshots."""

    def __init__(self, directory: Path) -> None:
        self.turns = Turns()
        self.disk = LogDisk()
        self.machine = ListMachine(self.turns.clock)
        self.snapshots = SnapshotFiles(str(directory), ImmediateThreads())
        self.open()

    def open(self) -> None:
        self.log = MemoryLog(self.disk, "a")

    def find(self, members: Members = THREE, name: str = "") -> None:
        founders = {}
        if must_agree(self.log, self.machine, members, name):
            others = {node.id: f"log of {node.id}" for node in members.nodes}
            founders = {**others, "a": self.log.identity.log_id}
        place = find_place(self.log, self.machine, self.snapshots, members, name, founders)
        self.turns.run(place)

    def with_logs(self, members: Members) -> Members:
        """As they are once they have begun."""
        logs = self.log.identity.founders
        return Members(tuple(replace(node, log=logs[node.id]) for node in members.nodes))

    def save(self, number: int, term: int = 1) -> None:
        """Entries 1 to a number."""
        entries = tuple(Entry(n, term, EntryKind.NOOP) for n in range(1, number + 1))
        self.turns.run(self.log.save(Persist(1, HardState(term), entries, commit=number)))

    def snapshot(self, index: int, term: int = 1) -> None:
        other = ListMachine(self.turns.clock)
        other.state.applied = index
        other.state.commands = [b"of the snapshot"]
        path = self.snapshots.reserve()
        self.turns.run(other.copy(path))
        self.turns.run(self.snapshots.keep(path, SnapshotMark(index, term, THREE)))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_first_members_agree_on_the_id_of_their_cluster_without_a_word() -> None:
    backwards = tuple(reversed(THREE.nodes))
    agreed = cluster_id_of(THREE.nodes, "prod", "log-1")
    assert cluster_id_of(backwards, "prod", "log-2") == agreed
    assert agreed == "prod.ea7fb08b7a2dc4619ffb7c7bb38d95a2"
    assert is_named(agreed, "prod")
    assert not is_named(agreed, "pro")
    others = {
        cluster_id_of(THREE.nodes, "test", "log-1"),
        cluster_id_of(OTHERS.nodes, "prod", "log-1"),
        cluster_id_of(ONE.nodes, "prod", "log-1"),
        cluster_id_of(ONE.nodes, "prod", "log-2"),  # who begins alone agrees with nobody
    }
    assert len(others | {agreed}) == 5


def test_a_first_member_begins_with_all_of_them(place: Place) -> None:
    place.find()
    with_logs = place.with_logs(THREE)
    assert [node.log for node in with_logs.nodes] == ["log-1", "log of b", "log of c"]
    assert place.log.state().snapshot == SnapshotMark(0, 0, with_logs)
    meant = cluster_id_of(THREE.nodes, "", place.log.identity.log_id)
    assert place.log.identity.cluster_id == meant
    place.open()
    assert not must_agree(place.log, place.machine, THREE)
    place.find()
    assert place.log.state().snapshot == SnapshotMark(0, 0, with_logs)


def test_a_crash_after_the_agreement_needs_no_other_one(place: Place) -> None:
    agreed = {"a": "log-1", "b": "log of b", "c": "log of c"}
    meant = cluster_id_of(THREE.nodes, "", "")
    place.turns.run(place.log.join(meant, agreed))
    place.open()
    assert not must_agree(place.log, place.machine, THREE)
    place.find()
    assert place.log.state().snapshot == SnapshotMark(0, 0, place.with_logs(THREE))
    assert place.log.identity.founders == agreed


def test_a_node_that_is_to_join_waits(place: Place) -> None:
    place.find(Members())
    assert place.log.state().snapshot == SnapshotMark()
    assert place.log.identity.cluster_id == ""


def test_embedded_data_is_put_before_the_first_entry(place: Place) -> None:
    place.machine.state.commands.append(b"before")
    place.find(ONE)
    assert place.log.state().snapshot == SnapshotMark(1, 1, place.with_logs(ONE))
    assert place.log.state().hard_state == HardState(1)
    assert place.machine.applied_index() == 1


def test_a_crash_between_the_log_and_the_adoption_of_the_data_is_made_up_for(place: Place) -> None:
    place.machine.state.commands.append(b"before")
    place.turns.run(place.log.save(Persist(0, HardState(1), restore=SnapshotMark(1, 1, ONE))))
    place.open()
    place.find(ONE)
    assert place.machine.applied_index() == 1


def test_who_was_added_to_a_cluster_begins_none_of_its_own(place: Place) -> None:
    """What it was configured with would be a majority, and it has received nothing yet."""
    place.turns.run(place.log.join("another.0123"))
    place.open()
    assert not must_agree(place.log, place.machine, THREE)
    for members in (ONE, THREE):
        place.find(members)
        assert place.log.state().snapshot == SnapshotMark()
        assert place.log.identity.cluster_id == "another.0123"


@pytest.mark.parametrize("members", [TWO, THREE], ids=["two", "three"])
def test_embedded_data_of_which_there_may_be_several_is_refused(
    place: Place, members: Members
) -> None:
    place.machine.state.commands.append(b"before")
    with pytest.raises(UnusableLog, match=r"start it alone, with no cluster\.peers"):
        place.find(members)
    assert place.log.state().snapshot == SnapshotMark()


def test_data_that_joining_would_replace_is_refused(place: Place) -> None:
    place.machine.state.commands.append(b"mine")
    with pytest.raises(UnusableLog, match="which it would lose"):
        place.find(Members())


def test_metadata_whose_log_is_gone_is_refused(place: Place) -> None:
    place.machine.state.applied = 17
    for members in (ONE, THREE):
        with pytest.raises(UnusableLog, match="index 17 of a log that is not in"):
            place.find(members)
    with pytest.raises(UnusableLog, match="index 17"):
        must_agree(place.log, place.machine, THREE)
    with pytest.raises(UnusableLog, match="which it would lose"):
        place.find(Members())


def test_embedded_metadata_that_vanished_after_the_beginning_is_missed(place: Place) -> None:
    place.machine.state.commands.append(b"before")
    place.find(ONE)
    place.machine = ListMachine(place.turns.clock)
    place.open()
    with pytest.raises(UnusableLog, match="no snapshot leads from one to the other"):
        place.find(ONE)


def test_a_state_behind_the_log_is_brought_up_from_the_snapshot(place: Place) -> None:
    place.find()
    place.save(20)
    place.snapshot(15)
    place.turns.run(place.log.compact(SnapshotMark(10, 1, THREE)))
    place.machine.state.applied = 4  # a power cut took back what was not synced
    place.find()
    assert place.machine.applied_index() == 15
    assert place.log.state().snapshot.index == 10


def test_a_state_within_the_log_is_left_alone(place: Place) -> None:
    place.find()
    place.save(20)
    place.snapshot(15)
    place.turns.run(place.log.compact(SnapshotMark(10, 1, THREE)))
    for applied in (10, 12, 20):
        place.machine.state.applied = applied
        place.find()
        assert place.machine.applied_index() == applied


@pytest.mark.parametrize("applied", [5, 40])
def test_a_restore_that_was_broken_off_is_finished(place: Place, applied: int) -> None:
    """The snapshot was kept, and may have become the state; the log does not know of it."""
    place.find()
    place.save(5)
    place.snapshot(40, term=3)
    place.machine.state.applied = applied
    place.find()
    assert place.machine.applied_index() == 40
    assert (place.log.first_index(), place.log.last_index()) == (41, 40)
    assert place.log.state().hard_state == HardState(3)
    assert place.log.state().snapshot == SnapshotMark(40, 3, THREE)


@pytest.mark.parametrize("applied", [0, 40])
def test_a_restore_is_finished_also_where_it_was_the_first_that_a_node_was_told(
    place: Place, applied: int
) -> None:
    """It has joined, and its log has neither a term nor an entry."""
    place.turns.run(place.log.join("prod.00"))
    place.snapshot(40, term=3)
    place.machine.state.applied = applied
    place.open()
    place.find(Members(), "prod")
    assert place.machine.applied_index() == 40
    assert place.log.state().hard_state == HardState(3)
    assert place.log.state().snapshot == SnapshotMark(40, 3, THREE)


def test_a_snapshot_without_its_log_is_refused(place: Place) -> None:
    """It may be of another cluster."""
    place.snapshot(40)
    for members in (Members(), ONE, THREE):
        with pytest.raises(UnusableLog, match="but not the log that it goes with"):
            place.find(members)


def test_a_snapshot_that_was_only_kept_may_be_damaged(place: Place) -> None:
    place.find()
    place.save(5)
    place.snapshot(40, term=3)
    newest = place.snapshots.newest()
    assert newest is not None
    Path(newest[1]).write_bytes(b"rotten")
    place.machine.state.applied = 5
    place.find()
    assert (place.machine.applied_index(), place.log.last_index()) == (5, 5)
    assert place.snapshots.newest() is None


def test_a_snapshot_of_what_a_power_cut_took_from_the_state_alone_is_left_alone(
    place: Place,
) -> None:
    """The log has all of it, and is applied again."""
    place.find()
    place.save(20)
    place.snapshot(15)
    place.machine.state.applied = 4
    place.find()
    assert (place.machine.applied_index(), place.log.last_index()) == (4, 20)


@pytest.mark.parametrize("applied", [4, 10])
def test_a_restore_is_finished_also_where_a_longer_log_of_an_old_leader_is_in_its_place(
    place: Place, applied: int
) -> None:
    """Else those entries would count as committed, and no leader's would ever match them."""
    place.find()
    place.save(12, term=1)
    place.snapshot(10, term=3)
    place.machine.state.applied = applied  # of the snapshot, or not yet; then came the crash
    place.open()
    place.find()
    state = place.log.state()
    assert state.snapshot == SnapshotMark(10, 3, THREE)
    assert (state.first_index, state.last_index) == (11, 10)
    assert state.hard_state.term == 3
    assert place.machine.applied_index() == 10


@pytest.mark.parametrize("kept", [0, 30])
def test_metadata_ahead_of_its_log_is_refused(place: Place, kept: int) -> None:
    place.find()
    place.save(5)
    if kept:
        place.snapshot(kept)
    place.machine.state.applied = 40
    with pytest.raises(UnusableLog, match="stands at index 40, but the log"):
        place.find()


def test_a_log_that_begins_behind_the_state_needs_a_snapshot_that_reaches_it(place: Place) -> None:
    place.find()
    place.save(20)
    place.turns.run(place.log.compact(SnapshotMark(10, 1, THREE)))
    place.snapshot(8)
    with pytest.raises(UnusableLog, match="let it join anew"):
        place.find()


def test_a_log_of_another_cluster_is_refused_in_one_line(place: Place) -> None:
    place.find()
    place.open()
    with pytest.raises(UnusableLog, match="whose members were a, b, c") as caught:
        place.find(OTHERS)
    assert "\n" not in str(caught.value)
    place.find(Members((*OTHERS.nodes, Member("c", "c:1"))))  # some went, others came
    place.find(Members())
    place.find(ONE)
