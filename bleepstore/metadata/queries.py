"""IMetadataReader over readers: point reads at once, long scans where the engine says.

Shared by the engines on SQLite, which differ in where they scan and how they apply.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

from bleepstore.interfaces.metadata import ObjectLookup, Totals
from bleepstore.metadata.listing import list_objects
from bleepstore.metadata.reader import Reader
from bleepstore.metadata.upload_listing import list_uploads
from bleepstore.model.accounts import Credential
from bleepstore.model.intents import Intent
from bleepstore.model.listing import BucketPage, ObjectPage, PartPage, UploadPage
from bleepstore.model.objects import Bucket, PlacedPart, Upload

T = TypeVar("T")


class Queries(ABC):
    """The queries of an engine; see :class:`IMetadataReader` for each."""

    _reader: Reader
    """For point reads, on the caller's thread."""

    @abstractmethod
    async def _scan(self, query: Callable[..., T], *args: object) -> T:
        """Call ``query(reader, *args)`` where it may take its time."""

    async def get_bucket(self, name: str) -> Bucket:
        """See :class:`IMetadataReader`."""
        return self._reader.get_bucket(name)

    def peek_bucket(self, name: str) -> tuple[Bucket, bytes]:
        """See :class:`IMetadataReader`."""
        return self._reader.get_bucket(name), b""

    def reusable_bytes(self) -> int:
        """See :class:`IMetadataReader`."""
        return self._reader.reusable_bytes()

    async def list_buckets(
        self, owner_id: str, prefix: str = "", after: str = "", limit: int = 10_000
    ) -> BucketPage:
        """See :class:`IMetadataReader`."""
        return await self._scan(Reader.list_buckets, owner_id, prefix, after, limit)

    async def bucket_owners(self) -> Sequence[str]:
        """See :class:`IMetadataReader`."""
        return await self._scan(Reader.bucket_owners)

    async def get_object(
        self, bucket: str, key: str, version_id: str = "", with_manifest: bool = False
    ) -> ObjectLookup:
        """See :class:`IMetadataReader`."""
        return self._reader.get_object(bucket, key, version_id, with_manifest)

    async def list_objects(
        self,
        bucket: str,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        limit: int = 1000,
    ) -> ObjectPage:
        """See :class:`IMetadataReader`."""
        return await self._scan(list_objects, bucket, prefix, delimiter, after, limit)

    async def get_upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """See :class:`IMetadataReader`."""
        return self._reader.get_upload(bucket, key, upload_id)

    async def list_parts(self, upload_id: str, after: int = 0, limit: int = 1000) -> PartPage:
        """See :class:`IMetadataReader`."""
        return await self._scan(Reader.list_parts, upload_id, after, limit)

    async def list_uploads(
        self,
        bucket: str,
        prefix: str = "",
        delimiter: str = "",
        after_key: str = "",
        after_upload_id: str = "",
        limit: int = 1000,
    ) -> UploadPage:
        """See :class:`IMetadataReader`."""
        return await self._scan(
            list_uploads, bucket, prefix, delimiter, after_key, after_upload_id, limit
        )

    async def part_extents(
        self, upload_id: str, after: int = 0, limit: int = 1000
    ) -> Sequence[PlacedPart]:
        """See :class:`IMetadataReader`."""
        return await self._scan(Reader.part_extents, upload_id, after, limit)

    async def intents(self, after: str = "", limit: int = 1000) -> Sequence[Intent]:
        """See :class:`IMetadataReader`."""
        return await self._scan(Reader.intents, after, limit)

    async def stale_uploads(self, initiated_before: int, limit: int = 1000) -> Sequence[Upload]:
        """See :class:`IMetadataReader`."""
        return await self._scan(Reader.stale_uploads, initiated_before, limit)

    async def get_credential(self, access_key: str) -> Credential | None:
        """See :class:`IMetadataReader`."""
        return self._reader.get_credential(access_key)

    async def list_credentials(self) -> Sequence[Credential]:
        """See :class:`IMetadataReader`."""
        return await self._scan(Reader.list_credentials)

    async def released_blobs(self, limit: int = 1000) -> Sequence[str]:
        """See :class:`IMetadataReader`."""
        return await self._scan(Reader.released_blobs, limit)

    async def referenced_blobs(self, blob_ids: Sequence[str]) -> frozenset[str]:
        """See :class:`IMetadataReader`."""
        return await self._scan(Reader.referenced_blobs, blob_ids)

    async def is_released(self, blob_id: str) -> bool:
        """See :class:`IMetadataReader`."""
        return self._reader.is_released(blob_id)

    async def last_epoch(self) -> int:
        """See :class:`IMetadataReader`."""
        return self._reader.last_epoch()

    async def totals(self) -> Totals:
        """See :class:`IMetadataReader`."""
        return self._reader.totals()
