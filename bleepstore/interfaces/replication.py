"""Replication: the roles around a Raft core, so that each can be built and tested alone.

metadata.replicated ──IConsensus──► cluster driver ──► raft (pure)
metadata's replica  ◄─IStateMachine─      │  ├──ILogStore──► the log on disk
                                          │  ├──ISnapshots─► snapshot files
                                          │  └──ITransport─► peers (AMP, or a simulated network)
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence

from msgspec import Struct
from zope.interface import Attribute, Interface

from bleepstore.raft.effects import HardState, Persist
from bleepstore.raft.messages import Entry, Members, Message, SnapshotMark


class Verdict(Struct, frozen=True):
    """What applying one COMMAND entry came to.

    :ivar applied: False: it was passed over, as a repetition or of an earlier incarnation.
    :ivar outcome: the result, or the exception that refused it; None if not applied.
    """

    origin: str
    incarnation: int
    serial: int
    applied: bool
    outcome: object = None


class PeerStatus(Struct, frozen=True, kw_only=True):
    """A member as this node sees it.

    :ivar match: the last index known to be on it; -1 where this node does not lead.
    :ivar last_contact_ms: since a message of it came; -1: never.
    """

    id: str
    address: str
    voter: bool
    match: int
    last_contact_ms: float


class ConsensusStatus(Struct, frozen=True, kw_only=True):
    """The state of consensus on this node, for health, metrics and the log.

    :ivar role: ``follower``, ``pre-candidate``, ``candidate``, ``leader`` (``learner`` for a
        member that does not vote, ``joining`` for a node that belongs to no cluster yet,
        ``founding`` for one that waits for the others with whom it is to begin one, ``removed``
        for one that was told that it is no member any more).
    :ivar leader: id of the known leader, empty while there is none.
    :ivar address: at which the members call this node; empty while it is none.
    """

    cluster_id: str
    node_id: str
    role: str
    term: int
    leader: str
    leader_address: str
    last_index: int
    last_term: int
    commit_index: int
    applied_index: int
    snapshot_index: int
    snapshot_term: int
    pending: int
    peers: tuple[PeerStatus, ...]
    address: str = ""


class IConsensus(Interface):
    """One order for all changes, agreed on by a majority.  Also an IPart."""

    node_id = Attribute("str: the id of this node.")

    def propose(command: bytes) -> Awaitable[object]:
        """Have a command (as ``commands.encode`` gave it) applied exactly once, everywhere.

        Returns its outcome (a result, or an exception as a value) when it is committed, durable
        on a majority, and applied here.  Cancelling the wait takes nothing back.

        :raises ServiceUnavailable: not decided in time (it may still be applied, or never): there
            is no quorum, or the node is stopping.  Always within the bound that is configured.
        """

    def barrier() -> Awaitable[None]:
        """When it returns, this node's state has every change acknowledged anywhere before the
        call.  Those who wait at the same time share one round of confirmation.

        :raises ServiceUnavailable: no leader confirmed in time.
        """

    def status() -> ConsensusStatus:
        """A picture of now; costs microseconds."""

    def add_member(node_id: str, address: str) -> Awaitable[None]:
        """Add a node as a learner, and make it a voter once it has caught up.  At any node.

        :raises ValueError: it is a member already, under another address; or the node that was
            asked is none.
        :raises ServiceUnavailable: not decided in time; ask again.
        """

    def remove_member(node_id: str) -> Awaitable[None]:
        """Remove a node; a leader that is removed hands over first.

        :raises ValueError: it is no member, or the last voter; or the node that was asked is none.
        :raises ServiceUnavailable:
        """

    def transfer_leadership(node_id: str = "") -> Awaitable[None]:
        """Have another voter lead: the given one, or the one that is furthest.

        :raises ValueError: it is no voter; or the node that was asked is no member.
        :raises ServiceUnavailable: it does not lead in time.
        """

    def take_snapshot() -> Awaitable[int]:
        """Take a snapshot now, and drop the log that it stands for; gives its index.

        :raises ServiceUnavailable: it could not be taken.
        """


class IStateMachine(Interface):
    """What the log is applied to.  Calls do not overlap, but for :meth:`copy` and :meth:`sync`."""

    def applied_index() -> int:
        """The index of the last entry applied, as reads see it; 0 before the first."""

    def pristine() -> bool:
        """Whether it holds nothing, so that a log may begin from it on every node alike."""

    def adopt(index: int) -> Awaitable[None]:
        """Say, durably, that the state is what a log has at an index: an embedded database
        becomes the beginning of a cluster.

        :raises ValueError: the applied index is not 0; nothing was changed.
        """

    def apply(entries: Sequence[Entry]) -> Awaitable[Sequence[Verdict]]:
        """Apply entries that follow the applied index without a gap, in one transaction.

        Gives a verdict for each COMMAND entry, in order; NOOP and MEMBERS only move the index.
        When it returns, reads see all of it; a process that dies keeps it, a power cut may take
        the last of it back, whole transactions at a time (the log has them still).

        :raises Exception: the disk failed, or an entry is of a format this version does not
            know: nothing was applied, and nothing more can be.
        """

    def sync() -> Awaitable[int]:
        """Make what was applied survive a power cut; gives the index up to which it does."""

    def copy(path: str) -> Awaitable[int]:
        """Write a consistent copy of the state to a new file, durably, while applying goes on;
        gives the applied index that the copy stands at."""

    def replace(path: str, index: int) -> Awaitable[None]:
        """Make the state that of a copy.  Atomic: after a crash it is the old one or the new one.

        :param index: what the copy stands at.
        :raises ValueError: the file is no copy of that index; the state is as it was.
        """


class LogState(Struct, frozen=True):
    """What a log store holds at its opening.

    :ivar snapshot: where the log begins: its first entry is the one behind it.
    :ivar commit: a commit index that was known; the true one may be greater.
    :ivar incarnation: how often the store was opened, this time included.
    """

    hard_state: HardState
    snapshot: SnapshotMark
    commit: int
    first_index: int
    last_index: int
    incarnation: int


class Identity(Struct, frozen=True):
    """Whose log it is.

    :ivar cluster_id: empty while the node has not joined one.
    :ivar log_id: drawn when the log was made.  A node that lost its log, and was let in again
        under its name, counts its incarnations from 1 again; by this it is told apart from what
        it was.
    :ivar founders: where this node is one of several with whom the cluster began: the ids of
        their logs by those of the nodes.
    """

    cluster_id: str
    node_id: str
    log_id: str = ""
    founders: Mapping[str, str] = {}


class ILogReader(Interface):
    """The durable part of the log, read on the caller's thread, some 10 µs an entry."""

    def first_index() -> int:
        """Index of the first entry there is, or would be."""

    def last_index() -> int:
        """Index of the last entry; ``first_index() - 1`` when there is none."""

    def term(index: int) -> int:
        """The term of an entry, or of the snapshot that ends right before the first.

        :raises IndexError: there is neither.
        """

    def entries(low: int, high: int, max_bytes: int) -> Sequence[Entry]:
        """Entries ``low`` to ``high`` - 1, at least one, then as many as ``max_bytes`` of data
        allow.

        :raises IndexError: the first of them is not there.
        :raises DamagedLog: one does not match its checksum.
        """


