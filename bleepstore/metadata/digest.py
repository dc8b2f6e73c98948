"""A hash of everything a database holds, by content: equal for equal histories.

Rows are hashed in the order of their keys, so pages, free space and the grouping of commands
make no difference.  The mark is left out for the same reason.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from bleepstore.metadata.reader import Reader

TABLES: dict[str, str] = {
    "state": "name",
    "buckets": "name",
    "versions": "bucket_id, key, seq",
    "contents": "content_id",
    "shares": "content_id",
    "blobs": "blob_id",
    "released": "blob_id",
    "uploads": "upload_id",
    "parts": "upload_id, number",
    "credentials": "access_key",
    "epochs": "number",
    "sessions": "origin",
    "intents": "intent_id",
}
"""Every table and its primary key."""

UNSAID = {"versions": "inline"}
"""Columns that only tell again what another table says, and may not have been filled in."""


def digest(reader: Reader) -> str:
    """BLAKE2b of all rows, in hex.  Reads the whole database in one snapshot."""
    encode = msgspec.msgpack.Encoder().encode
    total = blake2b(digest_size=32)
    reader.execute("BEGIN")
    try:
        for table, order in TABLES.items():
            total.update(encode(table))
            where = " WHERE name != 'mark'" if table == "state" else ""
            columns = ", ".join(
                name
                for _, name, *_ in reader.execute(f"PRAGMA table_info({table})")
                if name != UNSAID.get(table)
            )
            for row in reader.execute(f"SELECT {columns} FROM {table}{where} ORDER BY {order}"):
                total.update(encode(row))
    finally:
        reader.execute("ROLLBACK")
    return total.hexdigest()
