"""When to move the write-ahead log into the database, so that no commit waits for long.

A checkpoint has two strokes.  The first copies what the log holds, in a thread, while commits
go on appending.  The second takes the writer's place between two groups, copies the little that
came meanwhile, and lets the next commit start the log anew.  Without the second a log under
endless load would never be reset (sqlite.org/wal.html, "Avoiding Excessively Large WAL Files").
"""

from __future__ import annotations

import sqlite3

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bleepstore.interfaces.threads import IThreads

DEFAULT_LIMIT = 32 * 1024 * 1024
"""Bytes of log, by the machine's estimate, after which a checkpoint starts.  Large enough that
pages written often are copied once; a log of this size is read in well under 0.1 s at start."""

RESTART_WAIT_MS = 1000
"""How long the second stroke waits for readers of old snapshots.  New ones need no log then."""

_log = Logger()


class Checkpoints:
    """Empties the write-ahead log of one database.

    :ivar completed: checkpoints after which the log started anew.
    :ivar failed: checkpoints that the disk refused, or that readers held up for too long.
    :ivar unsynced: whether a sync failed, of which a later one would not tell any more.
    """

    def __init__(
        self, connection: sqlite3.Connection, threads: IThreads, limit: int = DEFAULT_LIMIT
    ) -> None:
        """:param connection: for checkpoints alone."""
        self._connection = connection
        self._threads = threads
        self._limit = limit
        self._since = 0
        self._copying = False
        self._copied: Deferred[None] | None = None
        self.due = False
        self.completed = 0
        self.failed = 0
        self.unsynced = False
        connection.execute(f"PRAGMA busy_timeout = {RESTART_WAIT_MS}")

    def consider(self, written: int) -> None:
        """Start the first stroke if the log has grown enough.

        :param written: estimated bytes written to the log since the start.
        """
        if written - self._since >= self._limit and not self._copying and not self.due:
            self._since = written
            self._copying = True
            self._copied = Deferred.fromCoroutine(self._copy())

    async def finish(self) -> None:
        """The second stroke.  Nothing may write meanwhile."""
        self.due = False
        if await self._run("RESTART"):
            self.completed += 1
        else:
            self.failed += 1

    async def stop(self) -> None:
        """Wait for the stroke under way."""
        if self._copied is not None:
            await self._copied

    async def _copy(self) -> None:
        await self._run("PASSIVE")
        self.due = True
        self._copying = False

    async def _run(self, mode: str) -> bool:
        """Run a checkpoint in a thread; whether it copied the whole log."""
        try:
            return await self._threads.run(self._checkpoint, mode)
        except sqlite3.Error as error:
            # The log stays as it is, and valid; the next checkpoint copies it.
            self.unsynced |= error.sqlite_errorcode == sqlite3.SQLITE_IOERR_FSYNC
            _log.warn("The write-ahead log could not be copied: {error}", error=error)
        except Exception:
            _log.failure("The write-ahead log could not be copied")
        return False

    def _checkpoint(self, mode: str) -> bool:
        ((busy, frames, copied),) = self._connection.execute(
            f"PRAGMA wal_checkpoint({mode})"
        ).fetchall()
        return not busy and bool(frames == copied)
