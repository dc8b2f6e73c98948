"""What nodes say to each other, and what a log holds.

Every message is one-way and may be lost, delayed, repeated or overtaken; a transport may carry
an answer as the answer to a call, but the core never relies on it.  A node is known by its id.

The binary form is MessagePack through msgspec (:func:`encode`, :func:`decode`); a field that is
added later has a default, so that nodes of two versions understand each other.  (``gc=False``: see
``effects``.)
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

Number = Annotated[int, Meta(ge=0, le=(1 << 62) - 1)]
"""An index, a term, a round or a context, as it is accepted from a peer: there is room above it
for arithmetic, and in a column of SQLite."""


class EntryKind(IntEnum):
    """What an entry of the log is for.

    COMMAND: opaque bytes for the state machine.  MEMBERS: an encoded :class:`Members`, in force
    from the moment it is in the log, committed or not (thesis section 4.1).  NOOP: what a leader
    begins its term with, so that it may commit what came before (thesis section 6.4 and 3.6.2).
    """

    COMMAND = 0
    MEMBERS = 1
    NOOP = 2


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One entry of the log.

    :ivar index: from 1, without gaps.
    :ivar term: of the leader that made it; never decreases along the log.
    """

    index: Number
    term: Number
    kind: EntryKind = EntryKind.COMMAND
    data: bytes = b""


class Member(Struct, frozen=True, array_like=True):
    """A node of the cluster.

    :ivar address: ``host:port`` at which its peers reach it.
    :ivar voter: False for a learner, which receives the log but counts for no quorum.
    :ivar log: the id of its log, so that a node that lost its disk, and with it what it had
        promised, is not taken for what it was (paper, figure 2: what is persistent must be);
        empty: not known.
    """

    id: str
    address: str
    voter: bool = True
    log: str = ""


class Members(Struct, frozen=True, array_like=True):
    """Who belongs to the cluster, in the order of the ids, each once."""

    nodes: tuple[Member, ...] = ()

    @property
    def voters(self) -> frozenset[str]:
        """The ids of those that vote and count."""
        return frozenset(node.id for node in self.nodes if node.voter)

    @property
    def learners(self) -> frozenset[str]:
        """The ids of those that only listen."""
        return frozenset(node.id for node in self.nodes if not node.voter)

    def get(self, node_id: str) -> Member | None:
        """The member of an id."""
        return next((node for node in self.nodes if node.id == node_id), None)

    def having(self, member: Member) -> Members:
        """These with one more, or with another one of its id."""
        others = [node for node in self.nodes if node.id != member.id]
        return Members(tuple(sorted([*others, member], key=lambda node: node.id)))

    def without(self, node_id: str) -> Members:
        """These without one."""
        return Members(tuple(node for node in self.nodes if node.id != node_id))


class SnapshotMark(Struct, frozen=True, array_like=True):
    """What a snapshot stands for: the log up to and including ``index``.

    :ivar term: of the entry at ``index``.
    :ivar members: the members as of ``index``.
    """

    index: Number = 0
    term: Number = 0
    members: Members = Members()


class RequestVote(Struct, frozen=True, array_like=True, tag="RequestVote"):
    """A candidate asks for a vote (paper, figure 2), or whether it would get one (``pre``).

    :ivar term: of the election; with ``pre`` the one that the sender would begin
        (thesis section 9.6, pre-vote).
    :ivar transfer: the leader asked for this election (thesis section 3.10), so that a voter
        need not wait until it has missed the leader (thesis section 4.2.3).
    """

    term: Number
    last_index: Number
    last_term: Number
    pre: bool = False
    transfer: bool = False


class Vote(Struct, frozen=True, array_like=True, tag="Vote"):
    """The answer to :class:`RequestVote`.

    :ivar term: of the election if granted, else the voter's own.
    """

    term: Number
    granted: bool
    pre: bool = False


class AppendEntries(Struct, frozen=True, array_like=True, gc=False, tag="AppendEntries"):
    """The leader's entries after (``prev_index``, ``prev_term``); a heartbeat when there are none.

    :ivar commit: the leader's commit index.
    :ivar round: the leader's latest round of confirmation (thesis section 6.4, ReadIndex); the
        answer repeats it.
    """

    term: Number
    prev_index: Number
    prev_term: Number
    entries: tuple[Entry, ...] = ()
    commit: Number = 0
    round: Number = 0


class Appended(Struct, frozen=True, array_like=True, gc=False, tag="Appended"):
    """The answer to :class:`AppendEntries`, and to a snapshot that was installed.

    :ivar index: if ``success`` the last index known to match the leader's log *and to be durable*
        here; otherwise the ``prev_index`` that did not match.
    :ivar hint_index: without success: where to try again (see ``hint_term``).
    :ivar hint_term: without success: the term of the follower's entry at ``hint_index``, so that
        a whole term is passed over at once (paper, end of section 5.3).
    """

    term: Number
    success: bool
    index: Number
    round: Number = 0
    hint_index: Number = 0
    hint_term: Number = 0


