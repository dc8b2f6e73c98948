"""What is told, and applied, together: commits with the next entries, entries in larger groups.

Both only while more follows by itself, and while nobody waits.
"""

from __future__ import annotations

from bleepstore.raft.core import Raft, Settings
from bleepstore.raft.messages import AppendEntries, Entry, Message
from bleepstore.raft.replica import GATHERED
from tests.raft.cluster import Cluster

# -- commits


def half_committed(whose: str = "", settings: Settings | None = None) -> Cluster:
    """``a`` leads, entry 2 is committed there, and entry 3 is on its way to ``b``."""
    cluster = Cluster("ab", settings)
    cluster.elect("a")
    cluster["a"].propose([b"x"], whose)
    cluster.run("a")
    cluster.propose("a", b"y")
    cluster.deliver()
    cluster.deliver(1)
    assert (cluster["a"].commit, cluster["a"].last_index) == (2, 3)
    return cluster


def told(cluster: Cluster) -> list[int]:
    """The commit indexes in messages without entries, which are on their way to ``b``."""
    return [
        message.commit
        for _, receiver, message in cluster.wire
        if receiver == "b" and isinstance(message, AppendEntries) and not message.entries
    ]


def test_a_commit_is_told_with_the_next_entries_while_some_are_under_way() -> None:
    cluster = half_committed()
    assert told(cluster) == []
    cluster.propose("a", b"z")
    _, receiver, message = cluster.wire[-1]
    assert (receiver, message.commit) == ("b", 2)
    cluster.settle()
    assert cluster.commands("b") == [b"x", b"y", b"z"]


def test_the_last_commit_is_told_at_once() -> None:
    cluster = half_committed()
    cluster.deliver()
    cluster.deliver()
    assert cluster["a"].commit == 3
    assert told(cluster) == [3]


def test_a_heartbeat_tells_what_is_committed_though_the_rest_never_will_be() -> None:
    cluster = half_committed()
    cluster.cut.add(("b", "a"))
    cluster.settle()
    assert cluster["b"].commit == 1
    cluster.tick("a")
    cluster.settle()
    assert (cluster["a"].commit, cluster["b"].commit) == (2, 2)


def test_a_commit_is_told_at_once_where_the_one_who_proposed_it_waits() -> None:
    assert told(half_committed("b")) == [2]


def test_a_commit_is_told_at_once_where_a_reader_waits_for_it() -> None:
    cluster = half_committed(settings=Settings(lease_reads=True))
    del cluster.wire[:]
    cluster["b"].read(1)
    cluster.run("b")
    cluster.deliver()
    assert told(cluster) == [2]


def test_who_proposed_something_before_waits_for_nothing_that_others_propose() -> None:
    cluster = Cluster("ab")
    cluster.elect("a")
    cluster["a"].propose([b"before"], "b")
    cluster.settle()
    cluster.propose("a", b"x")
    cluster.propose("a", b"y")
    cluster.deliver()
    cluster.deliver(1)
    assert cluster["a"].commit == 3
    assert told(cluster) == []


# -- what is applied


class Follower:
    """``b`` of two, patient, and whatever it applies."""

    def __init__(self) -> None:
        self.cluster = Cluster("ab")
        self.cluster.elect("a")
        self.groups: list[int] = []
        self.cluster.watch = lambda node, effects: (
            self.groups.append(len(effects.apply)) if node.id == "b" and effects.apply else None
        )
        self.raft.be_patient(True)

    @property
    def raft(self) -> Raft:
        return self.cluster["b"]

    def hear(self, last: int, commit: int) -> None:
        """All entries up to ``last``, of which some are committed."""
        first = self.raft.last_index + 1
        entries = tuple(Entry(index, 1, data=b"x") for index in range(first, last + 1))
        message: Message = AppendEntries(1, first - 1, 1, entries, commit)
        self.cluster.bring("a", "b", message)


def test_one_who_is_patient_waits_for_what_follows_and_applies_it_together() -> None:
    follower = Follower()
    follower.hear(4, 2)
    follower.hear(6, 4)
    assert follower.groups == []
    follower.hear(6, 6)
    assert follower.groups == [5]


def test_one_where_somebody_waits_applies_at_once() -> None:
    follower = Follower()
    follower.hear(4, 2)
    follower.raft.be_patient(False)
    follower.cluster.run("b")
    assert follower.groups == [1]
    follower.hear(6, 4)
    assert follower.groups == [1, 2]


def test_patience_ends_with_the_next_tick() -> None:
    follower = Follower()
    follower.cluster.tick("b")
    follower.hear(4, 2)
    assert follower.groups == [], "a tick before there was anything to wait with does not count"
    follower.cluster.tick("b")
    assert follower.groups == [1]
    follower.hear(6, 4)
    assert follower.groups == [1], "it begins anew"


def test_patience_ends_with_a_large_group() -> None:
    follower = Follower()
    follower.hear(GATHERED + 10, GATHERED)
    assert follower.groups == []
    follower.hear(GATHERED + 11, GATHERED + 1)
    assert follower.groups == [GATHERED]
