"""The state machine of a replicated log: entries in, verdicts out, on the same database and the
same apply functions as the embedded store's.

The log is the durable truth.  So a group of entries is committed without waiting for the disk
(``synchronous=NORMAL``): what a power cut takes back, whole groups at a time, the log has still.
:meth:`MetadataReplica.sync` draws the line up to which it need not have it.  32 PutObjects of
4 KiB take 1.9 ms so, and 7 ms where each group is synced (bench_replica.py).  COMMIT runs in a
thread all the same: it is 0.5 ms of writes, which the disk's other work (the log is synced beside
it) stretches to 5 to 15 ms once in a hundred times, and so long no request would be served.

Knows entries, proposals and commands; not who leads, what a quorum is, or who waits.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from bleepstore.files import sync_directory, sync_file
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import IStateMachine, Verdict
from bleepstore.interfaces.threads import IThreads
from bleepstore.metadata.checkpoints import DEFAULT_LIMIT, Checkpoints
from bleepstore.metadata.copies import become_copy, write_copy
from bleepstore.metadata.database import Database, means_no_room
from bleepstore.metadata.digest import digest
from bleepstore.metadata.groupcommit import Counters
from bleepstore.metadata.machine import Outcome, StateMachine
from bleepstore.metadata.reader import Reader
from bleepstore.metadata.sessions import Sessions
from bleepstore.metadata.slices import in_slices
from bleepstore.metadata.snapshot import Snapshot
from bleepstore.metadata.transaction import Steps, Transaction
from bleepstore.model import commands, proposals
from bleepstore.model.commands import AnyCommand, RecordIntent
from bleepstore.model.proposals import Proposal
from bleepstore.raft.messages import Entry, EntryKind

COMMANDS_PER_STEP = 32
"""Short commands applied at once: about 1 ms, for which requests wait."""

ENTRIES_PER_STEP = 64
"""Entries decoded at once: some 10 µs each."""


class ReplicaDatabase(Protocol):
    """Where a replica keeps its state.  :class:`ReplicaFile`; simulations have one in memory."""

    @property
    def writer(self) -> sqlite3.Connection:
        """The one connection that writes."""

    def point_reader(self, clock: IReactorTime) -> tuple[Reader, Snapshot | None]:
        """A reader for the reactor's thread, and the snapshot that its reads share, if any."""

    def open_reader(self) -> sqlite3.Connection:
        """A connection for a reader in a thread."""

    def open_checkpointer(self) -> sqlite3.Connection:
        """A connection for checkpoints."""

    def sync(self) -> None:
        """Make what is committed survive a power cut."""

    def copy(self, path: str) -> int:
        """See :class:`IStateMachine`."""

    def replace(self, path: str, index: int) -> int:
        """See :class:`IStateMachine`; gives the bytes that it wrote."""

    def close(self) -> None:
        """Close the writer."""


class ReplicaFile(Database):
    """A database file whose commits are synced when it is asked for, and not before."""

    def __init__(self, path: str | Path) -> None:
        """See :class:`Database`."""
        super().__init__(path, synchronous="NORMAL")

    def point_reader(self, clock: IReactorTime) -> tuple[Reader, Snapshot | None]:
        """A reader whose reads of one turn share a snapshot."""
        connection = self.open_reader()
        snapshot = Snapshot(connection, clock)
        return Reader(connection, snapshot), snapshot

    def sync(self) -> None:
        """Sync the write-ahead log, which has what is not in the database yet.

        What a checkpoint took from it was synced in its turn: SQLite syncs the log before and the
        database after, and only then may the log be overwritten (sqlite.org/pragma.html,
        "synchronous").  SQLite locks no byte of the log, so that to close it here drops no lock.
        """
        log = os.open(f"{self.path}-wal", os.O_RDWR | os.O_CLOEXEC)
        try:
            sync_file(log)
        finally:
            os.close(log)
        sync_directory(self.path.parent)

    def copy(self, path: str) -> int:
        """See :class:`IStateMachine`.  In any thread."""
        connection = self.open_reader()
        try:
            return write_copy(connection, path)
        finally:
            connection.close()

    def replace(self, path: str, index: int) -> int:
        """See :class:`ReplicaDatabase`.  In any thread, while nothing else uses the writer."""
        become_copy(self.writer, path, index)
        self.sync()
        return os.path.getsize(path)


