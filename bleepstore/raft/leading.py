"""What a leader does: replicates its log, counts who has it, and answers reads.

Knows its peers' progress; the way into and out of leadership is the core's affair.
"""

from __future__ import annotations

from collections.abc import Sequence

from bleepstore.raft import quorum
from bleepstore.raft.intake import Intake
from bleepstore.raft.membership import check_in_progress, check_step
from bleepstore.raft.messages import (
    Appended,
    AppendEntries,
    Entry,
    EntryKind,
    Members,
    ReadIndex,
    ReadIndexAnswer,
    TimeoutNow,
    encode_members,
)
from bleepstore.raft.problems import NotLeader, Overloaded
from bleepstore.raft.progress import PROBE, REPLICATE, SNAPSHOT, Progress
from bleepstore.raft.reads import FAILED, LeaderReads, Waiting
from bleepstore.raft.replica import Replica

FORGETFUL = (
    "it had said that everything up to entry {match} was on its disk, and lacks some of it: the "
    "disk was set back, by a backup or a snapshot of it. Remove the node, empty its directories, "
    "and add it again (cluster.join)"
)


def may_commit(entry_term: int, term: int) -> bool:
    """Only entries of the leader's own term are committed by counting; what came before them is
    committed with them (paper, section 5.4.2 and figure 8)."""
    return entry_term == term


