"""What metadata should hold, as plain dictionaries: the slow and obvious twin of the database."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import count

from bleepstore.errors import NoSuchBucket, NoSuchKey, NoSuchUpload, PreconditionFailed
from bleepstore.model.conditions import WriteConditions


@dataclass
class Stored:
    """An object: its ETag, its bytes' identity and the blobs that hold them."""

    etag: str
    size: int
    content: int
    blobs: tuple[str, ...]


@dataclass
class Model:
    """Buckets of objects, and uploads of parts."""

    buckets: dict[str, dict[str, Stored]] = field(default_factory=dict)
    uploads: dict[str, tuple[str, str, dict[int, tuple[str, ...]]]] = field(default_factory=dict)
    ever: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    contents: count[int] = field(default_factory=count)

    def objects(self, bucket: str) -> dict[str, Stored]:
        if bucket not in self.buckets:
            raise NoSuchBucket
        return self.buckets[bucket]

    def parts(self, bucket: str, key: str, upload_id: str) -> dict[int, tuple[str, ...]]:
        found = self.uploads.get(upload_id)
        if found is None or found[:2] != (bucket, key):
            raise NoSuchUpload
        return found[2]

    def put(
        self,
        bucket: str,
        key: str,
        etag: str,
        size: int,
        blobs: tuple[str, ...],
        conditions: WriteConditions | None,
    ) -> None:
        objects = self.objects(bucket)
        current = objects.get(key)
        if conditions is not None:
            if conditions.if_none_match and current:
                raise PreconditionFailed
            if conditions.if_match and not current:
                raise NoSuchKey
            if current and conditions.if_match not in (None, "*", current.etag):
                raise PreconditionFailed
        objects[key] = Stored(etag, size, next(self.contents), blobs)
        self.ever.update(blobs)

    def held(self) -> Counter[str]:
        """How many extents name each blob; a content that is shared names its own once."""
        contents = {
            stored.content: stored.blobs
            for objects in self.buckets.values()
            for stored in objects.values()
        }
        total: Counter[str] = Counter()
        for blobs in contents.values():
            total.update(blobs)
        for _, _, parts in self.uploads.values():
            for blobs in parts.values():
                total.update(blobs)
        return total

    def listed(
        self, bucket: str, prefix: str, delimiter: str, after: str, limit: int
    ) -> tuple[list[str], list[str], str]:
        """A page, from the definition: every key, rolled up, filtered, sorted, cut."""
        entries: dict[str, bool] = {}
        for key in self.objects(bucket):
            if not key.startswith(prefix):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                entries[prefix + rest[: rest.index(delimiter) + len(delimiter)]] = True
            else:
                entries.setdefault(key, False)
        order = sorted((name for name in entries if name > after), key=str.encode)
        page = order[:limit]
        more = len(order) > limit and bool(page)
        return (
            [name for name in page if not entries[name]],
            [name for name in page if entries[name]],
            page[-1] if more else "",
        )