@implementer(IStateMachine, IPart)
class MetadataReplica:
    """Applies a log's entries to a database, each proposal once.

    :ivar database: for those who read.
    :ivar counters: as of the embedded engine; its commands are proposals applied, and a commit
        waits for no disk.
    """

    def __init__(
        self,
        database: ReplicaDatabase,
        clock: IReactorTime,
        threads: IThreads,
        *,
        commit_threads: IThreads | None = None,
        checkpoint_bytes: int = DEFAULT_LIMIT,
    ) -> None:
        """
        :param threads: for copies, syncs and checkpoints.
        :param commit_threads: for commits, which should not queue behind slow work of others;
            ``threads`` if None.  One thread is enough.
        :param checkpoint_bytes: growth of the write-ahead log that starts a checkpoint.
        """
        self.database = database
        self._clock = clock
        self._threads = threads
        self._commit_threads = commit_threads or threads
        self._machine = StateMachine(lambda: database.writer, COMMANDS_PER_STEP)
        self._checkpointer = database.open_checkpointer()
        self._checkpoints = Checkpoints(self._checkpointer, threads, checkpoint_bytes)
        self._copies = 0
        self.counters = Counters()
        self._applied = self._machine.mark()
        self._sessions: Sessions | None = None
        self._failure: Exception | None = None
        self._stopped = False

    async def start(self) -> None:
        """Nothing remains to be done: opening the file recovered it."""

    async def stop(self) -> None:
        """See :class:`IPart`.  After those who apply, copy and read have stopped."""
        if self._stopped:
            return
        self._stopped = True
        await self._checkpoints.stop()
        await self._threads.run(self._close)

    def applied_index(self) -> int:
        """See :class:`IStateMachine`."""
        return self._applied

    async def apply(self, entries: Sequence[Entry]) -> Sequence[Verdict]:
        """See :class:`IStateMachine`.

        Long commands are applied in slices, between which the reactor does other work.  Reads see
        nothing of a group until all of it is committed.

        :raises ValueError: the entries leave a gap, or one is of a format that this version does
            not know: nothing was applied.
        """
        if self._failure is not None:
            raise self._failure
        if not entries:
            return ()
        named = await in_slices(lambda: self._decoded(entries), self._clock)
        if self._checkpoints.due and not self._copies:
            await self._checkpoints.finish()
        try:
            sessions = self._sessions or Sessions(self.database.writer.execute)
            self._sessions = None  # whatever happens before the commit
            admitted = [sessions.admits(proposal) for proposal, _ in named]
            group = [command for (_, command), new in zip(named, admitted, strict=True) if new]

            def also(tx: Transaction) -> None:
                sessions.store(tx.execute)

            index = entries[-1].index
            outcomes = await in_slices(lambda: self._machine.steps(group, index, also), self._clock)
            await self._commit_threads.run(self._machine.commit)
        except Exception as error:
            self._undo(error)
            raise
        self._applied = index
        sessions.committed()
        self._sessions = sessions
        self._count(len(group))
        if not self._copies:
            self._checkpoints.consider(self._machine.estimated_bytes)
        following = iter(outcomes)
        return [
            _verdict(proposal, new, next(following) if new else None)
            for (proposal, _), new in zip(named, admitted, strict=True)
        ]

    def pristine(self) -> bool:
        """See :class:`IStateMachine`: no row in any table, but for the counters at 0."""
        execute = self.database.writer.execute
        tables = execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return not any(
            execute(
                f"SELECT 1 FROM {name} {'WHERE value' if name == 'state' else ''} LIMIT 1"
            ).fetchall()
            for (name,) in tables
        )

    async def adopt(self, index: int) -> None:
        """See :class:`IStateMachine`."""
        if self._applied:
            raise ValueError(f"the state is that of index {self._applied} of a log")
        self._machine.apply_group((), index)
        await self._threads.run(self.database.sync)
        self._applied = index

    async def sync(self) -> int:
        """See :class:`IStateMachine`.

        If it fails nothing more is applied: a later sync would succeed without what this one left
        out, and the log forgets by what a sync says.
        """
        index = self._applied
        try:
            if self._checkpoints.unsynced:
                raise OSError(errno.EIO, "what a checkpoint could not sync may be lost")
            await self._threads.run(self.database.sync)
        except Exception as error:
            self._failure = self._failure or error
            raise
        return index

    async def copy(self, path: str) -> int:
        """See :class:`IStateMachine`.

        While it goes on the write-ahead log is not emptied, so that it grows by what is written.
        """
        self._copies += 1
        try:
            return await self._threads.run(self.database.copy, path)
        finally:
            self._copies -= 1

    async def replace(self, path: str, index: int) -> None:
        """See :class:`IStateMachine`.  When it returns, the change survives a power cut.

        It is written to the write-ahead log first, which for a while is as large as the copy.
        """
        if self._failure is not None:
            raise self._failure
        self._sessions = None
        try:
            written = await self._threads.run(self.database.replace, path, index)
        except ValueError:
            raise
        except Exception as error:
            self._undo(error)
            raise
        self._applied = index
        self._machine.estimated_bytes += written
        self._checkpoints.consider(self._machine.estimated_bytes)

    async def digest(self) -> str:
        """The hash of all content, equal on all replicas that have applied the same entries."""
        return await self._threads.run(self._digest)

    def _decoded(self, entries: Sequence[Entry]) -> Steps[list[tuple[Proposal, AnyCommand]]]:
        """The proposals of entries, with their commands."""
        due = self._applied + 1
        named: list[tuple[Proposal, AnyCommand]] = []
        for index, entry in enumerate(entries, due):
            if entry.index != index:
                raise ValueError(f"entry {entry.index} came where {index} was due")
            if entry.kind is not EntryKind.COMMAND:
                continue
            try:
                named.append(decode_proposal(entry.data))
            except ValueError as error:
                raise ValueError(
                    f"entry {index} of the log cannot be applied, and this node cannot go on: "
                    f"{error}.  A newer version may have written it"
                ) from error
            if len(named) % ENTRIES_PER_STEP == 0:
                yield
        return named

    def _undo(self, error: Exception) -> None:
        """End a failed transaction; nothing more is applied unless it surely left nothing."""
        self.counters.failures += 1
        known = isinstance(error, sqlite3.Error) and means_no_room(error)
        try:
            self._machine.rollback()
        except sqlite3.Error:
            known = False
        if not known:
            self._failure = error

    def _count(self, applied: int) -> None:
        counters = self.counters
        counters.commands += applied
        counters.commits += 1
        counters.last_group = applied
        counters.largest_group = max(counters.largest_group, applied)

    def _digest(self) -> str:
        reader = Reader(self.database.open_reader())
        try:
            return digest(reader)
        finally:
            reader.close()

    def _close(self) -> None:
        self._checkpointer.close()
        self.database.close()


def decode_proposal(data: bytes) -> tuple[Proposal, AnyCommand]:
    """What an entry's data means.

    A leader should ask before it takes a proposal of a peer into the log: an entry that no replica
    can decode stops them all.

    :raises ValueError: it is of a format that this version does not know, or damaged.
    """
    proposal = proposals.decode(data)
    command = commands.decode(proposal.command)
    if isinstance(command, RecordIntent) and command.intent.command:
        commands.decode(command.intent.command)  # applying it must not be the first to find out
    return proposal, command


def _verdict(proposal: Proposal, applied: bool, outcome: Outcome | None) -> Verdict:
    return Verdict(proposal.origin, proposal.incarnation, proposal.serial, applied, outcome)
