"""What a follower does with what its leader sends (paper, figure 2, AppendEntries, receiver).

The sender and the term have been accepted when these are called.  Each gives the reason why a
message cannot be true in view of this node's log, and was refused; empty: it was not.
"""

from __future__ import annotations

from bleepstore.raft.messages import Appended, AppendEntries, InstallSnapshot
from bleepstore.raft.replica import Replica


def entry_matches(replica: Replica, index: int, term: int) -> bool:
    """The check that keeps logs equal (paper, figure 2, AppendEntries step 2)."""
    return replica.log.matches(index, term)


def append(replica: Replica, leader: str, message: AppendEntries) -> str:
    """Take entries in, learn the commit index, and answer."""
    log = replica.log
    previous, entries = message.prev_index, message.entries
    at_end = previous == log.last_index and message.prev_term == log.last_term
    if not at_end and not entry_matches(replica, previous, message.prev_term):
        if previous <= replica.commit:
            return f"entry {previous}, which is committed here, is of another term there"
        _reject(replica, leader, message)
        return ""
    last = previous + len(entries)
    if entries:
        if replica.disk_behind:
            return ""  # the disk is behind: as if it were lost, until the leader tries again
        new = entries if at_end else log.new_among(entries)
        if new:
            first = new[0].index
            if first <= log.last_index:
                if first <= replica.commit:
                    return f"entry {first}, which is committed here, is another one there"
                log.truncate(first)
                replica.members.truncate(first)
            log.append(new)
            replica.members.observe(new)
    commit = message.commit if message.commit < last else last
    if commit > replica.commit:
        replica.commit = commit
    matched = last if last > replica.commit else replica.commit
    if not entries:
        matched = min(matched, log.durable)  # a disk that is writing holds up no heartbeat
        if replica.told == (replica.term, matched, message.round):
            return ""  # it only came to tell what is committed; the next heartbeat has a new round
    _accept(replica, leader, matched, message.round)
    return ""


def _accept(replica: Replica, leader: str, matched: int, round_: int = 0) -> None:
    """Say that the logs match up to an index, once this one is durable up to there."""
    term = replica.term
    replica.told = (term, matched, round_)
    answer = Appended(term, True, matched, round_)
    if matched <= replica.log.durable and replica.term_durable:
        replica.send(leader, answer)
    else:
        replica.promise(leader, answer)


def _reject(replica: Replica, leader: str, message: AppendEntries) -> None:
    """Say where to try again: the last entry here that is of no later term than the one that did
    not match, so that a whole term is passed over at once (paper, end of section 5.3)."""
    log = replica.log
    hint = log.last_at_most(message.prev_index - 1, message.prev_term)
    hint_term = log.term(hint)
    answer = Appended(replica.term, False, message.prev_index, message.round, hint, hint_term)
    if replica.term_durable:
        replica.send(leader, answer)
    else:
        replica.promise(leader, answer)


def install(replica: Replica, leader: str, message: InstallSnapshot) -> str:
    """A snapshot has arrived (paper, figure 13; thesis section 5.3)."""
    mark, log = message.mark, replica.log
    if mark.index > replica.commit:
        if mark.index <= log.last_index and log.matches(mark.index, mark.term):
            replica.commit = mark.index  # all of it is here already
        else:
            replica.commit = mark.index
            log.begin_behind(mark)
            replica.members.reset(mark.index, mark.members)
    _accept(replica, leader, replica.commit)
    return ""
