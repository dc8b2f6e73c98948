"""The database file of the SQLite blob store: schema, connections, transactions.

    blob   number, id, size       a finished blob, or (size -1) one that is being written
    chunk  number << 24 | index   256 KiB of a blob, the last one less

Writes of chunks are not synced one by one: the commit that finishes a blob is, and with it
everything before it in the write-ahead log.  Blobs that a crash left unfinished are removed when
the file is opened for service.  The file does not shrink; what is deleted makes room for new blobs.

A sync that fails is the last one.  The kernel gives up what it could not write, and calls it clean:
a later sync succeeds without it, and may have the end of the log without its middle.  So nothing is
written any more then, until a start has copied into the database, and synced there, what the log is
seen to hold.  It is also why checkpoints are asked for here: SQLite does not tell of those that it
makes by itself and that fail.

Runs in threads: everything here may block.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock

from twisted.logger import Logger

from bleepstore.blobs.disk import UnusableStore
from bleepstore.errors import InsufficientStorage, InternalError
from bleepstore.files import SQLITE_NO_ROOM, SQLITE_SYNCS, make_directories, sync_directory

CHUNK = 256 * 1024
"""Bytes of each chunk of a blob but the last."""

_APPLICATION = 0x426C6565  # "Blee", at its fixed place in the file's header
_FORMAT = 1
_INDEX_BITS = 24
_DELETE_STEP = 64  # chunks in one transaction
_PATIENCE_MS = 10_000
_CHECKPOINT = 16 * 1024 * 1024  # bytes of the log, about
_OVERHEAD = 4 * 16384  # bytes of the log that a transaction costs beside its chunks
_CACHE_KIB = 2048

_log = Logger()

_SCHEMA = f"""
PRAGMA page_size = 16384;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE blob (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL) STRICT;
CREATE TABLE chunk (place INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_FORMAT};
COMMIT;
"""


class Database:
    """One connection that writes, used by one thread at a time; as many that read as are needed.

    :raises UnusableStore: the file is something else, damaged, or of another format.
    :raises sqlite3.Error: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        make_directories(os.path.dirname(self._path))
        _create(self._path)
        self._readers: list[sqlite3.Connection] = []
        self._lock = Lock()
        self._open = True
        self._written = 0
        self._failure: sqlite3.Error | None = None
        self._writer = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            _configure(self._writer)
            if self._is_empty():
                self._writer.executescript(_SCHEMA)
                sync_directory(os.path.dirname(self._path))
            self._require_own()
            self._settle()
        except sqlite3.DatabaseError as error:
            self._writer.close()
            if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise
            raise UnusableStore(f"{self._path} is no database, or a damaged one") from error
        except BaseException:
            self._writer.close()
            raise

    def _is_empty(self) -> bool:
        """Whether the file is new, or a crash came before its schema was committed."""
        (tables,) = self._writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return not tables

    def _require_own(self) -> None:
        (application,) = self._writer.execute("PRAGMA application_id").fetchone()
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION:
            raise UnusableStore(f"{self._path} is a database, but no blob store")
        if version != _FORMAT:
            raise UnusableStore(f"{self._path} has format {version}; this version knows {_FORMAT}")

    def _settle(self) -> None:
        """Have the database what the log holds: of that a process which ended, since a sync failed,
        may have left what no disk has.  A full disk is no obstacle: then nothing can be added."""
        self._writer.execute("PRAGMA wal_autocheckpoint = 0")
        try:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in SQLITE_NO_ROOM:
                raise

    def require_sound(self) -> None:
        """:raises InternalError: a sync has failed."""
        if self._failure is not None:
            raise InternalError(
                "the blob store's disk failed, and nothing is written to it before the next start: "
                f"{self._failure}"
            )

    def close(self) -> None:
        """Close all connections; reads under way close theirs."""
        with self._lock:
            self._open = False
            readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()
        self._writer.close()

    # Changes: by one thread at a time

    def recover(self) -> None:
        """Remove the blobs that a crash left unfinished."""
        unfinished = self._writer.execute("SELECT number FROM blob WHERE size < 0").fetchall()
        for (number,) in unfinished:
            self.remove(number)

    def begin(self, blob_id: str) -> int:
        """Record that a blob will be written; gives its number.

        :raises InternalError: there is such a blob.
        """
        try:
            with self._transaction(durable=False) as connection:
                cursor = connection.execute(
                    "INSERT INTO blob (id, size) VALUES (?, -1)", (blob_id,)
                )
        except sqlite3.IntegrityError:
            raise InternalError(f"the blob {blob_id} exists already") from None
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def append(self, number: int, index: int, chunks: Iterable[bytes | bytearray]) -> int:
        """Add chunks to a blob from an index; gives the index behind them."""
        with self._transaction(durable=False) as connection:
            for chunk in chunks:
                place = number << _INDEX_BITS | index
                connection.execute("INSERT INTO chunk VALUES (?, ?)", (place, chunk))
                self._written += len(chunk)
                index += 1
        return index

    def finish(self, blobs: Iterable[tuple[int, int]]) -> None:
        """Finish blobs of (number, size) in one durable transaction."""
        with self._transaction(durable=True) as connection:
            connection.executemany(
                "UPDATE blob SET size = ? WHERE number = ?",
                [(size, number) for number, size in blobs],
            )

    def number_of(self, blob_id: str) -> int | None:
        """The number of a blob, finished or not."""
        row = self._writer.execute("SELECT number FROM blob WHERE id = ?", (blob_id,)).fetchone()
        return None if row is None else int(row[0])

    def remove(self, number: int) -> None:
        """Remove a blob, whatever its size."""
        while not self.remove_some(number):
            pass

    def remove_some(self, number: int) -> bool:
        """Remove a blob if it has few chunks, else some of them; gives whether it is gone.

        It is unfinished from the first step on, so that a crash between two leaves none half.
        """
        first, behind = number << _INDEX_BITS, (number + 1) << _INDEX_BITS
        with self._transaction(durable=False) as connection:
            connection.execute("UPDATE blob SET size = -1 WHERE number = ?", (number,))
            removed = connection.execute(
                "DELETE FROM chunk WHERE place IN "
                "(SELECT place FROM chunk WHERE place >= ? AND place < ? LIMIT ?)",
                (first, behind, _DELETE_STEP),
            ).rowcount
            if removed < _DELETE_STEP:
                connection.execute("DELETE FROM blob WHERE number = ?", (number,))
        return removed < _DELETE_STEP

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        self.require_sound()
        connection = self._writer
        with refusing(), self._watching():
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        self._written += _OVERHEAD
        if self._written >= _CHECKPOINT:
            self._checkpoint()

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """See a disk that fails."""
        try:
            yield
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode
            if code & 0xFF == sqlite3.SQLITE_IOERR and code not in SQLITE_NO_ROOM:
                self._failure = error
            raise

    def _checkpoint(self) -> None:
        """Copy the log into the database, after which it begins anew, unless somebody reads it."""
        self._written = 0
        try:
            with self._watching():
                self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.OperationalError as error:
            # What is committed stays in the log, and a failure ends all writing.
            _log.warn("The blob store's log could not be copied: {error}", error=error)

    # Queries: by any thread

    def find(self, blob_id: str) -> tuple[int, int] | None:
        """The number and size of a finished blob."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT number, size FROM blob WHERE id = ? AND size >= 0", (blob_id,)
            ).fetchone()
        return None if row is None else (row[0], row[1])

    def chunk(self, number: int, index: int) -> bytes | None:
        """One chunk of a blob; None if it is not there."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT data FROM chunk WHERE place = ?", (number << _INDEX_BITS | index,)
            ).fetchone()
        return None if row is None else bytes(row[0])

    def ids(self, after: int, limit: int) -> tuple[int, tuple[str, ...]]:
        """Blobs with numbers greater than ``after``, and the last one's number."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT number, id FROM blob WHERE number > ? AND size >= 0 "
                "ORDER BY number LIMIT ?",
                (after, limit),
            ).fetchall()
        return (rows[-1][0], tuple([row[1] for row in rows])) if rows else (after, ())

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if not self._open:
                raise InternalError("the blob store was stopped")
            connection = self._readers.pop() if self._readers else None
        fresh = connection is None
        if connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            if fresh:
                _configure(connection)
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if self._open:
                self._readers.append(connection)
                return
        connection.close()


def _create(path: str) -> None:
    """Make an empty file, for its owner alone; SQLite gives its others the mode of this one."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
    for pragma in (f"cache_size = -{_CACHE_KIB}", *SQLITE_SYNCS):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def refusing() -> Iterator[None]:
    """Turn SQLite's word for a full disk into the domain's.

    :raises InsufficientStorage: instead of SQLITE_FULL (ENOSPC), and of what the system refused
        for the file or its shared memory to grow (EDQUOT, EFBIG).
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in SQLITE_NO_ROOM:
            raise InsufficientStorage from error
        raise
