"""Objects in place in a container of Azure Blob Storage.

    {prefix}{bucket}/{key}                           an object
    {prefix}.bleepstore/uploads/{blob id}/body       a large body until it is placed
    {prefix}.bleepstore/uploads/{blob id}/00007-…    a part of an upload

A tag is an ETag, of which Azure gives every write a new one, so that a precondition on it is exact.
What is staged is placed by one request with such a precondition: Put Blob of bytes in memory, or
Put Block List of blocks that were copied before, inside the cloud, from a body, an object or parts.

Azure has no sessions that parts could be put into, and drops blocks of which no blob was made
after a week: so an upload is the directory of its parts, which are blobs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.blobs.azure_blocks import JoinedBlob, SentBlob, crc64, for_each
from bleepstore.blobs.azure_calls import AzureCalls, translated
from bleepstore.blobs.azure_messages import Run, allowed_name, block_id, description_headers
from bleepstore.blobs.chunked_writer import CHUNKS, FACTOR, ChunkedWriter, Kept, Staged
from bleepstore.blobs.cloud_names import CloudNames
from bleepstore.blobs.cloud_store import CloudStore, Nothing, located, open_run
from bleepstore.errors import Displaced, StoreError
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
from bleepstore.remote.requests import Header
from bleepstore.shares import Share

_log = Logger()

DELETIONS = 8
"""Parts of one upload that are removed at a time."""

_NO_TAG = "-"
"""The tag of an upload, which has none."""


class _Ready(Struct, frozen=True):
    """What is staged.

    :ivar place: puts it in its place, given the tag of what is there; gives its locator.
    :ivar size: bytes of it in memory, which are counted.
    :ivar body: where it lies until then, and is to be removed; None: it is in memory, or where
        others look after it.
    """

    place: Callable[[str], Awaitable[Locator]]
    size: int = 0
    body: Run | None = None


@implementer(IInPlaceStore, IPart)
class AzureBlobStore(CloudStore):
    """See :class:`IInPlaceStore`.

    :param prefix: put before every name.
    :param parts: what is to be stopped with the store: connections and credentials.
    :param where: see :class:`CloudStore`.
    """

    def __init__(
        self,
        calls: AzureCalls,
        prefix: str,
        clock: IReactorTime,
        parts: Sequence[IPart] = (),
        where: str = "",
    ) -> None:
        names = CloudNames(prefix, allowed_name)
        super().__init__(names, clock, lambda: calls.check(names.reserved), parts, where)
        self._calls = calls
        self._uploads = names.reserved + "uploads/"
        self._share = Share(CHUNKS // FACTOR)
        self._kept = Kept()
        self._staged: dict[str, _Ready] = {}

    def _let_go(self) -> None:
        self._staged.clear()

    # Writing

    async def create(self, blob_id: str, placement: Placement) -> IBlobWriter:
        """See :class:`IBlobStore`."""
        part = bool(placement.upload)
        name = _part_name(placement, blob_id) if part else self._directory(blob_id) + "body"

        async def begin() -> SentBlob:
            if not part:
                await self.told(blob_id, placement, _upload(blob_id, self._directory(blob_id)))
            return SentBlob(self._calls, name, blob_id)

        async def staged(gathered: Staged[Run]) -> None:
            if part:
                self._stage_part(blob_id, placement, gathered)
            else:
                await self._stage_object(blob_id, placement, gathered)

        async def drop(sent: bool) -> None:
            self._unstage(blob_id)
            if sent:
                await self._calls.discard(name)

        return ChunkedWriter(self._kept, self._share, crc64, begin, staged, drop)

    async def place(self, blob_id: str, expected: str) -> str:
        """See :class:`IInPlaceStore`."""
        ready = self._staged[blob_id]
        locator = await ready.place(expected)
        self._unstage(blob_id)
        if (body := ready.body) is not None and locator.kind == OBJECT:
            try:
                await self._calls.delete(body.name, body.tag)
            except StoreError as error:
                _log.warn(
                    "what {name} was made of stays for the sweeper: {error}",
                    name=locator.name,
                    error=str(error),
                )
        return str(locator)

    async def _stage_object(
        self, blob_id: str, placement: Placement, gathered: Staged[Run]
    ) -> None:
        if gathered.made is not None:
            await self._stage_joined(blob_id, placement, [gathered.made], gathered.made)
            return
        name = self.name_of(placement.bucket, placement.key)
        headers = description_headers(placement.description, blob_id)

        async def place(expected: str) -> Locator:
            tag = await self._put(name, blob_id, gathered, headers, expected)
            return Locator(blob_id, OBJECT, tag, name)

        self._stage(blob_id, _Ready(place, gathered.size))

    async def _put(
        self,
        name: str,
        blob_id: str,
        gathered: Staged[Run],
        headers: Sequence[Header],
        expected: str,
    ) -> str:
        """Make a blob of a small body, and give its tag.

        Where there is no blob yet, blocks that others have copied for theirs are in the way of
        Put Blob (Microsoft's emulator takes them for one), and not of Put Block List.

        :raises Displaced: not what is expected lies there.
        """
        calls, data = self._calls, gathered.data
        try:
            return await calls.put(name, data, gathered.crc, headers, expected)
        except Displaced:
            if expected or await calls.look(name) is not None:
                raise
            blocks = [block_id(blob_id, 0)] if data else []
            for block in blocks:
                await calls.put_block(name, block, data, gathered.crc)
            tag = await calls.put_block_list(name, blocks, headers, expected)
            if tag is None:
                raise
            return tag

    def _stage_part(self, blob_id: str, placement: Placement, gathered: Staged[Run]) -> None:
        name, made = _part_name(placement, blob_id), gathered.made

        async def place(expected: str) -> Locator:
            # Nobody sees a part: a large one is where it belongs, and nothing else ever is there.
            if made is not None:
                return Locator(blob_id, PART, made.tag, name)
            tag = await self._calls.put(name, gathered.data, gathered.crc, (), None)
            return Locator(blob_id, PART, tag, name)

        self._stage(blob_id, _Ready(place, 0 if made else gathered.size, made))

    async def _stage_joined(
        self, blob_id: str, placement: Placement, runs: Sequence[Run], body: Run | None = None
    ) -> None:
        """Stage an object that is made of others.

        They are copied at once, where nobody waits for the key's turn.  If somebody else writes the
        key before ours is placed, they are copied once more.
        """
        name = self.name_of(placement.bucket, placement.key)
        headers = description_headers(placement.description, blob_id)
        joined = JoinedBlob(self._calls, name, blob_id, runs, headers)

        async def place(expected: str) -> Locator:
            for run in runs:
                if not run.length:  # nothing is copied that would tell that it has changed
                    await self._require(run)
            return Locator(blob_id, OBJECT, await joined.make(expected), name)

        await joined.prepare()
        self._stage(blob_id, _Ready(place, body=body))

    def _stage(self, blob_id: str, ready: _Ready) -> None:
        self._unstage(blob_id)
        self._staged[blob_id] = ready

    def _unstage(self, blob_id: str) -> _Ready | None:
        ready = self._staged.pop(blob_id, None)
        if ready is not None:
            self._kept.total -= ready.size
        return ready

    async def _require(self, run: Run) -> None:
        """:raises Displaced: other bytes lie there, or none."""
        found = await self._calls.look(run.name)
        if found is None or found.tag != run.tag:
            raise Displaced

    # Copies and uploads

    async def stage_copy(self, blob_id: str, source: Extent, placement: Placement) -> None:
        """See :class:`IInPlaceStore`."""
        await self._stage_joined(blob_id, placement, [_run(source)])

    async def begin_upload(self, blob_id: str, placement: Placement) -> str:
        """See :class:`IInPlaceStore`.  Nothing is asked of the cloud."""
        return str(_upload(blob_id, self._directory(blob_id)))

    async def copy_part(self, blob_id: str, upload: str, number: int, source: Extent) -> str:
        """See :class:`IInPlaceStore`."""
        name = _part_name(Placement(upload=upload, part=number), blob_id)
        tag = await JoinedBlob(self._calls, name, blob_id, [_run(source)]).make(None)
        return str(Locator(blob_id, PART, tag, name))

    async def stage_parts(
        self, upload: str, parts: Sequence[PlacedPart], placement: Placement
    ) -> str:
        """See :class:`IInPlaceStore`."""
        blob_id = located(upload).blob_id
        runs = [_run(extent) for part in parts for extent in part.extents]
        await self._stage_joined(blob_id, placement, runs)
        return blob_id

    # What is there

    async def open(self, blob_id: str, offset: int, length: int) -> IBlobReader:
        """See :class:`IInPlaceStore`."""
        locator = located(blob_id)
        if not length:
            await self._require(Run(locator.name, locator.tag, 0, 0))
            return Nothing()

        async def open_from(at: int) -> ResponseBody:
            return await self._calls.open(locator.name, locator.tag, offset + at, length - at)

        return await open_run(length, open_from, translated)

    async def look(self, name: str) -> NativeObject | None:
        """See :class:`IInPlaceStore`."""
        return await self._calls.look(name)

    async def list_names(
        self, prefix: str, after: str = ""
    ) -> AsyncIterator[tuple[ListedName, ...]]:
        """See :class:`IInPlaceStore`.

        Azure begins a listing where it ended, and nowhere else: what comes before ``after`` is
        listed and passed over.
        """
        reserved, marker = self._names.reserved, ""
        while True:
            page = await self._calls.list_page(self._names.prefix + prefix, marker)
            if names := tuple(
                each
                for each in page.names
                if _may_follow(each.name, after) and not each.name.startswith(reserved)
            ):
                yield names
            if not (marker := page.marker):
                return

    async def delete(self, blob_id: str) -> None:
        """See :class:`IInPlaceStore`."""
        locator = parse_locator(blob_id)
        if locator is None:
            ready = self._unstage(blob_id)
            if ready is not None and ready.body is not None:
                await self._calls.delete(ready.body.name, ready.body.tag)
        elif locator.kind == UPLOAD:
            await self._remove_all(locator.name)
        else:
            await self._calls.delete(locator.name, locator.tag)

    async def blob_ids(self) -> AsyncIterator[tuple[str, ...]]:
        """See :class:`IInPlaceStore`."""
        marker = ""
        while True:
            page = await self._calls.list_page(self._uploads, marker, "/", uncommitted=True)
            if page.prefixes:
                yield tuple(
                    str(_upload(each.removeprefix(self._uploads).rstrip("/"), each))
                    for each in page.prefixes
                )
            if not (marker := page.marker):
                return

    def _directory(self, blob_id: str) -> str:
        return f"{self._uploads}{blob_id}/"

    async def _remove_all(self, directory: str) -> None:
        """Remove what lies below a directory; also what never became a blob."""
        while page := (await self._calls.list_page(directory, "", uncommitted=True)).names:
            await for_each([each.name for each in page], self._calls.discard, DELETIONS)


def _may_follow(name: str, after: str) -> bool:
    """Whether a name comes after another, in the order of UTF-8 or of UTF-16: Azurite's is the
    latter, and Azure does not say."""
    return name > after or name.encode("utf-16-be") > after.encode("utf-16-be")


def _run(extent: Extent) -> Run:
    locator = located(extent.blob_id)
    return Run(locator.name, locator.tag, extent.offset, extent.length)


def _upload(blob_id: str, directory: str) -> Locator:
    return Locator(blob_id, UPLOAD, _NO_TAG, directory)


def _part_name(placement: Placement, blob_id: str) -> str:
    return f"{located(placement.upload).name}{placement.part:05}-{blob_id}"
