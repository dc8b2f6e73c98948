"""Raft: ticks, messages and proposals in; effects out.

:class:`Raft` is one node.  It owns the changes of role and term (paper, figure 4, and figure 2,
"Rules for Servers"); what a node does in a role is in ``following``, ``candidacy`` and
``leading``, what it is in any role in ``replica``.  Knows no clock, dice, socket or file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bleepstore.raft import following, voting
from bleepstore.raft.candidacy import Candidacy
from bleepstore.raft.effects import Effects, HardState, Role
from bleepstore.raft.leading import Leadership
from bleepstore.raft.log import LogReader
from bleepstore.raft.messages import (
    Appended,
    AppendEntries,
    InstallSnapshot,
    Members,
    Message,
    ReadIndex,
    ReadIndexAnswer,
    RequestVote,
    SnapshotMark,
    TimeoutNow,
    Vote,
)
from bleepstore.raft.outbox import NOTHING
from bleepstore.raft.plausible import plausible
from bleepstore.raft.problems import NotLeader
from bleepstore.raft.reads import FAILED, FollowerReads, Waiting
from bleepstore.raft.replica import Replica
from bleepstore.raft.settings import Settings
from bleepstore.raft.view import View

__all__ = ["Raft", "Settings"]


class Raft(View):
    """One node of a cluster; what may be seen of it is in :class:`View`.

    The driver calls :meth:`tick` at regular intervals, :meth:`step` for each message that comes,
    and :meth:`take` after any of these or of the others; it carries out what that gives, and
    says so by :meth:`persisted` and :meth:`applied`.

    :param log: the durable log, of which entries are read as they are needed.
    :param hard_state: as it was persisted last.
    :param snapshot: what the log begins behind.  The members are its members, as changed by the
        log; without any, the node is *joining*: it never stands, and waits for a leader.
    :param commit: a commit index that was known; may be too low.
    :param applied: what the state machine has applied.
    :param jitter: dice: ``jitter(n)`` gives 0 to n - 1.
    :param log_id: of this node's log, as members name it (``Member.log``).
    :raises ValueError: the state machine does not stand where the log has entries to go on with.
    """

    def __init__(
        self,
        node_id: str,
        settings: Settings,
        log: LogReader,
        *,
        hard_state: HardState,
        snapshot: SnapshotMark,
        commit: int,
        applied: int,
        jitter: Callable[[int], int],
        log_id: str = "",
    ) -> None:
        replica = Replica(
            node_id, settings, log, hard_state, snapshot, commit, applied, jitter, log_id
        )
        super().__init__(replica)
        self._candidacy: Candidacy | None = None
        self._touched = True
        self._reads = FollowerReads(settings.election_ticks, jitter(1 << 48))

    # -- what goes in

    def tick(self) -> None:
        """Some time has passed: one unit of the settings."""
        self._touched = True
        replica = self._replica
        replica.now += 1
        replica.overdue = replica.commit > replica.applied
        if self._leadership is not None:
            reason = self._leadership.tick()
            if reason:
                self._follow(replica.term, "", reason)
            return
        self._fail(self._reads.tick(replica.now))
        replica.elapsed += 1
        if self._candidacy is None and replica.is_only_voter:
            self._campaign("it is the only voter")
        elif replica.elapsed >= replica.timeout:
            self._time_out()

    def step(self, sender: str, message: Message) -> str:
        """A message has come.  Nothing that comes does harm, whatever it says.

        :param sender: need not be a member: a new one may be unknown to a node that lags.
        :returns: why it was refused, as no correct peer would have sent it; empty: it was not.
        """
        if sender == self._replica.id:
            return "it comes in the name of this node itself"
        if not plausible(message):
            return f"{type(message).__name__} holds what cannot be"
        self._touched = True
        refused: str = _STEPS[type(message)](self, sender, message)
        if self._leadership is not None:
            self._settle()
        return refused

    def propose(self, payloads: Sequence[bytes], whose: str = "") -> int:
        """Append commands to the log; they are committed, or never are, as a majority decides.

        :param whose: the node that waits until it has applied them, if it is another than this.
        :returns: the index of the first; the others follow it.
        :raises NotLeader: this node does not lead, or is handing over (then it names nobody).
        :raises Overloaded: too much waits to be committed, or for this node's disk.
        :raises ValueError: there are none.
        """
        return self._lead().propose(payloads, whose)

    def read(self, context: int) -> None:
        """Ask from which index on a read is linearizable; ``Effects.reads`` has the answer.

        It is FAILED (-1) when there is no leader, when it changes, and when nothing is confirmed
        within ``election_ticks``.
        """
        self._touched = True
        replica = self._replica
        if self._leadership is not None:
            self._leadership.read(context)
        elif replica.leader:
            self._reads.add(context, replica.now)
        else:
            self._fail([Waiting("", context, 0)])

    def change(self, members: Members) -> int:
        """Change the members, by one voter or by any number of learners; gives the entry's index.

        A change is in force at once, and lasts once it is committed.  A leader that is no voter
        any more leads until then.

        :raises NotLeader: this node does not lead, or is handing over.
        :raises ChangeInProgress: the change before it, or the leader's term, is not settled yet.
        :raises ValueError: it is no cluster, no change, or touches more than one voter.
        """
        index = self._lead().change(members)
        self._settle()
        return index

    def transfer(self, to: str) -> None:
        """Hand over to another voter (thesis section 3.10).  Proposals are refused until it leads,
        or until ``election_ticks`` have passed, which a RoleChange tells.

        :raises NotLeader: this node does not lead.
        :raises ValueError: it is no voter.
        """
        self._lead().transfer(to)

    def be_patient(self, patient: bool) -> None:
        """Whether nobody waits for what this node applies.  Then entries may be kept for a tick,
        as long as others follow them, and are applied together."""
        replica = self._replica
        if replica.patient is not patient:
            replica.patient = patient
            self._touched = True

    # -- what the driver confirms

    def persisted(self, number: int) -> None:
        """A Persist is durable.

        :raises ValueError: that one is not under way.
        """
        self._touched = True
        replica = self._replica
        replica.persisted(number)
        replica.outbox.release()
        if self._leadership is not None:
            self._leadership.advance_commit()
            self._settle()
        elif self._candidacy is not None:
            self._candidacy.count_own()
            self._count()

    def applied(self, index: int) -> None:
        """The state machine has applied everything up to an index.

        :raises ValueError: that was not given to it.
        """
        self._touched = True
        self._replica.confirm_applied(index)

    def snapshot_sent(self, to: str, index: int) -> None:
        """A snapshot that stands for ``index`` has arrived at a node; 0: it could not be sent."""
        self._touched = True
        if self._leadership is not None:
            self._leadership.snapshot_sent(to, index)

    def peer_lost(self, peer: str) -> None:
        """The connection to a peer broke: what was on its way may be lost."""
        self._touched = True
        if self._leadership is not None:
            self._leadership.lost(peer)

    def compacted(self) -> None:
        """The log has dropped entries at its front."""
        self._replica.log.compacted()
        self._replica.members.compact(self._replica.log.first_index - 1)

    # -- what comes out

    @property
    def has_effects(self) -> bool:
        """Whether :meth:`take` would give anything."""
        if not self._touched:
            return False
        replica, leadership = self._replica, self._leadership
        if replica.outbox.messages or (self._reads.due if leadership is None else leadership.due):
            return True
        return replica.persist_due or replica.apply_due or replica.outbox.waiting

    def take(self) -> Effects:
        """Everything that is due, once; ``NOTHING`` if nothing is.

        :raises Exception: what the log raised when it was read: the node must stop.
        """
        if not self._touched:
            return NOTHING
        self._touched = False
        replica, leadership = self._replica, self._leadership
        if leadership is not None:
            if leadership.due:
                leadership.flush()
        elif self._reads.due:
            question = ReadIndex(replica.term, self._reads.question())
            replica.send(replica.leader, question)
        return replica.outbox.empty(replica.next_persist(), replica.next_apply())

    # -- changes of role and term

    def _lead(self) -> Leadership:
        if self._leadership is None:
            raise NotLeader(self._replica.leader)
        self._touched = True
        return self._leadership

    def _follow(self, term: int, leader: str, reason: str) -> None:
        """Be a follower of a term, whose leader may be known."""
        replica = self._replica
        if self._leadership is not None:
            self._leadership.fail_reads()
            self._leadership = None
        self._candidacy = None
        self._fail(self._reads.fail())
        if term > replica.term:
            self._begin_term(term)
        replica.role, replica.leader = Role.FOLLOWER, leader
        replica.elapsed = 0
        replica.draw_timeout()
        replica.report_role(reason)

    def _begin_term(self, term: int) -> None:
        replica = self._replica
        replica.adopt(term, "")
        replica.outbox.forget()

    def _time_out(self) -> None:
        """No word from a leader for too long (paper, figure 2, followers and candidates)."""
        replica = self._replica
        if replica.role is Role.CANDIDATE:
            reason = f"its election was not decided in {replica.elapsed} ticks"
        else:
            whom = replica.leader or "a leader"
            reason = f"no word from {whom} for {replica.elapsed} ticks"
        if not replica.term_durable:
            replica.elapsed = 0  # what it waits for is its own disk
        elif replica.may_stand:
            self._stand(pre=True, reason=reason)
        elif replica.leader:
            self._follow(replica.term, "", reason)
        else:
            replica.elapsed = 0

    def _campaign(self, reason: str, *, transfer: bool = False) -> None:
        """Begin a term, as its candidate."""
        self._begin_term(self._replica.term + 1)
        self._replica.adopt(self._replica.term, self._replica.id)
        self._stand(pre=False, reason=reason, transfer=transfer)

    def _stand(self, *, pre: bool, reason: str, transfer: bool = False) -> None:
        replica = self._replica
        self._fail(self._reads.fail())
        again = pre and replica.role is Role.PRE_CANDIDATE
        replica.role, replica.leader = Role.PRE_CANDIDATE if pre else Role.CANDIDATE, ""
        replica.elapsed = 0
        replica.draw_retry()
        if not again:
            replica.report_role(reason)
        self._candidacy = Candidacy(replica, pre=pre, transfer=transfer)
        self._candidacy.begin()
        self._count()

    def _count(self) -> None:
        """See whether an election is decided."""
        candidacy, replica = self._candidacy, self._replica
        if candidacy is None:
            return
        if candidacy.won and candidacy.pre:
            self._campaign(f"a majority would vote for it in term {candidacy.term}")
        elif candidacy.won:
            self._candidacy = None
            replica.role, replica.leader = Role.LEADER, replica.id
            replica.report_role(f"a majority voted for it in term {replica.term}")
            self._leadership = Leadership(replica)
        elif candidacy.lost and candidacy.pre:
            self._candidacy = None  # others lead, or have more: they will speak, or it asks again
        elif candidacy.lost:
            self._follow(replica.term, "", f"a majority voted against it in term {candidacy.term}")
            replica.draw_retry()

    def _settle(self) -> None:
        """A leader that has removed itself steps down, once that is committed and said."""
        if self._leadership is not None and self._leadership.dismissed:
            self._leadership.flush()
            self._follow(self._replica.term, "", "the members go on without it")

    def _fail(self, reads: Sequence[Waiting]) -> None:
        for read in reads:
            self._replica.answer_read(read, FAILED)

    # -- messages

    def _request_vote(self, sender: str, message: RequestVote) -> str:
        replica = self._replica
        if not message.transfer and voting.bound_to_leader(replica):
            return ""
        if not message.pre and message.term > replica.term:
            self._follow(message.term, "", f"{sender} stands for election in term {message.term}")
        if voting.answer(replica, sender, message) and replica.role is not Role.FOLLOWER:
            self._follow(replica.term, "", f"it voted for {sender}")
        return ""

    def _vote(self, sender: str, message: Vote) -> str:
        replica = self._replica
        if not message.granted and message.term > replica.term:
            if sender in replica.members.voters:
                self._follow(message.term, "", f"{sender} is in term {message.term}")
        elif self._candidacy is not None:
            self._candidacy.count(sender, message)
            self._count()
        return ""

    def _append_entries(self, sender: str, message: AppendEntries) -> str:
        if not self._accept_leader(sender, message.term):
            return self._refuse_leader(sender, message.term, message.prev_index)
        return following.append(self._replica, sender, message)

    def _install_snapshot(self, sender: str, message: InstallSnapshot) -> str:
        if not self._accept_leader(sender, message.term):
            return self._refuse_leader(sender, message.term, message.mark.index)
        return following.install(self._replica, sender, message)

    def _accept_leader(self, sender: str, term: int) -> bool:
        """Whether a sender leads; it does if its term is new, or has no other known leader."""
        replica = self._replica
        if term != replica.term or replica.leader != sender:
            if term < replica.term or (term == replica.term and replica.leader):
                return False
            self._follow(term, sender, f"{sender} leads term {term}")
        replica.heard_leader()
        return True

    def _refuse_leader(self, sender: str, term: int, index: int) -> str:
        replica = self._replica
        if term < replica.term:
            # So that it learns of the term: with pre-vote nobody else would tell it.
            replica.promise(sender, Appended(replica.term, False, index))
            return ""
        return f"{sender} says it leads term {term}, which {replica.leader} does"

    def _appended(self, sender: str, message: Appended) -> str:
        replica, leadership = self._replica, self._leadership
        if leadership is None or sender not in leadership.peers:
            return ""
        if message.term > replica.term:
            self._follow(message.term, "", f"{sender} is in term {message.term}")
        elif message.term == replica.term:
            return leadership.appended(sender, message)
        return ""

    def _timeout_now(self, sender: str, message: TimeoutNow) -> str:
        replica = self._replica
        if message.term == replica.term and sender == replica.leader and replica.is_voter:
            self._campaign(f"{sender} hands over", transfer=True)
        return ""

    def _read_index(self, sender: str, message: ReadIndex) -> str:
        if self._leadership is not None:
            self._leadership.asked(sender, message)
        else:
            answer = ReadIndexAnswer(self._replica.term, message.context, FAILED)
            self._replica.send(sender, answer)
        return ""

    def _read_index_answer(self, sender: str, message: ReadIndexAnswer) -> str:
        if sender == self._replica.leader:
            for read in self._reads.answered(message.context):
                self._replica.answer_read(read, message.index)
        return ""


_STEPS: Mapping[type, Callable[[Any, str, Any], str]] = {
    RequestVote: Raft._request_vote,
    Vote: Raft._vote,
    AppendEntries: Raft._append_entries,
    Appended: Raft._appended,
    InstallSnapshot: Raft._install_snapshot,
    TimeoutNow: Raft._timeout_now,
    ReadIndex: Raft._read_index,
    ReadIndexAnswer: Raft._read_index_answer,
}
