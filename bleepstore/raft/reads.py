"""Reads that are linearizable without an entry in the log (thesis section 6.4).

A read on the leader is given the commit index, once the leader has committed something in its
term, and waits until a majority has confirmed, in answer to something sent *after* the read was
asked for, that the leader still leads.  All reads that wait share one such round; while a round is
under way the later ones gather for the next.  With a lease (section 6.4.1) the round is skipped
while an earlier one still vouches.  A follower asks the leader for the index.

Knows rounds, ticks and contexts; neither peers nor the log.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct

FAILED = -1
"""The index of a read that nobody confirmed."""

MOST_REMOTE = 1024
"""Questions of followers that a leader holds at once; each stands for all reads of one of them."""


class Waiting(Struct, frozen=True, array_like=True):
    """A read that waits.

    :ivar origin: the peer that asks; empty: this node.
    :ivar deadline: the tick at which it has failed.
    """

    origin: str
    context: int
    deadline: int


def confirms(confirmed: int, begun: int) -> bool:
    """Whether a round that a majority answered vouches for a read whose round was ``begun``."""
    return confirmed >= begun


def lease_lasts(now: int, since: int, election_ticks: int) -> bool:
    """Whether a round sent at tick ``since`` still keeps a majority from voting (thesis 6.4.1).

    Each that answered it votes for nobody until its own clock has counted ``election_ticks`` (the
    first of which may have been nearly over), so a quarter is left for clocks that differ.
    """
    return now - since < (election_ticks - 1) * 3 // 4


class LeaderReads:
    """The reads of a leader's term.

    :ivar round: the number of the latest round; 0 before the first.
    """

    __slots__ = (
        "_confirmed_at", "_election_ticks", "_index", "_lease", "_questions", "_running",
        "_running_round", "_sent", "_waiting", "round",
    )  # fmt: skip

    def __init__(self, election_ticks: int, lease: bool) -> None:
        self._election_ticks = election_ticks
        self._lease = lease
        self.round = 0
        self._sent: deque[tuple[int, int]] = deque(maxlen=2 * election_ticks)
        self._confirmed_at = -election_ticks
        self._waiting: list[Waiting] = []
        self._questions: set[tuple[str, int]] = set()
        self._running: list[Waiting] = []
        self._running_round = 0
        self._index = 0

    @property
    def waiting(self) -> bool:
        """Reads wait for a round that has not begun."""
        return bool(self._waiting) and not self._running

    @property
    def pending(self) -> bool:
        """Reads wait."""
        return bool(self._waiting or self._running)

    def add(self, read: Waiting) -> bool:
        """Have a read wait.

        :returns: False if a peer asks for too many.
        """
        if read.origin:
            question = (read.origin, read.context)
            if question in self._questions:
                return True
            if len(self._questions) >= MOST_REMOTE:
                return False
            self._questions.add(question)
        self._waiting.append(read)
        return True

    def _take_waiting(self) -> list[Waiting]:
        due, self._waiting = self._waiting, []
        self._questions.clear()
        return due

    def under_lease(self, now: int) -> list[Waiting]:
        """Those that need no round, since the lease lasts."""
        if not (self._lease and lease_lasts(now, self._confirmed_at, self._election_ticks)):
            return []
        return self._take_waiting()

    def begin_round(self, now: int, commit: int | None) -> None:
        """Begin a round; everything that is sent from now on carries its number.

        :param commit: what the waiting reads are given; None: nothing has been committed in this
            term, so that they must go on waiting.
        """
        self.round += 1
        self._sent.append((self.round, now))
        if commit is not None and self._waiting and not self._running:
            self._running = self._take_waiting()
            self._running_round = self.round
            self._index = commit

    def confirmed(self, round_: int) -> tuple[list[Waiting], int]:
        """A majority has answered a round.

        :returns: the reads it confirms, and their index.
        """
        while self._sent and self._sent[0][0] <= round_:
            self._confirmed_at = self._sent.popleft()[1]
        if not self._running or not confirms(round_, self._running_round):
            return [], 0
        due, self._running = self._running, []
        return due, self._index

    def expire(self, now: int) -> list[Waiting]:
        """Those that have waited too long."""
        if not self.pending:
            return []
        late = [read for read in (*self._running, *self._waiting) if read.deadline <= now]
        if late:
            self._running = [read for read in self._running if read.deadline > now]
            self._waiting = [read for read in self._waiting if read.deadline > now]
            self._questions = {(r.origin, r.context) for r in self._waiting if r.origin}
        return late

    def fail(self) -> list[Waiting]:
        """All of them: the term is over."""
        due = [*self._running, *self._take_waiting()]
        self._running = []
        return due

    def restart_lease(self) -> None:
        """The members have changed: only rounds sent from now on vouch."""
        self._sent.clear()
        self._confirmed_at = -self._election_ticks

    def give_up_lease(self) -> None:
        """For the rest of the term: a TimeoutNow is out, which may arrive at any time, and makes
        voters forget what they promised (thesis section 6.4.1)."""
        self._lease = False


class FollowerReads:
    """The reads of a node that does not lead: one question to the leader at a time, for all that
    had gathered when it was asked.

    :param first: where its numbers begin: different at each start of the node, so that an answer
        that was meant for an earlier incarnation is never taken for a fresh one.
    """

    __slots__ = ("_asked", "_election_ticks", "_fresh", "_number", "_waiting")

    def __init__(self, election_ticks: int, first: int) -> None:
        self._election_ticks = election_ticks
        self._number = first
        self._waiting: list[Waiting] = []
        self._asked: list[Waiting] = []
        self._fresh = False

    @property
    def due(self) -> bool:
        """There is something to ask."""
        return self._fresh or bool(self._waiting and not self._asked)

    def add(self, context: int, now: int) -> None:
        """Have a read wait."""
        self._waiting.append(Waiting("", context, now + self._election_ticks))

    def question(self) -> int:
        """The number to ask the leader for now."""
        if not self._asked:
            self._number += 1
            self._asked, self._waiting = self._waiting, []
        self._fresh = False
        return self._number

    def answered(self, number: int) -> list[Waiting]:
        """The reads that an answer is for; none if it is an answer to something older."""
        if number != self._number:
            return []
        due, self._asked = self._asked, []
        self._fresh = False
        return due

    def tick(self, now: int) -> list[Waiting]:
        """Ask again at the next opportunity; gives the reads that have waited too long."""
        if not self._asked and not self._waiting:
            return []
        late = [read for read in (*self._asked, *self._waiting) if read.deadline <= now]
        if late:
            self._asked = [read for read in self._asked if read.deadline > now]
            self._waiting = [read for read in self._waiting if read.deadline > now]
        self._fresh = bool(self._asked)
        return late

    def fail(self) -> list[Waiting]:
        """All of them: there is another leader, another term, or none."""
        due = [*self._asked, *self._waiting]
        self._asked, self._waiting = [], []
        self._fresh = False
        return due
