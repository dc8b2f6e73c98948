"""The database's file and connections, and what a failing disk looks like through SQLite.

Knows no table but those that ``schema`` prepares, no command and no thread.

Pragmas, with reasons (measured in tests/bench/bench_metadata.py):

- ``journal_mode=WAL``, ``synchronous=FULL``: a commit is one append and one fdatasync.  NORMAL,
  an append alone, would not survive a power cut, and no answer may leave before that; it is for
  a replica, whose log on disk has everything that is lost.
- ``wal_autocheckpoint=0``: ``checkpoints`` decides when, so that no commit pays for one.
- ``secure_delete=OFF``: Debian's build overwrites deleted content with zeros by default.
- ``journal_size_limit`` on the writer: a log that had to grow (beside a long read, or because a
  replica became another copy) gives its place back when it starts anew.
- ``busy_timeout=0`` on the writer: it is used on the reactor's thread, which must not wait.

A start copies the write-ahead log into the database before anything is added to it.  If a sync
failed, and the process ended, the page cache has what the disk has not, and calls it clean: a later
sync of the log succeeds without it, and a power cut would leave the log's end without its middle.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from bleepstore.files import SQLITE_NO_ROOM, SQLITE_SYNCS, make_directories, sync_directory
from bleepstore.metadata.schema import (
    UnusableDatabase,
    prepare,
    require_columns,
    require_readable,
    schema_version_of,
)

WRITER_CACHE_KIB = 16 * 1024
READER_CACHE_KIB = 4 * 1024
LOG_KEEPS = 64 * 1024 * 1024
"""Bytes of disk that an empty write-ahead log keeps: twice what starts a checkpoint."""

STATEMENTS = 256
"""Prepared statements kept by a connection: more than there are different ones."""


def means_no_room(error: sqlite3.Error) -> bool:
    """Whether a write failed because the disk (or a quota, or a file size limit) is full."""
    return getattr(error, "sqlite_errorcode", None) in SQLITE_NO_ROOM


def means_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds the write lock."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


class Database:
    """A database file.  Each connection is used by one thread at a time, never by two at once.

    :ivar writer: the one connection that writes.
    """

    writer: sqlite3.Connection

    def __init__(self, path: str | Path, *, synchronous: str = "FULL") -> None:
        """Open, and create if there is none, with its directory; readable by its owner alone,
        for it holds secret keys.

        :param synchronous: FULL: a commit survives a power cut; NORMAL: a crash of the process
            alone, until something syncs the log.
        :raises UnusableDatabase: it cannot serve; the message says why.
        """
        self.path = Path(path)
        self._synchronous = synchronous
        try:
            _create(self.path)
            _require_writable(self.path)
            self.writer = self._open_writer()
            try:
                _settle(self.writer)
            except BaseException:
                self.writer.close()
                raise
        except OSError as error:
            raise UnusableDatabase(f"{self.path}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise UnusableDatabase(f"{self.path}: {error}") from error
        except UnicodeDecodeError as error:  # of SQLite's message: it quotes the schema
            raise UnusableDatabase(f"{self.path}: its schema is damaged") from error

    def reopen(self) -> None:
        """Replace the writer's connection after a commit that failed in an unknown way."""
        self.writer.close()
        self.writer = self._open_writer()

    def open_reader(self) -> sqlite3.Connection:
        """A connection that can only read; it may wait for a recovery, never for a writer."""
        connection = _connect(str(self.path), READER_CACHE_KIB)
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA query_only = ON")
        return connection

    def open_checkpointer(self) -> sqlite3.Connection:
        """A connection for checkpoints: they write, but never through the page cache."""
        return _connect(str(self.path), 64)

    def close(self) -> None:
        """Close the writer.  The last connection to close empties the write-ahead log."""
        self.writer.close()

    def _open_writer(self) -> sqlite3.Connection:
        connection = _connect(str(self.path), WRITER_CACHE_KIB)
        try:
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_KEEPS}").fetchall()
            connection.execute("PRAGMA busy_timeout = 5000")
            # Before anything is changed in a file that may be another's.
            schema_version_of(connection, str(self.path))
            ((mode,),) = connection.execute("PRAGMA journal_mode = WAL").fetchall()
            if mode != "wal":
                raise UnusableDatabase(f"{self.path}: its file system has no shared memory for WAL")
            prepare(connection, str(self.path))
            require_readable(connection)
            require_columns(connection, str(self.path))
            connection.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            connection.close()
            raise
        return connection


def open_in_memory() -> sqlite3.Connection:
    """A database without a file; it ends with its connection."""
    connection = _connect(":memory:", WRITER_CACHE_KIB)
    prepare(connection, "memory")
    return connection


def _connect(path: str, cache_kib: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS,
    )
    for pragma in (
        "synchronous = FULL",
        *SQLITE_SYNCS,
        "wal_autocheckpoint = 0",
        "secure_delete = OFF",
        f"cache_size = -{cache_kib}",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _settle(writer: sqlite3.Connection) -> None:
    """Copy the write-ahead log into the database, durably, and empty it; a full disk is no
    obstacle, since nothing can be added to the log then.

    :raises sqlite3.Error: the disk fails.
    """
    writer.execute("PRAGMA busy_timeout = 5000")
    try:
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:
        if not means_no_room(error):
            raise
    finally:
        writer.execute("PRAGMA busy_timeout = 0")


def _require_writable(path: Path) -> None:
    """See that the database and its log may be changed: SQLite opens files to read them where it
    may not write, and a log that another user made (root, while it restored a backup) is found
    out by the first write.

    :raises UnusableDatabase: one may not.
    """
    for name in (f"{path}", f"{path}-wal", f"{path}-shm"):
        if os.path.exists(name) and not os.access(name, os.R_OK | os.W_OK):
            raise UnusableDatabase(f"{name} cannot be read and written by this user")


def _create(path: Path) -> None:
    """Make the directory and an empty file, durably."""
    make_directories(path.parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    sync_directory(path.parent)
