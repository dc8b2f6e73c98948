"""Nodes in memory, around the core alone: a disk, a state machine and a network that tests steer.

A driver in a few lines: what :meth:`Raft.take` gives is carried out at once, except that a node
whose disk is *held* does not confirm until it is let go, and that messages wait in the network
until a test delivers, loses, repeats or reorders them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bleepstore.raft.core import Raft, Settings
from bleepstore.raft.effects import Effects, Envelope, HardState, Persist, ReadReady, RoleChange
from bleepstore.raft.messages import (
    Entry,
    EntryKind,
    InstallSnapshot,
    Member,
    Members,
    Message,
    SnapshotMark,
)


class Disk:
    """A log store in memory: what it holds is durable."""

    def __init__(self, members: Members) -> None:
        self.hard_state = HardState()
        self.mark = SnapshotMark(members=members)
        self.commit = 0
        self.stored: list[Entry] = []
        self.reads = 0

    def first_index(self) -> int:
        return self.mark.index + 1

    def last_index(self) -> int:
        return self.mark.index + len(self.stored)

    def term(self, index: int) -> int:
        self.reads += 1
        if index == self.mark.index:
            return self.mark.term
        if not self.mark.index < index <= self.last_index():
            raise IndexError(index)
        return self.stored[index - self.mark.index - 1].term

    def entries(self, low: int, high: int, max_bytes: int) -> Sequence[Entry]:
        self.reads += 1
        if not self.mark.index < low <= self.last_index():
            raise IndexError(low)
        base = self.mark.index + 1
        found, size = [], 0
        for entry in self.stored[low - base : high - base]:
            size += len(entry.data)
            if found and size > max_bytes:
                break
            found.append(entry)
        return found

    def save(self, persist: Persist) -> None:
        if persist.hard_state is not None:
            self.hard_state = persist.hard_state
        if persist.restore is not None:
            self.mark, self.stored = persist.restore, []
        if persist.entries:
            first = persist.entries[0].index
            assert self.first_index() <= first <= self.last_index() + 1, "a gap in the log"
            self.stored[first - self.first_index() :] = persist.entries
        self.commit = max(self.commit, min(persist.commit, self.last_index()))

    def compact(self, mark: SnapshotMark) -> None:
        del self.stored[: mark.index - self.mark.index]
        self.mark = mark


class Node:
    """One node: its disk and its state survive :meth:`restart`, nothing else does."""

    def __init__(
        self, node_id: str, members: Members, settings: Settings, jitter: Callable[[int], int]
    ) -> None:
        self.id = node_id
        self.settings = settings
        self.jitter = jitter
        self.disk = Disk(members)
        self.state: list[Entry] = []
        """Everything applied, in order; after a snapshot beginning behind a gap filled by it."""
        self.saved: SnapshotMark | None = None
        self.held = False
        self.starts = 0
        self.start()

    def start(self) -> None:
        self.starts += 1
        self.raft = Raft(
            self.id,
            self.settings,
            self.disk,
            hard_state=self.disk.hard_state,
            snapshot=self.disk.mark,
            commit=self.disk.commit,
            applied=len(self.state),
            jitter=self.jitter,
        )
        self.persisting: Persist | None = None
        self.reads: list[ReadReady] = []
        self.roles: list[RoleChange] = []
        self.sending: list[tuple[str, int]] = []


class Cluster:
    """Nodes and what is on its way between them.

    :ivar wire: messages under way, oldest first, as (sender, receiver, message).
    :ivar watch: is told of all effects of a node, before they are carried out.
    """

    def __init__(
        self,
        ids: Iterable[str] = ("a", "b", "c"),
        settings: Settings | None = None,
        jitter: Callable[[int], int] = lambda n: 0,
    ) -> None:
        self.settings = settings or Settings()
        self.jitter = jitter
        self.members = Members(tuple(Member(node_id, f"{node_id}:1") for node_id in ids))
        self.wire: list[tuple[str, str, Message]] = []
        self.cut: set[tuple[str, str]] = set()
        self.watch: Callable[[Node, Effects], None] = lambda node, effects: None
        self.nodes = {
            member.id: Node(member.id, self.members, self.settings, jitter)
            for member in self.members.nodes
        }

    def join(self, node_id: str) -> Node:
        """A new machine, which knows nobody."""
        node = self.nodes[node_id] = Node(node_id, Members(), self.settings, self.jitter)
        return node

    def __getitem__(self, node_id: str) -> Raft:
        return self.nodes[node_id].raft

    @property
    def leader(self) -> Raft:
        """The one with the highest term among those that say they lead."""
        return max((n.raft for n in self.nodes.values() if n.raft.is_leader), key=lambda r: r.term)

    # -- carrying out effects

    def run(self, node_id: str) -> None:
        """Carry out what one node has due, until nothing is."""
        node = self.nodes[node_id]
        while node.raft.has_effects:
            effects = node.raft.take()
            self.watch(node, effects)
            self._carry_out(node, effects)

    def _carry_out(self, node: Node, effects: Effects) -> None:
        raft = node.raft
        for envelope in effects.messages:
            self.send(node.id, envelope)
        node.reads.extend(effects.reads)
        node.roles.extend(effects.roles)
        node.sending.extend((to, raft.term) for to in effects.snapshots)
        if effects.persist is not None:
            assert node.persisting is None, "two Persists at a time"
            node.persisting = effects.persist
        if effects.apply:
            self.apply(node, effects.apply)
            raft.applied(effects.apply[-1].index)
        if not node.held:
            self.finish_persist(node)

    def send(self, sender: str, envelope: Envelope) -> None:
        self.wire.append((sender, envelope.to, envelope.message))

    def apply(self, node: Node, entries: Sequence[Entry]) -> None:
        for entry in entries:
            assert entry.index == len(node.state) + 1, "a gap, or the same again"
            node.state.append(entry)

    def finish_persist(self, node: Node) -> None:
        persist, node.persisting = node.persisting, None
        if persist is None:
            return
        if persist.restore is not None:
            source = self.snapshot_of(persist.restore)
            node.state[:] = source
        node.disk.save(persist)
        node.raft.persisted(persist.number)

    def snapshot_of(self, mark: SnapshotMark) -> list[Entry]:
        """What a snapshot holds: any node's state that had come so far."""
        node = next(n for n in self.nodes.values() if len(n.state) >= mark.index)
        return node.state[: mark.index]

    def release(self, node_id: str) -> None:
        """Let a held disk go on."""
        node = self.nodes[node_id]
        node.held = False
        self.finish_persist(node)
        self.run(node_id)

    # -- events

    def tick(self, *ids: str) -> None:
        for node_id in ids or tuple(self.nodes):
            self[node_id].tick()
            self.run(node_id)

    def deliver(self, position: int = 0) -> None:
        """Bring one message; it is lost if its line is cut."""
        sender, receiver, message = self.wire.pop(position)
        refused = self.bring(sender, receiver, message)
        assert not refused, f"{receiver} refuses what {sender} said in good faith: {refused}"

    def bring(self, sender: str, receiver: str, message: Message) -> str:
        """Have a message arrive, if it can; gives why it was refused."""
        if (sender, receiver) in self.cut or receiver not in self.nodes:
            return ""
        refused = self[receiver].step(sender, message)
        self.run(receiver)
        return refused

    def settle(self, most: int = 100_000) -> None:
        """Deliver everything, in order, until nothing is under way."""
        for node_id in self.nodes:
            self.run(node_id)
        while self.wire and most:
            self.deliver()
            most -= 1
        assert not self.wire, "it goes on for ever"

    def elect(self, node_id: str) -> Raft:
        """Have a node lead, by its clock alone."""
        for _ in range(40):
            if self[node_id].is_leader:
                break
            self.tick(node_id)
            self.settle()
        assert self[node_id].is_leader
        return self[node_id]

    def propose(self, node_id: str, *payloads: bytes) -> int:
        index = self[node_id].propose(payloads)
        self.run(node_id)
        return index

    def partition(self, *ids: str) -> None:
        """Cut these off from the others, both ways."""
        for one in ids:
            for other in set(self.nodes) - set(ids):
                self.cut |= {(one, other), (other, one)}

    def heal(self) -> None:
        self.cut.clear()

    def restart(self, node_id: str) -> None:
        """Crash: what was not durable is lost, and what was under way from it may still come."""
        node = self.nodes[node_id]
        node.held = False
        node.start()

    def compact(self, node_id: str, index: int | None = None) -> SnapshotMark:
        """Take a snapshot of what is applied (or of less), and drop the log up to it."""
        node = self.nodes[node_id]
        at = len(node.state) if index is None else index
        mark = SnapshotMark(at, node.raft.term_at(at), node.raft.members_at(at))
        node.disk.compact(mark)
        node.saved = mark
        node.raft.compacted()
        return mark

    def send_snapshots(self, node_id: str, *, success: bool = True) -> None:
        """Do what ``Effects.snapshots`` asked a node for."""
        node = self.nodes[node_id]
        for to, term in node.sending:
            mark = node.disk.mark
            if success:
                self.bring(node_id, to, InstallSnapshot(term, mark))  # of the term that wanted it
            node.raft.snapshot_sent(to, mark.index if success else 0)
        node.sending.clear()
        self.run(node_id)

    def commands(self, node_id: str) -> list[bytes]:
        """The commands that a node has applied."""
        return [e.data for e in self.nodes[node_id].state if e.kind is EntryKind.COMMAND]
