"""What a node is whatever its role: its term and vote, its log, its members, and what is due.

The roles work on it; it knows none of them.  Everything a node must not forget is decided here:
what is to be persisted, what must wait for that, and what is given to the state machine.
"""

from __future__ import annotations

from collections.abc import Callable

from bleepstore.raft import outbox
from bleepstore.raft.effects import HardState, Persist, ReadReady, Role, RoleChange
from bleepstore.raft.log import LogReader, LogView
from bleepstore.raft.membership import Membership
from bleepstore.raft.messages import Entry, Members, Message, SnapshotMark
from bleepstore.raft.outbox import Outbox
from bleepstore.raft.reads import Waiting
from bleepstore.raft.settings import Settings

GATHERED = 64
"""Entries that a patient node applies at once."""

_SCAN_BYTES = 1 << 20


class Replica:
    """One node's state.

    :ivar term_durable: whether the term and the vote are on disk.
    :ivar vote: for whom it voted in ``term``; empty: for nobody.
    :ivar leader: the known leader of the term; empty while there is none.
    :ivar commit: the last index known to be committed; never decreases.
    :ivar applied: the last index that the state machine has confirmed.
    :ivar now: ticks since this node started.
    :ivar send: says what promises nothing, or nothing that is not durable.
    :ivar told: what a leader was last told: the term, the index that matches, and the round.
    :ivar elapsed: ticks since it last heard from its leader, voted, or stood for election.
    :ivar timeout: at how many of them it stands.
    :ivar patient: nobody waits here for what is applied.  While more entries follow each other, it
        is applied in larger groups then, which cost less.
    :ivar overdue: a tick has passed since entries were given out last: no patience lasts longer.
    :ivar bound_until: the tick before which it ignores candidates, since it has heard from a
        leader: of whatever term, and maybe right before it was started.
    """

    def __init__(
        self,
        node_id: str,
        settings: Settings,
        log: LogReader,
        hard_state: HardState,
        snapshot: SnapshotMark,
        commit: int,
        applied: int,
        jitter: Callable[[int], int],
        log_id: str = "",
    ) -> None:
        self.id = node_id
        self._log_id = log_id
        self.settings = settings
        self.jitter = jitter
        self.log = LogView(log, snapshot, settings.cache_bytes)
        if not self.log.first_index - 1 <= applied <= self.log.last_index:
            raise ValueError(
                f"the state stands at {applied}, but the log holds "
                f"{self.log.first_index} to {self.log.last_index}"
            )
        self.members = Membership(snapshot.index, snapshot.members)
        self._scan()
        self.term = hard_state.term
        self.vote = hard_state.vote
        self.leader = ""
        self.role = Role.FOLLOWER
        self.commit = max(applied, min(commit, self.log.last_index))
        self.applied = applied
        self.now = 0
        self.elapsed = 0
        self.timeout = 0
        self.draw_timeout()
        self.bound_until = settings.election_ticks if self.term else 0
        self.outbox = Outbox()
        self.send = self.outbox.send
        self.told = (0, 0, 0)
        self.patient = False
        self.overdue = False
        self.term_durable = True
        self._state_dirty = False
        self._persists = 0
        self._persisting: Persist | None = None
        self._applying = 0
        if self.term < self.log.last_term:
            # A log that was made before there were terms: the next one has to be above its own.
            self.adopt(self.log.last_term, "")

    def _scan(self) -> None:
        """Find the changes of members in the log."""
        low, high = self.log.first_index, self.log.last_index + 1
        while low < high:
            entries = self.log.entries(low, high, _SCAN_BYTES)
            self.members.observe(entries)
            low = entries[-1].index + 1

    # -- time

    def draw_timeout(self) -> None:
        """Choose when to stand (thesis section 3.4: at random, so that votes are rarely split).

        After [n, 1.5 n) of ``election_ticks`` without a word; and after at most half of n again if
        that election is not decided by then: so that two of them take no more than 2 n.  That is
        less than others need to lose their patience, and does not matter: who hears of a leader
        is not moved by a pre-vote."""
        ticks = self.settings.election_ticks
        self.timeout = ticks + self.jitter(max(ticks // 2, 1))

    def draw_retry(self) -> None:
        """Choose when to stand again: from [n / 5, n / 2]."""
        ticks = self.settings.election_ticks
        least = max(ticks // 5, 1)
        self.timeout = least + self.jitter(ticks // 2 - least + 1)

    def heard_leader(self) -> None:
        """A leader has spoken."""
        self.elapsed = 0
        self.bound_until = self.now + self.settings.election_ticks

    def votes_among(self, members: Members) -> bool:
        """Whether this node is a voter among some members: it, with this log.

        One that lost its log and was let in again under its name learns of members that it was
        one of, with the log it had.  Their majorities are none of its affair: it kept nothing of
        what it promised them, and as the only one of them it would decide alone what others have
        decided otherwise since (paper, figure 2: what is persistent must be).
        """
        own = members.get(self.id)
        return own is not None and own.voter and own.log in ("", self._log_id)

    @property
    def is_voter(self) -> bool:
        """Whether this node counts, and votes for itself."""
        return self.votes_among(self.members.current)

    @property
    def is_only_voter(self) -> bool:
        """Whether it need not ask anybody."""
        return self.members.voters == {self.id} and self.is_voter

    @property
    def may_stand(self) -> bool:
        """Whether this node may become a candidate: a learner or a joining node never does.

        One that is being removed may, until that is committed: it may be the only one with a log
        that a majority of the voters before would vote for (thesis section 4.2.2).
        """
        members = self.members
        return self.is_voter or (
            members.index > self.commit and self.votes_among(members.at(members.index - 1))
        )

    # -- speaking

    def promise(self, to: str, message: Message) -> None:
        """Say something once everything this node believes is durable (paper, figure 2)."""
        dirty = self.dirty
        if outbox.must_wait(dirty, self._persisting is not None):
            self.outbox.withhold(to, message, dirty)
        else:
            self.outbox.send(to, message)

    def answer_read(self, read: Waiting, index: int) -> None:
        """A read of this node's own has its answer."""
        self.outbox.reads.append(ReadReady(read.context, index))

    def report_role(self, reason: str) -> None:
        """Tell the driver what this node is now."""
        self.outbox.roles.append(RoleChange(self.role, self.term, self.leader, reason))

    # -- what must survive

    def adopt(self, term: int, vote: str) -> None:
        """Be in a term, and have voted in it, from now on."""
        if term != self.term or vote != self.vote:
            self.term, self.vote = term, vote
            self._state_dirty = True
            self.term_durable = False

    @property
    def dirty(self) -> bool:
        """Whether this node believes what is neither durable nor being made so."""
        log = self.log
        return log.handed < log.last_index or self._state_dirty or log.restore is not None

    @property
    def disk_behind(self) -> bool:
        """Whether so much waits for the disk that no more is taken in."""
        return self.log.unpersisted > self.settings.max_uncommitted_bytes

    @property
    def persist_due(self) -> bool:
        """One at a time; and a snapshot does not replace the state while entries are applied."""
        if self._persisting is not None:
            return False
        log = self.log
        if log.restore is not None:
            return not self._applying
        return log.handed < log.last_index or self._state_dirty

    def next_persist(self) -> Persist | None:
        """What is to be made durable now, if anything is."""
        if self._persisting is not None or not self.persist_due:
            return None
        self._persists += 1
        hard_state = HardState(self.term, self.vote) if self._state_dirty else None
        self._state_dirty = False
        restore = self.log.restore
        entries = self.log.hand_out()
        persist = Persist(self._persists, hard_state, entries, restore, self.commit)
        self._persisting = persist
        self.outbox.seal()
        return persist

    def persisted(self, number: int) -> None:
        """The driver made it durable.

        :raises ValueError: that one is not under way.
        """
        persist = self._persisting
        if persist is None or persist.number != number:
            raise ValueError(f"Persist {number} is not under way")
        self._persisting = None
        if not self._state_dirty:
            self.term_durable = True
        self.log.confirm()
        if persist.restore is not None:
            self.applied = max(self.applied, persist.restore.index)

    # -- what is applied

    @property
    def apply_due(self) -> bool:
        """One batch at a time; never while a snapshot is taking the state's place."""
        applied, log = self.applied, self.log
        high = min(self.commit, log.durable)
        if high <= applied or self._applying:
            return False
        if not self.patient or self.overdue:
            return True
        return high == log.last_index or high - applied >= GATHERED

    def next_apply(self) -> tuple[Entry, ...]:
        """Entries that are committed, durable here, and not given out before."""
        if self.commit <= self.applied or not self.apply_due:
            return ()
        high = min(self.commit, self.log.durable) + 1
        batch = self.log.entries(self.applied + 1, high, self.settings.max_bytes)
        self._applying = batch[-1].index
        self.overdue = False
        return tuple(batch)

    def confirm_applied(self, index: int) -> None:
        """The state machine stands at an index.

        :raises ValueError: it was not given that.
        """
        if not self.applied < index <= self._applying:
            raise ValueError(f"entry {index} was not given to be applied")
        self.applied = index
        self._applying = 0