class InstallSnapshot(Struct, frozen=True, array_like=True, tag="InstallSnapshot"):
    """A snapshot has arrived whole and verified: the receiver's own driver steps this, in the
    name of the leader that sent it.  Its bytes never pass through the core."""

    term: Number
    mark: SnapshotMark


class TimeoutNow(Struct, frozen=True, array_like=True, tag="TimeoutNow"):
    """The leader asks a follower that has its whole log to begin an election at once
    (thesis section 3.10)."""

    term: Number


class ReadIndex(Struct, frozen=True, array_like=True, tag="ReadIndex"):
    """A follower asks for an index from which a read is linearizable (thesis section 6.4).

    :ivar context: the sender's number for it; the answer repeats it.
    """

    term: Number
    context: Number


class ReadIndexAnswer(Struct, frozen=True, array_like=True, tag="ReadIndexAnswer"):
    """:ivar index: to have applied before reading; -1: the receiver does not lead, ask another."""

    term: Number
    context: Number
    index: Annotated[int, Meta(ge=-1, le=(1 << 62) - 1)]


class Propose(Struct, frozen=True, array_like=True, tag="Propose"):
    """A node hands commands to the leader.  The drivers' affair: the core never sees it.

    :ivar context: the sender's number for it; the answer repeats it.
    """

    context: Number
    payloads: tuple[bytes, ...]


class ProposeAnswer(Struct, frozen=True, array_like=True, tag="ProposeAnswer"):
    """Whether a leader put them into its log (which is no promise that they will be committed).

    :ivar leader: whom the receiver takes for the leader, if it is another; may be empty.
    """

    context: Number
    accepted: bool
    leader: str = ""


class StepKind(IntEnum):
    """One step of a change of the members, which a leader can take at once or not at all.

    ADD: a node becomes a learner.  PROMOTE: a learner that has caught up becomes a voter.
    REMOVE: a node is a member no more.  TRANSFER: a voter is to lead; the best one if none is
    named.
    """

    ADD = 0
    PROMOTE = 1
    REMOVE = 2
    TRANSFER = 3


class StepOutcome(IntEnum):
    """TAKEN: the log says so, or did already; it may still be undone until it is committed.
    LATER: not now; ask again.  WRONG: it can never be."""

    TAKEN = 0
    LATER = 1
    WRONG = 2


class ChangeStep(Struct, frozen=True, array_like=True, tag="ChangeStep"):
    """A node asks the leader for a step.  The drivers' affair, as is the answer.

    :ivar context: the sender's number for it; the answer repeats it.
    :ivar address: of a node that is added.
    :ivar log: the id of its log.
    """

    context: Number
    kind: StepKind
    node: str
    address: str = ""
    log: str = ""


class StepAnswer(Struct, frozen=True, array_like=True, tag="StepAnswer"):
    """:ivar reason: for people, if it was not taken."""

    context: Number
    outcome: StepOutcome
    reason: str = ""


Message = (
    RequestVote | Vote | AppendEntries | Appended | InstallSnapshot | TimeoutNow
    | ReadIndex | ReadIndexAnswer | Propose | ProposeAnswer | ChangeStep | StepAnswer
)  # fmt: skip

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Message)
_members: msgspec.msgpack.Decoder[Members] = msgspec.msgpack.Decoder(Members)
_mark: msgspec.msgpack.Decoder[SnapshotMark] = msgspec.msgpack.Decoder(SnapshotMark)


def encode(message: Message) -> bytes:
    """The binary form of a message."""
    return _encoder.encode(message)


def decode(raw: bytes | memoryview) -> Message:
    """The message of a binary form.

    :raises ValueError: it is none.
    """
    try:
        message: Message = _decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a message: {error}") from None
    return message


def encode_members(members: Members) -> bytes:
    """What an entry of kind MEMBERS holds."""
    return _encoder.encode(members)


def decode_members(raw: bytes | memoryview) -> Members:
    """:raises ValueError: it is none."""
    try:
        return _members.decode(raw)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a list of members: {error}") from None


def encode_mark(mark: SnapshotMark) -> bytes:
    """The binary form of a snapshot's mark."""
    return _encoder.encode(mark)


def decode_mark(raw: bytes | memoryview) -> SnapshotMark:
    """:raises ValueError: it is none."""
    try:
        return _mark.decode(raw)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not the mark of a snapshot: {error}") from None
