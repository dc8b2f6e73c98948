"""The log of one node on its disk: what it promised to others survives a power cut.

A save is one transaction and one fdatasync; all that waits is in it, since the driver has the
core gather it into one Persist.  The statements run on the reactor's thread and only COMMIT in
another.  Measured (tests/bench/bench_log.py, 32 entries of 4 KiB): with an idle reactor the two
are equal (1.2 ms); beside a busy one the whole transaction in the thread takes 3.3 against 1.4 ms,
and 211 against 23 ms at the 99th percentile, since SQLite's module gives up the interpreter's lock
at each statement and has to win it back.  A save of more than :data:`ON_REACTOR` bytes would hold
up the reactor, and goes to the thread whole.

Compaction first moves the mark, durably, and then deletes rows in small units that are not
synced: a unit that a crash takes back is deleted at the next start.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.cluster.log_checkpoints import LIMIT, LogCheckpoints
from bleepstore.cluster.log_file import LogFile, Record
from bleepstore.cluster.log_terms import Terms
from bleepstore.cluster.unusable import DamagedLog, UnusableLog
from bleepstore.cluster.witness import Witness
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import Identity, ILogStore, LogState
from bleepstore.interfaces.threads import IThreads
from bleepstore.raft.effects import Persist
from bleepstore.raft.messages import Entry, SnapshotMark

ON_REACTOR = 512 * 1024
"""Bytes of data that are handed to SQLite on the reactor's thread, in about 1 ms."""

UNIT = 64
"""Entries that compaction deletes in one transaction."""

_OVERHEAD = 4096 * 3
"""Bytes of write-ahead log that a save costs beside its data: a few pages rewritten."""

_log = Logger()


