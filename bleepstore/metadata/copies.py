"""Whole copies of a database: made while it is written to, checked, and made the content again.

Knows connections and files; not whose state it is, nor when a copy is due.

A copy is made by SQLite's backup API, page by page.  VACUUM INTO was measured beside it: it builds
every row and index anew.  50,000 objects of 4 KiB (231 MiB) took 0.73 s, 0.32 s of it processor
time, and 0.79 s and 0.36 s by VACUUM; 300,000 empty ones (70 MiB) 0.16 s and 0.10 s, and 0.24 s
and 0.19 s (best of four).  Both let go of the interpreter lock, read one snapshot, and let writers
go on; what these write meanwhile stays in the write-ahead log until the copy is done.

A copy becomes the content of a live database by the backup API too, as one transaction of its
write-ahead log.  So a crash leaves the old content or the new one, readers go on until it is
there, and their statements are prepared anew by themselves, for the schema's cookie changes.  To
put the file in the database's place would need all connections closed, and the old log gone
before the new file is there, or SQLite would play the one onto the other.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from bleepstore.files import sync_data, sync_directory, sync_file
from bleepstore.metadata.machine import MARK
from bleepstore.metadata.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES

PAGES_PER_STEP = 256
"""1 MiB of pages, after which the copied bytes are synced.  So a copy waits for the disk again and
again, and leaves it, and a core, to those who serve: entries went on being applied at 0.8 of their
rate (0.55 with 16 MiB a step, and 0.5 beside VACUUM INTO; two cores, both busy), and it took no
longer."""

Progress = Callable[[int, int, int], object]
"""Called after each step, with a status and how many pages remain, of how many."""

OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"


def mark_of(connection: sqlite3.Connection) -> int:
    """The mark of the last group that was applied; 0 before the first."""
    row = connection.execute("SELECT value FROM state WHERE name = ?", (MARK,)).fetchone()
    return 0 if row is None else int(row[0])


def write_copy(source: sqlite3.Connection, path: str) -> int:
    """Copy a database to a file, durably; gives the mark it stands at.

    :param source: outside of a transaction, and used for nothing else meanwhile.
    :param path: a file that is there already is overwritten.
    :raises sqlite3.Error, OSError: it could not be done; the file is gone.
    """
    # The descriptor outlives SQLite's use of the file: to close one drops all locks of a process.
    file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        target = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            # What is not whole is thrown away, so there is nothing to roll back to.
            target.execute("PRAGMA journal_mode = OFF").fetchall()
            target.execute("PRAGMA synchronous = OFF")
            source.execute("BEGIN")  # all steps read one snapshot, which the first read makes
            try:
                mark = mark_of(source)
                source.backup(target, pages=PAGES_PER_STEP, progress=lambda *_: sync_data(file))
            finally:
                source.execute("ROLLBACK")
        finally:
            target.close()
        sync_file(file)
        sync_directory(Path(path).parent)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(file)
    return mark


def become_copy(
    target: sqlite3.Connection, path: str, index: int, progress: Progress | None = None
) -> None:
    """Make a copy the content of a live database, in one transaction.

    :param target: the writer, outside of a transaction.  Whether the change survives a power cut
        is its setting's affair.
    :raises ValueError: the file is no copy of mark ``index``; nothing was changed.
    :raises sqlite3.Error: the disk failed; nothing was changed.
    """
    with closing(_open_copy(path)) as source:
        try:
            _check(source, path, index)
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} is no copy of this store's metadata: {error}") from error
        source.backup(target, pages=PAGES_PER_STEP, progress=progress)


def _open_copy(path: str) -> sqlite3.Connection:
    """Open a file that nobody writes to: it is neither locked nor given a log beside it.

    :raises ValueError: there is none.
    """
    name = f"file:{quote(path)}?mode=ro&immutable=1"
    try:
        return sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise ValueError(f"{path} is no copy: {error}") from error


def _check(source: sqlite3.Connection, path: str, index: int) -> None:
    """Read all of it.

    :raises ValueError: it is not what it should be.
    :raises sqlite3.DatabaseError: it is damaged, or no database.
    """
    ((application,),) = source.execute("PRAGMA application_id").fetchall()
    ((version,),) = source.execute("PRAGMA user_version").fetchall()
    if (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
        raise ValueError(f"{path} is no copy of this version's metadata (schema {version})")
    if source.execute(OBJECTS).fetchall() != _objects():
        raise ValueError(f"{path} has other tables than this version's metadata")
    found = source.execute("PRAGMA quick_check(1)").fetchall()
    if found != [("ok",)]:
        raise ValueError(f"{path} is damaged: {found[0][0]}")
    mark = mark_of(source)
    if mark != index:
        raise ValueError(f"{path} stands at index {mark}, not at {index}")


def _objects() -> list[tuple[str, str, str, str | None]]:
    """The tables and indexes of a new database, as SQLite describes them."""
    connection = sqlite3.connect(":memory:")
    try:
        for statement in TABLES:
            connection.execute(statement)
        return connection.execute(OBJECTS).fetchall()
    finally:
        connection.close()
