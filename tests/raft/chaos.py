"""A cluster to which anything happens, and what must hold whatever does.

The four properties of the paper's figure 3, after every effect: election safety, log matching,
leader completeness, state machine safety.  And that a read is given no index below what had been
committed anywhere when it was asked for, and that nothing is applied twice or out of order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from bleepstore.raft.core import Settings
from bleepstore.raft.effects import Effects, Role
from bleepstore.raft.messages import Entry, Member
from bleepstore.raft.problems import ChangeInProgress, NotLeader, Overloaded
from tests.raft.cluster import Cluster, Node

IDS = ("a", "b", "c", "d", "e")


class Chaos:
    """:param dice: ``dice(n)`` gives 0 to n - 1."""

    def __init__(self, dice: Callable[[int], int], *, lease: bool = False, voters: int = 3) -> None:
        settings = Settings(
            election_ticks=6, max_entries=3, max_bytes=20, max_inflight=2, cache_bytes=300,
            max_uncommitted_bytes=2000, lease_reads=lease,
        )  # fmt: skip
        self.cluster = Cluster(IDS[:voters], settings, dice)
        for spare in IDS[voters:]:
            self.cluster.join(spare)
        self.cluster.watch = self._watch
        self.lease = lease
        self.leaders: dict[int, str] = {}
        self.made: dict[tuple[int, int], tuple[Entry, int]] = {}
        self.committed: dict[int, Entry] = {}
        self.highest = 0
        self.asked: dict[int, int] = {}
        self.answered = 0
        self.serial = 0
        self.known: dict[str, int] = {}

    # -- what must hold

    def _watch(self, node: Node, effects: Effects) -> None:
        for change in effects.roles:
            if change.role is Role.LEADER:
                self._leads(node, change.term)
        if effects.persist is not None:
            self._log_matches(node, effects.persist.entries)
        for entry in effects.apply:
            known = self.committed.setdefault(entry.index, entry)
            assert known == entry, f"{node.id} applies {entry}, where {known} was applied"
        self._note_commit(node)
        for ready in effects.reads:
            due = self.asked.pop(ready.context)
            if ready.index >= 0:
                self.answered += 1
                assert ready.index >= due, f"a read at {ready.index}, but {due} was committed"

    def _leads(self, node: Node, term: int) -> None:
        if term in self.leaders:
            assert self.leaders[term] == node.id, f"two leaders of term {term}"
            return
        self.leaders[term] = node.id
        for index, entry in self.committed.items():
            if index >= node.raft.first_index:
                assert index <= node.raft.last_index, f"{node.id} leads without entry {index}"
                assert node.raft.term_at(index) == entry.term, f"{node.id} has another {index}"

    def _log_matches(self, node: Node, entries: Sequence[Entry]) -> None:
        for entry in entries:
            with suppress(IndexError):  # what comes before it is compacted by now
                fact = (entry, node.raft.term_at(entry.index - 1) if entry.index > 1 else 0)
                if node.raft.term_at(entry.index) == entry.term:
                    known = self.made.setdefault((entry.index, entry.term), fact)
                    assert known == fact, f"logs differ at {entry.index}: {known} and {fact}"

    def _note_commit(self, node: Node) -> None:
        self.highest = max(self.highest, node.raft.commit)

    # -- what happens

    def act(self, kind: int, one: int, other: int) -> None:
        """Let something happen, chosen by three numbers."""
        ids = list(self.cluster.nodes)
        node_id = ids[one % len(ids)]
        choice = kind % 100
        if choice == 0 and not self.lease:
            self._storm(one)
        elif choice < 42:
            self._deliver(one)
        elif choice < (62 if not self.lease else 42):
            self.cluster.tick(node_id)
        elif choice < 65:
            self._tick_all(one)
        elif choice < 77:
            self._propose(node_id, other)
        elif choice < 82:
            self._read(node_id)
        elif choice < 84:
            self._lose_or_repeat(one, other)
        elif choice < 88:
            self._disk(node_id)
        elif choice < 90:
            self._cut(node_id, ids[other % len(ids)])
        elif choice < 92:
            self.cluster.heal()
        elif choice < 94:
            self._restart(node_id)
        elif choice < 96:
            self._compact(node_id, other)
        elif choice < 97:
            self._snapshots(node_id, other)
        elif choice < 98:
            self._transfer(node_id, ids[other % len(ids)])
        else:
            self._change(node_id, ids[other % len(ids)], kind // 100)
        if kind // 100 % 4 == 0:
            self._ambush(one)

    def _deliver(self, one: int) -> None:
        wire = self.cluster.wire
        for _ in range(3):
            if wire:
                # Mostly in order, so that something comes of it.
                position = one % len(wire) if one % 4 == 0 else 0
                self.cluster.deliver(position)

    def _tick_all(self, one: int) -> None:
        """All clocks go on by one, in any order and with messages between them: so they differ
        by less than a tick, as leases need it."""
        ids = list(self.cluster.nodes)
        for node_id in ids[one % len(ids) :] + ids[: one % len(ids)]:
            self.cluster.tick(node_id)
            if self.lease:
                self._deliver(one)

    def _storm(self, one: int) -> None:
        """All lose their patience at once, and hear of each other late and in any order."""
        wire = self.cluster.wire
        for _ in range(9):
            self.cluster.tick()
        for count in range(len(wire)):
            if wire:
                self.cluster.deliver((one >> count % 16) % len(wire))

    def _ambush(self, one: int) -> None:
        """A leader that has just committed something is cut off at once, maybe with a friend."""
        for node_id, node in self.cluster.nodes.items():
            if node.raft.is_leader and node.raft.commit > self.known.get(node_id, 0):
                self.cluster.heal()
                friend = list(self.cluster.nodes)[one % len(self.cluster.nodes)]
                self.cluster.partition(node_id, *(friend,) * (one // 8 % 2))
                if one // 16 % 2:
                    self.cluster.wire.clear()
            self.known[node_id] = node.raft.commit

    def _lose_or_repeat(self, one: int, other: int) -> None:
        wire = self.cluster.wire
        if wire and other % 2:
            wire.pop(one % len(wire))
        elif wire and len(wire) < 200:
            wire.append(wire[one % len(wire)])

    def _propose(self, node_id: str, count: int) -> None:
        self.serial += 1
        with suppress(NotLeader, Overloaded):
            payloads = [b"%d.%d" % (self.serial, n) for n in range(1 + count % 4)]
            self.cluster.propose(node_id, *payloads)

    def _read(self, node_id: str) -> None:
        self.serial += 1
        self.asked[self.serial] = self.highest
        self.cluster[node_id].read(self.serial)
        self.cluster.run(node_id)

    def _disk(self, node_id: str) -> None:
        node = self.cluster.nodes[node_id]
        if node.held:
            self.cluster.release(node_id)
        else:
            node.held = True

    def _cut(self, one: str, other: str) -> None:
        if one == other:
            self.cluster.partition(one)
        else:
            self.cluster.cut.add((one, other))
            self.cluster[one].peer_lost(other)

    def _restart(self, node_id: str) -> None:
        self.cluster.restart(node_id)

    def _compact(self, node_id: str, other: int) -> None:
        node = self.cluster.nodes[node_id]
        restoring = node.persisting is not None and node.persisting.restore is not None
        low, high = node.disk.mark.index, min(len(node.state), node.disk.last_index())
        if high > low and not restoring and node.raft.first_index == node.disk.first_index():
            at = low + 1 + other % (high - low)
            if node.raft.members_at(at).nodes:
                self.cluster.compact(node_id, at)

    def _snapshots(self, node_id: str, other: int) -> None:
        for each in list(self.cluster.nodes):
            self.cluster.send_snapshots(each, success=other % 4 > 0)

    def _transfer(self, node_id: str, to: str) -> None:
        with suppress(NotLeader, ValueError):
            self.cluster[node_id].transfer(to)
            self.cluster.run(node_id)

    def _change(self, node_id: str, other: str, how: int) -> None:
        raft = self.cluster[node_id]
        members = raft.members
        if how == 9:  # two at once, which is to be refused
            wanted = members.without(other).having(Member(node_id, f"{node_id}:1", False))
        elif how % 3 == 0:
            wanted = members.without(other)
        else:
            wanted = members.having(Member(other, f"{other}:1", how % 3 == 1))
        with suppress(NotLeader, ValueError, ChangeInProgress):
            raft.change(wanted)
            self.cluster.run(node_id)

    # -- once nothing happens any more

    def recover(self) -> None:
        """Faults stop: then there is a leader, and what is proposed is committed everywhere."""
        cluster = self.cluster
        cluster.heal()
        for node_id, node in cluster.nodes.items():
            if node.held:
                cluster.release(node_id)
        for _ in range(400):
            cluster.tick()
            for _ in range(40):
                self._deliver(1)
            self._snapshots("", 1)
            if len(cluster.wire) > 2000:
                del cluster.wire[:1000]
            if any(node.raft.is_leader for node in cluster.nodes.values()):
                self._propose(cluster.leader.leader, 0)
            done = self._converged()
            if done:
                return
        raise AssertionError("no progress after the faults")

    def _converged(self) -> bool:
        nodes = self.cluster.nodes.values()
        leaders = [node for node in nodes if node.raft.is_leader]
        if len(leaders) != 1:
            return False
        leader = leaders[0]
        last = leader.raft.commit
        return last > self.highest - 3 and all(
            self.cluster[m.id].applied_index >= last - 6 and self.cluster[m.id].leader == leader.id
            for m in leader.raft.members.nodes
        )
