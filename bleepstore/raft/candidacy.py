"""Standing for election: first to find out whether it could be won, then in earnest.

A pre-vote (thesis section 9.6) changes no term anywhere, so that a node that was cut off, or was
removed, disturbs nobody when it comes back.  Knows one election; what follows from its end is the
core's affair.
"""

from __future__ import annotations

from bleepstore.raft.messages import RequestVote, Vote
from bleepstore.raft.quorum import Tally
from bleepstore.raft.replica import Replica


class Candidacy:
    """One election, in one of its two stages.

    :ivar term: of the election; in a pre-vote one that has not begun.
    :ivar pre: whether it is a pre-vote.
    """

    __slots__ = ("_replica", "_tally", "_transfer", "pre", "term")

    def __init__(self, replica: Replica, *, pre: bool, transfer: bool = False) -> None:
        self.pre = pre
        self.term = replica.term + 1 if pre else replica.term
        self._transfer = transfer
        self._replica = replica
        self._tally = Tally(replica.members.voters)

    def begin(self) -> None:
        """Ask all other voters; in earnest, once this node's own vote is on disk: else, after a
        crash, it could stand in the same term again with another log, and be given these votes."""
        replica = self._replica
        log = replica.log
        request = RequestVote(self.term, log.last_index, log.last_term, self.pre, self._transfer)
        for voter in sorted(replica.members.voters):
            if voter == replica.id:
                continue
            if self.pre:
                replica.send(voter, request)
            else:
                replica.promise(voter, request)
        self.count_own()

    def count_own(self) -> None:
        """Count this node's own vote, in earnest once it is on disk."""
        if self.pre or self._replica.term_durable:
            self._tally.record(self._replica.id, True)

    def concerns(self, vote: Vote) -> bool:
        """Whether an answer is one to this election, and this stage of it."""
        return vote.pre == self.pre and (vote.term == self.term or not vote.granted)

    def count(self, voter: str, vote: Vote) -> None:
        """An answer; one to another election, or another stage of this one, does not count."""
        if self.concerns(vote):
            self._tally.record(voter, vote.granted)

    @property
    def won(self) -> bool:
        """A majority of the voters is for it."""
        return self._tally.won

    @property
    def lost(self) -> bool:
        """It cannot be won any more."""
        return self._tally.lost
