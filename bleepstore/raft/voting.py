"""Who gets a vote.

Knows one request at a time, and what the voter knows of its leader and its log.
"""

from __future__ import annotations

from bleepstore.raft.effects import Role
from bleepstore.raft.messages import RequestVote, Vote
from bleepstore.raft.replica import Replica


def up_to_date(last_index: int, last_term: int, own_index: int, own_term: int) -> bool:
    """Whether a candidate's log is at least as complete as the voter's (paper, section 5.4.1)."""
    return last_term > own_term or (last_term == own_term and last_index >= own_index)


def bound_to_leader(replica: Replica) -> bool:
    """Whether this node ignores candidates, since a leader is alive (thesis section 4.2.3).

    A leader is bound to itself: it gives up on its own once a majority is silent.  What binds the
    others is that they answered a leader, whose lease may rest on it (section 6.4.1); so neither a
    newer term nor a restart sets them free, only time.
    """
    return replica.role is Role.LEADER or replica.now < replica.bound_until


def free_to_vote(vote: str, candidate: str) -> bool:
    """One vote a term (paper, figure 2, RequestVote step 2)."""
    return vote in ("", candidate)


def answer(replica: Replica, candidate: str, request: RequestVote) -> bool:
    """Answer a request of the voter's own term, or a lower one, or for a pre-vote of any.

    A pre-vote promises nothing, so that it changes nothing and need not be durable (thesis
    section 9.6); a vote waits until it is.

    :returns: whether this node has voted for the candidate.
    """
    complete = up_to_date(
        request.last_index, request.last_term, replica.log.last_index, replica.log.last_term
    )
    if request.pre:
        granted = complete and request.term > replica.term
        term = request.term if granted else replica.term
        replica.send(candidate, Vote(term, granted, pre=True))
        return False
    granted = complete and request.term == replica.term and free_to_vote(replica.vote, candidate)
    if granted:
        replica.adopt(replica.term, candidate)
        replica.elapsed = 0
        replica.draw_timeout()
    replica.promise(candidate, Vote(replica.term, granted))
    return granted
