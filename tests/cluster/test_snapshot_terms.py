"""A snapshot goes out in the name of the term in which the core wanted it sent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, succeed

from bleepstore.cluster.snapshotting import Snapshotting
from bleepstore.cluster.status import Counters
from bleepstore.raft.messages import Member, Members, SnapshotMark


def test_a_term_that_begins_before_the_snapshot_is_there_is_another_leaders() -> None:
    """Else its receiver would take this node for the leader of a term that another one leads."""
    mark = SnapshotMark(10, 3, Members((Member("a", "a:1"),)))
    found: Deferred[Any] = Deferred()
    sent: list[tuple[Any, ...]] = []
    confirmed: list[tuple[str, int]] = []

    def send_snapshot(*what: Any) -> Deferred[None]:
        sent.append(what)
        return succeed(None)

    raft = SimpleNamespace(
        term=5, first_index=11, snapshot_sent=lambda to, index: confirmed.append((to, index))
    )
    snapshots = SimpleNamespace(
        newest=lambda: None, borrow=lambda: found, give_back=lambda path: None
    )
    parts: Any = {
        "raft": raft,
        "log": None,
        "machine": None,
        "snapshots": snapshots,
        "transport": SimpleNamespace(send_snapshot=send_snapshot),
        "pauses": None,
        "now": lambda: 0.0,
        "settings": SimpleNamespace(snapshot_entries=100),
        "counters": Counters(),
        "launch": Deferred.fromCoroutine,
        "wake": lambda: None,
    }
    Snapshotting(**parts).send("b")
    raft.term = 6
    found.callback((mark, "/a/path"))
    assert sent == [("b", 5, mark, "/a/path")]
    assert confirmed == [("b", 10)]