class ILogStore(ILogReader):
    """The log, the hard state and the marks of one node, on disk.  Also an IPart."""

    identity = Attribute("Identity: whose it is.")

    def state() -> LogState:
        """What was there at the opening.  Later calls give what is there now."""

    def join(cluster_id: str, founders: Mapping[str, str] = {}) -> Awaitable[None]:
        """Belong to a cluster from now on, durably.

        :param founders: see :class:`Identity`; none changes nothing.
        :raises ValueError: it belongs to another one already.
        """

    def save(persist: Persist) -> Awaitable[None]:
        """Carry out a Persist (``restore`` as far as the log is concerned); when it returns it is
        durable, and :meth:`entries` has it.  Calls do not overlap.

        :raises Exception: the disk failed.  Whether it is durable is uncertain: the node must
            stop, since it can promise nothing any more.
        """

    def compact(mark: SnapshotMark) -> Awaitable[None]:
        """Forget the entries up to and including a snapshot's, and keep its mark.  May run while
        :meth:`save` does; done in small units."""


class ISnapshots(Interface):
    """Snapshot files of one node, taken here or received.  The newest one is kept."""

    def newest() -> tuple[SnapshotMark, str] | None:
        """The newest whole snapshot and its path."""

    def reserve() -> str:
        """A path for a snapshot to be written to (``IStateMachine.copy``)."""

    def keep(path: str, mark: SnapshotMark) -> Awaitable[str]:
        """Adopt a file that is written and synced as the newest snapshot; older ones go, unless
        they are borrowed.  Gives the path that it has from now on; that of the newest one, if
        there is one that is no older, and the file goes.

        :raises OSError: it could not be adopted; what was the newest still is.
        """

    def borrow() -> Awaitable[tuple[SnapshotMark, str] | None]:
        """The newest snapshot, verified to be what was kept; it stays until it is given back.

        None: there is none (one that is found damaged is removed, and is none).
        """

    def give_back(path: str) -> None:
        """A borrowed snapshot is not needed any more."""

    def discard(path: str) -> None:
        """A file that was reserved or received is not needed; it goes in the background."""


class LostLog(Exception):
    """A node is a member with another log than it has now: its disk was lost, or replaced.

    What it had promised is gone, so that it must not take part under its name until it was
    removed and added again.
    """


class Introduction(Struct, frozen=True):
    """What a node says of itself.

    :ivar cluster: the id of its cluster; empty while it belongs to none.
    :ivar log: the id of its log.
    :ivar founders: see :class:`Identity`.
    """

    node: str
    cluster: str
    log: str
    founders: Mapping[str, str]


class ITransport(Interface):
    """Messages to peers.  Also an IPart."""

    def listen(receiver: object) -> None:
        """Whom to tell: an IReceiver, on the reactor's thread.  Once, before the start."""

    def connect(members: Members) -> None:
        """Whom to be connected to from now on, and where; connections to others are ended.

        Nobody is spoken with who has a member's id and another log than that member.
        """

    def meet(node_id: str, address: str) -> Awaitable[Introduction]:
        """Ask a node who it is, and no more.  Works from the start on, also for one that is no
        member.

        :param address: where it is looked for, unless it was found elsewhere.
        :raises LostLog: one of the two knows the other, but with another log.
        :raises Exception: it cannot be reached, or refuses.
        """

    def send(to: str, message: Message) -> None:
        """Send if it can be sent; drop it otherwise.  Never waits, never fails.

        What waits for one peer is bounded; beyond that it is dropped.
        """

    def send_snapshot(to: str, term: int, mark: SnapshotMark, path: str) -> Awaitable[None]:
        """Stream a snapshot file, from where an earlier try broke off; returns when the receiver
        has it whole, durable and verified.

        :raises Exception: it could not be sent now.
        """

    def statistics() -> Mapping[str, int]:
        """Counters for metrics, by name."""


class IReceiver(Interface):
    """What a transport brings."""

    def received(sender: str, message: Message) -> None:
        """A message of a peer of this cluster."""

    def snapshot_received(sender: str, term: int, mark: SnapshotMark, path: str) -> None:
        """A snapshot has arrived, is whole, durable and verified; the file is the receiver's."""

    def peer_lost(peer: str) -> None:
        """The connection to a peer broke."""
