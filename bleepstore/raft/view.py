"""What may be seen of a node: for its driver, for status and metrics.  Changes nothing."""

from __future__ import annotations

from bleepstore.raft.effects import Role
from bleepstore.raft.leading import Leadership
from bleepstore.raft.messages import Members
from bleepstore.raft.progress import Progress
from bleepstore.raft.replica import Replica


class View:
    """A node, to look at."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._leadership: Leadership | None = None

    @property
    def role(self) -> Role:
        """What this node is in its term."""
        return self._replica.role

    @property
    def term(self) -> int:
        """The latest term that it has seen."""
        return self._replica.term

    @property
    def leader(self) -> str:
        """The known leader of the term; empty while there is none."""
        return self._replica.leader

    @property
    def commit(self) -> int:
        """The last index known to be committed."""
        return self._replica.commit

    @property
    def applied_index(self) -> int:
        """The last index that was confirmed by :meth:`applied`."""
        return self._replica.applied

    @property
    def first_index(self) -> int:
        """Of the first entry that the log has, or would have."""
        return self._replica.log.first_index

    @property
    def last_index(self) -> int:
        """Of the last entry, durable or not."""
        return self._replica.log.last_index

    @property
    def last_term(self) -> int:
        """Of the last entry."""
        return self._replica.log.last_term

    @property
    def members(self) -> Members:
        """Those in force, committed or not."""
        return self._replica.members.current

    @property
    def members_index(self) -> int:
        """Of the entry, or the snapshot, that they come from: above ``commit``, they may go."""
        return self._replica.members.index

    def members_at(self, index: int) -> Members:
        """The members as of an index: what a snapshot that stands for it has to name.

        Nobody, if they are not known: a node that joined by way of the log knows only those since
        the first change that it was sent, and must take no snapshot of what was before."""
        return self._replica.members.at(index)

    def term_at(self, index: int) -> int:
        """The term of an entry: what a snapshot that stands for it has to name.

        :raises IndexError: the log does not have it.
        """
        return self._replica.log.term(index)

    @property
    def is_leader(self) -> bool:
        """Whether it leads, as far as it knows."""
        return self._leadership is not None

    @property
    def is_learner(self) -> bool:
        """Whether it is a member that does not vote."""
        return self._replica.id in self.members.learners

    @property
    def transferring(self) -> str:
        """To whom leadership is being handed over; empty: to nobody."""
        return self._leadership.transferee if self._leadership is not None else ""

    def progress(self, peer: str) -> Progress | None:
        """How far a peer is; None: this node does not lead, or does not know it.  To read only."""
        return self._leadership.peers.get(peer) if self._leadership is not None else None

    def silence(self, peer: str) -> int:
        """Ticks since a peer was heard of by this leader; 0 if it does not lead, or does not know
        it."""
        progress = self.progress(peer)
        return 0 if progress is None else self._replica.now - progress.heard
