"""Stores that keep an object's bytes where their owner can see them: in a cloud, by its name.

Such a store cannot hide new bytes until metadata names them: as soon as they lie under the name
everybody sees them, and the ones before are gone.  So a write has two halves.  The first one
(``IBlobStore.create`` to ``IBlobWriter.finish``, or one of the ``stage_`` methods) brings the bytes
into the cloud where nobody sees them, or keeps them in memory.  The second one, :meth:`place`, is a
short request that puts them under the name, on condition that what lies there is what was
expected.  Between the two the caller records an intent (``model.intents``), and after it commits
the command that names them.

Who calls ``place`` for one name does so one after another; the store does not put them in order.

What is where is told by locators (``model.locators``).  An object's is the text of a Locator of
kind ``object``, an upload's of kind ``upload``; a part's is the store's own affair, as long as
``parse_locator`` reads it.  :meth:`IBlobStore.open` takes an object's locator,
:meth:`IBlobStore.delete` any of them, and the plain id of a blob that was not placed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from msgspec import Struct
from zope.interface import Attribute

from bleepstore.interfaces.blobs import IBlobStore, Placement
from bleepstore.model.objects import Description, Extent, PlacedPart

Began = Callable[[str, Placement, str], Awaitable[None]]
"""Told a blob's id, its placement, and the locator of what was begun for it in the cloud, before
anything is sent there that costs: so that it can be undone after a crash."""


class NativeObject(Struct, frozen=True, kw_only=True):
    """What lies under a name.

    :ivar tag: as in a locator.
    :ivar etag: what S3 would call its ETag: the MD5 of its bytes in hex if the cloud tells it, else
        something that changes with the bytes; without quotes.
    :ivar blob_id: under which a BleepStore wrote it; empty: another program did.
    :ivar last_modified: milliseconds since the epoch.
    """

    name: str
    tag: str
    size: int
    etag: str
    blob_id: str
    last_modified: int
    description: Description


class ListedName(Struct, frozen=True):
    """What a listing of the cloud shows of an object; the fields as in :class:`NativeObject`."""

    name: str
    tag: str
    size: int
    etag: str
    last_modified: int


class IInPlaceStore(IBlobStore):
    """Objects in place.  ``capabilities.in_place`` is true.

    All methods raise ServiceUnavailable, SlowDown, RequestTimeout, AccessDenied or InternalError
    for what the cloud answers or does not answer, after retries of their own.

    :meth:`IBlobStore.open` raises Displaced where other bytes than the locator's lie by now, or
    none; never does a reader give a byte of others.  :meth:`IBlobStore.delete` of an object deletes
    the locator's bytes alone: what was placed there after them stays.  It may be called for what is
    gone.  :meth:`IBlobStore.blob_ids` gives the locators of what lies in the cloud for nobody to
    see, and no objects.
    """

    site = Attribute(
        "str: the place that the objects lie in, by which an index is told that it is put before "
        "another one: cloud, account or bucket, and prefix."
    )

    def tell(began: Began) -> None:
        """Whom to tell what is begun; called once, before any write."""

    def name_of(bucket: str, key: str) -> str:
        """Where an object lies: ``{prefix}{bucket}/{key}``, or under the reserved prefix if the
        cloud cannot have such a name."""

    def key_of(name: str) -> tuple[str, str] | None:
        """Bucket and key of a name, None if no object of ours can lie there."""

    def place(blob_id: str, expected: str) -> Awaitable[str]:
        """Put what was staged under a blob's id in its place; gives the locator.

        For a part, which nobody sees, ``expected`` is ignored; if its writer was not told the MD5
        of the bytes, the locator's tag is that.

        :param expected: the tag of what lies under the name; empty: nothing does.
        :raises Displaced: something else does, and it stays; or the source of a copy has changed.
            What was staged is still there, and can be placed again.
        :raises Exception: it may have been placed or not, and may yet be, if the request is still
            on its way: :meth:`look` tells.
        """

    def stage_copy(blob_id: str, source: Extent, placement: Placement) -> Awaitable[None]:
        """Prepare to copy a whole object, inside the cloud.

        :param source: with its locator.
        """

    def begin_upload(blob_id: str, placement: Placement) -> Awaitable[str]:
        """Begin an upload in parts of what will be one object; gives its locator.  Parts are
        written with a placement that names it, and deleting it aborts it."""

    def copy_part(blob_id: str, upload: str, number: int, source: Extent) -> Awaitable[str]:
        """Make a part of a run of an object (at least one byte), inside the cloud; gives its
        locator.

        :raises Displaced: the source has changed.
        """

    def stage_parts(
        upload: str, parts: Sequence[PlacedPart], placement: Placement
    ) -> Awaitable[str]:
        """Prepare to make an object of parts, in this order; gives the id of its blob.

        The upload stays until it is placed; deleting what was staged leaves it and its parts.
        """

    def look(name: str) -> Awaitable[NativeObject | None]:
        """What lies under a name at this moment."""

    def list_names(prefix: str, after: str = "") -> AsyncIterator[tuple[ListedName, ...]]:
        """What lies in the cloud under names that start with the configured prefix and this one,
        and come after ``after``, page by page; nothing of the reserved prefix.

        In UTF-8 order; a cloud may have that of UTF-16 instead, and then gives after ``after``
        what comes after it in either of them."""
