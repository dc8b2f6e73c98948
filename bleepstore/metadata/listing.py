"""Pages of keys by loose index scan: the cost is that of the entries returned.

Below a common prefix nothing is read but its first key: the scan seeks past the rest.  So a
page of 1,000 prefixes costs about 1,000 seeks, whatever lies below them.  Versions that are not
current are stepped over in the same way when there are many.

Bounds are bytes, compared by memcmp.  Prefixes and delimiters are UTF-8, whose bytes are at most
0xF4; so the successor of all that starts with one is found by adding 1 to its last byte, always.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bleepstore.errors import NoSuchBucket
from bleepstore.metadata.reader import Reader
from bleepstore.metadata.records import LISTED_COLUMNS, decode_upload, listed_of
from bleepstore.model.listing import ObjectPage, UploadPage
from bleepstore.model.objects import ListedObject, Upload

BUCKET_ID = "SELECT id FROM buckets WHERE name = ?"
SCAN_KEYS = (
    f"SELECT {LISTED_COLUMNS} FROM versions"
    " WHERE bucket_id = ? AND key >= ? AND key < ? ORDER BY key, seq"
)
SCAN_UPLOADS = (
    "SELECT key, record FROM uploads INDEXED BY uploads_by_key"
    " WHERE bucket_id = ? AND key >= ? AND key < ? ORDER BY key, initiated, upload_id"
)
UPLOADS_OF_KEY = (
    "SELECT record FROM uploads INDEXED BY uploads_by_key"
    " WHERE bucket_id = ? AND key = ? ORDER BY initiated, upload_id"
)

_OLDER_VERSIONS_READ = 8
"""Rows of older versions that are read before a seek to the next key is cheaper."""

_BEYOND_ALL = b"\xff"  # no UTF-8 has this byte


def list_objects(
    reader: Reader, bucket: str, prefix: str, delimiter: str, after: str, limit: int
) -> ObjectPage:
    """See :class:`IMetadataReader`."""
    reader.execute("BEGIN")  # one snapshot for all seeks
    try:
        bucket_id = _bucket_id(reader, bucket)
        if limit <= 0:
            return ObjectPage()
        objects: list[ListedObject] = []
        prefixes: list[str] = []
        left = limit
        last = b""
        scan = _Scan(reader, SCAN_KEYS, bucket_id, prefix, delimiter)
        for key, row in scan.entries(scan.start_after(after), one_per_key=True):
            if not left:
                return ObjectPage(tuple(objects), tuple(prefixes), last.decode())
            left -= 1
            last = key
            if row is None:
                prefixes.append(key.decode())
            else:
                objects.append(listed_of(row))
        return ObjectPage(tuple(objects), tuple(prefixes))
    finally:
        reader.execute("ROLLBACK")


def list_uploads(
    reader: Reader,
    bucket: str,
    prefix: str,
    delimiter: str,
    after_key: str,
    after_upload_id: str,
    limit: int,
) -> UploadPage:
    """See :class:`IMetadataReader`."""
    reader.execute("BEGIN")
    try:
        bucket_id = _bucket_id(reader, bucket)
        if limit <= 0:
            return UploadPage()
        scan = _Scan(reader, SCAN_UPLOADS, bucket_id, prefix, delimiter)
        page = _UploadPageBuilder(limit)
        if after_upload_id and scan.lists(after_key):
            for upload in _uploads_after(reader, bucket_id, after_key, after_upload_id):
                if not page.add(upload):
                    return page.build(more=True)
        for key, row in scan.entries(scan.start_after(after_key)):
            if not page.add(key.decode() if row is None else decode_upload(row[1])):
                return page.build(more=True)
        return page.build(more=False)
    finally:
        reader.execute("ROLLBACK")


class _UploadPageBuilder:
    def __init__(self, limit: int) -> None:
        self._left = limit
        self._uploads: list[Upload] = []
        self._prefixes: list[str] = []
        self._next = ("", "")

    def add(self, entry: Upload | str) -> bool:
        """Take an upload or a common prefix; False if the page is full."""
        if not self._left:
            return False
        self._left -= 1
        if isinstance(entry, str):
            self._prefixes.append(entry)
            self._next = (entry, "")
        else:
            self._uploads.append(entry)
            self._next = (entry.key, entry.upload_id)
        return True

    def build(self, more: bool) -> UploadPage:
        return UploadPage(
            tuple(self._uploads), tuple(self._prefixes), *(self._next if more else ("", ""))
        )


def _uploads_after(reader: Reader, bucket_id: int, key: str, upload_id: str) -> list[Upload]:
    """The uploads of a key after a given one.

    If that one has ended meanwhile its place is unknown, and all of the key are given: a client
    that aborts what it lists may see one twice, but misses none.
    """
    rows = reader.execute(UPLOADS_OF_KEY, (bucket_id, key.encode())).fetchall()
    uploads = [decode_upload(raw) for (raw,) in rows]
    for number, upload in enumerate(uploads, 1):
        if upload.upload_id == upload_id:
            return uploads[number:]
    return uploads


class _Scan:
    """A walk over the keys under a prefix, with those that share a delimiter rolled up."""

    def __init__(
        self, reader: Reader, sql: str, bucket_id: int, prefix: str, delimiter: str
    ) -> None:
        """:param sql: gives rows that begin with the key, from a first key to before a last."""
        self._execute = reader.execute
        self._sql = sql
        self._bucket_id = bucket_id
        self._prefix = prefix.encode()
        self._delimiter = delimiter.encode()
        self._end = _successor(self._prefix) if prefix else _BEYOND_ALL

    def lists(self, key: str) -> bool:
        """Whether a key is an entry of its own here: under the prefix, in no common prefix."""
        raw = key.encode()
        return raw.startswith(self._prefix) and self._common_prefix(raw) is None

    def start_after(self, after: str) -> bytes:
        """The first key to look at, so that only greater keys and common prefixes follow."""
        raw = after.encode()
        if not raw or raw < self._prefix:
            return self._prefix
        if raw.startswith(self._prefix) and (common := self._common_prefix(raw)) is not None:
            return _successor(common)  # it is not greater than what lies in or equals it
        return raw + b"\0"

    def entries(
        self, start: bytes, one_per_key: bool = False
    ) -> Iterator[tuple[bytes, tuple[Any, ...] | None]]:
        """Keys with their rows, and common prefixes with None, ascending.

        :param one_per_key: only the first row of each key: its newest version.
        """
        delimiter, skip, width = self._delimiter, len(self._prefix), len(self._delimiter)
        previous = b""
        older = 0
        while True:
            for row in self._execute(self._sql, (self._bucket_id, start, self._end)):
                key: bytes = row[0]
                if delimiter and (at := key.find(delimiter, skip)) >= 0:
                    common = key[: at + width]
                    yield common, None
                    start = _successor(common)
                    break
                if one_per_key:
                    if key == previous:
                        older += 1
                        if older == _OLDER_VERSIONS_READ:
                            start = key + b"\0"
                            break
                        continue
                    previous, older = key, 0
                yield key, row
            else:
                return

    def _common_prefix(self, key: bytes) -> bytes | None:
        if not self._delimiter:
            return None
        at = key.find(self._delimiter, len(self._prefix))
        return None if at < 0 else key[: at + len(self._delimiter)]


def _successor(prefix: bytes) -> bytes:
    """The least bytes greater than everything that starts with ``prefix``."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def _bucket_id(reader: Reader, bucket: str) -> int:
    row = reader.execute(BUCKET_ID, (bucket,)).fetchone()
    if row is None:
        raise NoSuchBucket(BucketName=bucket)
    bucket_id: int = row[0]
    return bucket_id
