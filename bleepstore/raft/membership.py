"""Who the members are, and which change of them is allowed.

A change is in force from the moment it is in the log, committed or not (thesis section 4.1); so
it goes when its entry is cut off.  One voter at a time: then any majority of the old voters
shares one with any majority of the new ones.

Knows entries and members; neither roles nor peers.
"""

from __future__ import annotations

from collections.abc import Iterable

from bleepstore.raft.messages import Entry, EntryKind, Members, decode_members
from bleepstore.raft.problems import ChangeInProgress

_MEMBERS = EntryKind.MEMBERS
MOST_NODES = 256
"""Members of a cluster, learners included: far above what a majority can serve."""


class Membership:
    """The members in force, and those to fall back to.

    :ivar current: the newest.
    :ivar index: of the entry that made them; that of the snapshot if none has since.
    :ivar voters: their ids.
    """

    __slots__ = ("_history", "current", "index", "voters")

    def __init__(self, index: int, members: Members) -> None:
        self._history: list[tuple[int, Members]] = []
        self.reset(index, members)

    def reset(self, index: int, members: Members) -> None:
        """Begin again from a snapshot."""
        self._history = [(index, members)]
        self._refresh()

    def observe(self, entries: Iterable[Entry]) -> None:
        """Entries were appended; those of kind MEMBERS come into force.

        :raises ValueError: one of these cannot be read.
        """
        for entry in entries:
            if entry.kind is _MEMBERS:
                self._history.append((entry.index, decode_members(entry.data)))
                self._refresh()

    def truncate(self, first: int) -> None:
        """The entries from an index on were cut off, and with them what they changed."""
        while len(self._history) > 1 and self._history[-1][0] >= first:
            self._history.pop()
        self._refresh()

    def compact(self, index: int) -> None:
        """Nothing up to an index will be cut off, or asked for, any more."""
        while len(self._history) > 1 and self._history[1][0] <= index:
            del self._history[0]

    def at(self, index: int) -> Members:
        """The members as of an entry: what a snapshot at it has to say."""
        return next((ms for at, ms in reversed(self._history) if at <= index), self._history[0][1])

    def _refresh(self) -> None:
        self.index, self.current = self._history[-1]
        self.voters = self.current.voters


def well_formed(members: Members) -> bool:
    """Whether this can be a cluster: at least one voter, every id once and named."""
    ids = [node.id for node in members.nodes]
    return (
        0 < len(ids) <= MOST_NODES
        and len(set(ids)) == len(ids)
        and all(ids)
        and any(node.voter for node in members.nodes)
    )


def check_in_progress(pending: int, commit: int, term_start: int) -> None:
    """:param pending: index of the entry of the last change.
    :param term_start: index of the first entry of the leader's term.
    :raises ChangeInProgress: the last change is not committed (thesis section 4.1), or nothing of
        the leader's own term is (the correction of 2015: else two leaders, each with a change
        that the other does not know, could commit by majorities that share nobody).
    """
    if pending > commit:
        raise ChangeInProgress(f"the change at index {pending} is not committed yet")
    if commit < term_start:
        raise ChangeInProgress("the leader has committed nothing in its term yet")


def check_step(current: Members, wanted: Members) -> None:
    """:raises ValueError: no cluster, no change, or more than one voter is touched at once."""
    if not well_formed(wanted):
        raise ValueError("members need distinct ids, and a voter among them")
    touched = voters_touched(current, wanted)
    if len(touched) > 1:
        raise ValueError(f"one voter at a time, not {', '.join(sorted(touched))}")
    if set(current.nodes) == set(wanted.nodes):
        raise ValueError("these are the members already")


def voters_touched(current: Members, wanted: Members) -> set[str]:
    """The ids of the voters that are added, removed, promoted, demoted or moved."""
    old = {node.id: node for node in current.nodes if node.voter}
    new = {node.id: node for node in wanted.nodes if node.voter}
    return {node_id for node_id in old.keys() | new.keys() if old.get(node_id) != new.get(node_id)}
