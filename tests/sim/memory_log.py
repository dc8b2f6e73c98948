"""A log store in memory, on a disk that can crash: what simulated nodes keep their promises in.

What is durable (:class:`LogDisk`) is apart from what a process has in its memory
(:class:`MemoryLog`), so that a crash can fall between the two.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import count

from msgspec import Struct
from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from bleepstore.cluster.unusable import UnusableLog
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import Identity, ILogStore, LogState
from bleepstore.raft.effects import HardState, Persist
from bleepstore.raft.messages import Entry, SnapshotMark


class _State(Struct, frozen=True):
    """All that a log holds; ``entries`` begin behind ``snapshot``."""

    identity: Identity
    incarnation: int = 0
    hard_state: HardState = HardState()
    commit: int = 0
    snapshot: SnapshotMark = SnapshotMark()
    entries: tuple[Entry, ...] = ()

    @property
    def last(self) -> int:
        return self.snapshot.index + len(self.entries)


class LogDisk:
    """What survives a crash.

    :ivar full: whether every write is refused.
    :ivar writes: how many became durable.
    """

    def __init__(self, logs: Iterator[int] | None = None, identity: Identity | None = None) -> None:
        """
        :param logs: numbers for new logs; give all disks of one world the same.
        :param identity: of a log that was made, and nothing more.
        """
        self.logs = count(1) if logs is None else logs
        self.state = None if identity is None else _State(identity)
        self.full = False
        self.writes = 0

    def write(self, state: _State) -> None:
        """Replace all of it, atomically."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.state = state
        self.writes += 1


@implementer(ILogStore, IPart)
class MemoryLog:
    """The log of one life of a node."""

    def __init__(
        self,
        disk: LogDisk,
        node_id: str,
        sync: Callable[[], Awaitable[None]] = lambda: succeed(None),
    ) -> None:
        """
        :param sync: what a write waits for before it is durable.
        :raises UnusableLog: the disk holds another node's log.
        """
        state = disk.state or _State(Identity("", node_id, f"log-{next(disk.logs)}"))
        if state.identity.node_id != node_id:
            raise UnusableLog(f"the log of node {state.identity.node_id!r}, not of {node_id!r}")
        self._disk = disk
        self._sync = sync
        self._state = replace(state, incarnation=state.incarnation + 1)
        self._under_way: Callable[[_State], _State] | None = None
        self._gone = self._stopped = False
        disk.write(self._state)

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """See :class:`IPart`."""
        self._stopped = True

    def crash(self, *, written: bool = False) -> None:
        """The process dies: nothing is reported any more.

        :param written: whether the write under way reached the disk all the same.
        """
        self._gone = True
        if written and self._under_way is not None and not self._disk.full:
            self._disk.write(self._under_way(self._state))

    @property
    def identity(self) -> Identity:
        """See :class:`ILogStore`."""
        return self._state.identity

    def state(self) -> LogState:
        """See :class:`ILogStore`."""
        state = self._state
        return LogState(
            state.hard_state,
            state.snapshot,
            state.commit,
            state.snapshot.index + 1,
            state.last,
            state.incarnation,
        )

    def first_index(self) -> int:
        """See :class:`ILogReader`."""
        return self._state.snapshot.index + 1

    def last_index(self) -> int:
        """See :class:`ILogReader`."""
        return self._state.last

    def term(self, index: int) -> int:
        """See :class:`ILogReader`."""
        state = self._state
        if index == state.snapshot.index:
            return state.snapshot.term
        return self._at(index).term

    def entries(self, low: int, high: int, max_bytes: int) -> Sequence[Entry]:
        """See :class:`ILogReader`."""
        found = [self._at(low)]
        size = len(found[0].data)
        for index in range(low + 1, min(high, self._state.last + 1)):
            entry = self._at(index)
            size += len(entry.data)
            if size > max_bytes:
                break
            found.append(entry)
        return found

    async def join(self, cluster_id: str, founders: Mapping[str, str] = {}) -> None:
        """See :class:`ILogStore`."""
        own = self.identity.cluster_id
        if own not in ("", cluster_id):
            raise ValueError(f"this node belongs to cluster {own}")
        told = founders or self.identity.founders
        identity = replace(self.identity, cluster_id=cluster_id, founders=told)
        await self._write(lambda state: replace(state, identity=identity))

    async def save(self, persist: Persist) -> None:
        """See :class:`ILogStore`."""
        _saved(self._state, persist)  # a Persist that does not fit changes nothing
        await self._write(lambda state: _saved(state, persist))

    async def compact(self, mark: SnapshotMark) -> None:
        """See :class:`ILogStore`."""
        if mark.index <= self._state.snapshot.index:
            return
        if self.term(mark.index) != mark.term:
            raise ValueError(f"entry {mark.index} has term {self.term(mark.index)}")
        await self._write(lambda state: _compacted(state, mark))

    def _at(self, index: int) -> Entry:
        place = index - self.first_index()
        if not 0 <= place < len(self._state.entries):
            raise IndexError(f"entry {index} is not in the log")
        return self._state.entries[place]

    async def _write(self, change: Callable[[_State], _State]) -> None:
        if self._stopped:
            raise RuntimeError("the log is stopped")
        self._under_way = change
        await self._sync()
        if self._gone:
            await Deferred()  # the dead report nothing
        state = change(self._state)
        self._disk.write(state)
        self._state = state
        self._under_way = None


def _saved(state: _State, persist: Persist) -> _State:
    entries = state.entries
    snapshot = state.snapshot
    if persist.restore is not None:
        snapshot, entries = persist.restore, ()
    if persist.entries:
        kept = persist.entries[0].index - snapshot.index - 1
        if not 0 <= kept <= len(entries):
            raise ValueError(f"entry {persist.entries[0].index} does not follow the log")
        entries = entries[:kept] + persist.entries
        if any(entry.index != n for n, entry in enumerate(entries, snapshot.index + 1)):
            raise ValueError("the entries have a gap")
    return replace(
        state,
        hard_state=persist.hard_state or state.hard_state,
        commit=max(persist.commit, state.commit),
        snapshot=snapshot,
        entries=entries,
    )


def _compacted(state: _State, mark: SnapshotMark) -> _State:
    return replace(state, snapshot=mark, entries=state.entries[mark.index - state.snapshot.index :])
