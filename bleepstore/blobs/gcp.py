"""Objects in place in a bucket of Google Cloud Storage.

    {prefix}{bucket}/{key}                           an object
    {prefix}.bleepstore/uploads/{blob id}/body       a large body until it is placed
    {prefix}.bleepstore/uploads/{blob id}/00007-…    a part of an upload
    {prefix}.bleepstore/uploads/{blob id}/c1-00000   parts on their way into one object

A tag is a generation: Cloud Storage gives every object a new one, so that a precondition on it is
exact.  What is staged is placed by one request: an insert of bytes in memory, a rewrite of a
temporary object (which moves no bytes within a bucket), or the last composition of a tree.

Cloud Storage has no sessions that parts could be put into: an upload is the directory of its
parts.  Nor can it copy a run of an object: such a part goes through this process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from awscrt.checksums import crc32c
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.blobs.chunked_writer import CHUNKS, FACTOR, SMALL, ChunkedWriter, Kept, Staged
from bleepstore.blobs.cloud_digests import CloudDigests
from bleepstore.blobs.cloud_names import CloudNames
from bleepstore.blobs.cloud_store import CloudStore, Nothing, located, open_run
from bleepstore.blobs.gcp_calls import GcpCalls, displaced
from bleepstore.blobs.gcp_compose import Source, reduced
from bleepstore.blobs.gcp_messages import (
    Resource,
    allowed_name,
    crc32c_text,
    described,
    listed_name,
    native_object,
)
from bleepstore.blobs.gcp_resumable import ResumableUpload, begin_resumable
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
from bleepstore.shares import Share

_log = Logger()

_NOTHING = "0"
"""The generation of what is not there."""

_NO_TAG = "-"
"""The tag of an upload, which has no generation."""

Place = Callable[[str], Awaitable[Locator]]
"""Puts in its place what was staged, given the generation of what is there."""


@implementer(IInPlaceStore, IPart)
class GcpBlobStore(CloudStore):
    """See :class:`IInPlaceStore`.

    :param bucket: of the cloud.
    :param prefix: put before every name.
    :param parts: what is to be stopped with the store: connections and credentials.
    :param where: see :class:`CloudStore`.
    """

    def __init__(
        self,
        calls: GcpCalls,
        bucket: str,
        prefix: str,
        clock: IReactorTime,
        parts: Sequence[IPart] = (),
        where: str = "",
    ) -> None:
        names = CloudNames(prefix, allowed_name)
        super().__init__(names, clock, lambda: calls.check(names.reserved), parts, where)
        self._calls = calls
        self._bucket = bucket
        self._uploads = names.reserved + "uploads/"
        self._share = Share(CHUNKS // FACTOR)
        self._kept = Kept()
        self._digests = CloudDigests()
        self._staged: dict[str, tuple[Place, int]] = {}
        self._temporary: set[str] = set()

    def _let_go(self) -> None:
        self._staged.clear()

    # Writing

    async def create(self, blob_id: str, placement: Placement) -> IBlobWriter:
        """See :class:`IBlobStore`."""
        hashes = placement.size > SMALL and self._digests.told
        if placement.upload:
            upload = located(placement.upload)
            name = f"{upload.name}{placement.part:05}-{blob_id}"

            async def begin() -> ResumableUpload:
                return await begin_resumable(self._calls, self._bucket, name, {})

            async def drop(sent: bool) -> None:
                self._unstage(blob_id)
                if sent:
                    await self._calls.delete(name)

            return ChunkedWriter(
                self._kept,
                self._share,
                crc32c,
                begin,
                lambda staged: self._stage_part(blob_id, name, staged),
                drop,
                self._agreed,
                hashes,
            )

        async def begin_body() -> ResumableUpload:
            await self.told(blob_id, placement, _upload(blob_id, self._directory(blob_id)))
            self._temporary.add(blob_id)
            return await begin_resumable(self._calls, self._bucket, self._body(blob_id), {})

        return ChunkedWriter(
            self._kept,
            self._share,
            crc32c,
            begin_body,
            lambda staged: self._stage_body(blob_id, placement, staged),
            lambda sent: self.delete(blob_id),
            self._agreed,
            hashes,
        )

    def _agreed(self, made: Resource, md5: str) -> str:
        return self._digests.agreed(listed_name(made).etag, md5)

    async def place(self, blob_id: str, expected: str) -> str:
        """See :class:`IInPlaceStore`."""
        place, _ = self._staged[blob_id]
        locator = await place(expected or _NOTHING)
        self._unstage(blob_id)
        if blob_id in self._temporary:
            try:
                await self._calls.delete(self._body(blob_id))
                self._temporary.discard(blob_id)
            except StoreError as error:
                _log.warn(
                    "what {name} was made of stays for the sweeper: {error}",
                    name=locator.name,
                    error=str(error),
                )
        return str(locator)

    async def _stage_body(
        self, blob_id: str, placement: Placement, staged: Staged[Resource]
    ) -> None:
        name = self.name_of(placement.bucket, placement.key)
        resource = described(placement.description, blob_id)
        if staged.made is None:
            self._stage_bytes(blob_id, name, OBJECT, staged, resource)
            return
        _require_whole(staged.made, staged)
        made = listed_name(staged.made)

        async def place(expected: str) -> Locator:
            copied = await self._calls.copy(made.name, made.tag, name, resource, expected)
            return _located(blob_id, OBJECT, copied)

        self._stage(blob_id, place)

    async def _stage_part(self, blob_id: str, name: str, staged: Staged[Resource]) -> None:
        if staged.made is None:
            self._stage_bytes(blob_id, name, PART, staged, {})
            return
        _require_whole(staged.made, staged)
        locator = _located(blob_id, PART, staged.made)

        async def place(expected: str) -> Locator:
            return locator  # nobody sees a part: it is where it belongs

        self._stage(blob_id, place)

    def _stage_bytes(
        self, blob_id: str, name: str, kind: str, staged: Staged[Resource], resource: Resource
    ) -> None:
        resource = {**resource, "crc32c": crc32c_text(staged.crc)}

        async def place(expected: str) -> Locator:
            # A part's name is its own: whatever lies there is from an attempt before.
            wanted = None if kind == PART else expected
            made = await self._calls.insert(name, staged.data, resource, wanted, blob_id)
            return _located(blob_id, kind, made)

        self._stage(blob_id, place, staged.size)

    def _stage(self, blob_id: str, place: Place, size: int = 0) -> None:
        """:param size: bytes of it in memory, which the writer has counted."""
        self._unstage(blob_id)
        self._staged[blob_id] = place, size

    def _unstage(self, blob_id: str) -> None:
        _, size = self._staged.pop(blob_id, (None, 0))
        self._kept.total -= size

    async def stage_copy(self, blob_id: str, source: Extent, placement: Placement) -> None:
        """See :class:`IInPlaceStore`."""
        there = located(source.blob_id)
        name = self.name_of(placement.bucket, placement.key)
        resource = described(placement.description, blob_id)

        async def place(expected: str) -> Locator:
            made = await self._calls.copy(there.name, there.tag, name, resource, expected)
            return _located(blob_id, OBJECT, made)

        self._stage(blob_id, place)

    # Uploads

    async def begin_upload(self, blob_id: str, placement: Placement) -> str:
        """See :class:`IInPlaceStore`.  Nothing is asked of the cloud."""
        return str(_upload(blob_id, self._directory(blob_id)))

    async def copy_part(self, blob_id: str, upload: str, number: int, source: Extent) -> str:
        """See :class:`IInPlaceStore`.

        A whole object is copied in the cloud; a run of one goes through this process.
        """
        there = located(source.blob_id)
        name = f"{located(upload).name}{number:05}-{blob_id}"
        found = await self._calls.get(there.name, there.tag)
        if found is None:
            raise Displaced
        if source.offset == 0 and listed_name(found).size == source.length:
            made = await self._calls.copy(there.name, there.tag, name, {}, _NOTHING)
            return str(_located(blob_id, PART, made))
        reader = await self.open(source.blob_id, source.offset, source.length)
        try:
            return await self._send_part(reader, blob_id, Placement(upload=upload, part=number))
        finally:
            reader.close()

    async def _send_part(self, reader: IBlobReader, blob_id: str, placement: Placement) -> str:
        writer = await self.create(blob_id, placement)
        try:
            while data := await reader.read():
                await writer.write(data)
            await writer.finish()
            return await self.place(blob_id, "")
        except BaseException:
            self._unstage(blob_id)
            await writer.abort()
            raise

    async def stage_parts(
        self, upload: str, parts: Sequence[PlacedPart], placement: Placement
    ) -> str:
        """See :class:`IInPlaceStore`.  Composes all but the last level of the tree."""
        begun = located(upload)
        name = self.name_of(placement.bucket, placement.key)
        resource = described(placement.description, begun.blob_id)

        async def compose(last: str, sources: Sequence[Source]) -> Source:
            # One that an attempt before has left is replaced, whatever it is.
            there = await self._calls.get(begun.name + last)
            expected = _NOTHING if there is None else listed_name(there).tag
            made = listed_name(await self._calls.compose(begun.name + last, sources, {}, expected))
            return made.name, made.tag

        locators = [located(extent.blob_id) for part in parts for extent in part.extents]
        sources = await reduced([(each.name, each.tag) for each in locators], compose)

        async def place(expected: str) -> Locator:
            made = await self._calls.compose(name, sources, resource, expected)
            return _located(begun.blob_id, OBJECT, made)

        self._stage(begun.blob_id, place)
        return begun.blob_id

    # Reading

    async def open(self, blob_id: str, offset: int, length: int) -> IBlobReader:
        """See :class:`IInPlaceStore`."""
        locator = located(blob_id)
        if not length:
            found = await self._calls.get(locator.name, locator.tag)
            if found is None:
                raise Displaced
            if listed_name(found).size < offset:
                raise InternalError(f"{locator.name} ends before byte {offset}")
            return Nothing()

        async def open_from(at: int) -> ResponseBody:
            return await self._calls.read(locator.name, locator.tag, offset + at, length - at)

        return await open_run(length, open_from, displaced)

    async def look(self, name: str) -> NativeObject | None:
        """See :class:`IInPlaceStore`."""
        found = await self._calls.get(name)
        if found is None:
            await self._calls.check(self._names.reserved)  # where no bucket is, no object is either
            return None
        return native_object(found)

    async def list_names(
        self, prefix: str, after: str = ""
    ) -> AsyncIterator[tuple[ListedName, ...]]:
        """See :class:`IInPlaceStore`."""
        reserved = self._names.reserved
        start = after or None
        while True:
            async for page in self._calls.pages(self._names.prefix + prefix, start=start):
                names = tuple(
                    each
                    for each in page.names
                    if each.name != after and not each.name.startswith(reserved)
                )
                if names:
                    yield names
                if page.names and page.names[-1].name.startswith(reserved):
                    break
            else:
                return
            start = reserved[:-1] + "0"  # the first name after all that begin with it

    # The rest

    async def delete(self, blob_id: str) -> None:
        """See :class:`IInPlaceStore`."""
        locator = parse_locator(blob_id)
        if locator is None:
            self._unstage(blob_id)
            if blob_id in self._temporary:
                await self._calls.delete(self._body(blob_id))
                self._temporary.discard(blob_id)
        elif locator.kind == UPLOAD:
            await self._remove_all(locator.name)
        else:
            await self._calls.delete(locator.name, locator.tag)

    async def blob_ids(self) -> AsyncIterator[tuple[str, ...]]:
        """See :class:`IInPlaceStore`."""
        async for page in self._calls.pages(self._uploads, delimiter="/"):
            yield tuple(
                str(_upload(each.removeprefix(self._uploads).rstrip("/"), each))
                for each in page.prefixes
            )

    def _directory(self, blob_id: str) -> str:
        return f"{self._uploads}{blob_id}/"

    def _body(self, blob_id: str) -> str:
        return self._directory(blob_id) + "body"

    async def _remove_all(self, directory: str) -> None:
        async for page in self._calls.pages(directory):
            for each in page.names:
                await self._calls.delete(each.name, each.tag)


def _located(blob_id: str, kind: str, made: Resource) -> Locator:
    """The locator of what was made."""
    listed = listed_name(made)
    return Locator(blob_id, kind, listed.tag, listed.name)


def _require_whole(made: Resource, staged: Staged[Resource]) -> None:
    """:raises InternalError: the cloud has other bytes than were sent."""
    if int(made.get("size", -1)) != staged.size:
        raise InternalError("Cloud Storage kept another number of bytes than were sent")
    if made.get("crc32c") != crc32c_text(staged.crc):
        raise InternalError("Cloud Storage kept other bytes than were sent")


def _upload(blob_id: str, directory: str) -> Locator:
    return Locator(blob_id, UPLOAD, _NO_TAG, directory)