@implementer(ILogStore, IPart)
class SqliteLog:
    """A log in ``raft.db``, and in ``raft.promised`` how far its promises went.

    :ivar checkpoints: what empties the write-ahead log.
    """

    def __init__(
        self,
        directory: str,
        node_id: str,
        clock: IReactorTime,
        threads: IThreads,
        *,
        checkpoint_bytes: int = LIMIT,
        draw: Callable[[], str] = lambda: token_hex(8),
    ) -> None:
        """Open, verify all of it, and count one more incarnation, durably.  Blocks: some 0.3 s
        for 100 MB of log.

        :param directory: ``cluster.data_dir``.
        :param threads: where a save waits for the disk; one thread is enough, if others do not
            keep it busy.
        :param draw: gives a new log its id.
        :raises UnusableLog: it belongs to another node, or cannot be used.
        :raises DamagedLog: something durable is gone or changed.
        """
        self._clock = clock
        self._threads = threads
        self._file = file = LogFile(os.path.join(directory, "raft.db"))
        self._writing = DeferredLock()
        self._dropping: Deferred[None] | None = None
        self._broken = self._stopping = self._closed = False
        try:
            self._witness = Witness(os.path.join(directory, "raft.promised"))
        except OSError as error:
            file.close()
            raise UnusableLog(f"{directory}: {error.strerror}") from error
        try:
            self._open(node_id, draw)
            self.checkpoints = LogCheckpoints(
                file.open_checkpointer(), threads, self._writing, self._break, checkpoint_bytes
            )
        except BaseException:
            self._witness.close()
            file.close()
            raise

    def _open(self, node_id: str, draw: Callable[[], str]) -> None:
        file = self._file
        promised = self._promised()
        if file.is_new:
            if promised:
                raise DamagedLog(file.path, "it is empty, but this node has made promises")
            file.create(Record(node_id, draw()))
        record = file.record()
        if record.node_id != node_id:
            raise UnusableLog(
                f"{file.path} is the log of node {record.node_id!r}, but this node is {node_id!r}"
            )
        if record.saves < promised:
            lost = promised - record.saves
            raise DamagedLog(file.path, f"its last {lost} changes, which were durable, are gone")
        self._terms = terms = Terms(record.snapshot.index, record.snapshot.term)
        for entry in file.scan(record.snapshot.index + 1, record.last_index):
            try:
                terms.append(entry.index, entry.term)
            except ValueError as error:
                raise DamagedLog(file.path, str(error)) from error
        self._record = replace(record, incarnation=record.incarnation + 1, saves=record.saves + 1)
        try:
            file.settle()
            file.begin(durable=True)
            file.put(self._record)
            file.commit()
            self._witness.note(self._record.saves)
            self._witness.sync()
        except (OSError, sqlite3.Error) as error:
            raise UnusableLog(f"{file.path} cannot be written: {error}") from error

    def _promised(self) -> int:
        try:
            return self._witness.read()
        except ValueError as error:
            raise DamagedLog(self._witness.path, str(error)) from error

    # The part

    async def start(self) -> None:
        """Go on with a compaction that a crash broke off, in the background."""
        self._drop_soon()

    async def stop(self) -> None:
        """See :class:`IPart`."""
        if self._closed:
            return
        self._stopping = True
        if self._dropping is not None:
            await self._dropping
        await self._writing.acquire()
        self._writing.release()
        await self.checkpoints.stop()
        if not self._closed:
            self._closed = True
            self._witness.close()
            await self._threads.run(self._file.close)

    # Reading, on the caller's thread

    @property
    def identity(self) -> Identity:
        """See :class:`ILogStore`."""
        record = self._record
        return Identity(record.cluster_id, record.node_id, record.log_id, record.founders)

    def state(self) -> LogState:
        """See :class:`ILogStore`."""
        record = self._record
        return LogState(
            record.hard_state,
            record.snapshot,
            record.commit,
            self._terms.base + 1,
            self._terms.last,
            record.incarnation,
        )

    def first_index(self) -> int:
        """See :class:`ILogReader`."""
        return self._terms.base + 1

    def last_index(self) -> int:
        """See :class:`ILogReader`."""
        return self._terms.last

    def term(self, index: int) -> int:
        """See :class:`ILogReader`."""
        return self._terms.term(index)

    def entries(self, low: int, high: int, max_bytes: int) -> Sequence[Entry]:
        """See :class:`ILogReader`."""
        if not self._terms.base < low <= self._terms.last:
            raise IndexError(
                f"entry {low} is not in the log ({self._terms.base + 1} to {self._terms.last})"
            )
        high = min(high, self._terms.last + 1)
        return self._file.read(low, high, max_bytes)

    # Writing

    async def join(self, cluster_id: str, founders: Mapping[str, str] = {}) -> None:
        """See :class:`ILogStore`."""
        record = self._record
        if record.cluster_id not in ("", cluster_id):
            raise ValueError(f"this node belongs to cluster {record.cluster_id}")
        told = dict(founders) or record.founders
        if (record.cluster_id, record.founders) != (cluster_id, told):
            await self._write(_Change({"cluster_id": cluster_id, "founders": told}))

    async def save(self, persist: Persist) -> None:
        """See :class:`ILogStore`.

        :raises ValueError: the entries leave a gap, or reach back into the snapshot; nothing was
            changed.
        """
        entries, restore = persist.entries, persist.restore
        commit = max(persist.commit, self._record.commit)
        if not entries and restore is None and persist.hard_state is None:
            self._record = replace(self._record, commit=commit)  # the next save writes it
            return
        base, last = self._terms.base, self._terms.last
        if restore is not None:
            base = last = restore.index
        if entries:
            first = entries[0].index
            if not base < first <= last + 1:
                raise ValueError(f"entry {first} does not follow the log up to {last}")
            if any(entry.index != number for number, entry in enumerate(entries, first)):
                raise ValueError("there is a gap between the entries")
        fields: dict[str, object] = {
            "commit": commit,
            "last_index": entries[-1].index if entries else last,
        }
        if persist.hard_state is not None:
            fields["hard_state"] = persist.hard_state
        if restore is not None:
            fields["snapshot"] = restore
        await self._write(_Change(fields, entries, restore))
        if restore is not None:
            self._drop_soon()

    async def compact(self, mark: SnapshotMark) -> None:
        """See :class:`ILogStore`.

        :raises IndexError: there is no entry of that index.
        :raises ValueError: it has another term.
        """
        if mark.index > self._terms.base:
            if self._terms.term(mark.index) != mark.term:
                raise ValueError(f"entry {mark.index} has term {self._terms.term(mark.index)}")
            await self._write(_Change({"snapshot": mark}, forget=mark.index))
        await self._drop_soon()

    async def _write(self, change: _Change) -> None:
        """One durable transaction."""
        await self._writing.acquire()
        try:
            if self._broken or self._stopping:
                raise RuntimeError("the log is stopped")
            record = replace(self._record, saves=self._record.saves + 1, **change.fields)
            size = sum(len(entry.data) for entry in change.entries)
            try:
                if size <= ON_REACTOR:
                    self._state_change(record, change)
                    await self._threads.run(self._commit, record)
                else:
                    await self._threads.run(self._make_change, record, change)
            except BaseException:
                # What is on the disk is uncertain: nothing may be promised any more.
                self._break()
                raise
            self._record = record
            self._remember(change)
        finally:
            self._writing.release()
        self.checkpoints.wrote(size + _OVERHEAD + 64 * len(change.entries))

    def _make_change(self, record: Record, change: _Change) -> None:
        self._state_change(record, change)
        self._commit(record)

    def _commit(self, record: Record) -> None:
        self._file.commit()
        self._witness.note(record.saves)

    def _state_change(self, record: Record, change: _Change) -> None:
        """Say it to SQLite, all but the commit."""
        file = self._file
        file.begin(durable=True)
        if change.restore is not None:
            file.cut(change.restore.index + 1)
        elif change.entries and change.entries[0].index <= self._terms.last:
            file.cut(change.entries[0].index)
        if change.entries:
            file.append(change.entries)
        file.put(record)

    def _remember(self, change: _Change) -> None:
        """Bring what is known in memory up to what is now durable."""
        if change.restore is not None:
            self._terms = Terms(change.restore.index, change.restore.term)
        if change.entries:
            self._terms.cut(change.entries[0].index)
            for entry in change.entries:
                self._terms.append(entry.index, entry.term)
        if change.forget:
            self._terms.begin_behind(change.forget)

    def _break(self) -> None:
        self._broken = True
        try:
            self._file.roll_back()
        except Exception as error:
            _log.warn("A transaction of the log could not be undone: {error}", error=error)

    # Compaction

    def _drop_soon(self) -> Deferred[None]:
        if self._dropping is not None:
            return self._dropping
        dropping = Deferred.fromCoroutine(self._drop())
        self._dropping = None if dropping.called else dropping
        return dropping

    async def _drop(self) -> None:
        """Delete what lies before the mark, unit by unit, between saves."""
        try:
            while await self._drop_unit():
                turn: Deferred[None] = Deferred()
                self._clock.callLater(0, turn.callback, None)
                await turn
        except Exception as error:
            # The rows do no harm, but a disk that refuses this will refuse a save as well.
            _log.warn("Entries could not be dropped from the log: {error}", error=error)
        finally:
            self._dropping = None

    async def _drop_unit(self) -> bool:
        """Whether there was anything to delete."""
        await self._writing.acquire()
        try:
            if self._broken or self._stopping:
                return False
            low = self._file.first()
            if low is None or low > self._terms.base:
                return False
            try:
                self._file.begin(durable=False)
                self._file.drop(low, min(low + UNIT, self._terms.base + 1))
                self._file.commit()
            except BaseException:
                self._break()
                raise
        finally:
            self._writing.release()
        self.checkpoints.wrote(_OVERHEAD)
        return True


class _Change(Struct, frozen=True):
    """What one transaction changes.

    :ivar fields: of the record.
    :ivar forget: the log begins behind this index from now on; 0: where it did.
    """

    fields: dict[str, Any]
    entries: Sequence[Entry] = ()
    restore: SnapshotMark | None = None
    forget: int = 0
