"""Effects and messages of the core, in words: one line for each, as the transcripts have them."""

from __future__ import annotations

from collections.abc import Iterable

from bleepstore.raft.core import Raft
from bleepstore.raft.effects import Effects, HardState, Persist, RoleChange
from bleepstore.raft.messages import (
    Appended,
    AppendEntries,
    Entry,
    EntryKind,
    InstallSnapshot,
    Members,
    Message,
    ReadIndex,
    ReadIndexAnswer,
    RequestVote,
    TimeoutNow,
    Vote,
    decode_members,
)


def members(value: Members) -> str:
    """``a b (c)``: learners are in brackets."""
    words = [node.id if node.voter else f"({node.id})" for node in value.nodes]
    return " ".join(words) or "nobody"


def entry(value: Entry) -> str:
    """``3/1 x``: index, term and content."""
    content = {
        EntryKind.COMMAND: lambda: value.data.decode(),
        EntryKind.NOOP: lambda: "(a term begins)",
        EntryKind.MEMBERS: lambda: f"[members: {members(decode_members(value.data))}]",
    }[value.kind]()
    return f"{value.index}/{value.term} {content}"


def entries(values: Iterable[Entry]) -> str:
    return ", ".join(map(entry, values))


def message(value: Message) -> str:
    """What a node says."""
    match value:
        case RequestVote(term, index, last, pre, transfer):
            question = f"would you vote for me in term {term}?" if pre else f"vote, term {term}!"
            told = "  I was told to." if transfer else ""
            return f"{question}  My log ends at {index}/{last}.{told}"
        case Vote(term, granted, pre):
            if granted:
                return f"{'I would' if pre else 'you have my vote'}, term {term}."
            return f"{'I would not' if pre else 'you do not have my vote'}; my term is {term}."
        case AppendEntries(term, index, last, new, commit, number):
            what = f"append {entries(new)}" if new else "I lead"
            return f"term {term}, after {index}/{last}: {what}.  Committed: {commit}.  #{number}"
        case Appended(term, True, index, number):
            return f"term {term}: I have all up to {index}.  #{number}"
        case Appended(term, False, index, number, hint, hint_term):
            return f"term {term}: not after {index}; maybe after {hint}/{hint_term}.  #{number}"
        case InstallSnapshot(term, mark):
            return f"term {term}: a snapshot of {mark.index}/{mark.term}, {members(mark.members)}."
        case TimeoutNow(term):
            return f"term {term}: stand for election, now!"
        case ReadIndex(_, context):
            return f"where may I read?  ({context})"
        case ReadIndexAnswer(_, context, index):
            return f"({context}) at {index}." if index >= 0 else f"({context}) I cannot say."
    return repr(value)


def hard_state(value: HardState) -> str:
    return f"term {value.term}, " + (f"its vote for {value.vote}" if value.vote else "no vote")


def persist(value: Persist) -> str:
    parts = []
    if value.hard_state is not None:
        parts.append(hard_state(value.hard_state))
    if value.restore is not None:
        parts.append(f"the snapshot of {value.restore.index}/{value.restore.term}")
    if value.entries:
        parts.append(entries(value.entries))
    return "; ".join(parts)


def role(value: RoleChange) -> str:
    leader = f", led by {value.leader}" if value.leader else ""
    led = "" if value.role.value == "leader" else leader
    return f"{value.role.value} in term {value.term}{led}: {value.reason}"


def effects(node_id: str, value: Effects, held: bool) -> list[str]:
    """Lines for everything that one :meth:`Raft.take` gave but for the messages."""
    lines = [f"{node_id}: {role(change)}" for change in value.roles]
    if value.persist is not None:
        does = "begins to write" if held else "writes"
        lines.append(f"{node_id} {does} {persist(value.persist)}")
    if value.apply:
        lines.append(f"{node_id} applies {entries(value.apply)}")
    lines += [
        f"{node_id} may read ({ready.context}) at {ready.index}"
        if ready.index >= 0
        else f"{node_id} may not read ({ready.context})"
        for ready in value.reads
    ]
    lines += [f"{node_id} is to send {to} a snapshot" for to in value.snapshots]
    return lines


def state(node_id: str, raft: Raft) -> str:
    """Where a node stands."""
    led = f" of {raft.leader}" if raft.leader and not raft.is_leader else ""
    what = "learner" if raft.is_learner else raft.role.value
    return (
        f"{node_id}: {what}{led} in term {raft.term}; log {raft.first_index} to {raft.last_index}, "
        f"committed {raft.commit}, applied {raft.applied_index}; members {members(raft.members)}"
    )


def progress(raft: Raft, peer: str) -> str:
    """How far a leader thinks that a peer is."""
    peer_progress = raft.progress(peer)
    if peer_progress is None:
        return f"{peer}: unknown"
    return (
        f"{peer}: {peer_progress.state.value}, has {peer_progress.match}, "
        f"next {peer_progress.next}, {len(peer_progress.inflight)} under way"
    )
