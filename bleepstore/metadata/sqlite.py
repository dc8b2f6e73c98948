"""The embedded engine: one SQLite database, driven by group commit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.interfaces.threads import IThreads
from bleepstore.metadata.checkpoints import DEFAULT_LIMIT, Checkpoints
from bleepstore.metadata.database import Database
from bleepstore.metadata.digest import digest
from bleepstore.metadata.groupcommit import Counters, GroupCommit
from bleepstore.metadata.machine import StateMachine
from bleepstore.metadata.queries import Queries
from bleepstore.metadata.reader import Reader
from bleepstore.metadata.readers import ReaderPool
from bleepstore.metadata.site import Site
from bleepstore.metadata.snapshot import Snapshot
from bleepstore.model.commands import AnyCommand, Result

T = TypeVar("T")


@implementer(IMetadataStore, IPart)
class SqliteMetadata(Queries):
    """Metadata in a file, durable before it is acknowledged.

    Point reads run on the caller's thread, the reactor's, and never suspend; those of one turn of
    the reactor share a snapshot.  Listings run in threads on connections of their own.
    """

    def __init__(
        self,
        path: str | Path,
        clock: IReactorTime,
        threads: IThreads,
        *,
        commit_threads: IThreads | None = None,
        checkpoint_bytes: int = DEFAULT_LIMIT,
    ) -> None:
        """Open the database, or create it with its directory.

        :param threads: for listings and checkpoints.
        :param commit_threads: for commits, which should not queue behind slow work of others;
            ``threads`` if None.  One thread is enough.
        :param checkpoint_bytes: growth of the write-ahead log that starts a checkpoint.
        :raises UnusableDatabase: the file is another program's, or of a later version.
        """
        self._database = database = Database(path)
        self.machine = StateMachine(lambda: database.writer)
        self.site = Site(lambda: database.writer)
        self._threads = threads
        connection = database.open_reader()
        self._snapshot = Snapshot(connection, clock)
        self._reader = Reader(connection, self._snapshot)
        self._readers = ReaderPool(database.open_reader)
        self._checkpointer = database.open_checkpointer()
        self._checkpoints = Checkpoints(self._checkpointer, threads, checkpoint_bytes)
        self.queue = GroupCommit(
            self.machine,
            database.reopen,
            clock,
            commit_threads or threads,
            self._checkpoints,
            self._snapshot.end,  # whoever is answered then, and reads, must find the change
        )
        self._stopped = False

    @property
    def counters(self) -> Counters:
        """What the queue has done; its present depth is ``queue.depth``."""
        return self.queue.counters

    async def start(self) -> None:
        """Nothing remains to be done: opening the file recovered it."""

    async def stop(self) -> None:
        """See :class:`IPart`."""
        if self._stopped:
            return
        self._stopped = True
        await self.queue.stop()
        await self._checkpoints.stop()
        self._reader.close()
        await self._threads.run(self._close)

    def submit(self, command: AnyCommand) -> Deferred[Result]:
        """See :class:`IMetadataStore`."""
        return self.queue.submit(command)

    async def digest(self) -> str:
        """The hash of all content, equal on all databases with the same history."""
        return await self._scan(digest)

    async def _scan(self, query: Callable[..., T], *args: object) -> T:
        if self._stopped:
            raise ServiceUnavailable("The store is stopping.")
        found: T = await self._threads.run(self._readers.call, query, *args)
        self._snapshot.end()  # what was found must not be older than what is read next
        return found

    def _close(self) -> None:
        """Close all connections; the last one empties the log into the database, which takes
        its time, so not on the reactor's thread."""
        self._readers.close()
        self._checkpointer.close()
        self._database.close()
