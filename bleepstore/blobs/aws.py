"""Blobs in AWS S3, or another S3: each object in its own place (``interfaces.in_place``).

An object's tag is its ETag.  Uploads in progress are S3's own, at the object's name, where nobody
sees them; so nothing at all lies under the reserved prefix but objects whose names are too long.

Every read says by If-Match which bytes it means, every write what it expects to replace.  ETags of
equal bytes are equal, so a deletion looks before whose object it is (by the blob's id in its user
metadata), and no other change of that name is made between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from bleepstore.blobs.aws_calls import AwsCalls
from bleepstore.blobs.aws_messages import description_headers
from bleepstore.blobs.aws_writer import (
    CUTTING,
    KEPT,
    KEPT_AT_LEAST,
    KEPT_TOGETHER,
    AwsWriter,
    Staged,
)
from bleepstore.blobs.cloud_names import CloudNames, fits_in_utf8
from bleepstore.blobs.cloud_store import CloudStore, Nothing, located, open_run
from bleepstore.errors import Displaced, InternalError, StoreError
from bleepstore.interfaces.blobs import (
    IBlobReader,
    IBlobWriter,
    Placement,
)
from bleepstore.interfaces.in_place import IInPlaceStore, ListedName, NativeObject
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.model.locators import OBJECT, PART, UPLOAD, Locator, parse_locator
from bleepstore.model.objects import Extent, PlacedPart
from bleepstore.remote.downloading import ResponseBody
from bleepstore.remote.failures import Refusal, RemoteFailure, store_error
from bleepstore.streams.turns import Turns

LONGEST_NAME = 1024
"""Bytes of UTF-8 ("Naming Amazon S3 objects")."""

RANGES_FROM = 5 * 1024 * 1024
"""Of an object of at most this many bytes no range is copied (UploadPartCopy)."""


@implementer(IInPlaceStore, IPart)
class AwsBlobStore(CloudStore):
    """Objects in one bucket, below a prefix.

    :param parts: what is to be stopped with the store: connections and credentials.
    :param where: see :class:`CloudStore`.
    """

    def __init__(
        self,
        calls: AwsCalls,
        prefix: str,
        clock: IReactorTime,
        parts: Sequence[IPart] = (),
        where: str = "",
    ) -> None:
        names = CloudNames(prefix, fits_in_utf8(LONGEST_NAME))
        super().__init__(names, clock, calls.check, parts, where)
        self.calls = calls
        self.cutting = DeferredSemaphore(CUTTING)
        self._turns = Turns()
        self._staged: dict[str, Staged] = {}
        self._kept = 0

    def _let_go(self) -> None:
        for staged in self._staged.values():
            staged.drop()
        self._staged.clear()

    # Writing

    async def create(self, blob_id: str, placement: Placement) -> IBlobWriter:
        """See :class:`IBlobStore`."""
        body = _Body(self, blob_id, placement)
        upload = located(placement.upload) if placement.upload else None
        return AwsWriter(body, placement.size, upload, placement.part)

    async def place(self, blob_id: str, expected: str) -> str:
        """See :class:`IInPlaceStore`."""
        placed = await self._staged[blob_id].place(expected)
        self.unstage(blob_id)
        return placed

    async def stage_copy(self, blob_id: str, source: Extent, placement: Placement) -> None:
        """See :class:`IInPlaceStore`."""
        found = located(source.blob_id)
        name = self.name_of(placement.bucket, placement.key)
        headers = description_headers(placement.description, blob_id)
        self.stage_object(
            blob_id, name, partial(self.calls.copy, found.name, found.tag, name, headers)
        )

    async def begin_upload(self, blob_id: str, placement: Placement) -> str:
        """See :class:`IInPlaceStore`."""
        return str(await self.begin(blob_id, placement))

    async def copy_part(self, blob_id: str, upload: str, number: int, source: Extent) -> str:
        """See :class:`IInPlaceStore`.  A range of a small object, of which S3 copies none, is
        read and sent."""
        found, into = located(source.blob_id), located(upload)
        run: tuple[int, int] | None = (source.offset, source.length)
        if source.length <= RANGES_FROM:
            whole = await self.calls.look(found.name)
            if whole is None or whole.tag != found.tag:
                raise Displaced
            if whole.size == source.length:
                run = None
            elif whole.size <= RANGES_FROM:
                data = await self._read(source)
                etag = await self.calls.put_part(into.name, into.tag, number, data)
                return str(Locator(blob_id, PART, etag, into.name))
        etag = await self.calls.copy_part(found.name, found.tag, run, into.name, into.tag, number)
        return str(Locator(blob_id, PART, etag, into.name))

    async def stage_parts(
        self, upload: str, parts: Sequence[PlacedPart], placement: Placement
    ) -> str:
        """See :class:`IInPlaceStore`."""
        locator = located(upload)
        listed = [(part.number, located(part.extents[0].blob_id).tag) for part in parts]
        self.stage_upload(locator, listed)
        return locator.blob_id

    async def _read(self, extent: Extent) -> bytes:
        reader = await self.open(extent.blob_id, extent.offset, extent.length)
        pieces = []
        try:
            while piece := await reader.read():
                pieces.append(piece)
        finally:
            reader.close()
        return b"".join(pieces)

    # What is there

    async def open(self, blob_id: str, offset: int, length: int) -> IBlobReader:
        """See :class:`IInPlaceStore`.  A connection that breaks is replaced, unseen."""
        locator = located(blob_id)

        async def open_from(at: int) -> ResponseBody:
            return await self.calls.open(locator.name, locator.tag, offset + at, length - at)

        if not length:
            return Nothing()
        return await open_run(length, open_from, _unread)

    async def delete(self, blob_id: str) -> None:
        """See :class:`IInPlaceStore`."""
        locator = parse_locator(blob_id)
        if locator is None:
            self.unstage(blob_id)
        elif locator.kind == UPLOAD:
            await self.calls.abort(locator.name, locator.tag)
        elif locator.kind == OBJECT:
            async with self._turns.of(locator.name):
                found = await self.calls.look(locator.name)
                if (
                    found is not None
                    and found.tag == locator.tag
                    and found.blob_id in ("", locator.blob_id)
                ):
                    await self.calls.delete(locator.name, locator.tag)

    async def look(self, name: str) -> NativeObject | None:
        """See :class:`IInPlaceStore`."""
        return await self.calls.look(name)

    async def blob_ids(self) -> AsyncIterator[tuple[str, ...]]:
        """See :class:`IInPlaceStore`: what is in progress is in nobody's sight, S3's neither."""
        nothing: tuple[tuple[str, ...], ...] = ()
        for batch in nothing:
            yield batch

    async def list_names(
        self, prefix: str, after: str = ""
    ) -> AsyncIterator[tuple[ListedName, ...]]:
        """See :class:`IInPlaceStore`."""
        token = ""
        while True:
            page = await self.calls.list_page(self._names.prefix + prefix, after, token)
            if names := tuple(
                [each for each in page.names if not each.name.startswith(self._names.reserved)]
            ):
                yield names
            token = page.token
            if not token:
                return

    # Staging

    async def begin(self, blob_id: str, placement: Placement) -> Locator:
        """Begin an upload of an object."""
        name = self.name_of(placement.bucket, placement.key)
        upload_id = await self.calls.begin(
            name, description_headers(placement.description, blob_id)
        )
        return Locator(blob_id, UPLOAD, upload_id, name)

    def stage_object(
        self,
        blob_id: str,
        name: str,
        place: Callable[[str], Awaitable[str]],
        drop: Callable[[], None] = lambda: None,
    ) -> None:
        """Something is ready to become an object.

        :param place: makes it one, given the expected tag; gives the new tag.
        """

        async def placed(expected: str) -> str:
            async with self._turns.of(name):
                return str(Locator(blob_id, OBJECT, await place(expected), name))

        self.stage(blob_id, Staged(placed, drop))

    def stage_upload(self, upload: Locator, parts: Sequence[tuple[int, str]]) -> None:
        """Parts are ready to become an object."""
        complete = partial(self.calls.complete, upload.name, upload.tag, parts)
        self.stage_object(upload.blob_id, upload.name, complete)

    def stage(self, blob_id: str, staged: Staged) -> None:
        """Remember how something is placed."""
        self._staged[blob_id] = staged

    def unstage(self, blob_id: str) -> None:
        """Let go of what is staged, if it is."""
        staged = self._staged.pop(blob_id, None)
        if staged is not None:
            staged.drop()

    def keep(self, size: int) -> None:
        """Count bytes of bodies that are kept."""
        self._kept += size

    def may_keep(self, size: int) -> bool:
        """Whether a body may be kept that has so many bytes, and is counted."""
        return size <= (KEPT if self._kept <= KEPT_TOGETHER else KEPT_AT_LEAST)


class _Body:
    """One body and the store; what a writer needs (``aws_writer.Stager``)."""

    __slots__ = ("_blob_id", "_placement", "_store")

    def __init__(self, store: AwsBlobStore, blob_id: str, placement: Placement) -> None:
        self._store = store
        self._blob_id = blob_id
        self._placement = placement

    @property
    def calls(self) -> AwsCalls:
        return self._store.calls

    @property
    def cutting(self) -> DeferredSemaphore:
        return self._store.cutting

    def keep(self, size: int) -> None:
        self._store.keep(size)

    def may_keep(self, size: int) -> bool:
        return self._store.may_keep(size)

    async def begin(self) -> Locator:
        begun = await self._store.begin(self._blob_id, self._placement)
        await self._store.told(self._blob_id, self._placement, begun)
        return begun

    def stage_bytes(self, data: bytes) -> None:
        placement, store = self._placement, self._store
        drop = partial(store.keep, -len(data))
        name = store.name_of(placement.bucket, placement.key)
        if placement.upload:
            into = located(placement.upload)
            put = partial(store.calls.put_part, into.name, into.tag, placement.part, data)
            store.stage(self._blob_id, Staged(self._as_part(put), drop))
            return
        headers = description_headers(placement.description, self._blob_id)
        store.stage_object(self._blob_id, name, partial(store.calls.put, name, data, headers), drop)

    def stage_upload(self, upload: Locator, parts: Sequence[tuple[int, str]]) -> None:
        self._store.stage_upload(upload, parts)

    def stage_part(self, end: Callable[[], Awaitable[str]], drop: Callable[[], None]) -> None:
        self._store.stage(self._blob_id, Staged(self._as_part(end), drop))

    def unstage(self) -> None:
        self._store.unstage(self._blob_id)

    def _as_part(self, send: Callable[[], Awaitable[str]]) -> Callable[[str], Awaitable[str]]:
        name = located(self._placement.upload).name

        async def placed(_: str) -> str:
            return str(Locator(self._blob_id, PART, await send(), name))

        return placed


def _unread(failure: RemoteFailure) -> StoreError:
    if isinstance(failure, Refusal) and (
        failure.status == 412 or (failure.status == 404 and failure.code != "NoSuchBucket")
    ):
        return Displaced()
    return store_error(failure, InternalError)
