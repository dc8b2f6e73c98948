"""Which messages cannot be true, whatever has happened: they are refused before anything is done.

A correct peer sends none of these.  Knows one message at a time; what is impossible only in view of
this node's own log is refused where that is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bleepstore.raft.membership import well_formed
from bleepstore.raft.messages import (
    Appended,
    AppendEntries,
    Entry,
    EntryKind,
    InstallSnapshot,
    Message,
    ReadIndex,
    ReadIndexAnswer,
    RequestVote,
    TimeoutNow,
    Vote,
    decode_members,
)

_MEMBERS = EntryKind.MEMBERS
LIMIT = 1 << 62
"""Terms, indexes and rounds stay below it: a store's integers have 63 bits."""


def _request_vote(message: RequestVote) -> bool:
    index, term = message.last_index, message.last_term
    return 0 <= term < message.term < LIMIT and 0 <= index < LIMIT and term >= (index > 0)


def _append_entries(message: AppendEntries) -> bool:
    index, term = message.prev_index, message.prev_term
    if not (0 <= index < LIMIT and 0 <= message.commit < LIMIT and 0 <= message.round < LIMIT):
        return False
    if term < 0 or (index == 0) != (term == 0):
        return False
    for entry in message.entries:
        index += 1
        if entry.index != index or entry.term < term:
            return False
        if entry.kind is _MEMBERS and not _members_readable(entry):
            return False
        term = entry.term
    if message.entries and not message.entries[0].term:
        return False
    return term <= message.term < LIMIT and index < LIMIT and message.term > 0


def _members_readable(entry: Entry) -> bool:
    try:
        return well_formed(decode_members(entry.data))
    except ValueError:
        return False


def _appended(message: Appended) -> bool:
    return (
        0 <= message.term < LIMIT
        and 0 <= message.index < LIMIT
        and 0 <= message.round < LIMIT
        and 0 <= message.hint_index < LIMIT
        and 0 <= message.hint_term < LIMIT
    )


def _install_snapshot(message: InstallSnapshot) -> bool:
    mark = message.mark
    return (
        0 < mark.index < LIMIT
        and 0 < mark.term <= message.term < LIMIT
        and well_formed(mark.members)
    )


def _term_only(message: Vote | TimeoutNow | ReadIndex) -> bool:
    return 0 <= message.term < LIMIT


def _read_index_answer(message: ReadIndexAnswer) -> bool:
    return 0 <= message.term < LIMIT and -1 <= message.index < LIMIT


_CHECKS: Mapping[type, Callable[[Any], bool]] = {
    RequestVote: _request_vote,
    Vote: _term_only,
    AppendEntries: _append_entries,
    Appended: _appended,
    InstallSnapshot: _install_snapshot,
    TimeoutNow: _term_only,
    ReadIndex: _term_only,
    ReadIndexAnswer: _read_index_answer,
}


def plausible(message: Message) -> bool:
    """Whether some history can have led to a message."""
    check = _CHECKS.get(type(message))
    return check is not None and check(message)
