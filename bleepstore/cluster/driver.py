"""The driver of a Raft core: carries out what it wants done, and tells it what has come of it.

    clock ── tick ──►┌──────┐── persist ──► log ─────────┐
    peers ─ message ►│ core │── messages ─► transport    │ done
    store ─ propose ►│      │── apply ────► state ───────┤
                     └──────┘◄───────────────────────────┘

Whatever comes in is told to the core at once; what it wants is taken once in each turn of the
reactor, so that all that came in one turn shares one write to the disk and one message to each
peer.  Writing, applying and sending go on beside each other, each in its order.  A disk that
fails to write or apply ends the node: it may have promised, or may not, and only what a new start
reads is certain.

Knows no metadata: what is agreed on are bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from bleepstore.cluster.barriers import Barriers
from bleepstore.cluster.changes import Changes, Steps
from bleepstore.cluster.complaints import Complaints
from bleepstore.cluster.consensus_settings import ConsensusSettings
from bleepstore.cluster.pauses import Pauses
from bleepstore.cluster.proposals import Proposals
from bleepstore.cluster.removal import Removal
from bleepstore.cluster.snapshotting import Snapshotting
from bleepstore.cluster.status import Counters
from bleepstore.cluster.unusable import UnusableLog, why_it_ends
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import ILogStore, ISnapshots, IStateMachine, ITransport
from bleepstore.raft.core import Raft
from bleepstore.raft.effects import Effects, Persist, Role, RoleChange
from bleepstore.raft.messages import (
    ChangeStep,
    Entry,
    InstallSnapshot,
    Members,
    Message,
    Propose,
    ProposeAnswer,
    RequestVote,
    SnapshotMark,
    StepAnswer,
)
from bleepstore.raft.outbox import NOTHING
from bleepstore.raft.problems import NotLeader, Overloaded

_log = Logger()


class Surroundings(Struct, frozen=True):
    """What a driver works with.

    :ivar admit: raises ValueError for what a peer proposes and the state could not apply.
    :ivar on_fatal: called once, with the reason, when the node must end.
    :ivar on_leader: called with the id of the leader whenever it changes; empty: none is known.
    :ivar steady: seconds by a clock that nobody sets, for leases.  The reactor's may be the
        wall clock, or stand still while the machine sleeps.
    """

    node_id: str
    settings: ConsensusSettings
    log: ILogStore
    snapshots: ISnapshots
    machine: IStateMachine
    transport: ITransport
    clock: IReactorTime
    admit: Callable[[bytes], object]
    on_fatal: Callable[[str], object]
    on_leader: Callable[[str], object]
    steady: Callable[[], float]


class Driver:
    """Drives one core, from a start to a stop.

    :ivar dead: nothing is sent or answered any more: it was stopped, or something broke.
    :ivar heard: when each peer was last heard of, in seconds of the clock.
    """

    def __init__(
        self,
        raft: Raft,
        around: Surroundings,
        proposals: Proposals,
        barriers: Barriers,
        counters: Counters,
    ) -> None:
        self.raft = raft
        self.around = around
        self.counters = counters
        self.heard: dict[str, float] = {}
        self.dead = False
        self._proposals = proposals
        self._barriers = barriers
        self._log_store = around.log
        self._machine = around.machine
        self._snapshots = around.snapshots
        self._transport = around.transport
        self._clock = around.clock
        self._ticking: IDelayedCall | None = None
        self._turning: IDelayedCall | None = None
        self._under_way: set[Deferred[None]] = set()
        self._idle: list[Deferred[None]] = []
        self._ticked = around.steady()
        self._contexts = 0
        self._arrived: dict[SnapshotMark, str] = {}
        self._leader = (0, "")
        self._last_leader = ""
        self._connected: Members | None = None
        self._complaints = Complaints(around.clock.seconds)
        self.pauses = Pauses(around.clock)
        self.steps = Steps(raft, around.node_id, around.settings)
        self.changes = Changes(
            raft,
            around.node_id,
            self.steps,
            around.transport,
            around.clock,
            around.settings,
            self.wake,
        )
        self.removal = Removal(
            raft,
            around.node_id,
            around.settings.core.election_ticks,
            self.changes.ask_of,
            self._complaints.say,
        )
        self.snapshotting = Snapshotting(
            raft,
            around.log,
            around.machine,
            around.snapshots,
            around.transport,
            self.pauses,
            around.clock.seconds,
            around.settings,
            counters,
            self._launch,
            self.wake,
        )
        self._connect(raft.members)

    def begin(self) -> None:
        """Let time pass."""
        self._ticking = self._clock.callLater(self.around.settings.tick, self._tick)
        self.wake()

    async def end(self) -> None:
        """Do nothing more, and wait for what is under way; the transport is stopped."""
        self.dead = True
        for call in (self._ticking, self._turning):
            if call is not None and call.active():
                call.cancel()
        self.changes.stop()
        self.snapshotting.stop()
        self.pauses.end()
        await IPart(self._transport).stop()
        while self._under_way:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle

    # What peers say

    def received(self, sender: str, message: Message) -> None:
        """See ``IReceiver``."""
        if self.dead:
            return
        self.counters.messages_received += 1
        self.heard[sender] = self._clock.seconds()
        try:
            if isinstance(message, Propose):
                self._take_in(sender, message)
            elif isinstance(message, ProposeAnswer):
                self._proposals.answered(sender, message.context, message.accepted)
            elif isinstance(message, ChangeStep):
                self.changes.asked(sender, message)
            elif isinstance(message, StepAnswer):
                self.changes.answered(message)
            else:
                self._complain(sender, message, self.raft.step(sender, message))
                self._look_at_stranger(sender, message)
        except Exception as error:
            self._end(f"a message of {sender} could not be taken in: {error!r}")
        self.wake()

    def snapshot_received(self, sender: str, term: int, mark: SnapshotMark, path: str) -> None:
        """See ``IReceiver``."""
        if self.dead:
            self._snapshots.discard(path)
            return
        self.counters.snapshots_received += 1
        raft = self.raft
        before = raft.first_index
        try:
            installed = InstallSnapshot(term, mark)
            self._complain(sender, installed, raft.step(sender, installed))
        except Exception as error:
            self._end(f"a snapshot of {sender} could not be taken in: {error!r}")
        if raft.first_index == mark.index + 1 > before:
            self._arrived[mark] = path  # the log is to begin behind it; a Persist will say so
        else:
            self._snapshots.discard(path)
        self.wake()

    def peer_lost(self, peer: str) -> None:
        """See ``IReceiver``."""
        if not self.dead:
            self.raft.peer_lost(peer)
            self._proposals.lost(peer)
            self.wake()

    def _take_in(self, sender: str, message: Propose) -> None:
        """A node hands over proposals, to be put into the log by the leader."""
        raft = self.raft
        accepted = False
        try:
            for payload in message.payloads:
                self.around.admit(payload)
            raft.propose(message.payloads, sender)
            accepted = True
        except ValueError as error:
            self._complain(sender, message, str(error))
        except (NotLeader, Overloaded):
            pass  # the answer says so, and the sender tries again
        leader = "" if raft.is_leader else raft.leader
        self._transport.send(sender, ProposeAnswer(message.context, accepted, leader))

    def _complain(self, sender: str, message: Message, refused: str) -> None:
        if refused:
            self.counters.refused_messages += 1
            self._complaints.say(
                sender, type(message).__name__, f"what it says is refused: {refused}"
            )

    def _look_at_stranger(self, sender: str, message: object) -> None:
        """Say who stands for election in vain: one that was removed while it was away, or before it
        heard of it, is told by nobody."""
        raft = self.raft
        if isinstance(message, RequestVote) and raft.leader and not raft.members.get(sender):
            self._complaints.say(
                sender,
                "stranger",
                "it stands for election, and is no member: if it was removed, stop it, or add it "
                "again (bleepstore cluster add)",
            )

    # Time

    def _tick(self) -> None:
        if self.dead:
            return
        self._ticking = self._clock.callLater(self.around.settings.tick, self._tick)
        try:
            self._count_ticks(due=True)
        except Exception as error:
            self._end(f"the core broke: {error!r}")
            return
        self._proposals.tick()
        self._barriers.tick()
        self.removal.tick()
        self.wake()

    def _count_ticks(self, *, due: bool = False) -> None:
        """Tell the core what time has passed.

        A process may stand still for a while, and the ticks of that while are not made up for: a
        follower that counts too few of them only waits longer.  But who leads by a lease must
        never believe that less time has passed than has, so it is given all of them, and before
        it answers anything (thesis section 6.4.1: a lease rests on bounded clock drift).
        """
        settings, now = self.around.settings, self.around.steady()
        if settings.core.lease_reads and self.raft.is_leader:
            passed = int((now - self._ticked) / settings.tick)
            ticks = min(passed, 2 * settings.core.election_ticks)
            self._ticked += max(passed, 0) * settings.tick
        else:
            ticks = int(due)
            self._ticked = now if due else self._ticked
        for _ in range(ticks):
            self.raft.tick()

    # What the core wants

    def wake(self) -> None:
        """Have everything that is due done in the next turn."""
        if self._turning is None and not self.dead:
            self._turning = self._clock.callLater(0, self._turn)

    def _turn(self) -> None:
        self._turning = None
        if self.dead:
            return
        raft = self.raft
        try:
            self._count_ticks()
            self._notice_leader(raft)
            self._hand_over(raft)
            if self._barriers.due:
                raft.read(self._barriers.ask())
            raft.be_patient(not self._proposals and self._barriers.idle)
            effects = raft.take()
            if effects is NOTHING:
                return
            if raft.members is not self._connected:
                self._connect(raft.members)
            self._carry_out(effects)
        except UnusableLog as error:
            self._end(str(error))
            return
        except Exception as error:
            self._end(f"the core broke: {error!r}")
            return
        if raft.has_effects:
            self.wake()

    def _carry_out(self, effects: Effects) -> None:
        for change in effects.roles:
            self._role_changed(change)
        for envelope in effects.messages:
            self._transport.send(envelope.to, envelope.message)
        self.counters.messages_sent += len(effects.messages)
        if effects.persist is not None:
            self._launch(self._persist(effects.persist))
        if effects.apply:
            self._launch(self._apply(effects.apply))
        for read in effects.reads:
            self._barriers.answered(read.context, read.index, self.raft.applied_index)
        for to in effects.snapshots:
            self.snapshotting.send(to)

    def _notice_leader(self, raft: Raft) -> None:
        """What was handed to one leader is to be handed to the next."""
        leader = (raft.term, raft.leader)
        if leader != self._leader:
            if raft.leader != self._leader[1]:
                self.around.on_leader(raft.leader)
            self._leader = leader
            self._proposals.leader_changed()
            if raft.leader:
                self.counters.leader_changes += raft.leader != self._last_leader
                self._last_leader = raft.leader
                self._barriers.retry()

    def _hand_over(self, raft: Raft) -> None:
        """Hand proposals that are due to the leader, if there is one."""
        proposals = self._proposals
        while proposals.due:
            batch = proposals.batch()
            payloads = tuple([pending.raw for pending in batch])
            if raft.is_leader:
                try:
                    raft.propose(payloads)
                except (NotLeader, Overloaded):
                    return  # they stay due: until another leads, or some are committed
                proposals.taken(batch, self.around.node_id)
            elif raft.leader:
                self._contexts += 1
                self._transport.send(raft.leader, Propose(self._contexts, payloads))
                proposals.sent(batch, raft.leader, self._contexts)
            else:
                return

    def _connect(self, members: Members) -> None:
        self._connected = members
        self._transport.connect(members)
        known = {member.id for member in members.nodes}
        self.heard = {peer: at for peer, at in self.heard.items() if peer in known}

    def _role_changed(self, change: RoleChange) -> None:
        counters = self.counters
        counters.role_changes += 1
        counters.elections += change.role is Role.CANDIDATE
        _log.info(
            "{node} is {role} of term {term}, leader {leader}: {reason}",
            node=self.around.node_id,
            role=change.role.value,
            term=change.term,
            leader=change.leader or "unknown",
            reason=change.reason,
        )
        self.wake()  # proposals and barriers may have waited for this

    async def _persist(self, persist: Persist) -> None:
        """Make a Persist durable.  A snapshot becomes the newest, then the state, and then the
        beginning of the log; ``bootstrap`` knows what a crash in between leaves."""
        begun = self._clock.seconds()
        mark = persist.restore
        if mark is not None:
            path = await self._snapshots.keep(self._arrived.pop(mark), mark)
            await self._machine.replace(path, mark.index)
        await self._log_store.save(persist)
        self.counters.saves += 1
        self.counters.append.add(self._clock.seconds() - begun)
        if self.dead:
            return
        self.raft.persisted(persist.number)
        if mark is not None:
            for other in [each for each in self._arrived if each.index <= mark.index]:
                self._snapshots.discard(self._arrived.pop(other))
            self._proposals.overtaken()
            self.snapshotting.restored(mark)
            self._barriers.applied(mark.index)
        self.wake()

    async def _apply(self, entries: tuple[Entry, ...]) -> None:
        begun = self._clock.seconds()
        verdicts = await self._machine.apply(entries)
        self.counters.applied_entries += len(entries)
        self.counters.apply.add(self._clock.seconds() - begun)
        if self.dead:
            return
        index = entries[-1].index
        self.raft.applied(index)
        self.snapshotting.applied(entries)
        self.wake()
        self._proposals.settle(verdicts)
        self._barriers.applied(index)

    # Background, and the end

    def _launch(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Run something to its end; what it raises ends the node."""
        done: Deferred[None] = Deferred.fromCoroutine(work)
        done.addErrback(lambda failure: self._end(why_it_ends(failure.value)))
        if not done.called:
            self._under_way.add(done)
            done.addCallback(self._ended, done)

    def _ended(self, result: None, done: Deferred[None]) -> None:
        self._under_way.discard(done)
        if not self._under_way:
            idle, self._idle = self._idle, []
            for each in idle:
                each.callback(None)

    def _end(self, reason: str) -> None:
        """The node must end: nothing is sent from now on, and nothing confirmed.  Who waits is
        told now, for the end of the process waits for the last answer."""
        if not self.dead:
            self.dead = True
            _log.critical("{node} must end: {reason}", node=self.around.node_id, reason=reason)
            self._proposals.stop()
            self._barriers.stop()
            self.around.on_fatal(reason)
