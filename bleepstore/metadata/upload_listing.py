"""Pages of uploads in progress: a loose scan as for objects, but with several entries a key.

Rare and short, so plainly written: row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bleepstore.metadata.bounds import Bounds, successor
from bleepstore.metadata.listing import bucket_id_of
from bleepstore.metadata.reader import Reader
from bleepstore.metadata.records import decode_upload
from bleepstore.model.listing import UploadPage
from bleepstore.model.objects import Upload

SCAN_UPLOADS = (
    "SELECT key, record FROM uploads INDEXED BY uploads_by_key"
    " WHERE bucket_id = ? AND key >= ? AND key < ? ORDER BY key, initiated, upload_id"
)
UPLOADS_OF_KEY = (
    "SELECT record FROM uploads INDEXED BY uploads_by_key"
    " WHERE bucket_id = :bucket AND key = :key AND (initiated, upload_id) > (:initiated, :upload)"
    " ORDER BY initiated, upload_id LIMIT :limit"
)
INITIATED = "SELECT initiated FROM uploads WHERE upload_id = ? AND bucket_id = ? AND key = ?"

_BEFORE_ALL = {"initiated": -1, "upload": ""}


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
    reader.execute("BEGIN")  # one snapshot for all seeks
    try:
        bucket_id = bucket_id_of(reader, bucket)
        if limit <= 0:
            return UploadPage()
        bounds = Bounds(prefix, delimiter)
        marker = after_key.encode()
        page = _Page(limit)
        if after_upload_id and bounds.has_entry(marker):
            for upload in _uploads_after(reader, bucket_id, marker, after_upload_id, limit + 1):
                if not page.add(upload):
                    return page.build(more=True)
        for common, row in _entries(reader, bucket_id, bounds, bounds.start_after(marker)):
            if not page.add(decode_upload(row[1]) if common is None else common.decode()):
                return page.build(more=True)
        return page.build(more=False)
    finally:
        reader.execute("ROLLBACK")


class _Page:
    """A page being filled."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._uploads: list[Upload] = []
        self._prefixes: list[str] = []
        self._last = ("", "")

    def add(self, entry: Upload | str) -> bool:
        """Take an upload or a common prefix; False if the page is full."""
        if not self._left:
            return False
        self._left -= 1
        if isinstance(entry, str):
            self._prefixes.append(entry)
            self._last = (entry, "")
        else:
            self._uploads.append(entry)
            self._last = (entry.key, entry.upload_id)
        return True

    def build(self, more: bool) -> UploadPage:
        """:param more: whether entries follow that did not fit."""
        next_key, next_upload_id = self._last if more else ("", "")
        return UploadPage(tuple(self._uploads), tuple(self._prefixes), next_key, next_upload_id)


def _entries(
    reader: Reader, bucket_id: int, bounds: Bounds, start: bytes
) -> Iterator[tuple[bytes | None, tuple[Any, ...]]]:
    """Rows, each with the common prefix that stands for it and all others of that prefix."""
    while True:
        for row in reader.execute(SCAN_UPLOADS, (bucket_id, start, bounds.end)):
            common = bounds.common_prefix(row[0])
            yield common, row
            if common is not None:
                start = successor(common)
                break
        else:
            return


def _uploads_after(
    reader: Reader, bucket_id: int, key: bytes, upload_id: str, limit: int
) -> list[Upload]:
    """The uploads of a key after a given one, ``limit`` at most.

    If that one has ended meanwhile its place is unknown, and all of the key are given: a client
    that aborts what it lists may see one twice, but misses none.
    """
    found = reader.execute(INITIATED, (upload_id, bucket_id, key)).fetchone()
    after = {"initiated": found[0], "upload": upload_id} if found else _BEFORE_ALL
    rows = reader.execute(
        UPLOADS_OF_KEY, {"bucket": bucket_id, "key": key, "limit": limit, **after}
    ).fetchall()
    return [decode_upload(raw) for (raw,) in rows]