class Leadership:
    """One term of a leader.

    :ivar peers: the progress of each other member.
    :ivar due: something may have to be sent.
    :ivar transferee: to whom leadership is being handed over; empty: to nobody.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        settings = replica.settings
        self.peers: dict[str, Progress] = {}
        self._voting: list[Progress] = []
        self._counts_itself = True
        self.due = True
        self.transferee = ""
        self._transfer_deadline = 0
        self._reads = LeaderReads(settings.election_ticks, settings.lease_reads)
        self._intake = Intake(settings.max_uncommitted_bytes)
        self._beat_at = replica.now + settings.heartbeat_ticks
        self._on_disk = self._on_disk_since = 0
        self._term_start = replica.log.last_index + 1
        self._meet_members()
        self._append(EntryKind.NOOP, (b"",))
        self._reads.begin_round(replica.now, None)

    # -- taking in

    def propose(self, payloads: Sequence[bytes], whose: str = "") -> int:
        """Append commands; gives the index of the first.

        :param whose: the peer that waits for them to be applied there; empty: none does.
        :raises NotLeader: it is being handed over (thesis section 3.10).
        :raises Overloaded: too much is not committed yet, or not on this node's own disk, without
            which the others may commit.
        """
        if self.transferee:
            raise NotLeader
        if not payloads:
            raise ValueError("nothing is proposed")
        size = sum(map(len, payloads))
        if not self._intake.admits(size) or self._replica.disk_behind:
            raise Overloaded
        first = self._append(EntryKind.COMMAND, payloads, size)
        if whose in self.peers:
            self.peers[whose].awaited = first + len(payloads) - 1
        return first

    def change(self, members: Members) -> int:
        """Append a change of the members, which is in force at once (thesis section 4.1).

        :raises NotLeader: it is being handed over.
        :raises ChangeInProgress: another change, or this term, is not settled yet.
        :raises ValueError: see ``membership.check_step``.
        """
        replica = self._replica
        if self.transferee:
            raise NotLeader
        check_step(replica.members.current, members)
        check_in_progress(replica.members.index, replica.commit, self._term_start)
        ordered = Members(tuple(sorted(members.nodes, key=lambda node: node.id)))
        index = self._append(EntryKind.MEMBERS, (encode_members(ordered),))
        self._meet_members()
        self._reads.restart_lease()
        self.advance_commit()
        return index

    def _append(self, kind: EntryKind, payloads: Sequence[bytes], size: int = 0) -> int:
        replica = self._replica
        term, first = replica.term, replica.log.last_index + 1
        entries = [Entry(index, term, kind, data) for index, data in enumerate(payloads, first)]
        replica.log.append(entries)
        if kind is EntryKind.MEMBERS:
            replica.members.observe(entries)
        self._intake.took(entries[-1].index, size)
        self.due = True
        return first

    def _meet_members(self) -> None:
        """Have progress for every other member, and for nobody else."""
        replica = self._replica
        current = {node.id for node in replica.members.current.nodes} - {replica.id}
        for gone in self.peers.keys() - current:
            del self.peers[gone]
        for new in sorted(current - self.peers.keys()):
            self.peers[new] = Progress(self._term_start, replica.now)
        voters = replica.members.voters
        self._counts_itself = replica.id in voters
        self._voting = [peer for node_id, peer in self.peers.items() if node_id in voters]

    # -- time

    def tick(self) -> str:
        """:returns: why this node must not lead any longer; empty: it may."""
        replica = self._replica
        now, election_ticks = replica.now, replica.settings.election_ticks
        if now - self._reached([peer.heard for peer in self._voting], now) >= election_ticks:
            return f"no word from a majority for {election_ticks} ticks"
        if self._disk_stands_still(now):
            return f"others commit what its disk has not taken in {election_ticks} ticks"
        self._answer(self._reads.expire(now), FAILED)
        if self.transferee and now >= self._transfer_deadline:
            to, self.transferee = self.transferee, ""
            replica.report_role(f"{to} did not take over within {election_ticks} ticks")
        if now >= self._beat_at:
            self._beat_at = now + replica.settings.heartbeat_ticks
            self._begin_round()
            if self.transferee:
                self._hurry_transfer()
        return ""

    def _disk_stands_still(self, now: int) -> bool:
        """Whether others have had for long what this node's own disk does not take.  It can apply
        nothing then, and soon takes in nothing, but its heartbeats need no disk: without this it
        would lead for as long as that lasts."""
        log = self._replica.log
        if log.durable != self._on_disk or log.durable >= self._replica.commit:
            self._on_disk, self._on_disk_since = log.durable, now
        return now - self._on_disk_since >= self._replica.settings.election_ticks

    def _reached(self, theirs: list[int], own: int) -> int:
        """What a majority of the voters has reached.  A leader that is no member any more does
        not count itself (thesis section 4.2.2)."""
        if self._counts_itself:
            theirs.append(own)
        return quorum.committed_index(theirs)

    # -- answers

    def appended(self, sender: str, message: Appended) -> str:
        """A peer has answered.

        :returns: why that cannot be; empty: it can.
        """
        peer = self.peers.get(sender)
        if peer is None:
            return ""
        replica = self._replica
        if message.index > replica.log.last_index or message.round > self._reads.round:
            return f"{sender} answers what was never sent to it"
        peer.heard = replica.now
        if message.round > peer.round:
            peer.round = message.round
            self._confirm_reads()
        if message.success:
            if peer.state is SNAPSHOT and message.index >= replica.log.first_index - 1:
                peer.probe(message.index + 1)
            if peer.acknowledged(message.index):
                if message.index > replica.commit:
                    self.advance_commit()
                if peer.next <= replica.log.last_index or peer.told < replica.commit:
                    self.due = True
                if self.transferee:
                    self._hurry_transfer()
            return ""
        hint = replica.log.last_at_most(message.hint_index, message.hint_term)
        retry = 1 + min(hint, message.hint_index)  # maybe of entries that are gone: a snapshot
        if peer.rejected(message.index, retry):
            self.due = True
        return FORGETFUL.format(match=peer.match) if peer.forgetful else ""

    def advance_commit(self) -> None:
        """Commit what a majority has durably (paper, figure 2, last rule for leaders; the leader's
        own log counts as far as it is durable, thesis section 10.2.1)."""
        replica = self._replica
        log = replica.log
        index = self._reached([peer.match for peer in self._voting], log.durable)
        if index > replica.commit and may_commit(log.term(index), replica.term):
            replica.commit = index
            self._intake.settled(index)
            self.due = True

    @property
    def dismissed(self) -> bool:
        """The change that removes this node is committed: it must step down (thesis 4.2.2)."""
        return not self._counts_itself and self._replica.members.index <= self._replica.commit

    def lost(self, sender: str) -> None:
        """The connection to a peer broke: what was on its way may be lost."""
        peer = self.peers.get(sender)
        if peer is not None and peer.state is REPLICATE:
            peer.probe(peer.match + 1)
            self.due = True

    def snapshot_sent(self, to: str, index: int) -> None:
        """A snapshot of an index has arrived there; 0: it has not."""
        peer = self.peers.get(to)
        if peer is not None and peer.state is SNAPSHOT:
            peer.probe(index + 1, paused=index == 0)
            self.due = True

    # -- reads

    @property
    def read_due(self) -> bool:
        """Reads wait, and a round for them may begin."""
        return self._reads.waiting and self._settled

    @property
    def _settled(self) -> bool:
        """Something of this term is committed: then the commit index is the true one
        (thesis section 6.4, step 1)."""
        return self._replica.commit >= self._term_start

    def read(self, context: int, origin: str = "") -> None:
        """A read of this node, or a question of a peer."""
        deadline = self._replica.now + self._replica.settings.election_ticks
        read = Waiting(origin, context, deadline)
        if not self._reads.add(read):
            self._answer([read], FAILED)
        self.due = True

    def asked(self, sender: str, message: ReadIndex) -> None:
        """A follower asks for an index to read at."""
        replica = self._replica
        if message.term == replica.term and sender in self.peers:
            self.read(message.context, sender)
        else:
            replica.send(sender, ReadIndexAnswer(replica.term, message.context, FAILED))

    def _begin_round(self) -> None:
        """Send something to everybody, whose answers confirm that this node leads."""
        self._reads.begin_round(self._replica.now, self._replica.commit if self._settled else None)
        for peer in self.peers.values():
            peer.beat = True
        self.due = True
        self._confirm_reads()

    def _confirm_reads(self) -> None:
        reads = self._reads
        if reads.pending or self._replica.settings.lease_reads:
            confirmed = self._reached([peer.round for peer in self._voting], reads.round)
            due, index = reads.confirmed(confirmed)
            if due:
                self._answer(due, index)
                self.due = True  # those that came later may have their round now

    def _answer(self, reads: Sequence[Waiting], index: int) -> None:
        replica = self._replica
        for read in reads:
            if read.origin:
                answer = ReadIndexAnswer(replica.term, read.context, index)
                replica.send(read.origin, answer)
                peer = self.peers.get(read.origin)
                if peer is not None and peer.awaited < index:
                    peer.awaited = index
                    self.due = True
            else:
                replica.answer_read(read, index)

    def fail_reads(self) -> None:
        """The term is over."""
        self._answer(self._reads.fail(), FAILED)

    # -- handing over

    def transfer(self, to: str) -> None:
        """Have another voter stand, once it has the whole log (thesis section 3.10).

        :raises ValueError: it is no voter.
        """
        replica = self._replica
        if to not in replica.members.voters:
            raise ValueError(f"{to} is no voter")
        if to == replica.id:
            return
        self.transferee = to
        self._transfer_deadline = replica.now + replica.settings.election_ticks
        self._hurry_transfer()

    def _hurry_transfer(self) -> None:
        peer = self.peers.get(self.transferee)
        if peer is not None and peer.match == self._replica.log.last_index:
            self._reads.give_up_lease()
            self._replica.send(self.transferee, TimeoutNow(self._replica.term))

    # -- sending

    def flush(self) -> None:
        """Send what peers lack, and what they must hear."""
        if not self.due:
            return
        replica = self._replica
        if self._reads.pending and self.read_due:
            self._answer(self._reads.under_lease(replica.now), replica.commit)
            if self.read_due:
                self._begin_round()
        self.due = False
        last, most = replica.log.last_index, replica.settings.max_inflight
        drafts: dict[int, AppendEntries] = {}
        heartbeats: dict[int, AppendEntries] = {}
        for node_id, peer in self.peers.items():
            quiet = True
            while (peer.next <= last or peer.state is PROBE) and peer.may_send(most):
                if not self._send_entries(node_id, peer, drafts):
                    break
                quiet = False
            if quiet and (peer.beat or self._must_tell(peer)):
                self._send_heartbeat(node_id, peer, heartbeats)
            peer.beat = False

    def _must_tell(self, peer: Progress) -> bool:
        """Whether a peer is to be told by a message of its own that more is committed.

        While there are entries that are not committed yet, more is soon sent to it by itself: the
        next entries, or their commit.  Then it is told with those, unless somebody there waits.
        """
        commit = self._replica.commit
        if peer.told >= commit or peer.state is not REPLICATE:
            return False
        return peer.awaited > peer.told or commit == self._replica.log.last_index

    def _send_entries(self, to: str, peer: Progress, drafts: dict[int, AppendEntries]) -> bool:
        """Send the next entries; False if they are not in the log any more."""
        replica = self._replica
        first = peer.next
        draft = drafts.get(first)
        if draft is None:
            log, settings = replica.log, replica.settings
            try:
                term = log.term(first - 1)
                high = min(first + settings.max_entries, log.last_index + 1)
                found = log.entries(first, high, settings.max_bytes) if first < high else ()
            except IndexError:
                self._need_snapshot(to, peer)
                return False
            draft = AppendEntries(
                replica.term, first - 1, term, tuple(found), replica.commit, self._reads.round
            )
            drafts[first] = draft
        peer.told = draft.commit
        peer.sent(first - 1 + len(draft.entries))
        replica.send(to, draft)
        return True

    def _need_snapshot(self, to: str, peer: Progress) -> None:
        """What it lacks has been compacted away (thesis section 5.3)."""
        peer.await_snapshot()
        self._replica.outbox.snapshots.append(to)

    def _send_heartbeat(self, to: str, peer: Progress, drafts: dict[int, AppendEntries]) -> None:
        """Nothing but the commit index and the round.  After the last entry that was sent, so
        that the answer shows whether it arrived (and so a lost probe is repeated, without its
        entries); to one that waits for a snapshot, after what matches every log."""
        replica = self._replica
        previous = 0 if peer.state is SNAPSHOT else peer.next - 1
        draft = drafts.get(previous)
        if draft is None:
            try:
                term = replica.log.term(previous) if previous else 0
            except IndexError:
                self._need_snapshot(to, peer)
                previous = term = 0
            draft = AppendEntries(
                replica.term, previous, term, (), replica.commit, self._reads.round
            )
            drafts[previous] = draft
        peer.told = draft.commit
        replica.send(to, draft)
