"""The database of a log: one row for each entry, one record for everything else.

    entries   number, term, kind, checksum, data     the log, and what compaction has not yet taken
    record    one row                                :class:`Record`, in MessagePack, and a checksum

Checksums are CRC-32C; that of an entry covers its index, term, kind and data.  Every row is
verified when it is read, and the whole log when it is opened: that every entry is there, from
the snapshot to the last one that was saved, and that terms do not decrease.  SQLite itself keeps
checksums of its write-ahead log, but none of the database.

Pragmas, with reasons (the measurements are in tests/bench/bench_log.py):

- ``journal_mode=WAL``, ``synchronous=FULL``: a save is one append and one fdatasync.
- Pages of 4 KiB: larger ones write up to twice as much for entries of 4 KiB, in no less time.
- ``wal_autocheckpoint=0``: ``log_checkpoints`` decides when, so that no save pays for one.

Knows no thread and no reactor.  Everything here may block.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct as Layout
from struct import error as StructError

import msgspec
from awscrt.checksums import crc32c
from msgspec import Struct

from bleepstore.cluster.unusable import DamagedLog, UnusableLog
from bleepstore.files import SQLITE_SYNCS, make_directories, sync_directory
from bleepstore.raft.effects import HardState
from bleepstore.raft.messages import Entry, EntryKind, SnapshotMark

APPLICATION_ID = 0x426C5261
"""``BlRa``: marks the file as a log of ours (``PRAGMA application_id``)."""

FORMAT = 1
"""Kept in ``PRAGMA user_version``."""

CACHE_KIB = 4096
_HEAD = Layout("<QQB")

_TABLES = (
    """CREATE TABLE entries (
        number INTEGER PRIMARY KEY,
        term INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        data BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE record (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        data BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT""",
)
_SELECT = "SELECT number, term, kind, checksum, data FROM entries"

Row = tuple[int, int, int, int, bytes]


class Record(Struct, frozen=True, array_like=True):
    """All that is kept beside the entries.  A field that is added later has a default.

    :ivar log_id: see ``Identity``.
    :ivar cluster_id: empty while the node has not joined one.
    :ivar incarnation: how often the file was opened.
    :ivar snapshot: the log begins behind it; rows up to it are only waiting to be deleted.
    :ivar last_index: of the last entry, so that one that is missing at the end is missed.
    :ivar saves: how often this record was saved.
    :ivar founders: see ``Identity``.
    """

    node_id: str
    log_id: str
    cluster_id: str = ""
    incarnation: int = 0
    hard_state: HardState = HardState()
    commit: int = 0
    snapshot: SnapshotMark = SnapshotMark()
    last_index: int = 0
    saves: int = 0
    founders: dict[str, str] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


class LogFile:
    """The file: a connection that writes, and one that reads what was committed.

    Each connection is used by one thread at a time.
    """

    def __init__(self, path: str) -> None:
        """Open, and create if there is none, with its directory; for its owner's eyes alone.

        :raises UnusableLog: it cannot serve.
        """
        self.path = os.path.abspath(path)
        connections: list[sqlite3.Connection] = []
        try:
            _create(self.path)
            connections.append(_connect(self.path))
            self._writer = connections[0]
            self._writer.execute("PRAGMA busy_timeout = 5000")
            self.is_new = not self._is_ours()
            ((mode,),) = self._writer.execute("PRAGMA journal_mode = WAL").fetchall()
            if mode != "wal":
                raise UnusableLog(f"{self.path}: its file system has no shared memory for WAL")
            connections.append(_connect(self.path))
            self._reader = connections[1]
            self._reader.execute("PRAGMA query_only = ON")
            self._reader.execute("PRAGMA busy_timeout = 5000")
        except BaseException as error:
            for each in connections:
                each.close()
            if isinstance(error, OSError):
                raise UnusableLog(f"{self.path}: {error.strerror}") from error
            if isinstance(error, sqlite3.Error):
                raise self._explained(error) from error
            if isinstance(error, UnicodeDecodeError):  # of SQLite's message: it quotes the schema
                raise DamagedLog(self.path, "its schema cannot be read") from error
            raise
        self._synced = True

    def settle(self) -> None:
        """Copy the write-ahead log into the database, durably, and empty it.

        At a start, before anything is promised: if a sync failed, and the process ended for that,
        the page cache has what the disk has not, and calls it clean.  A later sync of the log
        succeeds without it; a power cut would leave the log's end without its middle.

        :raises sqlite3.Error: the disk is full, or fails.
        """
        self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def open_checkpointer(self) -> sqlite3.Connection:
        """A connection for checkpoints alone."""
        return _connect(self.path)

    def close(self) -> None:
        """Close both connections.  The last one of all to close empties the write-ahead log."""
        self._reader.close()
        self._writer.close()

    # Writing

    def create(self, record: Record) -> None:
        """Make the tables, with a first record."""
        self._writer.execute("BEGIN IMMEDIATE")
        for statement in _TABLES:
            self._writer.execute(statement)
        self._writer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._writer.execute(f"PRAGMA user_version = {FORMAT}")
        self._writer.execute("INSERT INTO record VALUES (1, x'', 0)")
        self.put(record)
        self.commit()

    def begin(self, *, durable: bool) -> None:
        """Begin a transaction.

        :param durable: whether its commit waits for the disk; otherwise that of the next durable
            one does, since the write-ahead log keeps their order.
        """
        if durable != self._synced:
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._synced = durable
        self._writer.execute("BEGIN IMMEDIATE")

    def put(self, record: Record) -> None:
        """Replace the record."""
        data = _encoder.encode(record)
        self._writer.execute(
            "UPDATE record SET data = ?, checksum = ? WHERE one = 1", (data, crc32c(data))
        )

    def cut(self, number: int) -> None:
        """Delete the entries from one on."""
        self._writer.execute("DELETE FROM entries WHERE number >= ?", (number,))

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries behind the last one."""
        self._writer.executemany(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?)",
            [
                (entry.index, entry.term, entry.kind, _checksum_of(entry), entry.data)
                for entry in entries
            ],
        )

    def drop(self, low: int, high: int) -> None:
        """Delete the entries ``low`` to ``high`` - 1; the file does not shrink, but re-uses."""
        self._writer.execute("DELETE FROM entries WHERE number >= ? AND number < ?", (low, high))

    def commit(self) -> None:
        """End the transaction.

        ``Connection.commit`` lets go of the interpreter's lock once, where executing ``COMMIT``
        does so four times; but it is silent where SQLite has ended the transaction by itself.

        :raises sqlite3.Error: the disk failed, or there is no transaction any more.
        """
        if not self._writer.in_transaction:
            raise sqlite3.OperationalError("the transaction was ended by SQLite")
        self._writer.commit()

    def roll_back(self) -> None:
        """Undo the transaction, if there is one."""
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    # Reading

    def record(self) -> Record:
        """What is kept beside the entries.

        :raises DamagedLog: it is not there, or not what was written.
        """
        try:
            rows = self._reader.execute("SELECT data, checksum FROM record").fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error
        if len(rows) != 1:
            raise DamagedLog(self.path, "its record is missing")
        ((data, checksum),) = rows
        if not isinstance(data, bytes) or crc32c(data) != checksum:
            raise DamagedLog(self.path, "its record does not match its checksum")
        try:
            return _decoder.decode(data)
        except msgspec.MsgspecError as error:
            raise DamagedLog(self.path, f"its record cannot be read ({error})") from error

    def first(self) -> int | None:
        """Number of the first row there is."""
        try:
            ((number,),) = self._reader.execute("SELECT min(number) FROM entries").fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error
        return number  # type: ignore[no-any-return]  # an INTEGER column

    def read(self, low: int, high: int, max_bytes: int) -> Sequence[Entry]:
        """Entries ``low`` to ``high`` - 1, at least one, then as many as ``max_bytes`` allow.

        :raises DamagedLog: one is missing, or does not match its checksum.
        """
        found: list[Entry] = []
        size = 0
        for entry in self._verified(low, high):
            size += len(entry.data)
            if found and size > max_bytes:
                break
            found.append(entry)
        if not found:
            raise DamagedLog(self.path, f"entry {low} is missing")
        return found

    def scan(self, first: int, last: int) -> Iterator[Entry]:
        """Entries ``first`` to ``last``, a row at a time, all of them.

        :raises DamagedLog: one is missing, there is one behind ``last``, or one does not match
            its checksum.
        """
        index = first - 1
        for entry in self._verified(first, 1 << 62):
            index = entry.index
            yield entry
        if index != last:
            raise DamagedLog(self.path, f"it ends at entry {index} instead of {last}")

    def _verified(self, low: int, high: int) -> Iterator[Entry]:
        try:
            # Closed when this is left, for an unfinished statement would hold up checkpoints.
            rows = self._reader.execute(
                f"{_SELECT} WHERE number >= ? AND number < ? ORDER BY number", (low, high)
            )
            try:
                for number, row in enumerate(rows, low):
                    yield self._entry(row, number)
            finally:
                rows.close()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _entry(self, row: Row, number: int) -> Entry:
        index, term, kind, checksum, data = row
        if index != number:
            raise DamagedLog(self.path, f"entry {number} is missing")
        try:
            entry = Entry(index, term, EntryKind(kind), data)
            intact = _checksum_of(entry) == checksum
        except (ValueError, TypeError, StructError):  # no such kind, or another type
            intact = False
        if not intact:
            raise DamagedLog(self.path, f"entry {number} does not match its checksum")
        return entry

    def _is_ours(self) -> bool:
        """Whether the tables are there; False: the database is empty."""
        ((application,),) = self._writer.execute("PRAGMA application_id").fetchall()
        ((version,),) = self._writer.execute("PRAGMA user_version").fetchall()
        ((tables,),) = self._writer.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        if not tables and not application:
            return False
        if application != APPLICATION_ID:
            raise UnusableLog(f"{self.path} is a database, but no log of a cluster")
        if version != FORMAT:
            age = "a newer" if version > FORMAT else "an older"
            raise UnusableLog(
                f"{self.path} was written by {age} version of BleepStore "
                f"(format {version}; this one knows {FORMAT})"
            )
        return True

    def _explained(self, error: sqlite3.Error) -> UnusableLog:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return DamagedLog(self.path, str(error))
        return UnusableLog(f"{self.path}: {error}")


def _checksum_of(entry: Entry) -> int:
    head = _HEAD.pack(entry.index, entry.term, entry.kind)
    checksum: int = crc32c(entry.data, crc32c(head))
    return checksum


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    for pragma in (
        "synchronous = FULL",
        *SQLITE_SYNCS,
        "wal_autocheckpoint = 0",
        "secure_delete = OFF",
        f"cache_size = -{CACHE_KIB}",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _create(path: str) -> None:
    """Make the directory and an empty file, durably."""
    parent = os.path.dirname(path)
    make_directories(parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    sync_directory(parent)
