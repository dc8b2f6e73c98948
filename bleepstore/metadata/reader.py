"""Point reads and small lists: one prepared statement each, by index.

A Reader belongs to one connection, and so to one thread at a time.  It fetches every statement
to its end, so that it never keeps a snapshot open by itself (which would keep the write-ahead log
from being emptied).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import msgspec

from bleepstore.errors import NoSuchBucket, NoSuchUpload, ServiceUnavailable
from bleepstore.interfaces.metadata import ObjectLookup, Totals
from bleepstore.metadata.records import (
    VERSION_COLUMNS,
    access_of,
    decode_bucket,
    decode_credential,
    decode_extents,
    decode_intent,
    decode_manifest,
    decode_upload,
    part_of,
    version_of,
)
from bleepstore.metadata.snapshot import KnownBucket, Snapshot
from bleepstore.model.accounts import Credential
from bleepstore.model.intents import Intent
from bleepstore.model.listing import BucketPage, PartPage
from bleepstore.model.objects import Bucket, PlacedPart, Upload

_FROM = " FROM buckets b LEFT JOIN versions v ON v.bucket_id = b.id AND v.key = ?1"
_CONTENT = " LEFT JOIN contents c ON c.content_id = v.content_id"
_CURRENT = " WHERE b.name = ?2 ORDER BY v.seq LIMIT 1"

GET_OBJECT = f"SELECT {VERSION_COLUMNS}, b.id, b.record{_FROM}{_CURRENT}"
GET_OBJECT_WITH_MANIFEST = (
    f"SELECT {VERSION_COLUMNS}, c.manifest, b.id, b.record{_FROM}{_CONTENT}{_CURRENT}"
)
GET_OBJECT_OF_BUCKET = (
    f"SELECT {VERSION_COLUMNS}, c.manifest FROM versions v{_CONTENT}"
    " WHERE v.bucket_id = ?1 AND v.key = ?2 ORDER BY v.seq LIMIT 1"
)
"""For a bucket that is known of the same snapshot."""

GET_VERSION = (
    f"SELECT {VERSION_COLUMNS}, c.manifest, b.id, b.record{_FROM} AND v.version_id = ?3{_CONTENT}"
    " WHERE b.name = ?2 LIMIT 1"
)
GET_BUCKET = "SELECT id, record FROM buckets WHERE name = ?"
GET_UPLOAD = "SELECT record FROM uploads WHERE upload_id = ?"
GET_CREDENTIAL = "SELECT record FROM credentials WHERE access_key = ?"
LIST_BUCKETS = (
    "SELECT record FROM buckets INDEXED BY buckets_by_owner"
    " WHERE owner_id = ? AND name > ? AND name >= ? ORDER BY name LIMIT ?"
)
NEXT_OWNER = "SELECT min(owner_id) FROM buckets INDEXED BY buckets_by_owner WHERE owner_id > ?"
LIST_PARTS = (
    "SELECT group_concat("
    "json_array(number, size, etag, last_modified, checksum_kind, checksum), ',')"
    " FROM (SELECT number, size, etag, last_modified, checksum_kind, checksum FROM parts"
    " WHERE upload_id = ? AND number > ? ORDER BY number LIMIT ?) n"
)
"""A page as one row, for the reason that ``listing`` gives."""

STALE_UPLOADS = (
    "SELECT record FROM uploads INDEXED BY uploads_by_time"
    " WHERE initiated < ? ORDER BY initiated, upload_id LIMIT ?"
)
PART_EXTENTS = (
    "SELECT number, extents FROM parts WHERE upload_id = ? AND number > ? ORDER BY number LIMIT ?"
)
INTENTS = "SELECT record FROM intents WHERE intent_id > ? ORDER BY intent_id LIMIT ?"
IS_RELEASED = "SELECT 1 FROM released WHERE blob_id = ?"
RELEASED_BLOBS = "SELECT blob_id FROM released ORDER BY blob_id LIMIT ?"
REFERENCED_BLOBS = "SELECT blob_id FROM blobs WHERE blob_id IN (SELECT value FROM json_each(?))"
LAST_EPOCH = "SELECT coalesce(max(number), 0) FROM epochs"
TOTALS = "SELECT name, value FROM state WHERE name IN ('buckets', 'objects') ORDER BY name"

_decode_parts = msgspec.json.Decoder(list[tuple[int, int, str, int, int, str]]).decode


class Reader:
    """Queries over one connection.

    :ivar execute: run one statement.
    """

    def __init__(self, connection: sqlite3.Connection, snapshot: Snapshot | None = None) -> None:
        """:param snapshot: of the same connection, where reads share one; else each has its own."""
        self._connection = connection
        self._snapshot = snapshot
        self.execute: Callable[..., sqlite3.Cursor] = (
            connection.execute if snapshot is None else snapshot.execute
        )

    def close(self) -> None:
        """Close the connection; every later query raises ServiceUnavailable."""
        self.execute = _refuse
        if self._snapshot is not None:
            self._snapshot.end()
        self._connection.close()

    def get_bucket(self, name: str) -> Bucket:
        """See :class:`IMetadataReader`."""
        return self._bucket(name)[1]

    def peek_bucket(self, name: str) -> tuple[Bucket, bytes]:
        """See :class:`IMetadataReader`, of a replica."""
        _, bucket, raw = self._bucket(name)
        return bucket, access_of(raw)

    def reusable_bytes(self) -> int:
        """See :class:`IMetadataReader`: the free pages of the file."""
        (pages,) = self.execute("PRAGMA freelist_count").fetchone()
        (size,) = self.execute("PRAGMA page_size").fetchone()
        return int(pages * size)

    def _bucket(self, name: str) -> KnownBucket:
        snapshot = self._snapshot
        if snapshot is not None and (known := snapshot.buckets.get(name)) is not None:
            return known
        row = self.execute(GET_BUCKET, (name,)).fetchone()
        if row is None:
            raise NoSuchBucket(BucketName=name)
        found = row[0], decode_bucket(row[1]), row[1]
        if snapshot is not None:
            snapshot.buckets[name] = found
        return found

    def list_buckets(self, owner_id: str, prefix: str, after: str, limit: int) -> BucketPage:
        """See :class:`IMetadataReader`."""
        rows = self.execute(LIST_BUCKETS, (owner_id, after, prefix, limit + 1)).fetchall()
        buckets = [decode_bucket(raw) for (raw,) in rows]
        matching = tuple(bucket for bucket in buckets if bucket.name.startswith(prefix))
        page = matching[:limit]
        more = len(matching) > limit and bool(page)
        return BucketPage(page, page[-1].name if more else "")

    def bucket_owners(self) -> Sequence[str]:
        """See :class:`IMetadataReader`."""
        found: list[str] = []
        while True:
            ((owner,),) = self.execute(NEXT_OWNER, (found[-1] if found else "",)).fetchall()
            if owner is None:
                return found
            found.append(owner)

    def get_object(
        self, bucket: str, key: str, version_id: str, with_manifest: bool
    ) -> ObjectLookup:
        """See :class:`IMetadataReader`."""
        snapshot = self._snapshot
        if version_id:
            cursor = self.execute(GET_VERSION, (key.encode(), bucket, version_id))
        elif not with_manifest:
            cursor = self.execute(GET_OBJECT, (key.encode(), bucket))
        elif snapshot is not None and (known := snapshot.buckets.get(bucket)) is not None:
            bucket_id, found, _ = known
            row = self.execute(GET_OBJECT_OF_BUCKET, (bucket_id, key.encode())).fetchone()
            if row is None:
                return ObjectLookup(found, None)
            return ObjectLookup(found, version_of(key, row[:12]), decode_manifest(row[12]))
        else:
            cursor = self.execute(GET_OBJECT_WITH_MANIFEST, (key.encode(), bucket))
        row = cursor.fetchone()
        if row is None:
            raise NoSuchBucket(BucketName=bucket)
        found = decode_bucket(row[-1])
        if snapshot is not None:
            snapshot.buckets[bucket] = (row[-2], found, row[-1])
        if row[0] is None:
            return ObjectLookup(found, None)
        manifest = decode_manifest(row[12]) if with_manifest else None
        return ObjectLookup(found, version_of(key, row[:12]), manifest)

    def get_upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """See :class:`IMetadataReader`."""
        row = self.execute(GET_UPLOAD, (upload_id,)).fetchone()
        if row is not None:
            upload = decode_upload(row[0])
            if upload.key == key and upload.bucket == bucket:
                return upload
        raise NoSuchUpload(UploadId=upload_id)

    def list_parts(self, upload_id: str, after: int, limit: int) -> PartPage:
        """See :class:`IMetadataReader`."""
        ((page,),) = self.execute(LIST_PARTS, (upload_id, after, limit + 1)).fetchall()
        rows = _decode_parts(f"[{page or ''}]")
        parts = tuple(map(part_of, rows[:limit]))
        more = len(rows) > limit and bool(parts)
        return PartPage(parts, parts[-1].number if more else 0)

    def part_extents(self, upload_id: str, after: int, limit: int) -> Sequence[PlacedPart]:
        """See :class:`IMetadataReader`."""
        rows = self.execute(PART_EXTENTS, (upload_id, after, limit)).fetchall()
        return [PlacedPart(number, decode_extents(raw)) for number, raw in rows]

    def intents(self, after: str, limit: int) -> Sequence[Intent]:
        """See :class:`IMetadataReader`."""
        rows = self.execute(INTENTS, (after, limit)).fetchall()
        return [decode_intent(raw) for (raw,) in rows]

    def stale_uploads(self, initiated_before: int, limit: int) -> Sequence[Upload]:
        """See :class:`IMetadataReader`."""
        rows = self.execute(STALE_UPLOADS, (initiated_before, limit)).fetchall()
        return [decode_upload(raw) for (raw,) in rows]

    def get_credential(self, access_key: str) -> Credential | None:
        """See :class:`IMetadataReader`."""
        row = self.execute(GET_CREDENTIAL, (access_key,)).fetchone()
        return None if row is None else decode_credential(row[0])

    def list_credentials(self) -> Sequence[Credential]:
        """See :class:`IMetadataReader`."""
        rows = self.execute("SELECT record FROM credentials ORDER BY access_key").fetchall()
        return [decode_credential(raw) for (raw,) in rows]

    def released_blobs(self, limit: int) -> Sequence[str]:
        """See :class:`IMetadataReader`."""
        return [blob_id for (blob_id,) in self.execute(RELEASED_BLOBS, (limit,)).fetchall()]

    def referenced_blobs(self, blob_ids: Sequence[str]) -> frozenset[str]:
        """See :class:`IMetadataReader`."""
        rows = self.execute(REFERENCED_BLOBS, (json.dumps(list(blob_ids)),)).fetchall()
        return frozenset(blob_id for (blob_id,) in rows)

    def is_released(self, blob_id: str) -> bool:
        """See :class:`IMetadataReader`."""
        return self.execute(IS_RELEASED, (blob_id,)).fetchone() is not None

    def last_epoch(self) -> int:
        """See :class:`IMetadataReader`."""
        ((number,),) = self.execute(LAST_EPOCH).fetchall()
        return int(number)

    def totals(self) -> Totals:
        """See :class:`IMetadataReader`."""
        (_, buckets), (_, objects) = self.execute(TOTALS).fetchall()
        return Totals(buckets, objects)


def _refuse(*_: Any) -> NoReturn:
    raise ServiceUnavailable("The store is stopping.")
