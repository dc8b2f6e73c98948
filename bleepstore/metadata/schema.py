"""The tables, and the version of them that a file holds.

Keys are BLOBs of UTF-8, so that SQLite's order (memcmp) is S3's, and NULs may occur.  Values
that SQL never looks into are MessagePack (``records``).  Every table is STRICT.  There are no
sequences and no row ids that SQLite chooses: ids come from ``state``, so that the same commands
give the same rows on every replica.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

APPLICATION_ID = 0x426C5053
"""``BlPS``: marks the file as ours (``PRAGMA application_id``, ``file(1)``)."""

SCHEMA_VERSION = 2
"""Kept in ``PRAGMA user_version``.  It also versions the stored form of the records.

1: the embedded store; 2: the tables ``sessions``, for a replicated one, and ``intents``, for one
whose bytes are in a cloud; and ``versions.inline``.
"""

COUNTERS = ("buckets", "objects", "next_bucket", "next_content")
"""The rows of ``state`` that always exist."""

SESSIONS = """CREATE TABLE sessions (
    origin TEXT PRIMARY KEY,
    incarnation INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    applied BLOB NOT NULL
) STRICT, WITHOUT ROWID"""
"""Which proposals of a node were applied (``sessions``); empty in an embedded store."""

INTENTS = """CREATE TABLE intents (
    intent_id TEXT PRIMARY KEY,
    bucket_id INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID"""
"""Writes under way in a cloud (``model.intents``); empty in a store that has its own blobs."""

INLINE = "inline INTEGER NOT NULL DEFAULT 0"
"""Whether the manifest of a version is known to name no blob, so that it can be deleted unseen.

Version 1 did not keep it, and to find it out would be to read all manifests: 0 says nothing."""

TABLES = (
    # Counters, exact and read in constant time, and the mark of the last applied group.
    """CREATE TABLE state (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE buckets (
        name TEXT PRIMARY KEY,
        id INTEGER NOT NULL,
        owner_id TEXT NOT NULL,
        record BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX buckets_by_owner ON buckets (owner_id, name)",
    # seq counts down from 0: the newest version of a key comes first, one seek away.
    f"""CREATE TABLE versions (
        bucket_id INTEGER NOT NULL,
        key BLOB NOT NULL,
        seq INTEGER NOT NULL,
        version_id TEXT NOT NULL,
        content_id INTEGER NOT NULL,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        last_modified INTEGER NOT NULL,
        owner_id TEXT NOT NULL,
        storage_class TEXT NOT NULL,
        checksum_kind INTEGER NOT NULL,
        checksum TEXT NOT NULL,
        part_count INTEGER NOT NULL,
        upload_id TEXT NOT NULL,
        acl BLOB NOT NULL,
        description BLOB NOT NULL, {INLINE},
        PRIMARY KEY (bucket_id, key, seq)
    ) STRICT, WITHOUT ROWID""",
    # A manifest, and how many versions beside the first one share it (no row: none).  The
    # count is apart, so that a copy does not rewrite the manifest of 10,000 parts.
    """CREATE TABLE contents (
        content_id INTEGER PRIMARY KEY,
        manifest BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE shares (
        content_id INTEGER PRIMARY KEY,
        others INTEGER NOT NULL
    ) STRICT""",
    # How many extents of contents and parts name a blob; it moves to released at 0.
    """CREATE TABLE blobs (
        blob_id TEXT PRIMARY KEY,
        refs INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE released (
        blob_id TEXT PRIMARY KEY
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE uploads (
        upload_id TEXT PRIMARY KEY,
        bucket_id INTEGER NOT NULL,
        key BLOB NOT NULL,
        initiated INTEGER NOT NULL,
        record BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX uploads_by_key ON uploads (bucket_id, key, initiated, upload_id)",
    "CREATE INDEX uploads_by_time ON uploads (initiated, upload_id)",
    """CREATE TABLE parts (
        upload_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        last_modified INTEGER NOT NULL,
        checksum_kind INTEGER NOT NULL,
        checksum TEXT NOT NULL,
        extents BLOB NOT NULL,
        PRIMARY KEY (upload_id, number)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE credentials (
        access_key TEXT PRIMARY KEY,
        record BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE epochs (
        number INTEGER PRIMARY KEY,
        node_id TEXT NOT NULL,
        opened INTEGER NOT NULL
    ) STRICT""",
    SESSIONS,
    INTENTS,
)

UPGRADES: dict[int, tuple[str, ...]] = {
    1: (SESSIONS, INTENTS, f"ALTER TABLE versions ADD COLUMN {INLINE}"),
}
"""What makes a file of a version one of the next."""


class UnusableDatabase(Exception):
    """The file cannot serve as a metadata database; the message says why, for the operator."""


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Create the tables in an empty database, or bring those of an earlier version up to date.

    One transaction, so a crash leaves the old file or the new one.  Two processes that open a
    file at once are put in order by the write lock.

    :param path: for messages.
    :raises UnusableDatabase: it belongs to another program, or to a later version of this one.
    """
    if schema_version_of(connection, path) == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = schema_version_of(connection, path)
        if not version:
            for statement in TABLES:
                connection.execute(statement)
            connection.executemany(
                "INSERT INTO state VALUES (?, 0)", [(name,) for name in COUNTERS]
            )
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        else:
            for older in range(version, SCHEMA_VERSION):
                for statement in UPGRADES[older]:
                    connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def require_columns(connection: sqlite3.Connection, path: str) -> None:
    """See that no column is missing: between two releases the tables of one version may change.

    :raises UnusableDatabase: one is, and requests would fail for the want of it.
    """
    with closing(sqlite3.connect(":memory:")) as model:
        for statement in TABLES:
            model.execute(statement)
        missing = sorted(_columns(model) - _columns(connection))
    if missing:
        raise UnusableDatabase(
            f"{path} was written by an unfinished version of BleepStore: it has no "
            f"{'.'.join(missing[0])}"
        )


def _columns(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Table and name of each column."""
    return set(
        connection.execute(
            "SELECT tables.name, columns.name FROM sqlite_schema AS tables, "
            "pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"
        )
    )


def require_readable(connection: sqlite3.Connection) -> None:
    """Look at the first row of every table: a badly damaged file is found out at once, not by the
    first client who needs it.  What lies deeper, ``PRAGMA integrity_check`` finds.

    :raises sqlite3.DatabaseError: it is damaged.
    """
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (name,) in tables:
        connection.execute(f"SELECT * FROM {name} LIMIT 1").fetchall()


def schema_version_of(connection: sqlite3.Connection, path: str) -> int:
    """The version of the tables, at most :data:`SCHEMA_VERSION`; 0: the database is empty.

    :raises UnusableDatabase: it belongs to another program, or to a version that this one cannot
        bring up to date.
    """
    ((application,),) = connection.execute("PRAGMA application_id").fetchall()
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    if not tables and not application:
        return 0
    if application != APPLICATION_ID:
        raise UnusableDatabase(f"{path} is a database of another program")
    if version != SCHEMA_VERSION and version not in UPGRADES:
        age = "a newer" if version > SCHEMA_VERSION else "an older"
        raise UnusableDatabase(
            f"{path} was written by {age} version of BleepStore "
            f"(schema {version}; this one knows {SCHEMA_VERSION})"
        )
    return int(version)
