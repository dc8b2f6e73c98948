"""Snapshots: when one is taken, what of the log it replaces, and who is sent it.

A copy is made while applying goes on.  Then, in this order: the copy becomes the newest snapshot,
durably; what is applied is made durable in the state itself, since the log is about to forget it;
the log drops what lies before the snapshot, but for a tail, so that a follower which is a little
behind need not be sent the whole state; and for what one needs that is being sent it.

Knows the core, the log, the state and the files; neither proposals nor roles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bleepstore.cluster.consensus_settings import ConsensusSettings
from bleepstore.cluster.pauses import Pauses
from bleepstore.cluster.status import Counters
from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.replication import ILogStore, ISnapshots, IStateMachine, ITransport
from bleepstore.raft.core import Raft
from bleepstore.raft.messages import Entry, SnapshotMark

MOST_SIZES = 16_384
"""Batches of entries whose sizes are remembered, to find the tail."""

REST = 19
"""How much longer than it took to make a copy none is made again because of the log alone.  The
larger the state, the more of the log there may be, and never more than a twentieth of the time is
spent on copies of the state."""

MOST_KEPT = 10
"""Times ``snapshot_entries``, or ``snapshot_bytes``, that the log keeps for one who is given a
snapshot."""

STOPPING = "The node is stopping."

_log = Logger()


class Snapshotting:
    """The snapshots of one node."""

    def __init__(
        self,
        raft: Raft,
        log: ILogStore,
        machine: IStateMachine,
        snapshots: ISnapshots,
        transport: ITransport,
        pauses: Pauses,
        now: Callable[[], float],
        settings: ConsensusSettings,
        counters: Counters,
        launch: Callable[[Coroutine[Deferred[Any], Any, None]], None],
        wake: Callable[[], None],
    ) -> None:
        """
        :param now: a clock, in seconds.
        :param launch: runs what goes on in the background, and whose end a stop waits for.
        :param wake: has the core's effects carried out.
        """
        self._raft = raft
        self._log = log
        self._machine = machine
        self._snapshots = snapshots
        self._transport = transport
        self._pauses = pauses
        self._now = now
        self._settings = settings
        self._counters = counters
        self._launch = launch
        self._wake = wake
        self._taking = False
        self._waiting: list[Deferred[int]] = []
        self._sending: set[str] = set()
        self._given: dict[str, tuple[int, int]] = {}
        self._stopped = False
        newest = snapshots.newest()
        self._next = (newest[0].index if newest else 0) + settings.snapshot_entries
        self._bytes = 0
        self._bytes_at_last = 0
        self._not_before = now()
        self._sizes: deque[tuple[int, int]] = deque(maxlen=MOST_SIZES)

    @property
    def newest(self) -> SnapshotMark:
        """The mark of the newest snapshot; that of the log's beginning if there is none."""
        newest = self._snapshots.newest()
        return newest[0] if newest is not None else self._log.state().snapshot

    @property
    def under_way(self) -> dict[str, int]:
        """How many are being taken, and sent."""
        return {"take": int(self._taking), "send": len(self._sending)}

    def applied(self, entries: Sequence[Entry]) -> None:
        """Entries were applied: a snapshot may be due."""
        self._bytes += sum([len(entry.data) for entry in entries])
        index = entries[-1].index
        self._sizes.append((index, self._bytes))
        grown = self._bytes - self._bytes_at_last
        due = index >= self._next or grown >= self._settings.snapshot_bytes
        if due and self._now() >= self._not_before and self._knows_members(index):
            self._begin()

    def restored(self, mark: SnapshotMark) -> None:
        """The state was replaced by that of a snapshot."""
        self._next = mark.index + self._settings.snapshot_entries
        self._bytes_at_last = self._bytes
        self._sizes.clear()

    async def take(self) -> int:
        """Take one now; who asks while one is being taken is given that one's index.

        :raises ServiceUnavailable: it could not be taken, or the node is stopping.
        """
        if self._stopped:
            raise ServiceUnavailable(STOPPING)
        waiting: Deferred[int] = Deferred()
        self._waiting.append(waiting)
        self._begin()
        return await waiting

    def send(self, to: str) -> None:
        """Send the newest to a node that lacks what the log has forgotten."""
        if to not in self._sending and not self._stopped:
            self._sending.add(to)
            self._launch(self._send(to))

    def stop(self) -> None:
        """Begin nothing more, and tell the core nothing more."""
        self._stopped = True
        self._answer(None)

    # Taking

    def _knows_members(self, index: int) -> bool:
        """Whether this node can say who they were; a snapshot that does not is no use to anybody,
        and no peer takes it (see ``View.members_at``)."""
        return bool(self._raft.members_at(index).nodes)

    def _begin(self) -> None:
        if not self._taking and not self._stopped:
            self._taking = True
            self._launch(self._take())

    async def _take(self) -> None:
        self._bytes_at_last = self._bytes
        self._next = self._machine.applied_index() + self._settings.snapshot_entries
        index: int | None = None
        begun = self._now()
        try:
            if not self._knows_members(self._machine.applied_index()):
                raise ValueError("this node does not know yet who the members were at its index")
            mark = await self._copy()
            now = self._now()
            self._not_before = now + REST * (now - begun)
            if not self._stopped:
                await self._compact(mark.index)
            index = mark.index
            self._counters.snapshots_taken += 1
        except Exception as error:
            # The log goes on growing, and the next try comes soon; should the disk fill up, a
            # save will fail, and that ends the node.
            self._counters.snapshots_failed += 1
            self._next = self._machine.applied_index() + self._settings.snapshot_entries // 10 + 1
            _log.warn("No snapshot could be taken: {error!r}", error=error)
        finally:
            self._taking = False
        self._answer(index)

    async def _copy(self) -> SnapshotMark:
        """Copy the state, and keep the copy as the newest snapshot, unless there is a newer."""
        path = self._snapshots.reserve()
        try:
            return await self._kept(path)
        except BaseException:
            self._snapshots.discard(path)
            raise

    async def _kept(self, path: str) -> SnapshotMark:
        index = await self._machine.copy(path)
        newest = self._snapshots.newest()
        if newest is not None and newest[0].index >= index:
            self._snapshots.discard(path)
            return newest[0]
        raft = self._raft
        # Since nothing but a snapshot shortens the log, it has the entry, or one replaced all.
        mark = SnapshotMark(index, raft.term_at(index), raft.members_at(index))
        await self._snapshots.keep(path, mark)
        return mark

    async def _compact(self, index: int) -> None:
        """Have the log forget what a snapshot of ``index`` stands for, but for a tail."""
        synced = await self._machine.sync()
        raft = self._raft
        last = min(index, synced, self._tail_of(index), self._needed_of(index))
        if last < raft.first_index or self._stopped:
            return
        mark = SnapshotMark(last, raft.term_at(last), raft.members_at(last))
        await self._log.compact(mark)
        if not self._stopped:
            raft.compacted()

    def _tail_of(self, index: int) -> int:
        """The index up to which the log need not be kept."""
        settings, sizes = self._settings, self._sizes
        last = index - settings.tail_entries
        while sizes and sizes[0][0] < last:
            sizes.popleft()
        for at, size in sizes:
            if at >= index or self._bytes - size <= settings.tail_bytes:
                return max(last, min(at, index))
        return max(last, 0)

    def _needed_of(self, index: int) -> int:
        """The index up to which nobody needs the log who is given a snapshot, or just was.

        It goes on from there, and would be given one snapshot after another without ever being
        done, if the log that follows it were always gone by the time that it has arrived.
        """
        raft, settings = self._raft, self._settings
        for peer, (stands, begun) in list(self._given.items()):
            progress = raft.progress(peer)
            at = stands if progress is None else max(stands, progress.match)
            if (
                progress is None
                or (peer not in self._sending and raft.last_index - at <= settings.tail_entries)
                or index - at > MOST_KEPT * settings.snapshot_entries
                or self._bytes - begun > MOST_KEPT * settings.snapshot_bytes
            ):
                del self._given[peer]
            else:
                index = min(index, at)
        return index

    def _answer(self, index: int | None) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if index is None:
                each.errback(ServiceUnavailable("No snapshot could be taken."))
            else:
                each.callback(index)

    # Sending

    async def _send(self, to: str) -> None:
        index = 0
        term = self._raft.term  # as the leader of which it is wanted: another may lead by then
        try:
            found = await self._borrow()
            if found is not None:
                mark, path = found
                self._given[to] = mark.index, self._bytes
                try:
                    await self._transport.send_snapshot(to, term, mark, path)
                    index = mark.index
                finally:
                    self._snapshots.give_back(path)
        except Exception as error:
            _log.info("No snapshot could be sent to {to}: {error!r}", to=to, error=error)
        if index:
            self._counters.snapshots_sent += 1
            _log.info("{to} has a snapshot of index {index}", to=to, index=index)
        else:
            self._counters.snapshots_unsent += 1
            self._given.pop(to, None)
            await self._pauses.pause(self._settings.election)
        self._sending.discard(to)
        if not self._stopped:
            self._raft.snapshot_sent(to, index)
            self._wake()

    async def _borrow(self) -> tuple[SnapshotMark, str] | None:
        """A snapshot from which the log leads on; a new one if there is none, or a damaged one."""
        for again in (True, False):
            found = await self._snapshots.borrow()
            if found is not None:
                mark = found[0]
                leads_on = mark.index >= self._raft.first_index - 1 and mark.members.nodes
                if leads_on and not self._stopped:
                    return found
                self._snapshots.give_back(found[1])
            if again:
                await self.take()
        return None
