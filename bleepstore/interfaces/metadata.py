"""Metadata: queries, and one way to change anything, the command.

Implementations: ``metadata.sqlite`` and ``metadata.memory`` of an embedded node,
``metadata.replicated`` of a node in a cluster.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from msgspec import Struct
from zope.interface import Interface

from bleepstore.model.accounts import Credential
from bleepstore.model.commands import AnyCommand, Result
from bleepstore.model.intents import Intent
from bleepstore.model.listing import BucketPage, ObjectPage, PartPage, UploadPage
from bleepstore.model.objects import Bucket, Manifest, ObjectVersion, PlacedPart, Upload


class ObjectLookup(Struct, frozen=True):
    """The answer to a point read: the bucket, and the version if there is one.

    :ivar manifest: where the bytes are; None when it was not asked for or there is no version.
    """

    bucket: Bucket
    version: ObjectVersion | None
    manifest: Manifest | None = None


class Totals(Struct, frozen=True):
    """How much the store holds; kept up to date by every command, read in constant time."""

    buckets: int
    objects: int


class IMetadataReader(Interface):
    """Queries.  Each sees all commands that were acknowledged before it was asked."""

    def get_bucket(name: str) -> Awaitable[Bucket]:
        """:raises NoSuchBucket: there is none."""

    def peek_bucket(name: str) -> tuple[Bucket, bytes]:
        """A bucket as this process knows it, which may be behind what was acknowledged elsewhere;
        and what a command that relies on it carries to have that decided (``PutObject.access``).
        That is empty where nothing is ever behind.

        :raises NoSuchBucket: none is known here.
        """

    def list_buckets(
        owner_id: str, prefix: str = "", after: str = "", limit: int = 10_000
    ) -> Awaitable[BucketPage]:
        """The buckets of an owner whose names start with ``prefix`` and come after ``after``."""

    def bucket_owners() -> Awaitable[Sequence[str]]:
        """The canonical ids of all who own buckets, in ascending order."""

    def get_object(
        bucket: str, key: str, version_id: str = "", with_manifest: bool = False
    ) -> Awaitable[ObjectLookup]:
        """One version: the current one when ``version_id`` is empty.  One index seek.

        :raises NoSuchBucket: there is no such bucket.  A missing key is no error here.
        """

    def list_objects(
        bucket: str, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
    ) -> Awaitable[ObjectPage]:
        """A page of current versions, in UTF-8 order.

        Only keys strictly greater than ``after`` are listed, and only common prefixes strictly
        greater than it.  ``delimiter`` is any string.  Cost grows with entries returned, not
        with keys below a common prefix.  ``limit`` 0 gives an empty page that is the last.

        :raises NoSuchBucket:
        """

    def get_upload(bucket: str, key: str, upload_id: str) -> Awaitable[Upload]:
        """:raises NoSuchUpload: there is none of that id for that bucket and key."""

    def list_parts(upload_id: str, after: int = 0, limit: int = 1000) -> Awaitable[PartPage]:
        """Parts with numbers greater than ``after``, ascending."""

    def part_extents(
        upload_id: str, after: int = 0, limit: int = 1000
    ) -> Awaitable[Sequence[PlacedPart]]:
        """Where the bytes of parts with numbers greater than ``after`` are, ascending."""

    def intents(after: str = "", limit: int = 1000) -> Awaitable[Sequence[Intent]]:
        """The writes under way whose ids come after ``after``, in the order of their ids."""

    def list_uploads(
        bucket: str,
        prefix: str = "",
        delimiter: str = "",
        after_key: str = "",
        after_upload_id: str = "",
        limit: int = 1000,
    ) -> Awaitable[UploadPage]:
        """Uploads in progress.  With ``after_upload_id`` those of ``after_key`` itself that come
        after it are listed too; without it only those of greater keys.

        :raises NoSuchBucket:
        """

    def stale_uploads(initiated_before: int, limit: int = 1000) -> Awaitable[Sequence[Upload]]:
        """Uploads of all buckets initiated before a time (ms), oldest first."""

    def get_credential(access_key: str) -> Awaitable[Credential | None]:
        """An access key that was stored by command, enabled or not."""

    def list_credentials() -> Awaitable[Sequence[Credential]]:
        """All access keys that were stored by command, in their order."""

    def released_blobs(limit: int = 1000) -> Awaitable[Sequence[str]]:
        """Blobs that nothing references any more and that are yet to be deleted and forgotten."""

    def referenced_blobs(blob_ids: Sequence[str]) -> Awaitable[frozenset[str]]:
        """Which of these blobs some content, or an upload, references."""

    def is_released(blob_id: str) -> Awaitable[bool]:
        """Whether this blob is one of those: let go of, and not yet forgotten."""

    def last_epoch() -> Awaitable[int]:
        """The number of the last epoch that was opened; 0 while none was, so all is new."""

    def totals() -> Awaitable[Totals]:
        """How much the store holds."""

    def reusable_bytes() -> int:
        """How much of what is stored on this node nothing uses any more, at once: new data takes
        it before anything grows."""


class IMetadataStore(IMetadataReader):
    """Metadata that can be changed.  Also an IPart."""

    def submit(command: AnyCommand) -> Awaitable[Result]:
        """Apply a command atomically and durably, in one order with all others.

        Returns when the change is on disk and every later query sees it.  An effect is
        either whole or absent, whatever happens.  Cancelling the wait does not undo it.

        :raises StoreError: as the command's class says; nothing was changed.
        :raises InsufficientStorage: the disk is full; nothing was changed.
        :raises ServiceUnavailable: the store is stopping, or cannot decide in time.
        """
