"""What the core wants done: values, which a driver carries out at once and in order.

The order in which effects depend on each other is the core's affair, not the driver's: whatever
promises something that is not durable yet is *withheld* by the core until the driver says that it
is (``Raft.persisted``).  So a driver carries out everything that :meth:`Raft.take` gives, as soon
as it is given.  Source of each duty: paper, figure 2 ("Updated on stable storage before
responding to RPCs"); thesis section 10.2.1 (a leader may send before its own disk has written).

What is made for every command is no affair of the garbage collector (``gc=False``): it is frozen,
and holds only what was there before it, so it is never part of a cycle.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from bleepstore.raft.messages import Entry, Message, SnapshotMark


class Role(Enum):
    """What a node is in its term.  A learner is a FOLLOWER that never stands."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class HardState(Struct, frozen=True, array_like=True):
    """What must survive a crash beside the log (paper, figure 2).

    :ivar vote: for whom this node voted in ``term``; empty: for nobody.
    """

    term: int = 0
    vote: str = ""


class Persist(Struct, frozen=True, gc=False):
    """Make durable, in one atomic step; then call ``Raft.persisted(number)``.

    One at a time: :meth:`Raft.take` gives no further Persist until the last one was confirmed.

    :ivar hard_state: the new one, or None if it has not changed.
    :ivar entries: contiguous; the log's entries from the first one's index on are replaced.
    :ivar restore: a snapshot that the driver holds, received whole: the state machine becomes its
        content, and the log is emptied and begins behind it.  ``entries`` follow it.
    :ivar commit: the commit index, worth keeping beside the log but not worth a sync of its own.
    """

    number: int
    hard_state: HardState | None = None
    entries: tuple[Entry, ...] = ()
    restore: SnapshotMark | None = None
    commit: int = 0


class Envelope(Struct, frozen=True, array_like=True, gc=False):
    """A message to send now."""

    to: str
    message: Message


class ReadReady(Struct, frozen=True, array_like=True):
    """A read that was asked of :meth:`Raft.read` may be served once ``index`` is applied; -1: no
    leader confirmed it, ask again later or give up."""

    context: int
    index: int


class RoleChange(Struct, frozen=True):
    """The role, the term or the known leader has changed.

    :ivar leader: the known leader of the term; empty while there is none.
    :ivar reason: for the log, in words: "no word from node-2 for 20 ticks".
    """

    role: Role
    term: int
    leader: str
    reason: str


class Effects(Struct, frozen=True, gc=False):
    """Everything that is due.  All of it may be carried out at once.

    :ivar apply: committed and durable here; each entry is given exactly once, in order, of all
        kinds (the state machine skips what is no COMMAND, but its applied index counts it).
    :ivar reads: in any order.
    :ivar snapshots: nodes that are to be sent the newest snapshot; then call
        ``Raft.snapshot_sent``.
    """

    persist: Persist | None = None
    messages: tuple[Envelope, ...] = ()
    apply: tuple[Entry, ...] = ()
    reads: tuple[ReadReady, ...] = ()
    snapshots: tuple[str, ...] = ()
    roles: tuple[RoleChange, ...] = ()
