"""When to move the log's write-ahead log into its database, so that no save waits for long.

Two strokes: the first copies, in a thread, while saves go on appending; the second keeps saves
waiting while it copies what came meanwhile, after which the next save begins the file anew
(sqlite.org/wal.html, "Avoiding Excessively Large WAL Files").
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from bleepstore.interfaces.threads import IThreads

LIMIT = 16 * 1024 * 1024
"""Bytes of write-ahead log, by estimate, after which a checkpoint starts."""

_log = Logger()


class LogCheckpoints:
    """Empties the write-ahead log of one database.

    :ivar completed: checkpoints after which it began anew.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        threads: IThreads,
        writing: DeferredLock,
        broken: Callable[[], None],
        limit: int = LIMIT,
    ) -> None:
        """
        :param connection: for checkpoints alone; closed by :meth:`stop`.
        :param writing: held by whoever writes to the database.
        :param broken: called, under ``writing``, when a sync has failed: no later one tells of
            what that one left out, which may be of the log.
        """
        self._connection = connection
        self._threads = threads
        self._writing = writing
        self._broken = broken
        self._limit = limit
        self._written = 0
        self._running: Deferred[None] | None = None
        self.completed = 0
        connection.execute("PRAGMA busy_timeout = 1000")

    def wrote(self, size: int) -> None:
        """So many bytes were appended, by estimate.  Starts a checkpoint if it is time."""
        self._written += size
        if self._written >= self._limit and self._running is None:
            self._written = 0
            running = Deferred.fromCoroutine(self._run())
            self._running = None if running.called else running

    async def stop(self) -> None:
        """Wait for the checkpoint under way, and close the connection."""
        if self._running is not None:
            await self._running
        self._connection.close()

    async def _run(self) -> None:
        try:
            await self._threads.run(self._checkpoint, "PASSIVE")
            await self._writing.acquire()
            try:
                if await self._threads.run(self._checkpoint, "RESTART"):
                    self.completed += 1
            finally:
                self._writing.release()
        except sqlite3.Error as error:
            # What was saved stays where it is, and valid; the next checkpoint copies it.
            _log.warn("The log's write-ahead log could not be copied: {error}", error=error)
            if error.sqlite_errorcode == sqlite3.SQLITE_IOERR_FSYNC:
                await self._writing.run(self._broken)
        except Exception:
            _log.failure("The log's write-ahead log could not be copied")
        finally:
            self._running = None

    def _checkpoint(self, mode: str) -> bool:
        ((busy, frames, copied),) = self._connection.execute(
            f"PRAGMA wal_checkpoint({mode})"
        ).fetchall()
        return not busy and bool(frames == copied)
