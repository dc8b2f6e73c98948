"""What no correct node says: messages that decode, and cannot be true whatever the sender's state.

The core keeps its safety against messages that are old, repeated or overtaken.  These are none of
that; they are a defect or an attack, and the connection that brought one is ended.  Pure.
"""

from __future__ import annotations

from bleepstore.cluster.peer_boxes import BadBox
from bleepstore.cluster.peer_commands import NEVER_SENT
from bleepstore.raft import messages
from bleepstore.raft.messages import AppendEntries, Entry, EntryKind, Message

_MEMBERS = EntryKind.MEMBERS


def message_of(body: bytes) -> Message:
    """The message that a peer sent.

    :raises BadBox: it is none, or none that anybody means.
    """
    try:
        message = messages.decode(body)
    except ValueError as error:
        raise BadBox(str(error)) from None
    if why := implausible(message):
        raise BadBox(why)
    return message


def implausible(message: Message) -> str:
    """Why nobody can have meant it; empty if somebody can.

    An AppendEntries has entries that follow ``prev_index`` without a gap, in terms that never fall
    and none of which is above the leader's (paper, figures 2 and 3: log matching, and a leader's
    log has no later term than its own).
    """
    kind = type(message)
    if kind in NEVER_SENT:
        return f"a {kind.__name__}, which a node says to itself alone"
    if kind is AppendEntries:
        return _append_entries(message)  # type: ignore[arg-type]  # its kind was just compared
    return ""


def _append_entries(message: AppendEntries) -> str:
    index, term, leaders = message.prev_index, message.prev_term, message.term
    if term > leaders or (not index and term):
        return f"entries after index {index} of term {term}, in term {leaders}"
    for entry in message.entries:
        index += 1
        own = entry.term
        if entry.index != index:
            return f"entry {entry.index} where {index} must stand"
        if not term <= own <= leaders or not own:
            return f"entry {index} of term {own}, after term {term} in {leaders}"
        term = own
        if entry.kind is _MEMBERS and (wrong := _wrong_members(entry)):
            return wrong
    return ""


def _wrong_members(entry: Entry) -> str:
    try:
        messages.decode_members(entry.data)
    except ValueError as error:
        return f"entry {entry.index}: {error}"
    return ""
